"""What is asked of the token endpoints: strictly read, all faults at once."""

from __future__ import annotations

import json
from typing import Any

import pytest

from reconciler.rest.answer import Refused
from reconciler.rest.token_requests import LIST_MAX, TEXT_MAX, YEAR_S, TokenKind, Wanted, wanted


def ask(kind: TokenKind, **body: Any) -> Wanted:
    return wanted(kind, json.dumps(body).encode())


def faults(kind: TokenKind, **body: Any) -> list[str]:
    with pytest.raises(Refused) as refused:
        ask(kind, **body)
    assert (refused.value.status, refused.value.title) == (400, "Invalid request")
    answer = json.loads(refused.value.answer().body)
    assert [each["field"] for each in answer["causes"]] == [
        each["field"] for each in answer["invalid_parameters"]
    ]
    return [each["field"] for each in answer["invalid_parameters"]]


def test_a_dataplane_token_says_what_was_asked_for() -> None:
    found = ask(
        "dataplane",
        mesh="shop",
        name="web-1",
        tags={"kuma.io/service": ["web"]},
        type="dataplane",
        workload="web",
        validFor="24h0m0s",
    )
    assert (found.mesh, found.valid_s, found.whose) == ("shop", 86400.0, "shop/web-1")
    assert found.claims == {
        "Name": "web-1",
        "Mesh": "shop",
        "Tags": {"kuma.io/service": ["web"]},
        "Type": "dataplane",
        "Workload": "web",
    }


def test_what_kumactl_leaves_empty_is_left_out() -> None:
    found = ask("dataplane", mesh="shop", name="", tags=None, type="", workload="", validFor="")
    assert found.claims["Tags"] == {}
    assert found.valid_s == YEAR_S
    assert ask("zone", zone="east", scope=[], validFor="").claims == {"Zone": "east", "Scope": []}
    assert ask("user", name="a", groups=None, validFor="1h").claims == {"Name": "a", "Groups": []}


@pytest.mark.parametrize(
    ("kind", "body", "fields"),
    [
        ("dataplane", {}, ["mesh"]),
        ("dataplane", {"mesh": 5}, ["mesh"]),
        ("dataplane", {"mesh": "m", "type": "ingress"}, ["type"]),
        ("dataplane", {"mesh": "m", "tags": []}, ["tags"]),
        ("dataplane", {"mesh": "m", "tags": {"a": "b"}}, ['tags["a"]', 'tags["a"]']),
        ("dataplane", {"mesh": "m", "tags": {"a": []}}, ['tags["a"]']),
        ("dataplane", {"mesh": "m", "name": "a\u0000"}, ["name"]),
        ("dataplane", {"mesh": "m", "name": "x" * (TEXT_MAX + 1)}, ["name"]),
        ("dataplane", {"mesh": "m", "validFor": "-1h"}, ["validFor"]),
        ("dataplane", {"mesh": "m", "validFor": "0s"}, ["validFor"]),
        ("dataplane", {"mesh": "m", "validFor": 3600}, ["validFor"]),
        ("dataplane", {"mesh": "m", "validFor": "9999999999h"}, ["validFor"]),
        ("zone", {}, ["zone", "scope"]),
        ("zone", {"zone": "", "scope": ["ingress"]}, ["zone"]),
        ("zone", {"zone": "east", "scope": ["everything"]}, ["scope"]),
        ("zone", {"zone": "east", "scope": ["ingress"] * (LIST_MAX + 1)}, ["scope"]),
        ("user", {}, ["name", "validFor"]),
        ("user", {"name": "a", "groups": [1], "validFor": "1h"}, ["groups"]),
        ("user", {"name": "a", "groups": "admin", "validFor": "1h"}, ["groups"]),
    ],
    ids=str,
)
def test_everything_that_cannot_be_used_is_told_at_once(
    kind: TokenKind, body: dict[str, Any], fields: list[str]
) -> None:
    assert faults(kind, **body) == fields


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff", b'"mesh"', b"[" * 9999])
def test_what_is_no_object_is_refused(body: bytes) -> None:
    with pytest.raises(Refused, match="no JSON object"):
        wanted("user", body)
