"""What a zone shows: what its global gave it, and its own proxies. Pure."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from reconciler.kds.proxy_insight import insight_bytes
from reconciler.model.resource import Labels, MeshResource, ResourceKey
from reconciler.model.spec import InsightSpec
from reconciler.rest.catalogue import Catalogue
from reconciler.state import MeshState, from_resources
from reconciler.steps.zone_insights import told

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.steps.zone_state import ZoneState

INSIGHTS = ("DataplaneInsight", "ZoneIngressInsight", "ZoneEgressInsight")


def of_zone(state: ZoneState, *, hostname: str, now: float, items_max: int) -> Catalogue:
    return Catalogue(
        mode="zone",
        zone=state.settings.zone,
        version=state.settings.version,
        instance=state.settings.instance,
        hostname=hostname,
        revision=state.revision,
        layers=(state.merged,),
        derived={type_: partial(_insights, state, type_, now) for type_ in INSIGHTS},
        now=now,
        items_max=items_max,
        zone_state=state,
    )


def _insights(state: ZoneState, type_: str, now: float) -> MeshState:
    return from_resources(_each(state, type_, now))


def _each(state: ZoneState, type_: str, now: float) -> Iterator[MeshResource]:
    for proxy in state.proxies.values():
        key = proxy.key
        insight = told(proxy, now).insight
        if f"{key.type}Insight" != type_ or not insight.subscriptions:
            continue
        online = insight.subscriptions[-1].until is None
        message = insight_bytes(type_, key.name, insight)
        spec = InsightSpec(online, insight.backend, message)
        yield MeshResource(ResourceKey(type_, key.mesh, key.name), Labels(), "", spec)
