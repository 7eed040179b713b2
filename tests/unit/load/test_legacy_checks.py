"""What Kuma takes of the legacy policies and Envoy will not: warnings, never errors. The verdicts
themselves stand in tests/verdicts.
"""

from __future__ import annotations

import pytest

from reconciler.load import Blob, read_file

ANY = 'sources: [{match: {kuma.io/service: "*"}}]\n'
CALLED = "destinations: [{match: {kuma.io/service: backend, kuma.io/protocol: http}}]\n"
SERVICE = "destinations: [{match: {kuma.io/service: backend}}]\n"


def problems(type_: str, conf: str) -> list[str]:
    called = CALLED if type_ in ("FaultInjection", "RateLimit") else SERVICE
    text = f"type: {type_}\nmesh: default\nname: x\n{ANY}{called}conf: {conf}\n"
    return [str(p) for p in read_file("p.yaml", Blob("", text.encode()), strict=False).problems]


ODD = [
    ("CircuitBreaker", "{interval: -5s, detectors: {totalErrors: {}}}", "negative interval"),
    ("Retry", "{http: {perTryTimeout: -1s}}", "negative perTryTimeout"),
    ("Retry", "{grpc: {backOff: {baseInterval: -1s}}}", "negative baseInterval"),
    ("Timeout", "{connectTimeout: -1ms}", "negative connectTimeout"),
    ("Timeout", "{http: {idleTimeout: 1s, streamIdleTimeout: -1s}}", "negative streamIdleTimeout"),
    ("FaultInjection", "{delay: {percentage: 1, value: -1s}}", "negative value"),
    ("FaultInjection", "{responseBandwidth: {percentage: 1, limit: 10mbps}}", "number of kbps"),
    ("RateLimit", "{http: {requests: 1, interval: 49ms}}", "an interval under 50ms"),
    (
        "RateLimit",
        "{http: {requests: 1, interval: 1s, onRateLimit: {status: 200}}}",
        "Envoy answers 429 instead of 200",
    ),
    (
        "TrafficRoute",
        "{destination: {kuma.io/service: a}, loadBalancer: "
        "{ringHash: {hashFunction: XX_HASH, minRingSize: 5, maxRingSize: 4}}}",
        "a ring whose least size is over its most",
    ),
]
FINE = [
    ("CircuitBreaker", "{interval: 5s, detectors: {totalErrors: {}}}"),
    ("Timeout", "{connectTimeout: -0s}"),
    ("FaultInjection", "{responseBandwidth: {percentage: 1, limit: 10 kbps}}"),
    ("RateLimit", "{http: {requests: 1, interval: 50ms, onRateLimit: {status: 400}}}"),
    (
        "TrafficRoute",
        "{destination: {kuma.io/service: a}, loadBalancer: "
        "{ringHash: {hashFunction: XX_HASH, minRingSize: 5}}}",
    ),
]


@pytest.mark.parametrize(("type_", "conf", "words"), ODD)
def test_what_envoy_will_not_take_is_a_warning(type_: str, conf: str, words: str) -> None:
    (found,) = problems(type_, conf)
    assert " warning: " in found
    assert words in found


@pytest.mark.parametrize(("type_", "conf"), FINE)
def test_at_its_edge_nothing_is_said(type_: str, conf: str) -> None:
    assert problems(type_, conf) == []


def test_what_holds_an_unreadable_field_is_not_judged() -> None:
    """Its list is not empty, it is no list."""
    (found,) = problems("Retry", "{http: {retryOn: reset}}")
    assert "SCH001 must be a list" in found
