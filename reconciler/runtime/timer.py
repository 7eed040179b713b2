"""One timer for all the moments that a step asks for."""

from __future__ import annotations

import asyncio
import heapq
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

FARTHEST_S = 86_400.0  # asked again after that: a loop's clock takes no years


class Timer:
    """Calls `tick` with the time, once for all moments that have come: seconds since the epoch."""

    def __init__(self, tick: Callable[[float], None]) -> None:
        self._tick = tick
        self._moments: list[float] = []
        self._handle: asyncio.TimerHandle | None = None

    def at(self, moment: float) -> None:
        if moment not in self._moments:
            heapq.heappush(self._moments, moment)
        if self._moments[0] == moment:
            self._set()

    def stop(self) -> None:
        self._moments.clear()
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _set(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
        delay = min(max(self._moments[0] - time.time(), 0.0), FARTHEST_S)
        self._handle = asyncio.get_running_loop().call_later(delay, self._due)

    def _due(self) -> None:
        self._handle = None
        now, due = time.time(), False
        while self._moments and self._moments[0] <= now:
            heapq.heappop(self._moments)
            due = True
        try:
            if due:
                self._tick(now)
        finally:  # Also after a fault of ours: what waits for its time would wait for ever.
            if self._moments and self._handle is None:
                self._set()
