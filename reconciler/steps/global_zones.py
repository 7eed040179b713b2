"""Zones of the global: who comes and goes, and what each sends.

What a zone sends is kept as inventory, attributed to its proven identity only; its ingresses go on
to the other zones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rpds import HashTrieMap

from reconciler.decode import canonical_resource
from reconciler.kds.codec import INSIGHT, decode_entry, decode_insight
from reconciler.kds.manifest import parse_report
from reconciler.kds.names import resource_name
from reconciler.kds.receive import (
    REFUSALS_SHOWN,
    accept_from_zone,
    is_claim,
    legacy_named,
    name_fault,
    refusals_text,
)
from reconciler.kds.types import REPORT, STATUS, ZONE_TO_GLOBAL_TYPES
from reconciler.kds.zone_node import HASH_SUFFIX
from reconciler.model.decode import DecodeError
from reconciler.model.kinds import KINDS
from reconciler.model.resource import Labels, MeshResource, ResourceKey
from reconciler.problems import Severity
from reconciler.state import MeshState, ResourceDiff, apply, from_resources, narrowed
from reconciler.status.announcement import StatusMode, ZoneStatus, parse_status
from reconciler.steps import global_insights, global_presence, global_services, global_slices
from reconciler.steps.global_state import (
    CloseSession,
    Effect,
    Effects,
    GlobalState,
    KeepRelayed,
    Note,
    Outcome,
    SendRequest,
    ZoneOpened,
    ZonePublished,
    global_node,
)
from reconciler.steps.zone_record import Session, Taken, ZoneRecord
from xds.copying import replace
from xds.delta_receiver import DeltaReceiver
from xds.discovery import DeltaResponse, RemoteProtocolError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from reconciler.kds.codec import CarriedResource
    from reconciler.model.spec import InsightSpec

CANCELLED, INVALID_ARGUMENT = 1, 3  # gRPC status numbers
REFUSED_MAX = 100  # kept for status, a type and zone
REFUSAL_MAX = 500  # characters of one
NOTES_MAX = 10  # of one message
MESH_MAX = 63  # characters of a mesh's name


def restored(state: GlobalState, relayed: Mapping[str, tuple[MeshResource, ...]]) -> Outcome:
    """What zones had sent before this start, until they speak for themselves."""
    for zone, resources in sorted(relayed.items()):
        state = _remember(state, zone, from_resources(resources))
    return state, (Note("zones.restored", {"zones": sorted(relayed)}),)


def refs_read(state: GlobalState, ingresses: Mapping[str, tuple[MeshResource, ...]]) -> Outcome:
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


def refusal(state: GlobalState, zone: str, identity: str) -> tuple[int, str] | None:
    """Why a zone may not open a stream now: (gRPC status number, text). Asked by the shell before
    `ZoneOpened`.
    """
    if state.published is None:
        return 14, f"the global has no revision in force yet ({_why_none(state)}); try again"
    record = state.zones.get(zone)
    if record is not None and record.streams and record.identity != identity:
        return 7, (
            f'zone "{zone}" is connected under another identity; end that connection first, or '
            "give this zone a name of its own"
        )
    return None


def _why_none(state: GlobalState) -> str:
    if state.held is not None:
        return f"commit {state.held.commit[:12]} is held and waits for `reconciler accept`"
    if state.rejected is not None and state.rejected.problems:
        return str(
            min(state.rejected.problems, key=lambda problem: problem.severity is Severity.WARNING)
        )
    return "loading"


def opened(state: GlobalState, event: ZoneOpened) -> Outcome:
    receivers: HashTrieMap[str, DeltaReceiver] = HashTrieMap()
    asks: Effects = ()
    if not event.downward:
        node = global_node(state.settings, event.zone)
        types = (*ZONE_TO_GLOBAL_TYPES, REPORT, STATUS)
        opened = {t: DeltaReceiver(type_url=t, node=node) for t in types}
        receivers = HashTrieMap(opened)
        asks = tuple(SendRequest(event.session, r.subscribe()) for r in opened.values())
    hashes = event.downward or HASH_SUFFIX in event.features
    session = Session(
        event.session,
        event.zone,
        event.downward,
        hashes,
        event.proof,
        opened_at=event.now,
        receivers=receivers,
    )
    session, guard = global_presence.guarded(session, event.now)
    record = state.zones.get(event.zone) or ZoneRecord(event.zone)
    record = replace(
        record,
        identity=event.identity,
        streams=(*record.streams, session.id),
        connected_at=event.now,
        disconnected_at=None,
    )
    # What the last connection said of the revision in force may not be true any more.
    record = (
        replace(record, rejected=HashTrieMap(), took="")
        if event.downward
        else replace(record, report=None, announced=None, heard=frozenset())
    )
    state = replace(
        state,
        sessions=state.sessions.insert(event.session, session),
        zones=state.zones.insert(event.zone, record),
    )
    note = Note("zone.connected", {"zone": event.zone, "downward": event.downward})
    return state, (*asks, *global_presence.watched(session), *guard, note)


def closed(state: GlobalState, session_id: str, now: float) -> Outcome:
    """Nothing the zone sent is withdrawn: its last known ingresses stay with the others."""
    session = state.sessions.get(session_id)
    if session is None:
        return state, ()
    state = replace(state, sessions=state.sessions.remove(session_id))
    record = state.zones[session.zone]
    left = tuple(stream for stream in record.streams if stream != session_id)
    record = replace(record, streams=left)
    if session.downward:
        record = replace(record, past=global_insights.with_ended(record, session, now))
    notes: Effects = ()
    if not left:
        record = replace(record, disconnected_at=now)
        notes = (Note("zone.disconnected", {"zone": session.zone}),)
    state = replace(state, zones=state.zones.insert(session.zone, record))
    return state, (*_replaced_before(state, session), *notes)


def _replaced_before(state: GlobalState, session: Session) -> Effects:
    """Streams that this one took the place of, where two control planes have one name: what it told
    stands now, and whoever is still there has to say everything anew.
    """
    if session.downward:
        return ()
    text = f'another stream of zone "{session.zone}" was here meanwhile'
    return tuple(
        CloseSession(other.id, CANCELLED, text)
        for other in state.streams_of(session.zone)
        if not other.downward and other.opened_at < session.opened_at
    )


def healthy(state: GlobalState, zone: str, now: float) -> Outcome:
    """A zone may say so before its first stream: nothing is known of it then."""
    record = state.zones.get(zone)
    if record is None:
        return state, ()
    return replace(state, zones=state.zones.insert(zone, replace(record, health_at=now))), ()


def published(state: GlobalState, event: ZonePublished) -> Outcome:
    """Answered when all of the response is here."""
    session_id, response = event.session, event.response
    session = state.sessions.get(session_id)
    if session is None:
        return state, ()
    type_ = response.type_url
    receiver = session.receivers.get(type_)
    if receiver is None:
        return state, (
            CloseSession(session_id, INVALID_ARGUMENT, f'type "{type_}" was not asked for'),
        )
    if _is_overtaken(state, session, type_):
        text = f'a newer stream of zone "{session.zone}" took the place of this one'
        return state, (CloseSession(session_id, CANCELLED, text),)
    taken = session.taken
    effects: Effects = ()
    try:
        receiver, news = receiver.on_response(response)
        if type_ == REPORT:
            state = _reported(state, session.zone, response)
        elif type_ == STATUS:
            state = _announced(state, session.zone, response)
        else:
            state, effects, taken = _received(state, session, event, is_initial=news.is_initial)
    except RemoteProtocolError as error:
        return state, (CloseSession(session_id, INVALID_ARGUMENT, str(error)),)
    if event.more:
        session = replace(session, taken=taken)
        return replace(state, sessions=state.sessions.insert(session_id, session)), effects
    state, errors = _heard(state, session.zone, type_), taken.errors
    receiver, answer = receiver.nack(refusals_text(errors)) if errors else receiver.ack()
    receivers = session.receivers.insert(type_, receiver)
    session = replace(session, receivers=receivers, taken=Taken())
    state = replace(state, sessions=state.sessions.insert(session_id, session))
    return state, (SendRequest(session_id, answer), *effects)


def _is_overtaken(state: GlobalState, session: Session, type_: str) -> bool:
    """Whether the zone has told all of the type on a newer stream: what was on its way on the old
    one is older, and would stay. Whoever is still there comes back and says everything anew.
    """
    return any(
        not other.downward
        and other.opened_at > session.opened_at
        and other.receivers[type_].answer is not None
        for other in state.streams_of(session.zone)
    )


def _reported(state: GlobalState, zone: str, response: DeltaResponse) -> GlobalState:
    if not response.resources:
        return state
    record = replace(state.zones[zone], report=parse_report(response.resources[-1].entry))
    return replace(state, zones=state.zones.insert(zone, record))


def _announced(state: GlobalState, zone: str, response: DeltaResponse) -> GlobalState:
    """Who answers empty is a real Kuma zone, or an older one of ours."""
    found = ZoneStatus(StatusMode.NONE)
    if response.resources:
        found = parse_status(response.resources[-1].entry)
    record = replace(state.zones[zone], announced=found)
    return replace(state, zones=state.zones.insert(zone, record))


def _heard(state: GlobalState, zone: str, type_: str) -> GlobalState:
    record = state.zones[zone]
    if type_ in record.heard:
        return state
    record = replace(record, heard=record.heard | {type_})
    return replace(state, zones=state.zones.insert(zone, record))


def _received(
    state: GlobalState,
    session: Session,
    event: ZonePublished,
    *,
    is_initial: bool,
) -> tuple[GlobalState, Effects, Taken]:
    """Take a zone's resources into the inventory; what travels goes on to the other zones. A
    refused one leaves what was accepted under its name.
    """
    response, zone, type_ = event.response, session.zone, event.response.type_url
    record = state.zones[zone]
    put, found = _attributed(state, session, response)
    drop: tuple[ResourceKey, ...] = ()
    if not event.more:
        drop = _dropped(record, session, response, found if is_initial else None)
    change = ResourceDiff(put, tuple(key for key in drop if key in record.owned.by_key))
    news = narrowed(record.owned, change)
    owned = apply(record.owned, news)
    travels = KINDS[type_].across
    after, relayed = record, ResourceDiff()
    if news:
        relayed = narrowed(record.relayed, _bare(change)) if travels else relayed
        after = replace(record, owned=owned, relayed=apply(record.relayed, relayed))
    if not KINDS[type_].read_only:
        after = _dated(after, change, news, event.now)
    if after.remembered and type_ == "ZoneIngress":
        after = replace(after, remembered=False)
    told: Effects = ()
    if not event.more:
        gone = None if is_initial else frozenset(response.removed)
        after, told = _refusals(after, type_, found, gone)
    if after is not record:
        state = replace(state, zones=state.zones.insert(zone, after))
    keys = (*(r.key for r in news.put), *news.drop)
    if type_ in global_services.PROXY_TYPES and keys:
        state, counted = global_services.proxies_changed(
            state, zone, record.owned, owned, keys, event.now
        )
        told = (*told, *counted)
    if not relayed:
        return state, told, found
    keep = KeepRelayed(zone, relayed.put, relayed.drop)
    if state.published is None:
        return state, (keep, *told), found
    keys = (*(r.key for r in relayed.put), *relayed.drop)
    pairs = tuple((record.relayed.get(key), after.relayed.get(key)) for key in keys)
    state, relay = global_slices.relay(state, zone, pairs)
    return state, (keep, *relay, *told), found


def _bare(change: ResourceDiff) -> ResourceDiff:
    """Without statuses: no other zone is sent one, and they change with every proxy."""
    put = (r if r.status is None else replace(r, status=None) for r in change.put)
    return ResourceDiff(tuple(put), change.drop)


def _dated(record: ZoneRecord, told: ResourceDiff, news: ResourceDiff, now: float) -> ZoneRecord:
    """What is told again after a start of ours is no change."""
    times, changed = record.times, {resource.key for resource in news.put}
    for resource in told.put:
        key = resource.key
        before = times.get(key)
        if before is None:
            times = times.insert(key, (now, now))
        elif key in changed:
            times = times.insert(key, (before[0], now))
    for key in news.drop:
        times = times.discard(key)
    return record if times is record.times else replace(record, times=times)


def _dropped(
    record: ZoneRecord, session: Session, response: DeltaResponse, whole: Taken | None
) -> tuple[ResourceKey, ...]:
    """What is gone: of `whole`, which is all there is, whatever it does not name; else what the
    response says.
    """
    type_ = response.type_url
    if whole is None:
        return tuple(_held(record.owned, session, type_, name) for name in response.removed)
    refused = {_held(record.owned, session, type_, name) for name in whole.errors}
    gone = (
        key
        for resource in record.owned.of(type_)
        if ((key := resource.key).mesh, key.name) not in whole.keys
    )
    return tuple(key for key in gone if key not in refused)


def _key(session: Session, type_: str, name: str, at: int | None = None) -> ResourceKey:
    """Of a discovery name, `<name>.<mesh>`, whose mesh begins behind the dot `at`, or the last."""
    at = name.rfind(".") if at is None else at
    inner, mesh = name[: max(at, 0)], name[at + 1 :]
    return ResourceKey(type_, mesh, inner if session.hashes else f"{session.zone}.{inner}")


def _held(owned: MeshState, session: Session, type_: str, name: str) -> ResourceKey:
    """Of one that is known: a mesh may have dots in its name, too."""
    at = name.rfind(".")
    while at >= 0 and len(name) - at <= MESH_MAX + 1:
        key = _key(session, type_, name, at)
        if key in owned.by_key:
            return key
        at = name.rfind(".", 0, at)
    return _key(session, type_, name)


def _attributed(
    state: GlobalState, session: Session, response: DeltaResponse
) -> tuple[tuple[MeshResource, ...], Taken]:
    """The resources that are taken, and all of the response up to here. Names are those inside the
    resources: a peer may frame them under any other.
    """
    put: list[MeshResource] = []
    names: set[str] = set()
    errors: dict[str, str] = {}
    claims: set[str] = set()
    for entry in response.resources:
        carried, insight = _decoded(response.type_url, entry.entry)
        name = resource_name(carried.mesh, carried.name)
        # Whose name it is has to be looked for among all zones: not for each of thousands.
        known = state.zones.keys() if len(errors) < REFUSALS_SHOWN else ()
        found = _accepted(state, session, carried, known, insight)
        if isinstance(found, MeshResource):
            put.append(found)
            names.add(name)
            continue
        errors[name] = found
        if is_claim(found):
            claims.add(name)
    keys = {(resource.key.mesh, resource.key.name) for resource in put}
    return tuple(put), session.taken.and_then(keys, names, errors, claims)


def _decoded(type_: str, entry: bytes) -> tuple[CarriedResource, InsightSpec | None]:
    return decode_insight(entry) if type_ == INSIGHT else (decode_entry(type_, entry), None)


def _accepted(
    state: GlobalState,
    session: Session,
    carried: CarriedResource,
    known: Iterable[str],
    insight: InsightSpec | None,
) -> MeshResource | str:
    zone = session.zone
    accepted = accept_from_zone(zone, carried)
    if isinstance(accepted, str):
        return accepted
    if session.hashes:
        fault = name_fault(zone, accepted, (name for name in known if name != zone))
        if fault is not None:
            return fault
    else:
        accepted = legacy_named(zone, accepted)
    key = ResourceKey(accepted.type, accepted.mesh, accepted.name)
    owner = _owner(state, key) if KINDS[key.type].across else None
    if owner not in (None, zone):
        return f'the name is taken by a resource of zone "{owner}"; rename it'
    labels = Labels.of(accepted.labels)
    if insight is not None:
        return MeshResource(key, labels, accepted.body, insight)
    try:
        return canonical_resource(key, labels, accepted.body, accepted.status)
    except DecodeError as error:
        return str(error)


def _owner(state: GlobalState, key: ResourceKey) -> str | None:
    """The zone whose relayed resource has the key: under it, the others know just one."""
    return next((r.name for r in state.zones.values() if key in r.relayed.by_key), None)


def _refusals(
    record: ZoneRecord, type_: str, found: Taken, gone: frozenset[str] | None
) -> tuple[ZoneRecord, Effects]:
    """What of the zone's is refused now, for status; a claim of another zone's name is told. `gone`
    are names that the zone removed, None: all that it does not name.
    """
    held = record.refused.get(type_) or HashTrieMap()
    if not found.errors and not held:
        return record, ()
    if gone is None:
        held = HashTrieMap()
    for name in list(held):
        if name in found.names or (gone is not None and name in gone):
            held = held.discard(name)
    for name, why in found.errors.items():
        if len(held) < REFUSED_MAX or name in held:
            held = held.insert(name, why[:REFUSAL_MAX])
    refused = record.refused.insert(type_, held) if held else record.refused.discard(type_)
    record = replace(record, refused=refused, claims=record.claims + len(found.claims))
    notes = tuple(
        Note(
            "zone.claim_refused",
            {"zone": record.name, "type": type_, "name": name, "reason": found.errors[name]},
        )
        for name in sorted(found.claims)[:NOTES_MAX]
    )
    return record, notes
