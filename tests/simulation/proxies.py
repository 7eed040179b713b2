"""The proxies of a simulated world: Envoys that dial, serve, die and begin anew, and what their
applications' health is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.model.resource import canonical_json
from reconciler.steps import zone_state as z
from tests.simulation.documents import proxies_of
from tests.simulation.envoy import SimEnvoy
from tests.simulation.invariants import check_proxy
from tests.simulation.network import Stream
from tests.simulation.parts import SimProxy
from xds.discovery import Node
from xds.health import HealthReport, Introduction

if TYPE_CHECKING:
    from tests.simulation.parts import SimZone
    from tests.simulation.world import World
    from xds.discovery import DeltaRequest, DeltaResponse
    from xds.health import Specifier

DIALS_FIRST_S, DIALS_LAST_S = 0.5, 30.0  # Envoy's longest wait between two tries, at first and ever


def proxies_of_zone(zone: str, *, plain_mesh: bool) -> list[SimProxy]:
    found = []
    for document in proxies_of(zone, plain_mesh=plain_mesh):
        mesh = str(document.get("mesh", ""))
        metadata = {"dataplane.resource": canonical_json(document), "features": []}
        node = Node(f"{mesh}.{document['name']}", metadata=metadata)
        wanted = not str(document["name"]).startswith("spare")
        found.append(SimProxy(zone, SimEnvoy(node, lambda _: None), up=wanted, wanted=wanted))
    return found


class SimFleet:
    """How the proxies of a world and their zones reach each other."""

    def __init__(self, world: World) -> None:
        self.world, self.clock, self.random = world, world.clock, world.random
        self.asked_health: dict[str, Specifier] = {}

    def add(self, proxy: SimProxy) -> None:
        proxy.envoy.send = lambda request: self._asks(proxy, request)
        self.clock.after(self.random.random(), lambda: self.connect(proxy))

    def connect(self, proxy: SimProxy) -> None:
        if not proxy.up or proxy.stream is not None:
            return
        if self.clock.now < proxy.away_until:
            self.clock.at(proxy.away_until, lambda: self.connect(proxy))
            return
        zone = self.world.zones[proxy.zone]
        if not zone.up:
            self._dial_again(proxy)
            return
        self.world.serial += 1
        name = f"ads-{self.world.serial}"
        proxy.stream_id = name
        proxy.stream = Stream(
            self.clock,
            self.random,
            lambda: self._lost_by_proxy(proxy, name),
            lambda: self._lost_by_zone(zone, name),
        )
        self.world.to_zone(zone, z.ProxyOpened(name, "token"))
        proxy.envoy.start()

    def _asks(self, proxy: SimProxy, request: DeltaRequest) -> None:
        name, stream = proxy.stream_id, proxy.stream
        if name is None or stream is None:
            return
        zone = self.world.zones[proxy.zone]
        stream.carry(
            0, lambda: self.world.to_zone(zone, z.ProxyRequest(name, request, self.clock.now))
        )

    def _at(self, stream: str) -> SimProxy | None:
        return next((p for p in self.world.proxies.values() if p.stream_id == stream), None)

    def deliver(self, stream: str, response: DeltaResponse) -> None:
        proxy = self._at(stream)
        if proxy is not None and proxy.stream is not None:
            proxy.stream.carry(1, lambda: self._received(proxy, response))

    def _received(self, proxy: SimProxy, response: DeltaResponse) -> None:
        proxy.tries, listened = 0, proxy.listens
        proxy.envoy.receive(response)
        if not listened and proxy.listens:
            proxy.disturbed = self.clock.now  # Before, it served nobody.
        check_proxy(self.world, proxy)

    def close(self, stream: str) -> None:
        proxy = self._at(stream)
        if proxy is not None and proxy.stream is not None:
            proxy.stream.cut()

    def _lost_by_zone(self, zone: SimZone, name: str) -> None:
        self.world.to_zone(zone, z.ProxyClosed(name, by_peer=True, now=self.clock.now))

    def _lost_by_proxy(self, proxy: SimProxy, name: str) -> None:
        if proxy.stream_id == name:
            proxy.stream, proxy.stream_id = None, None
            self._dial_again(proxy)

    def _dial_again(self, proxy: SimProxy) -> None:
        """As Envoy does: later each time, until something was received."""
        longest = min(DIALS_FIRST_S * 2**proxy.tries, DIALS_LAST_S)
        proxy.tries += 1
        self.clock.after(self.random.uniform(0.05, longest), lambda: self.connect(proxy))

    def start(self, proxy: SimProxy) -> None:
        """A new process: nothing of what an earlier one held remains."""
        if not proxy.up and proxy.wanted:
            proxy.up, proxy.tries = True, 0
            proxy.envoy.held, proxy.envoy.asked = {}, {}
            proxy.reaches, proxy.disturbed = frozenset(), self.clock.now
            self.connect(proxy)

    def kill(self, proxy: SimProxy) -> None:
        proxy.disturbed = self.clock.now
        if proxy.stream is not None:
            proxy.stream.cut()
        proxy.up = False

    # --- health of applications ---

    def report_health(self, proxy: SimProxy, *, healthy: bool) -> None:
        """On its HDS stream, or a new one where the last is gone."""
        zone, proxy.healthy = self.world.zones[proxy.zone], healthy
        proxy.disturbed = self.clock.now
        if proxy.health is None:
            self.world.serial += 1
            proxy.health = f"hds-{self.world.serial}"
            node = proxy.envoy.node.id
            self.world.to_zone(zone, z.HealthOpened(proxy.health, "token", self.clock.now))
            said = Introduction(node)
            self.world.to_zone(zone, z.HealthSaid(proxy.health, said, self.clock.now))
        elif proxy.health in self.asked_health:
            self.answer_health(zone, proxy.health, self.asked_health[proxy.health])

    def answer_health(self, zone: SimZone, stream: str, specifier: Specifier) -> None:
        self.asked_health[stream] = specifier
        proxy = next((p for p in self.world.proxies.values() if p.health == stream), None)
        if proxy is not None:
            report = HealthReport(
                dict.fromkeys((c.cluster for c in specifier.checks), proxy.healthy)
            )
            self.world.zone_later(zone, 0.1, lambda: z.HealthSaid(stream, report, self.clock.now))
