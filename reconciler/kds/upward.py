"""What a zone publishes to the global: its proxies, their insights, its ingresses and its
convergence report.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeAlias, TypeGuard

from reconciler.kds.codec import CarriedResource, encode_spec, spec_bytes
from reconciler.kds.manifest import ConvergenceReport, encode_report
from reconciler.kds.names import hashed_name
from reconciler.kds.proxy_insight import ProxyInsight, insight_bytes
from reconciler.kds.types import REPORT, STATUS
from reconciler.model.resource import (
    DISPLAY_NAME,
    ORIGIN,
    ZONE,
    Labels,
    MeshResource,
    ResourceKey,
)
from reconciler.state import EMPTY as NO_RESOURCES
from reconciler.state import MeshState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from xds.resource import XdsResource
    from xds.snapshot import Resources

# What a frame is made of: a proxy, and what is told of its streams.
_Made: TypeAlias = tuple[MeshResource, ProxyInsight | None]
NO_INSIGHT = ProxyInsight()
INSIGHTS_MAX = 32  # made anew at a time: each takes a third of a millisecond
_Kept: TypeAlias = "tuple[_Made, XdsResource]"

INSIGHTS = {
    "Dataplane": "DataplaneInsight",
    "ZoneIngress": "ZoneIngressInsight",
    "ZoneEgress": "ZoneEgressInsight",
}


@dataclass(frozen=True, slots=True)
class Publication:
    """By type, by discovery name; and what it was made of, so that the next one encodes only what
    changed.
    """

    types: Mapping[str, Resources] = field(default_factory=dict)
    local: MeshState = NO_RESOURCES
    insights: Mapping[ResourceKey, ProxyInsight] = field(default_factory=dict)
    frames: Mapping[tuple[str, ResourceKey], _Kept] = field(default_factory=dict)
    behind: bool = False  # some insights are still as they were: there were more than INSIGHTS_MAX


def publication(
    zone: str,
    local: MeshState,
    insights: Mapping[ResourceKey, ProxyInsight] | None,
    report: ConvergenceReport | None,
    previous: Publication,
    announced: XdsResource | None = None,
) -> Publication:
    """`insights`: what is told of the streams of each proxy that had one; None: nothing new is
    said of the proxies.

    A type that says what it said before keeps its mapping.
    """
    made = previous
    if insights is not None and (
        not previous.types
        or previous.behind
        or local is not previous.local
        or insights != previous.insights
    ):
        made = _of_proxies(zone, local, insights, previous)
    if report is not None:
        frame = encode_report(zone, report)
        told = _kept(previous.types.get(REPORT), {frame.name: frame})
        made = replace(made, types={**made.types, REPORT: told})
    if announced is not None:
        told = _kept(previous.types.get(STATUS), {announced.name: announced})
        made = replace(made, types={**made.types, STATUS: told})
    return made


def _of_proxies(
    zone: str,
    local: MeshState,
    insights: Mapping[ResourceKey, ProxyInsight],
    previous: Publication,
) -> Publication:
    found: dict[str, Resources] = {}
    frames: dict[tuple[str, ResourceKey], _Kept] = {}
    budget = INSIGHTS_MAX
    behind = False
    for type_, insight in INSIGHTS.items():
        for told in (type_, insight):
            of_type: dict[str, XdsResource] = {}
            for resource in local.of(type_):
                made = (resource, insights.get(resource.key) if told == insight else None)
                at = (told, resource.key)
                kept = previous.frames.get(at)
                # One that was never told is not left out: that would say that it is gone.
                waits = kept is not None and told == insight
                if not _says(kept, made) and not (waits and not budget):
                    kept, budget = (made, _frame(zone, told, made)), budget - waits
                assert kept is not None
                behind = behind or not _says(kept, made)
                frames[at] = kept
                of_type[kept[1].name] = kept[1]
            found[told] = _kept(previous.types.get(told), of_type)
    return Publication(found, local, insights, frames, behind)


def _says(before: _Kept | None, made: _Made) -> TypeGuard[_Kept]:
    return before is not None and before[0][0] is made[0] and before[0][1] == made[1]


def _frame(zone: str, told: str, made: _Made) -> XdsResource:
    resource, insight = made
    if told == resource.key.type:
        return encode_spec(zone_carried(zone, resource), spec_bytes(told, resource.body))
    carried = _insight(zone, told, resource)
    return encode_spec(carried, insight_bytes(told, carried.name, insight or NO_INSIGHT))


def _kept(before: Resources | None, now: Resources) -> Resources:
    return before if before is not None and before == now else now


def _named(zone: str, resource: MeshResource) -> tuple[str, Labels]:
    """Wire name and labels; a proxy and its insight share the name, which is how the global joins
    them.
    """
    labels = resource.labels.with_labels(
        {ORIGIN: "zone", ZONE: zone, DISPLAY_NAME: resource.display_name}
    )
    return hashed_name(resource.key.mesh, resource.display_name, labels), labels


def zone_carried(zone: str, resource: MeshResource) -> CarriedResource:
    """One of the zone's own as it goes up, its status with it."""
    name, labels = _named(zone, resource)
    key, told = resource.key, dict(labels.pairs)
    return CarriedResource(key.type, key.mesh, name, told, resource.body, resource.status)


def _insight(zone: str, type_: str, resource: MeshResource) -> CarriedResource:
    """Without its body."""
    name, labels = _named(zone, resource)
    kept = {key: value for key, value in labels.pairs if key in (DISPLAY_NAME, ORIGIN, ZONE)}
    return CarriedResource(type_, resource.key.mesh, name, kept, "")
