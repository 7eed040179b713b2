"""All mesh resources at one moment, and the difference between two moments.

The same type on global and zone. Law (held by a property test): `apply(state, diff(state, other))
== other`. An empty diff returns the same object, so identity tells later stages that nothing
changed.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rpds import HashTrieMap

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from reconciler.model.resource import MeshResource, ResourceKey


FOLLOWED_MAX = 64  # changes of one type


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

    Iterate only through `of`, which is sorted. What it found is remembered and handed on by
    `apply`: at 5,000 proxies a search for each event would take most of the loop.
    """

    by_key: HashTrieMap[ResourceKey, MeshResource] = field(default_factory=HashTrieMap)
    _of: dict[str, tuple[MeshResource, ...]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def get(self, key: ResourceKey) -> MeshResource | None:
        return self.by_key.get(key)

    def of(self, type_: str, mesh: str | None = None) -> tuple[MeshResource, ...]:
        """Resources of a type, of one mesh if named, sorted by key."""
        found = self._of.get(type_)
        if found is None:
            of_type = (r for k, r in self.by_key.items() if k.type == type_)
            found = self._of[type_] = tuple(sorted(of_type, key=_place))
        return found if mesh is None else tuple(r for r in found if r.key.mesh == mesh)

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
    after._of.update(_followed(state._of, put, drop))
    return after


def _place(resource: MeshResource) -> tuple[str, str]:
    """Sorts resources of one type as their keys do, at a tenth of the cost."""
    return resource.key.mesh, resource.key.name


def _followed(
    before: Mapping[str, tuple[MeshResource, ...]],
    put: Mapping[ResourceKey, MeshResource],
    drop: Iterable[ResourceKey],
) -> dict[str, tuple[MeshResource, ...]]:
    """What was found before, after a change. Of a type that changed much it is found anew."""
    changes: dict[str, dict[ResourceKey, MeshResource | None]] = {}
    for key in (*put, *drop):
        if key.type in before:
            changes.setdefault(key.type, {})[key] = put.get(key)
    found = dict(before)
    for type_, changed in changes.items():
        if len(changed) > FOLLOWED_MAX:
            del found[type_]
            continue
        of_type = list(found[type_])
        for key, resource in changed.items():
            at = bisect_left(of_type, (key.mesh, key.name), key=_place)
            known = at < len(of_type) and of_type[at].key == key
            of_type[at : at + known] = () if resource is None else (resource,)
        found[type_] = tuple(of_type)
    return found
