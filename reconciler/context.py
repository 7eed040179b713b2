"""One mesh as its proxies' views need it: indexes made once, results shared by all proxies. Pure.

A `MeshContext` is made for each state of a mesh, from the one before it: what is indexed follows
the change. What is expensive is computed on first use and kept beside what it was computed from: a
destination beside the policies that may concern it and the protocols it looked at, endpoints beside
their service. A result is used again as long as these are the same objects, so a change costs
nothing where it changes nothing, a thousand proxies share the same values, and equal views are
found equal by identity. A context made from a previous one gives the same views as one made from
nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from reconciler import differing, external
from reconciler.collection import EMPTY as NOTHING
from reconciler.collection import Collection, Difference, differences
from reconciler.destination import Callers
from reconciler.inbound import Hosts, about_inbounds
from reconciler.instances import Place, resolver
from reconciler.locality import assignment, values_of
from reconciler.match import (
    INBOUNDS,
    TOWARDS,
    PolicyIndex,
    Ranked,
    Selection,
    Shelf,
    asks_for_section,
    calling_class_of,
    class_of,
    is_effective,
    selections,
    service_of,
    shelves_of,
    tag_sets,
    wanted,
)
from reconciler.mesh_names import Given, MeshNames, no_names
from reconciler.model.resource import MeshResource, ResourceKey
from reconciler.model.spec import DataplaneSpec, MeshSpec, PolicySpec, Tags
from reconciler.outward import Exits, Reached, Ways, ways_of
from reconciler.policies import POLICIES
from reconciler.policies.hooks import EFFECTS
from reconciler.real import EXTERNAL, REAL_KINDS
from reconciler.real_services import RealServices
from reconciler.topology import Topology, egress_targets
from reconciler.vips.resolvable import Reach
from xds import names

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Iterator, Mapping

    from reconciler.differing import Differing
    from reconciler.external import External
    from reconciler.instances import Target
    from reconciler.locality import Preferences
    from reconciler.node_capture import CaptureTraits
    from reconciler.policies.effect import Effect
    from reconciler.real import Reals
    from reconciler.rules import Conf
    from reconciler.state import MeshState
    from reconciler.topology import Service
    from reconciler.vips.entries import Naming
    from reconciler.vips.resolvable import Resolvable
    from xds.view import Endpoints

CACHED_MAX = 4_096  # confs of inbounds; beyond, all are computed anew
ENDPOINTS_MAX = 65_536  # assignments; beyond, all are computed anew

_Asked = tuple[Tags, "Preferences | None"]  # a destination, and how its endpoints are wanted


@dataclass(frozen=True, slots=True, eq=False)
class Selected:
    """The policies that select one Dataplane: `hosts` with those that say something of inbounds,
    `ways`, its outbounds, with those that say something of destinations. Each is shared with all
    that have the same.
    """

    dataplane: MeshResource
    hosts: Hosts
    ways: Ways
    wanted: frozenset[Shelf]  # where the policies stand that may select it and not its whole class
    # The ways of a captured proxy, by what its agent said of names last, and without its own
    # places: who goes them keeps them.
    named: list[tuple[CaptureTraits, Ways]] = field(default_factory=list)
    held: list[Ways] = field(default_factory=list)


@dataclass(slots=True)
class _Cached:
    """Results by what they depend on; filled as proxies ask. Handed on from context to context."""

    selected: dict[ResourceKey, Selected] = field(default_factory=dict)
    inbound: dict[Hashable, tuple[tuple[Selection, ...], Conf | None]] = field(default_factory=dict)
    endpoints: dict[_Asked, tuple[Service, Endpoints]] = field(default_factory=dict)
    reached: dict[Exits, tuple[Resolvable, Reached]] = field(default_factory=dict)
    views: dict[ResourceKey, Any] = field(default_factory=dict)  # the last of each; `view` fills it
    beyond: Any = None  # the last `egress.Beyond`
    outside: Any = None  # the last `egress_outside.Outside`
    anybody: Any = None  # the `egress_policies.Anybody`
    callers: WeakValueDictionary[Hashable, Callers] = field(default_factory=WeakValueDictionary)
    hosts: WeakValueDictionary[Hashable, Hosts] = field(default_factory=WeakValueDictionary)


@dataclass(frozen=True, slots=True, eq=False)
class MeshContext:
    """Shared by all proxies of a mesh; see `mesh_context`.

    `detection`: proxies find out by themselves which endpoints cannot be reached.
    `era` is the same object in contexts that differ in endpoints only, `moment` is this one's own.
    `differing`: from the context it was made from; None: in more than can be told. `since`: by the
    moment of an earlier context, the services that differ from it.
    """

    mesh: MeshResource
    place: Place
    resources: Mapping[str, Collection]  # by type, of those it reads
    index: Mapping[str, PolicyIndex]
    whole: tuple[tuple[Ranked, ...], ...]  # by kind: of whole classes, about inbounds
    sections: frozenset[ResourceKey]  # of policies about calls by proxies with a section
    topology: Topology
    real: RealServices
    outside: Mapping[str, External]  # MeshExternalServices, by the names of their destinations
    names: MeshNames
    era: object
    moment: object
    differing: Differing | None
    since: Mapping[object, frozenset[str]]
    cached: _Cached
    detection: bool = True

    @property
    def name(self) -> str:
        return self.mesh.key.name

    @property
    def spec(self) -> MeshSpec:
        assert isinstance(self.mesh.spec, MeshSpec)
        return self.mesh.spec

    @property
    def reals(self) -> Reals:
        """MeshServices and their kin, as proxies see them."""
        return self.real.reals

    def service(self, name: str) -> Service:
        """A real destination, or else what stands under a service tag."""
        return self.real.service(name) or self.topology.service(name)

    @property
    def detects(self) -> bool:
        """Between proxies of the mesh: without mTLS an endpoint may be no proxy of ours."""
        return self.detection and self.spec.mtls is not None

    def resolve(self, address: str) -> str | None:
        """An address passes, a name becomes its address; None while it has none."""
        return resolver(self.place.resolved)(address)

    def selected(self, dataplane: MeshResource) -> Selected:
        """The policies of every kind that select a Dataplane."""
        known = self.cached.selected.get(dataplane.key)
        if known is None or known.dataplane is not dataplane:
            known = self.cached.selected[dataplane.key] = _selected(self, dataplane)
        return known

    def forget(self, dataplane: ResourceKey) -> None:
        """What was found for a proxy that is gone."""
        self.cached.selected.pop(dataplane, None)
        self.cached.views.pop(dataplane, None)

    def inbound_conf(
        self, effect: Effect, chosen: tuple[Selection, ...], inbound: int
    ) -> Conf | None:
        """What a kind's policies say for one inbound; `chosen` are those that select it."""
        assert effect.inbound_conf is not None
        key = effect.kind, *(id(s.policy) for s in chosen)
        known = self.cached.inbound.get(key)
        if known is None:
            if len(self.cached.inbound) >= CACHED_MAX:
                self.cached.inbound.clear()
            known = chosen, effect.inbound_conf(chosen, inbound, self.name)
            self.cached.inbound[key] = known
        return known[1]

    def reached(self, exits: Exits) -> Reached:
        """What captured calls can reach; the same object as long as it is the same."""
        assert exits.reach is not None
        mode, zone = self.spec.mesh_services_mode, self.place.zone
        resolvable = self.names.resolvable.for_reachable(mode, exits.reach, self.reals, zone)
        known = self.cached.reached.get(exits)
        if known is None or known[0] is not resolvable:
            if known is None and len(self.cached.reached) >= CACHED_MAX:
                self.cached.reached.clear()
            found = Reached(resolvable.outbounds, resolvable.domains).without(exits.taken)
            known = self.cached.reached[exits] = resolvable, found
        return known[1]

    def endpoints(self, tags: Tags, wanted: Preferences | None = None) -> Endpoints:
        """Of a destination, as callers see it that want them so."""
        service, asked = self.service(service_of(tags)), (tags, wanted)
        known = self.cached.endpoints.get(asked)
        if known is not None and known[0] is service:
            return known[1]
        found = assignment(names.cluster_name(tags), service.subset(tags), wanted)
        if known is not None and known[1] == found:
            found = known[1]
        elif known is None and len(self.cached.endpoints) >= ENDPOINTS_MAX:
            self.cached.endpoints.clear()
        self.cached.endpoints[asked] = service, found
        return found


