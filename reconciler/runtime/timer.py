"""One timer for all the moments that a step asks for."""

from __future__ import annotations

import asyncio
import heapq
import math
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

FARTHEST_S = 86_400.0  # asked again after that: a loop's clock takes no years
STEP_S = 0.005
FAR_S, FAR_STEPS = 1.0, 10  # what is so far away may come up to 50 ms late


class Moments:
    """Moments to wake at, in seconds since the epoch; those close together are one: later, never
    earlier. A thousand proxies that go within a second are waited for a thousand times, and looked
    at twenty times. Pure.
    """

    def __init__(self) -> None:
        self._steps: list[int] = []  # a heap
        self._known: set[int] = set()

    def __len__(self) -> int:
        return len(self._steps)

    def add(self, moment: float, now: float) -> None:
        found = _steps(moment, FAR_STEPS)
        if found in self._known:
            return  # One comes soon after it anyway.
        if moment - now < FAR_S:
            found = _steps(moment, 1)
        if found not in self._known:
            self._known.add(found)
            heapq.heappush(self._steps, found)

    @property
    def next(self) -> float | None:
        return self._steps[0] * STEP_S if self._steps else None

    def take(self, now: float) -> bool:
        """Whether some have come; they are gone."""
        due = False
        while self._steps and self._steps[0] * STEP_S <= now:
            self._known.discard(heapq.heappop(self._steps))
            due = True
        return due

    def clear(self) -> None:
        self._steps.clear()
        self._known.clear()


def _steps(moment: float, multiple: int) -> int:
    found = math.ceil(moment / (STEP_S * multiple)) * multiple
    # Rounded: whoever is ticked too early asks no more.
    return found if found * STEP_S >= moment else found + multiple


class Timer:
    """Calls `tick` with the time, once for all moments that have come: seconds since the epoch."""

    def __init__(self, tick: Callable[[float], None]) -> None:
        self._tick = tick
        self._moments = Moments()
        self._set_for: float | None = None
        self._handle: asyncio.TimerHandle | None = None

    def at(self, moment: float) -> None:
        self._moments.add(moment, time.time())
        if self._moments.next != self._set_for:
            self._set()

    def stop(self) -> None:
        self._moments.clear()
        self._set()

    def _set(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        self._set_for = found = self._moments.next
        if found is not None:
            delay = min(max(found - time.time(), 0.0), FARTHEST_S)
            self._handle = asyncio.get_running_loop().call_later(delay, self._due)

    def _due(self) -> None:
        now = time.time()
        self._handle = self._set_for = None
        try:
            if self._moments.take(now):
                self._tick(now)
        finally:  # Also after a fault of ours: what waits for its time would wait for ever.
            if self._handle is None:
                self._set()
