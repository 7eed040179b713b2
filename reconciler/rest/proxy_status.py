"""What a proxy counts as: online, offline, or with some of its inbounds only
(facts/http-api.md 9.1). Pure.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.kds.insight_facts import InsightFacts
    from reconciler.model.resource import MeshResource

ONLINE, OFFLINE, PARTIAL = "online", "offline", "partiallyDegraded"
COUNTED = (ONLINE, OFFLINE, PARTIAL)
STANDARD, BUILTIN, DELEGATED = "standard", "gatewayBuiltin", "gatewayDelegated"


@dataclass(frozen=True, slots=True)
class ProxyStatus:
    type: str  # STANDARD, BUILTIN or DELEGATED
    status: str  # one of COUNTED
    facts: InsightFacts


def proxy_status(proxy: MeshResource, facts: InsightFacts) -> ProxyStatus:
    networking = json.loads(proxy.body).get("networking", {})
    gateway = networking.get("gateway")
    if gateway is not None:
        type_ = BUILTIN if gateway.get("type") == "BUILTIN" else DELEGATED
        return ProxyStatus(type_, ONLINE if facts.online else OFFLINE, facts)
    ready = [_is_ready(inbound) for inbound in networking.get("inbound", ())]
    ready += [each.get("state", "Ready") == "Ready" for each in networking.get("listeners", ())]
    if not facts.online or not any(ready):
        return ProxyStatus(STANDARD, OFFLINE, facts)
    return ProxyStatus(STANDARD, ONLINE if all(ready) else PARTIAL, facts)


def _is_ready(inbound: Mapping[str, object]) -> bool:
    """Protobuf leaves out what is false: a `health` that says nothing is not ready."""
    health = inbound.get("health")
    unwell = isinstance(health, dict) and not health.get("ready", False)
    return not unwell and inbound.get("state") != "NotReady"


class Stat:
    """Proxies by what they count as."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def add(self, status: str, count: int = 1) -> None:
        self.counts["total"] += count
        self.counts[status] += count

    def shown(self) -> dict[str, int]:
        """As protobuf has it: what is zero is left out."""
        return {name: n for name in ("total", *COUNTED) if (n := self.counts[name])}

    def all(self) -> dict[str, int]:
        return {name: self.counts[name] for name in sorted(("total", *COUNTED))}
