"""Where the services of a mesh are: endpoints for sidecars and for the ingress. Pure.

A zone's sidecars see local instances by their own addresses and services of other zones by those
zones' ingresses, never any other address of another zone. An ingress sees local instances only.
Addresses that are names come resolved in `resolved` (EDS cannot carry names); a name that is not
there contributes no endpoint until it is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

from reconciler.model.proxy_rules import is_ip
from reconciler.model.resource import SERVICE, ZONE, MeshResource, ResourceKey
from reconciler.model.spec import (
    AvailableService,
    DataplaneSpec,
    Inbound,
    MeshSpec,
    Tags,
    ZoneIngressSpec,
)
from xds.view import Endpoint, Protocol

if TYPE_CHECKING:
    from reconciler.state import MeshState

Resolve = Callable[[str], str | None]

# What a protocol can be read as, best first.
_STACKS: Mapping[Protocol, tuple[Protocol, ...]] = {
    Protocol.GRPC: (Protocol.GRPC, Protocol.HTTP2, Protocol.TCP),
    Protocol.HTTP2: (Protocol.HTTP2, Protocol.TCP),
    Protocol.HTTP: (Protocol.HTTP, Protocol.TCP),
    Protocol.KAFKA: (Protocol.KAFKA, Protocol.TCP),
    Protocol.TCP: (Protocol.TCP,),
}
PROTOCOL = "kuma.io/protocol"


@dataclass(frozen=True, slots=True)
class Service:
    """`protocol` is None when nothing of the mesh has ever declared the service."""

    name: str
    protocol: Protocol | None = None
    endpoints: tuple[Endpoint, ...] = ()  # sorted

    def subset(self, tags: Tags) -> tuple[Endpoint, ...]:
        """The endpoints that have all these tags; the service tag itself is implied."""
        wanted = {pair for pair in tags if pair[0] != SERVICE}
        return (
            tuple(e for e in self.endpoints if wanted <= set(e.tags)) if wanted else self.endpoints
        )


@dataclass(frozen=True, slots=True)
class Topology:
    """The services of one mesh, by name."""

    services: Mapping[str, Service] = field(default_factory=dict)

    def service(self, name: str) -> Service:
        """A service nobody offers has no endpoints: that is meant, not unknown."""
        return self.services.get(name) or Service(name)


@dataclass(frozen=True, slots=True)
class Place:
    """From where the mesh is looked at. `absent`: Dataplanes whose endpoints are out for now."""

    zone: str
    absent: frozenset[ResourceKey] = frozenset()
    resolved: Mapping[str, str] = field(default_factory=dict)


def sidecar_topology(
    mesh: MeshResource,
    dataplanes: Iterable[MeshResource],
    ingresses: Iterable[MeshResource],
    place: Place,
) -> Topology:
    """What the sidecars of `place.zone` may connect to."""
    assert isinstance(mesh.spec, MeshSpec)
    resolve = resolver(place.resolved)
    remote = remote_ingresses(ingresses, mesh, place.zone, resolve)
    services = _Services()
    for target, offered in remote:
        for service in offered:
            tags = dict(service.tags)
            services.declare(tags.get(SERVICE, ""), tags.get(PROTOCOL, "tcp"))
            endpoint = _remote_endpoint(target, service, mesh.spec, place.zone)
            services.add(tags.get(SERVICE, ""), endpoint)
    # Each ingress pair carries the weight of its instances; local instances are weighed against
    # the number of pairs, so that several replicas of one ingress do not draw too much.
    weight = max(1, len(remote))
    for dataplane, inbound in _local_inbounds(dataplanes, place.zone):
        services.declare(inbound.service, inbound.protocol)
        if inbound.healthy and dataplane.key not in place.absent:
            services.add(inbound.service, _local_endpoint(inbound, dataplane, weight, resolve))
    return services.topology()


def ingress_topology(dataplanes: Iterable[MeshResource], place: Place) -> Topology:
    """What the ingress of `place.zone` may pass traffic to: local instances, never an ingress."""
    resolve = resolver(place.resolved)
    services = _Services()
    for dataplane, inbound in _local_inbounds(dataplanes, place.zone):
        services.declare(inbound.service, inbound.protocol)
        if inbound.healthy and dataplane.key not in place.absent:
            services.add(inbound.service, _local_endpoint(inbound, dataplane, 1, resolve))
    return services.topology()


def available_services(
    state: MeshState, zone: str, absent: frozenset[ResourceKey]
) -> tuple[AvailableService, ...]:
    """What this zone offers to the others, sorted; what its ingresses advertise.

    One entry for each distinct tag set, with the number of its healthy instances.
    """
    meshes = {m.key.name for m in state.of("Mesh") if _advertises(m)}
    counts: Counter[tuple[str, Tags]] = Counter()
    for dataplane, inbound in _local_inbounds(state.of("Dataplane"), zone):
        if inbound.healthy and dataplane.key not in absent and dataplane.key.mesh in meshes:
            counts[dataplane.key.mesh, _advertised(inbound.tags, inbound.protocol, zone)] += 1
    ordered = sorted(counts, key=lambda found: (found[0], tag_string(found[1])))
    return tuple(AvailableService(mesh, tags, counts[mesh, tags]) for mesh, tags in ordered)


def tag_string(tags: Tags) -> str:
    """`k=v` pairs, comma-separated, by key: Kuma's canonical form."""
    return ",".join(f"{key}={value}" for key, value in sorted(tags))


