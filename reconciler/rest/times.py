"""When resources came and last changed, as far as anybody knows (facts/http-api.md 6). Pure.

What Git holds is as old as the file it stands in; what is computed of a mesh, as its Mesh; what a
zone tells, as what was heard of it first and last. KDS itself carries no times.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from reconciler.kds.insight_facts import facts_of
from reconciler.model.resource import ZONE, ResourceKey
from reconciler.rest.catalogue import Times

if TYPE_CHECKING:
    from collections.abc import Callable

    from reconciler.model.resource import MeshResource
    from reconciler.rest.catalogue import Catalogue
    from reconciler.steps.global_state import GlobalState

FileTimes: TypeAlias = "Callable[[str], tuple[float, float] | None]"  # by path; of "" the first
INSIGHTS = frozenset({"DataplaneInsight", "ZoneEgressInsight", "ZoneIngressInsight", "ZoneInsight"})
PROXIES = frozenset({"Dataplane", "ZoneEgress", "ZoneIngress"})
UNKNOWN = Times()


def at_global(
    state: GlobalState, files: FileTimes, catalogue: Catalogue, resource: MeshResource
) -> Times:
    key = resource.key
    if key.type in INSIGHTS:
        return of_insight(resource)
    mesh = key.name if key.type == "MeshInsight" else key.mesh
    place = catalogue.places.get(key)
    if place is not None:
        return times_or_unknown(files(place.path))
    record = state.zones.get(resource.labels.get(ZONE) or "")
    if record is not None:
        heard = times_or_unknown(record.times.get(key))
        return of_proxy(_began(catalogue, resource), heard) if key.type in PROXIES else heard
    if key.type == "Zone":
        began = _began(catalogue, resource)
        return Times(began, began)
    place = catalogue.places.get(ResourceKey("Mesh", "", mesh))
    return times_or_unknown(files(place.path if place is not None else ""))


def times_or_unknown(found: tuple[float, float] | None) -> Times:
    return UNKNOWN if found is None else Times(*found)


def of_insight(insight: MeshResource) -> Times:
    facts = facts_of(insight)
    return Times(facts.began, facts.changed)


def of_proxy(began: float | None, heard: Times) -> Times:
    """It is there at the latest since its first stream that is known; heard of again after a start
    of ours, it has not changed.
    """
    if began is None or heard.created is None or heard.modified is None:
        return heard if began is None else Times(began, began)
    created = min(began, heard.created)
    return Times(created, heard.modified if heard.modified > heard.created else created)


def _began(catalogue: Catalogue, base: MeshResource) -> float | None:
    insight = ResourceKey(f"{base.key.type}Insight", base.key.mesh, base.key.name)
    return facts_of(catalogue.get(insight)).began
