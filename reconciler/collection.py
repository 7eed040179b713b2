"""The things of one kind (the resources of one type and mesh), sorted by name, in chunks that
versions share. Pure.

A change copies one chunk. What differs between two versions is found by looking at the chunks they
do not share, so it costs nearly nothing to ask, however many things there are.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from operator import attrgetter
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from reconciler.model.resource import MeshResource

CHUNK = 64  # things; at most twice as many
MANY = 8  # a change of one in so many is sorted anew as a whole

T = TypeVar("T")
Name = Callable[[T], str]
Pair = tuple[T | None, T | None]  # before and after, not both None
Difference = tuple["MeshResource | None", "MeshResource | None"]


@dataclass(frozen=True, slots=True, eq=False)
class Sorted(Generic[T]):
    name: Name[T]
    chunks: tuple[tuple[T, ...], ...] = ()  # none is empty

    def __iter__(self) -> Iterator[T]:
        return chain.from_iterable(self.chunks)

    def __len__(self) -> int:
        return sum(map(len, self.chunks))

    def get(self, name: str) -> T | None:
        chunk = self.chunks[self._at(self.chunks, name)] if self.chunks else ()
        at = bisect_left(chunk, name, key=self.name)
        return chunk[at] if at < len(chunk) and self.name(chunk[at]) == name else None

    def changed(self, changes: Mapping[str, T | None]) -> Sorted[T]:
        """By name what to put; None: to drop."""
        if MANY * len(changes) > len(self):
            found: dict[str, T | None] = {self.name(thing): thing for thing in self}
            found.update(changes)
            return self.of(thing for thing in found.values() if thing is not None)
        chunks = list(self.chunks)
        for name, thing in changes.items():
            at = self._at(chunks, name)
            chunks[at : at + 1] = _cut(self._with(chunks[at] if chunks else (), name, thing))
        return Sorted(self.name, tuple(chunks))

    def of(self, things: Iterable[T]) -> Sorted[T]:
        """Exactly these."""
        return Sorted(self.name, _cut(tuple(sorted(things, key=self.name))))

    def unshared(self, other: Sorted[T]) -> list[tuple[T, ...]]:
        """The chunks that the other one does not have."""
        shared = set(map(id, other.chunks))
        return [chunk for chunk in self.chunks if id(chunk) not in shared]

    def _at(self, chunks: tuple[tuple[T, ...], ...] | list[tuple[T, ...]], name: str) -> int:
        """The chunk that the name belongs to."""
        return max(0, bisect_right(chunks, name, key=lambda chunk: self.name(chunk[0])) - 1)

    def _with(self, chunk: tuple[T, ...], name: str, thing: T | None) -> tuple[T, ...]:
        at = bisect_left(chunk, name, key=self.name)
        known = at < len(chunk) and self.name(chunk[at]) == name
        return (*chunk[:at], *(() if thing is None else (thing,)), *chunk[at + known :])


Collection = Sorted["MeshResource"]
EMPTY: Collection = Sorted(attrgetter("key.name"))


def collected(resources: Iterable[MeshResource]) -> Collection:
    return EMPTY.of(resources)


def differences(before: Sorted[T], after: Sorted[T]) -> tuple[Pair[T], ...]:
    """What is not the same object in both, by name."""
    if before is after:
        return ()
    name = after.name
    had = {name(thing): thing for thing in chain.from_iterable(before.unshared(after))}
    has = {name(thing): thing for thing in chain.from_iterable(after.unshared(before))}
    pairs = ((had.get(name), has.get(name)) for name in sorted(had.keys() | has.keys()))
    return tuple(pair for pair in pairs if pair[0] is not pair[1])


def _cut(chunk: tuple[T, ...]) -> tuple[tuple[T, ...], ...]:
    if len(chunk) <= 2 * CHUNK:
        return (chunk,) if chunk else ()
    return tuple(chunk[at : at + CHUNK] for at in range(0, len(chunk), CHUNK))
