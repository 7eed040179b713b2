"""All mesh resources at one moment, and the difference between two moments.

The same type on global and zone. Law (held by a property test): `apply(state, diff(state, other))
== other`. An empty diff returns the same object, so identity tells later stages that nothing
changed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rpds import HashTrieMap

from reconciler.collection import EMPTY as NOTHING
from reconciler.collection import Collection, collected

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

    Iterate only through `of`, which is sorted. The collections of each type and mesh are made when
    one is first asked for, and handed on by `apply`: at 5,000 proxies a search for each event would
    take most of the loop.
    """

    by_key: HashTrieMap[ResourceKey, MeshResource] = field(default_factory=HashTrieMap)
    _sorted: dict[str, dict[str, Collection]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )  # by type and mesh; empty: nobody has asked yet
    _of: dict[str, tuple[MeshResource, ...]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def get(self, key: ResourceKey) -> MeshResource | None:
        return self.by_key.get(key)

    def of(self, type_: str, mesh: str | None = None) -> tuple[MeshResource, ...]:
        """Resources of a type, of one mesh if named, sorted by key."""
        if mesh is not None:
            return tuple(self.collection(type_, mesh))
        found = self._of.get(type_)
        if found is None:
            by_mesh = sorted(self._collections().get(type_, {}).items())
            found = self._of[type_] = tuple(r for _, each in by_mesh for r in each)
        return found

    def collection(self, type_: str, mesh: str) -> Collection:
        """As `of`; the same object as long as nothing of it changes."""
        return self._collections().get(type_, {}).get(mesh, NOTHING)

    def collections(self, type_: str) -> Mapping[str, Collection]:
        """By mesh; the same object as long as nothing of the type changes."""
        return self._collections().get(type_, NONE)

    def _collections(self) -> dict[str, dict[str, Collection]]:
        if not self._sorted:
            found: dict[str, dict[str, list[MeshResource]]] = {}
            for key, resource in self.by_key.items():
                found.setdefault(key.type, {}).setdefault(key.mesh, []).append(resource)
            for type_, by_mesh in found.items():
                self._sorted[type_] = {mesh: collected(held) for mesh, held in by_mesh.items()}
        return self._sorted

    def all(self) -> tuple[MeshResource, ...]:
        return tuple(sorted(self.by_key.values(), key=lambda r: r.key))


NONE: Mapping[str, Collection] = {}
EMPTY = MeshState()


def from_resources(resources: Iterable[MeshResource]) -> MeshState:
    return MeshState(HashTrieMap({r.key: r for r in resources}))


def diff(old: MeshState, new: MeshState) -> ResourceDiff:
    if old is new:
        return ResourceDiff()
    get = old.by_key.get  # most are the same object, which is no difference without a look
    put = [r for k, r in new.by_key.items() if (was := get(k)) is not r and was != r]
    drop = [k for k in old.by_key if k not in new.by_key]
    return ResourceDiff(tuple(sorted(put, key=lambda r: r.key)), tuple(sorted(drop)))


def narrowed(state: MeshState, change: ResourceDiff) -> ResourceDiff:
    """What of the diff changes this state; in the order given."""
    put = tuple(r for r in change.put if state.by_key.get(r.key) != r)
    return ResourceDiff(put, tuple(k for k in change.drop if k in state.by_key))


def apply(state: MeshState, change: ResourceDiff) -> MeshState:
    """Returns the same object when the diff is empty or changes nothing."""
    change = narrowed(state, change)
    put: Mapping[ResourceKey, MeshResource] = {r.key: r for r in change.put}
    drop = change.drop
    if not change:
        return state
    by_key = state.by_key.update(put)
    for key in drop:
        by_key = by_key.remove(key)
    after = MeshState(by_key)
    if state._sorted or not state.by_key:  # Of nothing it is known without a search.
        _follow(after, state, {**put, **dict.fromkeys(drop)})
    return after


def _follow(
    after: MeshState, before: MeshState, changes: Mapping[ResourceKey, MeshResource | None]
) -> None:
    """Hand on what was found before, with the changes in it."""
    after._sorted.update(before._sorted)
    after._of.update(before._of)
    by_place: dict[tuple[str, str], dict[str, MeshResource | None]] = {}
    for key, resource in changes.items():
        by_place.setdefault((key.type, key.mesh), {})[key.name] = resource
    for (type_, mesh), changed in by_place.items():
        held = after._sorted.get(type_, {})
        after._sorted[type_] = {**held, mesh: held.get(mesh, NOTHING).changed(changed)}
        after._of.pop(type_, None)
