"""What a zone computes for one of its proxies, as plain data. Pure.

All of it is computed from nothing: what the zone keeps for its proxies belongs to its event loop.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler import shadow
from reconciler.context import mesh_context
from reconciler.model.resource import ResourceKey
from reconciler.policies import POLICIES
from reconciler.registration import node_id
from reconciler.state import ResourceDiff, apply
from reconciler.steps.zone_proxies import absent
from reconciler.view import sidecar_view
from xds.build.secrets import placeholder
from xds.readable import readable_by_type
from xds.translate import Builders, translate

if TYPE_CHECKING:
    from reconciler.rest.catalogue import Config
    from reconciler.state import MeshState
    from reconciler.steps.zone_state import ZoneState

PLACEHOLDER = b"left out"  # for certificates and keys


def computed(state: ZoneState, key: ResourceKey, with_shadow: bool) -> Config | None:
    """None for who is no proxy that the zone has seen, or has no mesh."""
    proxy = state.proxies.get(node_id(key.mesh, key.name))
    held = _in_force(state.merged, key.mesh) if with_shadow else state.merged
    dataplane = held.get(key) or state.local.get(key)  # Others do not see a new one yet.
    mesh = held.get(ResourceKey("Mesh", "", key.mesh))
    if proxy is None or proxy.key != key or dataplane is None or mesh is None:
        return None
    names, zone = dict(state.resolved), state.settings.zone
    context = mesh_context(
        held,
        key.mesh,
        zone,
        absent(state),
        names,
        detection=state.settings.outlier_detection,
        silent=frozenset(state.silent),
    )
    view = sidecar_view(context, dataplane, proxy.traits).view
    secrets = {name: placeholder(name, PLACEHOLDER) for name in view.secrets}
    return readable_by_type(translate(view, secrets, Builders()))


def _in_force(held: MeshState, mesh: str) -> MeshState:
    """As if the shadow policies were none."""
    found = [p for kind in POLICIES for p in held.of(kind.kind, mesh) if shadow.is_shadow(p)]
    return apply(held, ResourceDiff(shadow.in_force(found)))
