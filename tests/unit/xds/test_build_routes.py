"""Routes of an outbound, one view route at a time, as the Envoy routes they become."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from envoy_data_plane.envoy.config.route.v3 import Route as EnvoyRoute

from tests.support.xds_inputs import exact, prefix, regex, route, timeout
from xds.build.routes import envoy_routes, fractional_percent
from xds.message import encode
from xds.route import (
    HeaderModifier,
    MatchKind,
    Mirror,
    PathMatch,
    PathRewrite,
    Redirect,
    Rewrite,
    RouteMatch,
    ValueMatch,
    WeightedCluster,
)

if TYPE_CHECKING:
    from xds.route import Route

Json = dict[str, Any]


def built(made: Route) -> list[Json]:
    return [EnvoyRoute().parse(encode(found)).to_dict() for found in envoy_routes(made)]


def one(made: Route) -> Json:
    (found,) = built(made)
    return found


# --- paths ---


@pytest.mark.parametrize(
    ("path", "matches"),
    [
        (None, [{"prefix": "/"}]),
        (prefix("/"), [{"prefix": "/"}]),
        (prefix("/v1"), [{"path": "/v1"}, {"prefix": "/v1/"}]),
        (prefix("/v1/"), [{"path": "/v1"}, {"prefix": "/v1/"}]),
        (exact("/v1"), [{"path": "/v1"}]),
        (regex("/v[0-9]"), [{"safeRegex": {"regex": "/v[0-9]"}}]),
    ],
)
def test_a_prefix_matches_whole_segments(path: PathMatch | None, matches: list[Json]) -> None:
    assert [found["match"] for found in built(route(path))] == matches


@pytest.mark.parametrize(
    ("replacement", "whole", "below"),
    [("/v2", "/v2", "/v2/"), ("/v2/", "/v2", "/v2/"), ("/", "/", "/"), ("", "/", "/")],
)
def test_a_replaced_prefix_keeps_one_slash(replacement: str, whole: str, below: str) -> None:
    """`/v1/x` becomes `/v2/x`, where Kuma 2.14.3 makes it `/v2x`."""
    rewrite = Rewrite(None, PathRewrite(prefix=replacement))
    first, second = built(route(prefix("/v1"), filters=(rewrite,)))
    assert first["route"]["regexRewrite"] == {"pattern": {"regex": ".*"}, "substitution": whole}
    assert "prefixRewrite" not in first["route"]
    assert second["route"]["prefixRewrite"] == below
    assert "regexRewrite" not in second["route"]


def test_a_rewrite_keeps_the_cluster() -> None:
    rewrite = Rewrite("other.example", PathRewrite(full="/all"))
    found = one(route(exact("/one"), filters=(rewrite,)))["route"]
    assert found == {
        "cluster": "backend",
        "timeout": "0s",
        "hostRewriteLiteral": "other.example",
        "regexRewrite": {"pattern": {"regex": ".*"}, "substitution": "/all"},
    }


def test_a_backslash_in_a_path_names_no_group() -> None:
    rewrite = Rewrite(None, PathRewrite(full="/a\\1"))
    found = one(route(exact("/one"), filters=(rewrite,)))["route"]
    assert found["regexRewrite"]["substitution"] == "/a\\\\1"


# --- other matches ---


def test_method_headers_and_query() -> None:
    match = RouteMatch(
        path=exact("/"),
        method="GET",
        headers=(
            ValueMatch(MatchKind.EXACT, "a", "1"),
            ValueMatch(MatchKind.PREFIX, "b", "2"),
            ValueMatch(MatchKind.REGEX, "c", "3.*"),
            ValueMatch(MatchKind.PRESENT, "d"),
            ValueMatch(MatchKind.ABSENT, "e"),
        ),
        query=(ValueMatch(MatchKind.EXACT, "f", "4"), ValueMatch(MatchKind.REGEX, "g", "5.*")),
    )
    assert one(route(match=match))["match"] == {
        "path": "/",
        "headers": [
            {"name": "a", "stringMatch": {"exact": "1"}},
            {"name": "b", "stringMatch": {"prefix": "2"}},
            {"name": "c", "stringMatch": {"safeRegex": {"regex": "3.*"}}},
            {"name": "d", "presentMatch": True},
            {"name": "e", "presentMatch": True, "invertMatch": True},
            {"name": ":method", "stringMatch": {"exact": "GET"}},
        ],
        "queryParameters": [
            {"name": "f", "stringMatch": {"exact": "4"}},
            {"name": "g", "stringMatch": {"safeRegex": {"regex": "5.*"}}},
        ],
    }


# --- actions ---


def test_traffic_is_split_by_weight() -> None:
    clusters = (WeightedCluster("v1", 9), WeightedCluster("v2", 1))
    assert one(route(clusters=clusters))["route"] == {
        "weightedClusters": {
            "clusters": [{"name": "v1", "weight": 9}, {"name": "v2", "weight": 1}]
        },
        "timeout": "0s",
    }


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (301, None),  # Envoy's default, which JSON leaves out
        (302, "FOUND"),
        (303, "SEE_OTHER"),
        (307, "TEMPORARY_REDIRECT"),
        (308, "PERMANENT_REDIRECT"),
    ],
)
def test_redirect_codes(status: int, code: str | None) -> None:
    redirect = Redirect(None, None, None, None, status)
    found = one(route(exact("/"), clusters=(), filters=(redirect,)))
    assert "route" not in found
    assert found["redirect"].get("responseCode") == code


def test_a_redirect_changes_what_it_names_and_keeps_the_rest() -> None:
    redirect = Redirect("https", "other.example", 8443, PathRewrite(prefix="/new"), 302)
    first, second = built(route(prefix("/old"), clusters=(), filters=(redirect,)))
    target = {
        "schemeRedirect": "https",
        "hostRedirect": "other.example",
        "portRedirect": 8443,
        "responseCode": "FOUND",
    }
    substitution = {"pattern": {"regex": ".*"}, "substitution": "/new"}
    assert first["redirect"] == {**target, "regexRewrite": substitution}
    assert second["redirect"] == {**target, "prefixRewrite": "/new/"}


def test_headers_are_set_added_and_removed_on_their_side() -> None:
    request = HeaderModifier(True, (("s", "1"),), (("a", "2"),), ("r",))
    response = HeaderModifier(False, (("t", "3"),))
    found = one(route(filters=(request, response)))
    assert [
        (o["header"], o.get("appendAction", "APPEND_IF_EXISTS_OR_ADD"))
        for o in found["requestHeadersToAdd"]
    ] == [
        ({"key": "s", "value": "1"}, "OVERWRITE_IF_EXISTS_OR_ADD"),
        ({"key": "a", "value": "2"}, "APPEND_IF_EXISTS_OR_ADD"),
    ]
    assert found["requestHeadersToRemove"] == ["r"]
    assert [o["header"]["key"] for o in found["responseHeadersToAdd"]] == ["t"]
    assert "responseHeadersToRemove" not in found


def test_a_mirror_gets_its_share() -> None:
    found = one(route(filters=(Mirror("shadow", "33.3"),)))["route"]
    assert found["requestMirrorPolicies"] == [
        {
            "cluster": "shadow",
            "runtimeFraction": {"defaultValue": {"numerator": 3330, "denominator": "TEN_THOUSAND"}},
        }
    ]


@pytest.mark.parametrize(
    ("percent", "numerator", "of"),
    [
        ("0", 0, 100),
        ("50", 50, 100),
        ("100", 100, 100),
        ("50.0", 50, 100),
        ("33.3", 3330, 10_000),
        ("0.01", 1, 10_000),
        ("0.0001", 1, 1_000_000),
        ("33.33333", 333333, 1_000_000),
    ],
)
def test_percentages(percent: str, numerator: int, of: int) -> None:
    found = fractional_percent(percent)
    assert (found.numerator, (100, 10_000, 1_000_000)[int(found.denominator)]) == (numerator, of)


def test_hooks_see_both_halves_of_a_prefix() -> None:
    found = built(route(prefix("/v1"), applied=(timeout(3), timeout(4))))
    assert [each["route"]["timeout"] for each in found] == ["4s", "4s"]


def test_a_route_to_nowhere_is_our_fault() -> None:
    with pytest.raises(AssertionError, match="nowhere"):
        envoy_routes(route(clusters=()))
