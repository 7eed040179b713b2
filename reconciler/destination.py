"""What a proxy needs for one destination: its clusters, routes, and what policies do there. Pure.

A result is kept beside what it was computed from (`Reads`), and used again as long as that is the
same: the policies that may concern the destination, and the protocols of the services it leads to.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from operator import is_
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from weakref import WeakValueDictionary

from reconciler.match import Ranked, Shelf, selections, service_of, towards, towards_route
from reconciler.model.resource import MeshResource, ResourceKey
from reconciler.model.targetref import ServiceRef
from reconciler.policies import POLICIES, mesh_http_route
from reconciler.policies.hooks import EFFECTS
from reconciler.routes import (
    PlannedMirror,
    PlannedRoute,
    mirrored,
    planned_routes,
    route_name,
    service_tags,
)
from reconciler.rules import Entry, route_conf, to_conf, to_entries
from xds import names
from xds.resource import CLUSTER, LISTENER
from xds.view import (
    Applied,
    ClusterInput,
    EdsCluster,
    Endpoints,
    Half,
    ListenerInput,
    OutboundListener,
    Protocol,
    Route,
    UpstreamTls,
    WeightedCluster,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence

    from reconciler.collection import Collection
    from reconciler.context import MeshContext
    from reconciler.model.spec import Outbound, Tags
    from reconciler.policies.mesh_http_route import BackendRef, RouteRules

ROUTE_KIND = mesh_http_route.POLICY.kind
MERGE = {policy.kind: policy.merge for policy in POLICIES}

PLACES_MAX = 1_024  # listeners that a destination keeps

Origin = tuple[ResourceKey, ...]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Cluster:
    cluster: EdsCluster
    tags: Tags
    origins: Origin


@dataclass(frozen=True, slots=True)
class Destination:
    """What an outbound to one destination needs, whichever proxy and port it is on."""

    protocol: Protocol
    routes: tuple[Route, ...]
    clusters: tuple[Cluster, ...]
    applied: tuple[Applied, ...]
    origins: Origin  # of the listener
    services: frozenset[str]  # all whose protocol or endpoints it depends on
    _listeners: dict[tuple[str, int], OutboundListener] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )  # by address and port: most proxies have a destination at the same place

    def listener(self, outbound: Outbound, tags: Tags) -> OutboundListener:
        """The application's way to it; `tags` are the destination's own."""
        place = outbound.address, outbound.port
        found = self._listeners.get(place)
        if found is None:
            if len(self._listeners) >= PLACES_MAX:
                self._listeners.clear()
            found = self._listeners[place] = OutboundListener(
                name=names.outbound_listener_name(*place),
                address=outbound.address,
                port=outbound.port,
                protocol=self.protocol,
                service=service_of(tags),
                tags=tags,
                routes=self.routes,
                applied=self.applied,
            )
        return found


@dataclass(frozen=True, slots=True, eq=False)
class Reads:
    """What of a context a result was computed from."""

    mesh: MeshResource
    shelves: dict[tuple[str, Shelf], tuple[Ranked, ...]] = field(default_factory=dict)
    protocols: dict[str, Protocol | None] = field(default_factory=dict)
    services: list[Collection] = field(default_factory=list)

    def hold_in(self, context: MeshContext) -> bool:
        return (
            self.mesh is context.mesh
            and all(context.index[k].at(s) is was for (k, s), was in self.shelves.items())
            and all(context.topology.service(n).protocol is p for n, p in self.protocols.items())
            and all(was is context.services for was in self.services)
        )

    def add(self, other: Reads) -> None:
        self.shelves.update(other.shelves)
        self.protocols.update(other.protocols)
        self.services.extend(other.services)


@dataclass(slots=True, eq=False)
class Kept(Generic[T]):
    """`era`: of the last context in which the reads were found to hold."""

    value: T
    reads: Reads
    era: object


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Callers:
    """Proxies that go the same way to every destination: policies with `to` select them alike.

    `own`: by kind, those that do not select their whole class. `example` is one of them.
    """

    example: MeshResource
    own: Mapping[str, tuple[Ranked, ...]]
    clusters: dict[Tags, Kept[Cluster]] = field(default_factory=dict)
    destinations: dict[Tags, Kept[Destination]] = field(default_factory=dict)
    ways: WeakValueDictionary[Outbounds, Ways] = field(default_factory=WeakValueDictionary)

    def ways_of(self, outbounds: Outbounds) -> Ways:
        found = self.ways.get(outbounds)
        if found is None:
            found = self.ways[outbounds] = Ways(self, outbounds)
        return found


Outbounds = tuple[tuple["Outbound", "Tags"], ...]  # each with its destination


@dataclass(frozen=True, slots=True, eq=False)
class Outward:
    """What outbounds come to in one context: the outbound half of a view.

    Of the same callers' before it holds all that is the same as the same objects; where endpoints
    alone differ, that is all but they.
    """

    half: Half
    places: frozenset[tuple[str, int]]  # where it listens
    origins: dict[tuple[str, str], Origin]  # (type URL, xDS name)
    services: tuple[str, ...]  # that it depends on, and no others; sorted


@dataclass(slots=True, eq=False, weakref_slot=True)
class Ways:
    """What all proxies with these outbounds have in common that go the same ways; computed once in
    a context (`moment`), for the first of them that asks.
    """

    callers: Callers
    outbounds: Outbounds
    _moment: object = None
    _parts: tuple[_Part, ...] = ()  # of each outbound
    _found: Outward | None = None

    def at(self, context: MeshContext) -> Outward:
        found = self._found
        if found is not None and self._moment is context.moment:
            return found
        before, parts = self._parts, self._followed(context)
        if found is None or not _are(
            [p.destination for p in before], [p.destination for p in parts]
        ):
            found = _outward(self.outbounds, parts, found)
        elif not _are(before, parts):
            half = Half(found.half.clusters, _endpoints(parts), found.half.listeners)
            found = replace(found, half=half)
        self._moment, self._parts, self._found = context.moment, parts, found
        return found

    def _followed(self, context: MeshContext) -> tuple[_Part, ...]:
        """What depends on none of the services that differ, where they are known, is kept."""
        if self._found is None:
            return tuple([self._part(context, tags, None) for _, tags in self.outbounds])
        differing = context.since.get(self._moment)
        return tuple(
            [
                known
                if differing is not None and known.destination.services.isdisjoint(differing)
                else self._part(context, tags, known)
                for known, (_, tags) in zip(self._parts, self.outbounds, strict=True)
            ]
        )

    def _part(self, context: MeshContext, tags: Tags, known: _Part | None) -> _Part:
        found = destination(context, tags, self.callers)
        endpoints = tuple([context.endpoints(c.tags) for c in found.clusters])
        if known is not None and known.destination is found and _are(known.endpoints, endpoints):
            return known
        return _Part(found, endpoints)


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    destination: Destination
    endpoints: tuple[Endpoints, ...]


def _are(before: Sequence[object], after: Sequence[object]) -> bool:
    return len(before) == len(after) and all(map(is_, before, after))


def _endpoints(parts: Iterable[_Part]) -> tuple[Endpoints, ...]:
    """By the cluster's name; one that several destinations use is there once."""
    return by_name({each.cluster: each for part in parts for each in part.endpoints})


