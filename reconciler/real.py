"""Real destinations: the ports of MeshService, MeshMultiZoneService and MeshExternalService
resources, by the names Kuma gives them. Pure.

`<mesh>_<name>_<namespace>_<zone>_<kind>_<port>` names one port of one resource; it stands wherever
the name of a service by tag stands: as a cluster, in the topology, as what a view depends on. What
of a resource no proxy sees (its status) is not read here, so a change of it changes nothing.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeAlias

from rpds import HashTrieMap, HashTrieSet

from reconciler.model.resource import NAMESPACE, SERVICE, ZONE, Labels, MeshResource, ResourceKey
from reconciler.model.spec import (
    DataplaneSpec,
    LabelsSelector,
    MeshExternalServiceSpec,
    MeshServiceSpec,
    MultiZoneSpec,
    NameSelector,
    ServicePort,
    TagsSelector,
)
from xds import names

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from reconciler.collection import Difference
    from reconciler.model.spec import Identity, Inbound, MultiZonePort, RefDestination, Tags

MESH_SERVICE, MULTI_ZONE, EXTERNAL = REAL_KINDS = (
    "MeshService",
    "MeshMultiZoneService",
    "MeshExternalService",
)
SHORT = {MESH_SERVICE: "msvc", MULTI_ZONE: "mzsvc", EXTERNAL: "extsvc"}
SNI_KIND = {MESH_SERVICE: "ms", MULTI_ZONE: "mzms", EXTERNAL: "mes"}

RealPort: TypeAlias = "ServicePort | MultiZonePort"
Selector: TypeAlias = "TagsSelector | NameSelector | LabelsSelector"


@dataclass(frozen=True, slots=True)
class Real:
    """A resource as proxies see it. `members`: of a MeshMultiZoneService, the MeshServices that are
    one under its name, sorted.
    """

    key: ResourceKey
    labels: Labels
    display_name: str
    ports: tuple[RealPort, ...]
    selector: Selector | None = None
    available: bool = True
    identities: tuple[Identity, ...] = ()
    match_labels: Tags = ()
    members: tuple[ResourceKey, ...] = ()

    @property
    def zone(self) -> str:
        """ "" where it is of no zone."""
        return self.labels.get(ZONE) or ""

    @property
    def namespace(self) -> str:
        return self.labels.get(NAMESPACE) or ""

    def is_local(self, zone: str) -> bool:
        return self.zone in ("", zone)

    def name(self, port: RealPort) -> str:
        """The destination's."""
        place = (self.key.mesh, self.display_name, self.namespace, self.zone)
        return "_".join((*place, SHORT[self.key.type], str(port.port)))

    @property
    def names(self) -> tuple[str, ...]:
        return tuple([self.name(port) for port in self.ports])


@dataclass(frozen=True, slots=True)
class RealDestination:
    """One port of a resource. `identities`: SPIFFE ids, one of which its server has; sorted, and
    never empty.
    """

    real: Real
    port: RealPort
    identities: tuple[str, ...]

    @property
    def hash_sni(self) -> str:
        real = self.real
        return names.hash_sni(
            _sni_name(real), self.port.port, real.key.mesh, SNI_KIND[real.key.type]
        )

    @property
    def kri_sni(self) -> str | None:
        real = self.real
        place = (real.key.mesh, real.zone, real.namespace)
        return names.kri_sni(SHORT[real.key.type], place, real.display_name, self.port.name)


def _sni_name(real: Real) -> str:
    """As every client and ingress computes it (facts/dataplane-wire.md 3.3 b)."""
    if real.key.type != MESH_SERVICE or not real.namespace:
        return real.display_name
    return f"{real.display_name}.{real.namespace}"


Keys: TypeAlias = "HashTrieMap[str, frozenset[ResourceKey]]"
MANY = 8  # a change of one in so many is indexed anew as a whole

Pairs: TypeAlias = "HashTrieMap[tuple[str, str], HashTrieSet[ResourceKey]]"
NO_KEYS: frozenset[ResourceKey] = frozenset()


