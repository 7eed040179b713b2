"""Policies in: what the global sends, staged type by type and taken into force as a whole revision.

Global-owned types are acknowledged and staged; the state changes only when what is staged has the
digests of the `RevisionManifest` (design: a revision reaches a zone as a whole). Kinds relayed from
other zones apply at once. A peer without manifests (a real Kuma global) answers the type empty; its
data applies type by type, Mesh first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rpds import HashTrieMap

from reconciler.decode import mesh_resource
from reconciler.fleet import HELD, carried_id, cluster_id, said_id, zone_refuses
from reconciler.kds.codec import CarriedResource, decode_entry
from reconciler.kds.manifest import matches, parse_manifest, versions_digest
from reconciler.kds.names import resource_name
from reconciler.kds.receive import accept_from_global, refusals_text
from reconciler.kds.types import GLOBAL_TO_ZONE_TYPES, MANIFEST, RELAYED_TYPES
from reconciler.model.decode import DecodeError
from reconciler.model.resource import Labels, MeshResource, ResourceKey
from reconciler.state import MeshState, ResourceDiff, apply
from reconciler.steps import zone_build, zone_gather, zone_proxies, zone_report
from reconciler.steps.link_state import GlobalLink, Parts, Staged, StagedType
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
    from collections.abc import Mapping

    from reconciler.kds.manifest import Manifest
    from xds.discovery import DeltaResponse

NOTHING: StagedType = HashTrieMap()
REACK_S = 45.0  # between repeated answers to a real Kuma global (facts 1.10, item 9)
# Between two sessions with a real Kuma global: it takes a while to know that the old one is over,
# and would end the watches of the new one with it (facts 1.10, item 9; 9.2, item 10).
REDIAL_S = 5.0
INCOMPLETE_MAX_S = 60.0  # without news of a revision that is not whole yet


def connected(state: ZoneState, session: str) -> Outcome:
    """Subscribe to every type; the manifest last, so that what it speaks of tends to be
    here first.
    """
    held = cluster_id(state.policy)
    node = state.settings.node
    node = replace(node, metadata={**node.metadata, HELD: held}) if held else node
    receivers = {
        type_: DeltaReceiver(type_url=type_, node=node)
        for type_ in (*GLOBAL_TO_ZONE_TYPES, MANIFEST)
    }
    asks = tuple(ToGlobalRequest(session, receiver.subscribe()) for receiver in receivers.values())
    link = replace(
        state.link,
        session=session,
        receivers=HashTrieMap(receivers),
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
    return replace(state, link=link), (*asks, Note("global.connected", {"session": session}))


def redial_least_s(state: ZoneState) -> float:
    return REDIAL_S if state.link.kuma else 0.0


def disconnected(state: ZoneState, session: str, reason: str) -> Outcome:
    """Nothing is withdrawn: the last revision and the last known ingresses stay in force."""
    if session != state.link.session:
        return state, ()
    link = replace(state.link, session=None, receivers=HashTrieMap(), senders=HashTrieMap())
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
            return _part(state, received, is_initial=news.is_initial), ()
        state, received = _whole(state, received)
        if received.type_url == MANIFEST:
            state = _manifest_received(state, received)
            state, effects = zone_report.offer_held(state)
        elif received.type_url in RELAYED_TYPES:
            state, effects, errors = _relayed(state, received, is_initial=news.is_initial)
        else:
            state, errors = _stage(state, received, is_initial=news.is_initial)
    except RemoteProtocolError as error:
        return state, (LeaveGlobal(session, str(error)),)
    text = refusals_text(errors)
    state, answer = _answer(state, receiver, text)
    if state.link.piecewise and state.link.reack_at is None:
        state, guard = _guarded(state, now)
        effects = (*effects, *guard)
    state, swapped = _swap_when_whole(state, now)
    state, wakes = zone_gather.policies_in(state, now)
    state, gathered = zone_gather.due(state, now)
    fields = {"type": received.type_url, "error": text}
    notes = (Note("global.resource_refused", fields),) if errors else ()
    return state, (*effects, *swapped, answer, *notes, *wakes, *gathered)


def _part(state: ZoneState, received: DeltaResponse, *, is_initial: bool) -> ZoneState:
    link, parts = state.link, state.link.parts
    if received.type_url == MANIFEST or received.type_url in RELAYED_TYPES:
        parts = replace(parts, resources=(*parts.resources, *received.resources))
    else:
        parts = _staged(link, received, is_initial=is_initial)
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


def _knows_fleet(state: ZoneState) -> bool:
    """A peer that has no manifest says whose fleet it is in a type of its own, which may come after
    the keys: they wait for it where this zone has some to lose.
    """
    if not cluster_id(state.policy):
        return True
    configs = state.link.staged.get("Config") or HashTrieMap()
    return any(said_id(entry.resource) for entry in configs.values())


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


def _stage(
    state: ZoneState, received: DeltaResponse, *, is_initial: bool
) -> tuple[ZoneState, Mapping[str, str]]:
    """Take a response of a global-owned type into staging; returns what could not be understood."""
    type_, link = received.type_url, state.link
    before: StagedType = link.staged.get(type_, NOTHING)
    parts = _staged(link, received, is_initial=is_initial)
    staged, errors, told = parts.staged or NOTHING, parts.errors, parts.names
    if is_initial and type_ in link.staged and dict(staged) == dict(before):
        staged = before  # The very object, so that nothing is taken for changed.
    earlier: Mapping[str, str] = link.refused.get(type_) or HashTrieMap()
    refused = {
        **{name: why for name, why in earlier.items() if not is_initial and name not in told},
        **errors,
    }
    if set(earlier) - set(refused) and staged is link.applied.get(type_):
        staged = HashTrieMap(dict(staged))  # What was kept in place of a refused one may go now.
    link = replace(
        link,
        parts=Parts(),
        staged=link.staged.insert(type_, staged),
        refused=link.refused.insert(type_, HashTrieMap(refused)),
        news=link.news.insert(type_, _news(link, type_, None if is_initial else told)),
    )
    return replace(state, link=link), errors


def _staged(link: GlobalLink, received: DeltaResponse, *, is_initial: bool) -> Parts:
    """With what came before of the same response."""
    parts, held = link.parts, link.staged.get(received.type_url, NOTHING)
    begun = parts.staged if parts.staged is not None else NOTHING if is_initial else held
    staged, errors = staged_type(begun, received)
    names = {*received.removed, *(resource.name for resource in received.resources)}
    return Parts(staged, {**parts.errors, **errors}, parts.names | names)


def _news(link: GlobalLink, type_: str, told: frozenset[str] | None) -> frozenset[str] | None:
    """Names in which what is staged may differ from what is applied; None: in all."""
    before = link.news.get(type_, frozenset() if type_ in link.applied else None)
    return None if told is None or before is None else before | told


def staged_type(
    staged: StagedType, received: DeltaResponse
) -> tuple[StagedType, Mapping[str, str]]:
    errors: dict[str, str] = {}
    for name in received.removed:
        staged = staged.discard(name)
    for resource in received.resources:
        carried = decode_entry(received.type_url, resource.entry)
        refusal = accept_from_global(received.type_url, carried)
        if refusal is None:
            try:
                found = Staged(resource.version, typed(carried))
            except DecodeError as error:
                refusal = str(error)
            else:
                staged = staged.insert(resource.name, found)
        if refusal is not None:
            errors[resource.name] = refusal
    return staged, errors


def typed(carried: CarriedResource) -> MeshResource:
    """Raises DecodeError when the spec is not one this program understands."""
    key = ResourceKey(carried.type, carried.mesh, carried.name)
    return mesh_resource(key, Labels.of(carried.labels), carried.data)


def _swap_when_whole(state: ZoneState, now: float) -> Outcome:
    link = state.link
    if link.piecewise:
        whole = "Mesh" in link.staged and _knows_fleet(state)
        return _swap(state, None, now) if whole else (state, ())
    if link.manifest is None:
        return state, ()
    wanted, link = link.manifest, _with_digests(link, link.manifest)
    if matches(wanted, lambda type_: link.digests[type_][1]):
        state = replace(state, link=replace(link, incomplete_since=None))
        return _swap(state, wanted.revision, now)
    wake = () if link.incomplete_since is not None else (WakeAt(now + INCOMPLETE_MAX_S),)
    return replace(state, link=replace(link, incomplete_since=now)), wake


def _with_digests(link: GlobalLink, wanted: Manifest) -> GlobalLink:
    """Of a type that has not changed, what was computed before."""
    digests = link.digests
    for type_ in wanted.digests:
        staged, known = link.staged.get(type_, NOTHING), digests.get(type_)
        if known is None or known[0] is not staged:
            versions = {name: entry.version for name, entry in staged.items()}
            digests = digests.insert(type_, (staged, versions_digest(versions)))
    return link if digests is link.digests else replace(link, digests=digests)


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


def _swap(state: ZoneState, revision: str | None, now: float) -> Outcome:
    """Take everything staged into force at once, and keep it on disk before anyone hears of it."""
    link = state.link
    changed = tuple(
        sorted(t for t, staged in link.staged.items() if staged is not link.applied.get(t))
    )
    if not changed and revision == state.revision:
        return state, ()
    change = _difference(state.policy, link, changed)
    link = replace(link, applied=link.staged, news=HashTrieMap())
    state = replace(state, link=link, revision=revision)
    state = replace(state, policy=apply(state.policy, change), merged=apply(state.merged, change))
    persist = Persist("policy", change.put, change.drop, revision=revision or "")
    state, built = zone_build.touched(state, change)
    # What the ingress offers depends on the meshes: one may have come, gone or changed its mode.
    meshes = any(key.type == "Mesh" for key in (*(r.key for r in change.put), *change.drop))
    state, reported = (zone_report.local_changed if meshes else zone_report.mark)(state, now)
    fields = {"revision": revision, "put": len(change.put), "drop": len(change.drop)}
    ended: Effects = ()
    if change.types & {"Secret", "GlobalSecret"}:  # Keys of tokens, and lists of revoked ones.
        state, ended = zone_proxies.end_outlived(state, now)
    return state, (persist, *built, *reported, Note("revision.in_force", fields), *ended)


def _difference(policy: MeshState, link: GlobalLink, types: tuple[str, ...]) -> ResourceDiff:
    """A resource that was refused leaves in force what this zone has under its name: without it
    another policy would be the one that counts.
    """
    put: list[MeshResource] = []
    drop: list[ResourceKey] = []
    for type_ in types:
        few = _few_differing(policy, link, type_)
        found = few if few is not None else _differing(policy, link, type_)
        put += found.put
        drop += found.drop
    return ResourceDiff(tuple(sorted(put, key=lambda r: r.key)), tuple(sorted(drop)))


def _differing(policy: MeshState, link: GlobalLink, type_: str) -> ResourceDiff:
    """A look at everything of the type."""
    wanted = {e.resource.key: e.resource for e in link.staged[type_].values()}
    refused = link.refused.get(type_) or HashTrieMap()
    drop = (
        r.key
        for r in policy.of(type_)
        if r.key not in wanted and resource_name(r.key.mesh, r.key.name) not in refused
    )
    put = (r for key, r in wanted.items() if policy.get(key) != r)
    return ResourceDiff(tuple(put), tuple(drop))


def _few_differing(policy: MeshState, link: GlobalLink, type_: str) -> ResourceDiff | None:
    """The same by the names that were told since; None when they do not say all."""
    news, staged = link.news.get(type_), link.staged[type_]
    before = link.applied.get(type_, NOTHING)
    refused = link.refused.get(type_) or HashTrieMap()
    if news is None:
        return None
    put: list[MeshResource] = []
    drop: list[ResourceKey] = []
    for name in news:
        now, was = staged.get(name), before.get(name)
        if now is not None:
            if was is not None and was.resource.key != now.resource.key:
                return None
            if policy.get(now.resource.key) != now.resource:
                put.append(now.resource)
        elif was is None:
            return None  # One that was kept in place of a refused one may have this name.
        elif name not in refused and policy.get(was.resource.key) is not None:
            drop.append(was.resource.key)
    return ResourceDiff(tuple(put), tuple(drop))


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
    state = replace(state, relayed=relayed, merged=apply(state.merged, seen))
    state, built = zone_build.touched(state, change)
    return state, (Persist("relayed", change.put, change.drop), *built), errors


def _understood(
    state: ZoneState, received: DeltaResponse
) -> tuple[tuple[MeshResource, ...], Mapping[str, str]]:
    put, errors = [], {}
    for entry in received.resources:
        try:
            resource = typed(decode_entry(received.type_url, entry.entry))
        except DecodeError as error:
            errors[entry.name] = str(error)
            continue
        if state.local.get(resource.key) is None:
            put.append(resource)
        else:  # It would stand in the place of our own.
            errors[entry.name] = "the name is taken by a resource of this zone"
    return tuple(put), errors


def resolved(state: ZoneState, addresses: Mapping[str, str]) -> Outcome:
    """New addresses of advertised host names: only meshes that use them see a different context."""
    if dict(state.resolved) == dict(addresses):
        return state, ()
    state = replace(state, resolved=HashTrieMap(dict(addresses)))
    return zone_build.all_touched(state)
