"""Zones as far as a global sees them: the KDS client of the zone control plane, which subscribes to
every type, ACKs at once, and offers an ingress, a report and who writes its status.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from reconciler.kds.client import Dial, KdsClient
from reconciler.kds.codec import CarriedResource, encode_carried
from reconciler.kds.manifest import ConvergenceReport, encode_report, parse_manifest
from reconciler.kds.names import hashed_name
from reconciler.kds.types import GLOBAL_TO_ZONE_TYPES, MANIFEST, REPORT, STATUS
from reconciler.kds.zone_node import zone_node
from reconciler.keys.join import read_join
from reconciler.model.resource import DISPLAY_NAME, ORIGIN, ZONE, Labels, canonical_json
from reconciler.status.announcement import StatusMode, ZoneStatus, encode_status
from xds.delta_receiver import DeltaReceiver
from xds.delta_sender import KDS_DIALECT, Acked, DeltaSender, Nacked
from xds.snapshot import NO_RESOURCES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from xds.discovery import DeltaRequest, DeltaResponse
    from xds.resource import XdsResource
    from xds.snapshot import Resources

TYPES = (*GLOBAL_TO_ZONE_TYPES, MANIFEST)


@dataclass
class BenchZone:
    """`seen` are the responses since it was last cleared: type, how many resources, when."""

    name: str
    join: Path
    moved: Callable[[], None]  # the revision is another one
    offered: dict[str, Resources] = field(default_factory=dict)
    revision: str = ""
    revised_at: float = 0.0  # `perf_counter`, when the answer to that was handed over
    acknowledged: int = 0
    seen: list[tuple[str, int, float]] = field(default_factory=list)
    responses: dict[str, DeltaResponse] = field(default_factory=dict)  # the last of each type
    client: KdsClient | None = None
    _receivers: dict[str, DeltaReceiver] = field(default_factory=dict)
    _parts: list[XdsResource] = field(default_factory=list)
    _senders: dict[str, DeltaSender] = field(default_factory=dict)
    _nonces: int = 0
    _up: str = ""  # the session it publishes on
    heard: int = 0  # answers of the global to what it published

    def start(self, port: int | None = None) -> None:
        join = read_join(self.join)
        host, its_port, tls = join.target
        self.offered = self.offered or {**ingress(self.name), **told(self.name, "")}
        self.client = KdsClient(
            self,
            Dial(
                host=host, port=port or its_port, tls=tls, ca_pem=join.ca_pem.encode(),
                zone=self.name, version="0", token=join.token,
                backoff_first_s=0.1, backoff_max_s=0.3,
            ),
        )  # fmt: skip
        self.client.start()

    # KdsClientEvents

    def connected(self, session: str) -> None:
        assert self.client is not None
        node = zone_node(self.name, f"{self.name}-1", "0")
        self._receivers = {t: DeltaReceiver(type_url=t, node=node) for t in TYPES}
        self._senders = {}
        for receiver in self._receivers.values():
            self.client.send_request(session, receiver.subscribe())

    def response(self, session: str, response: DeltaResponse, *, more: bool) -> None:
        assert self.client is not None
        self._parts += response.resources
        if more:
            return
        response = replace(response, resources=tuple(self._parts))
        self._parts.clear()
        type_ = response.type_url
        receiver, _ = self._receivers[type_].on_response(response)
        self._receivers[type_], answer = receiver.ack()
        self.client.send_request(session, answer)
        self.acknowledged += 1
        now = time.perf_counter()
        self.seen.append((type_, len(response.resources) + len(response.removed), now))
        self.responses[type_] = response
        if type_ == MANIFEST and response.resources:
            self.revision = parse_manifest(response.resources[0].entry).revision
            self.revised_at = now
            self.moved()

    def global_request(self, session: str, request: DeltaRequest) -> None:
        assert self.client is not None
        type_ = request.type_url
        known = self._senders.get(type_) or DeltaSender(type_url=type_, dialect=KDS_DIALECT)
        sender, answer = known.on_request(request)
        assert not isinstance(answer, Nacked), f"{self.name}: {type_} was refused"
        self._senders[type_] = sender
        self._up = session
        if isinstance(answer, Acked):
            self.heard += 1
            self.moved()
        self._offer(session, type_)

    def say(self, type_: str, resources: Resources) -> None:
        """What is new of them, in one response."""
        self.offered[type_] = resources
        self._offer(self._up, type_)

    def _offer(self, session: str, type_: str) -> None:
        assert self.client is not None
        want = self.offered.get(type_, NO_RESOURCES)
        self._senders[type_], response = self._senders[type_].offer(want, str(self._nonces + 1))
        if response is not None:
            self._nonces += 1
            self.client.send_response(session, response)

    def disconnected(self, session: str, reason: str) -> None:
        self.revision = ""

    def redial_least_s(self) -> float:
        return 0.0


def ingress(zone: str) -> dict[str, Resources]:
    """One ZoneIngress that offers a service of ten instances."""
    name = hashed_name("", f"ingress-{zone}", Labels.of({ZONE: zone}))
    body = {
        "networking": {
            "address": "127.0.0.1", "port": 10001,
            "advertisedAddress": "127.0.0.1", "advertisedPort": 10001,
        },
        "availableServices": [
            {"tags": {"kuma.io/service": f"of-{zone}"}, "instances": 10, "mesh": "default"}
        ],
    }  # fmt: skip
    labels = {DISPLAY_NAME: f"ingress-{zone}", ORIGIN: "zone", ZONE: zone}
    carried = CarriedResource("ZoneIngress", "", name, labels, canonical_json(body))
    framed = encode_carried(carried)
    return {"ZoneIngress": {framed.name: framed}}


def told(zone: str, revision: str) -> dict[str, Resources]:
    """What it says of itself: no proxies, and that it writes its status ref itself."""
    report = encode_report(zone, ConvergenceReport(revision))
    status = encode_status(zone, ZoneStatus(StatusMode.DIRECT))
    return {REPORT: {report.name: report}, STATUS: {status.name: status}}


@dataclass
class BenchZones:
    """All zones of a bench, on this process's loop."""

    zones: list[BenchZone]
    moved: asyncio.Event = field(default_factory=asyncio.Event)

    @classmethod
    def of(cls, joins: dict[str, Path]) -> BenchZones:
        found = cls([])
        found.zones += [BenchZone(name, join, found.moved.set) for name, join in joins.items()]
        return found

    def start(self, port: int | None = None) -> None:
        for zone in self.zones:
            zone.start(port)

    async def stop(self) -> None:
        await asyncio.gather(*(zone.client.stop() for zone in self.zones if zone.client))

    async def current(self, commit: str, timeout_s: float = 60.0) -> float:
        """Waits until all have the revision; the moment at which the last one had it."""
        async with asyncio.timeout(timeout_s):
            while not all(zone.revision == commit for zone in self.zones):
                self.moved.clear()
                await self.moved.wait()
        return max(zone.revised_at for zone in self.zones)

    def clear(self) -> None:
        for zone in self.zones:
            zone.seen.clear()
