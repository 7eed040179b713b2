"""Content-keyed results of builders: the argument is the key, so an entry can never be stale."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Argument = TypeVar("Argument", bound=Hashable)
Result = TypeVar("Result")


class Memo(Generic[Argument, Result]):
    """Least recently used entries go beyond `limit`; `built` counts how often the builder really
    ran.
    """

    def __init__(self, stage: str, build: Callable[[Argument], Result], limit: int) -> None:
        self.stage = stage
        self.limit = limit
        self.built = 0
        self._build = build
        self._held: OrderedDict[Argument, Result] = OrderedDict()

    def __call__(self, argument: Argument) -> Result:
        held = self._held
        found = held.get(argument)
        if found is not None:
            held.move_to_end(argument)
            return found
        found = self._build(argument)
        self.built += 1
        held[argument] = found
        if len(held) > self.limit:
            held.popitem(last=False)
        return found

    def __len__(self) -> int:
        return len(self._held)
