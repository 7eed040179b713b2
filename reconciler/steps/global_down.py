"""What zones are sent: each its slice of the revision in force and of what the others relay."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from reconciler.kds.slice import next_slice
from reconciler.state import MeshState, from_resources
from reconciler.steps.global_state import (
    CloseSession,
    Effect,
    Effects,
    GlobalState,
    Note,
    Outcome,
    SendResponse,
    Session,
)
from xds.delta_sender import KDS_DIALECT, DeltaSender, Nacked
from xds.snapshot import NO_RESOURCES

if TYPE_CHECKING:
    from xds.discovery import DeltaRequest

RESOURCE_EXHAUSTED = 8  # gRPC status number
TYPES_MAX = 256  # that one stream may subscribe to; Kuma has 45


def reslice(state: GlobalState) -> Outcome:
    """Compute what each connected zone should hold now, and offer what changed."""
    assert state.published is not None
    effects: list[Effect] = []
    for session in _sessions(state, downward=True):
        state, more = _offer_all(state, session.id)
        effects += more
    return state, tuple(effects)


def _sessions(state: GlobalState, *, downward: bool) -> list[Session]:
    found = (s for s in state.sessions.values() if s.downward is downward)
    return sorted(found, key=lambda s: s.id)


def relayed_to(state: GlobalState, zone: str) -> MeshState:
    """Resources of other, enabled zones that travel to this one."""
    found = [
        resource
        for record in state.zones.values()
        if record.name != zone
        for resource in record.relayed.by_key.values()
    ]
    return from_resources(found)


def _sliced(state: GlobalState, zone: str) -> GlobalState:
    assert state.published is not None
    revision = state.published
    before = state.slices.get(zone)
    after = next_slice(before, zone, revision.commit, revision.resources, relayed_to(state, zone))
    return state if after is before else replace(state, slices=state.slices.insert(zone, after))


def _offer_all(state: GlobalState, session_id: str) -> Outcome:
    state = _sliced(state, state.sessions[session_id].zone)
    effects: list[Effect] = []
    # The manifest is offered last: what it speaks of is then on its way already.
    for type_ in sorted(state.sessions[session_id].senders, key=_manifest_last):
        state, more = _offer(state, session_id, type_)
        effects += more
    return state, tuple(effects)


def _manifest_last(type_: str) -> tuple[bool, str]:
    return type_ == "RevisionManifest", type_


def _offer(state: GlobalState, session_id: str, type_: str) -> Outcome:
    session = state.sessions[session_id]
    return _offered(state, session, session.senders[type_])


def _offered(state: GlobalState, session: Session, sender: DeltaSender) -> Outcome:
    """Offers what the zone lacks of a type; `sender` may be newer than the session's own."""
    type_, zone_slice, response = sender.type_url, state.slices.get(session.zone), None
    if zone_slice is not None:
        want = zone_slice.types.get(type_, NO_RESOURCES)
        sender, response = sender.offer(want, str(session.nonces + 1))
    if sender is not session.senders.get(type_):
        nonces = session.nonces + (response is not None)
        session = replace(session, senders=session.senders.insert(type_, sender), nonces=nonces)
        state = replace(state, sessions=state.sessions.insert(session.id, session))
    state = _standing(state, session.id, type_)
    if response is None:
        return state, ()
    return state, (SendResponse(session.id, replace(response, control_plane="global")),)


def _standing(state: GlobalState, session_id: str, type_: str) -> GlobalState:
    """The zone's rejection of the type for status: until something else is sent in its place."""
    session = state.sessions[session_id]
    record, rejected = state.zones[session.zone], session.senders[type_].rejected
    if record.rejected.get(type_) == rejected:
        return state
    held = record.rejected.discard(type_)
    held = held if rejected is None else held.insert(type_, rejected)
    zones = state.zones.insert(session.zone, replace(record, rejected=held))
    return replace(state, zones=zones)


def subscribed(state: GlobalState, session_id: str, request: DeltaRequest) -> Outcome:
    session = state.sessions.get(session_id)
    if session is None:
        return state, ()
    type_ = request.type_url
    if type_ not in session.senders and len(session.senders) >= TYPES_MAX:
        text = f"over {TYPES_MAX} types are subscribed to"
        return state, (CloseSession(session_id, RESOURCE_EXHAUSTED, text),)
    sender = session.senders.get(type_) or DeltaSender(type_url=type_, dialect=KDS_DIALECT)
    sender, answer = sender.on_request(request)
    notes: Effects = ()
    if isinstance(answer, Nacked):
        fields = {"zone": session.zone, "type": type_, "message": sender.rejected}
        notes = (Note("zone.rejected", fields),)
    if session.zone not in state.slices:
        state = _sliced(state, session.zone)
    state, effects = _offered(state, session, sender)
    return state, (*effects, *notes)


def relay(state: GlobalState, owner: str, type_: str) -> Outcome:
    effects: list[Effect] = []
    for session in _sessions(state, downward=True):
        if session.zone == owner:
            continue
        state = _sliced(state, session.zone)  # Also for who has yet to subscribe.
        if type_ in session.senders:
            state, more = _offer(state, session.id, type_)
            effects += more
    return state, tuple(effects)