def _advertises(mesh: MeshResource) -> bool:
    """An Exclusive mesh advertises by MeshService resources instead."""
    return isinstance(mesh.spec, MeshSpec) and mesh.spec.mesh_services_mode != "Exclusive"


# --- local instances ---


def _local_inbounds(
    dataplanes: Iterable[MeshResource], zone: str
) -> Iterator[tuple[MeshResource, Inbound]]:
    """Every inbound of a service, healthy or not, of the Dataplanes of this zone."""
    for dataplane in dataplanes:
        spec = dataplane.spec
        if not isinstance(spec, DataplaneSpec) or dataplane.labels.get(ZONE) not in (None, zone):
            continue
        for inbound in spec.inbounds:
            if inbound.service:
                yield dataplane, inbound


def _local_endpoint(
    inbound: Inbound, dataplane: MeshResource, weight: int, resolve: Resolve
) -> Endpoint | None:
    address = resolve(inbound.advertised_address)
    if address is None:
        return None
    zone = dict(inbound.tags).get(ZONE) or dataplane.labels.get(ZONE)
    return Endpoint(address, inbound.port, weight, _without_service(inbound.tags), zone)


# --- services of other zones ---


def remote_ingresses(
    ingresses: Iterable[MeshResource], mesh: MeshResource, zone: str, resolve: Resolve
) -> list[tuple[tuple[str, int], tuple[AvailableService, ...]]]:
    """Each distinct advertised (address, port) with the mesh's services behind it.

    Many instances behind one load balancer count once. An ingress without services does not hide
    another one at the same address, and does not count; one with services of other meshes only does
    count, as in Kuma. Without mTLS there are none: an ingress routes by SNI.
    """
    assert isinstance(mesh.spec, MeshSpec)
    if mesh.spec.mtls is None:
        return []
    seen: dict[tuple[str, int], tuple[AvailableService, ...]] = {}
    for ingress in sorted(ingresses, key=lambda r: r.key):
        spec = ingress.spec
        assert isinstance(spec, ZoneIngressSpec)
        address = resolve(spec.advertised_address) if _is_remote(spec, zone) else None
        if address is not None and spec.available_services:
            at = (address, spec.advertised_port)
            offered = tuple(s for s in spec.available_services if s.mesh == mesh.key.name)
            seen[at] = seen.get(at) or offered
    return sorted(seen.items())


