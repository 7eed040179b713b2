"""What a probe asks for, what its headers say, and what an answer comes to."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.probing import (
    AGENT,
    GrpcProbe,
    HttpProbe,
    TcpProbe,
    Verdict,
    check_request,
    http_verdict,
    is_serving,
    probe_of,
)

AGENTS = (("user-agent", "kube-probe/1.30"),)


def http(target: str, *headers: tuple[str, str]) -> HttpProbe:
    found = probe_of(target, (*headers, *AGENTS))
    assert isinstance(found, HttpProbe)
    return found


@pytest.mark.parametrize(
    ("target", "port", "asked"),
    [
        ("/8080", 8080, "/"),
        ("/8080/", 8080, "/"),
        ("/8080/health/live", 8080, "/health/live"),
        ("/8080/health?full=1&x=%20", 8080, "/health?full=1&x=%20"),
        ("/8080?full=1", 8080, "/?full=1"),
        ("/0/", 0, "/"),
        ("/65535/tcp/1", 65535, "/tcp/1"),
    ],
)
def test_http_probe_is_port_path_and_query(target: str, port: int, asked: str) -> None:
    assert (http(target).port, http(target).target) == (port, asked)


@pytest.mark.parametrize(
    "target",
    [
        *("/", "/health", "/65536/", "/123456/", "/-1/", "/80a/", "//80/", "*", "/٨٠/"),
        *("/tcp", "/tcp/", "/tcp/x", "/tcp/65536", "/tcp/80x", "/grpc", "/grpc/"),
    ],
)
def test_what_names_no_port_is_no_probe(target: str) -> None:
    assert probe_of(target, ()) is None


def test_probes_of_ports_alone_pass_over_what_follows() -> None:
    assert probe_of("/tcp/80", ()) == TcpProbe(port=80, timeout_s=1)
    assert probe_of("/tcp/80/x?y", ()) == TcpProbe(port=80, timeout_s=1)
    named = (("x-kuma-probes-grpc-service", "liveness"),)
    assert probe_of("/grpc/80", named) == GrpcProbe(port=80, timeout_s=1, service="liveness")
    assert probe_of("/grpc/80/", ()) == GrpcProbe(port=80, timeout_s=1, service="")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        *(("5", 5), ("1", 1), ("300", 300), ("301", 300), ("999999999", 300), ("9999999999", 1)),
        *(("0", 1), ("-1", 1), ("", 1), ("1.5", 1), ("x", 1), ("٣", 1)),
    ],
)
def test_time_is_whole_seconds_and_has_a_bound(text: str, seconds: int) -> None:
    assert http("/80/", ("x-kuma-probes-timeout", text)).timeout_s == seconds


@pytest.mark.parametrize(("text", "tls"), [("HTTPS", True), ("https", False), ("HTTP", False)])
def test_scheme_is_kubernetes_word_for_it(text: str, tls: bool) -> None:
    assert http("/80/", ("x-kuma-probes-scheme", text)).tls is tls
    assert not http("/80/").tls


def test_headers_are_passed_on_but_those_of_the_connection_and_our_own() -> None:
    probe = http(
        "/80/",
        ("host", "10.0.0.1:9000"),
        ("connection", "keep-alive"),
        ("transfer-encoding", "chunked"),
        ("x-kuma-probes-timeout", "2"),
        ("authorization", "Basic x"),
        ("x-twice", "1"),
        ("x-twice", "2"),
    )
    own = (("authorization", "Basic x"), ("x-twice", "1"), ("x-twice", "2"))
    assert probe.headers == (*own, *AGENTS)


def test_host_is_the_one_asked_for_by_its_own_header() -> None:
    probe = http("/80/", ("host", "10.0.0.1"), ("x-kuma-probes-host", "web.example"))
    assert probe.headers == (("host", "web.example"), *AGENTS)


def test_who_names_no_agent_is_named_one() -> None:
    found = probe_of("/80/", ())
    assert isinstance(found, HttpProbe)
    assert found.headers == (("user-agent", AGENT),)


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        (200, Verdict(200, "HEALTHY")),
        (204, Verdict(200, "HEALTHY")),
        (302, Verdict(200, "HEALTHY")),
        (399, Verdict(200, "HEALTHY")),
        (400, Verdict(400, "UNHEALTHY")),
        (503, Verdict(503, "UNHEALTHY")),
    ],
)
def test_failure_keeps_its_status(status: int, verdict: Verdict) -> None:
    assert http_verdict(status) == verdict


# --- gRPC's health protocol ---


def message(data: bytes) -> bytes:
    return b"\x00" + len(data).to_bytes(4, "big") + data


def test_check_names_the_service() -> None:
    assert check_request("") == message(b"")
    assert check_request("live") == message(b"\x0a\x04live")
    assert check_request("x" * 300) == message(b"\x0a\xac\x02" + b"x" * 300)


@pytest.mark.parametrize(
    ("answer", "serving"),
    [
        (message(b"\x08\x01"), True),
        (message(b"\x08\x02"), False),
        (message(b"\x08\x03"), False),
        (message(b""), False),
        (message(b"\x12\x01x\x08\x01"), True),  # a field that is not known
        (message(b"\x15\x01\x02\x03\x04\x19" + b"x" * 8 + b"\x08\x01"), True),
        (message(b"\x08\x01\x08\x02"), False),  # the last one holds
        (message(b"\x08\x81\x00"), True),
        (message(b"\x0a\x01\x01"), False),  # of another type
        (message(b"\x08"), False),
        (message(b"\x08\x01\x12\x05x"), False),
        (message(b"\x08" + b"\xff" * 11), False),
        (message(b"\x08\x01\x0b"), False),
        (b"\x01" + message(b"\x08\x01")[1:], False),  # compressed
        (message(b"\x08\x01") + b"x", False),
        (message(b"\x08\x01")[:-1], False),
        (b"", False),
    ],
)
def test_serving_is_one_whole_message_that_says_so(answer: bytes, serving: bool) -> None:
    assert is_serving(answer) is serving


@given(st.binary(max_size=40))
def test_no_answer_is_too_strange(data: bytes) -> None:
    assert is_serving(message(data)) in (True, False)
    assert is_serving(data) in (True, False)
