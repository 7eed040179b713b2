"""After a loss of its store a zone gathers before it speaks: absence is not emptiness.

It knows nothing of its proxies, or of other zones, although they are there. What it published now
would take its services from the others; what it pushed now would take endpoints from its proxies.
So proxies are admitted and nothing is sent, until those that live had the time to come back; then
everything goes at once. A zone that is new has lost nothing and waits for nobody.

    policies lost           until the global gave them again, however long: without them no proxy
                            can be admitted
    proxies lost            from then on `reconnect_gather_s`, longer while proxies still return
    other zones' lost       until the global told them, within `relayed_gather_s`
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from reconciler.steps import zone_report, zone_services
from reconciler.steps.zone_state import (
    BuildSoon,
    Effects,
    Gathering,
    Note,
    Outcome,
    PersistMadeGood,
    WakeAt,
    ZoneState,
)
from xds.copying import replace
from xds.resource import LISTENER

if TYPE_CHECKING:
    from xds.discovery import DeltaRequest

QUIET_S = 5.0  # without another return
LONGEST = 1.5  # times the time to gather


def begun(state: ZoneState, lost: frozenset[str], now: float) -> Outcome:
    """At start; the state holds what the disk still has."""
    if not lost:
        return state, ()
    state = replace(state, gathering=Gathering(lost))
    note = Note("zone.gathering", {"lost": sorted(lost)})
    state, wakes = policies_in(state, now)
    return state, (note, *wakes)


def policies_in(state: ZoneState, now: float) -> Outcome:
    """Proxies can be admitted from here on."""
    found = state.gathering
    if found is None or found.since is not None or not state.policy.by_key:
        return state, ()
    return _waiting(replace(state, gathering=replace(found, since=now)), now)


def returned(state: ZoneState, now: float) -> ZoneState:
    """A proxy came back, with what it holds."""
    if state.gathering is None:
        return state
    return replace(state, gathering=replace(state.gathering, returned=now))


def brings(request: DeltaRequest) -> bool:
    """Whether a first request for listeners says that the proxy has some: then it listens."""
    held = bool(request.initial_versions or (request.wanted is not None and request.version))
    return request.type_url == LISTENER and not request.nonce and held


def due(state: ZoneState, now: float) -> Outcome:
    """Everything at once when the time has come; otherwise when to look again. What the zone says
    of itself does not wait for others: a global that lost its store waits for it.
    """
    found = state.gathering
    if found is None or found.since is None:
        return state, ()
    effects: Effects = ()
    if not found.told and now >= _own_until(state, found):
        state, effects = _publishes(replace(state, gathering=replace(found, told=True)), now)
    if now < _until(state, found):
        state, wakes = _waiting(state, now)
        return state, (*effects, *wakes)
    note = Note("zone.gathered", {"proxies": len(state.streams)})
    built: Effects = (BuildSoon(),) if state.dirty or state.reached else ()
    return replace(state, gathering=None), (PersistMadeGood(), *effects, *built, note)


def _waiting(state: ZoneState, now: float) -> Outcome:
    found = state.gathering
    assert found is not None
    until = _until(state, found) if found.told else _own_until(state, found)
    return state, (WakeAt(max(until, now)),)


def _own_until(state: ZoneState, found: Gathering) -> float:
    """Of this zone's proxies."""
    if found.since is None:
        return math.inf
    until, gather = found.since, state.settings.reconnect_gather_s
    if "local" in found.lost:
        quiet = found.returned + QUIET_S
        until = max(until + gather, min(quiet, until + gather * LONGEST))
    return until


def _until(state: ZoneState, found: Gathering) -> float:
    until = _own_until(state, found)
    if found.since is not None and "relayed" in found.lost and not _others_told(state):
        until = max(until, found.since + state.settings.relayed_gather_s)
    return until


def _others_told(state: ZoneState) -> bool:
    """The global has answered which ingresses there are, and this was taken."""
    receiver = state.link.receivers.get("ZoneIngress")
    return receiver is not None and receiver.answer is not None


def _publishes(state: ZoneState, now: float) -> Outcome:
    state = replace(state, report_due=None, announce_due=None, unpublished=True, telling=True)
    state, marked = zone_report.mark(state, now)
    state, served = zone_services.due(state, now)
    state, told = zone_report.local_due(state)
    # Also those that there is nothing of, now for sure.
    state, offered = zone_report.offer_all(state, state.link.senders)
    return state, (*marked, *served, *told, *offered)
