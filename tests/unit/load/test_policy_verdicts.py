"""Verdicts on policies that stand in no file of tests/verdicts: what Kuma takes and nobody can have
meant is a warning, and what it refuses although it had once taken it says what to write.
"""

from __future__ import annotations

import json

import pytest

from reconciler.load import Blob, read_file

MESH = {"kind": "Mesh"}
SIDECARS = {"kind": "Mesh", "proxyTypes": ["Sidecar"]}
SHARE = {"percentage": 5}


def warnings(kind: str, spec: object) -> list[tuple[str, str]]:
    document = {"type": kind, "name": "x", "spec": spec}
    read = read_file("p.json", Blob("", json.dumps(document).encode()), strict=False)
    assert len(read.resources) == 1
    return [(problem.code, problem.at.field) for problem in read.problems]


@pytest.mark.parametrize("kind", ["MeshRateLimit", "MeshFaultInjection"])
@pytest.mark.parametrize("target", [None, MESH, {"kind": "MeshSubset", "tags": {"a": "b"}}])
def test_from_is_refused_where_gateways_are_among_the_proxies(kind: str, target: object) -> None:
    spec = {"from": [{"targetRef": MESH, "default": {}}]} | (
        {"targetRef": target} if target else {}
    )
    document = {"type": kind, "name": "x", "spec": spec}
    (problem,) = read_file("p.json", Blob("", json.dumps(document).encode()), strict=False).problems
    assert (problem.code, problem.at.field) == ("PS002", "spec.from")
    assert problem.message.endswith("; target proxyTypes: [Sidecar]")


def to(default: object, target: object = MESH) -> object:
    return {"to": [{"targetRef": target, "default": default}]}


def faults(*given: object) -> object:
    return {"targetRef": SIDECARS, "rules": [{"default": {"http": list(given)}}]}


@pytest.mark.parametrize("kind", ["MeshRetry", "MeshHealthCheck"])
def test_a_policy_without_lists(kind: str) -> None:
    assert warnings(kind, {}) == [("PS001", "spec")]


@pytest.mark.parametrize("kind", ["MeshRateLimit", "MeshFaultInjection"])
def test_a_policy_of_many_lists_without_one(kind: str) -> None:
    assert warnings(kind, {"targetRef": SIDECARS}) == [("PS001", "spec")]


def test_a_destination_that_is_none() -> None:
    found = warnings("MeshHealthCheck", to({"tcp": {}}, {"kind": "MeshMultiZoneService"}))
    assert found == [("TR003", "spec.to[0].targetRef")]


def test_a_match_of_nothing_matches_everybody() -> None:
    found = warnings("MeshTrafficPermission", {"rules": [{"default": {"allow": [{}]}}]})
    assert found == [("IM001", "spec.rules[0].allow[0]")]


@pytest.mark.parametrize(
    ("base", "most", "field"),
    [
        ("0s", None, "baseInterval"),
        ("1s", "999ms", "maxInterval"),
        (None, "24ms", "maxInterval"),
        ("1s", "1s", None),
        (None, "25ms", None),
    ],
)
def test_waits_between_tries_that_envoy_refuses(
    base: str | None, most: str | None, field: str | None
) -> None:
    given = {"baseInterval": base, "maxInterval": most}
    back_off = {name: value for name, value in given.items() if value is not None}
    found = warnings("MeshRetry", to({"http": {"backOff": back_off}}))
    path = f"spec.to[0].default.conf.http.backOff.{field}"
    assert found == ([("VAL012", path)] if field else [])


@pytest.mark.parametrize(
    ("fault", "problem"),
    [
        ({"abort": {"httpStatus": 199, **SHARE}}, ("VAL012", "abort[0].httpStatus")),
        ({"abort": {"httpStatus": 200, **SHARE}}, None),
        ({"delay": {"value": "0s", **SHARE}}, ("VAL012", "delay[0].value")),
        ({"delay": {"value": "1ms", **SHARE}}, None),
        ({}, ("PS001", "[0]")),
    ],
)
def test_faults_that_envoy_refuses_and_one_of_nothing(
    fault: object, problem: tuple[str, str] | None
) -> None:
    found = warnings("MeshFaultInjection", faults(fault))
    path = "spec.rules[0].default.http"
    joint = "" if problem and problem[1].startswith("[") else "."
    assert found == ([(problem[0], f"{path}{joint}{problem[1]}")] if problem else [])


@pytest.mark.parametrize("address", ["logs.example.com", "tcp://logs.example.com:5000"])
def test_logs_are_lost_on_the_way_to_an_address_that_cannot_be_dialled(address: str) -> None:
    backend: dict[str, object] = {"type": "Tcp", "tcp": {"address": address}}
    field = "spec.to[0].default.backends[0].tcp.address"
    assert warnings("MeshAccessLog", to({"backends": [backend]})) == [("VAL010", field)]
    backend["tcp"] = {"address": "logs.example.com:5000"}
    assert warnings("MeshAccessLog", to({"backends": [backend]})) == []
