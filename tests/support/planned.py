"""Plans of changes of a small mesh: its documents, and the proxies of its zones."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from reconciler.planning.fleet import zone_fleet
from reconciler.planning.plan import plan
from reconciler.status.document import Inventory
from tests.support.plans import (
    Document,
    RealZone,
    dataplane,
    ingress,
    ingresses_of,
    loaded,
    real_zone,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from reconciler.planning.fleet import ZoneFleet
    from reconciler.planning.plan import Plan

FORMAT = "format: 3\n---\n"
V1, V2 = ({"kind": "MeshSubset", "tags": {"version": version}} for version in ("v1", "v2"))
EVERYBODY: Document = {"kind": "Mesh"}


def mesh(name: str = "default", mode: str = "STRICT", **more: Any) -> Document:
    found: Document = {"type": "Mesh", "name": name, **more}
    if mode:
        backend = {"name": "ca-1", "type": "builtin", "mode": mode}
        found["mtls"] = {"enabledBackend": "ca-1", "backends": [backend]}
    return found


def permission(name: str, *entries: tuple[Document, str], top: Document | None = None) -> Document:
    items = [{"targetRef": who, "default": {"action": action}} for who, action in entries]
    spec = {"from": items} | ({"targetRef": top} if top is not None else {})
    return {"type": "MeshTrafficPermission", "mesh": "default", "name": name, "spec": spec}


def route(
    *backends: Document, name: str = "r", path: str = "/", target: str = "backend", **more: Any
) -> Document:
    """Calls of the target at the path go to these. `more` of what holds for them."""
    default = {"backendRefs": [{"weight": 1, **each} for each in backends], **more}
    rule = {"matches": [{"path": {"type": "PathPrefix", "value": path}}], "default": default}
    to = [{"targetRef": service(target), "rules": [rule]}]
    return {"type": "MeshHTTPRoute", "mesh": "default", "name": name, "spec": {"to": to}}


def service(name: str) -> Document:
    return {"kind": "MeshService", "name": name}


def fleet(zone: str, *proxies: Document) -> list[Document]:
    return [ingress(zone, "10.0.1.1" if zone == "east" else "10.0.2.1"), *proxies]


def planned(
    base: list[Document],
    head: list[Document],
    proxies: Mapping[str, list[Document]],
    inventory: Inventory = Inventory.CLASSES,
) -> Plan:
    """With every zone told of the ingresses of all others, as under the base."""
    before, after = loaded(base), loaded(head)
    first = {
        name: real_zone(name, before, those, (), inventory).status_files(inventory)
        for name, those in proxies.items()
    }
    zones: dict[str, RealZone] = {}
    for name, those in proxies.items():
        relayed = [i for other in first if other != name for i in ingresses_of(other, first[other])]
        zones[name] = real_zone(name, before, those, relayed, inventory)
    told = {name: zone.status_files(inventory) for name, zone in zones.items()}
    return plan(before, after, [zone_fleet(name, files) for name, files in told.items()])


WEBS = [
    dataplane("web-1", "10.0.1.2", "web", ["backend"], tags={"version": "v1"}),
    dataplane("web-2", "10.0.1.3", "web", ["backend"], tags={"version": "v2"}),
]
BACKENDS = [
    dataplane("backend-1", "10.0.1.4", "backend", labels={"team": "a"}),
    dataplane("backend-2", "10.0.1.5", "backend", labels={"team": "b"}),
]
EAST = {"east": fleet("east", *WEBS, *BACKENDS)}
ALL = permission("p", (EVERYBODY, "Allow"))
NONE = permission("p", (EVERYBODY, "Deny"))
NOT_V1 = permission("p", (EVERYBODY, "Allow"), (V1, "Deny"))
NOT_V2 = permission("p", (EVERYBODY, "Allow"), (V2, "Deny"))


def told(
    zone: str, proxies: Mapping[tuple[str, str], Iterable[str]], services: Iterable[Document]
) -> ZoneFleet:
    """A zone as its status ref tells of it. `proxies`: by mesh and service, whom they call; one of
    each. `services`: what its ingress offers.
    """
    net = "10.0.1.1" if zone == "east" else "10.0.2.1"
    networking = ingress(zone, net)["networking"]
    offers = {"type": "ZoneIngress", "name": f"ingress-{zone}", "networking": networking}
    files = {"ingress.yaml": json.dumps({**offers, "availableServices": list(services)})}
    for (name, service), calls in proxies.items():
        outbounds = [
            {"port": 10001 + number, "tags": {"kuma.io/service": called}}
            for number, called in enumerate(calls)
        ]
        inbounds = [{"port": 8080, "tags": {"kuma.io/service": service}}]
        row = {"count": 1, "inbounds": inbounds, "outbounds": outbounds}
        document = {"mesh": name, "service": service, "classes": [row]}
        files[f"proxies/{name}/{service}.yaml"] = json.dumps(document)
    return zone_fleet(zone, {path: f"{FORMAT}{text}".encode() for path, text in files.items()})


def offer(mesh_: str, service: str, zone: str, **more: Any) -> Document:
    tags = {"kuma.io/service": service, "kuma.io/zone": zone, "kuma.io/protocol": "http"}
    return {"mesh": mesh_, "tags": tags, "instances": 1, **more}