# --- from state to state ---


def mesh_context(
    state: MeshState,
    mesh: str,
    zone: str,
    absent: frozenset[ResourceKey],
    resolved: Mapping[str, str],
    previous: MeshContext | None = None,
    *,
    detection: bool = True,
    silent: frozenset[Target] = frozenset(),
    given: Given | None = None,
) -> MeshContext:
    """Raises KeyError when the state does not hold the mesh.

    `previous`: an older context of the same mesh, zone and `detection`, to follow the change from.
    `given`: the addresses that names have in the zone; what it has then is in `names`.
    """
    found = state.get(ResourceKey("Mesh", "", mesh))
    if found is None:
        raise KeyError(mesh)
    before = previous or _nothing(found, zone, detection, given.naming if given else None)
    resources = {t: state.collection(t, "" if t in _GLOBAL else mesh) for t in _READ}
    if dict(resolved) == before.place.resolved:
        resolved = before.place.resolved
    policies: dict[str, tuple[Difference, ...]] = {}
    for policy in POLICIES:
        told = differences(before.resources[policy.kind], resources[policy.kind])
        policies[policy.kind] = told
    affinity = before.place.affinity
    if any(policies[effect.kind] for effect in _LOCATING):
        affinity = frozenset(_affinity(resources))
    place = Place(zone, absent, resolved, affinity, silent)
    index = {
        kind: before.index[kind].changed(changes) if changes else before.index[kind]
        for kind, changes in policies.items()
    }
    whole = tuple([found.at(INBOUNDS) for found in index.values()])
    if all(was is now for was, now in zip(before.whole, whole, strict=True)):
        whole = before.whole
    sections = _sections(before.sections, policies.values())
    dataplanes = differences(before.resources["Dataplane"], resources["Dataplane"])
    gone_or_back = _gone_or_back(state, before.place.absent ^ absent, mesh)
    moved = (*dataplanes, *gone_or_back)
    topology, services = before.topology.followed(
        found,
        moved,
        resources["ZoneIngress"],
        place,
        resources["ZoneEgress"],
        _externals(state, before, resources),
    )
    real, destinations = _real(before, found, resources, moved, (topology, place))
    after = replace(
        before,
        mesh=found,
        place=place,
        resources=resources,
        index=index,
        whole=whole,
        sections=sections,
        topology=topology,
        real=real,
        outside=_outside(state, before, resources),
        names=before.names.followed(resources, given),
        moment=object(),
    )
    shelves = {
        s for changes in policies.values() for pair in changes for r in pair for s in shelves_of(r)
    }
    return _followed(before, after, shelves, services | destinations, dataplanes)


