"""One mesh as its proxies' views need it: indexes made once, results shared by all proxies. Pure.

A `MeshContext` is made for each state of a mesh. What is expensive is computed on first use and
kept under exactly what it depends on: a destination under its tags and the policies that concern
it, an inbound's conf under the policies that select it. So a thousand proxies of one service share
the same values, and equal views are found equal by identity. A context made from a `previous` one
keeps what the change did not touch; it gives the same views as one made from nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from reconciler.match import PolicyIndex, Selection, service_of
from reconciler.model.resource import MeshResource, ResourceKey
from reconciler.model.spec import MeshSpec, Tags
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
from reconciler.rules import Conf, Entry, route_conf, to_conf, to_entries
from reconciler.topology import (
    Place,
    Service,
    Topology,
    merged_by_address,
    resolver,
    sidecar_topology,
)
from xds import names
from xds.view import (
    Applied,
    EdsCluster,
    Endpoints,
    Protocol,
    Route,
    UpstreamTls,
    WeightedCluster,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from reconciler.policies.effect import Effect
    from reconciler.policies.mesh_http_route import BackendRef, RouteRules
    from reconciler.state import MeshState

ROUTE_KIND = mesh_http_route.POLICY.kind
MERGE = {policy.kind: policy.merge for policy in POLICIES}
CACHED_MAX = 20_000  # entries per kind of result; beyond, all are computed anew

Origin = tuple[ResourceKey, ...]


@dataclass(frozen=True, slots=True)
class Selected:
    """The policies that select one Dataplane, by kind.

    `to_keys`: those with `to` items, all that a destination depends on beside its tags.
    """

    by_kind: Mapping[str, tuple[Selection, ...]]
    to_keys: Origin

    @classmethod
    def of(cls, by_kind: Mapping[str, tuple[Selection, ...]]) -> Selected:
        return cls(by_kind, tuple(s.policy.key for f in by_kind.values() for s in f if s.spec.to))


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


@dataclass(slots=True)
class _Cached:
    """Results by what they depend on; filled as proxies ask."""

    selected: dict[ResourceKey, tuple[MeshResource, Selected]] = field(default_factory=dict)
    inbound: dict[tuple[str, Origin], Conf | None] = field(default_factory=dict)
    to: dict[tuple[str, Origin], tuple[Entry, ...]] = field(default_factory=dict)
    clusters: dict[tuple[Tags, Origin], Cluster] = field(default_factory=dict)
    destinations: dict[tuple[Tags, Origin], Destination] = field(default_factory=dict)
    endpoints: dict[Tags, Endpoints] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class MeshContext:
    """Shared by all proxies of a mesh; see `mesh_context`."""

    mesh: MeshResource
    place: Place
    policies: tuple[MeshResource, ...]
    services: tuple[MeshResource, ...]  # MeshService resources, for references by labels
    index: Mapping[str, PolicyIndex]
    topology: Topology
    cached: _Cached

    @property
    def name(self) -> str:
        return self.mesh.key.name

    @property
    def spec(self) -> MeshSpec:
        assert isinstance(self.mesh.spec, MeshSpec)
        return self.mesh.spec

    def resolve(self, address: str) -> str | None:
        """An address passes, a name becomes its address; None while it has none."""
        return resolver(self.place.resolved)(address)

    def selected(self, dataplane: MeshResource) -> Selected:
        """The policies of every kind that select a Dataplane."""
        known = self.cached.selected.get(dataplane.key)
        if known is not None and known[0] is dataplane:
            return known[1]
        found = Selected.of({p.kind: self.index[p.kind].select(dataplane) for p in POLICIES})
        _keep(self.cached.selected, dataplane.key, (dataplane, found))
        return found

    def inbound_conf(
        self, effect: Effect, selections: tuple[Selection, ...], inbound: int
    ) -> Conf | None:
        """What a kind's policies say for one inbound; `selections` are those that select it."""
        assert effect.inbound_conf is not None
        key = (effect.kind, tuple(s.policy.key for s in selections))
        if key not in self.cached.inbound:
            conf = effect.inbound_conf(selections, inbound, self.name)
            _keep(self.cached.inbound, key, conf)
        return self.cached.inbound[key]

    def destination(self, tags: Tags, selected: Selected) -> Destination:
        key = (tags, selected.to_keys)
        found = self.cached.destinations.get(key)
        if found is None:
            found = _destination(self, tags, selected)
            _keep(self.cached.destinations, key, found)
        return found

    def cluster(self, tags: Tags, selected: Selected) -> Cluster:
        key = (tags, selected.to_keys)
        found = self.cached.clusters.get(key)
        if found is None:
            found = _cluster(self, tags, selected)
            _keep(self.cached.clusters, key, found)
        return found

    def endpoints(self, tags: Tags) -> Endpoints:
        found = self.cached.endpoints.get(tags)
        if found is None:
            service = self.topology.service(service_of(tags))
            found = Endpoints(names.cluster_name(tags), merged_by_address(service.subset(tags)))
            _keep(self.cached.endpoints, tags, found)
        return found

    def entries(self, kind: str, selected: Selected) -> tuple[Entry, ...]:
        """The `to` items of a kind's policies, in ascending precedence."""
        selections = selected.by_kind[kind]
        key = (kind, tuple(s.policy.key for s in selections))
        if key not in self.cached.to:
            stamp = _with_origin if kind == ROUTE_KIND else _as_is
            _keep(self.cached.to, key, tuple(map(stamp, to_entries(selections))))
        return self.cached.to[key]

    def labelled(self, ref: ServiceRef) -> frozenset[str]:
        """Service names of the MeshService resources that a reference by labels selects."""
        return frozenset(
            name
            for service in self.services
            if service.key.type == ref.kind and service.labels.contain(ref.labels)
            for name in (service.key.name, service.display_name)
        )


