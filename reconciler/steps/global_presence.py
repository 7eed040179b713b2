"""Whose streams stay open: what let a zone in is looked at again with every revision and when it
runs out; a zone that is taken out of the repository is forgotten.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from reconciler.kds.admission import lapsed
from reconciler.steps import global_services, global_slices
from reconciler.steps.global_state import (
    CloseSession,
    Effect,
    KeepRelayed,
    Note,
    SendRequest,
    WakeAt,
)
from reconciler.steps.zone_record import AdminStream
from xds.copying import replace

if TYPE_CHECKING:
    from reconciler.steps.global_state import AdminOpened, Effects, GlobalState, Outcome
    from reconciler.steps.zone_record import Session

UNAUTHENTICATED, UNAVAILABLE = 16, 14  # gRPC status numbers
REACK_S = 45.0  # between repeated answers to a real Kuma zone


def watched(session: Session | AdminStream) -> Effects:
    """The moment at which the session's proof runs out, if there is one."""
    if session.proof is None or not math.isfinite(session.proof.expires):
        return ()
    return (WakeAt(session.proof.expires),)


def admin_opened(state: GlobalState, event: AdminOpened) -> Outcome:
    stream = AdminStream(event.session, event.zone, event.kind, event.now, event.proof)
    return replace(state, admin=state.admin.insert(stream.id, stream)), watched(stream)


def guarded(session: Session, now: float) -> tuple[Session, Effects]:
    """When its last answers are told again to a zone that publishes."""
    if session.downward:
        return session, ()
    due = now + REACK_S
    return replace(session, reack_at=due), (WakeAt(due),)


def tick(state: GlobalState, now: float) -> Outcome:
    """Ends what has run out, and repeats what a peer may have lost."""
    effects = list(_ended(state, now))
    ours = {
        s.zone
        for s in state.sessions.values()
        if s.announced is not None and s.announced.features.manifests
    }
    for session in sorted(state.sessions.values(), key=lambda s: s.id):
        if session.reack_at is None or now < session.reack_at:
            continue
        session, guard = guarded(session, now)
        state = replace(state, sessions=state.sessions.insert(session.id, session))
        effects += guard
        if session.zone not in ours:
            effects += _reacked(session)
    return state, tuple(effects)


def _reacked(session: Session) -> Effects:
    """A Kuma zone may have lost the watch of a stream whose predecessor ended late, and would be
    silent from then on (facts/kds-wire.md 1.10, item 9).
    """
    again = (receiver.reack() for _, receiver in sorted(session.receivers.items()))
    return tuple(SendRequest(session.id, request) for request in again if request is not None)


def revised(state: GlobalState, declared_before: frozenset[str]) -> Outcome:
    """After a revision came into force: tokens may be revoked, keys gone, zones taken out."""
    effects: list[Effect] = list(_ended(state, -math.inf))
    for zone in sorted(declared_before - state.declared):
        state, more = _forgotten(state, zone)
        effects += more
    state, told = global_services.revised(state)
    effects += told
    return state, tuple(effects)


def _ended(state: GlobalState, now: float) -> Effects:
    if state.published is None:
        return ()
    effects: list[Effect] = []
    streams: list[Session | AdminStream] = [*state.sessions.values(), *state.admin.values()]
    for session in sorted(streams, key=lambda s: s.id):
        if session.proof is None:
            continue
        why = lapsed(state.keys, state.published.settings, session.zone, session.proof, now)
        if why is not None:
            effects.append(CloseSession(session.id, UNAUTHENTICATED, why))
            effects.append(Note("zone.ended", {"zone": session.zone, "reason": why}))
    return tuple(effects)


def _forgotten(state: GlobalState, zone: str) -> Outcome:
    """Its Zone resource is gone: streams, inventory and what it gave to the others go with it. It
    comes back as a new zone if it may still come in.
    """
    record = state.zones.get(zone)
    if record is None:
        return state, ()
    mine = sorted(record.streams)
    admin = sorted(s.id for s in state.admin.values() if s.zone == zone)
    text = (
        f'zone "{zone}" was taken out of the repository and is forgotten here; '
        "revoke its token to keep it out, or add its Zone resource again"
    )
    effects: list[Effect] = [
        CloseSession(session, UNAVAILABLE, text) for session in (*mine, *admin)
    ]
    sessions = state.sessions
    for session in mine:
        sessions = sessions.remove(session)
    state = replace(state, sessions=sessions, zones=state.zones.remove(zone))
    state, told = global_services.zone_forgotten(state, zone, record.owned)
    effects += told
    gone = tuple(record.relayed.by_key.values())
    if gone:
        effects.append(KeepRelayed(zone, (), tuple(sorted(r.key for r in gone))))
        state, sent = global_slices.relay(state, zone, tuple((r, None) for r in gone))
        effects += sent
    return state, (*effects, Note("zone.forgotten", {"zone": zone, "resources": len(gone)}))