@dataclass(frozen=True, slots=True, eq=False)
class Reals:
    """Those of one mesh. The same object as long as no proxy can see a difference."""

    by_key: HashTrieMap[ResourceKey, Real] = field(default_factory=HashTrieMap)
    named: Keys = field(default_factory=HashTrieMap)  # by the names of destinations
    shown: Keys = field(default_factory=HashTrieMap)  # by display name
    of_service: Keys = field(default_factory=HashTrieMap)  # selectors that name a service, by it
    others: frozenset[ResourceKey] = NO_KEYS  # MeshServices with another selector
    multi: frozenset[ResourceKey] = NO_KEYS  # MeshMultiZoneServices
    pairs: Pairs = field(default_factory=HashTrieMap)  # by each of their labels
    _found: dict[str, RealDestination | None] = field(default_factory=dict, repr=False)

    def get(self, key: ResourceKey) -> Real | None:
        return self.by_key.get(key)

    def destination(self, name: str) -> RealDestination | None:
        """By its name; None: it is no real one. Of several the first by key."""
        if name not in self.named:
            return None
        if name not in self._found:
            self._found[name] = self._destination(name)
        return self._found[name]

    def _destination(self, name: str) -> RealDestination | None:
        real = self.by_key[min(self.named[name])]
        port = next(port for port in real.ports if real.name(port) == name)
        served = [real, *filter(None, map(self.by_key.get, real.members))]
        found = {uri for each in served for uri in _uris(each)}
        # Nobody is known to serve it: a name that no certificate has, so that nobody is trusted.
        nobody = names.spiffe_id(real.key.mesh, name)
        return RealDestination(real, port, tuple(sorted(found)) or (nobody,))

    def labelled(self, kind: str, labels: Labels) -> list[Real]:
        """Sorted by key. Of many resources only those are looked at that have the rarest label."""
        held = [self.pairs.get(pair, NOBODY) for pair in labels.pairs]
        may = min(held, key=len) if held else self.by_key
        found = (self.by_key[key] for key in may if key.type == kind)
        return sorted((r for r in found if r.labels.contain(labels)), key=lambda r: r.key)

    def resolved(self, ref: RefDestination, zone: str) -> str | None:
        """The name of what a reference leads to: by name what the zone or nobody's zone has, by
        labels the first. None: there is none, or it has no such port.
        """
        if ref.name:
            keys = self.shown.get(ref.name, NO_KEYS)
            found = [self.by_key[key] for key in sorted(keys) if key.type == ref.kind]
            found = sorted((r for r in found if r.is_local(zone)), key=lambda r: not r.zone)
        else:
            found = self.labelled(ref.kind, Labels(ref.labels)) if ref.labels else []
        for real in found:
            for port in real.ports:
                if port.port == ref.port or (not ref.port and real.key.type == EXTERNAL):
                    return real.name(port)
        return None

    def members_at(self, real: Real, number: int) -> list[str]:
        """The destinations that are one under a MeshMultiZoneService at this port."""
        members = filter(None, map(self.by_key.get, real.members))
        return [m.name(port) for m in members for port in m.ports if port.port == number]

    def selecting(self, dataplane: MeshResource | None) -> frozenset[ResourceKey]:
        """MeshServices that may select a Dataplane; `selected` says whether."""
        if dataplane is None or not isinstance(dataplane.spec, DataplaneSpec):
            return NO_KEYS
        services = {inbound.service for inbound in dataplane.spec.inbounds}
        return self.others.union(*(self.of_service.get(name, NO_KEYS) for name in services))

    def holding(self, keys: Iterable[ResourceKey]) -> frozenset[ResourceKey]:
        """Those, and each MeshMultiZoneService of one of them."""
        found = frozenset(keys)
        if not found:
            return found
        return found.union(m for m in self.multi if not found.isdisjoint(self.by_key[m].members))

    def followed(self, changes: Iterable[Difference]) -> tuple[Reals, frozenset[ResourceKey]]:
        """After a change of resources, and which of them differ to proxies."""
        changes = tuple(changes)
        if MANY * len(changes) > len(self.by_key):
            return self._anew(changes)
        after, differing = self, set[ResourceKey]()
        for before, now in changes:
            old = self.by_key.get(before.key) if before is not None else None
            new = real_of(now)
            if new is not None and new.key.type == MULTI_ZONE:
                new = after._gathered(new)
            if old == new:
                continue
            after = after._replaced(old, new)
            differing.update(real.key for real in (old, new) if real is not None)
            if any(real.key.type == MESH_SERVICE for real in (old, new) if real is not None):
                after, of = after._regathered(old, new)
                differing |= of
        return after, frozenset(differing)

    def _anew(self, changes: tuple[Difference, ...]) -> tuple[Reals, frozenset[ResourceKey]]:
        """The same of many, made as a whole: one by one each costs a fifth of a millisecond."""
        found = dict(self.by_key)
        for before, now in changes:
            new = real_of(now)
            if new is not None:
                found[new.key] = new
            elif before is not None:
                found.pop(before.key, None)
        indexed = _indexed(found)
        multi = {key: indexed._gathered(found[key]) for key in indexed.multi}
        changed = {key for key, real in multi.items() if real != found[key]}
        found |= multi
        if changed:
            indexed = replace(indexed, by_key=indexed.by_key.update(multi))
        old, keys = self.by_key, self.by_key.keys() | found.keys()
        differing = {key for key in keys if old.get(key) != found.get(key)}
        members = [(key, found[key].members) for key in multi]
        members += [(key, old[key].members) for key in self.multi]
        differing |= {key for key, of in members if not differing.isdisjoint(of)}
        return (indexed if differing else self), frozenset(differing)

    def _gathered(self, multi: Real) -> Real:
        wanted = Labels(multi.match_labels)
        found = self.labelled(MESH_SERVICE, wanted) if wanted.pairs else []
        return replace(multi, members=tuple(real.key for real in found))

    def _regathered(self, old: Real | None, new: Real | None) -> tuple[Reals, set[ResourceKey]]:
        """After a MeshService was replaced, and the MeshMultiZoneServices that it is or was of."""
        after, of = self, set[ResourceKey]()
        for key in self.multi:
            multi, gone = self.by_key[key], {old.key} if old is not None else set()
            has, wanted = not gone.isdisjoint(multi.members), Labels(multi.match_labels)
            wants = new is not None and bool(wanted.pairs) and new.labels.contain(wanted)
            if has or wants:
                of.add(key)
                left = set(multi.members) - gone | ({new.key} if new and wants else set())
                after = after._replaced(multi, replace(multi, members=tuple(sorted(left))))
        return after, of

    def _replaced(self, old: Real | None, new: Real | None) -> Reals:
        by_key, named, shown = self.by_key, self.named, self.shown
        of_service, others, multi = self.of_service, self.others, self.multi
        if old is not None:
            by_key = by_key.discard(old.key)
            named = _without(named, old.names, old.key)
            shown = _without(shown, {old.key.name, old.display_name}, old.key)
            of_service = _without(of_service, selected_services(old), old.key)
            others, multi = others - {old.key}, multi - {old.key}
        if new is not None:
            by_key = by_key.insert(new.key, new)
            named = _with(named, new.names, new.key)
            shown = _with(shown, {new.key.name, new.display_name}, new.key)
            of_service = _with(of_service, selected_services(new), new.key)
            if new.selector is not None and not selected_services(new):
                others |= {new.key}
            if new.key.type == MULTI_ZONE:
                multi |= {new.key}
        return Reals(by_key, named, shown, of_service, others, multi, _paired(self.pairs, old, new))


