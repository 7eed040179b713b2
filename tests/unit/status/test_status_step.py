"""When a status is committed: at once, together, again, or never."""

from __future__ import annotations

from dataclasses import replace

from reconciler.steps.status_state import (
    DAY_S,
    Change,
    Content,
    Failed,
    Flush,
    Push,
    Pushed,
    ReadTips,
    Refusal,
    Refused,
    Released,
    Report,
    StatusSettings,
    StatusState,
    Tick,
    Tip,
    TipsRead,
    WakeAt,
    Wanted,
)
from reconciler.steps.status_step import behind, step, window_s

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


def wanted(content: Content, now: float, zone: str = "east") -> Wanted:
    return Wanted(zone, content, now)


def read(tip: Tip | Refused, now: float, zone: str = "east") -> TipsRead:
    return TipsRead({zone: tip}, now)


def pushed(result: str | Refused, now: float, zone: str = "east") -> Pushed:
    return Pushed({zone: result}, now)


def failed(kind: Refusal, message: str, now: float) -> Failed:
    return Failed(Refused(kind, message), now)


def moved(now: float, text: str = "moved") -> Pushed:
    return pushed(Refused(Refusal.MOVED, text), now)


def changes(effects: tuple[object, ...]) -> dict[str, tuple[str, str | None]]:
    """Zone -> digest and parent of what is pushed."""
    (push,) = (e for e in effects if isinstance(e, Push))
    return {zone: (c.content.digest, c.parent) for zone, c in push.changes.items()}


def pushes(effects: tuple[object, ...], content: Content, parent: str | None) -> bool:
    return changes(effects) == {"east": (content.digest, parent)}


READ_EAST = ReadTips(("east",))


def test_nothing_is_pushed_before_the_tip_was_read() -> None:
    state, effects = after(wanted(ONE, 0))
    assert effects == (READ_EAST,)
    assert after(wanted(TWO, 1), Tick(2), state=state)[1] == ()
    assert pushes(after(read(NOTHING_THERE, 3), state=state)[1], ONE, None)


def test_a_tip_that_says_it_already_is_left_alone() -> None:
    state, effects = after(wanted(ONE, 0), read(Tip("a", "1"), 1))
    assert effects == ()
    assert after(wanted(ONE, 2), Tick(99), state=state)[1] == ()


def test_nothing_is_read_before_something_is_wanted() -> None:
    assert after(Tick(0))[1] == ()


def test_first_change_at_once_and_the_following_ones_together() -> None:
    state, effects = after(wanted(ONE, 0), read(Tip("a", "0"), 1))
    assert pushes(effects, ONE, "a")
    state, effects = after(pushed("b", 2), wanted(TWO, 3), state=state)
    assert effects == (WakeAt(11),)
    state, effects = after(wanted(THREE, 4), Tick(11), state=state)
    assert pushes(effects, THREE, "b")
    assert state.counters.coalesced == 1
    state, effects = after(pushed("c", 12), wanted(ONE, 40), state=state)
    assert pushes(effects, ONE, "c")
    assert (state.counters.pushes, state.counters.commits) == (3, 2)


def test_a_clock_that_is_put_back_holds_nothing_up() -> None:
    state = after(wanted(ONE, 1e9), read(NOTHING_THERE, 1e9), pushed("a", 1e9))[0]
    state, effects = after(wanted(TWO, 4.0), state=state)
    assert effects == (WakeAt(14.0),), "the window, as if it began now"
    state, effects = after(Tick(14.0), state=state)
    assert pushes(effects, TWO, "a")
    state, effects = after(failed(Refusal.UNREACHABLE, "no route", 15.0), state=state)
    assert effects[-1] == WakeAt(17.0)
    state, effects = after(Tick(1.0), state=state)
    assert effects == (WakeAt(3.0),)
    assert after(Tick(3.0), state=state)[1] == (READ_EAST,)


def test_a_change_during_a_push_follows_it() -> None:
    state, effects = after(wanted(ONE, 0), read(NOTHING_THERE, 0), wanted(TWO, 0))
    assert effects == ()
    state, effects = after(pushed("a", 1), state=state)
    assert effects == (WakeAt(10),)
    assert pushes(after(Tick(10), state=state)[1], TWO, "a")