def _sections(
    before: frozenset[ResourceKey], changes: Iterable[tuple[Difference, ...]]
) -> frozenset[ResourceKey]:
    gone = {old.key for told in changes for old, _ in told if old is not None}
    come = {new.key for told in changes for _, new in told if new and asks_for_section(new)}
    return before - gone | come if gone or come else before


def _real(
    before: MeshContext,
    mesh: MeshResource,
    resources: Mapping[str, Collection],
    dataplanes: tuple[Difference, ...],
    at: tuple[Topology, Place],
) -> tuple[RealServices, frozenset[str]]:
    """The real destinations after a change, and those that may differ."""
    topology, place = at
    addresses, ingresses = resources["MeshZoneAddress"], resources["ZoneIngress"]
    into = before.real.into.followed(mesh, ingresses, addresses, place)
    leaving = len(resources[EXTERNAL]) and isinstance(mesh.spec, MeshSpec) and mesh.spec.mtls
    outlets = egress_targets(resources["ZoneEgress"], place) if leaving else ()
    changes: list[Difference] = []
    for kind in REAL_KINDS:
        told = differences(before.resources[kind], resources[kind])
        changes += told
    return before.real.followed(
        changes,
        dataplanes,
        (topology.instances, resources["Dataplane"]),
        (into, topology.egresses, outlets),
        place,
    )


# The kinds that say where endpoints stand.
_LOCATING = tuple(effect for effect in EFFECTS if effect.locality is not None)


def _affinity(resources: Mapping[str, Collection]) -> Iterator[str]:
    """The tags that policies in force name: what proxies must have in common to see the same."""
    for effect in _LOCATING:
        assert effect.locality is not None
        for policy in filter(is_effective, resources[effect.kind]):
            assert isinstance(policy.spec, PolicySpec)
            for item in policy.spec.to:
                yield from (tag.key for tag in effect.locality(item.conf).affinity)


def _externals(
    state: MeshState, before: MeshContext, resources: Mapping[str, Collection]
) -> Mapping[str, External]:
    """The same object as long as all of them are the same."""
    known = before.topology.externals
    if all(resources[type_] is before.resources[type_] for type_ in OUTSIDE):
        return known
    return external.followed(known, external.externals(state, before.name))


def _outside(
    state: MeshState, before: MeshContext, resources: Mapping[str, Collection]
) -> Mapping[str, External]:
    """As `_externals`, of what egresses alone reach."""
    if all(resources[type_] is before.resources[type_] for type_ in (EXTERNAL, "Secret")):
        return before.outside
    found = external.mesh_externals(state, before.name, before.place.zone)
    return external.followed(before.outside, found)


OUTSIDE = ("ExternalService", "Secret")  # all that services outside of the mesh are made of
_GLOBAL = ("ZoneIngress", "ZoneEgress", "HostnameGenerator")
_READ = (
    *(policy.kind for policy in POLICIES),
    *REAL_KINDS,
    *OUTSIDE,
    "MeshZoneAddress",
    "Dataplane",
    "VirtualOutbound",
    *_GLOBAL,
)


