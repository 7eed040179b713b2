"""When a zone commits its status: a pure step between what it wants to say and what its ref says.

    Wanted ──▶ nothing known of the ref: ReadTip, once
           ──▶ the ref says the same: nothing, so a quiet world makes no commit
           ──▶ otherwise Push on the tip that was read: the first change at once, what follows it
               within `coalesce_s` together, never more often than the budget of the remote
    Refused ─▶ read the tip again, rebuild on it, retry; waits grow

Before the tip was read nothing is pushed: a ref that was not read is not an empty one. A push whose
outcome is unknown is treated as refused: the tip decides. One push or read is under way at a time.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, assert_never

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

WINDOW_S = 60.0

# --- settings and state ---


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusSettings:
    """`pushes_per_minute` 0: no budget (a local repository)."""

    backoff: Callable[[int], float]  # failures in a row -> seconds to wait
    coalesce_s: float = 10.0
    pushes_per_minute: int = 6


@dataclass(frozen=True, slots=True)
class Content:
    """What the ref shall say. `digest` is `files_digest(files)`; `message` goes on the commit."""

    digest: str
    files: Mapping[str, bytes]
    message: str = ""


@dataclass(frozen=True, slots=True)
class Tip:
    """The ref as read: None, None when it does not exist."""

    oid: str | None
    digest: str | None


@dataclass(frozen=True, slots=True)
class StatusState:
    settings: StatusSettings
    wanted: Content | None = None
    tip: Tip | None = None  # None: not read
    reading: bool = False
    pushing: Content | None = None
    pushes: tuple[float, ...] = ()  # starts of pushes within the budget's window, oldest first
    retry_at: float = 0.0
    failures: int = 0  # in a row
    reported: str = ""  # the failure last reported; "" when all is well


# --- events ---


@dataclass(frozen=True, slots=True)
class Wanted:
    content: Content
    now: float


@dataclass(frozen=True, slots=True)
class TipRead:
    """Answers ReadTip."""

    tip: Tip
    now: float


@dataclass(frozen=True, slots=True)
class Pushed:
    """Answers Push: the ref is at this commit."""

    oid: str
    now: float


class Refusal(StrEnum):
    MOVED = "moved"  # someone else wrote the ref
    UNREACHABLE = "unreachable"  # may have happened or not
    REJECTED = "rejected"  # a person must change something


@dataclass(frozen=True, slots=True)
class Refused:
    """Answers ReadTip or Push."""

    kind: Refusal
    message: str
    now: float


@dataclass(frozen=True, slots=True)
class Tick:
    now: float


Event = Wanted | TipRead | Pushed | Refused | Tick

# --- effects ---


@dataclass(frozen=True, slots=True)
class ReadTip:
    """Read the ref; answered by TipRead or Refused."""


@dataclass(frozen=True, slots=True)
class Push:
    """Commit these files on `parent` (None: a root) and move the ref if it is still there."""

    content: Content
    parent: str | None


@dataclass(frozen=True, slots=True)
class WakeAt:
    """Deliver Tick at this time, or later."""

    at: float


@dataclass(frozen=True, slots=True)
class Report:
    """For people: why status commits do not get through; "" when they do again."""

    message: str


Effect = ReadTip | Push | WakeAt | Report
Outcome = tuple[StatusState, tuple[Effect, ...]]


def step(state: StatusState, event: Event) -> Outcome:
    match event:
        case Wanted(content, now):
            return _decide(replace(state, wanted=content), now)
        case TipRead(tip, now):
            return _recovered(replace(state, tip=tip, reading=False), now)
        case Pushed(oid, now):
            return _pushed(state, oid, now)
        case Refused():
            return _refused(state, event)
        case Tick(now):
            return _decide(state, now)
        case _:
            assert_never(event)


def _pushed(state: StatusState, oid: str, now: float) -> Outcome:
    assert state.pushing is not None, "a push that was never asked for"
    tip = Tip(oid, state.pushing.digest)
    return _recovered(replace(state, tip=tip, pushing=None, failures=0), now)


def _recovered(state: StatusState, now: float) -> Outcome:
    """Something worked. Only a push, or a tip that needs none, ends a row of failures."""
    wanted, tip = state.wanted, state.tip
    if wanted is not None and tip is not None and wanted.digest == tip.digest:
        state = replace(state, failures=0)
    told: tuple[Effect, ...] = ()
    if state.reported and state.failures == 0:
        state, told = replace(state, reported=""), (Report(""),)
    state, effects = _decide(state, now)
    return state, (*told, *effects)


def _refused(state: StatusState, event: Refused) -> Outcome:
    """The tip is read again: at once after the first lost race, after a wait otherwise."""
    failures = state.failures + 1
    at_once = event.kind is Refusal.MOVED and failures == 1
    wait_s = 0.0 if at_once else state.settings.backoff(failures)
    told: tuple[Effect, ...] = ()
    if not at_once and event.message != state.reported:
        state, told = replace(state, reported=event.message), (Report(event.message),)
    state = replace(
        state,
        tip=None,
        reading=False,
        pushing=None,
        failures=failures,
        retry_at=event.now + wait_s,
    )
    state, effects = _decide(state, event.now)
    return state, (*told, *effects)


def _decide(state: StatusState, now: float) -> Outcome:
    """The one place that starts work."""
    wanted, tip = state.wanted, state.tip
    if wanted is None or state.reading or state.pushing is not None:
        return state, ()
    if now < state.retry_at:
        return state, (WakeAt(state.retry_at),)
    if tip is None:
        return replace(state, reading=True), (ReadTip(),)
    if wanted.digest == tip.digest:
        return state, ()
    due = _push_due(state)
    if now < due:
        return state, (WakeAt(due),)
    recent = tuple(at for at in state.pushes if at > now - WINDOW_S)
    state = replace(state, pushing=wanted, pushes=(*recent, now))
    return state, (Push(wanted, tip.oid),)


def _push_due(state: StatusState) -> float:
    """Earliest time of the next push: after the coalescing window, and within the budget."""
    pushes, budget = state.pushes, state.settings.pushes_per_minute
    # A push that was refused wrote nothing: its retry waits for no window.
    window = pushes[-1] + state.settings.coalesce_s if pushes and not state.failures else 0.0
    spent = pushes[-budget] + WINDOW_S if 0 < budget <= len(pushes) else 0.0
    return max(window, spent)