def test_a_change_taken_back_within_the_window_is_no_commit() -> None:
    state = after(wanted(ONE, 0), read(NOTHING_THERE, 0), pushed("a", 1))[0]
    assert after(wanted(TWO, 2), wanted(ONE, 3), Tick(10), state=state)[1] == ()


def test_a_moved_ref_is_read_again_at_once_and_the_content_rebuilt_on_it() -> None:
    state, effects = after(wanted(ONE, 0), read(NOTHING_THERE, 0), moved(1))
    assert effects == (READ_EAST,)
    assert pushes(after(read(Tip("rival", "9"), 2), state=state)[1], ONE, "rival")


def test_losing_again_and_again_waits_longer_each_time() -> None:
    state = after(wanted(ONE, 0), read(NOTHING_THERE, 0), moved(0, "m"))[0]
    state, effects = after(read(Tip("r", "9"), 0), moved(0, "m"), state=state)
    assert effects == (Report("east", "m"), WakeAt(4.0))
    state, effects = after(Tick(4), read(Tip("s", "8"), 4), moved(4, "m"), state=state)
    assert effects == (WakeAt(12.0),)


def test_a_push_that_may_have_happened_is_decided_by_the_tip() -> None:
    state, effects = after(
        wanted(ONE, 0), read(NOTHING_THERE, 0), failed(Refusal.UNREACHABLE, "timeout", 1)
    )
    assert effects == (Report("", "timeout"), WakeAt(3.0))
    state, effects = after(Tick(3), state=state)
    assert effects == (READ_EAST,)
    state, effects = after(read(Tip("mine", "1"), 4), state=state)
    assert effects == (Report("", ""),)
    assert state.failures == 0


def test_reads_that_work_do_not_end_a_row_of_pushes_that_do_not() -> None:
    state = after(wanted(ONE, 0), read(NOTHING_THERE, 0), failed(Refusal.UNREACHABLE, "cut", 0))[0]
    state, effects = after(Tick(2), read(NOTHING_THERE, 2), state=state)
    assert pushes(effects, ONE, None)  # A retry waits for no window,
    effects = after(failed(Refusal.UNREACHABLE, "cut", 2), state=state)[1]
    assert effects == (WakeAt(6.0),)  # and longer each time.


def test_a_refusal_is_reported_once_and_its_end_too() -> None:
    down = Refused(Refusal.REJECTED, "protected branch")
    state, effects = after(wanted(ONE, 0), read(down, 0))
    assert effects == (Report("east", "protected branch"), WakeAt(2.0))
    state, effects = after(Tick(2), read(down, 2), state=state)
    assert effects == (WakeAt(6.0),)
    state, effects = after(Tick(6), read(NOTHING_THERE, 6), pushed("a", 7), state=state)
    assert effects == (Report("east", ""),)


# --- the budget and the window ---


def test_the_budget_of_a_remote_holds_whatever_changes() -> None:
    settings = replace(SETTINGS, coalesce_s=0, pushes_per_minute=2)
    state = after(wanted(ONE, 0), read(NOTHING_THERE, 0), state=StatusState(settings))[0]
    state = after(pushed("a", 1), wanted(TWO, 5), pushed("b", 6), state=state)[0]
    state, effects = after(wanted(THREE, 7), state=state)
    assert effects == (WakeAt(60),)
    assert pushes(after(Tick(60), state=state)[1], THREE, "b")


def with_service(digest: str, *reach: str) -> Content:
    return Content(digest, {}, reach=frozenset(reach))


def test_a_service_that_is_gone_does_not_wait_for_the_window() -> None:
    both, less, more = (
        with_service("2", "a", "b"),
        with_service("1", "a"),
        with_service("3", *"abc"),
    )
    state = after(wanted(both, 0), read(NOTHING_THERE, 0), pushed("x", 1))[0]
    assert after(wanted(more, 2), state=state)[1] == (WakeAt(10),)
    state, effects = after(wanted(less, 2), state=state)
    assert pushes(effects, less, "x")
    assert state.counters.urgent == 1


