"""Constraints of a Mesh: each tag set must fulfil one requirement, and no restriction."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.decode import mesh_resource
from reconciler.membership import not_a_member
from reconciler.model.resource import Labels, MeshResource, ResourceKey
from reconciler.registration import from_document
from tests.support.zone import INGRESS, dataplane, zone

TEAM_A = {"tags": {"team": "a"}}
ANY_TEAM = {"tags": {"team": "*"}}


def mesh(**rules: Any) -> MeshResource:
    constraints = {"constraints": {"dataplaneProxy": rules}} if rules else {}
    return mesh_resource(ResourceKey("Mesh", "", "default"), Labels(), constraints)


def web(*teams: str, **networking: Any) -> dict[str, Any]:
    document = dataplane("web", "web")
    document["networking"]["inbound"] = [
        {
            "port": 80 + i,
            "servicePort": 8080,
            "tags": {"kuma.io/service": "web"} | ({"team": team} if team else {}),
        }
        for i, team in enumerate(teams)
    ]
    document["networking"] |= networking
    return document


def said(given: MeshResource, document: dict[str, Any]) -> str | None:
    proxy = from_document(document, "east")
    assert isinstance(proxy, MeshResource), proxy
    return not_a_member(given, proxy)


@pytest.mark.parametrize(
    ("rules", "teams", "allowed"),
    [
        ({}, ("",), True),
        ({"requirements": [TEAM_A]}, ("a",), True),
        ({"requirements": [TEAM_A]}, ("b",), False),
        ({"requirements": [TEAM_A]}, ("",), False),
        ({"requirements": [TEAM_A]}, ("a", "b"), False),
        ({"requirements": [TEAM_A]}, (), True),
        ({"requirements": [ANY_TEAM]}, ("b",), True),
        ({"requirements": [ANY_TEAM]}, ("",), False),
        ({"requirements": [{"tags": {"team": "x"}}, TEAM_A]}, ("a",), True),
        ({"requirements": [{"tags": {"team": "a", "kuma.io/zone": "west"}}]}, ("a",), False),
        ({"requirements": [{"tags": {"team": "a", "kuma.io/zone": "east"}}]}, ("a",), True),
        ({"restrictions": [TEAM_A]}, ("a",), False),
        ({"restrictions": [TEAM_A]}, ("b",), True),
        ({"restrictions": [TEAM_A]}, ("b", "a"), False),
        ({"restrictions": [ANY_TEAM]}, ("",), True),
        ({"requirements": [ANY_TEAM], "restrictions": [TEAM_A]}, ("a",), False),
        ({"requirements": [ANY_TEAM], "restrictions": [TEAM_A]}, ("b",), True),
    ],
)
def test_rules_as_kuma_reads_them(
    rules: dict[str, Any], teams: tuple[str, ...], allowed: bool
) -> None:
    assert (said(mesh(**rules), web(*teams)) is None) is allowed


def test_gateway_is_judged_by_its_own_tags() -> None:
    gateway = {"type": "DELEGATED", "tags": {"kuma.io/service": "gw", "team": "a"}}
    document = web(gateway=gateway)
    assert said(mesh(requirements=[TEAM_A]), document) is None
    assert said(mesh(restrictions=[TEAM_A]), document) is not None


def test_refusal_names_mesh_tags_and_rule() -> None:
    text = said(mesh(restrictions=[TEAM_A]), web("a"))
    assert text == (
        'dataplane cannot be a member of mesh "default" because its tags '
        '"kuma.io/service=web kuma.io/zone=east team=a" match restricted tags "team=a" defined on '
        "the Mesh"
    )


def test_proxies_without_a_mesh_have_no_constraints() -> None:
    assert said(mesh(requirements=[TEAM_A]), INGRESS) is None


def test_stranger_is_refused_on_ads_and_shown_in_status_and_members_run_on() -> None:
    """What a Mesh says later ends no stream; the proxy's next one is asked again."""
    made = zone(mesh(requirements=[TEAM_A]))
    stream = made.connect(web("a"))
    assert made.closing() is None
    made.connect({**web("b"), "name": "web-2"}, listeners=False)
    closing = made.closing()
    assert closing is not None
    assert "do not fulfil any requirements" in closing.message
    assert made.state.refused["default.web-2"] == closing.message
    assert made.state.proxies["default.web"].stream == stream
