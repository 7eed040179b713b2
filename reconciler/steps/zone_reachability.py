"""Ingresses of other zones that have stopped answering: where calls would wait for nobody.

The shell asks them (`reconciler.zone_cp.ingress_probes`). What leads to a silent one stays an
endpoint, and is told to be unhealthy: proxies use it when they have nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rpds import HashTrieMap

from reconciler.instances import resolver
from reconciler.model.resource import ZONE
from reconciler.model.spec import MeshSpec, ZoneAddressSpec, ZoneIngressSpec
from reconciler.steps import zone_build
from reconciler.steps.zone_state import Note, Outcome, ZoneState
from reconciler.topology import is_remote
from reconciler.view import Reach
from xds.copying import replace

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from reconciler.reachability import Target
    from reconciler.steps.zone_state import Effect


def targets(state: ZoneState) -> dict[Target, str]:
    """Whom to ask, each with its zone, sorted: all that proxies here may be sent to. Without mTLS
    nothing leaves the zone.
    """
    specs = (mesh.spec for mesh in state.policy.of("Mesh"))
    if not any(isinstance(spec, MeshSpec) and spec.mtls is not None for spec in specs):
        return {}
    return dict(sorted(_advertised(state)))


def _advertised(state: ZoneState) -> Iterator[tuple[Target, str]]:
    zone, resolve = state.settings.zone, resolver(dict(state.resolved))
    for ingress in state.relayed.of("ZoneIngress"):
        spec = ingress.spec
        if isinstance(spec, ZoneIngressSpec) and is_remote(spec, zone) and spec.available_services:
            address = resolve(spec.advertised_address)
            if address is not None:
                yield (address, spec.advertised_port), spec.zone
    for resource in state.relayed.of("MeshZoneAddress"):
        spec, home = resource.spec, resource.labels.get(ZONE) or ""
        if isinstance(spec, ZoneAddressSpec) and spec.port and home not in ("", zone):
            address = resolve(spec.address)
            if address is not None:
                yield (address, spec.port), home


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