NOBODY: HashTrieSet[ResourceKey] = HashTrieSet()
NO_REALS = Reals()


def real_of(resource: MeshResource | None) -> Real | None:
    """None for what is no destination (yet)."""
    if resource is None:
        return None
    at = (resource.key, resource.labels, resource.display_name)
    match resource.spec:
        case MeshServiceSpec(available, selector, ports, identities):
            return Real(*at, ports, selector, available, identities)
        case MultiZoneSpec(match_labels, ports):
            return Real(*at, ports, match_labels=match_labels)
        case MeshExternalServiceSpec(port, protocol):
            return Real(*at, (ServicePort(str(port), port, port, protocol),))
        case _:
            return None


def selected(real: Real, dataplane: MeshResource) -> bool:
    """Whether a MeshService selects a Dataplane of its zone."""
    spec = dataplane.spec
    assert isinstance(spec, DataplaneSpec)
    match real.selector:
        case TagsSelector(tags):
            return any(tags and set(tags) <= set(inbound.tags) for inbound in spec.inbounds)
        case NameSelector(name):
            return bool(name) and name in (dataplane.key.name, dataplane.display_name)
        case LabelsSelector(labels):
            return dataplane.labels.contain(Labels(labels))
        case None:
            return False


def serves(real: Real, port: RealPort, inbound: Inbound) -> bool:
    """Whether an inbound of a selected Dataplane is behind a port."""
    target = port.target_port if isinstance(port, ServicePort) and port.target_port else port.port
    if target not in (inbound.port, inbound.name):
        return False
    match real.selector:
        case TagsSelector(tags):
            return set(tags) <= set(inbound.tags)
        case _:
            return True


