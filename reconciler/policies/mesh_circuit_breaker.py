"""MeshCircuitBreaker: limits of load, and a pause for instances that fail."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.part import (
    Part,
    at_least_one,
    in_range,
    percent_of,
    percentage,
    positive_duration,
    required,
)
from reconciler.policies.document import Fields, check_sections, open_items
from reconciler.policies.policy import GATEWAY, PROXY_KINDS, SERVICE_KINDS, At, PolicyRules

if TYPE_CHECKING:
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


POLICY = PolicyRules(
    kind="MeshCircuitBreaker",
    slug="mesh_circuit_breaker",
    check=check,
    top_kinds=(*PROXY_KINDS, GATEWAY),
    to_kinds=("Mesh", *SERVICE_KINDS),
    from_kinds=("Mesh",),
    has_rules=True,
    has_matches=False,
)
