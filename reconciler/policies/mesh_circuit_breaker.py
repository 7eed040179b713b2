"""MeshCircuitBreaker: limits of load, and a pause for instances that fail.

What it says of outliers takes the place of the proxies' own detection, as a whole. A detector that
it does not name ejects nobody.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconciler.duration import parse_duration
from reconciler.merge import over, over_with
from reconciler.part import (
    Part,
    at_least_one,
    in_range,
    number_of,
    percent_of,
    percentage,
    positive_duration,
    required,
)
from reconciler.policies.document import (
    Fields,
    check_sections,
    decode_lists,
    mapping,
    open_items,
)
from reconciler.policies.policy import GATEWAY, PROXY_KINDS, SERVICE_KINDS, At, PolicyType

if TYPE_CHECKING:
    from datetime import timedelta

    from reconciler.model.spec import PolicySpec
    from reconciler.part import Faults

LIMITS = (
    "maxConnections",
    "maxConnectionPools",
    "maxPendingRequests",
    "maxRetries",
    "maxRequests",
)
_CONSECUTIVE = ("totalFailures", "gatewayFailures", "localOriginFailures")
DETECTORS = (*_CONSECUTIVE, "successRate", "failurePercentage")


@dataclass(frozen=True, slots=True)
class Limits:
    """None: nothing said."""

    connections: int | None = None
    pools: int | None = None
    pending: int | None = None
    retries: int | None = None
    requests: int | None = None


@dataclass(frozen=True, slots=True)
class SuccessRate:
    hosts: int | None = None
    volume: int | None = None
    factor: float | None = None


@dataclass(frozen=True, slots=True)
class FailurePercentage:
    hosts: int | None = None
    volume: int | None = None
    threshold: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outliers:
    """`total`, `gateway` and `local`: how many in a row eject."""

    disabled: bool | None = None
    interval: timedelta | None = None
    base: timedelta | None = None
    percent: int | None = None
    split: bool | None = None
    panic: float | None = None
    total: int | None = None
    gateway: int | None = None
    local: int | None = None
    success_rate: SuccessRate | None = None
    failure_percentage: FailurePercentage | None = None


@dataclass(frozen=True, slots=True)
class BreakerConf:
    """What one item says."""

    limits: Limits | None = None
    outliers: Outliers | None = None


def merge(weak: BreakerConf, strong: BreakerConf) -> BreakerConf:
    return BreakerConf(
        over_with(weak.limits, strong.limits, _merge_limits),
        over_with(weak.outliers, strong.outliers, _merge_outliers),
    )


def _merge_limits(weak: Limits, strong: Limits) -> Limits:
    return Limits(
        over(weak.connections, strong.connections),
        over(weak.pools, strong.pools),
        over(weak.pending, strong.pending),
        over(weak.retries, strong.retries),
        over(weak.requests, strong.requests),
    )


def _merge_outliers(weak: Outliers, strong: Outliers) -> Outliers:
    return Outliers(
        disabled=over(weak.disabled, strong.disabled),
        interval=over(weak.interval, strong.interval),
        base=over(weak.base, strong.base),
        percent=over(weak.percent, strong.percent),
        split=over(weak.split, strong.split),
        panic=over(weak.panic, strong.panic),
        total=over(weak.total, strong.total),
        gateway=over(weak.gateway, strong.gateway),
        local=over(weak.local, strong.local),
        success_rate=over_with(weak.success_rate, strong.success_rate, _merge_rate),
        failure_percentage=over_with(
            weak.failure_percentage, strong.failure_percentage, _merge_percentage
        ),
    )


def _merge_rate(weak: SuccessRate, strong: SuccessRate) -> SuccessRate:
    return SuccessRate(
        over(weak.hosts, strong.hosts),
        over(weak.volume, strong.volume),
        over(weak.factor, strong.factor),
    )


def _merge_percentage(weak: FailurePercentage, strong: FailurePercentage) -> FailurePercentage:
    return FailurePercentage(
        over(weak.hosts, strong.hosts),
        over(weak.volume, strong.volume),
        over(weak.threshold, strong.threshold),
    )


# --- decode ---


def decode(spec: Fields) -> PolicySpec:
    return decode_lists(spec, decode_conf)


def decode_conf(default: Fields) -> BreakerConf:
    limits, outliers = default.get("connectionLimits"), default.get("outlierDetection")
    return BreakerConf(
        None if limits is None else Limits(*(_count(mapping(limits), name) for name in LIMITS)),
        None if outliers is None else _outliers(mapping(outliers)),
    )


def _outliers(fields: Fields) -> Outliers:
    detectors = mapping(fields.get("detectors"))
    total, gateway, local = (_count(mapping(detectors.get(n)), "consecutive") for n in _CONSECUTIVE)
    rate, percentage_ = detectors.get("successRate"), detectors.get("failurePercentage")
    return Outliers(
        disabled=_yes_or_no(fields, "disabled"),
        interval=_span(fields, "interval"),
        base=_span(fields, "baseEjectionTime"),
        percent=_count(fields, "maxEjectionPercent"),
        split=_yes_or_no(fields, "splitExternalAndLocalErrors"),
        panic=_number(fields, "healthyPanicThreshold"),
        total=total,
        gateway=gateway,
        local=local,
        success_rate=None if rate is None else _rate(mapping(rate)),
        failure_percentage=None if percentage_ is None else _percentage(mapping(percentage_)),
    )


def _rate(fields: Fields) -> SuccessRate:
    hosts, volume = _count(fields, "minimumHosts"), _count(fields, "requestVolume")
    return SuccessRate(hosts, volume, _number(fields, "standardDeviationFactor"))


def _percentage(fields: Fields) -> FailurePercentage:
    names = ("minimumHosts", "requestVolume", "threshold")
    return FailurePercentage(*(_count(fields, name) for name in names))


def _count(fields: Fields, name: str) -> int | None:
    value = fields.get(name)
    return int(value) if isinstance(value, int | float) else None


def _number(fields: Fields, name: str) -> float | None:
    """Written as a number or as text."""
    return number_of(fields.get(name))


def _span(fields: Fields, name: str) -> timedelta | None:
    value = fields.get(name)
    return parse_duration(value) if isinstance(value, str) else None


def _yes_or_no(fields: Fields, name: str) -> bool | None:
    value = fields.get(name)
    return value if isinstance(value, bool) else None


# --- check ---


def check(spec: Fields, at: At) -> Faults:
    yield from check_sections(POLICY, spec, at)
    document = Part(spec, (), at)
    for section in ("to", "from"):
        for item in open_items(POLICY, document, section):
            yield from _default(item["default"])
    for index, rule in enumerate(document["rules"].items()):
        # What is wrong in `rules`, Kuma says of `from`.
        yield from _default(rule["default"].called(("from", index, "default")))


def _default(default: Part) -> Faults:
    yield from at_least_one(default, "connectionLimits", "outlierDetection")
    for name in LIMITS:
        yield from in_range(default["connectionLimits"][name], 1)
    detection = default["outlierDetection"]
    if detection:
        yield from positive_duration(detection["interval"])
        yield from positive_duration(detection["baseEjectionTime"])
        yield from in_range(detection["maxEjectionPercent"], 0, 100)
        yield from percentage(detection["healthyPanicThreshold"])
        yield from required(detection["detectors"], "say what counts as failing")
    if detection["detectors"]:
        yield from _detectors(detection["detectors"])


def _detectors(detectors: Part) -> Faults:
    if not detectors.given(*DETECTORS):
        yield detectors.fault("VAL008", f"detectors has none of {', '.join(DETECTORS)}; write one")
    for name in _CONSECUTIVE:
        yield from in_range(detectors[name]["consecutive"], 1)
    for name in ("successRate", "failurePercentage"):
        yield from in_range(detectors[name]["minimumHosts"], 1)
        yield from in_range(detectors[name]["requestVolume"], 1)
    yield from in_range(detectors["failurePercentage"]["threshold"], 0, 100)
    factor = detectors["successRate"]["standardDeviationFactor"]
    number = percent_of(factor)
    if factor and number is None:
        yield factor.fault("VAL010", f'"{factor.text[:60]}" is not a number; write it like 1.9')
    elif number is not None and number <= 0:
        yield factor.fault("VAL003", f"{factor.name} is {number:g}; it must be greater than 0")


POLICY = PolicyType(
    kind="MeshCircuitBreaker",
    slug="mesh_circuit_breaker",
    decode=decode,
    check=check,
    merge=merge,
    top_kinds=(*PROXY_KINDS, GATEWAY),
    to_kinds=("Mesh", *SERVICE_KINDS),
    from_kinds=("Mesh",),
    has_rules=True,
    has_matches=False,
)
