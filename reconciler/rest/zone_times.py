"""When what a zone holds came and last changed: its global tells none of it, so it counts from when
it arrived here. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.registration import node_id
from reconciler.rest.catalogue import Times
from reconciler.rest.times import INSIGHTS, PROXIES, of_insight, of_proxy, times_or_unknown

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reconciler.model.resource import MeshResource, ResourceKey
    from reconciler.rest.catalogue import Catalogue
    from reconciler.steps.zone_state import ZoneState


def at_zone(
    state: ZoneState, arrivals: Arrivals, _catalogue: Catalogue, resource: MeshResource
) -> Times:
    key = resource.key
    if key.type in INSIGHTS:
        return of_insight(resource)
    if key.type == "Zone":
        since = state.link.since or None
        return Times(since, since)
    heard = times_or_unknown(arrivals.of(key))
    proxy = state.proxies.get(node_id(key.mesh, key.name)) if key.type in PROXIES else None
    if proxy is None or proxy.key != key:
        return heard
    streams = proxy.insight.subscriptions
    return of_proxy(streams[0].since if streams else None, heard)


class Arrivals:
    """When what a zone holds came here, and when it last changed: since its
    start, if it was on its disk then.
    """

    def __init__(self) -> None:
        self._times: dict[ResourceKey, tuple[float, float]] = {}

    def note(self, put: Iterable[MeshResource], drop: Iterable[ResourceKey], now: float) -> None:
        for resource in put:
            before = self._times.get(resource.key)
            self._times[resource.key] = (now if before is None else before[0], now)
        for key in drop:
            self._times.pop(key, None)

    def of(self, key: ResourceKey) -> tuple[float, float] | None:
        return self._times.get(key)
