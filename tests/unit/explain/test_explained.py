"""Which places are named for a value, with their files and lines."""

from __future__ import annotations

import json
from typing import Any

import pytest

from reconciler.defaults import with_defaults
from reconciler.explain.asked import Asked, configuration, explanation
from reconciler.explain.explained import explain
from reconciler.explain.positions import Positions
from reconciler.explain.world import world
from reconciler.load import Blob, Loaded, LoadMemo, load
from reconciler.model.resource import ResourceKey
from reconciler.offline import Offline, proxies_of

MESH = """type: Mesh
name: default
mtls: {enabledBackend: ca, backends: [{name: ca, type: builtin}]}
"""
WEAK = """type: MeshTimeout
mesh: default
name: b-weak
spec:
  to:
    - targetRef: {kind: Mesh}
      default:
        connectionTimeout: 7s
        http: {requestTimeout: 8s}
"""
STRONG = """apiVersion: kuma.io/v1alpha1
kind: MeshTimeout
metadata: {name: a-strong, labels: {kuma.io/mesh: default}}
spec:
  to:
    - targetRef: {kind: Mesh}
      default: {connectionTimeout: 7s}
    - targetRef: {kind: MeshService, name: backend}
      default: {connectionTimeout: 2s}
"""
SPLIT = """type: MeshHTTPRoute
mesh: default
name: split
spec:
  targetRef: {kind: Mesh}
  to:
    - targetRef: {kind: MeshService, name: backend}
      rules:
        - matches: [{path: {type: Exact, value: /new}}]
          default:
            backendRefs:
              - {kind: MeshServiceSubset, name: backend, tags: {version: v2}, weight: 90}
              - {kind: MeshService, name: backend, weight: 10}
"""
PERMISSIONS = """type: MeshTrafficPermission
mesh: default
name: allow
spec:
  from: [{targetRef: {kind: MeshService, name: backend}, default: {action: Allow}}]
---
type: MeshTrafficPermission
mesh: default
name: deny
spec:
  from: [{targetRef: {kind: MeshService, name: backend}, default: {action: Deny}}]
"""
FILES = {
    "mesh.yaml": MESH,
    "weak.yaml": WEAK,
    "strong.yaml": STRONG,
    "split.yaml": SPLIT,
    "who.yaml": PERMISSIONS,
}
WEB = {
    "type": "Dataplane",
    "mesh": "default",
    "name": "web",
    "networking": {
        "address": "10.0.0.1",
        "inbound": [{"port": 80, "tags": {"kuma.io/service": "web", "kuma.io/protocol": "http"}}],
        "outbound": [{"port": 81, "tags": {"kuma.io/service": "backend"}}],
    },
}
BACKEND = {
    "type": "Dataplane",
    "mesh": "default",
    "name": "backend",
    "networking": {
        "address": "10.0.0.2",
        "inbound": [
            {"port": 80, "tags": {"kuma.io/service": "backend", "kuma.io/protocol": "http"}}
        ],
    },
}
INGRESS = {
    "type": "ZoneIngress",
    "name": "in",
    "networking": {"address": "10.0.0.9", "port": 10001},
}
KEY = ResourceKey("Dataplane", "default", "web")
DEFAULT = ("a default of the mesh", "MeshTimeout default/mesh-timeout-all-default")


def asked(
    files: dict[str, str] = FILES, *, enforced: bool = False, key: ResourceKey = KEY
) -> Asked:
    loaded: Loaded = load({n: Blob("", t.encode()) for n, t in files.items()}, LoadMemo())
    assert [p for p in loaded.problems if p.severity == "error"] == []
    documents: dict[str, Any] = {"backend.yaml": BACKEND, "in.yaml": INGRESS, "web.yaml": WEB}
    proxies = proxies_of(documents, "east")
    texts = {name: json.dumps(d, indent=1).encode() for name, d in documents.items()}
    positions = Positions(
        loaded.provenance,
        {name: text.encode() for name, text in files.items()},
        {p.key: (n, texts[n]) for n, p in zip(sorted(documents), proxies, strict=True)},
    )
    resources = (*with_defaults(loaded.resources), *proxies)
    return Asked(key, "east", resources, positions, enforced)


@pytest.fixture(scope="module")
def told() -> list[dict[str, Any]]:
    values: list[dict[str, Any]] = json.loads(explanation(asked(), "", as_json=True))["values"]
    return values


def value(told: list[dict[str, Any]], resource: str, end: str) -> dict[str, Any]:
    (found,) = (v for v in told if v["resource"] == resource and v["path"].endswith(end))
    return found


