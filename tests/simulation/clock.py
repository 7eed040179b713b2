"""Virtual time: a heap of things to happen. Nothing in the simulation reads a real clock
or sleeps.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field

Action = Callable[[], None]


@dataclass
class SimClock:
    now: float = 1_800_000_000.0
    _sequence: int = 0
    _heap: list[tuple[float, int, Action]] = field(default_factory=list)

    def at(self, moment: float, action: Action) -> None:
        """Things of one moment happen in the order they were asked for."""
        self._sequence += 1
        heapq.heappush(self._heap, (max(moment, self.now), self._sequence, action))

    def after(self, delay_s: float, action: Action) -> None:
        self.at(self.now + delay_s, action)

    def run_until(self, moment: float) -> None:
        while self._heap and self._heap[0][0] <= moment:
            self.now, _, action = heapq.heappop(self._heap)
            action()
        self.now = max(self.now, moment)
