"""Ranks of the older policies: the worked example of the policy catalogue, and its edges."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from reconciler.decode import mesh_resource
from reconciler.model.resource import Labels, MeshResource, ResourceKey
from reconciler.rest.catalogue import Times
from reconciler.rest.legacy_match import Connections, best_selected, fits

if TYPE_CHECKING:
    from collections.abc import Mapping

S = "kuma.io/service"
HERE = ((("env", "prod"), (S, "web"), ("version", "v1")),)
CREATED = {"t-all": 1, "t-web": 2, "t-web-any": 3, "t-back": 4, "t-v1": 5}


def timeout(name: str, source: Mapping[str, str], to: str) -> MeshResource:
    body: dict[str, Any] = {
        "sources": [{"match": dict(source)}],
        "destinations": [{"match": {S: to}}],
        "conf": {"connectTimeout": "5s"},
    }
    return mesh_resource(ResourceKey("Timeout", "m", name), Labels(), body)


POLICIES = {
    "t-all": timeout("t-all", {S: "*"}, "*"),
    "t-web": timeout("t-web", {S: "web"}, "*"),
    "t-web-any": timeout("t-web-any", {S: "*", "env": "*", "version": "*"}, "*"),
    "t-back": timeout("t-back", {S: "*"}, "backend"),
    "t-v1": timeout("t-v1", {S: "*", "version": "v1"}, "backend"),
}


def times(policy: MeshResource) -> Times:
    return Times(CREATED.get(policy.key.name))


@pytest.mark.parametrize(
    ("without", "service", "wins"),
    [
        ((), "backend", "t-web-any"),  # more tags, even without a value, come first
        (("t-web-any",), "backend", "t-v1"),
        (("t-web-any", "t-v1"), "backend", "t-back"),  # of equals the newer one
        ((), "other", "t-web-any"),
        (("t-web-any",), "other", "t-web"),
    ],
)
def test_the_most_specific_of_both_sides_wins(
    without: tuple[str, ...], service: str, wins: str
) -> None:
    held = [policy for name, policy in POLICIES.items() if name not in without]
    found = Connections(held, times).towards(HERE, service)
    assert found is not None
    assert found.key.name == wins


def test_without_times_the_first_by_name_of_equals_wins() -> None:
    held = [POLICIES["t-web"], POLICIES["t-back"]]
    found = Connections(held, lambda _: Times()).towards(HERE, "backend")
    assert found is not None
    assert found.key.name == "t-back"


def test_who_is_no_source_of_a_policy_has_none() -> None:
    elsewhere = (((S, "api"),),)
    assert Connections([POLICIES["t-web"]], times).towards(elsewhere, "backend") is None


def test_a_selector_asks_for_every_tag_and_takes_any_value_for_a_star() -> None:
    tags = {S: "web", "version": "v1"}
    assert fits({}, tags)
    assert fits({S: "*"}, tags)
    assert not fits({S: "*", "team": "*"}, tags)
    assert not fits({S: "api"}, tags)


def test_selectors_of_a_whole_proxy_are_ranked_and_none_means_everybody() -> None:
    def trace(name: str, *selectors: dict[str, str]) -> MeshResource:
        body = {"selectors": [{"match": selector} for selector in selectors]}
        return mesh_resource(ResourceKey("TrafficTrace", "m", name), Labels(), body)

    held = [trace("any"), trace("web", {S: "web"}), trace("other", {S: "other"})]
    assert best_selected(held, HERE, times) is held[1]
    assert best_selected(held[:1], HERE, times) is held[0]
    assert best_selected(held[2:], HERE, times) is None
