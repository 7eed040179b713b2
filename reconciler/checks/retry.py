"""Retry: when a client's proxy tries a call again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.checks.selectors import service_destinations, service_sources
from reconciler.checks.values import some_time
from reconciler.part import Part, in_range, required

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.part import At, Faults

PROTOCOLS = ("http", "grpc", "tcp")
GRPC = ("numRetries", "perTryTimeout", "backOff", "retryOn")
HTTP = (*GRPC, "retriableStatusCodes", "retriableMethods")


def check(spec: Mapping[str, object], at: At) -> Faults:
    document = Part(spec, (), at)
    yield from service_sources(document["sources"])
    yield from service_destinations(document["destinations"])
    conf = document["conf"]
    yield from required(conf, "write when to try again, as http, grpc or tcp")
    if not conf:
        return
    http, grpc, tcp = (conf[name] for name in PROTOCOLS)
    if not (http or grpc or tcp):
        yield conf.fault("VAL008", "conf is of no protocol; write http, grpc or tcp")
    if http:
        yield from _calls(http, HTTP)
        yield from _http(http)
    if grpc:
        yield from _calls(grpc, GRPC)
        yield from _each_once(grpc["retryOn"])
    if tcp and not tcp["maxConnectAttempts"].number:
        yield tcp["maxConnectAttempts"].fault(
            "VAL003", "maxConnectAttempts is missing or zero; write a count such as 3"
        )


def _calls(part: Part, names: tuple[str, ...]) -> Faults:
    if not any(part[name].value not in (None, [], ()) for name in names):
        yield part.fault("VAL008", f"{part.name} says nothing; write one of {', '.join(names)}")
    yield from in_range(part["numRetries"], 1)
    yield from some_time(part["perTryTimeout"])
    back_off = part["backOff"]
    if back_off:
        base = back_off["baseInterval"]
        yield from required(base, "write the first wait, such as 25ms")
        refused = tuple(some_time(base))
        yield from refused
        if base and not any(fault.severity == "error" for fault in refused):
            yield from some_time(back_off["maxInterval"])


def _http(http: Part) -> Faults:
    for method in http["retriableMethods"].items():
        if method.value == "NONE":
            yield method.fault("VAL006", "NONE is no method; write one such as GET")
    has_codes = http["retriableStatusCodes"].value not in (None, [], ())
    for reason in http["retryOn"].items():
        if reason.value == "retriable_status_codes" and not has_codes:
            text = "no status codes are there; write retriableStatusCodes, such as [503]"
            yield reason.fault("VAL001", text)


def _each_once(reasons: Part) -> Faults:
    """The list is what is at fault: so Kuma has it."""
    values = [reason.value for reason in reasons.items()]
    for value in sorted({str(value) for value in values if values.count(value) > 1}):
        text = f'"{value}" is here more than once; leave one of them'
        yield reasons.fault("VAL009", text)
