"""The Inspect API, old and new: questions to one set of resources, and whole answers.

`inspect/resources.yaml` holds the resources, each other file of the folder questions and answers.
There a resource stands as "Kind name" where the API shows its head. `make golden` rewrites what is
expected; look at the diff. The same resources were given to Kuma 2.14.3 and all answers compared
field by field: what differs stands in docs/reference/deviations.md.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from reconciler.decode import mesh_resource
from reconciler.model.kinds import KINDS
from reconciler.model.resource import Labels, MeshResource, ResourceKey
from reconciler.rest.answer import Asked, Refused
from reconciler.rest.catalogue import Catalogue
from reconciler.rest.endpoints import ENDPOINTS
from reconciler.state import from_resources
from tests.support.rest import ALICE

HERE = Path(__file__).parent / "inspect"
CASES = sorted(path for path in HERE.glob("*.yaml") if path.name != "resources.yaml")
HEAD = ("type", "mesh", "name", "labels")


def resource(document: dict[str, Any]) -> MeshResource:
    """As a zone holds it: what zones own is of zone east, all else came from the global."""
    kind = KINDS[document["type"]]
    key = ResourceKey(kind.name, document.get("mesh", ""), document["name"])
    labels = {"kuma.io/origin": "global", "kuma.io/display-name": key.name}
    if kind.zone_owned:
        labels |= {"kuma.io/origin": "zone", "kuma.io/zone": "east"}
    labels |= document.get("labels", {})
    if labels["kuma.io/origin"] == "zone":
        labels["kuma.io/zone"] = "east"
    data = {k: v for k, v in document.items() if k not in HEAD}
    return mesh_resource(key, Labels.of(labels), data if kind.legacy else document["spec"])


def catalogue_of(documents: list[dict[str, Any]], mode: str = "zone") -> Catalogue:
    held = from_resources(map(resource, documents))
    return Catalogue(
        mode=mode,
        zone="east" if mode == "zone" else "",
        version="1",
        revision="c1",
        layers=(held,),
        now=0.0,
    )


@cache
def shown() -> Catalogue:
    return catalogue_of(list(yaml.safe_load_all((HERE / "resources.yaml").read_text())))


def get(path: str, catalogue: Catalogue | None = None, *query: tuple[str, str]) -> Any:
    """What the API answers. Raises Refused."""
    segments = path.split("/")
    for endpoint in ENDPOINTS:
        pattern = endpoint.path.split("/")
        pairs = list(zip(pattern, segments, strict=False))
        if len(pattern) == len(segments) and all(p[:1] == "{" or p == s for p, s in pairs):
            places = {p[1:-1]: s for p, s in pairs if p[:1] == "{"}
            asked = Asked(path=path, route=endpoint.path, places=places, query=query, caller=ALICE)
            return json.loads(endpoint.answer(catalogue or shown(), asked).body)
    raise AssertionError(f"nothing answers {path}")


def short(value: Any) -> Any:
    """Heads of resources as one text."""
    if isinstance(value, list):
        return [short(each) for each in value]
    if not isinstance(value, dict):
        return value
    if {"type", "mesh", "name"} <= value.keys() and value.keys() & {"labels", "creationTime"}:
        return f"{value['type']} {value['name']}"
    if value.keys() == {"mesh", "name"}:
        return f"{value['mesh']}/{value['name']}"
    return {key: short(each) for key, each in value.items() if key != "hash"}


class _Plain(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_answers_are_those_of_the_file(case: Path, rewrite_golden: bool) -> None:
    paths = [document["get"] for document in yaml.safe_load_all(case.read_text())]
    found = [{"get": path, "answer": short(get(path))} for path in paths]
    text = yaml.dump_all(found, Dumper=_Plain, width=100, sort_keys=False)
    if rewrite_golden:
        case.write_text(text)
    assert list(yaml.safe_load_all(case.read_text())) == list(yaml.safe_load_all(text)), (
        "run `make golden` if the change is meant, and look at the diff"
    )


# --- the head of a resource ---


def test_a_policy_is_shown_with_labels_times_and_identifier_in_the_old_view() -> None:
    items = get("/meshes/tagged/dataplanes/web-1/policies")["items"]
    assert items[0]["matchedPolicies"]["MeshHealthCheck"] == [
        {
            "type": "MeshHealthCheck",
            "mesh": "tagged",
            "name": "hc",
            "creationTime": "0001-01-01T00:00:00Z",
            "modificationTime": "0001-01-01T00:00:00Z",
            "labels": {
                "kuma.io/display-name": "hc",
                "kuma.io/mesh": "tagged",
                "kuma.io/origin": "global",
            },
            "kri": "kri_mhc_tagged___hc_",
        }
    ]


def test_a_dataplane_is_shown_with_labels_mesh_name_and_type_in_the_new_view() -> None:
    found = get("/meshes/real/meshservices/web/_resources/dataplanes")
    labels = {"app": "web", "tier": "front", "kuma.io/mesh": "real", "kuma.io/zone": "east"}
    item = found["items"][0]
    assert labels.items() <= item["labels"].items()
    assert {k: v for k, v in item.items() if k != "labels"} == {
        "mesh": "real",
        "name": "web-1",
        "type": "Dataplane",
    }


# --- what is not there ---

POLICY_PATHS = sorted(
    e.path.removesuffix("/dataplanes").removeprefix("/meshes/{mesh}/")
    for e in ENDPOINTS
    if e.path.endswith("/dataplanes")
    and e.path.startswith("/meshes/{mesh}/")
    and "{name}" in e.path
)


@pytest.mark.parametrize("path", POLICY_PATHS)
def test_a_policy_that_does_not_exist_is_not_found(path: str) -> None:
    with pytest.raises(Refused) as refused:
        get(f"/meshes/tagged/{path.replace('{name}', 'nobody')}/dataplanes")
    assert refused.value.status == 404


@pytest.mark.parametrize("what", ["_layout", "_policies", "_rules", "policies", "rules"])
def test_the_layout_in_an_unknown_mesh_is_not_found(what: str) -> None:
    with pytest.raises(Refused) as refused:
        get(f"/meshes/nowhere/dataplanes/web-1/{what}")
    assert refused.value.status == 404
    assert "nowhere" in refused.value.detail


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("tagged/dataplanes/web-1/_layout", 400),  # services by tag have no such view
        ("tagged/dataplanes/web-1/_policies", 400),
        ("real/dataplanes/nobody/_policies", 404),
        ("real/dataplanes/web-1/_inbounds/8080/_policies", 400),
        ("real/dataplanes/web-1/_inbounds/kri_dp_real_east__web-1_other/_policies", 404),
        ("real/dataplanes/web-1/_outbounds/kri_what_real_east__backend_/_policies", 400),
        ("real/dataplanes/web-1/_outbounds/kri_msvc_real_east__x_/_routes/r/_policies", 400),
    ],
)
def test_what_cannot_be_shown_is_told(path: str, status: int) -> None:
    with pytest.raises(Refused) as refused:
        get(f"/meshes/{path}")
    assert refused.value.status == status


# --- where we differ ---


@pytest.mark.parametrize("policy", ["meshtimeouts/t-all", "timeouts/timeout-all"])
def test_both_spellings_of_a_policys_dataplanes_are_answered(policy: str) -> None:
    new = get(f"/meshes/tagged/{policy}/_resources/dataplanes")
    assert new == get(f"/meshes/tagged/{policy}/-resources/dataplanes")
    assert new["total"] == 3


def test_rules_by_tags_are_disjoint() -> None:
    """A caller, or a request, is in one rule alone: what is shown is what holds."""
    rules = get("/meshes/tagged/dataplanes/web-1/_rules")["rules"]
    by_kind = {rule["type"]: rule for rule in rules}
    callers = by_kind["MeshTrafficPermission"]["fromRules"][0]["rules"]
    requests = by_kind["MeshTimeout"]["toRules"]
    for found, count in ((callers, 4), (requests, 6)):
        assert len(found) == count
        for one in found:
            others = [other for other in found if other is not one]
            assert all(_apart(one["matchers"], other["matchers"]) for other in others)


def _apart(one: list[dict[str, Any]], other: list[dict[str, Any]]) -> bool:
    """Whether nobody is in both: one asks for what the other excludes."""
    return any(
        a["key"] == b["key"] and (a["value"] == b["value"]) == (a["not"] != b["not"])
        for a in one
        for b in other
        if not (a["not"] and b["not"])
    )


def test_a_gateways_route_shows_all_its_destinations() -> None:
    listeners = get("/meshes/gated/dataplanes/edge-1/policies")["listeners"]
    routes = [r for x in listeners for host in x["hosts"] for r in host["routes"]]
    found = {r["route"]: [d["tags"]["kuma.io/service"] for d in r["destinations"]] for r in routes}
    assert found == {"named": ["backend"], "to-backend": ["backend", "other"], "raw": ["db"]}


def test_a_policy_for_some_listeners_is_stronger_in_both_views() -> None:
    rules = get("/meshes/gated/meshgateways/edge/_rules")["rules"]
    rule = next(rule for rule in rules if rule["type"] == "MeshTimeout")
    (mesh,) = rule["toResourceRules"]
    assert mesh["conf"] == [{"idleTimeout": "2h"}]
    assert {subset["conf"]["idleTimeout"] for subset in rule["toRules"]} == {"2h"}


def test_a_tcp_route_names_its_policy() -> None:
    outbound = "kri_msvc_real_east__backend_main"
    routes = get(f"/meshes/real/dataplanes/web-1/_outbounds/{outbound}/_routes")["routes"]
    (rule,) = routes[1]["rules"]
    assert (rule["kri"], rule["matches"]) == ("kri_mtcpr_real___tcp_", [])


# --- pages, filters ---


def test_dataplanes_of_a_policy_come_in_pages_and_by_name() -> None:
    path = "/meshes/real/meshtimeouts/t-all/_resources/dataplanes"
    first = get(path, None, ("size", "2"))
    assert [item["name"] for item in first["items"]] == ["backend-1", "backend-2"]
    assert (first["total"], first["next"]) == (5, f"{path}?offset=2&size=2")
    last = get(path, None, ("size", "2"), ("offset", "4"))
    assert [item["name"] for item in last["items"]] == ["web-1"]
    assert "next" not in last  # Kuma's clients take an absent one for the end.
    named = get(path, None, ("name", "backend"), ("filter[labels.app]", "backend"))
    assert named["total"] == 2


# --- policies that say what nobody can follow ---

ALONE: list[dict[str, Any]] = [
    {"type": "Mesh", "name": "m"},
    {
        "type": "Dataplane",
        "mesh": "m",
        "name": "d",
        "networking": {
            "address": "10.0.0.1",
            "inbound": [{"port": 80, "tags": {"kuma.io/service": "d"}}],
        },
    },
]


def check(name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"type": "MeshHealthCheck", "mesh": "m", "name": name, "spec": spec}


TO_ALL = {"to": [{"targetRef": {"kind": "Mesh"}, "default": {"tcp": {}}}]}


@pytest.mark.parametrize(
    "spec",
    [
        {"targetRef": {"kind": "MeshHTTPRoute", "name": "gone"}, **TO_ALL},
        {"targetRef": {"kind": "gone"}, **TO_ALL},
        {"to": [{"targetRef": {"kind": "gone"}}]},
        {"targetRef": {"kind": "MeshSubset", "tags": "gone"}, **TO_ALL},
    ],
)
def test_a_policy_that_cannot_be_followed_is_told_beside_those_that_can(
    spec: dict[str, Any],
) -> None:
    held = catalogue_of([*ALONE, check("lost", spec), check("here", TO_ALL)])
    (rule,) = get("/meshes/m/dataplanes/d/_rules", held)["rules"]
    assert len(rule["toResourceRules"]) == 1
    (warning,) = rule["warnings"]
    assert "lost" in warning
    assert get("/meshes/m/meshhealthchecks/lost/_resources/dataplanes", held)["total"] == 0


def test_a_shadow_policy_is_not_in_force_but_tells_whom_it_is_for() -> None:
    assert get("/meshes/tagged/meshtimeouts/t-shadow/dataplanes")["total"] == 0
    assert get("/meshes/tagged/meshtimeouts/t-shadow/_resources/dataplanes")["total"] == 3


def test_the_same_is_answered_at_a_global() -> None:
    documents = list(yaml.safe_load_all((HERE / "resources.yaml").read_text()))
    held = catalogue_of(documents, "global")
    for path in ("_rules", "policies", "rules", "_policies"):
        at = f"/meshes/real/dataplanes/web-1/{path}"
        assert get(at, held) == get(at)
