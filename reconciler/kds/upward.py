"""What a zone publishes to the global: its proxies, their insights, its ingresses and its
convergence report.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from reconciler.kds.codec import CarriedResource, encode_carried
from reconciler.kds.manifest import ConvergenceReport, encode_report
from reconciler.kds.names import hashed_name
from reconciler.kds.types import REPORT
from reconciler.model.resource import (
    DISPLAY_NAME,
    ORIGIN,
    ZONE,
    Labels,
    MeshResource,
    ResourceKey,
    canonical_json,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from reconciler.state import MeshState
    from xds.resource import XdsResource
    from xds.snapshot import Resources

INSIGHTS = {
    "Dataplane": "DataplaneInsight",
    "ZoneIngress": "ZoneIngressInsight",
    "ZoneEgress": "ZoneEgressInsight",
}


def publication(
    zone: str,
    local: MeshState,
    connected: Mapping[ResourceKey, float],
    report: ConvergenceReport | None,
    previous: Mapping[str, Resources],
) -> Mapping[str, Resources]:
    """By type, by discovery name. `connected`: since when each proxy has its stream, seconds since
    the epoch.

    A type that says what it said before keeps its mapping.
    """
    found: dict[str, dict[str, XdsResource]] = {}
    for type_, insight in INSIGHTS.items():
        resources = local.of(type_)
        found[type_] = _framed(_carried(zone, r) for r in resources)
        found[insight] = _framed(
            _insight(zone, insight, r, connected.get(r.key)) for r in resources
        )
    if report is not None:
        frame = encode_report(zone, report)
        found[REPORT] = {frame.name: frame}
    return {type_: _kept(previous.get(type_), now) for type_, now in found.items()}


def _kept(before: Resources | None, now: Resources) -> Resources:
    return before if before is not None and before == now else now


def _framed(carried: Iterable[CarriedResource]) -> dict[str, XdsResource]:
    frames = [encode_carried(each) for each in carried]
    return {frame.name: frame for frame in frames}


def _named(zone: str, resource: MeshResource) -> tuple[str, Labels]:
    """Wire name and labels; a proxy and its insight share the name, which is how the global joins
    them.
    """
    labels = resource.labels.with_labels(
        {ORIGIN: "zone", ZONE: zone, DISPLAY_NAME: resource.display_name}
    )
    return hashed_name(resource.key.mesh, resource.display_name, labels), labels


def _carried(zone: str, resource: MeshResource) -> CarriedResource:
    name, labels = _named(zone, resource)
    key = resource.key
    return CarriedResource(key.type, key.mesh, name, dict(labels.pairs), resource.body)


def _insight(zone: str, type_: str, resource: MeshResource, since: float | None) -> CarriedResource:
    """Online means: a subscription with a connect time and no disconnect time."""
    name, labels = _named(zone, resource)
    kept = {key: value for key, value in labels.pairs if key in (DISPLAY_NAME, ORIGIN, ZONE)}
    subscriptions = []
    if since is not None:
        moment = datetime.fromtimestamp(since, UTC).isoformat(timespec="milliseconds")
        subscriptions.append(
            {
                "id": f"{name}-{int(since * 1000)}",
                "controlPlaneInstanceId": zone,
                "connectTime": moment.replace("+00:00", "Z"),
            }
        )
    body = canonical_json({"subscriptions": subscriptions})
    return CarriedResource(type_, resource.key.mesh, name, kept, body)
