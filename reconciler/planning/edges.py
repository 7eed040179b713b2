"""Traffic that opens or closes: which service may call which other, on either side of a change.
Pure.

An edge is a caller's service and the destinations its proxies have a way to: through an outbound,
or where routes send them. It is open where the destination has endpoints and its inbounds let the
caller in, and it is read from the very views that proxies are configured by.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from reconciler.destination import ROUTE_KIND, destination
from reconciler.egress_outside import outside
from reconciler.locality import is_called
from reconciler.match import service_of
from reconciler.model.resource import SERVICE, canonical_json
from reconciler.outward import named_by
from reconciler.planning.effect import representatives
from reconciler.policies.mesh_traffic_permission import POLICY, Rbac, allows
from reconciler.registration import identity_uris
from reconciler.topology import by_egress
from xds.view import ExternalCluster, InboundListener

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from reconciler.destination import Cluster, Destination
    from reconciler.model.resource import MeshResource, ResourceKey
    from reconciler.model.spec import Tags
    from reconciler.planning.effect import Views
    from reconciler.planning.fleet import Group, ZoneFleet
    from reconciler.planning.worlds import ZoneWorld
    from reconciler.view import ViewResult


class Way(StrEnum):
    """What becomes of a call. The order is from open to shut."""

    OPEN = "open"  # with mTLS, and let in
    PLAIN = "open, without mTLS"
    PARTLY = "open for some"  # of the caller's proxies, or to some of the instances
    DENIED = "denied"
    NO_ENDPOINT = "no endpoint"
    NONE = "no route"

    @property
    def is_open(self) -> bool:
        """For anybody."""
        return self in (Way.OPEN, Way.PLAIN, Way.PARTLY)


_ORDER = {way: index for index, way in enumerate(Way)}


@dataclass(frozen=True, slots=True, order=True)
class Edge:
    """From a service's proxies in a zone to a destination's instances in a zone."""

    mesh: str
    caller: str
    caller_zone: str
    service: str
    subset: Tags
    zone: str

    @property
    def route(self) -> tuple[object, ...]:
        """What its caller asks for, wherever that is."""
        return self.mesh, self.caller, self.caller_zone, self.service, self.subset

    @property
    def call(self) -> tuple[str, ...]:
        """Whichever part of the service it is to."""
        return self.mesh, self.caller, self.caller_zone, self.service, self.zone


@dataclass(frozen=True, slots=True)
class State:
    """`origins`: the policies that decide, by their keys in the zone of the destination; the routes
    that lead where no endpoint is. `shut`: calls that end in nothing, each as whoever calls and the
    tags of what is called.
    """

    way: Way = Way.NONE
    origins: tuple[ResourceKey, ...] = ()
    shut: frozenset[tuple[object, Tags]] = frozenset()

    def beside(self, other: State) -> State:
        """Of one edge, what some of its calls find, and others."""
        ways = {self.way, other.way}
        one, two = (self, other) if _ORDER[self.way] <= _ORDER[other.way] else (other, self)
        if len({way.is_open for way in ways}) == 1 and Way.PARTLY not in ways:
            return State(one.way, one.origins, one.shut | two.shut)
        origins = tuple(dict.fromkeys((*one.origins, *two.origins)))
        return State(Way.PARTLY, origins, one.shut | two.shut)


@dataclass(frozen=True, slots=True)
class EdgeChange:
    """`pairs`: in which zones, (of the caller, of the destination). Where it is open for some, on
    either side, it may do both: let in callers that were shut out, and shut out others.
    """

    mesh: str
    caller: str
    service: str
    subset: Tags
    before: Way
    after: Way
    pairs: tuple[tuple[str, str], ...]
    origins: tuple[ResourceKey, ...] = ()
    opens: bool = False
    closes: bool = False


Side = tuple[tuple["ZoneFleet", "ZoneWorld", "Mapping[ResourceKey, ViewResult | None]"], ...]


def edges(
    zones: Iterable[tuple[ZoneFleet, tuple[ZoneWorld, ZoneWorld], Views]],
) -> tuple[dict[Edge, State], dict[Edge, State]]:
    """Of both sides."""
    listed = tuple(zones)
    before = _edges(tuple((f, worlds[0], views.before) for f, worlds, views in listed))
    after = _edges(tuple((f, worlds[1], views.after) for f, worlds, views in listed))
    return before, after


def edge_changes(
    before: Mapping[Edge, State], after: Mapping[Edge, State]
) -> tuple[EdgeChange, ...]:
    found: dict[EdgeChange, list[tuple[Edge, State]]] = {}
    routed = _routed(before), _routed(after)
    called = _called(before), _called(after)
    for edge in sorted(before.keys() | after.keys()):
        was, now = (
            side.get(edge, State(Way.NO_ENDPOINT if edge.route in there else Way.NONE))
            for side, there in zip((before, after), routed, strict=True)
        )
        opens = now.way.is_open and (not was.way.is_open or not was.shut <= now.shut)
        closes = was.way.is_open and (not now.way.is_open or not now.shut <= was.shut)
        # Another part of a service, or all of it, instead of a part: its callers are the same.
        opens = opens and not (was.way is Way.NONE and edge.call in called[0])
        closes = closes and not (now.way is Way.NONE and edge.call in called[1])
        if opens or closes or (was.way is not now.way and (was.way.is_open or now.way.is_open)):
            change = EdgeChange(
                edge.mesh, edge.caller, edge.service, edge.subset, was.way, now.way, (), (),
                opens, closes,
            )  # fmt: skip
            found.setdefault(change, []).append((edge, now if now.origins else was))
    changes = []
    for change, group in found.items():
        pairs = tuple(sorted({(edge.caller_zone, edge.zone) for edge, _ in group}))
        origins = tuple(dict.fromkeys(key for _, state in group for key in state.origins))
        changes.append(replace(change, pairs=pairs, origins=origins))
    return tuple(sorted(changes, key=lambda c: (c.mesh, c.caller, c.service, c.subset, c.before)))


def _routed(side: Iterable[Edge]) -> frozenset[tuple[object, ...]]:
    return frozenset(edge.route for edge in side)


def _called(side: Mapping[Edge, State]) -> frozenset[tuple[str, ...]]:
    """Where every part of a service is open that its callers' routes lead to."""
    shut = {edge.route[:4] for edge, state in side.items() if state.shut}
    return frozenset(edge.call for edge in side if edge.route[:4] not in shut)


