"""The collections of the API: which paths lead to which kind, and what it is called
(facts/http-api.md 5). Pure.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from reconciler.model.kinds import KINDS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.model.kinds import Kind

HIDDEN = frozenset({"Config"})
ALSO: Mapping[str, str] = {"globalsecrets": "global-secrets", "zoneingresses": "zone-ingresses"}
SHOWN: tuple[Kind, ...] = tuple(
    sorted((kind for kind in KINDS.values() if kind.name not in HIDDEN), key=lambda k: k.name)
)
BY_SHORT: Mapping[str, Kind] = {kind.short: kind for kind in SHOWN if kind.short}
LEGACY_POLICIES = frozenset(
    {
        "CircuitBreaker",
        "FaultInjection",
        "HealthCheck",
        "MeshGatewayRoute",
        "ProxyTemplate",
        "RateLimit",
        "Retry",
        "Timeout",
        "TrafficLog",
        "TrafficPermission",
        "TrafficRoute",
        "TrafficTrace",
        "VirtualOutbound",
    }
)
SYSTEM_MANAGED = frozenset(
    {
        "DataplaneInsight",
        "MeshInsight",
        "ServiceInsight",
        "ZoneEgressInsight",
        "ZoneIngressInsight",
        "ZoneInsight",
    }
)
_NAMES: Mapping[str, str] = {
    "MeshHTTPRoute": "Mesh HTTP Route",
    "MeshTCPRoute": "Mesh TCP Route",
    "MeshTLS": "Mesh TLS",
    "MeshOpenTelemetryBackend": "Mesh OpenTelemetry Backend",
}
_WORD = re.compile("(?<=[a-z])(?=[A-Z])")


def spellings(kind: Kind) -> tuple[str, ...]:
    """Of the collection's segment in a path."""
    return (kind.path, ALSO[kind.path]) if kind.path in ALSO else (kind.path,)


def display_name(kind: Kind) -> str:
    return _NAMES.get(kind.name) or _WORD.sub(" ", kind.name)


def plural_name(kind: Kind) -> str:
    name = display_name(kind)
    if name.endswith("y") and name[-2] not in "aeiou":
        return f"{name[:-1]}ies"
    return f"{name}es" if name.endswith(("s", "S", "sh", "ch")) else f"{name}s"
