"""What a zone shows: what its global gave it, and its own proxies. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from reconciler.kds.proxy_insight import insight_bytes
from reconciler.model.resource import Labels, MeshResource, ResourceKey
from reconciler.model.spec import InsightSpec
from reconciler.registration import node_id
from reconciler.rest.catalogue import Catalogue
from reconciler.rest.zone_config import computed
from reconciler.steps.zone_insights import told

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reconciler.rest.catalogue import Shelf
    from reconciler.steps.proxy_state import Proxy
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
        derived={type_: partial(_insights_of, state, type_, now) for type_ in INSIGHTS},
        now=now,
        items_max=items_max,
        zone_state=state,
        compute=partial(computed, state),
    )


def _insights_of(state: ZoneState, type_: str, now: float, _catalogue: Catalogue) -> Shelf:
    return _Insights(state, type_, now)


@dataclass(frozen=True, slots=True)
class _Insights:
    """Of one type, encoded proxy by proxy as they are looked at."""

    state: ZoneState
    type: str
    now: float

    def get(self, key: ResourceKey) -> MeshResource | None:
        proxy = self.state.proxies.get(node_id(key.mesh, key.name))
        return None if proxy is None else self._insight(proxy)

    def of(self, _type: str, mesh: str | None = None) -> Sequence[MeshResource]:
        here = (p for p in self.state.proxies.values() if mesh is None or p.key.mesh == mesh)
        found = (self._insight(proxy) for proxy in here)
        return sorted((each for each in found if each is not None), key=lambda each: each.key)

    def _insight(self, proxy: Proxy) -> MeshResource | None:
        key = proxy.key
        insight = told(proxy, self.now).insight
        if f"{key.type}Insight" != self.type or not insight.subscriptions:
            return None
        online = insight.subscriptions[-1].until is None
        message = insight_bytes(self.type, key.name, insight)
        spec = InsightSpec(online, insight.backend, message)
        return MeshResource(ResourceKey(self.type, key.mesh, key.name), Labels(), "", spec)
