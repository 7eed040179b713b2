"""What does not leave the zone, and why: meshes that may by egresses alone while there is none, and
services outside of a mesh of which something is missing. No silent hole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.instances import Place
from reconciler.mesh_ca import mesh_spec
from reconciler.steps.zone_state import Note, Outcome, ZoneState
from reconciler.topology import by_outlet, egress_targets
from xds.copying import replace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.steps.zone_state import Effect


def without_egress(state: ZoneState) -> tuple[str, ...]:
    """Those that have proxies here, sorted."""
    asking = tuple(
        mesh for mesh in by_outlet(state.policy) if len(state.local.collection("Dataplane", mesh))
    )
    if not asking:
        return ()
    place = Place(state.settings.zone, frozenset(state.proxies.absent), dict(state.resolved))
    return () if egress_targets(state.local.of("ZoneEgress"), place) else asking


def warnings(state: ZoneState) -> Iterator[str]:
    """For `status`: what is the matter, and the cure."""
    for mesh in without_egress(state):
        zone, spec = state.settings.zone, mesh_spec(state.policy, mesh)
        if spec is not None and spec.by_egress:
            yield (
                f"mesh {mesh} has routing.zoneEgress, and zone {zone} has no egress: its proxies "
                "reach no other zone and no external service; start a ZoneEgress here, or turn "
                "routing.zoneEgress off"
            )
        else:
            yield (
                f"mesh {mesh} has MeshExternalServices, and zone {zone} has no egress: its proxies "
                "reach none of them; start a ZoneEgress here"
            )

    yield from (f"{text}; that endpoint is left out" for text in incomplete(state))


def incomplete(state: ZoneState) -> tuple[str, ...]:
    """What services outside of a mesh lack, of meshes that somebody here is of; sorted."""
    found = (
        text
        for context in state.contexts.values()
        for external in (*context.topology.externals.values(), *context.outside.values())
        for text in external.lacks
    )
    return tuple(sorted(found))


def noticed(state: ZoneState) -> Outcome:
    """A log line once for each, and once when it is over."""
    found, lacks = without_egress(state), incomplete(state)
    if found == state.egressless and lacks == state.incomplete:
        return state, ()
    effects: list[Effect] = [
        Note("egress.missing", {"mesh": mesh}) for mesh in found if mesh not in state.egressless
    ]
    effects += [Note("egress.found", {"mesh": m}) for m in state.egressless if m not in found]
    effects += [
        Note("external.incomplete", {"message": text})
        for text in lacks
        if text not in state.incomplete
    ]
    return replace(state, egressless=found, incomplete=lacks), tuple(effects)
