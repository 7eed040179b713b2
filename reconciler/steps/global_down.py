"""What zones are sent: each its slice of the revision in force and of what the others relay, and
never more than it can read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.fleet import cluster_id, global_refuses
from reconciler.kds.sizes import ENVELOPE, response_size
from reconciler.kds.stats import Counts
from reconciler.kds.types import MANIFEST, RELAYED_TYPES
from reconciler.kds.zone_node import announced
from reconciler.model.spec import ZoneSpec
from reconciler.steps import global_slices
from reconciler.steps.global_state import (
    CloseSession,
    Effect,
    Effects,
    GlobalState,
    Note,
    OfferSoon,
    Outcome,
    SendResponse,
)
from xds.copying import replace
from xds.delta_sender import KDS_DIALECT, Acked, DeltaSender, Nacked
from xds.snapshot import NO_RESOURCES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rpds import HashTrieMap

    from reconciler.kds.slice import Slice
    from reconciler.state import MeshState
    from reconciler.steps.zone_record import Session
    from xds.discovery import DeltaRequest, DeltaResponse

    Bytes = HashTrieMap[str, int]  # by type

FAILED_PRECONDITION = 9
RESOURCE_EXHAUSTED = 8  # gRPC status number
TYPES_MAX = 256  # that one stream may subscribe to; Kuma has 45
NAMED_MAX = 5  # resources named with a rejection
WARN_AT = 8, 10  # of the limit


def disabled_zones(owned: MeshState) -> frozenset[str]:
    """A zone without a Zone resource is enabled."""
    return frozenset(
        resource.key.name
        for resource in owned.of("Zone")
        if isinstance(resource.spec, ZoneSpec) and not resource.spec.enabled
    )


def offer_due(state: GlobalState) -> Outcome:
    """Offer to the longest waiting few; asks for another turn while some wait."""
    effects: list[Effect] = []
    room = global_slices.TURN_WORK
    while state.due and room > 0:
        state, more, work = _turn(state, next(iter(state.due)), room)
        effects += more
        room -= work
    return state, (*effects, *((OfferSoon(),) if state.due else ()))


def _turn(state: GlobalState, session_id: str, room: int) -> tuple[GlobalState, Effects, int]:
    """What one session is due, as far as there is room; and the work that was. The manifest is
    offered last: what it speaks of is then on its way already.
    """
    session = state.sessions.get(session_id)
    if session is None:
        return global_slices.without(state, session_id), (), 1
    work = 1
    if global_slices.is_stale(state, session):
        state, session, work = global_slices.refreshed(state, session)
        if session.sifting is not None:
            return state, (), work
    effects: list[Effect] = []
    owes, done = session.owes, 0
    while done < len(owes) and work < room:
        session, more = _offered(state, session, session.senders[owes[done]])
        done += 1
        effects += more
        sent = (e.response for e in more if isinstance(e, SendResponse))
        work += global_slices.TYPE_WORK + sum(len(r.resources) + len(r.removed) for r in sent)
    if done:
        session = replace(session, owes=owes[done:])
    if not session.owes:
        if MANIFEST in session.senders:  # It may have been asked for while others were owed.
            session, more = _offered(state, session, session.senders[MANIFEST])
            effects += more
        state = global_slices.without(state, session_id)
    return _kept(state, session, (*owes[:done], MANIFEST)), tuple(effects), work


def _offered(state: GlobalState, session: Session, sender: DeltaSender) -> tuple[Session, Effects]:
    """Offers what the zone lacks of a type; `sender` may be newer than the session's own. The
    session is put together once, and kept by the caller: a zone that joins is offered 46 types.
    """
    type_, shown, response = sender.type_url, session.shown, None
    held, large = session.held, session.large
    effects: Effects = ()
    # It would wait for what cannot be sent, or speak of what was not offered yet.
    waits = type_ == MANIFEST and bool(session.held or session.owes)
    waits = waits or (state.gathering and type_ in RELAYED_TYPES)
    if shown is not None and not waits:
        want, step = shown.types.get(type_, NO_RESOURCES), shown.steps.get(type_)
        offered, response = sender.offer(want, str(session.nonces + 1), step=step)
        held, large, response, effects = _measured(state, session, shown, type_, response)
        if type_ not in held:
            sender = offered
    nonces, counts = session.nonces, session.counts
    if response is not None:
        nonces, counts = nonces + 1, session.counted(type_, Counts(sent=1))
        effects = (*effects, SendResponse(session.id, replace(response, control_plane="global")))
    senders = session.senders
    if senders.get(type_) is not sender:
        senders = senders.insert(type_, sender)
    elif response is None and held is session.held and large is session.large:
        return session, effects
    session = replace(
        session, senders=senders, nonces=nonces, counts=counts, held=held, large=large
    )
    return session, effects


def _measured(
    state: GlobalState,
    session: Session,
    shown: Slice,
    type_: str,
    response: DeltaResponse | None,
) -> tuple[Bytes, Bytes, DeltaResponse | None, Effects]:
    """The session's `held` and `large` after this. A message over the peer's limit would end the
    stream, and the next stream as well: it is not sent, and said. What a first response would
    measure is told before it comes to that.
    """
    limit = _limit(state, session)
    full = shown.size(type_) + ENVELOPE
    notes: Effects = ()
    held, large = session.held, session.large
    if full > limit * WARN_AT[0] // WARN_AT[1]:
        if type_ not in large:
            notes = (Note("zone.type_large", _size_fields(session, type_, full, limit)),)
        large = large.insert(type_, full)
    elif type_ in large:
        large = large.remove(type_)
    size = 0 if response is None else response_size(response)
    if size <= limit:
        if type_ in held and (response is not None or full <= limit):
            held = held.remove(type_)
        return held, large, response, notes
    if type_ not in held:
        notes = (*notes, Note("zone.type_too_large", _size_fields(session, type_, size, limit)))
    return held.insert(type_, size), large, None, notes


def _limit(state: GlobalState, session: Session) -> int:
    ours = _is_ours(session)
    return state.settings.message_max if ours else state.settings.kuma_message_max


def _is_ours(session: Session) -> bool:
    return session.announced is not None and session.announced.features.manifests


def _size_fields(session: Session, type_: str, size: int, limit: int) -> dict[str, object]:
    setting = "--kds-message-bytes" if _is_ours(session) else "--kds-kuma-message-bytes"
    found = {"zone": session.zone, "type": type_, "bytes": size, "limit": limit}
    return {**found, "setting": setting}


def _kept(state: GlobalState, session: Session, types: Iterable[str]) -> GlobalState:
    """With the session, which was offered these types; and the zone's rejections of them for
    status: each until something else is sent in its place. A zone of Kuma does not report which
    revision it has: that is known here.
    """
    if state.sessions.get(session.id) is not session:
        state = replace(state, sessions=state.sessions.insert(session.id, session))
    record = state.zones[session.zone]
    rejected = record.rejected
    for type_ in types:
        sender = session.senders.get(type_)
        found = None if sender is None else _rejection(session, sender)
        if rejected.get(type_) != found:
            rejected = rejected.discard(type_)
            rejected = rejected if found is None else rejected.insert(type_, found)
    took = record.took if _is_ours(session) else _taken(session) or record.took
    if rejected is record.rejected and took == record.took:
        return state
    zones = state.zones.insert(session.zone, replace(record, rejected=rejected, took=took))
    return replace(state, zones=zones)


def _rejection(session: Session, sender: DeltaSender) -> str | None:
    """Why the zone rejects a type, or None. A zone of Kuma says what is wrong and not of which
    resource: it is one of those that it was sent.
    """
    text = sender.rejected
    if text is None or _is_ours(session):
        return text
    names = sorted(sender.rejected_names)
    more = f" and {len(names) - NAMED_MAX} more" if len(names) > NAMED_MAX else ""
    return f"{text} (sent: {', '.join(names[:NAMED_MAX])}{more})"


def _taken(session: Session) -> str:
    """The revision of which a zone of Kuma acknowledged all that it asked for, "" for none. It asks
    for every type before it answers the first.
    """
    shown = session.shown
    if shown is None or session.owes or session.held:
        return ""
    owned = ((t, s) for t, s in session.senders.items() if t not in RELAYED_TYPES)
    whole = all(sender.holds(shown.types.get(type_, NO_RESOURCES)) for type_, sender in owned)
    return shown.revision if whole else ""


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


def subscribed(state: GlobalState, session_id: str, request: DeltaRequest, now: float) -> Outcome:
    session = state.sessions.get(session_id)
    if session is None:
        return state, ()
    type_ = request.type_url
    if type_ not in session.senders and len(session.senders) >= TYPES_MAX:
        text = f"over {TYPES_MAX} types are subscribed to"
        return state, (CloseSession(session_id, RESOURCE_EXHAUSTED, text),)
    said = announced(request.node) if session.announced is None else session.announced
    sender = session.senders.get(type_) or DeltaSender(type_url=type_, dialect=KDS_DIALECT)
    sender, answer = sender.on_request(request)
    counts, notes = session.counts, list[Effect]()
    if isinstance(answer, Nacked):
        counts = session.counted(type_, Counts(rejected=1))
        message = _rejection(replace(session, announced=said), sender)
        fields = {"zone": session.zone, "type": type_, "message": message}
        notes.append(Note("zone.rejected", fields))
    elif isinstance(answer, Acked):
        counts = session.counted(type_, Counts(acknowledged=1))
    session = replace(session, updated_at=now, announced=said, counts=counts)
    foreign = _foreign(state, session)
    if foreign is not None:
        return _refused(state, session, foreign)
    state, due = global_slices.mark(state, () if session.shown is not None else (session_id,))
    was_held = bool(session.held)
    session, effects = _offered(state, session, sender)
    if was_held and not session.held and MANIFEST in session.senders:
        session, more = _offered(state, session, session.senders[MANIFEST])
        effects = (*effects, *more)
    return _kept(state, session, (type_, MANIFEST)), (*effects, *due, *notes)
