"""Measures how long the event loop is held: the time of each of its turns.

A turn is everything that runs between two looks at the sockets, so its length is what everybody
else waits for. Nothing is polled: an idle process stays idle.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

STALL_MS = 10.0  # what a turn may take


class LoopWatch:
    """Since `start`: the longest turn, and how many took over STALL_MS."""

    def __init__(self) -> None:
        self.longest_ms = 0.0
        self.stalls = 0
        self._restore: Callable[[], None] | None = None

    def start(self) -> None:
        """Of the running loop. A loop without a selector of its own is not watched."""
        selector = getattr(asyncio.get_running_loop(), "_selector", None)
        if selector is None or self._restore is not None:
            return
        select = selector.select
        began = time.perf_counter()

        def watched(timeout: float | None = None) -> object:
            nonlocal began
            self._note((time.perf_counter() - began) * 1000)
            try:
                return select(timeout)
            finally:
                began = time.perf_counter()

        selector.select = watched
        self._restore = lambda: setattr(selector, "select", select)

    def _note(self, turn_ms: float) -> None:
        if turn_ms > STALL_MS:
            self.stalls += 1
        if turn_ms > self.longest_ms:
            self.longest_ms = round(turn_ms, 1)

    def stop(self) -> None:
        if self._restore is not None:
            self._restore()
            self._restore = None
