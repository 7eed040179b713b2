"""Where the services of a mesh are: endpoints for sidecars and for the ingress. Pure.

A zone's sidecars see local instances by their own addresses and services of other zones by those
zones' ingresses, never any other address of another zone; with `routing.zoneEgress` by the own
zone's egresses, and not otherwise. An ingress sees local instances only.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from math import lcm
from typing import TYPE_CHECKING

from rpds import HashTrieMap

from reconciler.instances import (
    NOBODY,
    Instances,
    Place,
    inbounds_of,
    instances_followed,
    local_endpoint,
    resolver,
    without_service,
)
from reconciler.model.resource import PROTOCOL, SERVICE, ZONE, MeshResource
from reconciler.model.spec import (
    AvailableService,
    MeshSpec,
    Tags,
    ZoneEgressSpec,
)
from reconciler.reachability import advertised
from xds.view import Endpoint, Protocol

if TYPE_CHECKING:
    from reconciler.collection import Difference
    from reconciler.external import External
    from reconciler.instances import Target
    from reconciler.state import MeshState

WHOLE_MAX = 2_520  # all numbers of ways up to ten divide it
# What a protocol can be read as, best first.
_STACKS: Mapping[Protocol, tuple[Protocol, ...]] = {
    Protocol.GRPC: (Protocol.GRPC, Protocol.HTTP2, Protocol.TCP),
    Protocol.HTTP2: (Protocol.HTTP2, Protocol.TCP),
    Protocol.HTTP: (Protocol.HTTP, Protocol.TCP),
    Protocol.KAFKA: (Protocol.KAFKA, Protocol.TCP),
    Protocol.TCP: (Protocol.TCP,),
}


@dataclass(frozen=True, slots=True)
class Service:
    """`protocol` is None when nothing of the mesh has ever declared the service."""

    name: str
    protocol: Protocol | None = None
    endpoints: tuple[Endpoint, ...] = ()  # sorted
    external: External | None = None  # it is outside of the mesh; without `endpoints` of its own

    def subset(self, tags: Tags) -> tuple[Endpoint, ...]:
        """The endpoints that have all these tags; the service tag itself is implied."""
        wanted = {pair for pair in tags if pair[0] != SERVICE}
        return (
            tuple(e for e in self.endpoints if wanted <= set(e.tags)) if wanted else self.endpoints
        )


Services = tuple[AvailableService, ...]
Offers = Mapping[str, Services]  # by service


@dataclass(slots=True, eq=False)
class _Found:
    """A service and what it was computed from."""

    service: Service
    instances: Instances
    remote: tuple[Services, ...]
    external: External | None = None


def _anew(known: _Found) -> _Found:
    """To be computed again, if only to be found equal."""
    return _Found(known.service, HashTrieMap(), ())


@dataclass(frozen=True, slots=True)
class _Scale:
    """What an instance of a service weighs (`whole`), and by zone the ways into it that offer the
    service: each of them offers all of the zone's instances, and carries its part of them.
    """

    whole: int
    ways: Mapping[str | None, int]

    def weight(self, offer: AvailableService) -> int:
        if offer.instances < 1:
            return 0
        return max(1, offer.instances * self.whole // self.ways[dict(offer.tags).get(ZONE)])


def _scale(remote: tuple[Services, ...]) -> _Scale:
    ways: Counter[str | None] = Counter()
    for offered in remote:
        ways.update({dict(offer.tags).get(ZONE) for offer in offered if offer.instances > 0})
    whole = lcm(*ways.values())
    return _Scale(whole if whole <= WHOLE_MAX else max(ways.values()), ways)


@dataclass(frozen=True, slots=True, eq=False)
class Ingresses:
    """What the remote offers were read from. `read`: by the object that lists them."""

    mesh: MeshResource
    ingresses: Iterable[MeshResource]
    resolved: Mapping[str, str]
    read: Mapping[int, tuple[Services, Offers]]

    def is_of(
        self, mesh: MeshResource, ingresses: Iterable[MeshResource], resolved: Mapping[str, str]
    ) -> bool:
        same = self.mesh is mesh and self.ingresses is ingresses
        return same and self.resolved == resolved


@dataclass(frozen=True, slots=True, eq=False)
class Topology:
    """The services of one mesh, each computed when it is asked for and handed on to the topology
    after a change for as long as nothing of that service differs.

    Each instance weighs the same, wherever it is (`_Scale`). Behind egresses, too: each carries the
    weight of all other zones, and local instances so many times theirs.
    """

    place: Place
    locality_aware: bool = False
    remote: tuple[tuple[Target, Offers], ...] = ()
    ingresses: Ingresses | None = None
    egresses: tuple[Target, ...] | None = (
        None  # the only way to other zones; None: there is no need
    )
    instances: HashTrieMap[str, Instances] = field(
        default_factory=HashTrieMap
    )  # by service: what is local
    externals: Mapping[str, External] = field(default_factory=dict)  # by service
    _found: dict[str, _Found] = field(default_factory=dict)

    def service(self, name: str) -> Service:
        """A service nobody offers has no endpoints: that is meant, not unknown."""
        instances = self.instances.get(name, NOBODY)
        remote = tuple([offers.get(name, ()) for _, offers in self.remote])
        known, external = self._found.get(name), self.externals.get(name)
        if (
            known is not None
            and known.instances is instances
            and known.remote == remote
            and known.external is external
        ):
            return known.service
        service = self._service(name, instances, remote)
        if known is not None and known.service == service:
            service = known.service
        self._found[name] = _Found(service, instances, remote, external)
        return service

    def _service(
        self,
        name: str,
        instances: Instances,
        remote: tuple[Services, ...],
    ) -> Service:
        """An instance that is away still says what the service speaks: otherwise a listener would
        change its type when the last instance goes. Whoever is in the mesh goes before a service
        outside of it with the same name.
        """
        outside = any(offer.external for offered in remote for offer in offered)
        if outside:
            remote = tuple([tuple([o for o in offered if not o.external]) for offered in remote])
        external = self.externals.get(name)
        if external is not None and not instances and not any(remote):
            ways = self._to_outside(external, elsewhere=outside)
            return Service(name, external.protocol, ways, external)
        protocols = {dict(each.tags).get(PROTOCOL, "tcp") for offered in remote for each in offered}
        scale = _scale(remote)
        endpoints: set[Endpoint | None] = set(self._elsewhere(remote, scale))
        weight = scale.whole * (len(self.egresses or ()) or 1 if any(remote) else 1)
        resolve = resolver(self.place.resolved)
        for dataplane, present in instances.values():
            for inbound in inbounds_of(dataplane):
                if inbound.service == name:
                    protocols.add(inbound.protocol)
                    if present and inbound.healthy:
                        near = self.place.affinity
                        endpoints.add(local_endpoint(inbound, dataplane, weight, resolve, near))
        found = sorted((e for e in endpoints if e is not None), key=endpoint_order)
        return Service(name, common_protocol(protocols), tuple(found))

    def _elsewhere(self, remote: tuple[Services, ...], scale: _Scale) -> Iterator[Endpoint]:
        """By each ingress, or by each egress what all ingresses offer together."""
        if self.egresses is None:
            for (target, _), offered in zip(self.remote, remote, strict=True):
                for offer in offered:
                    yield from self._remote_endpoint(target, offer.tags, scale.weight(offer))
            return
        weights: Counter[Tags] = Counter()
        for offered in remote:
            for offer in offered:
                weights[offer.tags] += scale.weight(offer)
        for target in self.egresses:
            for tags, weight in weights.items():
                yield from self._remote_endpoint(target, tags, weight)

    def _to_outside(self, external: External, *, elsewhere: bool) -> tuple[Endpoint, ...]:
        """By the own egresses, which pass on what only another zone may reach and does offer
        (`elsewhere`). Without egresses each proxy goes by itself.
        """
        homes = (None, self.place.zone)
        found = {
            endpoint
            for target in self.egresses or ()
            for tags in external.offers
            if elsewhere or dict(tags).get(ZONE) in homes
            for endpoint in self._remote_endpoint(target, tags, 1)
        }
        return tuple(sorted(found, key=endpoint_order))

    def _remote_endpoint(self, target: Target, tags: Tags, weight: int) -> Iterator[Endpoint]:
        if weight < 1:
            return
        home = dict(tags).get(ZONE)
        yield Endpoint(
            *target,
            weight,
            without_service(tags),
            home,
            priority=1 if self.locality_aware and home not in (None, self.place.zone) else 0,
            healthy=target not in self.place.silent,
            via_egress=self.egresses is not None,
        )

    def followed(
        self,
        mesh: MeshResource,
        dataplanes: Iterable[Difference],
        ingresses: Iterable[MeshResource],
        place: Place,
        egresses: Iterable[MeshResource] = (),
        externals: Mapping[str, External] | None = None,
    ) -> tuple[Topology, frozenset[str]]:
        """After a change, and the services that may differ; `dataplanes` are those that do.

        A Dataplane whose endpoints are now out or in is one of them.
        """
        assert isinstance(mesh.spec, MeshSpec)
        remote, source = self.remote, self.ingresses
        if source is None or not source.is_of(mesh, ingresses, place.resolved):
            remote, source = _remote(ingresses, mesh, place, self)
        instances, services = instances_followed(self.instances, dataplanes, place)
        locality = mesh.spec.locality_aware
        ways = egress_targets(egresses, place) if mesh.spec.by_egress else None
        services |= differing(self.remote, remote)
        found = self._found
        was, now = self.place, place
        same = (was.zone, was.resolved, was.affinity, self.locality_aware)
        others = self.egresses != ways or [at for at, _ in self.remote] != [at for at, _ in remote]
        if same != (now.zone, now.resolved, now.affinity, locality):
            services |= {*self.instances, *instances}
            others = True
        turned = {n for t in was.silent ^ now.silent for n in dict(remote).get(t, ())}
        if turned:
            services |= turned
            found = {n: _anew(known) if n in turned else known for n, known in found.items()}
        if others:  # Every service anew, if only to be found equal.
            found = {n: _anew(known) for n, known in found.items()}
            services |= differing(self.remote, ()) | differing((), remote)
            services |= self.externals.keys()
        had, has = self.externals, self.externals if externals is None else externals
        if had is not has:
            services |= {n for n in had.keys() | has.keys() if had.get(n) is not has.get(n)}
        after = Topology(place, locality, remote, source, ways, instances, has, found)
        return after, frozenset(services)


def sidecar_topology(
    mesh: MeshResource,
    dataplanes: Iterable[MeshResource],
    ingresses: Iterable[MeshResource],
    place: Place,
    egresses: Iterable[MeshResource] = (),
) -> Topology:
    """What the sidecars of `place.zone` may connect to."""
    changes = ((None, d) for d in dataplanes)
    found, _ = Topology(place).followed(mesh, changes, ingresses, place, egresses)
    return found


def ingress_topology(dataplanes: Iterable[MeshResource], place: Place) -> Topology:
    """What the ingress of `place.zone` may pass traffic to: local instances, never an ingress."""
    instances, _ = instances_followed(HashTrieMap(), ((None, d) for d in dataplanes), place)
    return Topology(place, instances=instances)


# --- services of other zones ---


def by_egress(state: MeshState) -> tuple[str, ...]:
    """The meshes whose traffic to other zones goes through egresses, sorted."""
    specs = ((mesh.key.name, mesh.spec) for mesh in state.of("Mesh"))
    return tuple(name for name, spec in specs if isinstance(spec, MeshSpec) and spec.by_egress)


def by_outlet(state: MeshState) -> tuple[str, ...]:
    """The meshes that need egresses: `by_egress`, and those with mTLS and MeshExternalServices."""
    meshes = {
        name
        for name in state.collections("MeshExternalService")
        if len(state.collection("MeshExternalService", name))
    }
    specs = ((mesh.key.name, mesh.spec) for mesh in state.of("Mesh"))
    return tuple(
        name
        for name, spec in specs
        if isinstance(spec, MeshSpec)
        and (spec.by_egress or (spec.mtls is not None and name in meshes))
    )


def egress_targets(egresses: Iterable[MeshResource], place: Place) -> tuple[Target, ...]:
    """Where the egresses of the zone listen that are there, each place once, sorted."""
    resolve = resolver(place.resolved)
    found: set[Target] = set()
    for egress in egresses:
        spec = egress.spec
        assert isinstance(spec, ZoneEgressSpec)
        address = resolve(spec.address)
        if address is not None and spec.zone in ("", place.zone) and egress.key not in place.absent:
            found.add((address, spec.port))
    return tuple(sorted(found))


def _remote(
    ingresses: Iterable[MeshResource], mesh: MeshResource, place: Place, before: Topology
) -> tuple[tuple[tuple[Target, Offers], ...], Ingresses]:
    """Each distinct advertised (address, port) with the mesh's services behind it, sorted.

    Many instances behind one load balancer count once. An ingress without services does not hide
    another one at the same address, and does not count; one with services of other meshes only does
    count, as in Kuma. Without mTLS there are none: an ingress routes by SNI. What is as `before` is
    the same object.
    """
    assert isinstance(mesh.spec, MeshSpec)
    known = before.ingresses.read if before.ingresses is not None else {}
    read: dict[int, tuple[Services, Offers]] = {}
    seen: dict[Target, Offers] = {}
    ordered = sorted(ingresses, key=lambda r: r.key) if mesh.spec.mtls is not None else ()
    for at, spec in advertised(ordered, place):
        services = spec.available_services
        if services:
            offers = known.get(id(services)) or (services, _by_service(services, mesh.key.name))
            read[id(services)] = offers
            seen[at] = seen.get(at) or offers[1]
    had = dict(before.remote)
    kept = {at: had[at] if had.get(at) == offers else offers for at, offers in seen.items()}
    remote = tuple(sorted(kept.items(), key=lambda found: found[0]))
    return remote, Ingresses(mesh, ingresses, place.resolved, read)


def _by_service(services: Services, mesh: str) -> Offers:
    found: dict[str, tuple[AvailableService, ...]] = {}
    for offer in services:
        if offer.mesh == mesh:
            name = dict(offer.tags).get(SERVICE, "")
            found[name] = (*found.get(name, ()), offer)
    return found


def differing(
    before: tuple[tuple[Target, Offers], ...], after: tuple[tuple[Target, Offers], ...]
) -> set[str]:
    """Services that are not offered alike."""
    had, has, services = dict(before), dict(after), set[str]()
    for at in had.keys() | has.keys():
        old, new = had.get(at, {}), has.get(at, {})
        if old is not new:
            services |= {name for name in old.keys() | new.keys() if old.get(name) != new.get(name)}
    return services


# --- assembling ---


def endpoint_order(endpoint: Endpoint) -> tuple[str, int, str, Tags, int]:
    return endpoint.address, endpoint.port, endpoint.zone or "", endpoint.tags, endpoint.weight


def common_protocol(names: Iterable[str]) -> Protocol | None:
    """The best protocol that all instances of a service can be spoken to with."""
    common: tuple[Protocol, ...] | None = None
    for name in sorted(names):
        stack = _STACKS[protocol_of(name)]
        common = stack if common is None else tuple(p for p in common if p in stack)
    return common[0] if common else None


def protocol_of(name: str) -> Protocol:
    """As Kuma reads it, in any case; what has no rules here (`tls`, `mysql`) is passed as TCP."""
    try:
        return Protocol(name.lower())
    except ValueError:
        return Protocol.TCP


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
    return tuple(sorted(merged.values(), key=endpoint_order))


def _both(one: Endpoint, other: Endpoint) -> Endpoint:
    return Endpoint(
        address=one.address,
        port=one.port,
        weight=one.weight + other.weight,
        tags=tuple(sorted(set(one.tags) & set(other.tags))),
        zone=one.zone if one.zone == other.zone else None,
        priority=min(one.priority, other.priority),
        subzone=one.subzone if one.subzone == other.subzone else "",
        healthy=one.healthy or other.healthy,
        labels=tuple(sorted(set(one.labels) & set(other.labels))),
        via_egress=one.via_egress and other.via_egress,
    )
