"""When a status is committed: at once, together, again, or never."""

from __future__ import annotations

from dataclasses import replace

from reconciler.steps.status_step import (
    Content,
    Push,
    Pushed,
    ReadTip,
    Refusal,
    Refused,
    Report,
    StatusSettings,
    StatusState,
    Tick,
    Tip,
    TipRead,
    WakeAt,
    Wanted,
    step,
)

ONE, TWO, THREE = (Content(name, {"ingress.yaml": name.encode()}) for name in ("1", "2", "3"))
SETTINGS = StatusSettings(
    backoff=lambda failures: 2.0**failures, coalesce_s=10, pushes_per_minute=0
)
NEW = StatusState(SETTINGS)
NOTHING_THERE = Tip(None, None)


def after(*events: object, state: StatusState = NEW) -> tuple[StatusState, tuple[object, ...]]:
    """State, and the effects of the last event."""
    effects: tuple[object, ...] = ()
    for event in events:
        state, effects = step(state, event)  # type: ignore[arg-type]
    return state, effects


def test_nothing_is_pushed_before_the_tip_was_read() -> None:
    state, effects = after(Wanted(ONE, 0))
    assert effects == (ReadTip(),)
    assert after(Wanted(TWO, 1), Tick(2), state=state)[1] == ()
    assert after(TipRead(NOTHING_THERE, 3), state=state)[1] == (Push(ONE, None),)


def test_a_tip_that_says_it_already_is_left_alone() -> None:
    state, effects = after(Wanted(ONE, 0), TipRead(Tip("a", "1"), 1))
    assert effects == ()
    assert after(Wanted(ONE, 2), Tick(99), state=state)[1] == ()


def test_nothing_is_read_before_something_is_wanted() -> None:
    assert after(Tick(0))[1] == ()


def test_first_change_at_once_and_the_following_ones_together() -> None:
    state, effects = after(Wanted(ONE, 0), TipRead(Tip("a", "0"), 1))
    assert effects == (Push(ONE, "a"),)
    state, effects = after(Pushed("b", 2), Wanted(TWO, 3), state=state)
    assert effects == (WakeAt(11),)
    state, effects = after(Wanted(THREE, 4), Tick(11), state=state)
    assert effects == (Push(THREE, "b"),)
    state, effects = after(Pushed("c", 12), Wanted(ONE, 40), state=state)
    assert effects == (Push(ONE, "c"),)


def test_a_change_during_a_push_follows_it() -> None:
    state, effects = after(Wanted(ONE, 0), TipRead(NOTHING_THERE, 0), Wanted(TWO, 0))
    assert effects == ()
    state, effects = after(Pushed("a", 1), state=state)
    assert effects == (WakeAt(10),)
    assert after(Tick(10), state=state)[1] == (Push(TWO, "a"),)


def test_a_change_taken_back_within_the_window_is_no_commit() -> None:
    pushed = after(Wanted(ONE, 0), TipRead(NOTHING_THERE, 0), Pushed("a", 1))[0]
    assert after(Wanted(TWO, 2), Wanted(ONE, 3), Tick(10), state=pushed)[1] == ()


def test_a_moved_ref_is_read_again_at_once_and_the_content_rebuilt_on_it() -> None:
    state, effects = after(
        Wanted(ONE, 0), TipRead(NOTHING_THERE, 0), Refused(Refusal.MOVED, "moved", 1)
    )
    assert effects == (ReadTip(),)
    assert after(TipRead(Tip("rival", "9"), 2), state=state)[1] == (Push(ONE, "rival"),)


def test_losing_again_and_again_waits_longer_each_time() -> None:
    state = after(Wanted(ONE, 0), TipRead(NOTHING_THERE, 0), Refused(Refusal.MOVED, "m", 0))[0]
    state, effects = after(TipRead(Tip("r", "9"), 0), Refused(Refusal.MOVED, "m", 0), state=state)
    assert effects == (Report("m"), WakeAt(4.0))
    state, effects = after(
        Tick(4), TipRead(Tip("s", "8"), 4), Refused(Refusal.MOVED, "m", 4), state=state
    )
    assert effects == (WakeAt(12.0),)


def test_a_push_that_may_have_happened_is_decided_by_the_tip() -> None:
    state, effects = after(
        Wanted(ONE, 0), TipRead(NOTHING_THERE, 0), Refused(Refusal.UNREACHABLE, "timeout", 1)
    )
    assert effects == (Report("timeout"), WakeAt(3.0))
    state, effects = after(Tick(3), state=state)
    assert effects == (ReadTip(),)
    state, effects = after(TipRead(Tip("mine", "1"), 4), state=state)
    assert effects == (Report(""),)
    assert state.failures == 0


def test_a_refusal_is_reported_once_and_its_end_too() -> None:
    down = Refused(Refusal.REJECTED, "protected branch", 0)
    state, effects = after(Wanted(ONE, 0), down)
    assert effects == (Report("protected branch"), WakeAt(2.0))
    state, effects = after(Tick(2), replace(down, now=2), state=state)
    assert effects == (WakeAt(6.0),)
    state, effects = after(Tick(6), TipRead(NOTHING_THERE, 6), Pushed("a", 7), state=state)
    assert effects == (Report(""),)


def test_the_budget_of_a_remote_holds_whatever_changes() -> None:
    settings = replace(SETTINGS, coalesce_s=0, pushes_per_minute=2)
    state = after(Wanted(ONE, 0), TipRead(NOTHING_THERE, 0), state=StatusState(settings))[0]
    state = after(Pushed("a", 1), Wanted(TWO, 5), Pushed("b", 6), state=state)[0]
    state, effects = after(Wanted(THREE, 7), state=state)
    assert effects == (WakeAt(60),)
    assert after(Tick(60), state=state)[1] == (Push(THREE, "b"),)
