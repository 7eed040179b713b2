"""What the names of a mesh were found from: tags that instances have, counted, and what they claim.
Pure.

A change of one Dataplane or ingress costs what differs in it. Only tags that come to be there, or
are there no more, make or end a claim.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from rpds import HashTrieMap

from reconciler.collection import EMPTY as NOTHING
from reconciler.collection import Collection, differences
from reconciler.instances import inbounds_of, is_local
from reconciler.model.spec import ExternalServiceSpec, Tags, ZoneIngressSpec
from reconciler.vips.claims import (
    LOCAL,
    REMOTE,
    REMOTE_OUTSIDE,
    RESERVED_PORT,
    Claim,
    Virtual,
    of_external,
    of_tags,
    virtuals,
)
from reconciler.vips.entries import REAL, Entry, Fault, Naming
from reconciler.vips.hostnames import Hostnames, generators

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Mapping

    from reconciler.model.resource import MeshResource

# The types it is made from, by the collection of the mesh or, of the last two, of all meshes.
OF_THE_MESH = ("Dataplane", "ExternalService", "VirtualOutbound", *REAL)
READ = (*OF_THE_MESH, "ZoneIngress", "HostnameGenerator")

Seen: TypeAlias = "tuple[int, Tags]"  # who says so, and tags that some instance has
Claims: TypeAlias = "HashTrieMap[Entry, HashTrieMap[Claim, int]]"
K = TypeVar("K", bound="Hashable")


@dataclass(frozen=True, slots=True)
class Whose:
    """Whose names: a mesh, looked at from a zone."""

    mesh: str
    zone: str
    naming: Naming = field(default_factory=Naming)


@dataclass(frozen=True, slots=True, eq=False)
class Basis:
    """`sources`: collections by type. `failed`: where a VirtualOutbound makes no name."""

    whose: Whose
    hostnames: Hostnames
    sources: Mapping[str, Collection] = field(default_factory=dict)
    virtual: tuple[Virtual, ...] = ()
    seen: HashTrieMap[Seen, int] = field(default_factory=HashTrieMap)
    claims: Claims = field(default_factory=HashTrieMap)
    failed: HashTrieMap[Fault, int] = field(default_factory=HashTrieMap)

    def is_of(self, resources: Mapping[str, Collection]) -> bool:
        return all(self.had(type_) is resources.get(type_, NOTHING) for type_ in READ)

    def had(self, type_: str) -> Collection:
        return self.sources.get(type_, NOTHING)

    def followed(self, resources: Mapping[str, Collection]) -> tuple[Basis, set[Entry]]:
        """With other collections, and the entries that may differ by it."""
        sources = {type_: resources.get(type_, NOTHING) for type_ in READ}
        seen, come, gone = _counted(self.seen, self._instances(sources))
        virtual = self.virtual
        if self.had("VirtualOutbound") is not sources["VirtualOutbound"]:
            virtual = virtuals(sources["VirtualOutbound"])
        before, after = self._by(self.virtual), self._by(virtual)
        externals = differences(self.had("ExternalService"), sources["ExternalService"])
        if virtual == self.virtual:
            before.of(gone, (was for was, _ in externals))
            after.of(come, (now for _, now in externals))
        else:
            before.of(self.seen, self.had("ExternalService"))
            after.of(seen, sources["ExternalService"])
        claims, touched = _claimed(self.claims, _difference(before.made, after.made))
        failed, _, _ = _counted(self.failed, _difference(before.failed, after.failed))
        found, kinds = self.hostnames.generators, "HostnameGenerator"
        if self.had(kinds) is not sources[kinds]:
            found = generators(sources[kinds])
        changes = [d for type_ in REAL for d in differences(self.had(type_), sources[type_])]
        hostnames, reals = self.hostnames.followed(found, changes)
        basis = Basis(self.whose, hostnames, sources, virtual, seen, claims, failed)
        return basis, touched | reals

    def _by(self, virtual: tuple[Virtual, ...]) -> _Claiming:
        return _Claiming(virtual, self.whose.naming)

    def _instances(self, sources: Mapping[str, Collection]) -> Counter[Seen]:
        """How many more there are of each, or fewer."""
        delta: Counter[Seen] = Counter()
        told: tuple[tuple[str, Callable[[MeshResource], list[Seen]]], ...] = (
            ("Dataplane", self._local),
            ("ZoneIngress", self._remote),
        )
        for type_, of in told:
            for before, after in differences(self.had(type_), sources[type_]):
                had = of(before) if before is not None else []
                has = of(after) if after is not None else []
                if had != has:
                    delta.update(has)
                    delta.subtract(had)
        return delta

    def _local(self, dataplane: MeshResource) -> list[Seen]:
        """Whether anybody answers does not matter: a name outlives a restart."""
        if not is_local(dataplane, self.whose.zone):
            return []
        return [
            (LOCAL, inbound.tags)
            for inbound in inbounds_of(dataplane)
            if not inbound.ignored and inbound.port != RESERVED_PORT and inbound.service
        ]

    def _remote(self, ingress: MeshResource) -> list[Seen]:
        spec, mesh = ingress.spec, self.whose.mesh
        if not isinstance(spec, ZoneIngressSpec) or spec.zone in ("", self.whose.zone):
            return []
        return [
            (REMOTE_OUTSIDE if offer.external else REMOTE, offer.tags)
            for offer in spec.available_services
            if offer.mesh == mesh
        ]


@dataclass(slots=True)
class _Claiming:
    """Gathers what things claim."""

    virtual: tuple[Virtual, ...]
    naming: Naming
    made: Counter[tuple[Entry, Claim]] = field(default_factory=Counter)
    failed: Counter[Fault] = field(default_factory=Counter)

    def of(self, seen: Iterable[Seen], externals: Iterable[MeshResource | None]) -> None:
        for source, tags in seen:
            made, failed = of_tags(self.virtual, self.naming, source, tags)
            self.made.update(made)
            self.failed.update(failed)
        for resource in externals:
            if resource is not None and isinstance(resource.spec, ExternalServiceSpec):
                made, failed = of_external(self.virtual, self.naming, resource)
                self.made.update(made)
                self.failed.update(failed)


def _difference(before: Counter[K], after: Counter[K]) -> Counter[K]:
    delta = Counter(after)
    delta.subtract(before)
    return delta


def _counted(
    counts: HashTrieMap[K, int], delta: Mapping[K, int]
) -> tuple[HashTrieMap[K, int], list[K], list[K]]:
    """With these more or fewer, and what is there now that was not, and the other way round."""
    come: list[K] = []
    gone: list[K] = []
    for key, more in delta.items():
        if not more:
            continue
        had = counts.get(key, 0)
        if had + more:
            counts = counts.insert(key, had + more)
        else:
            counts = counts.remove(key)
            gone.append(key)
        if not had:
            come.append(key)
    return counts, come, gone


def _claimed(claims: Claims, delta: Mapping[tuple[Entry, Claim], int]) -> tuple[Claims, set[Entry]]:
    by_entry: dict[Entry, dict[Claim, int]] = {}
    for (entry, claim), more in delta.items():
        if more:
            by_entry.setdefault(entry, {})[claim] = more
    touched: set[Entry] = set()
    empty: HashTrieMap[Claim, int] = HashTrieMap()
    for entry, more_of in by_entry.items():
        held, come, gone = _counted(claims.get(entry, empty), more_of)
        claims = claims.insert(entry, held) if len(held) else claims.discard(entry)
        if come or gone:
            touched.add(entry)
    return claims, touched
