"""ServiceInsight of each mesh (`all-services-<mesh>`), from what zones tell of their proxies.

Kept up proxy by proxy, and computed for a mesh at most once an interval: the zones get it beside
their revision, never as a part of it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rpds import HashTrieMap

from reconciler.decode import mesh_resource
from reconciler.kds.types import SERVICE_INSIGHT
from reconciler.model.resource import SERVICE, Labels, MeshResource, ResourceKey
from reconciler.model.spec import DataplaneSpec, InsightSpec, MeshSpec
from reconciler.state import EMPTY, MeshState, ResourceDiff, apply
from reconciler.steps import global_slices
from reconciler.steps.global_counts import Tally
from reconciler.steps.global_state import WakeAt
from xds.copying import replace

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from reconciler.steps.global_state import GlobalState, Outcome

INTERVAL_S = 10.0
PROXY_TYPES = ("Dataplane", "DataplaneInsight")


@dataclass(frozen=True, slots=True)
class _Share:
    """What one proxy adds to each of its services."""

    services: frozenset[str]
    online: bool
    gateway: bool
    backend: str


def _share(held: MeshState, mesh: str, name: str) -> _Share | None:
    proxy = held.get(ResourceKey("Dataplane", mesh, name))
    if proxy is None or not isinstance(proxy.spec, DataplaneSpec):
        return None
    named = {inbound.service for inbound in proxy.spec.inbounds}
    services = frozenset(filter(None, {*named, dict(proxy.spec.gateway_tags).get(SERVICE)}))
    insight = held.get(ResourceKey("DataplaneInsight", mesh, name))
    told = insight.spec if insight is not None else None
    if not isinstance(told, InsightSpec):
        told = InsightSpec(online=False)
    return _Share(services, told.online, proxy.spec.gateway, told.backend)


def proxies_changed(
    state: GlobalState,
    zone: str,
    before: MeshState,
    after: MeshState,
    keys: Iterable[ResourceKey],
    now: float,
) -> Outcome:
    """Of these proxies or insights of a zone."""
    found = state.services
    tallies, dirty = found.tallies, set(found.dirty)
    for mesh, name in sorted({(key.mesh, key.name) for key in keys}):
        old, new = _share(before, mesh, name), _share(after, mesh, name)
        if old == new:
            continue
        dirty.add(mesh)
        of_mesh = tallies.get(mesh) or HashTrieMap()
        for share, sign in ((old, -1), (new, 1)):
            for service in share.services if share is not None else ():
                assert share is not None
                at = (service, zone)
                tally = _added(of_mesh.get(at, Tally()), share, sign)
                of_mesh = of_mesh.insert(at, tally) if tally.total else of_mesh.discard(at)
        tallies = tallies.insert(mesh, of_mesh) if of_mesh else tallies.discard(mesh)
    if tallies is found.tallies:
        return state, ()
    due = found.due
    if due is None:
        due = now if found.last is None else max(now, found.last + INTERVAL_S)
    wake = () if found.due is not None else (WakeAt(due),)
    services = replace(found, tallies=tallies, dirty=frozenset(dirty), due=due)
    return replace(state, services=services), wake


def _added(tally: Tally, share: _Share, sign: int) -> Tally:
    backends = Counter(dict(tally.backends))
    if share.backend:
        backends[share.backend] += sign
    return Tally(
        tally.total + sign,
        tally.online + sign * share.online,
        tally.gateways + sign * share.gateway,
        tuple(sorted((name, count) for name, count in backends.items() if count)),
    )


def tick(state: GlobalState, now: float) -> Outcome:
    found = state.services
    if found.due is None or now < found.due or state.published is None:
        return state, ()
    state = replace(state, services=replace(found, dirty=frozenset(), due=None, last=now))
    return _show(state, found.dirty)


def revised(state: GlobalState) -> Outcome:
    """A mesh that came or went with a revision."""
    return _show(state, frozenset(state.services.tallies))


def _show(state: GlobalState, meshes: frozenset[str]) -> Outcome:
    """Compute what is told of these meshes; what says the same goes nowhere."""
    pairs: list[tuple[MeshResource | None, MeshResource | None]] = []
    for mesh in sorted(meshes):
        key = ResourceKey(SERVICE_INSIGHT, mesh, f"all-services-{mesh}")
        before, after = state.service_insights.get(key), _insight(state, key)
        if before != after:
            pairs.append((before, after))
    if not pairs:
        return state, ()
    put = tuple(after for _, after in pairs if after is not None)
    drop = tuple(before.key for before, after in pairs if before is not None and after is None)
    told = apply(state.service_insights, ResourceDiff(put, drop))
    return global_slices.relay(replace(state, service_insights=told), "", tuple(pairs))


def _insight(state: GlobalState, key: ResourceKey) -> MeshResource | None:
    assert state.published is not None
    tallies = state.services.tallies.get(key.mesh)
    mesh = state.published.resources.get(ResourceKey("Mesh", "", key.mesh))
    if not tallies or mesh is None:
        return None
    # Where MeshServices take the place of services by tag, gateways still have no other.
    is_whole = not isinstance(mesh.spec, MeshSpec) or mesh.spec.mesh_services_mode != "Exclusive"
    by_service: dict[str, dict[str, Tally]] = {}
    for (service, zone), tally in tallies.items():
        if is_whole or tally.gateways:
            by_service.setdefault(service, {})[zone] = tally
    services = {service: _service(service, zones) for service, zones in by_service.items()}
    return mesh_resource(key, Labels(), {"services": services})


def _service(name: str, zones: Mapping[str, Tally]) -> Mapping[str, object]:
    total = sum(tally.total for tally in zones.values())
    online = sum(tally.online for tally in zones.values())
    backends: Counter[str] = Counter()
    for tally in zones.values():
        backends.update(dict(tally.backends))
    status = "online" if online == total else "partially_degraded" if online else "offline"
    gateway = any(tally.gateways for tally in zones.values())
    return {
        "status": status,
        "dataplanes": {"total": total, "online": online, "offline": total - online},
        "issuedBackends": dict(sorted(backends.items())),
        "serviceType": "gateway_delegated" if gateway else "internal",
        "addressPort": f"{name}.mesh:80",
        "zones": sorted(zones),
    }


def zone_forgotten(state: GlobalState, zone: str, owned: MeshState) -> Outcome:
    keys = [key for key in owned.by_key if key.type == "Dataplane"]
    state, _ = proxies_changed(state, zone, owned, EMPTY, keys, 0.0)
    meshes = frozenset(key.mesh for key in keys)
    return _show(state, meshes) if state.published is not None else (state, ())