def _outward(outbounds: Outbounds, parts: Sequence[_Part], before: Outward | None) -> Outward:
    clusters: dict[str, ClusterInput] = {}
    listeners: dict[str, ListenerInput] = {}
    origins: dict[tuple[str, str], Origin] = {}
    destinations = [part.destination for part in parts]
    for (outbound, tags), each in zip(outbounds, destinations, strict=True):
        for cluster in each.clusters:
            clusters[cluster.cluster.name] = cluster.cluster
            if cluster.origins:
                origins[CLUSTER, cluster.cluster.name] = cluster.origins
        listener = each.listener(outbound, tags)
        listeners[listener.name] = listener
        if each.origins:
            origins[LISTENER, listener.name] = each.origins
    services = tuple(sorted(frozenset[str]().union(*[each.services for each in destinations])))
    places = frozenset((listener.address, listener.port) for listener in listeners.values())
    half = Half(by_name(clusters), _endpoints(parts), by_name(listeners))
    if before is not None:
        half = half.after(before.half)
    return Outward(half, places, origins, services)


def by_name(parts: Mapping[str, T]) -> tuple[T, ...]:
    """In the order of their names."""
    return tuple([parts[name] for name in sorted(parts)])


def destination(context: MeshContext, tags: Tags, callers: Callers) -> Destination:
    return _kept(context, callers, callers.destinations, tags, _destination).value