def test_what_is_urgent_has_the_last_token_of_a_minute_and_no_more() -> None:
    settings = replace(SETTINGS, coalesce_s=0, urgent_gap_s=0, pushes_per_minute=3)
    state = after(wanted(with_service("0", "a"), 0), read(NOTHING_THERE, 0), pushed("x", 0),
                  state=StatusState(settings))[0]  # fmt: skip
    state = after(wanted(with_service("1", "a", "b"), 1), pushed("y", 1), state=state)[0]
    assert after(wanted(with_service("2", *"abc"), 2), state=state)[1] == (WakeAt(60),)
    state, effects = after(wanted(with_service("3", "b"), 3), state=state)
    assert changes(effects) == {"east": ("3", "y")}
    state = after(pushed("z", 3), state=state)[0]
    assert after(wanted(with_service("4"), 4), state=state)[1] == (WakeAt(60),)


def test_the_window_grows_while_the_remote_is_slow_and_shrinks_again() -> None:
    state = after(wanted(ONE, 0), read(NOTHING_THERE, 0), pushed("a", 6))[0]
    assert window_s(state) == 20
    state = after(wanted(TWO, 20), pushed("b", 27), state=state)[0]
    assert window_s(state) == 40
    state = after(wanted(THREE, 60), pushed("c", 61), state=state)[0]
    assert window_s(state) == 20
    state = after(wanted(ONE, 200), state=state)[0]
    assert window_s(state) == 10


def test_the_window_grows_when_the_remote_asks_for_less_up_to_a_limit() -> None:
    state = after(wanted(ONE, 0), read(NOTHING_THERE, 0))[0]
    for now in range(10):
        events = failed(Refusal.THROTTLED, "429", now), Tick(99999), read(NOTHING_THERE, 99999)
        state = after(*events, state=state)[0]
    assert window_s(state) == 300
    assert state.counters.throttled == 10


def test_at_the_end_what_waits_for_its_window_goes_at_once() -> None:
    state = after(wanted(ONE, 0), read(NOTHING_THERE, 0), pushed("a", 1), wanted(TWO, 2))[0]
    assert pushes(after(Flush(3), state=state)[1], TWO, "a")


# --- several refs ---


def test_all_refs_that_changed_go_in_one_push() -> None:
    state, effects = after(wanted(ONE, 0, "east"))
    state = after(wanted(TWO, 0, "west"), wanted(THREE, 0, "north"), read(Tip("e", "1"), 1),
                  state=state)[0]  # fmt: skip
    assert state.reading == {"west", "north"}
    tips = {"west": NOTHING_THERE, "north": Tip("n", "0", number=4, began_at=1)}
    state, effects = after(TipsRead(tips, 2), state=state)
    assert changes(effects) == {"west": ("2", None), "north": ("3", "n")}
    assert state.pushing["north"] == Change(THREE, "n", 5, 1)
    assert state.counters.pushes == 1


def test_a_ref_that_is_refused_holds_up_no_other() -> None:
    state = after(wanted(ONE, 0, "east"), read(NOTHING_THERE, 0), pushed("e", 0))[0]
    state = after(wanted(TWO, 1, "west"), read(NOTHING_THERE, 1, "west"), state=state)[0]
    state = after(Tick(10), pushed(Refused(Refusal.REJECTED, "no"), 10, "west"), state=state)[0]
    state, effects = after(wanted(TWO, 20, "east"), state=state)
    assert effects == (READ_WEST,)
    state, effects = after(read(Refused(Refusal.REJECTED, "no"), 20, "west"), state=state)
    assert changes(effects) == {"east": ("2", "e")}
    assert set(behind(after(pushed("f", 21), state=state)[0])) == {"west"}


READ_WEST = ReadTips(("west",))


def test_a_ref_that_is_released_is_not_written_any_more() -> None:
    state = after(wanted(ONE, 0), read(NOTHING_THERE, 0), pushed("a", 1), wanted(TWO, 2))[0]
    assert after(Released("east"), Tick(99), state=state)[1] == ()
    pushing = after(wanted(ONE, 0), read(NOTHING_THERE, 0))[0]
    assert after(Released("east"), pushed("a", 1), state=pushing)[0].refs == {}


