"""What zones are sent: each its slice of the revision in force and of what the others relay.

A slice belongs to a stream, not to a zone: an old stream that ends late cannot disturb the new one,
and a zone that was upgraded has other features.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from reconciler.fleet import cluster_id, global_refuses
from reconciler.kds.sizes import ENVELOPE, response_size
from reconciler.kds.slice import Framed, Slice, next_framed, next_slice
from reconciler.kds.slice import relay as relayed_slice
from reconciler.kds.stats import Counts
from reconciler.kds.types import MANIFEST, RELAYED_TYPES
from reconciler.kds.zone_node import announced
from reconciler.model.spec import ZoneSpec
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
from xds.delta_sender import KDS_DIALECT, Acked, DeltaSender, Nacked
from xds.snapshot import NO_RESOURCES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from reconciler.kds.slice import Pair
    from reconciler.kds.zone_node import ZoneFeatures
    from reconciler.model.resource import MeshResource
    from reconciler.state import MeshState
    from xds.discovery import DeltaRequest, DeltaResponse

FAILED_PRECONDITION = 9
RESOURCE_EXHAUSTED = 8  # gRPC status number
TYPES_MAX = 256  # that one stream may subscribe to; Kuma has 45
WARN_AT = 8, 10  # of the limit


def disabled_zones(owned: MeshState) -> frozenset[str]:
    """A zone without a Zone resource is enabled."""
    return frozenset(
        resource.key.name
        for resource in owned.of("Zone")
        if isinstance(resource.spec, ZoneSpec) and not resource.spec.enabled
    )


def reslice(state: GlobalState) -> Outcome:
    """Compute what each connected zone should hold now, and offer what changed."""
    assert state.published is not None
    used = {s.announced.features for s in state.sessions.values() if s.announced is not None}
    kept = {f: framed for f, framed in state.framed.items() if f in used}
    ready = state.published.framed
    if ready is not None:
        kept[ready.features] = ready
    state = replace(state, framed=type(state.framed)(kept))
    effects: list[Effect] = []
    for session in downward(state):
        if session.shown is not None:
            state, more = _offer_changed(state, session.id)
            effects += more
    return state, tuple(effects)


def downward(state: GlobalState) -> list[Session]:
    found = (s for s in state.sessions.values() if s.downward)
    return sorted(found, key=lambda s: s.id)


def _relayable(state: GlobalState) -> Iterator[MeshResource]:
    """Everything that zones give to others, and what is computed of it."""
    for record in state.zones.values():
        yield from record.relayed.by_key.values()
    yield from state.service_insights.by_key.values()


def _framed(state: GlobalState, features: ZoneFeatures) -> tuple[GlobalState, Framed]:
    assert state.published is not None
    before = state.framed.get(features) or Framed(features)
    after = next_framed(before, state.published.resources)
    if after is not before:
        state = replace(state, framed=state.framed.insert(features, after))
    return state, after


def _sliced(state: GlobalState, session: Session) -> tuple[GlobalState, Session]:
    """The session with what it should be shown of the revision in force."""
    assert session.announced is not None
    state, framed = _framed(state, session.announced.features)
    commit = state.published.commit if state.published is not None else ""
    shown = next_slice(
        session.shown, session.zone, commit, framed, state.rules, lambda: _relayable(state)
    )
    return _shown(state, session, shown)


def _shown(state: GlobalState, session: Session, shown: Slice) -> tuple[GlobalState, Session]:
    session = replace(session, shown=shown)
    return replace(state, sessions=state.sessions.insert(session.id, session)), session


def _offer_changed(state: GlobalState, session_id: str) -> Outcome:
    before = state.sessions[session_id].shown
    assert before is not None
    state, session = _sliced(state, state.sessions[session_id])
    assert session.shown is not None
    types = [t for t in session.senders if session.shown.types.get(t) is not before.types.get(t)]
    return offer(state, session_id, types)


def offer(state: GlobalState, session_id: str, types: Iterable[str]) -> Outcome:
    """The manifest is offered last: what it speaks of is then on its way already."""
    effects: list[Effect] = []
    for type_ in sorted(types, key=lambda type_: (type_ == MANIFEST, type_)):
        session = state.sessions[session_id]
        state, more = _offered(state, session, session.senders[type_])
        effects += more
    return state, tuple(effects)


def _offered(state: GlobalState, session: Session, sender: DeltaSender) -> Outcome:
    """Offers what the zone lacks of a type; `sender` may be newer than the session's own."""
    type_, shown, response = sender.type_url, session.shown, None
    effects: Effects = ()
    waits = type_ == MANIFEST and bool(session.held)  # It would wait for what cannot be sent.
    waits = waits or (state.gathering and type_ in RELAYED_TYPES)
    if shown is not None and not waits:
        want, step = shown.types.get(type_, NO_RESOURCES), shown.steps.get(type_)
        offered, response = sender.offer(want, str(session.nonces + 1), step=step)
        session, response, effects = _measured(state, session, shown, type_, response)
        if type_ not in session.held:
            sender = offered
    if response is not None:
        session = replace(session, nonces=session.nonces + 1)
        session = session.counting(type_, Counts(sent=1))
        effects = (*effects, SendResponse(session.id, replace(response, control_plane="global")))
    session = replace(session, senders=session.senders.insert(type_, sender))
    state = replace(state, sessions=state.sessions.insert(session.id, session))
    return _standing(state, session.id, type_), effects


