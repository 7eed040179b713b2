"""The global control plane's decisions, one event at a time. See `global_state` for what goes in
and out.

Git side: the newest commit is loaded; with one error in it the last good revision stays in force
and the problems are published. Zone side: every zone is sent its slice of the revision in force,
and the relayed ingresses of the others; what zones send is kept as inventory, attributed to their
proven identity only.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, assert_never

from rpds import HashTrieMap

from reconciler.decode import mesh_resource
from reconciler.kds.codec import decode_entry
from reconciler.kds.manifest import parse_report
from reconciler.kds.receive import accept_from_zone, refusals_text
from reconciler.kds.slice import next_slice
from reconciler.kds.types import RELAYED_TYPES, REPORT, ZONE_TO_GLOBAL_TYPES
from reconciler.model.decode import DecodeError
from reconciler.model.resource import Labels, MeshResource, ResourceKey
from reconciler.state import MeshState, ResourceDiff, apply, from_resources
from reconciler.steps.global_state import (
    HISTORY_MAX,
    PROBLEMS_MAX,
    CloseSession,
    Effect,
    Effects,
    Event,
    FetchFailed,
    FetchRecovered,
    GlobalState,
    KeepRelayed,
    Load,
    Loaded,
    LoadFailed,
    LoadRejected,
    Note,
    Outcome,
    Rejected,
    Restored,
    Revision,
    RevisionInForce,
    SendRequest,
    SendResponse,
    Session,
    StatusRefsRead,
    TipMoved,
    Unchanged,
    ZoneClosed,
    ZoneOpened,
    ZonePublished,
    ZoneRecord,
    ZoneSubscribed,
    global_node,
)
from xds.delta_receiver import DeltaReceiver
from xds.delta_sender import KDS_DIALECT, DeltaSender, Nacked
from xds.discovery import DeltaRequest, DeltaResponse, RemoteProtocolError
from xds.snapshot import NO_RESOURCES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.problems import Problem

INVALID_ARGUMENT = 3  # gRPC status numbers
RESOURCE_EXHAUSTED = 8
TYPES_MAX = 256  # that one stream may subscribe to; Kuma has 45


def step(state: GlobalState, event: Event) -> Outcome:
    """Pure: equal state and event give an equal outcome."""
    match event:
        case Restored(relayed):
            return _restored(state, relayed)
        case StatusRefsRead(ingresses):
            return _refs_read(state, ingresses)
        case TipMoved(commit):
            return _tip_moved(state, commit)
        case FetchFailed(message):
            return replace(state, fetch_error=message), (
                Note("git.fetch_failed", {"message": message}),
            )
        case FetchRecovered():
            return replace(state, fetch_error=None), (Note("git.recovered", {}),)
        case Unchanged(commit):
            return _unchanged(state, commit)
        case Loaded(revision):
            return _loaded(state, revision)
        case LoadRejected(commit, problems):
            return _load_rejected(state, commit, problems)
        case LoadFailed(commit, message):
            return _load_failed(state, commit, message)
        case ZoneOpened():
            return _zone_opened(state, event)
        case ZoneSubscribed(session, request):
            return _subscribed(state, session, request)
        case ZonePublished(session, response):
            return _published(state, session, response)
        case ZoneClosed(session, now):
            return _closed(state, session, now)
        case _:
            assert_never(event)


# --- Git ---


def _restored(state: GlobalState, relayed: Mapping[str, tuple[MeshResource, ...]]) -> Outcome:
    """What zones had sent before this start, until they speak for themselves."""
    for zone, resources in sorted(relayed.items()):
        state = _remember(state, zone, from_resources(resources))
    return state, (Note("zones.restored", {"zones": sorted(relayed)}),)


def _refs_read(state: GlobalState, ingresses: Mapping[str, tuple[MeshResource, ...]]) -> Outcome:
    """A zone writes its ref also while we are away, so that it says more than our own disk, which
    follows: what it withdrew meanwhile would come back with a start that finds no ref.
    """
    keep: list[Effect] = []
    for zone, resources in sorted(ingresses.items()):
        known = state.zones.get(zone)
        if known is None or (known.remembered and resources):
            before = known.relayed if known is not None else MeshState()
            here = {r.key for r in resources}
            gone = tuple(r.key for r in before.of("ZoneIngress") if r.key not in here)
            relayed = apply(before, ResourceDiff(put=resources, drop=gone))
            state = _remember(state, zone, relayed)
            if relayed is not before:
                keep.append(KeepRelayed(zone, resources, gone))
    return state, (*keep, Note("status.read", {"zones": sorted(ingresses)}))


def _remember(state: GlobalState, zone: str, relayed: MeshState) -> GlobalState:
    record = ZoneRecord(zone, owned=relayed, relayed=relayed, remembered=True)
    return replace(state, zones=state.zones.insert(zone, record))


def _tip_moved(state: GlobalState, commit: str) -> Outcome:
    if commit == state.wanted:
        return state, ()
    state = replace(state, wanted=commit)
    if state.loading is not None:
        return state, ()  # One load at a time; its end looks at the newest tip.
    return _load(state)


def _load(state: GlobalState) -> Outcome:
    assert state.wanted is not None
    key = state.published.key if state.published is not None else None
    return replace(state, loading=state.wanted), (Load(state.wanted, key),)


def _next(state: GlobalState, done: str) -> Outcome:
    """After a load: a newer commit may have come in meanwhile, and a burst converges on
    the last.
    """
    state = replace(state, loading=None, load_error=None)
    return _load(state) if state.wanted != done else (state, ())


def _unchanged(state: GlobalState, commit: str) -> Outcome:
    """No work, but the revision in force moves: zones are sent the manifest alone."""
    assert state.published is not None
    return _in_force(state, replace(state.published, commit=commit))


def _loaded(state: GlobalState, revision: Revision) -> Outcome:
    return _in_force(state, revision)


def _load_rejected(state: GlobalState, commit: str, problems: tuple[Problem, ...]) -> Outcome:
    rejected = Rejected(commit, tuple(problems[:PROBLEMS_MAX]))
    notes: Effects = (
        Note("revision.rejected", {"commit": commit, "problems": len(problems)}),
        *(Note("revision.problem", {"problem": str(problem)}) for problem in problems[:10]),
    )
    state, effects = _next(replace(state, rejected=rejected), commit)
    return state, (*notes, *effects)


def _load_failed(state: GlobalState, commit: str, message: str) -> Outcome:
    """Forget that it was wanted, so that the next look at the tip tries it again."""
    wanted = None if state.wanted == commit else state.wanted
    state = replace(state, loading=None, wanted=wanted, load_error=message)
    note = Note("revision.load_failed", {"commit": commit, "message": message})
    if wanted is None:
        return state, (note,)
    state, effects = _load(state)
    return state, (note, *effects)


def _in_force(state: GlobalState, revision: Revision) -> Outcome:
    history = (*state.history, revision.commit)[-HISTORY_MAX:]
    state = replace(state, published=revision, rejected=None, history=history)
    announce = RevisionInForce(revision.commit)
    note = Note("revision.published", {"revision": revision.commit, "zones": len(state.zones)})
    state, sent = _reslice(state)
    state, loading = _next(state, revision.commit)
    return state, (announce, *sent, note, *loading)


# --- downward: slices to zones ---


def _reslice(state: GlobalState) -> Outcome:
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


def _subscribed(state: GlobalState, session_id: str, request: DeltaRequest) -> Outcome:
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


# --- zones: sessions and what they send ---


def refusal(state: GlobalState, zone: str, identity: str) -> tuple[int, str] | None:
    """Why a zone may not open a stream now: (gRPC status number, text). Asked by the shell before
    `ZoneOpened`.
    """
    if state.published is None:
        why = (
            state.rejected.problems[0] if state.rejected and state.rejected.problems else "loading"
        )
        return 14, f"the global has no revision in force yet ({why}); try again"
    record = state.zones.get(zone)
    holders = [s for s in state.sessions.values() if s.zone == zone]
    if holders and record is not None and record.identity != identity:
        return 7, f'zone "{zone}" is connected under another identity; end that connection first'
    return None


def _zone_opened(state: GlobalState, event: ZoneOpened) -> Outcome:
    receivers: HashTrieMap[str, DeltaReceiver] = HashTrieMap()
    asks: Effects = ()
    if not event.downward:
        node = global_node(state.settings, event.zone)
        opened = {t: DeltaReceiver(type_url=t, node=node) for t in (*ZONE_TO_GLOBAL_TYPES, REPORT)}
        receivers = HashTrieMap(opened)
        asks = tuple(SendRequest(event.session, r.subscribe()) for r in opened.values())
    session = Session(event.session, event.zone, event.downward, receivers=receivers)
    record = state.zones.get(event.zone) or ZoneRecord(event.zone)
    record = replace(record, identity=event.identity, connected_at=event.now, disconnected_at=None)
    # What the last connection said of the revision in force may not be true any more.
    record = (
        replace(record, rejected=HashTrieMap()) if event.downward else replace(record, report=None)
    )
    state = replace(
        state,
        sessions=state.sessions.insert(event.session, session),
        zones=state.zones.insert(event.zone, record),
        # What an earlier session was shown may be old: nobody looked while there was none.
        slices=state.slices.discard(event.zone) if event.downward else state.slices,
    )
    note = Note("zone.connected", {"zone": event.zone, "downward": event.downward})
    return state, (*asks, note)


def _closed(state: GlobalState, session_id: str, now: float) -> Outcome:
    """Nothing the zone sent is withdrawn: its last known ingresses stay with the others."""
    session = state.sessions.get(session_id)
    if session is None:
        return state, ()
    state = replace(state, sessions=state.sessions.remove(session_id))
    if any(s.zone == session.zone for s in state.sessions.values()):
        return state, ()
    record = replace(state.zones[session.zone], disconnected_at=now)
    slices = state.slices.discard(session.zone)
    state = replace(state, zones=state.zones.insert(session.zone, record), slices=slices)
    return state, (Note("zone.disconnected", {"zone": session.zone}),)


def _published(state: GlobalState, session_id: str, response: DeltaResponse) -> Outcome:
    session = state.sessions.get(session_id)
    if session is None:
        return state, ()
    type_ = response.type_url
    receiver = session.receivers.get(type_)
    if receiver is None:
        return state, (
            CloseSession(session_id, INVALID_ARGUMENT, f'type "{type_}" was not asked for'),
        )
    errors: Mapping[str, str] = {}
    effects: Effects = ()
    try:
        receiver, news = receiver.on_response(response)
        if type_ == REPORT:
            state = _reported(state, session.zone, response)
        else:
            state, effects, errors = _received(state, session.zone, response, news.is_initial)
    except RemoteProtocolError as error:
        return state, (CloseSession(session_id, INVALID_ARGUMENT, str(error)),)
    receiver, answer = receiver.nack(refusals_text(errors)) if errors else receiver.ack()
    session = replace(session, receivers=session.receivers.insert(type_, receiver))
    state = replace(state, sessions=state.sessions.insert(session_id, session))
    return state, (SendRequest(session_id, answer), *effects)


def _reported(state: GlobalState, zone: str, response: DeltaResponse) -> GlobalState:
    if not response.resources:
        return state
    record = replace(state.zones[zone], report=parse_report(response.resources[-1].entry))
    return replace(state, zones=state.zones.insert(zone, record))


def _received(
    state: GlobalState, zone: str, response: DeltaResponse, is_initial: bool
) -> tuple[GlobalState, Effects, Mapping[str, str]]:
    """Take a zone's resources into the inventory; ingresses go on to the other zones. A refused one
    leaves what was accepted under its name.
    """
    record = state.zones[zone]
    put, errors = _attributed(state, zone, response)
    held = {f"{r.key.name}.{r.key.mesh}": r.key for r in record.owned.of(response.type_url)}
    if is_initial:
        kept = {resource.key for resource in put}
        gone = (name for name, key in held.items() if key not in kept)
        drop = tuple(held[name] for name in gone if name not in errors)
    else:
        drop = tuple(held[name] for name in response.removed if name in held)
    change = ResourceDiff(put, drop)
    owned = apply(record.owned, change)
    live = record.remembered and response.type_url == "ZoneIngress"
    if owned is record.owned and not live:
        return state, (), errors
    travels = response.type_url in RELAYED_TYPES
    record = replace(
        record,
        owned=owned,
        relayed=apply(record.relayed, change) if travels else record.relayed,
        remembered=record.remembered and not live,
    )
    state = replace(state, zones=state.zones.insert(zone, record))
    if not travels:
        return state, (), errors
    keep: Effects = (KeepRelayed(zone, put, drop),) if put or drop else ()
    if state.published is None:
        return state, keep, errors
    state, relayed = _relay(state, zone, response.type_url)
    return state, (*keep, *relayed), errors


def _relay(state: GlobalState, owner: str, type_: str) -> Outcome:
    effects: list[Effect] = []
    for session in _sessions(state, downward=True):
        if session.zone == owner:
            continue
        state = _sliced(state, session.zone)  # Also for who has yet to subscribe.
        if type_ in session.senders:
            state, more = _offer(state, session.id, type_)
            effects += more
    return state, tuple(effects)


def _attributed(
    state: GlobalState, zone: str, response: DeltaResponse
) -> tuple[tuple[MeshResource, ...], Mapping[str, str]]:
    put, errors = [], {}
    for entry in response.resources:
        accepted = accept_from_zone(zone, decode_entry(response.type_url, entry.entry))
        if isinstance(accepted, str):
            errors[entry.name] = accepted
            continue
        key = ResourceKey(accepted.type, accepted.mesh, accepted.name)
        owner = _owner(state, key)
        if owner not in (None, zone):
            errors[entry.name] = f'the name is taken by a resource of zone "{owner}"'
            continue
        try:
            put.append(mesh_resource(key, Labels.of(accepted.labels), accepted.data))
        except DecodeError as error:
            errors[entry.name] = str(error)
    return tuple(put), errors


def _owner(state: GlobalState, key: ResourceKey) -> str | None:
    """The zone whose relayed resource has the key: under it, the others know just one."""
    return next((r.name for r in state.zones.values() if key in r.relayed.by_key), None)
