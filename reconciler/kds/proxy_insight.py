"""What a zone says of one proxy's streams: the body of its insight (facts/dataplane-wire.md 1.10).
Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from reconciler.kds.stats import stats
from reconciler.model.resource import canonical_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.kds.stats import Counts

TOLD_TYPES = ("cds", "eds", "lds", "rds")  # others count in the total only
VERSION_PARTS = ("kumaDp", "envoy", "dependencies")
METADATA_MAX = 256 * 1024  # characters; more is not told upward


@dataclass(frozen=True, slots=True)
class Subscription:
    """One ADS stream of the proxy. Times are seconds since the epoch."""

    instance: str  # of the control plane
    since: float
    until: float | None = None
    metadata: Mapping[str, object] | None = None  # the node's, as its first request had it
    counts: Mapping[str, Counts] | None = None  # by short type name, cds for example
    counted_at: float = 0.0


@dataclass(frozen=True, slots=True)
class ProxyInsight:
    """The last two subscriptions, the newest last, and the certificate it serves with."""

    subscriptions: tuple[Subscription, ...] = ()
    backend: str = ""
    backends: tuple[str, ...] = ()  # all that the mesh listed then
    expires_at: float = 0.0
    regenerated_at: float = 0.0
    regenerations: int = 0

    def opened(self, subscription: Subscription) -> tuple[Subscription, ...]:
        return (*self.subscriptions[-1:], subscription)


def insight_body(name: str, insight: ProxyInsight) -> str:
    """As the message of the kind has it; `generation` stays 0, nothing here counts heartbeats."""
    newest = insight.subscriptions[-1] if insight.subscriptions else None
    body: dict[str, object] = {
        "subscriptions": [_subscription(name, found) for found in insight.subscriptions]
    }
    if newest is not None and newest.metadata:
        kept = dict(newest.metadata)
        if len(canonical_json(kept)) <= METADATA_MAX:
            body["metadata"] = kept
    if insight.backend:
        body["mTLS"] = {
            "certificateExpirationTime": moment(insight.expires_at),
            "lastCertificateRegeneration": moment(insight.regenerated_at),
            "certificateRegenerations": insight.regenerations,
            "issuedBackend": insight.backend,
            "supportedBackends": list(insight.backends or (insight.backend,)),
        }
    return canonical_json(body)


def _subscription(name: str, found: Subscription) -> dict[str, object]:
    """Online means: a subscription with a connect time and no disconnect time."""
    told: dict[str, object] = {
        "id": f"{name}-{int(found.since * 1000)}",
        "controlPlaneInstanceId": found.instance,
        "connectTime": moment(found.since),
        "version": _version(found.metadata or {}),
    }
    if found.counts:
        told["status"] = {
            "lastUpdateTime": moment(found.counted_at),
            "total": stats(found.counts.values()),
            **{
                type_: stats((found.counts[type_],))
                for type_ in TOLD_TYPES
                if type_ in found.counts
            },
        }
    if found.until is not None:
        told["disconnectTime"] = moment(found.until)
    return {key: value for key, value in told.items() if value}


def _version(metadata: Mapping[str, object]) -> dict[str, object]:
    """Of kuma-dp, Envoy and what they bring, as far as the proxy says it in the known form."""
    given = metadata.get("version")
    if not isinstance(given, dict):
        return {}
    known = {
        "kumaDp": ("version", "gitTag", "gitCommit", "buildDate"),
        "envoy": ("version", "build"),
    }
    found: dict[str, object] = {}
    for part, names in known.items():
        data = given.get(part)
        if isinstance(data, dict):
            texts = {n: data[n] for n in names if isinstance(data.get(n), str)}
            found |= {part: texts} if texts else {}
    more = given.get("dependencies")
    if isinstance(more, dict):
        found["dependencies"] = {k: v for k, v in more.items() if isinstance(v, str)}
    return found


def moment(at: float) -> str:
    text = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")
