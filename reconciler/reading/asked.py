"""What is asked of `reading.ahead`: by how many processes, from which cache, and who is told."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from reconciler.reading.cache import Cache

PROCESSES_MAX = 4


def processes() -> int:
    """As many as there are cores for this process, within reason."""
    return min(PROCESSES_MAX, len(os.sched_getaffinity(0)))


def _nothing(_: int, __: int) -> None:
    pass


def _silent(_: str) -> None:
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Ahead:
    """`progress` is told how many of how many files are known; `told` why the cache was passed
    over.
    """

    processes: int
    cache: Cache | None = None
    program: str = ""  # whose results the cache holds
    progress: Callable[[int, int], None] = _nothing
    told: Callable[[str], None] = _silent