def places(told: dict[str, Any], word: str) -> list[tuple[str, str]]:
    return [(place["at"], place["resource"]) for place in told.get(word, ())]


def test_a_value_comes_from_the_line_of_its_field_over_those_that_lost(
    told: list[dict[str, Any]],
) -> None:
    """The same value of a weaker item is a loser, too, and in the same policy."""
    found = value(told, "Cluster backend", "connectTimeout")
    assert (found["value"], found["how"]) == ("2s", "value")
    assert places(found, "from") == [("strong.yaml:9:36", "MeshTimeout default/a-strong")]
    assert found["from"][0]["field"] == "spec.to[1].default.connectionTimeout"
    assert places(found, "over") == [
        ("strong.yaml:7:36", "MeshTimeout default/a-strong"),
        ("weak.yaml:8:28", "MeshTimeout default/b-weak"),
        DEFAULT,
    ]


def test_what_only_the_weak_one_says_is_the_weak_ones(told: list[dict[str, Any]]) -> None:
    found = value(told, "Listener outbound:127.0.0.1:81", "virtualHosts[0].routes[0].route.timeout")
    assert found["value"] == "8s"
    assert places(found, "from") == [("weak.yaml:9:32", "MeshTimeout default/b-weak")]
    assert places(found, "over") == [DEFAULT]


def test_what_a_default_of_the_mesh_says_is_named_as_such(told: list[dict[str, Any]]) -> None:
    found = value(told, "Cluster localhost:80", "connectTimeout")
    assert (found["value"], places(found, "from")) == ("10s", [DEFAULT])


def test_what_is_built_in_says_for_which_kind(told: list[dict[str, Any]]) -> None:
    found = value(told, "Listener outbound:127.0.0.1:81", "requestHeadersTimeout")
    assert (found["how"], found["defaultOf"]) == ("default", "MeshTimeout")
    found = value(told, "Cluster backend", "edsClusterConfig.edsConfig.resourceApiVersion")
    assert "defaultOf" not in found


def test_what_is_built_in_because_of_an_item_names_it(told: list[dict[str, Any]]) -> None:
    """Without it, the value is another and stands as long."""
    idle = "typedConfig.commonHttpProtocolOptions.idleTimeout"
    found = value(told, "Listener inbound:10.0.0.1:80", idle)
    assert (found["value"], found["how"], found["defaultOf"]) == ("0s", "default", "MeshTimeout")
    assert places(found, "from") == [DEFAULT]


def test_a_value_made_of_two_fields_comes_from_both(told: list[dict[str, Any]]) -> None:
    name = "routes[0].route.weightedClusters.clusters[0].name"
    found = value(told, "Listener outbound:127.0.0.1:81", name)
    assert [place for place, _ in places(found, "from")] == ["split.yaml:12:49", "split.yaml:12:74"]


def test_a_cluster_is_there_by_the_backend_that_names_it(told: list[dict[str, Any]]) -> None:
    (found,) = (
        v for v in told if v["resource"].startswith("Cluster backend-") and v["path"] == "type"
    )
    assert found["how"] == "presence"
    assert places(found, "from") == [("split.yaml:12:17", "MeshHTTPRoute default/split")]


def test_weights_and_matches_come_from_their_fields(told: list[dict[str, Any]]) -> None:
    listener = "Listener outbound:127.0.0.1:81"
    found = value(told, listener, "routes[0].route.weightedClusters.clusters[0].weight")
    assert (found["value"], places(found, "from")[0][0]) == (90, "split.yaml:12:87")
    found = value(told, listener, "routes[0].match.path")
    assert (found["value"], places(found, "from")[0][0]) == ("/new", "split.yaml:9:49")


def test_the_route_for_the_rest_is_not_there_by_the_match_of_another(
    told: list[dict[str, Any]],
) -> None:
    """Without the match that other would be the one for everything; without the policy it stays."""
    found = value(told, "Listener outbound:127.0.0.1:81", "routes[1].route.cluster")
    assert found["value"] == "backend"
    assert "MeshHTTPRoute default/split" not in [name for _, name in places(found, "from")]


def test_a_caller_comes_from_the_name_over_who_denied_it(told: list[dict[str, Any]]) -> None:
    found = value(told, "Listener inbound:10.0.0.1:80", "principalName.exact")
    assert found["value"] == "spiffe://default/backend"
    assert places(found, "from") == [("who.yaml:5:48", "MeshTrafficPermission default/allow")]
    assert places(found, "over") == [("who.yaml:11:76", "MeshTrafficPermission default/deny")]


