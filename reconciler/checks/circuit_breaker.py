"""CircuitBreaker: when a client gives up an instance, and how much it asks of a service at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.checks.selectors import service_destinations, service_sources
from reconciler.checks.values import no_negative, percent
from reconciler.part import Part, at_least_one

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.part import At, Faults

DETECTORS = ("totalErrors", "gatewayErrors", "localErrors", "standardDeviation", "failure")
THRESHOLDS = ("maxConnections", "maxPendingRequests", "maxRetries", "maxRequests")


def check(spec: Mapping[str, object], at: At) -> Faults:
    document = Part(spec, (), at)
    yield from service_sources(document["sources"])
    yield from service_destinations(document["destinations"])
    yield from _conf(document["conf"])


def _conf(conf: Part) -> Faults:
    detectors, thresholds = conf["detectors"], conf["thresholds"]
    if not detectors.given(*DETECTORS) and not thresholds.given(*THRESHOLDS):
        text = "nothing breaks the circuit; write a detector such as totalErrors, or a threshold"
        yield conf.fault("VAL008", text)
        return
    if detectors:
        yield from at_least_one(detectors, *DETECTORS)
    if thresholds:
        yield from at_least_one(thresholds, *THRESHOLDS)
    for percentage in (conf["maxEjectionPercent"], detectors["failure"]["threshold"]):
        yield from percent(percentage)
    for name in ("interval", "baseEjectionTime"):
        yield from no_negative(conf[name])