def test_only_the_latest_is_kept_while_the_remote_is_away() -> None:
    state = after(wanted(ONE, 0), failed(Refusal.UNREACHABLE, "away", 0))[0]
    for number in range(1000):
        state = after(wanted(Content(str(number), {}), 1), state=state)[0]
    ref = state.refs["east"]
    assert ref.wanted is not None
    assert ref.wanted.digest == "999"
    assert state.counters.coalesced == 1000
    state, effects = after(Tick(9), read(NOTHING_THERE, 9), state=state)
    assert changes(effects) == {"east": ("999", None)}


# --- another writer ---


def foreign(oid: str) -> Tip:
    return Tip(oid, "9", foreign="also written by 'Mallory'")


def test_another_writer_is_named_built_upon_and_told_of_until_it_is_quiet() -> None:
    state = after(wanted(ONE, 0), read(NOTHING_THERE, 0), pushed("a", 0), wanted(TWO, 20),
                  moved(20))[0]  # fmt: skip
    state, effects = after(read(foreign("r"), 20), state=state)
    assert Report("east", "also written by 'Mallory'") in effects
    assert changes(effects) == {"east": ("2", "r")}
    state, effects = after(pushed("b", 21), state=state)
    assert effects == ()
    effects = after(wanted(THREE, 40), pushed("c", 41), state=state)[1]
    assert effects == (Report("east", ""),)


def test_a_writer_that_goes_on_is_met_more_and_more_seldom() -> None:
    state, now, waits = after(wanted(ONE, 0), read(foreign("r0"), 0))[0], 0.0, []
    for number in range(1, 5):
        state = after(moved(now), state=state)[0]
        state, effects = after(Tick(now + 99), read(foreign(f"r{number}"), now + 99), state=state)
        now += 99
        (wake,) = (e for e in effects if isinstance(e, WakeAt))
        waits.append(wake.at - now)
        state, now = after(Tick(wake.at), state=state)[0], wake.at
        assert state.pushing
    assert waits == [4, 8, 16, 32]


# --- rollover ---

ROLLING = replace(SETTINGS, rollover_commits=100)
LONG = Tip("old", "0", number=100, began_at=0.0)


def rolling(tip: Tip, now: float, state: StatusState | None = None) -> Change:
    found = after(wanted(ONE, now), read(tip, now), state=state or StatusState(ROLLING))[0]
    return found.pushing["east"]


def test_a_long_history_begins_anew_at_most_once_a_day() -> None:
    assert rolling(LONG, DAY_S) == Change(ONE, "old", 1, DAY_S, rollover=True)
    assert not rolling(LONG, DAY_S - 1).rollover
    assert not rolling(replace(LONG, number=99), DAY_S).rollover
    assert not rolling(replace(LONG, foreign="Mallory's"), DAY_S).rollover
    never = StatusState(replace(ROLLING, rollover_commits=0))
    assert not rolling(LONG, 9 * DAY_S, never).rollover


def test_a_rollover_that_lost_its_race_is_given_up_for_a_day() -> None:
    state = after(wanted(ONE, DAY_S), read(LONG, DAY_S), state=StatusState(ROLLING))[0]
    state, effects = after(moved(DAY_S), read(LONG, DAY_S), state=state)
    assert state.pushing["east"] == Change(ONE, "old", 101, 0.0)
    assert pushes(effects, ONE, "old")


def test_a_server_that_refuses_it_turns_it_off_and_the_commit_goes_on_top() -> None:
    state = after(wanted(ONE, DAY_S), read(LONG, DAY_S), state=StatusState(ROLLING))[0]
    no = Refused(Refusal.NO_REWRITE, "denied")
    state, effects = after(pushed(no, DAY_S), state=state)
    assert effects == (Report("rollover", "denied"), WakeAt(DAY_S + 10))
    state = after(Tick(DAY_S + 10), state=state)[0]
    assert state.pushing["east"] == Change(ONE, "old", 101, 0.0)
    assert state.no_rollover == "denied"
    state = after(pushed("x", DAY_S + 11), state=state)[0]
    assert not rolling(LONG, 9 * DAY_S, replace(state, refs={})).rollover
