"""Zones of the global: who comes and goes, and what each sends.

What a zone sends is kept as inventory, attributed to its proven identity only; its ingresses go on
to the other zones.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from rpds import HashTrieMap

from reconciler.decode import mesh_resource
from reconciler.kds.codec import decode_entry
from reconciler.kds.manifest import parse_report
from reconciler.kds.receive import accept_from_zone, refusals_text
from reconciler.kds.types import RELAYED_TYPES, REPORT, ZONE_TO_GLOBAL_TYPES
from reconciler.model.decode import DecodeError
from reconciler.model.resource import Labels, MeshResource, ResourceKey
from reconciler.state import MeshState, ResourceDiff, apply, from_resources
from reconciler.steps import global_down
from reconciler.steps.global_state import (
    CloseSession,
    Effect,
    Effects,
    GlobalState,
    KeepRelayed,
    Note,
    Outcome,
    SendRequest,
    Session,
    ZoneOpened,
    ZoneRecord,
    global_node,
)
from xds.delta_receiver import DeltaReceiver
from xds.discovery import DeltaResponse, RemoteProtocolError

if TYPE_CHECKING:
    from collections.abc import Mapping

INVALID_ARGUMENT = 3  # gRPC status number


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
    holders = [s for s in state.sessions.values() if s.zone == zone]
    if holders and record is not None and record.identity != identity:
        return 7, f'zone "{zone}" is connected under another identity; end that connection first'
    return None


def _why_none(state: GlobalState) -> str:
    if state.held is not None:
        return f"commit {state.held.commit[:12]} is held and waits for `reconciler accept`"
    if state.rejected is not None and state.rejected.problems:
        return str(state.rejected.problems[0])
    return "loading"


def opened(state: GlobalState, event: ZoneOpened) -> Outcome:
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


def closed(state: GlobalState, session_id: str, now: float) -> Outcome:
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


def published(state: GlobalState, session_id: str, response: DeltaResponse) -> Outcome:
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
    state, relayed = global_down.relay(state, zone, response.type_url)
    return state, (*keep, *relayed), errors


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
            labels = Labels.of(accepted.labels)
            put.append(mesh_resource(key, labels, accepted.data, accepted.status))
        except DecodeError as error:
            errors[entry.name] = str(error)
    return tuple(put), errors


def _owner(state: GlobalState, key: ResourceKey) -> str | None:
    """The zone whose relayed resource has the key: under it, the others know just one."""
    return next((r.name for r in state.zones.values() if key in r.relayed.by_key), None)
