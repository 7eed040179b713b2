"""What the global shows: what Git holds, what zones told, what it computes of them. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.decode import mesh_resource
from reconciler.fleet import cluster_id
from reconciler.kds.codec import canonical_data
from reconciler.model.resource import Labels, ResourceKey
from reconciler.model.services import MULTI_ZONE
from reconciler.rest.catalogue import Catalogue, no_times
from reconciler.rest.mesh_insights import MeshInsights
from reconciler.rest.service_statuses import MultiZoneServices
from reconciler.state import MeshState, from_resources
from reconciler.steps.global_insights import zone_insight

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from reconciler.model.resource import MeshResource
    from reconciler.rest.catalogue import Shelf, TimesOf
    from reconciler.steps.global_state import GlobalState


def of_global(
    state: GlobalState,
    *,
    repository: str,
    branch: str,
    hostname: str,
    now: float,
    items_max: int,
    times_of: TimesOf = no_times,
) -> Catalogue | None:
    """None while no revision is in force: what is not known yet is not shown as empty."""
    revision = state.published
    if revision is None:
        return None
    zones = tuple(state.zones[name].owned for name in sorted(state.zones))
    return Catalogue(
        mode="global",
        version=state.settings.version,
        instance=state.settings.instance,
        cluster_id=cluster_id(revision.resources),
        hostname=hostname,
        revision=revision.commit,
        layers=(revision.resources, *zones),
        derived=_derived(state),
        places=revision.provenance,
        repository=repository,
        branch=branch,
        now=now,
        items_max=items_max,
        times_of=times_of,
        global_state=state,
    )


def _derived(state: GlobalState) -> Mapping[str, Callable[[Catalogue], Shelf]]:
    return {
        "Zone": lambda _catalogue: _zones(state),
        "ZoneInsight": lambda _catalogue: _zone_insights(state),
        "ServiceInsight": lambda _catalogue: state.service_insights,
        "MeshInsight": MeshInsights,
        MULTI_ZONE: MultiZoneServices,
    }


def _zones(state: GlobalState) -> MeshState:
    """Those of the repository, and whoever else is let in."""
    assert state.published is not None
    known = {r.key.name: r for r in state.published.resources.of("Zone")}
    for name in state.zones:
        if name not in known:
            known[name] = mesh_resource(ResourceKey("Zone", "", name), Labels(), {"enabled": True})
    return from_resources(known.values())


def _zone_insights(state: GlobalState) -> MeshState:
    return from_resources(_zone_insight(state, name) for name in state.zones)


def _zone_insight(state: GlobalState, zone: str) -> MeshResource:
    """Through its message, which leaves out what is zero."""
    data = canonical_data("ZoneInsight", zone_insight(state, zone))
    return mesh_resource(ResourceKey("ZoneInsight", "", zone), Labels(), data)