@dataclass(frozen=True, slots=True, eq=False)
class _Reader:
    """A context as one computation towards a destination sees it: what it reads is noted."""

    context: MeshContext
    callers: Callers
    reads: Reads

    def entries(self, kind: str, shelves: tuple[Shelf, ...]) -> tuple[Entry, ...]:
        """The `to` items of a kind's policies, in ascending precedence; more than concern the
        destination that the shelves are for, and all that do.
        """
        found = list(self.callers.own[kind])
        for shelf in shelves:
            ranked = self.reads.shelves[kind, shelf] = self.context.index[kind].at(shelf)
            found += ranked
        entries = to_entries(selections(found, self.callers.example))
        return tuple(map(_with_origin, entries)) if kind == ROUTE_KIND else entries

    def protocol(self, service: str) -> Protocol | None:
        found = self.reads.protocols[service] = self.context.topology.service(service).protocol
        return found

    def labelled(self, ref: ServiceRef) -> frozenset[str]:
        """Service names of the MeshService resources that a reference by labels selects."""
        self.reads.services.append(self.context.services)
        return frozenset(
            name
            for service in self.context.services
            if service.key.type == ref.kind and service.labels.contain(ref.labels)
            for name in (service.key.name, service.display_name)
        )

    def cluster(self, tags: Tags) -> Cluster:
        kept = _kept(self.context, self.callers, self.callers.clusters, tags, _cluster)
        self.reads.add(kept.reads)
        return kept.value


def _kept(
    context: MeshContext,
    callers: Callers,
    results: dict[Tags, Kept[T]],
    tags: Tags,
    compute: Callable[[_Reader, Tags], T],
) -> Kept[T]:
    known = results.get(tags)
    if known is not None and known.era is context.era:
        return known
    if known is not None and known.reads.hold_in(context):
        known.era = context.era
        return known
    reads = Reads(context.mesh)
    value = compute(_Reader(context, callers, reads), tags)
    if known is not None and known.value == value:
        value = known.value
    kept = results[tags] = Kept(value, reads, context.era)
    return kept


def _with_origin(entry: Entry) -> Entry:
    rules: RouteRules = entry.item.conf  # type: ignore[assignment]
    stamped = tuple(replace(rule, origin=entry.policy.key) for rule in rules)
    return Entry(entry.policy, replace(entry.item, conf=stamped))


def _cluster(reader: _Reader, tags: Tags) -> Cluster:
    service = service_of(tags)
    protocol = reader.protocol(service) or Protocol.TCP
    applied, origins = _applied(reader, tags, http=protocol.is_http)
    cluster = EdsCluster(
        name=names.cluster_name(tags),
        protocol=protocol,
        tls=_upstream_tls(reader.context, tags, service),
        detection=reader.context.detects,
        applied=cluster_applied(applied),
    )
    return Cluster(cluster, tags, origins)


def _upstream_tls(context: MeshContext, tags: Tags, service: str) -> UpstreamTls | None:
    if context.spec.mtls is None:
        return None
    mesh = context.name
    return UpstreamTls(
        sni=names.tag_sni(tags, mesh),
        san_uris=(names.spiffe_id(mesh, service),),
        identity_secret=names.identity_secret_name(mesh),
        ca_secret=names.ca_secret_name(mesh),
    )


def _applied(reader: _Reader, tags: Tags, *, http: bool) -> tuple[tuple[Applied, ...], Origin]:
    """What every kind does towards a destination, and the policies it comes from."""
    applied: list[Applied] = []
    origins: list[ResourceKey] = []
    for effect in EFFECTS:
        if effect.on_outbound is None:
            continue
        entries = reader.entries(effect.kind, towards(tags))
        conf = to_conf(entries, tags, MERGE[effect.kind], reader.labelled)
        if conf is not None:
            applied.append(Applied(effect.hooks, effect.on_outbound(conf.value, http)))
            origins += conf.origins
    return tuple(applied), tuple(origins)


