"""The resources of one type and mesh, sorted by name, in chunks that versions share. Pure.

A change copies one chunk. What differs between two versions is found by looking at the chunks they
do not share, so it costs nearly nothing to ask, however many resources there are.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from reconciler.model.resource import MeshResource

CHUNK = 64  # resources; at most twice as many
MANY = 8  # a change of one in so many is sorted anew as a whole

Chunk = tuple["MeshResource", ...]
Difference = tuple["MeshResource | None", "MeshResource | None"]  # before and after, not both None


@dataclass(frozen=True, slots=True, eq=False)
class Collection:
    chunks: tuple[Chunk, ...] = ()  # none is empty

    def __iter__(self) -> Iterator[MeshResource]:
        return chain.from_iterable(self.chunks)

    def __len__(self) -> int:
        return sum(map(len, self.chunks))

    def changed(self, changes: Mapping[str, MeshResource | None]) -> Collection:
        """By name what to put; None: to drop."""
        if MANY * len(changes) > len(self):
            found: dict[str, MeshResource | None] = {r.key.name: r for r in self}
            found.update(changes)
            return collected(r for r in found.values() if r is not None)
        chunks = list(self.chunks)
        for name, resource in changes.items():
            at = max(0, bisect_right(chunks, name, key=_first) - 1)
            chunks[at : at + 1] = _cut(_with(chunks[at] if chunks else (), name, resource))
        return Collection(tuple(chunks))


EMPTY = Collection()


def collected(resources: Iterable[MeshResource]) -> Collection:
    return Collection(tuple(_cut(tuple(sorted(resources, key=_name)))))


def differences(before: Collection, after: Collection) -> tuple[Difference, ...]:
    """What is not the same object in both, by name."""
    if before is after:
        return ()
    shared = set(map(id, before.chunks)).intersection(map(id, after.chunks))
    had, has = _unshared(before, shared), _unshared(after, shared)
    pairs = ((had.get(name), has.get(name)) for name in sorted(had.keys() | has.keys()))
    return tuple(pair for pair in pairs if pair[0] is not pair[1])


def _unshared(found: Collection, shared: set[int]) -> dict[str, MeshResource]:
    return {r.key.name: r for chunk in found.chunks if id(chunk) not in shared for r in chunk}


def _with(chunk: Chunk, name: str, resource: MeshResource | None) -> Chunk:
    at = bisect_left(chunk, name, key=_name)
    known = at < len(chunk) and _name(chunk[at]) == name
    return (*chunk[:at], *(() if resource is None else (resource,)), *chunk[at + known :])


def _cut(chunk: Chunk) -> tuple[Chunk, ...]:
    if len(chunk) <= 2 * CHUNK:
        return (chunk,) if chunk else ()
    return tuple(chunk[at : at + CHUNK] for at in range(0, len(chunk), CHUNK))


def _name(resource: MeshResource) -> str:
    return resource.key.name


def _first(chunk: Chunk) -> str:
    return chunk[0].key.name
