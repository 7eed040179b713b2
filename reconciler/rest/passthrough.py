"""Which paths of the API lead to a proxy's own Envoy (facts/http-api.md 10.1). Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.kds.admin import AdminKind

if TYPE_CHECKING:
    from collections.abc import Mapping

ADMIN_KINDS: Mapping[str, AdminKind] = {
    "xds": AdminKind.CONFIG,
    "stats": AdminKind.STATS,
    "clusters": AdminKind.CLUSTERS,
}
ADMIN_PATHS: Mapping[str, str] = {
    "/meshes/{mesh}/dataplanes/{name}": "Dataplane",
    "/zoneingresses/{name}": "ZoneIngress",
    "/zoneegresses/{name}": "ZoneEgress",
}