def mesh_context(
    state: MeshState,
    mesh: str,
    zone: str,
    absent: frozenset[ResourceKey],
    resolved: Mapping[str, str],
    previous: MeshContext | None = None,
) -> MeshContext:
    """Raises KeyError when the state does not hold the mesh.

    `previous`: an older context of the same mesh, to reuse what has not changed.
    """
    found = state.get(ResourceKey("Mesh", "", mesh))
    if found is None:
        raise KeyError(mesh)
    by_type = _by_type(state, mesh)
    policies = tuple(r for policy in POLICIES for r in by_type.get(policy.kind, ()))
    place = Place(zone, absent, resolved)
    context = MeshContext(
        mesh=found,
        place=place,
        policies=policies,
        services=tuple(by_type.get("MeshService", ())),
        index={p.kind: PolicyIndex.of(by_type.get(p.kind, ())) for p in POLICIES},
        topology=sidecar_topology(
            found, by_type.get("Dataplane", ()), by_type.get("ZoneIngress", ()), place
        ),
        cached=_Cached(),
    )
    return _reusing(context, previous) if previous is not None else context


def _by_type(state: MeshState, mesh: str) -> Mapping[str, list[MeshResource]]:
    """The resources of a mesh and the global ones, sorted, in one pass over the state."""
    found: dict[str, list[MeshResource]] = {}
    for key, resource in state.by_key.items():
        if key.mesh in ("", mesh):
            found.setdefault(key.type, []).append(resource)
    for resources in found.values():
        resources.sort(key=lambda r: r.key)
    return found


def _reusing(context: MeshContext, previous: MeshContext) -> MeshContext:
    """Keep the results whose every input is the same as before."""
    before, after = previous.topology.services, context.topology.services
    endpoints = {
        tags: kept
        for tags, kept in previous.cached.endpoints.items()
        if before.get(service_of(tags)) == after.get(service_of(tags))
    }
    cached = _Cached(endpoints=endpoints)
    same = (context.mesh, context.policies, context.services) == (
        previous.mesh,
        previous.policies,
        previous.services,
    )
    if same:
        cached.selected, cached.inbound = previous.cached.selected, previous.cached.inbound
        cached.to = previous.cached.to
        if _protocols(before) == _protocols(after):
            cached.clusters = previous.cached.clusters
            cached.destinations = previous.cached.destinations
    return replace(context, cached=cached)


def _protocols(services: Mapping[str, Service]) -> dict[str, Protocol]:
    return {n: s.protocol for n, s in services.items() if s.protocol is not None}


def _keep(results: dict[Any, Any], key: object, value: object) -> None:
    if len(results) >= CACHED_MAX:
        results.clear()
    results[key] = value


def _as_is(entry: Entry) -> Entry:
    return entry


def _with_origin(entry: Entry) -> Entry:
    rules: RouteRules = entry.item.conf  # type: ignore[assignment]
    stamped = tuple(replace(rule, origin=entry.policy.key) for rule in rules)
    return Entry(entry.policy, replace(entry.item, conf=stamped))


# --- towards one destination ---


