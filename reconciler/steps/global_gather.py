"""After a loss of its store the global gathers before it relays: absence is not emptiness.

What zones give to each other comes again with each of them, and in part from their status refs; a
zone that is told earlier would take for gone what is merely not known yet. So the relayed types
are not answered at first: everybody keeps what it has. Policies come from Git and do not wait. No
end comes earlier when the known zones have spoken: there may be others.
"""

from __future__ import annotations

from reconciler.kds.types import RELAYED_TYPES
from reconciler.steps import global_slices
from reconciler.steps.global_state import GlobalState, KeepMadeGood, Note, Outcome, WakeAt
from xds.copying import replace


def begun(state: GlobalState, *, lost: bool) -> Outcome:
    """At start."""
    if not lost:
        return state, ()
    return replace(state, gathering=True), (Note("zones.gathering", {}),)


def zone_opened(state: GlobalState, now: float) -> Outcome:
    """The time begins with the first zone: before, none could have come."""
    if not state.gathering or state.gathers_until is not None:
        return state, ()
    until = now + state.settings.gather_s
    return replace(state, gathers_until=until), (WakeAt(until),)


def tick(state: GlobalState, now: float) -> Outcome:
    if not state.gathering or state.gathers_until is None or now < state.gathers_until:
        return state, ()
    state = replace(state, gathering=False, gathers_until=None)
    told = (KeepMadeGood(), Note("zones.gathered", {"zones": sorted(state.zones)}))
    state, due = global_slices.owe(state, RELAYED_TYPES)
    return state, (*told, *due)