def selected_services(real: Real) -> tuple[str, ...]:
    """The service that the selector names, if it names one."""
    if not isinstance(real.selector, TagsSelector):
        return ()
    return tuple(value for key, value in real.selector.tags if key == SERVICE)


def _uris(real: Real) -> Iterator[str]:
    if real.key.type == EXTERNAL:  # What is outside has no identity: its egress answers.
        yield names.spiffe_id(real.key.mesh, names.EGRESS_SERVICE)
    for identity in real.identities:
        spiffe = identity.type == "SpiffeID"
        yield identity.value if spiffe else names.spiffe_id(real.key.mesh, identity.value)
    if not real.identities:  # Its zone has not said yet who serves it.
        yield from (names.spiffe_id(real.key.mesh, name) for name in selected_services(real))


def _indexed(found: Mapping[ResourceKey, Real]) -> Reals:
    named, shown, of_service, pairs = (defaultdict[Any, set[ResourceKey]](set) for _ in range(4))
    for key, real in found.items():
        for index, names_ in (
            (named, real.names),
            (shown, (key.name, real.display_name)),
            (of_service, selected_services(real)),
            (pairs, real.labels.pairs),
        ):
            for name in names_:
                index[name].add(key)
    others = (k for k, r in found.items() if r.selector is not None and not selected_services(r))
    return Reals(
        by_key=HashTrieMap(found),
        named=_keys(named),
        shown=_keys(shown),
        of_service=_keys(of_service),
        others=frozenset(others),
        multi=frozenset(key for key in found if key.type == MULTI_ZONE),
        pairs=HashTrieMap({pair: HashTrieSet(keys) for pair, keys in pairs.items()}),
    )


def _keys(found: Mapping[str, set[ResourceKey]]) -> Keys:
    return HashTrieMap({name: frozenset(keys) for name, keys in found.items()})


def _paired(pairs: Pairs, old: Real | None, new: Real | None) -> Pairs:
    had = frozenset(old.labels.pairs) if old is not None else frozenset()
    has = frozenset(new.labels.pairs) if new is not None else frozenset()
    for pair in had - has:
        assert old is not None
        left = pairs.get(pair, NOBODY).discard(old.key)
        pairs = pairs.insert(pair, left) if len(left) else pairs.discard(pair)
    for pair in has - had:
        assert new is not None
        pairs = pairs.insert(pair, pairs.get(pair, NOBODY).insert(new.key))
    return pairs


def _with(keys: Keys, of: Iterable[str], key: ResourceKey) -> Keys:
    for name in of:
        keys = keys.insert(name, keys.get(name, NO_KEYS) | {key})
    return keys


def _without(keys: Keys, of: Iterable[str], key: ResourceKey) -> Keys:
    for name in of:
        left = keys.get(name, NO_KEYS) - {key}
        keys = keys.insert(name, left) if left else keys.discard(name)
    return keys