def _measured(
    state: GlobalState,
    session: Session,
    shown: Slice,
    type_: str,
    response: DeltaResponse | None,
) -> tuple[Session, DeltaResponse | None, Effects]:
    """A message over the peer's limit would end the stream, and the next stream as well: it is not
    sent, and said. What a first response would measure is told before it comes to that.
    """
    limit = _limit(state, session)
    full = shown.size(type_) + ENVELOPE
    notes: Effects = ()
    large = session.large.discard(type_)
    if full > limit * WARN_AT[0] // WARN_AT[1]:
        large = large.insert(type_, full)
        if type_ not in session.large:
            notes = (Note("zone.type_large", _size_fields(session, type_, full, limit)),)
    session = replace(session, large=large)
    size = 0 if response is None else response_size(response)
    if size <= limit:
        if response is not None or full <= limit:
            session = replace(session, held=session.held.discard(type_))
        return session, response, notes
    if type_ not in session.held:
        notes = (*notes, Note("zone.type_too_large", _size_fields(session, type_, size, limit)))
    return replace(session, held=session.held.insert(type_, size)), None, notes


def _limit(state: GlobalState, session: Session) -> int:
    ours = session.announced is not None and session.announced.features.manifests
    return state.settings.message_max if ours else state.settings.kuma_message_max


def _size_fields(session: Session, type_: str, size: int, limit: int) -> dict[str, object]:
    return {"zone": session.zone, "type": type_, "bytes": size, "limit": limit}


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


def _foreign(state: GlobalState, session: Session) -> str | None:
    """Why a zone that holds the keys of another fleet is not served: they would be replaced."""
    if state.published is None or session.announced is None:
        return None
    held, own = session.announced.cluster, cluster_id(state.published.resources)
    return global_refuses(session.zone, held, own, takes_over=state.settings.takes_over)


def _refused(state: GlobalState, session: Session, why: str) -> Outcome:
    """Told once, although the zone has sent a request for each type by then."""
    closing = CloseSession(session.id, FAILED_PRECONDITION, why)
    if state.sessions[session.id].announced is not None:
        return state, (closing,)
    state = replace(state, sessions=state.sessions.insert(session.id, session))
    return state, (closing, Note("zone.foreign_refused", {"zone": session.zone, "reason": why}))


def subscribed(state: GlobalState, session_id: str, request: DeltaRequest) -> Outcome:
    session = state.sessions.get(session_id)
    if session is None:
        return state, ()
    type_ = request.type_url
    if type_ not in session.senders and len(session.senders) >= TYPES_MAX:
        text = f"over {TYPES_MAX} types are subscribed to"
        return state, (CloseSession(session_id, RESOURCE_EXHAUSTED, text),)
    if session.announced is None:
        session = replace(session, announced=announced(request.node))
        if _foreign(state, session) is None:
            state, session = _sliced(state, session)
    foreign = _foreign(state, session)
    if foreign is not None:
        return _refused(state, session, foreign)
    sender = session.senders.get(type_) or DeltaSender(type_url=type_, dialect=KDS_DIALECT)
    sender, answer = sender.on_request(request)
    notes: Effects = ()
    if isinstance(answer, Nacked):
        session = session.counting(type_, Counts(rejected=1))
        fields = {"zone": session.zone, "type": type_, "message": sender.rejected}
        notes = (Note("zone.rejected", fields),)
    elif isinstance(answer, Acked):
        session = session.counting(type_, Counts(acknowledged=1))
    was_held = bool(session.held)
    state, effects = _offered(state, session, sender)
    session = state.sessions[session_id]
    if was_held and not session.held and MANIFEST in session.senders:
        state, more = offer(state, session_id, (MANIFEST,))
        effects = (*effects, *more)
    return state, (*effects, *notes)


def relay(state: GlobalState, owner: str, pairs: tuple[Pair, ...]) -> Outcome:
    """What changed with one zone, to all others. An owner of "" is the global itself."""
    effects: list[Effect] = []
    for session in downward(state):
        if session.zone == owner or session.shown is None:
            continue
        shown = relayed_slice(session.shown, pairs)
        if shown is session.shown:
            continue
        types = [t for t in session.senders if shown.types.get(t) is not session.shown.types.get(t)]
        state, _ = _shown(state, session, shown)
        state, more = offer(state, session.id, types)
        effects += more
    return state, tuple(effects)
