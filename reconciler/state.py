"""All mesh resources at one moment, and the difference between two moments.

The same type on global and zone. Law (held by a property test): `apply(state, diff(state, other))
== other`. An empty diff returns the same object, so identity tells later stages that nothing
changed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rpds import HashTrieMap

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from reconciler.model.resource import MeshResource, ResourceKey


@dataclass(frozen=True, slots=True)
class ResourceDiff:
    """What to put (new or changed) and what to drop. Sorted by key."""

    put: tuple[MeshResource, ...] = ()
    drop: tuple[ResourceKey, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.put or self.drop)

    @property
    def types(self) -> frozenset[str]:
        return frozenset(r.key.type for r in self.put) | frozenset(k.type for k in self.drop)


@dataclass(frozen=True, slots=True)
class MeshState:
    """Persistent maps: changing one resource shares all others.

    Iterate only through `of`, which is sorted.
    """

    by_key: HashTrieMap[ResourceKey, MeshResource] = field(default_factory=HashTrieMap)

    def get(self, key: ResourceKey) -> MeshResource | None:
        return self.by_key.get(key)

    def of(self, type_: str, mesh: str | None = None) -> tuple[MeshResource, ...]:
        """Resources of a type, of one mesh if named, sorted by key."""
        found = (r for k, r in self.by_key.items() if k.type == type_ and mesh in (None, k.mesh))
        return tuple(sorted(found, key=lambda r: r.key))

    def all(self) -> tuple[MeshResource, ...]:
        return tuple(sorted(self.by_key.values(), key=lambda r: r.key))


EMPTY = MeshState()


def from_resources(resources: Iterable[MeshResource]) -> MeshState:
    return MeshState(HashTrieMap({r.key: r for r in resources}))


def diff(old: MeshState, new: MeshState) -> ResourceDiff:
    if old is new:
        return ResourceDiff()
    put = [r for k, r in new.by_key.items() if old.by_key.get(k) != r]
    drop = [k for k in old.by_key if k not in new.by_key]
    return ResourceDiff(tuple(sorted(put, key=lambda r: r.key)), tuple(sorted(drop)))


def apply(state: MeshState, change: ResourceDiff) -> MeshState:
    """Returns the same object when the diff is empty or changes nothing."""
    put: Mapping[ResourceKey, MeshResource] = {
        r.key: r for r in change.put if state.by_key.get(r.key) != r
    }
    drop = [k for k in change.drop if k in state.by_key]
    if not put and not drop:
        return state
    by_key = state.by_key.update(put)
    for key in drop:
        by_key = by_key.remove(key)
    return MeshState(by_key)
