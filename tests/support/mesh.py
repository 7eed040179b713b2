"""Small builders for mesh resources, so that a test names only what it is about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reconciler.decode import mesh_resource
from reconciler.match import (
    INBOUNDS,
    TOWARDS,
    PolicyIndex,
    Selection,
    selections,
    wanted,
)
from reconciler.model.resource import (
    DISPLAY_NAME,
    SERVICE,
    ZONE,
    Labels,
    MeshResource,
    ResourceKey,
    canonical_json,
)
from reconciler.model.services import decode_mesh_service, decode_multi_zone_service
from reconciler.model.spec import (
    AvailableService,
    CaBackend,
    DataplaneSpec,
    Destination,
    Inbound,
    MeshSpec,
    Outbound,
    RefDestination,
    Spec,
    TagDestination,
    Tags,
    ZoneEgressSpec,
    ZoneIngressSpec,
)
from reconciler.policies import POLICIES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MTLS = CaBackend("ca", "builtin", permissive=False, certificate_s=86400)


def tags_of(tags: Mapping[str, str]) -> Tags:
    return tuple(sorted(tags.items()))


def resource(
    key: ResourceKey, spec: Spec, body: object, labels: Mapping[str, str] | None = None
) -> MeshResource:
    return MeshResource(key, Labels.of(labels or {}), canonical_json(body), spec)


def a_mesh(name: str = "default", mtls: CaBackend | None = MTLS, **more: Any) -> MeshResource:
    spec = MeshSpec(mtls=mtls, **more)
    return resource(ResourceKey("Mesh", "", name), spec, repr(spec))


def a_policy(
    kind: str,
    name: str,
    spec: Mapping[str, object],
    *,
    mesh: str = "default",
    labels: Mapping[str, str] | None = None,
) -> MeshResource:
    """A policy from the plain data of its `spec`."""
    policy = next(p for p in POLICIES if p.kind == kind)
    return resource(ResourceKey(kind, mesh, name), policy.decode(spec), spec, labels)


def an_inbound(
    service: str,
    *,
    address: str = "10.0.0.1",
    port: int = 8080,
    protocol: str = "http",
    healthy: bool = True,
    name: str = "",
    tags: Mapping[str, str] | None = None,
) -> Inbound:
    return Inbound(
        name=name or str(port),
        address=address,
        port=port,
        workload_address="127.0.0.1",
        workload_port=port + 1,
        advertised_address=address,
        tags=tags_of({SERVICE: service, **(tags or {})}),
        protocol=protocol,
        healthy=healthy,
    )


def a_dataplane(
    name: str,
    *inbounds: Inbound,
    to: Mapping[int, Mapping[str, str]] | None = None,
    refs: Mapping[int, RefDestination] | None = None,
    mesh: str = "default",
    labels: Mapping[str, str] | None = None,
    **more: Any,
) -> MeshResource:
    """Its outbounds by port: `to` those by tags, `refs` those to resources."""
    called: dict[int, Destination] = {
        port: TagDestination(tags_of(tags)) for port, tags in (to or {}).items()
    }
    called.update(refs or {})
    outbounds = tuple(Outbound("127.0.0.1", port, found) for port, found in called.items())
    address = inbounds[0].address if inbounds else "10.0.0.9"
    spec = DataplaneSpec(address, address, inbounds, outbounds, **more)
    return resource(ResourceKey("Dataplane", mesh, name), spec, repr(spec), labels)


def an_ingress(
    zone: str,
    *services: AvailableService,
    address: str = "203.0.113.1",
    port: int = 10001,
    name: str = "",
) -> MeshResource:
    spec = ZoneIngressSpec(zone, "10.9.0.1", 10001, address, port, services)
    key = ResourceKey("ZoneIngress", "", name or f"ingress-{zone}")
    return resource(key, spec, repr(spec), {ZONE: zone})


def an_egress(
    name: str = "egress", *, address: str = "10.8.0.1", port: int = 10002, zone: str = "east"
) -> MeshResource:
    spec = ZoneEgressSpec(zone, address, port)
    return resource(ResourceKey("ZoneEgress", "", name), spec, repr(spec), {ZONE: zone})


def an_external(
    name: str,
    address: str = "pay.example:443",
    *,
    service: str = "",
    protocol: str = "tcp",
    tls: Mapping[str, object] | None = None,
    zone: str = "",
    mesh: str = "default",
) -> MeshResource:
    """A service outside of the mesh, by the name of the resource unless `service` is another."""
    networking = {"address": address} | ({} if tls is None else {"tls": tls})
    said = {SERVICE: service or name, "kuma.io/protocol": protocol}
    said |= {ZONE: zone} if zone else {}
    key = ResourceKey("ExternalService", mesh, name)
    return mesh_resource(key, Labels(), {"networking": networking, "tags": said})


def offers(
    service: str, instances: int = 1, *, mesh: str = "default", **tags: str
) -> AvailableService:
    renamed = {ZONE if key == "zone" else key: value for key, value in tags.items()}
    return AvailableService(mesh, tags_of({SERVICE: service, **renamed}), instances)


def a_mesh_service(
    name: str,
    labels: Mapping[str, str],
    *,
    mesh: str = "default",
    spec: Mapping[str, object] | None = None,
    key: str = "",
) -> MeshResource:
    """`key`: another name than the one it shows."""
    found = decode_mesh_service(spec or {})
    at = ResourceKey("MeshService", mesh, key or name)
    return resource(at, found, {"spec": repr(found)}, {DISPLAY_NAME: name, **labels})


def a_multi_zone_service(
    name: str, spec: Mapping[str, object], labels: Mapping[str, str] | None = None
) -> MeshResource:
    found = decode_multi_zone_service(spec)
    at = ResourceKey("MeshMultiZoneService", "default", name)
    return resource(at, found, {"spec": repr(found)}, {DISPLAY_NAME: name, **(labels or {})})


def selecting(policies: Iterable[MeshResource], dataplane: MeshResource) -> tuple[Selection, ...]:
    """The policies that select the Dataplane, found by the index."""
    index, asked = PolicyIndex().changed((None, policy) for policy in policies), wanted(dataplane)
    shelves = (s for s in index.shelves if s in asked or s == INBOUNDS or s[0] == TOWARDS)
    return selections((ranked for s in shelves for ranked in index.at(s)), dataplane)
