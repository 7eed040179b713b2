"""How many Dataplanes a zone has of each kind, kept while they come and go: what its ingress offers
and what it writes of its proxies are such counts, and a turn looks only at those that differ.
Pure.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

from rpds import HashTrieMap, HashTrieSet

from reconciler.collection import EMPTY, differences

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from reconciler.collection import Collection, Difference
    from reconciler.model.resource import MeshResource, ResourceKey
    from reconciler.state import MeshState

Kind = TypeVar("Kind")


@dataclass(frozen=True, slots=True, eq=False)
class Tally(Generic[Kind]):
    """`counts` of the `counted` ones, by mesh, but for those whose endpoints are out (`absent`)."""

    counted: Mapping[str, Collection] = field(default_factory=dict)
    absent: HashTrieSet[ResourceKey] = field(default_factory=HashTrieSet)
    counts: HashTrieMap[Kind, int] = field(default_factory=HashTrieMap)
    changed: frozenset[Kind] = frozenset()  # whose counts differ from those before

    def followed(
        self,
        state: MeshState,
        absent: HashTrieSet[ResourceKey],
        kinds: Callable[[MeshResource], Iterable[Kind]],
    ) -> Tally[Kind]:
        """The Dataplanes of `state`, each of which counts once for every one of its `kinds`: a
        function of the Dataplane alone, the same at every call.
        """
        now = state.collections("Dataplane")
        if now is self.counted and absent is self.absent:
            return self
        changes: dict[Kind, int] = {}
        for before, after in self._differing(state, now, absent):
            if before is not None and before.key not in self.absent:
                for kind in kinds(before):
                    changes[kind] = changes.get(kind, 0) - 1
            if after is not None and after.key not in absent:
                for kind in kinds(after):
                    changes[kind] = changes.get(kind, 0) + 1
        counts = self.counts
        changed = frozenset(kind for kind, change in changes.items() if change)
        for kind in changed:  # Equal counts stay the same object.
            count = counts.get(kind, 0) + changes[kind]
            counts = counts.insert(kind, count) if count else counts.discard(kind)
        return Tally(now, absent, counts, changed)

    def _differing(
        self, state: MeshState, now: Mapping[str, Collection], absent: HashTrieSet[ResourceKey]
    ) -> Iterable[Difference]:
        found: dict[ResourceKey, Difference] = {}
        if absent is not self.absent:
            for key in absent.symmetric_difference(self.absent):
                resource = state.get(key) if key.type == "Dataplane" else None
                if resource is not None:
                    found[key] = resource, resource
        if now is not self.counted:
            for mesh in sorted(now.keys() | self.counted.keys()):
                for pair in differences(self.counted.get(mesh, EMPTY), now.get(mesh, EMPTY)):
                    one = pair[0] or pair[1]
                    assert one is not None
                    found[one.key] = pair
        return found.values()
