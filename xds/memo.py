"""Content-keyed results of builders: the argument is the key, so an entry can never be stale.

A result is found again as long as anybody holds it (a proxy's snapshot does), however many there
are; beyond that only the ones used last are kept, so that a change taken back costs nothing. What
no proxy runs any more therefore takes no lasting room.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import fields
from functools import cache
from operator import attrgetter
from typing import Any, Generic, TypeVar
from weakref import WeakValueDictionary

Argument = TypeVar("Argument", bound=Hashable)
Result = TypeVar("Result")


class Key:
    """Base of a frozen dataclass that is looked up often: its hash is computed once an object.

    A view's values hold others, down to the last principal of a permission; a dataclass would walk
    all of it whenever it is a key. Hashes of texts differ from process to process: this one is no
    field, and is neither compared nor copied.
    """

    __slots__ = ("_hash",)

    def __init_subclass__(cls) -> None:
        cls.__hash__ = Key.__hash__  # type: ignore[method-assign] # a dataclass keeps what is there

    def __hash__(self) -> int:
        found: int | None = getattr(self, "_hash", None)
        if found is None:
            kind: type = type(self)
            found = hash(_values(kind)(self))
            object.__setattr__(self, "_hash", found)
        return found

    def equals(self, other: Key) -> bool:
        """As ==; those that differ are told apart without a look at what they hold."""
        return self is other or (self.__hash__() == other.__hash__() and self == other)


@cache
def _values(kind: type) -> Callable[[Key], Any]:
    return attrgetter(*(field.name for field in fields(kind) if field.compare))


LARGE_BYTES = 8_192  # of a result
PARTS, PART_BYTES = 8, 512  # of a large one, that count as one result


def _weight(argument: object, result: object) -> int:
    """1 for most of them. A collection of a thousand takes 50 kB beside what is in it; a listener
    that answers a thousand names is made of as many values.
    """
    if isinstance(argument, tuple):
        return 1 + len(argument) // PARTS
    size = len(getattr(result, "entry", b""))
    return 1 + size // PART_BYTES if size > LARGE_BYTES else 1


class Memo(Generic[Argument, Result]):
    """`built` counts how often the builder really ran. Results must be weakly referable.

    Between `limit` and twice as many of the results used last are kept, in two generations: the old
    one goes when the young one is full. (A list in order of use would hash the argument twice.) A
    result that is much larger than others counts for more of them, so that few of those are kept.
    """

    def __init__(self, stage: str, build: Callable[[Argument], Result], limit: int) -> None:
        self.stage = stage
        self.limit = limit
        self.built = 0
        self._build = build
        self._weight = 0  # of the young
        self._young: dict[Argument, Result] = {}
        self._old: dict[Argument, Result] = {}
        self._held: WeakValueDictionary[Argument, Result] = WeakValueDictionary()

    def __call__(self, argument: Argument) -> Result:
        found = self._young.get(argument)
        if found is not None:
            return found
        found = self._old.get(argument)
        if found is None:
            found = self._held.get(argument)
        if found is None:
            found = self._build(argument)
            self.built += 1
            self._held[argument] = found
        if self._weight >= self.limit:
            self._old, self._young, self._weight = self._young, {}, 0
        self._young[argument] = found
        self._weight += _weight(argument, found)
        return found

    def forget(self) -> None:
        """Results that nobody holds."""
        self._young, self._old, self._weight = {}, {}, 0

    def __len__(self) -> int:
        """Results that would be found."""
        return len(self._held)
