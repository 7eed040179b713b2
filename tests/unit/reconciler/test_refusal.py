"""Where a proxy is sent that came to the global."""

from __future__ import annotations

import base64
import json

import pytest

from reconciler.model.resource import MeshResource
from reconciler.refusal import ZONES_MAX, words_for_proxy, zone_by_name, zone_by_token
from reconciler.registration import from_document
from reconciler.state import EMPTY, from_resources
from tests.support.zone import INGRESS, dataplane


def owned(document: object, zone: str) -> MeshResource:
    found = from_document(document, zone)  # type: ignore[arg-type]
    assert isinstance(found, MeshResource)
    return found


ZONES = {
    "east": from_resources((owned(dataplane("web-1", "web", "backend"), "east"),)),
    "west": from_resources((owned(INGRESS, "west"),)),
}


def token(claims: object) -> str:
    body = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"e30.{body}.x"


def test_the_zone_of_a_zone_proxys_token_is_named_if_there_is_one() -> None:
    assert zone_by_token(token({"Zone": "east"}), ZONES) == "east"
    others: list[object] = [{"Zone": "mars"}, {"Zone": ["east"]}, {"Name": "web-1"}, [], 5]
    for other in others:
        assert zone_by_token(token(other), ZONES) == ""


@pytest.mark.parametrize(
    "text", [None, "", "a", "a.b.c", "..", "\udcff.\udcff.x", "a." + "[" * 9000]
)
def test_what_is_no_token_names_nothing(text: str | None) -> None:
    assert zone_by_token(text, ZONES) == ""


def test_a_proxy_that_a_zone_has_registered_is_sent_there() -> None:
    assert zone_by_name({"mesh": "default", "name": "web-1"}, ZONES) == "east"
    ingress = {"proxyType": "ingress", "mesh": "", "name": INGRESS["name"]}
    assert zone_by_name(ingress, ZONES) == "west"
    assert zone_by_name({"mesh": "default", "name": "web-2"}, ZONES) == ""
    assert zone_by_name({}, ZONES) == ""
    both = {"east": ZONES["east"], "west": ZONES["east"]}
    assert zone_by_name({"mesh": "default", "name": "web-1"}, both) == ""


def test_words_name_the_zone_or_the_zones_and_the_option() -> None:
    assert 'belongs to zone "east"' in words_for_proxy("repo", ZONES, "east")
    assert "knows these zones: east, west." in words_for_proxy("repo", ZONES, "")
    assert "knows no zone yet" in words_for_proxy("repo", {}, "")
    many = {f"z{n:02}": EMPTY for n in range(ZONES_MAX + 3)}
    text = words_for_proxy("repo", many, "")
    assert "z09 and 3 more." in text
    assert "z10" not in text
    assert "--zone-address" in text
