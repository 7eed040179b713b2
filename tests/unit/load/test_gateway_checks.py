"""What Kuma takes of a gateway's routes and no gateway can do is warned of, at its place."""

from __future__ import annotations

import json

import pytest

from reconciler.load import Blob, read_file

BACKEND = {"destination": {"kuma.io/service": "web"}}
PATH = {"path": {"value": "/"}}
OF_HEADER = {"match": "REGEX", "name": "a", "value": "(?=a)"}
OF_QUERY = {"match": "REGEX", "name": "a", "value": "*"}


def text_of(rule: dict[str, object]) -> str:
    document = {
        "type": "MeshGatewayRoute",
        "mesh": "default",
        "name": "route",
        "selectors": [{"match": {"kuma.io/service": "*"}}],
        "conf": {"http": {"rules": [rule]}},
    }
    return json.dumps(document, indent=1)


def problems(rule: dict[str, object]) -> list[tuple[str, str, int]]:
    """Severity, place in the rule, line."""
    found = read_file("route.yaml", Blob("", text_of(rule).encode()), strict=False).problems
    return [(str(p.severity), p.at.field.partition("rules[0].")[2], p.at.line) for p in found]


def match(**values: object) -> dict[str, object]:
    return {"matches": [values], "backends": [BACKEND]}


@pytest.mark.parametrize(
    ("rule", "field"),
    [
        (match(path={"match": "REGEX", "value": "["}), "matches[0].value"),
        (match(headers=[OF_HEADER]), "matches[0].headers[0].value"),
        (match(queryParameters=[OF_QUERY]), "matches[0].query_parameters[0].value"),
        (
            {"matches": [PATH], "filters": [{"redirect": {"statusCode": 304}}]},
            "filters[0].redirect.status_code",
        ),
        ({"matches": [PATH], "backends": [BACKEND, {"weight": 0, **BACKEND}]}, "backends"),
    ],
)
def test_what_no_gateway_can_do_is_a_warning(rule: dict[str, object], field: str) -> None:
    assert [(severity, place) for severity, place, _ in problems(rule)] == [("warning", field)]


@pytest.mark.parametrize(
    "rule",
    [
        match(path={"match": "REGEX", "value": "/a.*"}),
        match(path={"value": "/["}),
        {"matches": [PATH], "filters": [{"redirect": {"statusCode": 308}}]},
        {"matches": [PATH], "backends": [BACKEND, {"weight": 1, **BACKEND}]},
    ],
)
def test_what_gateways_do_is_none(rule: dict[str, object]) -> None:
    assert problems(rule) == []


def test_a_field_that_kuma_names_by_its_proto_file_has_its_own_line() -> None:
    """The document says requestHeader, Kuma says request_header."""
    filters = [{"requestHeader": {"set": [{"name": "a"}]}}]
    rule = {"matches": [PATH], "backends": [BACKEND], "filters": filters}
    ((severity, field, line),) = problems(rule)
    assert (severity, field) == ("error", "filters[0].request_header.set[0].value")
    before = text_of(rule).splitlines()[line - 2]
    assert '"set"' in before