def _edges(side: Side) -> dict[Edge, State]:
    doors = _doors(side)
    found: dict[Edge, State] = {}
    for fleet, world, views in side:
        for group in fleet.groups:
            for proxy in representatives(group):
                result = views.get(proxy.key)
                if result is not None:
                    _add(found, group, proxy, world, doors)
    return found


@dataclass(frozen=True, slots=True)
class _Door:
    """An inbound of a destination: its tags, and whom it lets in with mTLS; None: everybody."""

    zone: str
    tags: Tags
    rbac: Rbac | None
    origins: tuple[ResourceKey, ...]


def _doors(side: Side) -> dict[tuple[str, str], list[_Door]]:
    """By mesh and service. Of equal ones one is enough."""
    found: dict[tuple[str, str], dict[object, _Door]] = {}
    for fleet, world, views in side:
        for mesh, door in _ways_out(world):
            held = found.setdefault((mesh, service_of(door.tags)), {})
            held.setdefault((door.zone, door.tags, door.rbac), door)
        for group in fleet.groups:
            for proxy in representatives(group):
                result = views.get(proxy.key)
                if result is None:
                    continue
                for listener in result.view.own.listeners:
                    if isinstance(listener, InboundListener):
                        door = _door(fleet.zone, listener, result)
                        held = found.setdefault((group.mesh, service_of(door.tags)), {})
                        held.setdefault((door.zone, door.tags, door.rbac), door)
    return {place: list(doors.values()) for place, doors in found.items()}


def _ways_out(world: ZoneWorld) -> Iterator[tuple[str, _Door]]:
    """Of the meshes whose calls leave by egresses: who may call what is outside of them."""
    for mesh in by_egress(world.state):
        context = world.context(mesh)
        for chain in outside(context, {}).chains if context is not None else ():
            external = context.topology.externals.get(chain.service) if context else None
            confs = [a.conf for a in chain.applied if isinstance(a.conf, Rbac)]
            for tags in external.offers if external is not None else ():
                yield from ((mesh, _Door(world.zone, tags, rbac, ())) for rbac in confs)