def _cluster(context: MeshContext, tags: Tags, selected: Selected) -> Cluster:
    service = service_of(tags)
    protocol = context.topology.service(service).protocol or Protocol.TCP
    applied, origins = _applied(context, tags, selected, http=protocol.is_http)
    cluster = EdsCluster(
        name=names.cluster_name(tags),
        protocol=protocol,
        tls=_upstream_tls(context, tags, service),
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


def _applied(
    context: MeshContext, tags: Tags, selected: Selected, *, http: bool
) -> tuple[tuple[Applied, ...], Origin]:
    """What every kind does towards a destination, and the policies it comes from."""
    applied: list[Applied] = []
    origins: list[ResourceKey] = []
    for effect in EFFECTS:
        if effect.on_outbound is None:
            continue
        entries = context.entries(effect.kind, selected)
        conf = to_conf(entries, tags, MERGE[effect.kind], context.labelled)
        if conf is not None:
            applied.append(Applied(effect.hooks, effect.on_outbound(conf.value, http)))
            origins += conf.origins
    return tuple(applied), tuple(origins)


def cluster_applied(applied: tuple[Applied, ...]) -> tuple[Applied, ...]:
    """Those that change clusters; the others would only split shared values."""
    return tuple(a for a in applied if a.hooks.on_cluster or a.hooks.on_protocol_options)


def _destination(context: MeshContext, tags: Tags, selected: Selected) -> Destination:
    service = context.topology.service(service_of(tags))
    rules = to_conf(
        context.entries(ROUTE_KIND, selected), tags, MERGE[ROUTE_KIND], context.labelled
    )
    protocol = service.protocol
    if protocol is None:
        # Nobody has ever declared the service. Where routes are made for it, it must be HTTP.
        protocol = Protocol.HTTP if rules is not None else Protocol.TCP
    http = protocol.is_http
    applied, origins = _applied(context, tags, selected, http=http)
    in_force = rules.value if rules is not None and http else ()
    planned = planned_routes(in_force, tags, lambda ref: _backend_tags(context, ref))
    clusters = [context.cluster(each, selected) for each in _targets(planned)]
    return Destination(
        protocol=protocol,
        routes=tuple(_route(context, route, selected, applied, http) for route in planned),
        clusters=tuple(sorted(clusters, key=lambda c: c.cluster.name)),
        applied=applied,
        origins=tuple(dict.fromkeys((*(rules.origins if rules and http else ()), *origins))),
    )


def _targets(planned: Iterable[PlannedRoute]) -> Iterator[Tags]:
    """Every destination the routes use, each once."""
    seen: dict[Tags, None] = {}
    for route in planned:
        seen.update(dict.fromkeys(split.tags for split in route.splits))
        seen.update(dict.fromkeys(f.tags for f in route.filters if isinstance(f, PlannedMirror)))
    return iter(seen)


def _route(
    context: MeshContext,
    planned: PlannedRoute,
    selected: Selected,
    applied: tuple[Applied, ...],
    http: bool,
) -> Route:
    return Route(
        name=route_name(planned.match),
        match=planned.match,
        clusters=tuple(
            WeightedCluster(names.cluster_name(split.tags), split.weight)
            for split in planned.splits
        ),
        filters=mirrored(planned, names.cluster_name),
        applied=_route_applied(context, planned.origin, selected, applied, http),
    )


def _route_applied(
    context: MeshContext,
    origin: ResourceKey | None,
    selected: Selected,
    applied: tuple[Applied, ...],
    http: bool,
) -> tuple[Applied, ...]:
    """As towards the destination, unless a policy points at the MeshHTTPRoute itself."""
    resource = next((p for p in context.policies if p.key == origin), None) if origin else None
    if resource is None:
        return applied
    result = []
    by_kind = {a.hooks.policy: a for a in applied}
    for effect in EFFECTS:
        if effect.on_outbound is None:
            continue
        entries = context.entries(effect.kind, selected)
        conf = route_conf(entries, resource, MERGE[effect.kind])
        if conf is not None:
            result.append(Applied(effect.hooks, effect.on_outbound(conf.value, http)))
        elif effect.hooks.policy in by_kind:
            result.append(by_kind[effect.hooks.policy])
    return tuple(result)


def _backend_tags(context: MeshContext, ref: BackendRef) -> Tags | None:
    """None: a kind we do not serve yet, an unknown resource, a service that is not HTTP, or a name
    that would lead to the proxy itself.
    """
    if ref.kind not in ("MeshService", "MeshServiceSubset"):
        return None
    name = ref.name or _only(context.labelled(ServiceRef(ref.kind, labels=ref.labels)))
    if not name or names.is_own_cluster(name):
        return None
    protocol = context.topology.service(name).protocol
    if protocol is not None and not protocol.is_http:
        return None
    return tuple(sorted((*service_tags(name), *ref.tags.pairs)))


def _only(names_: frozenset[str]) -> str:
    return min(names_, default="")
