"""What a proxy needs for one destination: its clusters, routes, and what policies do there. Pure.

A result is kept beside what it was computed from (`Reads`), and used again as long as that is the
same: the policies that may concern the destination, and the protocols of the services it leads to.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cache
from itertools import chain
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from weakref import WeakValueDictionary

from reconciler.locality import Preferences, preferences
from reconciler.match import (
    EMPTY,
    Ranked,
    Shelf,
    selections,
    service_of,
    towards,
    towards_real,
    towards_route,
)
from reconciler.model.resource import MeshResource, ResourceKey
from reconciler.model.spec import RefDestination
from reconciler.model.targetref import ServiceRef
from reconciler.policies import POLICIES, mesh_http_route
from reconciler.policies.hooks import EFFECTS
from reconciler.real import EXTERNAL, MESH_SERVICE, MULTI_ZONE
from reconciler.routes import (
    PlannedMirror,
    PlannedRoute,
    mirrored,
    planned_routes,
    route_name,
    service_tags,
)
from reconciler.rules import Entry, real_conf, route_conf, to_conf, to_entries
from xds import names
from xds.hooks import Applied, Hooks
from xds.route import Route, WeightedCluster
from xds.view import EdsCluster, ExternalCluster, OutboundListener, Protocol, UpstreamTls

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence

    from reconciler.context import MeshContext
    from reconciler.external import External, OutsideSecret
    from reconciler.model.spec import Outbound, Tags
    from reconciler.policies.mesh_http_route import BackendRef, RouteRules
    from reconciler.real import RealDestination, Reals
    from reconciler.rules import Conf

ROUTE_KIND = mesh_http_route.POLICY.kind
MERGE = {policy.kind: policy.merge for policy in POLICIES}

PLACES_MAX = 1_024  # listeners that a destination keeps

Origin = tuple[ResourceKey, ...]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Cluster:
    """`secrets`: of a service outside of the mesh that proxies reach by themselves."""

    cluster: EdsCluster | ExternalCluster
    tags: Tags
    origins: Origin
    wanted: Preferences | None = None  # which of its endpoints, and in what order
    secrets: tuple[OutsideSecret, ...] = ()


@dataclass(frozen=True, slots=True)
class Destination:
    """What an outbound to one destination needs, whichever proxy and port it is on."""

    protocol: Protocol
    routes: tuple[Route, ...]
    clusters: tuple[Cluster, ...]
    applied: tuple[Applied, ...]
    origins: Origin  # of the listener
    services: frozenset[str]  # all whose protocol or endpoints it depends on
    _listeners: dict[tuple[str, int, bool], OutboundListener] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )  # by address and port: most proxies have a destination at the same place

    def listener(
        self, outbound: Outbound, tags: Tags, *, captured: bool = False
    ) -> OutboundListener:
        """The application's way to it; `tags` are the destination's own."""
        place = outbound.address, outbound.port, captured
        found = self._listeners.get(place)
        if found is None:
            if len(self._listeners) >= PLACES_MAX:
                self._listeners.clear()
            found = self._listeners[place] = OutboundListener(
                name=names.outbound_listener_name(outbound.address, outbound.port),
                address=outbound.address,
                port=outbound.port,
                protocol=self.protocol,
                service=service_of(tags),
                tags=tags,
                routes=self.routes,
                applied=self.applied,
                captured=captured,
            )
        return found


@dataclass(frozen=True, slots=True, eq=False)
class Reads:
    """What of a context a result was computed from: a thousand destinations have two each."""

    mesh: MeshResource
    shelves: dict[tuple[Shelf, ...], dict[str, Sequence[tuple[Ranked, ...]]]] = field(
        default_factory=dict
    )  # what stood on each, by kind
    protocols: dict[str, Protocol | None] = field(default_factory=dict)
    externals: dict[str, External | None] = field(default_factory=dict)
    destinations: dict[str, RealDestination | None] = field(default_factory=dict)  # by name
    searched: list[Reals] = field(default_factory=list)
    about: set[str] = field(default_factory=set)  # beside the services of `protocols`
    others: list[Reads] = field(default_factory=list)  # of results that it was computed from

    @property
    def services(self) -> frozenset[str]:
        """Names and kinds of which it is to hear."""
        return frozenset(self.protocols).union(self.about, *(each.services for each in self.others))

    def hold_in(self, context: MeshContext) -> bool:
        return (
            self.mesh is context.mesh
            and all(
                context.index[kind].at(shelf) is was
                for shelves, found in self.shelves.items()
                for kind, ranked in found.items()
                for shelf, was in zip(shelves, ranked, strict=True)
            )
            and all(context.service(n).protocol is p for n, p in self.protocols.items())
            and all(context.service(n).external is e for n, e in self.externals.items())
            and all(context.reals.destination(n) == was for n, was in self.destinations.items())
            and all(was is context.reals for was in self.searched)
            and all(other.hold_in(context) for other in self.others)
        )


@dataclass(slots=True, eq=False)
class Kept(Generic[T]):
    """`era`: of the last context in which the reads were found to hold."""

    value: T
    reads: Reads
    era: object


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Callers:
    """Proxies that go the same way to every destination: policies with `to` select them alike, and
    they have the same values of the tags that say how near an endpoint is (`near`).

    `own`: by kind, those that do not select their whole class. `example` is one of them.
    """

    example: MeshResource
    own: Mapping[str, tuple[Ranked, ...]]
    near: Tags = ()
    clusters: dict[Tags, Kept[Cluster]] = field(default_factory=dict)
    destinations: dict[Tags, Kept[Destination]] = field(default_factory=dict)
    ways: WeakValueDictionary[Hashable, Any] = field(
        default_factory=WeakValueDictionary
    )  # by exits; `outward` fills it


def destination(context: MeshContext, tags: Tags, callers: Callers) -> Destination:
    return kept(context, callers, callers.destinations, tags, _destination).value


@dataclass(frozen=True, slots=True, eq=False)
class Reader:
    """A context as one computation towards a destination sees it: what it reads is noted."""

    context: MeshContext
    callers: Callers
    reads: Reads

    def entries(self, kind: str, shelves: tuple[Shelf, ...]) -> tuple[Entry, ...]:
        """The `to` items of a kind's policies, in ascending precedence; more than concern the
        destination that the shelves are for, and all that do.
        """
        ranked = tuple(map(self.context.index[kind].at, shelves))
        self.reads.shelves.setdefault(shelves, {})[kind] = (
            ranked if any(ranked) else _nothing(len(shelves))
        )
        found = [*self.callers.own[kind], *chain.from_iterable(ranked)]
        entries = to_entries(selections(found, self.callers.example))
        return tuple(map(_with_origin, entries)) if kind == ROUTE_KIND else entries

    def protocol(self, service: str) -> Protocol | None:
        found = self.reads.protocols[service] = self.context.service(service).protocol
        return found

    def external(self, service: str) -> External | None:
        found = self.reads.externals[service] = self.context.service(service).external
        return found

    def real(self, tags: Tags) -> RealDestination | None:
        """None: a destination by tags."""
        name = service_of(tags)
        found = self.reads.destinations[name] = self.context.reals.destination(name)
        if found is not None:
            self.reads.about.add(found.real.display_name)
        return found

    def towards(self, tags: Tags) -> tuple[Shelf, ...]:
        to = self.real(tags)
        if to is None:
            return towards(tags)
        real = to.real
        return towards_real(real.key.type, real.display_name, real.namespace, to.port.port)

    def conf(self, kind: str, entries: Iterable[Entry], tags: Tags) -> Conf | None:
        """What a kind says of the destination."""
        to = self.real(tags)
        if to is not None:
            return real_conf(entries, to, MERGE[kind])
        return to_conf(entries, tags, MERGE[kind], self.labelled)

    def labelled(self, ref: ServiceRef) -> frozenset[str]:
        """Service names of the resources that a reference by labels selects."""
        found = self._searched(ref.kind).labelled(ref.kind, ref.labels)
        return frozenset(name for real in found for name in (real.key.name, real.display_name))

    def resolved(self, ref: RefDestination) -> str | None:
        return self._searched(ref.kind).resolved(ref, self.context.place.zone)

    def _searched(self, kind: str) -> Reals:
        self.reads.searched.append(self.context.reals)
        self.reads.about.add(kind)
        return self.context.reals

    def cluster(self, tags: Tags) -> Cluster:
        found = kept(self.context, self.callers, self.callers.clusters, tags, _cluster)
        self.reads.others.append(found.reads)
        return found.value


def kept(
    context: MeshContext,
    callers: Callers,
    results: dict[Tags, Kept[T]],
    tags: Tags,
    compute: Callable[[Reader, Tags], T],
) -> Kept[T]:
    known = results.get(tags)
    if known is not None and known.era is context.era:
        return known
    if known is not None and known.reads.hold_in(context):
        known.era = context.era
        return known
    reads = Reads(context.mesh)
    value = compute(Reader(context, callers, reads), tags)
    if known is not None and known.value == value:
        value = known.value
    found = results[tags] = Kept(value, reads, context.era)
    return found


@cache
def _nothing(shelves: int) -> tuple[tuple[Ranked, ...], ...]:
    """As most of them are."""
    return (EMPTY,) * shelves


def _with_origin(entry: Entry) -> Entry:
    rules: RouteRules = entry.item.conf  # type: ignore[assignment]
    stamped = tuple(replace(rule, origin=entry.policy.key) for rule in rules)
    return Entry(entry.policy, replace(entry.item, conf=stamped))


def _cluster(reader: Reader, tags: Tags) -> Cluster:
    protocol = reader.protocol(service_of(tags)) or Protocol.TCP
    towards_it = applied_towards(reader, tags, protocol, shapes_clusters)
    external = reader.external(service_of(tags))
    if external is not None and not reader.context.spec.by_egress:
        return _directly(reader.context, external.subset(tags), tags, towards_it)
    cluster = EdsCluster(
        name=names.cluster_name(tags),
        protocol=protocol,
        tls=_upstream_tls(reader, tags),
        detection=reader.context.detects,
        applied=cluster_applied(towards_it.applied),
    )
    return Cluster(cluster, tags, towards_it.origins, towards_it.wanted)


def _directly(context: MeshContext, external: External, tags: Tags, towards_it: Towards) -> Cluster:
    """Without egresses each proxy leaves the mesh by itself."""
    cluster = ExternalCluster(
        names.cluster_name(tags),
        external.protocol,
        external.endpoints,
        cluster_applied(towards_it.applied),
        detection=context.detection and len(external.endpoints) > 1,
    )
    return Cluster(cluster, tags, towards_it.origins, secrets=external.secrets)


def _upstream_tls(reader: Reader, tags: Tags) -> UpstreamTls | None:
    context, to = reader.context, reader.real(tags)
    if context.spec.mtls is None:
        return None
    mesh, service = context.name, service_of(tags)
    # What is outside of the mesh has no identity in it: its egress answers.
    known_as = names.EGRESS_SERVICE if reader.external(service) is not None else service
    return UpstreamTls(
        sni=to.hash_sni if to is not None else names.tag_sni(tags, mesh),
        san_uris=to.identities if to is not None else (names.spiffe_id(mesh, known_as),),
        identity_secret=names.identity_secret_name(mesh),
        ca_secret=names.ca_secret_name(mesh),
    )


shapes_clusters, _shapes_listeners = attrgetter("shape_clusters"), attrgetter("shape_listeners")


@dataclass(frozen=True, slots=True)
class Towards:
    """What every kind does towards a destination, and the policies it comes from."""

    applied: tuple[Applied, ...]
    origins: Origin
    wanted: Preferences | None


def applied_towards(
    reader: Reader, tags: Tags, protocol: Protocol, shapes: Callable[[Hooks], bool]
) -> Towards:
    """Of the kinds that shape clusters, or of those that shape listeners."""
    applied: list[Applied] = []
    origins: list[ResourceKey] = []
    wanted = None
    for effect in EFFECTS:
        if effect.on_outbound is None or not shapes(effect.hooks):
            continue
        entries = reader.entries(effect.kind, reader.towards(tags))
        conf = reader.conf(effect.kind, entries, tags)
        value = effect.on_outbound(conf.value, protocol) if conf is not None else None
        if conf is not None and value is not None:
            applied.append(Applied(effect.hooks, value))
            origins += conf.origins
        if conf is not None and effect.locality is not None:
            zone, near = reader.context.place.zone, reader.callers.near
            wanted = preferences(effect.locality(conf.value), zone, near)
    return Towards(tuple(applied), tuple(origins), wanted)


def cluster_applied(applied: Iterable[Applied]) -> tuple[Applied, ...]:
    """Those that change clusters; the others would only split shared values."""
    return tuple(
        [_narrowed(each, each.hooks.of_cluster) for each in applied if each.hooks.shape_clusters]
    )


def listener_applied(applied: Iterable[Applied]) -> tuple[Applied, ...]:
    """Those that change listeners and their routes."""
    return tuple(
        [_narrowed(each, each.hooks.of_listener) for each in applied if each.hooks.shape_listeners]
    )


def _narrowed(applied: Applied, read: Callable[[Any], Hashable] | None) -> Applied:
    return applied if read is None else Applied(applied.hooks, read(applied.conf))


def _destination(reader: Reader, tags: Tags) -> Destination:
    entries = reader.entries(ROUTE_KIND, reader.towards(tags))
    rules = reader.conf(ROUTE_KIND, entries, tags)
    protocol = reader.protocol(service_of(tags))
    if protocol is None:
        # Nobody has ever declared the service. Where routes are made for it, it must be HTTP.
        protocol = Protocol.HTTP if rules is not None else Protocol.TCP
    http = protocol.is_http
    towards_it = applied_towards(reader, tags, protocol, _shapes_listeners)
    applied, origins = listener_applied(towards_it.applied), towards_it.origins
    in_force = rules.value if rules is not None and http else ()
    all_planned = planned_routes(in_force, tags, lambda ref: _backend_tags(reader, ref))
    clusters = [reader.cluster(each) for each in _targets(all_planned)]
    outside = frozenset(c.tags for c in clusters if isinstance(c.cluster, ExternalCluster))
    from_: dict[ResourceKey | None, MeshResource] = {e.policy.key: e.policy for e in entries}
    return Destination(
        protocol=protocol,
        routes=tuple(
            _route(
                planned,
                _route_applied(reader, from_.get(planned.origin), applied, protocol),
                outside,
            )
            for planned in all_planned
        ),
        clusters=tuple(sorted(clusters, key=lambda c: c.cluster.name)),
        applied=applied,
        origins=tuple(dict.fromkeys((*(rules.origins if rules and http else ()), *origins))),
        services=reader.reads.services,
    )


def _targets(planned: Iterable[PlannedRoute]) -> Iterator[Tags]:
    """Every destination the routes use, each once."""
    seen: dict[Tags, None] = {}
    for route in planned:
        seen.update(dict.fromkeys(split.tags for split in route.splits))
        seen.update(dict.fromkeys(f.tags for f in route.filters if isinstance(f, PlannedMirror)))
    return iter(seen)


def _route(planned: PlannedRoute, applied: tuple[Applied, ...], outside: frozenset[Tags]) -> Route:
    """`outside`: destinations that know themselves by their own names."""
    return Route(
        name=route_name(planned.match),
        match=planned.match,
        clusters=tuple(
            WeightedCluster(names.cluster_name(split.tags), split.weight)
            for split in planned.splits
        ),
        filters=mirrored(planned, names.cluster_name),
        applied=applied,
        host_of_endpoint=any(split.tags in outside for split in planned.splits),
    )


def _route_applied(
    reader: Reader, resource: MeshResource | None, applied: tuple[Applied, ...], protocol: Protocol
) -> tuple[Applied, ...]:
    """As towards the destination, unless a policy points at the MeshHTTPRoute itself."""
    if resource is None:
        return applied
    result: list[Applied] = []
    by_kind = {a.hooks.policy: a for a in applied}
    for effect in EFFECTS:
        if effect.on_outbound is None or not effect.hooks.shape_listeners:
            continue
        entries = reader.entries(effect.kind, towards_route(resource))
        conf = route_conf(entries, resource, MERGE[effect.kind])
        if conf is not None:
            value = effect.on_outbound(conf.value, protocol)
            if value is not None:
                result += listener_applied((Applied(effect.hooks, value),))
        elif effect.hooks.policy in by_kind:
            result.append(by_kind[effect.hooks.policy])
    return tuple(result)


def _backend_tags(reader: Reader, ref: BackendRef) -> Tags | None:
    """None: an unknown resource, a service that is not HTTP, or a name that would lead to the proxy
    itself. A MeshService with a port is the resource, where there is one.
    """
    name = None
    if ref.port or ref.kind in (MULTI_ZONE, EXTERNAL):
        named = RefDestination(ref.kind, ref.name, ref.port, ref.labels.pairs)
        name = reader.resolved(named)
    if name is None and ref.kind in (MESH_SERVICE, "MeshServiceSubset"):
        name = ref.name or _only(reader.labelled(ServiceRef(ref.kind, labels=ref.labels)))
    if not name or names.is_own_cluster(name):
        return None
    protocol = reader.protocol(name)
    if protocol is not None and not protocol.is_http:
        return None
    return tuple(sorted((*service_tags(name), *ref.tags.pairs)))


def _only(names_: frozenset[str]) -> str:
    return min(names_, default="")
