"""A staged revision into force: what differs is found and taken a few resources a turn, beside what
is in force, and comes into force all at once. Small revisions need one turn.

What is computed from policies alone (the indexes of a mesh's context) follows on the way, so that
little is left to be done at the end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rpds import HashTrieMap

from reconciler.collection import differences
from reconciler.state import ResourceDiff, apply
from reconciler.steps import zone_build, zone_report, zone_services, zone_tokens
from reconciler.steps.link_state import NOTHING
from reconciler.steps.zone_state import (
    BuildSoon,
    Effects,
    Note,
    Outcome,
    Persist,
    Taking,
    ZoneState,
)
from reconciler.view import Reach, touched_meshes
from xds.copying import replace

if TYPE_CHECKING:
    from reconciler.steps.link_state import GlobalLink

LOOKS = 1_000  # resources that are compared in one turn
CHANGES = 64  # of which so many are taken


def begun(state: ZoneState, revision: str | None) -> ZoneState:
    """`revision`: None from a peer that has no manifests. What it has not told of a type in this
    session is not known: nothing of it changes.
    """
    link = state.link
    types = sorted(
        type_
        for type_, staged in link.staged.items()
        if staged is not link.applied.get(type_) and (revision or told(link, type_))
    )
    return replace(
        state,
        taking=Taking(
            revision=revision,
            staged=link.staged,
            applied=link.applied,
            refused=link.refused,
            types=tuple(types),
            left=ResourceDiff(),
            policy=state.policy,
            merged=state.merged,
            change=ResourceDiff(),
            reach=Reach(),
        ),
    )


def told(link: GlobalLink, type_: str) -> bool:
    """In this session."""
    receiver = link.receivers.get(type_)
    return receiver is not None and receiver.answer is not None


def on(state: ZoneState, now: float) -> Outcome:
    """The next part; the last one takes the revision into force."""
    taking = state.taking
    if taking is None:
        return state, ()
    looked, part = 0, ResourceDiff()
    while (taking.types or taking.left) and looked < LOOKS and _size(part) < CHANGES:
        if taking.left:
            window = _first(taking.left, CHANGES - _size(part))
            taking = replace(taking, left=_without(taking.left, window))
            put = tuple(r for r in window.put if taking.policy.get(r.key) != r)
            part = ResourceDiff((*part.put, *put), (*part.drop, *window.drop))
            looked += _size(window)
        else:
            taking = _compared(taking)
            looked += _size(taking.left)
    reach = touched_meshes(part, taking.merged, state.settings.zone)
    taking = _with(taking, part, reach) if part else taking
    if not taking.types and not taking.left:
        return _in_force(state, taking, now)
    taking = zone_build.on_the_way(state, taking, reach.meshes)
    return replace(state, taking=taking), (BuildSoon(),)


def _compared(taking: Taking) -> Taking:
    """With what may differ of the next type.

    A resource that was refused leaves in force what this zone has under its name: without it
    another policy would be the one that counts.
    """
    type_, *types = taking.types
    staged, refused = taking.staged[type_], taking.refused.get(type_) or HashTrieMap()
    pairs = differences(taking.applied.get(type_, NOTHING), staged)
    put = tuple([now.resource for _, now in pairs if now is not None])
    gone = [was for was, now in pairs if was is not None and now is None]
    kept = {was.name: was for was in gone if was.name in refused}
    drop = tuple([entry.resource.key for entry in gone if entry.name not in kept])
    if put and drop:  # One may have another name on the wire now.
        keys = {resource.key for resource in put}
        drop = tuple(key for key in drop if key not in keys)
    return replace(
        taking,
        types=tuple(types),
        left=ResourceDiff(put, drop),
        applied=taking.applied.insert(type_, staged.changed(kept) if kept else staged),
    )


def _first(change: ResourceDiff, most: int) -> ResourceDiff:
    put = change.put[:most]
    return ResourceDiff(put, change.drop[: most - len(put)])


def _without(change: ResourceDiff, first: ResourceDiff) -> ResourceDiff:
    return ResourceDiff(change.put[len(first.put) :], change.drop[len(first.drop) :])


def _size(change: ResourceDiff) -> int:
    return len(change.put) + len(change.drop)


def _with(taking: Taking, part: ResourceDiff, reach: Reach) -> Taking:
    part = ResourceDiff(tuple(sorted(part.put, key=lambda r: r.key)), tuple(sorted(part.drop)))
    return replace(
        taking,
        policy=apply(taking.policy, part),
        merged=apply(taking.merged, part),
        change=ResourceDiff((*taking.change.put, *part.put), (*taking.change.drop, *part.drop)),
        kinds=taking.kinds | part.types,
        reach=taking.reach | reach,
    )


def _in_force(state: ZoneState, taking: Taking, now: float) -> Outcome:
    """Everything at once, and kept on disk before anyone hears of it."""
    link = replace(state.link, applied=taking.applied)
    change, revision, before = taking.change, taking.revision, state.revision
    state = replace(state, link=link, taking=None)
    if not change and revision == before:
        return state, ()
    state = replace(state, revision=revision, policy=taking.policy, merged=taking.merged)
    state, built = zone_build.reaches(state, taking.reach) if change else (state, ())
    state = zone_build.arrived(state, taking)
    persist = Persist("policy", change.put, change.drop, revision=revision or "")
    # What the ingress offers depends on the meshes: one may have come, gone or changed its mode.
    offering = taking.kinds & {"Mesh", "ExternalService"}
    report = zone_report.local_changed if offering else zone_report.mark
    if "Mesh" in taking.kinds:
        state = zone_services.meshes_changed(state, change)
    state, reported = report(state, now)
    fields = {"put": len(change.put), "drop": len(change.drop)}
    if revision is None:
        note = Note("policies.in_force", {"types": sorted(taking.kinds), **fields})
    else:
        note = Note("revision.in_force", {"revision": revision, **fields})
    ended: Effects = ()
    if taking.kinds & {"Secret", "GlobalSecret"}:  # Keys of tokens, and lists of revoked ones.
        state, ended = zone_tokens.end_outlived(state, now)
    return state, (persist, *built, *reported, note, *ended)
