"""What a step of the tour saw."""

from __future__ import annotations

from dataclasses import dataclass

EFFECT_TIMEOUT_S = 20.0


class NotSeen(Exception):
    """A step did not happen; the text says what was seen instead."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One row of the tour's table."""

    step: str
    what: str
    measured: str = ""
    ok: bool = True