def _is_remote(spec: ZoneIngressSpec, zone: str) -> bool:
    reachable = bool(spec.advertised_address and spec.advertised_port)
    return reachable and spec.zone not in ("", zone)


def _remote_endpoint(
    target: tuple[str, int], service: AvailableService, mesh: MeshSpec, zone: str
) -> Endpoint | None:
    if service.instances < 1:
        return None
    home = dict(service.tags).get(ZONE)
    distant = mesh.locality_aware and home is not None and home != zone
    tags = _without_service(service.tags)
    return Endpoint(*target, service.instances, tags, home, priority=1 if distant else 0)


# --- assembling ---


class _Services:
    """Collects endpoints and declared protocols while one topology is computed."""

    def __init__(self) -> None:
        self._endpoints: dict[str, set[Endpoint]] = {}
        self._protocols: dict[str, set[str]] = {}

    def declare(self, name: str, protocol: str) -> None:
        """An instance that is away still says what the service speaks.

        Otherwise a listener would change its type when the last instance goes.
        """
        self._protocols.setdefault(name, set()).add(protocol)

    def add(self, name: str, endpoint: Endpoint | None) -> None:
        if endpoint is not None:
            self._endpoints.setdefault(name, set()).add(endpoint)

    def topology(self) -> Topology:
        return Topology(
            {
                name: Service(
                    name,
                    common_protocol(protocols),
                    tuple(sorted(self._endpoints.get(name, ()), key=_endpoint_order)),
                )
                for name, protocols in sorted(self._protocols.items())
            }
        )


def _endpoint_order(endpoint: Endpoint) -> tuple[str, int, str, Tags, int]:
    return endpoint.address, endpoint.port, endpoint.zone or "", endpoint.tags, endpoint.weight


def common_protocol(names: Iterable[str]) -> Protocol | None:
    """The best protocol that all instances of a service can be spoken to with."""
    common: tuple[Protocol, ...] | None = None
    for name in sorted(names):
        stack = _STACKS[protocol_of(name)]
        common = stack if common is None else tuple(p for p in common if p in stack)
    return common[0] if common else None


def protocol_of(name: str) -> Protocol:
    """What nobody knows is passed through as TCP."""
    try:
        return Protocol(name)
    except ValueError:
        return Protocol.TCP


def resolver(resolved: Mapping[str, str]) -> Resolve:
    """Addresses pass; names become their address, or None."""

    def resolve(address: str) -> str | None:
        return address if is_ip(address) else resolved.get(address)

    return resolve


def _without_service(tags: Tags) -> Tags:
    return tuple(pair for pair in tags if pair[0] != SERVICE)


@lru_cache(maxsize=4096)
def _advertised(tags: Tags, protocol: str, zone: str) -> Tags:
    """An inbound's tags with its zone, and with its protocol if only the field names it.

    Other zones learn a service's protocol from these tags alone.
    """
    spoken = {PROTOCOL: protocol} if protocol != "tcp" else {}
    return tuple(sorted({**spoken, **dict(tags), ZONE: zone}.items()))


def merged_by_address(endpoints: Iterable[Endpoint]) -> tuple[Endpoint, ...]:
    """One endpoint for each address and port, with the sum of the weights and the common tags.

    An ingress offers one service under several tag sets; Envoy keeps only the first of several
    endpoints at one address, and the weight of the others would be lost.
    """
    merged: dict[tuple[str, int], Endpoint] = {}
    for endpoint in endpoints:
        at = (endpoint.address, endpoint.port)
        known = merged.get(at)
        merged[at] = endpoint if known is None else _both(known, endpoint)
    return tuple(sorted(merged.values(), key=_endpoint_order))


def _both(one: Endpoint, other: Endpoint) -> Endpoint:
    return Endpoint(
        address=one.address,
        port=one.port,
        weight=one.weight + other.weight,
        tags=tuple(sorted(set(one.tags) & set(other.tags))),
        zone=one.zone if one.zone == other.zone else None,
        priority=min(one.priority, other.priority),
    )
