"""Repositories and fleets for plans: what a commit says, what zones really hand to their proxies
under it, and what they would write of them to Git.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reconciler.defaults import with_defaults
from reconciler.kds.codec import decode_entry
from reconciler.kds.slice import Framed, next_framed
from reconciler.kds.zone_node import ALL_FEATURES
from reconciler.load import Blob, Loaded, LoadMemo, load
from reconciler.problems import has_errors
from reconciler.standing import as_carried
from reconciler.state import from_resources
from reconciler.status.announcement import StatusMode, ZoneStatus
from reconciler.status.document import Inventory, files
from reconciler.status_ingress import from_status
from reconciler.steps import zone_state as z
from reconciler.steps.zone_report import report_of, status_of
from reconciler.steps.zone_staging import typed
from tests.simulation.documents import secrets
from tests.support.zone import START, Zone, settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from reconciler.model.resource import MeshResource
    from xds.snapshot import Snapshot

Document = dict[str, Any]


def loaded(documents: Iterable[Document | str]) -> Loaded:
    """Of documents, or files as they stand; without errors."""
    blobs = {}
    for number, document in enumerate(documents):
        text = document if isinstance(document, str) else json.dumps(document)
        blobs[f"{number}.yaml"] = Blob("", text.encode())
    found = load(blobs, LoadMemo())
    assert not has_errors(found.problems), found.problems
    return found


def as_zones_hold(commit: Loaded) -> tuple[MeshResource, ...]:
    """Framed for the wire, and read from it."""
    owned = from_resources(map(as_carried, with_defaults(commit.resources)))
    frames = next_framed(Framed(ALL_FEATURES), owned).types
    return tuple(
        typed(decode_entry(type_, resource.entry))
        for type_, resources in frames.items()
        for resource in resources.values()
    )


@dataclass
class RealZone:
    """A zone of the real steps, with its proxies connected."""

    zone: Zone
    nodes: Mapping[str, Document]

    def snapshot(self, node: str) -> Snapshot:
        found = self.zone.state.proxies[node].snapshot
        assert found is not None
        return found

    def status_files(self, inventory: Inventory) -> Mapping[str, bytes]:
        _, status = status_of(self.zone.state, report_of(self.zone.state))
        return files(status, inventory)


def real_zone(
    name: str,
    commit: Loaded,
    documents: Iterable[Document],
    relayed: Iterable[MeshResource] = (),
    inventory: Inventory = Inventory.CLASSES,
) -> RealZone:
    policies = as_zones_hold(commit)
    found = Zone(
        z.ZoneState(settings=settings(zone=name, status=ZoneStatus(StatusMode.OFF, inventory)))
    )
    keys = secrets((1,), "")
    found.deliver(z.Restored(START, (*policies, *keys), tuple(relayed), revision="c1"))
    nodes = {}
    for document in documents:
        found.acknowledge_all(found.connect(document, said={"features": ["feature-reuse-port"]}))
        nodes[f"{document.get('mesh', '')}.{document['name']}"] = document
    return RealZone(found, nodes)


def ingresses_of(zone: str, files_: Mapping[str, bytes]) -> tuple[MeshResource, ...]:
    return tuple(from_status(zone, files_["ingress.yaml"]))


def dataplane(
    name: str,
    address: str,
    service: str,
    calls: Iterable[str] = (),
    *,
    mesh: str = "default",
    protocol: str = "http",
    tags: Mapping[str, str] | None = None,
    labels: Mapping[str, str] | None = None,
) -> Document:
    own = {"kuma.io/service": service, "kuma.io/protocol": protocol, **(tags or {})}
    document: Document = {
        "type": "Dataplane",
        "mesh": mesh,
        "name": name,
        "networking": {
            "address": address,
            "inbound": [{"port": 8080, "servicePort": 9090, "tags": own}],
            "outbound": [
                {"port": 10001 + n, "tags": {"kuma.io/service": called}}
                for n, called in enumerate(calls)
            ],
        },
    }
    return document | ({"labels": dict(labels)} if labels else {})


def ingress(zone: str, address: str) -> Document:
    return {
        "type": "ZoneIngress",
        "name": f"ingress-{zone}",
        "networking": {
            "address": address,
            "port": 10001,
            "advertisedAddress": address,
            "advertisedPort": 10001,
        },
    }
