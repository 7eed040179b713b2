"""The meshes whose traffic may leave the zone by egresses alone, and has none: no silent hole."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.instances import Place
from reconciler.steps.zone_state import Note, Outcome, ZoneState
from reconciler.topology import by_egress, egress_targets
from xds.copying import replace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.steps.zone_state import Effect


def without_egress(state: ZoneState) -> tuple[str, ...]:
    """Those that have proxies here, sorted."""
    asking = tuple(
        mesh for mesh in by_egress(state.policy) if len(state.local.collection("Dataplane", mesh))
    )
    if not asking:
        return ()
    place = Place(state.settings.zone, frozenset(state.proxies.absent), dict(state.resolved))
    return () if egress_targets(state.local.of("ZoneEgress"), place) else asking


def warnings(state: ZoneState) -> Iterator[str]:
    """For `status`: what is the matter, and the cure."""
    for mesh in without_egress(state):
        yield (
            f"mesh {mesh} has routing.zoneEgress, and zone {state.settings.zone} has no egress: "
            "its proxies reach no other zone and no external service; start a ZoneEgress here, "
            "or turn routing.zoneEgress off"
        )


def noticed(state: ZoneState) -> Outcome:
    """A log line once for each, and once when it is over."""
    found = without_egress(state)
    if found == state.egressless:
        return state, ()
    effects: list[Effect] = [
        Note("egress.missing", {"mesh": mesh}) for mesh in found if mesh not in state.egressless
    ]
    effects += [Note("egress.found", {"mesh": m}) for m in state.egressless if m not in found]
    return replace(state, egressless=found), tuple(effects)