def _nothing(mesh: MeshResource, zone: str, detection: bool, naming: Naming | None) -> MeshContext:
    return MeshContext(
        mesh=mesh,
        place=Place(zone),
        resources=dict.fromkeys(_READ, NOTHING),
        index={policy.kind: PolicyIndex() for policy in POLICIES},
        whole=tuple(() for _ in POLICIES),
        sections=frozenset(),
        topology=Topology(Place(zone)),
        real=RealServices(Place(zone)),
        outside={},
        names=no_names(mesh.key.name, zone, naming),
        era=object(),
        moment=object(),
        differing=None,
        since={},
        cached=_Cached(),
        detection=detection,
    )


def _gone_or_back(state: MeshState, keys: Iterable[ResourceKey], mesh: str) -> Iterator[Difference]:
    """Dataplanes that are as they were, with endpoints that are out now, or in again."""
    for key in keys:
        dataplane = state.get(key) if key.mesh == mesh else None
        if dataplane is not None and key.type == "Dataplane":
            yield dataplane, dataplane


def _followed(
    before: MeshContext,
    after: MeshContext,
    shelves: set[Shelf],
    services: frozenset[str],
    dataplanes: tuple[Difference, ...],
) -> MeshContext:
    """`after` with what is still known, and what differs. `shelves`: of policies that changed;
    `services`: those that may differ.
    """
    cached = after.cached
    proxies = {r.key for pair in dataplanes for r in pair if r is not None}
    bound = frozenset(s for s in shelves if s != INBOUNDS and s[0] != TOWARDS)
    near = before.place.affinity == after.place.affinity
    near = near and bool(before.sections) == bool(after.sections)
    if not near:
        cached = replace(cached, selected={})
    elif bound:
        kept = dict(cached.selected)
        for key, known in cached.selected.items():
            if not bound.isdisjoint(known.wanted):
                proxies.add(key)
                del kept[key]
        cached = replace(cached, selected=kept)
    for old, new in dataplanes:
        if old is not None and new is None:
            after.forget(old.key)
    seen, same = differing.seen(before, after, services), before.mesh is after.mesh
    policies = shelves - bound - {INBOUNDS}
    if seen is None or not same or policies or seen[1] or before.reals is not after.reals:
        after = replace(after, era=object())
    told = None
    if seen is not None and same and near and before.place.resolved is after.place.resolved:
        told = differing.differing(shelves - bound, seen[0], frozenset(proxies))
    since = differing.since(before, told)
    return replace(after, cached=cached, differing=told, since=since)


def _selected(context: MeshContext, dataplane: MeshResource) -> Selected:
    shelves, found = wanted(dataplane), context.cached
    own: dict[str, tuple[Ranked, ...]] = {}
    bound: dict[str, tuple[Ranked, ...]] = {}
    about: list[tuple[int, tuple[int, ...]]] = []
    for kind, index in context.index.items():
        may = [ranked for shelf in shelves for ranked in index.at(shelf)]
        chosen = selections(may, dataplane)
        inbounds = {id(s.policy): s.inbounds for s in about_inbounds(chosen)}
        to = {id(s.policy) for s in chosen if s.spec.to}
        own[kind] = tuple([ranked for ranked in may if id(ranked[1]) in to])
        bound[kind] = tuple([ranked for ranked in may if id(ranked[1]) in inbounds])
        about += inbounds.items()
    group = class_of(dataplane)
    near = _near(context.place.affinity, dataplane)
    calling = group if context.sections else calling_class_of(dataplane)
    key = calling, frozenset(id(p) for ranked in own.values() for _, p in ranked), near
    callers = found.callers.get(key)
    if callers is None:
        callers = found.callers[key] = Callers(dataplane, own, near)
    which = group, tuple(about)
    hosts = found.hosts.get(which)
    if hosts is None:
        hosts = found.hosts[which] = Hosts(dataplane, bound)
    return Selected(dataplane, hosts, ways_of(callers, exits_of(dataplane)), shelves)


def _near(affinity: frozenset[str], dataplane: MeshResource) -> Tags:
    """Its values of the tags by which policies prefer endpoints."""
    if not affinity:
        return ()
    return values_of(affinity, tag_sets(dataplane), dataplane.labels.pairs)


def exits_of(dataplane: MeshResource) -> Exits:
    """Of outbounds those that do not stand on an inbound of the same proxy."""
    spec = dataplane.spec
    assert isinstance(spec, DataplaneSpec)
    transparent = spec.transparent
    if transparent is not None and transparent.redirect_port_outbound:
        services = frozenset(transparent.reachable_services)
        return Exits(reach=Reach(services, transparent.reachable_backends))
    taken = {(inbound.address, inbound.port) for inbound in spec.inbounds}
    return Exits(tuple(each for each in spec.outbounds if (each.address, each.port) not in taken))
