"""Ingresses of other zones that have stopped answering: where calls would wait for nobody.

The shell asks them (`reconciler.zone_cp.ingress_probes`). What leads to a silent one stays an
endpoint, and is told to be unhealthy: proxies use it when they have nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rpds import HashTrieMap

from reconciler.instances import Place
from reconciler.model.spec import MeshSpec
from reconciler.reachability import addressed, advertised
from reconciler.steps import zone_build
from reconciler.steps.zone_state import Note, Outcome, ZoneState
from reconciler.view import Reach
from xds.copying import replace

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from reconciler.instances import Target
    from reconciler.steps.zone_state import Effect


def targets(state: ZoneState) -> dict[Target, str]:
    """Whom to ask, each with its zone, sorted: all that proxies here may be sent to. Without mTLS
    nothing leaves the zone. An ingress that offers nothing is a way for Exclusive meshes alone.
    """
    meshes = [m.spec for m in state.policy.of("Mesh") if isinstance(m.spec, MeshSpec)]
    modes = {spec.mesh_services_mode for spec in meshes if spec.mtls is not None}
    if not modes:
        return {}
    place = Place(state.settings.zone, resolved=dict(state.resolved))
    found = dict(addressed(state.relayed.of("MeshZoneAddress"), place))
    for at, spec in advertised(state.relayed.of("ZoneIngress"), place):
        if spec.available_services or "Exclusive" in modes:
            found[at] = spec.zone
    return dict(sorted(found.items()))


def asked(state: ZoneState, silent: Mapping[Target, float], now: float) -> Outcome:
    """`silent`: all that are, and since when. What leads there looks different to proxies."""
    before = state.silent
    if dict(before) == dict(silent):
        return state, ()
    zones = targets(state)
    notes: list[Effect] = [
        Note("ingress.silent", {"zone": zones.get(at, ""), "address": written(at)})
        for at in sorted(silent.keys() - before.keys())
    ]
    for at in sorted(before.keys() - silent.keys()):
        if at in zones:  # Else it has gone, and so have those who were sent there.
            fields = {"zone": zones[at], "address": written(at), "after_s": now - before[at]}
            notes.append(Note("ingress.answers", fields))
    state = replace(state, silent=HashTrieMap(dict(silent)))
    state, built = zone_build.reaches(state, Reach(all_meshes=True, egresses=True))
    return state, (*built, *notes)


def written(at: Target) -> str:
    host, port = at
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def warnings(state: ZoneState, now: float) -> Iterator[str]:
    """For `status`: what is the matter, and the cure."""
    zones = targets(state)
    for at, since in sorted(state.silent.items()):
        if at in zones:
            yield (
                f"the ingress of zone {zones[at]} at {written(at)} has not answered for "
                f"{max(0, round(now - since))} s: calls go elsewhere where they can; look at that "
                "ingress, and at the network from here to it"
            )
