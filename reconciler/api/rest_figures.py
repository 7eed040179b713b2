"""What the HTTP API counts of itself, and what it logs of those it turns away."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING

from reconciler.runtime.log import note

if TYPE_CHECKING:
    import logging
    from collections.abc import Mapping

SAID_EVERY_S = 60.0  # a line in the log about who is turned away


class ApiFigures:
    """`waiting` requests are computed or wait for a thread; all else counts since the start."""

    def __init__(self, log: logging.Logger) -> None:
        self.log = log
        self.waiting = 0
        self.busy = 0
        self.by_class: Counter[str] = Counter({"2xx": 0, "4xx": 0, "5xx": 0})
        self.by_reason: Counter[str] = Counter({"unauthenticated": 0, "forbidden": 0})
        self.seconds = 0.0
        self._said = -SAID_EVERY_S
        self._unsaid = 0

    @property
    def figures(self) -> Mapping[str, Mapping[str, float]]:
        return {
            "answers": self.by_class,
            "denied": {**self.by_reason, "busy": self.busy},
            "now": {"waiting": self.waiting, "seconds": self.seconds},
        }

    def answered(self, status: int, seconds: float) -> None:
        self.by_class[f"{status // 100}xx"] += 1
        self.seconds += seconds

    def denied(self, kind: str, peer: str, reason: str) -> None:
        """Anybody can make us log: once a minute, with how many there were."""
        self.by_reason[kind] += 1
        self._unsaid += 1
        now = time.monotonic()
        if now - self._said >= SAID_EVERY_S:
            note(self.log, "api.refused", peer=peer, reason=reason, count=self._unsaid)
            self._said, self._unsaid = now, 0
