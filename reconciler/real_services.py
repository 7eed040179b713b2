"""Where real destinations are: MeshServices of the zone at the instances they select, those of
other zones at the ways into these zones. Pure.

A MeshService of another zone is reached by the zone's MeshZoneAddresses, else by its ingresses, and
only while nothing nearer is well (priority 1); where the mesh has its calls leave by an egress, by
the own zone's egresses, which pass them on there. A MeshMultiZoneService is where its members are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from rpds import HashTrieMap

from reconciler.instances import NOBODY, Target, inbounds_of, is_local, local_endpoint, resolver
from reconciler.model.resource import ZONE, ResourceKey
from reconciler.model.spec import DataplaneSpec, MeshSpec
from reconciler.reachability import addressed, advertised
from reconciler.real import (
    EXTERNAL,
    MULTI_ZONE,
    NO_REALS,
    Real,
    Reals,
    selected,
    selected_services,
    serves,
)
from reconciler.topology import Service, common_protocol, endpoint_order
from xds.view import Endpoint

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from reconciler.collection import Collection, Difference
    from reconciler.instances import Instances, Place
    from reconciler.model.resource import MeshResource
    from reconciler.real import RealDestination

# The local instances by service, and all Dataplanes.
Everybody: TypeAlias = "tuple[HashTrieMap[str, Instances], Collection]"
Ways = Mapping[str, tuple[Target, ...]]  # by zone: where it is entered; sorted
NO_WAYS: Ways = {}


def inside(reals: Reals, everybody: Everybody, place: Place) -> RealServices:
    """As an ingress of the zone passes traffic on: to instances of the zone, and no further."""
    chosen = {key: _selects(real, everybody, place) for key, real in reals.by_key.items()}
    found = {key: instances for key, instances in chosen.items() if len(instances)}
    return RealServices(place, reals, HashTrieMap(found))


@dataclass(frozen=True, slots=True, eq=False)
class WaysInto:
    """The ways into other zones, and what they were read from."""

    mesh: MeshResource | None = None
    ingresses: Collection | None = None
    addresses: Collection | None = None
    resolved: Mapping[str, str] = field(default_factory=dict)
    ways: Ways = field(default_factory=lambda: NO_WAYS)

    def followed(
        self, mesh: MeshResource, ingresses: Collection, addresses: Collection, place: Place
    ) -> WaysInto:
        if (
            self.mesh is mesh
            and self.ingresses is ingresses
            and self.addresses is addresses
            and self.resolved == place.resolved
        ):
            return self
        found = ways_into(mesh, ingresses, addresses, place)
        ways = self.ways if found == self.ways else found
        return WaysInto(mesh, ingresses, addresses, place.resolved, ways)


@dataclass(slots=True, eq=False)
class _Found:
    """A service and what it was computed from."""

    service: Service
    instances: Instances
    rest: tuple[object, ...]


@dataclass(frozen=True, slots=True, eq=False)
class RealServices:
    """The real destinations of one mesh as services, each computed when it is asked for and handed
    on for as long as nothing of it differs. `chosen`: by MeshService of the zone, whom it selects.
    """

    place: Place
    reals: Reals = NO_REALS
    chosen: HashTrieMap[ResourceKey, Instances] = field(default_factory=HashTrieMap)
    into: WaysInto = field(default_factory=WaysInto)
    egresses: tuple[Target, ...] | None = None  # None: calls go to other zones by themselves
    outlets: tuple[Target, ...] = ()  # the egresses by which calls leave the mesh
    _found: dict[str, _Found] = field(default_factory=dict)

    def service(self, name: str) -> Service | None:
        """None: there is no such destination."""
        destination = self.reals.destination(name)
        if destination is None:
            return None
        real = destination.real
        instances = self.chosen.get(real.key, NOBODY)
        ways = self._ways(real)
        members = tuple(self._members(destination))
        silent = self.place.silent.intersection(ways)
        rest = (real, destination.port, ways, silent, self.egresses, members, self.outlets)
        known = self._found.get(name)
        if known is not None and known.instances is instances and known.rest == rest:
            return known.service
        endpoints = {*self._local(destination, instances), *self._remote(real.zone, ways)}
        endpoints.update(e for member in members for e in member.endpoints)
        if real.key.type == EXTERNAL and real.is_local(self.place.zone):
            endpoints.update(Endpoint(*at, 1, (), via_egress=True) for at in self.outlets)
        found = tuple(sorted(endpoints, key=endpoint_order))
        service = Service(name, common_protocol((destination.port.protocol,)), found)
        if known is not None and known.service == service:
            service = known.service
        self._found[name] = _Found(service, instances, rest)
        return service

    def elsewhere(self, name: str) -> tuple[Endpoint, ...]:
        """Of other zones, each by the ways into it: where an egress passes calls on to. Sorted."""
        destination = self.reals.destination(name)
        reals = [destination.real] if destination is not None else []
        if destination is not None and destination.real.key.type == MULTI_ZONE:
            reals = [each.real for each in self._members_of(destination)]
        found = {
            Endpoint(
                *target,
                1,
                ((ZONE, real.zone), ("mesh", real.key.mesh)),
                real.zone,
                healthy=target not in self.place.silent,
            )
            for real in reals
            for target in self._ways(real)
        }
        return tuple(sorted(found, key=endpoint_order))

    def _ways(self, real: Real) -> tuple[Target, ...]:
        """Into the zone of a MeshService, unless it is the own one."""
        return () if real.is_local(self.place.zone) else self.into.ways.get(real.zone, ())

    def _remote(self, zone: str, ways: tuple[Target, ...]) -> Iterator[Endpoint]:
        """A zone that nobody can enter is not reached by an egress either."""
        by_egress = self.egresses is not None
        for target in (self.egresses or ()) if by_egress and ways else ways:
            yield Endpoint(
                *target,
                1,
                ((ZONE, zone),),
                zone,
                priority=1,
                healthy=target not in self.place.silent,
                via_egress=by_egress,
            )

    def _members(self, destination: RealDestination) -> Iterator[Service]:
        for member in self._members_of(destination):
            service = self.service(member.real.name(member.port))
            if service is not None:
                yield service

    def _members_of(self, destination: RealDestination) -> Iterator[RealDestination]:
        """Of a MeshMultiZoneService; of other zones those that say they have somebody."""
        if destination.real.key.type != MULTI_ZONE:
            return
        for name in self.reals.members_at(destination.real, destination.port.port):
            member = self.reals.destination(name)
            if member is not None and (
                member.real.is_local(self.place.zone) or member.real.available
            ):
                yield member

    def _local(self, destination: RealDestination, instances: Instances) -> Iterator[Endpoint]:
        real, resolve = destination.real, resolver(self.place.resolved)
        near = self.place.affinity
        for dataplane, present in instances.values():
            for inbound in inbounds_of(dataplane) if present else ():
                if inbound.healthy and serves(real, destination.port, inbound):
                    endpoint = local_endpoint(inbound, dataplane, 1, resolve, near)
                    if endpoint is not None:
                        yield endpoint

    def followed(
        self,
        changes: Iterable[Difference],
        dataplanes: Iterable[Difference],
        everybody: Everybody,
        ways: tuple[WaysInto, tuple[Target, ...] | None, tuple[Target, ...]],
        place: Place,
    ) -> tuple[RealServices, frozenset[str]]:
        """After a change of resources (`changes`), of Dataplanes and of ways, and the destinations
        that may differ. Beside them the kinds of which any resource does. `ways`: into other zones,
        the egresses by which calls go there, if they do, and those by which they leave the mesh.
        """
        into, egresses, outlets = ways
        reals, differing = self.reals.followed(changes)
        chosen, touched = self._chosen(reals, dataplanes, place)
        for key in differing:
            real, was = reals.get(key), self.reals.get(key)
            if real is not None and was is not None and _chooses(real) == _chooses(was):
                continue
            instances = _selects(real, everybody, place) if real is not None else NOBODY
            chosen = chosen.insert(key, instances) if len(instances) else chosen.discard(key)
        zones = {
            zone
            for zone in self.into.ways.keys() | into.ways.keys()
            if self.into.ways.get(zone) != into.ways.get(zone) or self.egresses != egresses
        }
        turned = self.place.silent ^ place.silent
        zones |= {z for z, ways_in in into.ways.items() if not turned.isdisjoint(ways_in)}
        found, was_at = self._found, self.place
        same = (was_at.zone, was_at.resolved, was_at.affinity)
        if same != (place.zone, place.resolved, place.affinity):
            found = {n: _Found(known.service, HashTrieMap(), ()) for n, known in found.items()}
            touched = set(reals.by_key)
        if zones:
            touched.update(key for key, real in reals.by_key.items() if real.zone in zones)
        if self.outlets != outlets:
            touched.update(key for key in reals.by_key if key.type == EXTERNAL)
        keys = self.reals.holding(touched | differing) | reals.holding(touched | differing)
        ends = [real for key in keys for real in (self.reals.get(key), reals.get(key)) if real]
        names = {name for real in ends for name in real.names} | {key.type for key in differing}
        after = RealServices(place, reals, chosen, into, egresses, outlets, found)
        return after, frozenset(names)

    def _chosen(
        self, reals: Reals, dataplanes: Iterable[Difference], place: Place
    ) -> tuple[HashTrieMap[ResourceKey, Instances], set[ResourceKey]]:
        """Who is selected after Dataplanes have changed, and by whom they are or were."""
        chosen, touched = self.chosen, set[ResourceKey]()
        for before, after in dataplanes:
            for key in reals.selecting(before) | reals.selecting(after):
                real, held = reals.by_key[key], chosen.get(key, NOBODY)
                was = before is not None and before.key in held
                if after is not None and _takes(real, after, place):
                    held = held.insert(after.key, (after, after.key not in place.absent))
                elif was and before is not None:
                    held = held.discard(before.key)
                else:
                    continue
                touched.add(key)
                chosen = chosen.insert(key, held) if len(held) else chosen.discard(key)
        return chosen, touched


def _chooses(real: Real) -> tuple[object, ...]:
    return real.selector, real.zone


def _takes(real: Real, dataplane: MeshResource, place: Place) -> bool:
    local = real.is_local(place.zone) and is_local(dataplane, place.zone)
    return local and isinstance(dataplane.spec, DataplaneSpec) and selected(real, dataplane)


def _selects(real: Real, everybody: Everybody, place: Place) -> Instances:
    if real.selector is None or not real.is_local(place.zone):
        return NOBODY
    by_service, dataplanes = everybody
    named = selected_services(real)
    if named:
        may: Iterable[MeshResource] = [d for d, _ in by_service.get(named[0], NOBODY).values()]
    else:
        may = dataplanes
    found = (d for d in may if _takes(real, d, place))
    return HashTrieMap({d.key: (d, d.key not in place.absent) for d in found})


def ways_into(
    mesh: MeshResource,
    ingresses: Iterable[MeshResource],
    addresses: Iterable[MeshResource],
    place: Place,
) -> Ways:
    """Where each other zone is entered by the mesh's own addresses, else by the zone's ingresses.

    An ingress that offers nothing has gone or does not listen yet, while another one of its zone
    offers something; in a mesh that is Exclusive none need offer anything.
    """
    assert isinstance(mesh.spec, MeshSpec)
    if mesh.spec.mtls is None:
        return {}
    own: dict[str, set[Target]] = {}
    open_: dict[str, set[Target]] = {}
    idle: dict[str, set[Target]] = {}
    for at, zone in addressed(addresses, place):
        own.setdefault(zone, set()).add(at)
    for at, spec in advertised(ingresses, place):
        offering = open_ if spec.available_services else idle
        offering.setdefault(spec.zone, set()).add(at)
    exclusive = mesh.spec.mesh_services_mode == "Exclusive"
    found = {**(idle if exclusive else {}), **open_, **own}
    return {zone: tuple(sorted(targets)) for zone, targets in sorted(found.items())}
