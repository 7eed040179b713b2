"""The virtual addresses that a zone has given to names: kept by it, and on its disk before anybody
is told of them.

They are found where a mesh's context is made, from those that were given before. What of it is not
on disk yet is written with the next build, ahead of what goes to proxies.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from reconciler.collection import differences
from reconciler.mesh_names import Given, no_names
from reconciler.model.resource import ResourceKey
from reconciler.model.services import MESH_SERVICE
from reconciler.steps.zone_state import BuildSoon, Effect, Note, Outcome, PersistVips, ZoneState
from reconciler.vips.entries import EntryKind
from reconciler.vips.statuses import FIELDS, status_of
from xds.copying import replace

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.context import MeshContext
    from reconciler.mesh_names import MeshNames
    from reconciler.model.resource import MeshResource
    from reconciler.vips.entries import Fault
    from reconciler.vips.statuses import Named

KIND = "vips"  # of rows
NOBODY = no_names("", "")
TOLD_MAX = 20  # problems that are told at once; the rest are counted


def giving(state: ZoneState) -> Given:
    return Given(state.vips, state.settings.vip_pools, state.now, state.settings.naming)


def given(state: ZoneState, context: MeshContext) -> ZoneState:
    """With what the names of a mesh have now."""
    found = context.names.allocations
    return state if found is state.vips else replace(state, vips=found)


def written(state: ZoneState) -> Outcome:
    if state.vips is state.kept_vips:
        return state, ()
    state = replace(state, kept_vips=state.vips)
    return state, (PersistVips(state.vips),)


def due(state: ZoneState) -> Outcome:
    """What the names of the meshes are now, however their contexts came about."""
    contexts = state.contexts
    if contexts is state.names_of:
        return state, ()
    state, effects = replace(state, names_of=contexts), list[Effect]()
    for mesh, context in contexts.items():
        if context.names is not state.unnamed.get(mesh):
            state, told = _told(state, mesh, context)
            effects += told
    return state, tuple(effects)


def _told(state: ZoneState, mesh: str, context: MeshContext) -> Outcome:
    """Who does not get the name or the port that it asks for; each once."""
    found, before = context.names, state.unnamed.get(mesh, NOBODY)
    state, soon = _named(state, mesh, before, found)
    if found.wanted is before.wanted and found.exhausted == before.exhausted:
        return replace(state, unnamed=state.unnamed.insert(mesh, found)), soon
    known = set(before.wanted.problems)
    new = [fault for fault in found.wanted.problems if fault not in known]
    notes = [Note("name.refused", _said(mesh, fault)) for fault in new[:TOLD_MAX]]
    if len(new) > TOLD_MAX:
        notes.append(Note("name.refused", {"mesh": mesh, "more": len(new) - TOLD_MAX}))
    if found.exhausted - before.exhausted:
        names = sorted(entry.name for entry in found.exhausted)
        fields = {"mesh": mesh, "count": len(names), "names": names[:TOLD_MAX]}
        notes.append(Note("vips.exhausted", fields))
    return replace(state, unnamed=state.unnamed.insert(mesh, found)), (*notes, *soon)


def _named(state: ZoneState, mesh: str, before: MeshNames, found: MeshNames) -> Outcome:
    """What a MeshService says of its names is looked at again where they differ."""
    moved = differences(before.services, found.services)
    queue = dict(state.services.queue)
    waiting = len(queue)
    for was, now in moved:
        each = now or was
        assert each is not None
        resource = state.local.get(ResourceKey(MESH_SERVICE, mesh, each.name))
        if resource is not None and not _says(resource, now):
            queue.setdefault((mesh, each.name), False)
    if len(queue) == waiting:
        return state, ()
    services = replace(state.services, queue=queue)
    return replace(state, services=services), (BuildSoon(),)


def _says(service: MeshResource, named: Named | None) -> bool:
    """After a start nearly all do, from before."""
    said = json.loads(service.status) if service.status else {}
    return {name: said[name] for name in FIELDS if name in said} == _fields(named)


def _fields(named: Named | None) -> Mapping[str, object]:
    if named is None:
        return {}
    return status_of(EntryKind.MESH_SERVICE, named.generated, named.address)


def status_fields(state: ZoneState, mesh: str, service: str) -> Mapping[str, object] | None:
    """Of a MeshService's status, by the names that are known; None before any are."""
    found = state.unnamed.get(mesh)
    if found is None:
        return None
    return _fields(found.services.get(service))


def _said(mesh: str, fault: Fault) -> Mapping[str, object]:
    port = {"port": fault.port} if fault.port else {}
    resources = list(fault.resources)
    return {"mesh": mesh, "name": fault.name, **port, "of": resources, "reason": fault.text}
