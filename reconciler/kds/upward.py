"""What a zone publishes to the global: its proxies and their insights, its ingresses, its
MeshServices and HostnameGenerators, and its convergence report.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from rpds import HashTrieMap

from reconciler.kds.codec import CarriedResource, Head, encode_spec, head_of, spec_bytes, with_spec
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
from reconciler.model.services import VACANT_SINCE
from xds.copying import replace
from xds.snapshot import step_from

if TYPE_CHECKING:
    from collections.abc import Mapping, Set

    from xds.resource import XdsResource
    from xds.snapshot import Resources, Step

# What is told of a proxy: itself, and of its streams. None: it is gone.
Told: TypeAlias = "tuple[MeshResource, ProxyInsight] | None"
NO_INSIGHT = ProxyInsight()
NOTHING_SENT: Mapping[str, Resources] = {}

INSIGHTS = {
    "Dataplane": "DataplaneInsight",
    "ZoneIngress": "ZoneIngressInsight",
    "ZoneEgress": "ZoneEgressInsight",
}
OTHERS = ("HostnameGenerator", "MeshService")  # that a zone makes itself


class Kept(NamedTuple):
    """A frame, and what it was made of; `head` is that of an insight, which changes often."""

    resource: MeshResource
    insight: ProxyInsight
    frame: XdsResource
    head: Head | None


@dataclass(frozen=True, slots=True)
class Publication:
    """By type, by discovery name; and what it was made of, so that the next one encodes only what
    changed. Until it has `begun` it lacks proxies, and none of it may be said.

    `steps`: how a type's mapping came from the one that the global was sent last.
    """

    types: Mapping[str, Resources] = field(default_factory=dict)
    steps: Mapping[str, Step] = field(default_factory=dict)
    frames: HashTrieMap[tuple[str, ResourceKey], Kept] = field(default_factory=HashTrieMap)
    begun: bool = False
    report: ConvergenceReport | None = None  # the one that is said


def publication(
    zone: str,
    changed: Mapping[ResourceKey, Told],
    previous: Publication,
    sent: Mapping[str, Resources] = NOTHING_SENT,
    *,
    whole: bool = True,
) -> Publication:
    """What was said before, with these proxies as they are now: no look at any other.

    Not `whole`: there are proxies of which nothing was made yet. `sent` is what the global was sent
    last of each type.
    """
    frames = previous.frames
    put: dict[str, dict[str, XdsResource]] = {}
    removed: dict[str, set[str]] = {}
    for key, told in changed.items():
        for type_ in _types_of(key.type):
            at = (type_, key)
            before = frames.get(at)
            if told is None:
                if before is not None:
                    frames = frames.remove(at)
                    removed.setdefault(type_, set()).add(before.frame.name)
            elif before is None or not _says(type_, before, told):
                kept = _kept(zone, type_, before, *told)
                frames, frame = frames.insert(at, kept), kept.frame
                put.setdefault(type_, {})[frame.name] = frame
                if before is not None and before.frame.name != frame.name:
                    removed.setdefault(type_, set()).add(before.frame.name)
    if previous.begun:
        return replace(_after(previous, put, removed, sent), frames=frames)
    types = {**previous.types, **_all(frames)} if whole else previous.types
    return replace(previous, types=types, frames=frames, begun=whole)


def _types_of(type_: str) -> tuple[str, ...]:
    """What is told of one of the type."""
    return (type_, INSIGHTS[type_]) if type_ in INSIGHTS else (type_,)


def _says(type_: str, before: Kept, told: tuple[MeshResource, ProxyInsight]) -> bool:
    resource, insight = told
    if type_ == resource.key.type:
        return before.resource is resource
    return before.insight is insight or before.insight == insight


def _all(
    frames: HashTrieMap[tuple[str, ResourceKey], Kept],
) -> Mapping[str, Resources]:
    types: dict[str, dict[str, XdsResource]] = {
        type_: {} for own in (*INSIGHTS, *OTHERS) for type_ in _types_of(own)
    }
    for (type_, _), kept in sorted(frames.items()):
        types[type_][kept.frame.name] = kept.frame
    return types


def _after(
    previous: Publication,
    put: Mapping[str, Mapping[str, XdsResource]],
    removed: Mapping[str, Set[str]],
    sent: Mapping[str, Resources],
) -> Publication:
    """A type that says what it said before keeps its mapping."""
    types, steps = dict(previous.types), dict(previous.steps)
    for type_ in put.keys() | removed.keys():
        step = step_from(types[type_], put.get(type_, {}), removed.get(type_, frozenset()))
        if step is None:
            continue
        earlier = steps.pop(type_, None)
        if sent.get(type_) is step.before:
            steps[type_] = step
        elif earlier is not None and earlier.before is sent.get(type_):
            steps[type_] = earlier.then(step)
        types[type_] = step.after
    return replace(previous, types=types, steps=steps)


def with_zone(
    previous: Publication, zone: str, report: ConvergenceReport | None, status: XdsResource | None
) -> Publication:
    """What is said of the zone as a whole."""
    told = {} if status is None else {STATUS: status}
    if report is not None and report != previous.report:
        told[REPORT] = encode_report(zone, report)
    types = dict(previous.types)
    for type_, frame in told.items():
        if (types.get(type_) or {}).get(frame.name) != frame:
            types[type_] = {frame.name: frame}
    return replace(previous, types=types, report=report)


def _kept(
    zone: str, type_: str, before: Kept | None, resource: MeshResource, insight: ProxyInsight
) -> Kept:
    if type_ == resource.key.type:
        frame = encode_spec(zone_carried(zone, resource), spec_bytes(type_, resource.body))
        return Kept(resource, insight, frame, None)
    head = before.head if before is not None and before.resource is resource else None
    head = head or head_of(_insight(zone, type_, resource))
    frame = with_spec(head, insight_bytes(type_, head.name, insight))
    return Kept(resource, insight, frame, head)


def _named(zone: str, resource: MeshResource) -> tuple[str, Labels]:
    """Wire name and labels; a proxy and its insight share the name, which is how the global joins
    them.
    """
    labels = resource.labels.without(VACANT_SINCE).with_labels(
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
