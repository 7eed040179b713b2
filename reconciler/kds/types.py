"""The types that travel, in the order this program subscribes to them: Mesh first, so that policies
find theirs.
"""

from __future__ import annotations

from reconciler.model.kinds import GLOBAL_TO_ZONE, RELAYED, ZONE_TO_GLOBAL

KUMA_RESOURCE = "type.googleapis.com/kuma.mesh.v1alpha1.KumaResource"
MANIFEST = "RevisionManifest"
REPORT = "ConvergenceReport"
SERVICE_INSIGHT = "ServiceInsight"
STATUS = "ZoneStatus"

# Applied at once by a zone, outside a revision: what other zones own, and what the global computes
# from that.
RELAYED_TYPES: frozenset[str] = RELAYED | {SERVICE_INSIGHT}
GLOBAL_TO_ZONE_TYPES: tuple[str, ...] = tuple(
    sorted(GLOBAL_TO_ZONE, key=lambda name: (name != "Mesh", name))
)
ZONE_TO_GLOBAL_TYPES: tuple[str, ...] = tuple(sorted(ZONE_TO_GLOBAL))
OWNED_TYPES: tuple[str, ...] = tuple(t for t in GLOBAL_TO_ZONE_TYPES if t not in RELAYED_TYPES)
