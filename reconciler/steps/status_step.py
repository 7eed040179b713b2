"""When status is committed: a pure step between what zones want to say and what their refs say.

    Wanted ──▶ nothing known of the ref: ReadTips, once
           ──▶ the ref says the same: nothing, so a quiet world makes no commit
           ──▶ otherwise Push on the tip that was read: the first change at once, what follows it
               within the window together, never more often than the budget of the remote
    refused ─▶ read the tip again, rebuild on it, retry; waits grow

Before a tip was read nothing is pushed: a ref that was not read is not an empty one. A push whose
outcome is unknown is treated as refused: the tip decides. One push or read is under way at a time,
for all refs that need one. Of a ref only the latest content is kept, however long Git is away.

The budget is one token a push, which comes back a minute later: no minute ever sees more. With
three or more, the last is kept for what is urgent. The window doubles while the remote is slow or
asks for less, and halves with each push that is neither.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from reconciler.steps.status_state import (
    Change,
    Content,
    Effect,
    Effects,
    Event,
    Failed,
    Flush,
    Outcome,
    Push,
    Pushed,
    ReadTips,
    RefState,
    Refusal,
    Refused,
    Released,
    Report,
    StatusState,
    Tick,
    Tip,
    TipsRead,
    WakeAt,
    Wanted,
)
from xds.copying import replace

if TYPE_CHECKING:
    from collections.abc import Mapping

MINUTE_S = 60.0
BUDGET_WITH_RESERVE = 3  # from here on the last token of a minute is for what is urgent
WINDOW_STEP_S = 1.0  # what a window of nothing grows from


def step(state: StatusState, event: Event) -> Outcome:
    if not isinstance(event, Released):
        state = _at(state, event.now)
    match event:
        case Wanted(zone, content, now):
            return _decide(_wanted(state, zone, content, now), now)
        case Released(zone):
            return replace(state, refs={z: r for z, r in state.refs.items() if z != zone}), ()
        case TipsRead(tips, now):
            return _tips_read(state, tips, now)
        case Pushed(results, now):
            return _pushed(state, results, now)
        case Failed(refused, now):
            return _failed(state, refused, now)
        case Flush(now):
            return _decide(replace(state, flushing=True), now)
        case Tick(now):
            return _decide(state, now)
        case _:
            assert_never(event)


def behind(state: StatusState) -> dict[str, RefState]:
    """Refs that do not say what they shall, or of which that is not known."""
    return {
        zone: ref
        for zone, ref in state.refs.items()
        if ref.wanted is not None and (ref.tip is None or ref.tip.digest != ref.wanted.digest)
    }


def window_s(state: StatusState) -> float:
    """The time within which changes go together, as it is now."""
    return state.settings.coalesce_s if state.window_s is None else state.window_s


def _at(state: StatusState, now: float) -> StatusState:
    """A clock that is put back takes all moments with it: what was a minute away stays that."""
    back = state.seen - now
    if back > 0:
        refs = {
            zone: replace(
                ref,
                retry_at=ref.retry_at - back,
                rolled_at=None if ref.rolled_at is None else ref.rolled_at - back,
            )
            for zone, ref in state.refs.items()
        }
        pushes = tuple(at - back for at in state.pushes)
        state = replace(state, refs=refs, pushes=pushes, retry_at=state.retry_at - back)
    return replace(state, seen=now)


# --- what came in ---


def _wanted(state: StatusState, zone: str, content: Content, now: float) -> StatusState:
    ref = state.refs.get(zone, RefState())
    waiting = zone in behind(state) and zone not in state.pushing
    if waiting and ref.wanted is not None and ref.wanted.digest != content.digest:
        state = _count(state, coalesced=1)
    if state.pushes and now - state.pushes[-1] > 2 * window_s(state):
        state = replace(state, window_s=None)  # idle: whatever was too much is over
    return replace(state, refs={**state.refs, zone: replace(ref, wanted=content)})


def _tips_read(state: StatusState, tips: Mapping[str, Tip | Refused], now: float) -> Outcome:
    state = replace(state, reading=frozenset())
    told: Effects = ()
    for zone, found in tips.items():
        if zone in state.refs:
            state, more = _tip_read(state, zone, found, now)
            told += more
    # A read that worked ends no row of pushes that did not, but where none is needed.
    state, recovered = (state, ()) if behind(state) else _remote_answers(state)
    state, effects = _decide(state, now)
    return state, (*recovered, *told, *effects)


def _tip_read(state: StatusState, zone: str, found: Tip | Refused, now: float) -> Outcome:
    if isinstance(found, Refused):
        return _ref_refused(state, zone, found, now)
    ref = replace(state.refs[zone], tip=found)
    if found.foreign:
        # The first is answered at once. Whoever goes on is another writer, and no race is won by
        # writing faster.
        rivals = ref.rivals + 1
        wait_s = state.settings.backoff(rivals) if rivals > 1 else 0.0
        ref = replace(ref, rivals=rivals, retry_at=max(ref.retry_at, now + wait_s))
        state = _count(state, rivals=1)
        return _tell(state, zone, ref, found.foreign)
    return _settled(state, zone, ref) if _is_there(ref) else (_with(state, zone, ref), ())


def _pushed(state: StatusState, results: Mapping[str, str | Refused], now: float) -> Outcome:
    assert state.pushing, "a push that was never asked for"
    changes, started = state.pushing, state.pushes[-1]
    state = replace(state, pushing={})
    state = _window_after(state, slow=now - started > state.settings.slow_push_s)
    told: Effects = ()
    for zone, result in results.items():
        if zone not in state.refs:
            continue
        if isinstance(result, Refused):
            state, more = _push_refused(state, zone, result, now)
        else:
            state, more = _ref_pushed(state, zone, changes[zone], result)
        told += more
    state, recovered = _remote_answers(state)
    state, effects = _decide(state, now)
    return state, (*recovered, *told, *effects)


def _ref_pushed(state: StatusState, zone: str, change: Change, oid: str) -> Outcome:
    ref, content = state.refs[zone], change.content
    tip = Tip(oid, content.digest, content.reach, change.number, change.began_at)
    over_rival = ref.tip is not None and bool(ref.tip.foreign)
    state = _count(state, commits=1, rollovers=int(change.rollover))
    ref = replace(ref, tip=tip, failures=0)
    if over_rival:  # Stays told until one of ours follows on one of ours.
        return _with(state, zone, ref), ()
    return _settled(state, zone, replace(ref, rivals=0))


def _push_refused(state: StatusState, zone: str, refused: Refused, now: float) -> Outcome:
    if refused.kind is not Refusal.NO_REWRITE:
        return _ref_refused(state, zone, refused, now)
    # Nothing moved: the same goes on top of the history as it is, and from now on always.
    state = _count(replace(state, no_rollover=refused.message), refused=1)
    return state, (Report("rollover", refused.message),)


def _failed(state: StatusState, refused: Refused, now: float) -> Outcome:
    """Of a push nobody knows whether it happened: the tips are read again before the next."""
    state = _count(state, refused=1)
    refs = {
        zone: replace(ref, tip=None) if zone in state.pushing else ref
        for zone, ref in state.refs.items()
    }
    failures = state.failures + 1
    if refused.kind is Refusal.THROTTLED:
        state = _window_after(_count(state, throttled=1), slow=True)
    state = replace(
        state,
        refs=refs,
        reading=frozenset(),
        pushing={},
        failures=failures,
        retry_at=now + state.settings.backoff(failures),
    )
    told: Effects = ()
    if refused.message != state.reported:
        state = replace(state, reported=refused.message)
        told = (Report("", refused.message),)
    state, effects = _decide(state, now)
    return state, (*told, *effects)


def _ref_refused(state: StatusState, zone: str, refused: Refused, now: float) -> Outcome:
    """The tip is read again: at once after the first lost race, after a wait otherwise."""
    state = _count(state, refused=1)
    if refused.kind is Refusal.THROTTLED:
        state = _window_after(_count(state, throttled=1), slow=True)
    ref = state.refs[zone]
    failures = ref.failures + 1
    at_once = refused.kind is Refusal.MOVED and failures == 1
    wait_s = 0.0 if at_once else state.settings.backoff(failures)
    ref = replace(ref, tip=None, failures=failures, retry_at=now + wait_s)
    return (_with(state, zone, ref), ()) if at_once else _tell(state, zone, ref, refused.message)


# --- telling ---


def _remote_answers(state: StatusState) -> Outcome:
    state = replace(state, failures=0, retry_at=0.0)
    if not state.reported:
        return state, ()
    return replace(state, reported=""), (Report("", ""),)


def _tell(state: StatusState, zone: str, ref: RefState, message: str) -> Outcome:
    if message == ref.reported:
        return _with(state, zone, ref), ()
    return _with(state, zone, replace(ref, reported=message)), (Report(zone, message),)


def _settled(state: StatusState, zone: str, ref: RefState) -> Outcome:
    """The ref says what was wanted of it, and nobody else wrote it."""
    return _tell(state, zone, replace(ref, failures=0, retry_at=0.0), "")


def _is_there(ref: RefState) -> bool:
    return ref.wanted is not None and ref.tip is not None and ref.wanted.digest == ref.tip.digest


def _with(state: StatusState, zone: str, ref: RefState) -> StatusState:
    return replace(state, refs={**state.refs, zone: ref})


def _count(state: StatusState, **more: int) -> StatusState:
    found = {name: getattr(state.counters, name) + number for name, number in more.items()}
    return replace(state, counters=replace(state.counters, **found))


def _window_after(state: StatusState, *, slow: bool) -> StatusState:
    settings, window = state.settings, window_s(state)
    if slow:
        window = min(2 * max(window, WINDOW_STEP_S), settings.coalesce_max_s)
        return replace(state, window_s=max(window, settings.coalesce_s))
    return replace(state, window_s=max(window / 2, settings.coalesce_s))


# --- what to do ---


def _decide(state: StatusState, now: float) -> Outcome:
    """The one place that starts work."""
    if state.reading or state.pushing:
        return state, ()
    late = behind(state)
    if not late:
        return state, ()
    if now < state.retry_at:
        return state, (WakeAt(state.retry_at),)
    ready = {zone: ref for zone, ref in late.items() if now >= ref.retry_at}
    later = [ref.retry_at for zone, ref in late.items() if zone not in ready]
    if not ready:
        return state, (WakeAt(min(later)),)
    unread = tuple(sorted(zone for zone, ref in ready.items() if ref.tip is None))
    if unread:
        return replace(state, reading=frozenset(unread)), (ReadTips(unread),)
    urgent = any(map(_is_urgent, ready.values()))
    due = _push_due(state, ready, urgent=urgent)
    if now < due:
        return state, (WakeAt(min((due, *later))),)
    return _push(state, ready, now, urgent=urgent, later=later)


def _push(
    state: StatusState,
    ready: Mapping[str, RefState],
    now: float,
    *,
    urgent: bool,
    later: list[float],
) -> Outcome:
    changes = {zone: _change(state, ref, now) for zone, ref in sorted(ready.items())}
    rolled = {
        zone: replace(ready[zone], rolled_at=now) for zone, c in changes.items() if c.rollover
    }
    early = urgent and bool(state.pushes) and now < state.pushes[-1] + window_s(state)
    recent = tuple(at for at in state.pushes if at > now - MINUTE_S)
    state = replace(
        _count(state, pushes=1, urgent=int(early)),
        refs={**state.refs, **rolled},
        pushing=changes,
        pushes=(*recent, now),
    )
    wake: tuple[Effect, ...] = (WakeAt(min(later)),) if later else ()
    return state, (Push(changes), *wake)


def _change(state: StatusState, ref: RefState, now: float) -> Change:
    tip, wanted = ref.tip, ref.wanted
    assert tip is not None
    assert wanted is not None
    if tip.oid is None:
        return Change(wanted, None, 1, now)
    if _may_roll_over(state, ref, tip, now):
        return Change(wanted, tip.oid, 1, now, rollover=True)
    return Change(wanted, tip.oid, tip.number + 1, tip.began_at)


def _may_roll_over(state: StatusState, ref: RefState, tip: Tip, now: float) -> bool:
    """A long history of ours, at most once a day and ref, whatever becomes of it."""
    settings = state.settings
    if not settings.rollover_commits or state.no_rollover or tip.foreign:
        return False
    since = max(tip.began_at, ref.rolled_at or 0.0)
    return tip.number >= settings.rollover_commits and now - since >= settings.rollover_every_s


def _is_urgent(ref: RefState) -> bool:
    """Something that others can reach according to Git is gone."""
    if ref.tip is None or ref.wanted is None or ref.tip.reach is None or ref.wanted.reach is None:
        return False
    return not ref.tip.reach <= ref.wanted.reach


def _push_due(state: StatusState, ready: Mapping[str, RefState], *, urgent: bool) -> float:
    """Earliest time of the next push: after the window, and within the budget."""
    pushes, settings = state.pushes, state.settings
    # A push that was refused wrote nothing: its retry waits for no window.
    retry = bool(state.failures) or all(ref.failures for ref in ready.values())
    gap_s = min(settings.urgent_gap_s, window_s(state)) if urgent else window_s(state)
    window = 0.0 if not pushes or retry or state.flushing else pushes[-1] + gap_s
    budget = settings.pushes_per_minute
    if budget >= BUDGET_WITH_RESERVE and not (urgent or state.flushing):
        budget -= 1
    spent = pushes[-budget] + MINUTE_S if 0 < budget <= len(pushes) else 0.0
    return max(window, spent)
