"""Insights of meshes, computed when somebody asks (facts/http-api.md 9.3). Pure."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from reconciler.decode import mesh_resource
from reconciler.kds.insight_facts import facts_of
from reconciler.model.resource import Labels, MeshResource, ResourceKey
from reconciler.rest.metadata import POLICIES
from reconciler.rest.paths import SHOWN, SYSTEM_MANAGED
from reconciler.rest.proxy_status import BUILTIN, DELEGATED, STANDARD, Stat, proxy_status
from reconciler.rest.services import EXTERNAL, services_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from reconciler.rest.catalogue import Catalogue
    from reconciler.rest.proxy_status import ProxyStatus

TYPE = "MeshInsight"
UNKNOWN = "unknown"  # version of a proxy that never came
COUNTED = tuple(kind for kind in SHOWN if kind.mesh_scoped and kind.name not in SYSTEM_MANAGED)


class MeshInsights:
    """One for each mesh, computed when it is looked at."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue

    def get(self, key: ResourceKey) -> MeshResource | None:
        return _insight(self.catalogue, key.name) if self.catalogue.has_mesh(key.name) else None

    def of(self, _type: str, _mesh: str | None = None) -> Sequence[MeshResource]:
        meshes = self.catalogue.of("Mesh")
        return [_insight(self.catalogue, mesh.key.name) for mesh in meshes]


def statuses(catalogue: Catalogue, mesh: str | None = None) -> list[ProxyStatus]:
    """Of all proxies that are declared, connected or not."""
    found = []
    for proxy in catalogue.of("Dataplane", mesh):
        key = ResourceKey("DataplaneInsight", proxy.key.mesh, proxy.key.name)
        found.append(proxy_status(proxy, facts_of(catalogue.get(key))))
    return found


def totals(catalogue: Catalogue, mesh: str | None = None) -> dict[str, dict[str, int]]:
    """How many there are of each kind that has a mesh."""
    counts = ((kind.name, len(catalogue.of(kind.name, mesh))) for kind in COUNTED)
    return {name: {"total": count} for name, count in counts if count}


def _insight(catalogue: Catalogue, mesh: str) -> MeshResource:
    proxies = statuses(catalogue, mesh)
    resources = totals(catalogue, mesh)
    services = services_of(catalogue, mesh)
    external = sum(service.type == EXTERNAL for service in services)
    counts = {"internal": len(services) - external, "external": external}
    spec = {
        "dataplanes": _stat(proxies),
        "policies": {name: count for name, count in resources.items() if name in POLICIES},
        "dpVersions": {
            "kumaDp": _by((proxy.facts.kuma_dp or UNKNOWN, proxy) for proxy in proxies),
            "envoy": _by((proxy.facts.envoy or UNKNOWN, proxy) for proxy in proxies),
        },
        "mTLS": {
            "issuedBackends": _by((p.facts.issued, p) for p in proxies if p.facts.issued),
            "supportedBackends": _by((name, p) for p in proxies for name in p.facts.supported),
        },
        "services": {
            name: count for name, count in {"total": len(services), **counts}.items() if count
        },
        "dataplanesByType": {
            "standard": _stat(p for p in proxies if p.type == STANDARD),
            "gateway": _stat(p for p in proxies if p.type != STANDARD),
            BUILTIN: _stat(p for p in proxies if p.type == BUILTIN),
            DELEGATED: _stat(p for p in proxies if p.type == DELEGATED),
        },
        "resources": resources,
    }
    return mesh_resource(ResourceKey(TYPE, "", mesh), Labels(), spec)


def _stat(proxies: Iterable[ProxyStatus]) -> Mapping[str, int]:
    stat = Stat()
    for proxy in proxies:
        stat.add(proxy.status)
    return stat.shown()


def _by(pairs: Iterable[tuple[str, ProxyStatus]]) -> Mapping[str, Mapping[str, int]]:
    found: defaultdict[str, Stat] = defaultdict(Stat)
    for name, proxy in pairs:
        found[name].add(proxy.status)
    return {name: stat.shown() for name, stat in sorted(found.items())}
