"""What is counted of an insight, read from its message without its metadata becoming JSON
(facts/http-api.md 9). Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reconciler.kds.codec import spec_bytes
from reconciler.kds.messages import MESSAGES
from reconciler.model.spec import InsightSpec

if TYPE_CHECKING:
    from reconciler.model.resource import MeshResource

NANOS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class InsightFacts:
    """Times are seconds since the epoch; None where the insight says none."""

    online: bool = False  # a subscription that began and did not end
    began: float | None = None  # its first subscription that is known
    changed: float | None = None
    kuma_dp: str = ""  # versions, as the newest subscription that says them has them
    envoy: str = ""
    issued: str = ""  # backend of its certificate
    supported: tuple[str, ...] = ()


NOTHING = InsightFacts()


def facts_of(insight: MeshResource | None) -> InsightFacts:
    """Of the insight of a proxy or of a zone; NOTHING for a proxy that has none."""
    if insight is None:
        return NOTHING
    type_, spec = insight.key.type, insight.spec
    data = spec.message if isinstance(spec, InsightSpec) else spec_bytes(type_, insight.body)
    message: Any = MESSAGES[type_].FromString(data)  # The four have no type in common.
    told = message.subscriptions
    moments = [at for each in told if (at := _moment(each, "connect_time")) is not None]
    online = any(
        each.HasField("connect_time") and not each.HasField("disconnect_time") for each in told
    )
    changes = [at for each in told for at in _changes(each)]
    kuma_dp, envoy = _versions(told)
    mtls = message.mTLS if type_ == "DataplaneInsight" else None
    return InsightFacts(
        online=online,
        began=min(moments, default=None),
        changed=max(changes, default=None),
        kuma_dp=kuma_dp,
        envoy=envoy,
        issued=mtls.issuedBackend if mtls is not None else "",
        supported=tuple(mtls.supportedBackends) if mtls is not None else (),
    )


def _versions(told: Any) -> tuple[str, str]:
    for each in reversed(told):
        version = each.version
        if each.HasField("version") and hasattr(version, "kumaDp"):
            return version.kumaDp.version, version.envoy.version
    return "", ""


def _changes(each: Any) -> list[float]:
    status = each.status if each.HasField("status") else None
    found = [_moment(each, "connect_time"), _moment(each, "disconnect_time")]
    if status is not None:
        found.append(_moment(status, "last_update_time"))
    return [at for at in found if at is not None]


def _moment(message: Any, field: str) -> float | None:
    if not message.HasField(field):
        return None
    at = getattr(message, field)
    return float(at.seconds + at.nanos / NANOS)
