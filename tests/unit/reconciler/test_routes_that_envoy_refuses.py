"""A route that Kuma takes and Envoy refuses would cost its listener every other: what of it Envoy
refuses is left out, and the repository's owner is told.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

import pytest

from reconciler.load import Blob, read_file
from reconciler.policies.mesh_http_route import BackendRef, decode
from reconciler.routes import planned_routes

if TYPE_CHECKING:
    from reconciler.policies.mesh_http_route import RouteRules

ALL = {"path": {"type": "PathPrefix", "value": "/"}}
SERVICE = (("kuma.io/service", "b"),)


def spec(*rules: dict[str, Any]) -> dict[str, Any]:
    target = {"kind": "MeshService", "name": "b"}
    return {"to": [{"targetRef": target, "rules": list(rules)}]}


def rule(*matches: dict[str, Any], filters: Any = (), backends: Any = ()) -> dict[str, Any]:
    return {
        "matches": list(matches) or [ALL],
        "default": {"filters": list(filters), "backendRefs": list(backends)},
    }


def read(*rules: dict[str, Any]) -> RouteRules:
    return cast("RouteRules", decode(spec(*rules)).to[0].conf)


def warnings(*rules: dict[str, Any]) -> list[str]:
    document = {"type": "MeshHTTPRoute", "mesh": "default", "name": "r", "spec": spec(*rules)}
    found = read_file("r.json", Blob("", json.dumps(document).encode()), strict=False).problems
    assert all(problem.severity == "warning" for problem in found), [str(p) for p in found]
    return [problem.code for problem in found]


BAD_MATCHES = [
    {"path": {"type": "RegularExpression", "value": "(a"}},
    {"headers": [{"type": "RegularExpression", "name": "a", "value": "(?=x)"}]},
    {"headers": [{"type": "Prefix", "name": "a"}]},
    {"queryParams": [{"type": "RegularExpression", "name": "a", "value": ""}]},
]


@pytest.mark.parametrize("match", BAD_MATCHES)
def test_a_match_that_envoy_refuses_is_left_out_and_told(match: dict[str, Any]) -> None:
    one, other = read(rule(match, ALL), rule(ALL, {"method": "GET"}))
    assert [m.path and m.path.value for m in one.matches] == ["/"]
    assert len(other.matches) == 2
    assert read(rule(match)) == ()
    assert warnings(rule(match))


@pytest.mark.parametrize(
    ("name", "value"), [("host", "a"), ("a", "100%"), ("a", "b\nc"), ("a", "b\x00")]
)
def test_a_header_that_envoy_refuses_is_left_out_and_told(name: str, value: str) -> None:
    change = {"set": [{"name": name, "value": value}, {"name": "x", "value": "%%"}]}
    given = rule(filters=[{"type": "RequestHeaderModifier", "requestHeaderModifier": change}])
    ((found,),) = (each.filters or () for each in read(given))
    assert found.set == (("x", "%%"),)  # type: ignore[union-attr]
    assert warnings(given) == ["MHR009"]


@pytest.mark.parametrize("name", ["", "Host", ":path", "a\r"])
def test_a_header_that_envoy_does_not_remove_is_left_out_and_told(name: str) -> None:
    change = {"remove": [name, "x"]}
    given = rule(filters=[{"type": "ResponseHeaderModifier", "responseHeaderModifier": change}])
    ((found,),) = (each.filters or () for each in read(given))
    assert found.remove == ("x",)  # type: ignore[union-attr]
    assert warnings(given) == ["MHR009"]


@pytest.mark.parametrize("percentage", [101, "-1", "much", ""])
def test_a_mirror_without_a_share_is_left_out_and_told(percentage: object) -> None:
    mirror = {"percentage": percentage, "backendRef": {"kind": "MeshService", "name": "s"}}
    given = rule(filters=[{"type": "RequestMirror", "requestMirror": mirror}])
    assert read(given)[0].filters == ()
    assert warnings(given) == ["MHR010"]


@pytest.mark.parametrize(
    "path",
    [
        {"type": "ReplaceFullPath"},
        {"type": "ReplaceFullPath", "replacePrefixMatch": "/x"},
        {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/x\n"},
    ],
)
def test_a_path_that_cannot_be_is_not_changed_and_told(path: dict[str, Any]) -> None:
    given = rule(filters=[{"type": "URLRewrite", "urlRewrite": {"hostname": "a", "path": path}}])
    ((found,),) = (each.filters or () for each in read(given))
    assert (found.hostname, found.path) == ("a", None)  # type: ignore[union-attr]
    assert warnings(given) == ["MHR011"]


def test_weights_that_envoy_cannot_add_up_keep_their_shares() -> None:
    most = 2**32 - 1
    refs = [{"kind": "MeshService", "name": n, "weight": w} for n, w in (("b", most), ("c", most))]
    given = rule(backends=refs)
    routes = planned_routes(read(given), SERVICE, lambda ref: (("kuma.io/service", ref.name),))
    shares = [split.weight for split in routes[0].splits]
    assert sum(shares) <= most
    assert shares[0] == shares[1] > most // 4
    assert warnings(given) == ["VAL003"]


def test_a_weight_in_decimals_is_that_weight() -> None:
    given = rule(backends=[{"kind": "MeshService", "name": "b", "weight": 2.0}])
    document = {"type": "MeshHTTPRoute", "mesh": "default", "name": "r", "spec": spec(given)}
    ((resource, _),) = read_file(
        "r", Blob("", json.dumps(document).encode()), strict=False
    ).resources
    (item,) = resource.spec.to  # type: ignore[union-attr]
    assert cast("RouteRules", item.conf)[0].backends == (BackendRef("MeshService", "b", weight=2),)
