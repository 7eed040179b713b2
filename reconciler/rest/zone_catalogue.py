"""What a zone shows: what its global gave it, and its own proxies. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from reconciler.decode import mesh_resource
from reconciler.fleet import cluster_id
from reconciler.kds.codec import canonical_data
from reconciler.kds.proxy_insight import insight_bytes
from reconciler.model.resource import Labels, MeshResource, ResourceKey
from reconciler.model.services import MESH_SERVICE, MULTI_ZONE
from reconciler.model.spec import InsightSpec
from reconciler.real import EXTERNAL
from reconciler.registration import node_id
from reconciler.rest.catalogue import Catalogue, no_times
from reconciler.rest.service_statuses import MultiZoneServices, NamedServices, OwnServices
from reconciler.rest.zone_config import computed
from reconciler.state import from_resources
from reconciler.steps.global_insights import moment
from reconciler.steps.zone_insights import told
from reconciler.steps.zone_report import is_newcomer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from reconciler.mesh_names import MeshNames
    from reconciler.rest.catalogue import Shelf, TimesOf
    from reconciler.steps.proxy_state import Proxy
    from reconciler.steps.zone_state import ZoneState

INSIGHTS = ("DataplaneInsight", "ZoneIngressInsight", "ZoneEgressInsight")


def of_zone(
    state: ZoneState,
    *,
    hostname: str,
    now: float,
    items_max: int,
    times_of: TimesOf = no_times,
) -> Catalogue:
    named = partial(NamedServices, names=partial(_names, state))
    return Catalogue(
        mode="zone",
        zone=state.settings.zone,
        version=state.settings.version,
        instance=state.settings.instance,
        cluster_id=cluster_id(state.merged),
        hostname=hostname,
        revision=state.revision,
        layers=(state.merged, from_resources(_newcomers(state))),
        derived={
            **{type_: partial(_insights_of, state, type_, now) for type_ in INSIGHTS},
            MESH_SERVICE: lambda _catalogue: named(OwnServices(state.merged, state.local)),
            MULTI_ZONE: lambda catalogue: named(MultiZoneServices(catalogue)),
            EXTERNAL: lambda _catalogue: named(state.merged),
            "Zone": lambda _catalogue: from_resources((_zone(state),)),
            "ZoneInsight": lambda _catalogue: from_resources(_zone_insight(state)),
        },
        now=now,
        items_max=items_max,
        times_of=times_of,
        zone_state=state,
        compute=partial(computed, state),
    )


def _newcomers(state: ZoneState) -> Iterator[MeshResource]:
    """Proxies that nobody else in the zone sees yet."""
    for key in state.proxies.absent:
        found = state.local.get(key) if is_newcomer(state, key) else None
        if found is not None:
            yield found


def _names(state: ZoneState, mesh: str) -> MeshNames | None:
    """Those that proxies were told last."""
    context = state.contexts.get(mesh) or state.stale.get(mesh)
    return None if context is None else context.names


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


def _zone(state: ZoneState) -> MeshResource:
    return mesh_resource(ResourceKey("Zone", "", state.settings.zone), Labels(), {})


def _zone_insight(state: ZoneState) -> tuple[MeshResource, ...]:
    """Its own, of its streams to the global: nothing before the first one."""
    link, settings = state.link, state.settings
    if not link.since:
        return ()
    said = settings.node.metadata
    told: dict[str, object] = {
        "id": f"{settings.instance}-{int(link.since * 1000)}",
        "zoneInstanceId": settings.instance,
        "connectTime": moment(link.since),
        "config": said.get("config", ""),
        "version": said.get("version", {}),
    }
    if link.until is not None:
        told["disconnectTime"] = moment(link.until)
    data = canonical_data("ZoneInsight", {"subscriptions": [told]})
    return (mesh_resource(ResourceKey("ZoneInsight", "", settings.zone), Labels(), data),)