def test_the_mesh_and_proxies_are_named_for_what_is_theirs(told: list[dict[str, Any]]) -> None:
    secret = "commonTlsContext.tlsCertificateSdsSecretConfigs[0].name"
    found = value(told, "Cluster backend", secret)
    assert ("mesh.yaml:3:24", "Mesh default") in places(found, "from")
    found = value(told, "Listener outbound:127.0.0.1:81", "socketAddress.portValue")
    assert [place["field"] for place in found["from"]] == ["networking.outbound[0].port"]
    (endpoint,) = (
        v
        for v in told
        if v["resource"] == "ClusterLoadAssignment backend" and v["value"] == "10.0.0.2"
    )
    assert "Dataplane default/backend" in [name for _, name in places(endpoint, "from")]


def test_policies_without_effect_are_listed() -> None:
    data = json.loads(explanation(asked(), "", as_json=True))
    listed = [(each["at"], each["resource"]) for each in data["withoutEffect"]]
    assert listed == [("who.yaml:7:1", "MeshTrafficPermission default/deny")]


def test_text_names_place_policy_and_field_and_counts_the_rest() -> None:
    text = explanation(asked(), "", as_json=False)
    assert (
        '  connectTimeout: "2s"\n'
        "    <- strong.yaml:9:36  MeshTimeout default/a-strong  "
        "spec.to[1].default.connectionTimeout\n"
        "    over strong.yaml:7:36  " in text
    )
    assert "more values come from the mesh" in text


@pytest.mark.parametrize(
    ("only", "count"), [("cluster BACKEND connect", 1), ("inbound*timeout", 5), ("no such", 0)]
)
def test_only_what_matches_is_told(only: str, count: int) -> None:
    data = json.loads(explanation(asked(), only, as_json=True))
    assert len(data["values"]) == count
    text = explanation(asked(), only, as_json=False)
    assert text.count(": ") - text.count(", kind") >= count


# --- shadow ---

SHADOW = WEAK.replace("b-weak", "a-try\nlabels: {kuma.io/effect: shadow}").replace("7s", "1s")
NOBODY = "spec:\n  targetRef: {kind: Dataplane, name: x}"
ELSEWHERE = SHADOW.replace("a-try", "b-try").replace("spec:", NOBODY)
WITH = {**FILES, "try.yaml": SHADOW, "else.yaml": ELSEWHERE}


def test_a_shadow_policy_is_told_and_not_enforced() -> None:
    plain, found = json.loads(configuration(asked())), json.loads(configuration(asked(WITH)))
    listed = [{"resource": "MeshTimeout default/a-try", "at": "try.yaml:1:1"}]
    assert found.pop("shadow") == {"enforced": False, "policies": listed}
    assert found == plain
    text = explanation(asked(WITH), "connectTimeout", as_json=False)
    assert "try.yaml:1:1  MeshTimeout default/a-try" in text
    assert "not enforced" in text


def test_asked_for_it_is_enforced_and_what_it_changes_is_told() -> None:
    found = json.loads(configuration(asked(WITH, enforced=True)))
    told = {(c["resource"], c["path"]): (c["now"], c["then"]) for c in found["shadow"]["changes"]}
    clusters = {c["name"]: c["connectTimeout"] for c in found["clusters"]}
    assert clusters["backend"] == "2s"  # Another names the service.
    assert {key[1].rpartition(".")[2] for key in told} <= {"timeout"} or told == {}
    text = explanation(asked(WITH, enforced=True), "connectTimeout", as_json=False)
    assert "with these shadow policies in force:" in text


def test_an_ingress_is_explained_by_the_routes_that_open_ways() -> None:
    """Of a service that it offers."""
    key = ResourceKey("ZoneIngress", "", "in")
    found = json.loads(explanation(asked(key=key), "", as_json=True))["values"]
    chains = [v for v in found if v["value"] == "backend{mesh=default,version=v2}"]
    assert [places(v, "from")[0][0] for v in chains] == ["split.yaml:12:74"] * len(chains)
    assert chains


def test_the_work_grows_with_what_policies_say() -> None:
    """Fifty policies for one proxy are explained in some hundreds of computations."""
    many = {
        f"t{n}.yaml": WEAK.replace("b-weak", f"t{n}").replace("7s", f"{n + 1}s") for n in range(48)
    }
    wanted = asked({"mesh.yaml": MESH, **many})
    found = world(Offline(KEY, "east"), wanted.resources)
    assert len(found.policies) >= 48
    assert explain(found).computed < 8 * len(found.policies)
