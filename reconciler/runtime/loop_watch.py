"""Measures how late the event loop is: the longest time it was held by one step."""

from __future__ import annotations

import asyncio

INTERVAL_S = 0.05


class LoopWatch:
    """`longest_ms` since the start; a timer that fires late tells by how much."""

    def __init__(self) -> None:
        self.longest_ms = 0.0
        self._handle: asyncio.TimerHandle | None = None

    def start(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time() + INTERVAL_S
        self._handle = loop.call_at(due, self._tick, due)

    def _tick(self, due: float) -> None:
        late_ms = (asyncio.get_running_loop().time() - due) * 1000
        self.longest_ms = max(self.longest_ms, round(late_ms, 1))
        self.start()

    def stop(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
