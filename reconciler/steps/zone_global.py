"""Policies in: what the global sends, staged type by type and taken into force as a whole revision.

Global-owned types are acknowledged and staged; the state changes only when what is staged has the
digests of the `RevisionManifest` (design: a revision reaches a zone as a whole). Kinds relayed from
other zones apply at once. A peer without manifests (a real Kuma global) answers the type empty; its
data applies type by type, Mesh first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rpds import HashTrieMap

from reconciler.fleet import HELD, carried_id, cluster_id, said_id, zone_refuses
from reconciler.kds.codec import decode_entry
from reconciler.kds.manifest import matches, parse_manifest
from reconciler.kds.receive import refusals_text
from reconciler.kds.types import GLOBAL_TO_ZONE_TYPES, MANIFEST, RELAYED_TYPES
from reconciler.model.decode import DecodeError
from reconciler.state import ResourceDiff, apply
from reconciler.steps import (
    zone_build,
    zone_gather,
    zone_names,
    zone_report,
    zone_staging,
    zone_taking,
)
from reconciler.steps.link_state import NOTHING, Parts
from reconciler.steps.zone_state import (
    Effect,
    Effects,
    GlobalResponse,
    LeaveGlobal,
    Note,
    Outcome,
    Persist,
    ToGlobalRequest,
    WakeAt,
    ZoneState,
)
from xds.copying import replace
from xds.delta_receiver import DeltaReceiver
from xds.discovery import RemoteProtocolError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from reconciler.model.resource import MeshResource
    from xds.discovery import DeltaResponse

REACK_S = 45.0  # between repeated answers to a real Kuma global (facts 1.10, item 9)
# Between two sessions with a real Kuma global: it takes a while to know that the old one is over,
# and would end the watches of the new one with it (facts 1.10, item 9; 9.2, item 10).
REDIAL_S = 5.0
INCOMPLETE_MAX_S = 60.0  # without news of a revision that is not whole yet
# The manifest last, so that what it speaks of tends to be here first.
ALL_TYPES = (*GLOBAL_TO_ZONE_TYPES, MANIFEST)
FIRST_TYPES = ("Config", MANIFEST)


def connected(state: ZoneState, session: str, now: float) -> Outcome:
    """A zone that holds keys asks first whose global this is. The rest it asks once it knows, and
    tells nothing before: what a stranger has or has not is no news of this fleet, and the stranger
    may have a zone of this name.
    """
    known = not cluster_id(state.policy)
    link = replace(
        state.link,
        session=session,
        since=now,
        until=None,
        known=known,
        receivers=HashTrieMap(),
        senders=HashTrieMap(),
        nonces=0,
        manifest=None,
        piecewise=False,
        refused=HashTrieMap(),
        parts=Parts(),
        incomplete_since=None,
        held=frozenset(),
        reack_at=None,
    )
    state, asks = _asked(replace(state, link=link), ALL_TYPES if known else FIRST_TYPES)
    return state, (*asks, Note("global.connected", {"session": session}))


def _asked(state: ZoneState, types: Sequence[str]) -> Outcome:
    """Subscribed to these, in their order."""
    held, node = cluster_id(state.policy), state.settings.node
    node = replace(node, metadata={**node.metadata, HELD: held}) if held else node
    link, made = state.link, {type_: DeltaReceiver(type_url=type_, node=node) for type_ in types}
    asks = tuple(ToGlobalRequest(link.session or "", r.subscribe()) for r in made.values())
    return replace(state, link=replace(link, receivers=link.receivers.update(made))), asks


def _introduced(state: ZoneState) -> Outcome:
    """Once this session has told whose global it is. One of Kuma may need a while after its first
    start until it can.
    """
    link, staged = state.link, state.link.staged.get("Config", NOTHING)
    said = any(said_id(entry.resource) for entry in staged)
    if link.known or not said or not zone_taking.told(link, "Config"):
        return state, ()
    state = replace(state, link=replace(link, known=True))
    state, asks = _asked(state, [type_ for type_ in ALL_TYPES if type_ not in link.receivers])
    state, told = zone_report.offer_all(state, link.senders)
    return state, (*asks, *told)


def redial_least_s(state: ZoneState) -> float:
    return REDIAL_S if state.link.kuma else 0.0


def disconnected(state: ZoneState, session: str, reason: str, now: float) -> Outcome:
    """Nothing is withdrawn: the last revision and the last known ingresses stay in force."""
    if session != state.link.session:
        return state, ()
    nothing: HashTrieMap[str, DeltaReceiver] = HashTrieMap()
    link = replace(state.link, session=None, until=now, receivers=nothing, senders=HashTrieMap())
    return replace(state, link=link), (Note("global.disconnected", {"reason": reason}),)


def response(state: ZoneState, event: GlobalResponse) -> Outcome:
    """Answered, and taken into force, when all of it is here."""
    link, session, received, now = state.link, event.session, event.response, event.now
    receiver = link.receivers.get(received.type_url)
    if session != link.session or receiver is None:
        return state, ()
    errors: Mapping[str, str] = {}
    effects: Effects = ()
    try:
        receiver, news = receiver.on_response(received)
        foreign = _foreign(state, received)
        if foreign is not None:
            return _left(state, foreign)
        if event.more:
            return _part(state, received), ()
        state, received = _whole(state, received)
        if received.type_url == MANIFEST:
            state = _manifest_received(state, received)
            state, effects = zone_report.offer_all(state, state.link.held)
        elif received.type_url in RELAYED_TYPES:
            state, effects, errors = _relayed(state, received, is_initial=news.is_initial)
        else:
            state, errors = zone_staging.whole(state, received, is_initial=news.is_initial)
    except RemoteProtocolError as error:
        return state, (LeaveGlobal(session, str(error)),)
    text = refusals_text(errors)
    state, answer = _answer(state, receiver, text)
    state, asks = _introduced(state)
    if state.link.piecewise and state.link.reack_at is None:
        state, guard = _guarded(state, now)
        effects = (*effects, *guard)
    state, taken = _taken_when_whole(state, now)
    state, wakes = zone_gather.policies_in(state, now)
    state, gathered = zone_gather.due(state, now)
    fields = {"type": received.type_url, "error": text}
    notes = (Note("global.resource_refused", fields),) if errors else ()
    return state, (*effects, *taken, answer, *asks, *notes, *wakes, *gathered)


def _part(state: ZoneState, received: DeltaResponse) -> ZoneState:
    link, parts = state.link, state.link.parts
    if received.type_url == MANIFEST or received.type_url in RELAYED_TYPES:
        parts = replace(parts, resources=(*parts.resources, *received.resources))
    else:
        parts = zone_staging.part(link, received)
    return replace(state, link=replace(link, parts=parts))


def _whole(state: ZoneState, last: DeltaResponse) -> tuple[ZoneState, DeltaResponse]:
    """With the parts before, of what is not staged by parts."""
    before = state.link.parts.resources
    if not before:
        return state, last
    link = replace(state.link, parts=Parts())
    return replace(state, link=link), replace(last, resources=(*before, *last.resources))


def _guarded(state: ZoneState, now: float) -> Outcome:
    due = now + REACK_S
    return replace(state, link=replace(state.link, reack_at=due)), (WakeAt(due),)


def reack(state: ZoneState, now: float) -> Outcome:
    """A Kuma global may have lost the watch of a stream whose predecessor ended late, and would be
    silent from then on: the last answer of each type brings it back.
    """
    link = state.link
    if link.session is None or link.reack_at is None or now < link.reack_at:
        return state, ()
    again = (receiver.reack() for receiver in link.receivers.values())
    requests = tuple(ToGlobalRequest(link.session, request) for request in again if request)
    state, wake = _guarded(state, now)
    return state, (*sorted(requests, key=lambda effect: effect.request.type_url), *wake)


def _foreign(state: ZoneState, received: DeltaResponse) -> str | None:
    """Why this global may not replace the keys and CAs that this zone holds."""
    if received.type_url != "Config":
        return None
    offered = [carried_id(decode_entry("Config", r.entry)) for r in received.resources]
    held, accepted = cluster_id(state.policy), state.settings.accepts_cluster
    told = (zone_refuses(held, each, accepted) for each in offered)
    return next((why for why in told if why is not None), None)


def _left(state: ZoneState, why: str) -> Outcome:
    """At once: what else of that session is on its way must not be taken."""
    session = state.link.session or ""
    link = replace(state.link, session=None, receivers=HashTrieMap(), senders=HashTrieMap())
    note = Note("global.foreign_refused", {"reason": why})
    return replace(state, link=link), (note, LeaveGlobal(session, why))


def _answer(state: ZoneState, receiver: DeltaReceiver, refusals: str) -> tuple[ZoneState, Effect]:
    receiver, request = receiver.nack(refusals) if refusals else receiver.ack()
    link = state.link
    link = replace(link, receivers=link.receivers.insert(receiver.type_url, receiver))
    return replace(state, link=link), ToGlobalRequest(link.session or "", request)


def _manifest_received(state: ZoneState, received: DeltaResponse) -> ZoneState:
    if not received.resources:
        piecewise = state.link.manifest is None
        return replace(state, link=replace(state.link, piecewise=piecewise, kuma=piecewise))
    found = parse_manifest(received.resources[-1].entry)
    return replace(state, link=replace(state.link, manifest=found, piecewise=False, kuma=False))


def _taken_when_whole(state: ZoneState, now: float) -> Outcome:
    link = state.link
    if state.taking is not None:  # What came meanwhile is next.
        return state, ()
    if link.piecewise:
        whole = link.known and zone_taking.told(link, "Mesh")
        return zone_taking.on(zone_taking.begun(state, None), now) if whole else (state, ())
    if link.manifest is None:
        return state, ()
    wanted, link = link.manifest, zone_staging.with_digests(link, link.manifest)
    if matches(wanted, lambda type_: link.digests[type_].digest):
        state = replace(state, link=replace(link, incomplete_since=None))
        return zone_taking.on(zone_taking.begun(state, wanted.revision), now)
    wake = () if link.incomplete_since is not None else (WakeAt(now + INCOMPLETE_MAX_S),)
    return replace(state, link=replace(link, incomplete_since=now)), wake


def taking_due(state: ZoneState, now: float) -> Outcome:
    """The next part of a large revision."""
    if state.taking is None:
        return state, ()
    state, taken = zone_taking.on(state, now)
    state, next_ = _taken_when_whole(state, now)
    state, wakes = zone_gather.policies_in(state, now)
    state, gathered = zone_gather.due(state, now)
    return state, (*taken, *next_, *wakes, *gathered)


def overdue(state: ZoneState, now: float) -> Outcome:
    """A revision that does not become whole although nothing more comes is told, not waited for in
    silence. What was refused here is the global's to cure; without a refusal something was lost
    between us, and a new session brings everything again.
    """
    link = state.link
    if link.session is None or link.manifest is None or link.incomplete_since is None:
        return state, ()
    due = link.incomplete_since + INCOMPLETE_MAX_S
    if now < due:
        return state, (WakeAt(due),)
    refused = {name: why for found in link.refused.values() for name, why in found.items()}
    fields = {"revision": link.manifest.revision, "refused": refusals_text(refused)}
    state = replace(state, link=replace(link, incomplete_since=None))
    note = Note("global.revision_incomplete", fields)
    if refused:
        return state, (note,)
    reason = f"revision {link.manifest.revision} has not arrived whole"
    return state, (note, LeaveGlobal(link.session, reason))


def _relayed(
    state: ZoneState, received: DeltaResponse, *, is_initial: bool
) -> tuple[ZoneState, Effects, Mapping[str, str]]:
    """Ingresses and services of other zones: applied at once, and kept for later starts."""
    put, errors = _understood(state, received)
    by_wire = {f"{r.key.name}.{r.key.mesh}": r.key for r in state.relayed.of(received.type_url)}
    if is_initial:
        kept = {resource.key for resource in put}
        drop = tuple(key for key in by_wire.values() if key not in kept)
    else:
        drop = tuple(by_wire[name] for name in received.removed if name in by_wire)
    own = state.settings.zone
    change = ResourceDiff(tuple(r for r in put if r.labels.get("kuma.io/zone") != own), drop)
    relayed = apply(state.relayed, change)
    if relayed is state.relayed:
        return state, (), errors
    ours = state.local.by_key  # One of ours may have come to stand in the place of what is gone.
    seen = replace(change, drop=tuple(key for key in change.drop if key not in ours))
    state = zone_report.seen(replace(state, relayed=relayed), seen)
    state, built = zone_build.touched(state, change)
    asked = zone_names.look_up(state, zone_names.names_there(change.put))
    return state, (Persist("relayed", change.put, change.drop), *built, *asked), errors


def _understood(
    state: ZoneState, received: DeltaResponse
) -> tuple[tuple[MeshResource, ...], Mapping[str, str]]:
    put, errors = [], {}
    for entry in received.resources:
        try:
            resource = zone_staging.typed(decode_entry(received.type_url, entry.entry))
        except DecodeError as error:
            errors[entry.name] = str(error)
            continue
        if state.local.get(resource.key) is None:
            put.append(resource)
        else:  # It would stand in the place of our own.
            errors[entry.name] = "the name is taken by a resource of this zone"
    return tuple(put), errors