def _door(zone: str, listener: InboundListener, result: ViewResult) -> _Door:
    confs = [a.conf for a in listener.applied if a.hooks.policy == POLICY.slug]
    rbac = next((conf for conf in confs if isinstance(conf, Rbac)), None)
    origins = next(
        (keys for (_, name), keys in result.origins.items() if name == listener.name), ()
    )
    permissions = tuple(key for key in origins if key.type == POLICY.kind)
    return _Door(zone, listener.tags, rbac, permissions)


def _add(
    found: dict[Edge, State],
    group: Group,
    proxy: MeshResource,
    world: ZoneWorld,
    doors: Mapping[tuple[str, str], list[_Door]],
) -> None:
    uris = identity_uris(proxy)
    for cluster, routes in _clusters(world, proxy):
        service = service_of(cluster.tags)
        subset = tuple(pair for pair in cluster.tags if pair[0] != SERVICE)
        for zone, state in _states(world, group.mesh, cluster, uris, doors):
            if state.way is Way.NO_ENDPOINT:
                state = replace(state, origins=routes)
            for caller in group.services:
                edge = Edge(group.mesh, caller, group.zone, service, subset, zone)
                known = found.get(edge)
                found[edge] = state if known is None else known.beside(state)


def _clusters(
    world: ZoneWorld, proxy: MeshResource
) -> Iterator[tuple[Cluster, tuple[ResourceKey, ...]]]:
    """Every one its outbounds and their routes lead to, and whose routes send calls there."""
    context = world.context(proxy.key.mesh)
    held = world.state.get(proxy.key)
    if context is None or held is None:
        return
    ways = context.selected(held).ways
    for outbound in ways.outbounds_in(context):
        tags = named_by(context, outbound.destination)
        if tags is None:
            continue
        found = destination(context, tags, ways.callers)
        sent = {weighted.name for route in found.routes for weighted in route.clusters}
        for cluster in found.clusters:  # what is mirrored has nobody who waits for it
            is_routed = cluster.tags != tags and cluster.cluster.name in sent
            yield cluster, _routes(world, found, cluster) if is_routed else ()


def _routes(world: ZoneWorld, found: Destination, cluster: Cluster) -> tuple[ResourceKey, ...]:
    """Those that name its service; all of them where it is chosen by labels."""
    routes = tuple(key for key in found.origins if key.type == ROUTE_KIND)
    name = canonical_json(service_of(cluster.tags))
    return tuple(key for key in routes if name in world.state.by_key[key].body) or routes


def _states(
    world: ZoneWorld,
    mesh: str,
    cluster: Cluster,
    uris: tuple[str, ...],
    doors: Mapping[tuple[str, str], list[_Door]],
) -> Iterator[tuple[str, State]]:
    """By zone of the destination."""
    context = world.context(mesh)
    assert context is not None
    service = service_of(cluster.tags)
    if isinstance(cluster.cluster, ExternalCluster):  # It leaves the mesh where it begins.
        way = Way.PLAIN if cluster.cluster.endpoints else Way.NO_ENDPOINT
        yield world.zone, State(way, (), _shut(way, uris, cluster.tags))
        return
    endpoints = context.service(service).subset(cluster.tags)
    reached = {e.zone or world.zone for e in endpoints if is_called(e, cluster.wanted)}
    if not reached:
        way = Way.NO_ENDPOINT
        yield world.zone, State(way, (), _shut(way, uris, cluster.tags))
        return
    wanted = set(cluster.tags)
    tls = cluster.cluster.tls
    by_zone: dict[str, State] = {}
    for door in doors.get((mesh, service), ()):
        if door.zone not in reached or not wanted <= set(door.tags):
            continue
        way = _way(door, uris, tls.sni if tls is not None else None)
        state = State(way, door.origins, _shut(way, uris, door.tags))
        known = by_zone.get(door.zone)
        by_zone[door.zone] = state if known is None else known.beside(state)
    # Of a zone that tells of no proxies it is known only that it offers the service.
    yield from {**dict.fromkeys(sorted(reached), State(Way.OPEN)), **by_zone}.items()


def _shut(way: Way, uris: tuple[str, ...], tags: Tags) -> frozenset[tuple[object, Tags]]:
    return frozenset() if way.is_open else frozenset(((uris, tags),))


def _way(door: _Door, uris: tuple[str, ...], sni: str | None) -> Way:
    if sni is None:
        return Way.PLAIN
    if door.rbac is not None and not allows(door.rbac.permission, uris, sni):
        return Way.DENIED
    return Way.OPEN