def cluster_applied(applied: Iterable[Applied]) -> tuple[Applied, ...]:
    """Those that change clusters; the others would only split shared values."""
    return tuple(
        [
            _narrowed(each, each.hooks.of_cluster)
            for each in applied
            if each.hooks.on_cluster or each.hooks.on_protocol_options
        ]
    )


def listener_applied(applied: Iterable[Applied]) -> tuple[Applied, ...]:
    """What changes listeners and their routes."""
    return tuple([_narrowed(each, each.hooks.of_listener) for each in applied])


def _narrowed(applied: Applied, read: Callable[[Any], Hashable] | None) -> Applied:
    return applied if read is None else Applied(applied.hooks, read(applied.conf))


def _destination(reader: _Reader, tags: Tags) -> Destination:
    entries = reader.entries(ROUTE_KIND, towards(tags))
    rules = to_conf(entries, tags, MERGE[ROUTE_KIND], reader.labelled)
    protocol = reader.protocol(service_of(tags))
    if protocol is None:
        # Nobody has ever declared the service. Where routes are made for it, it must be HTTP.
        protocol = Protocol.HTTP if rules is not None else Protocol.TCP
    http = protocol.is_http
    found, origins = _applied(reader, tags, http=http)
    applied = listener_applied(found)
    in_force = rules.value if rules is not None and http else ()
    all_planned = planned_routes(in_force, tags, lambda ref: _backend_tags(reader, ref))
    clusters = [reader.cluster(each) for each in _targets(all_planned)]
    from_: dict[ResourceKey | None, MeshResource] = {e.policy.key: e.policy for e in entries}
    return Destination(
        protocol=protocol,
        routes=tuple(
            _route(planned, _route_applied(reader, from_.get(planned.origin), applied, http))
            for planned in all_planned
        ),
        clusters=tuple(sorted(clusters, key=lambda c: c.cluster.name)),
        applied=applied,
        origins=tuple(dict.fromkeys((*(rules.origins if rules and http else ()), *origins))),
        services=frozenset(reader.reads.protocols),
    )


def _targets(planned: Iterable[PlannedRoute]) -> Iterator[Tags]:
    """Every destination the routes use, each once."""
    seen: dict[Tags, None] = {}
    for route in planned:
        seen.update(dict.fromkeys(split.tags for split in route.splits))
        seen.update(dict.fromkeys(f.tags for f in route.filters if isinstance(f, PlannedMirror)))
    return iter(seen)


def _route(planned: PlannedRoute, applied: tuple[Applied, ...]) -> Route:
    return Route(
        name=route_name(planned.match),
        match=planned.match,
        clusters=tuple(
            WeightedCluster(names.cluster_name(split.tags), split.weight)
            for split in planned.splits
        ),
        filters=mirrored(planned, names.cluster_name),
        applied=applied,
    )


def _route_applied(
    reader: _Reader, resource: MeshResource | None, applied: tuple[Applied, ...], http: bool
) -> tuple[Applied, ...]:
    """As towards the destination, unless a policy points at the MeshHTTPRoute itself."""
    if resource is None:
        return applied
    result: list[Applied] = []
    by_kind = {a.hooks.policy: a for a in applied}
    for effect in EFFECTS:
        if effect.on_outbound is None:
            continue
        entries = reader.entries(effect.kind, towards_route(resource))
        conf = route_conf(entries, resource, MERGE[effect.kind])
        if conf is not None:
            found = Applied(effect.hooks, effect.on_outbound(conf.value, http))
            result += listener_applied((found,))
        elif effect.hooks.policy in by_kind:
            result.append(by_kind[effect.hooks.policy])
    return tuple(result)


def _backend_tags(reader: _Reader, ref: BackendRef) -> Tags | None:
    """None: a kind we do not serve yet, an unknown resource, a service that is not HTTP, or a name
    that would lead to the proxy itself.
    """
    if ref.kind not in ("MeshService", "MeshServiceSubset"):
        return None
    name = ref.name or _only(reader.labelled(ServiceRef(ref.kind, labels=ref.labels)))
    if not name or names.is_own_cluster(name):
        return None
    protocol = reader.protocol(name)
    if protocol is not None and not protocol.is_http:
        return None
    return tuple(sorted((*service_tags(name), *ref.tags.pairs)))


def _only(names_: frozenset[str]) -> str:
    return min(names_, default="")
