"""Default policies: Kuma's, computed, and less than what the repository says."""

from __future__ import annotations

import json
from typing import Any

import pytest

from reconciler.decode import mesh_resource
from reconciler.defaults import overridden, strong_defaults, with_defaults, with_warnings
from reconciler.kds.names import wire_name
from reconciler.load import Blob, LoadMemo, load
from reconciler.model.resource import Labels, MeshResource, ResourceKey
from reconciler.problems import Position, Severity

RETRIES = {
    "numRetries": 5,
    "perTryTimeout": "16s",
    "backOff": {"baseInterval": "25ms", "maxInterval": "250ms"},
}
# As Kuma 2.14.3 makes them; durations are Go's.
POLICIES: dict[str, tuple[str, dict[str, Any]]] = {
    "mesh-timeout-all-m": (
        "MeshTimeout",
        {
            "targetRef": {"kind": "Mesh", "proxyTypes": ["Sidecar"]},
            "from": [
                {
                    "targetRef": {"kind": "Mesh"},
                    "default": {
                        "connectionTimeout": "10s",
                        "idleTimeout": "2h0m0s",
                        "http": {
                            "requestTimeout": "0s",
                            "streamIdleTimeout": "1h0m0s",
                            "maxStreamDuration": "0s",
                        },
                    },
                }
            ],
            "to": [
                {
                    "targetRef": {"kind": "Mesh"},
                    "default": {
                        "connectionTimeout": "5s",
                        "idleTimeout": "1h0m0s",
                        "http": {"requestTimeout": "15s", "streamIdleTimeout": "30m0s"},
                    },
                }
            ],
        },
    ),
    "mesh-gateways-timeout-all-m": (
        "MeshTimeout",
        {
            "targetRef": {"kind": "Mesh", "proxyTypes": ["Gateway"]},
            "from": [
                {
                    "targetRef": {"kind": "Mesh"},
                    "default": {
                        "idleTimeout": "5m0s",
                        "http": {"streamIdleTimeout": "5s", "requestHeadersTimeout": "500ms"},
                    },
                }
            ],
            "to": [
                {
                    "targetRef": {"kind": "Mesh"},
                    "default": {"idleTimeout": "1h0m0s", "http": {"streamIdleTimeout": "5s"}},
                }
            ],
        },
    ),
    "mesh-circuit-breaker-all-m": (
        "MeshCircuitBreaker",
        {
            "targetRef": {"kind": "Mesh"},
            "to": [
                {
                    "targetRef": {"kind": "Mesh"},
                    "default": {
                        "connectionLimits": {
                            "maxConnections": 1024,
                            "maxPendingRequests": 1024,
                            "maxRequests": 1024,
                            "maxRetries": 3,
                        }
                    },
                }
            ],
        },
    ),
    "mesh-retry-all-m": (
        "MeshRetry",
        {
            "targetRef": {"kind": "Mesh"},
            "to": [
                {
                    "targetRef": {"kind": "Mesh"},
                    "default": {
                        "tcp": {"maxConnectAttempt": 5},
                        "http": RETRIES,
                        "grpc": RETRIES,
                    },
                }
            ],
        },
    ),
}
GENERATORS = {
    "synced-headless-kube-mesh-service",
    "synced-kube-mesh-service",
    "synced-mesh-external-service",
    "synced-mesh-multi-zone-service",
    "synced-universal-mesh-service",
}


def mesh(*skipped: str, name: str = "m") -> MeshResource:
    data = {"skipCreatingInitialPolicies": list(skipped)} if skipped else {}
    return mesh_resource(ResourceKey("Mesh", "", name), Labels(), data)


def made(*written: MeshResource, type_: str = "") -> dict[str, MeshResource]:
    """The policies that were added, by name; of one type if named."""
    found = [r for r in with_defaults(written) if r not in written and r.key.mesh]
    return {r.key.name: r for r in found if type_ in ("", r.key.type)}


@pytest.mark.parametrize("name", POLICIES)
def test_a_default_is_kumas(name: str) -> None:
    type_, spec = POLICIES[name]
    found = made(mesh())[name]
    assert found.key == ResourceKey(type_, "m", name)
    assert json.loads(found.body) == spec


def test_there_are_four_a_mesh() -> None:
    assert made(mesh()).keys() == POLICIES.keys()
    assert len(made(mesh(), mesh(name="n"))) == 8
    assert made() == {}


def test_host_names_of_what_zones_sync_are_there_without_any_mesh() -> None:
    found = {r.key.name: json.loads(r.body) for r in with_defaults(())}
    assert found.keys() == GENERATORS
    assert found["synced-headless-kube-mesh-service"] == {
        "selector": {
            "meshService": {
                "matchLabels": {
                    "kuma.io/origin": "global",
                    "kuma.io/env": "kubernetes",
                    "k8s.kuma.io/is-headless-service": "true",
                }
            }
        },
        "template": '{{ label "statefulset.kubernetes.io/pod-name" }}.'
        '{{ label "k8s.kuma.io/service-name" }}.{{ .Namespace }}.svc.{{ .Zone }}.mesh.local',
    }


def test_a_zone_knows_a_generator_by_kumas_own_wire_name() -> None:
    """One of the sheet's vectors (kds-wire 4.1)."""
    name = "synced-universal-mesh-service"
    assert wire_name("HostnameGenerator", "", name, Labels()) == f"{name}-46484vczc724vc29"


def test_a_mesh_names_what_not_to_have() -> None:
    assert made(mesh("*")) == {}
    assert made(mesh("MeshTimeout", "MeshRetry")).keys() == {"mesh-circuit-breaker-all-m"}
    assert made(mesh("MeshTrace")).keys() == POLICIES.keys()


def test_what_is_written_under_the_name_takes_its_place() -> None:
    key = ResourceKey("MeshTimeout", "m", "mesh-timeout-all-m")
    written = mesh_resource(key, Labels(), {"targetRef": {"kind": "Mesh"}})
    assert made(mesh(), written, type_="MeshTimeout").keys() == {"mesh-gateways-timeout-all-m"}
    other_mesh = mesh_resource(ResourceKey(key.type, "n", key.name), Labels(), {})
    assert key.name in made(mesh(), other_mesh)


def test_what_a_kuma_on_kubernetes_had_under_the_name_takes_its_place() -> None:
    """Its name has the namespace; two of one display name would be one to a zone."""
    key = ResourceKey("MeshTimeout", "m", "mesh-timeout-all-m.kuma-system")
    labels = Labels.of({"kuma.io/display-name": "mesh-timeout-all-m"})
    written = mesh_resource(key, labels, {"targetRef": {"kind": "Mesh"}})
    assert made(mesh(), written, type_="MeshTimeout").keys() == {"mesh-gateways-timeout-all-m"}


# --- policies that lose against a default ---


def warnings(*documents: str) -> list[str]:
    text = "\n---\n".join(("type: Mesh\nname: m", *documents))
    found = with_warnings(load({"p.yaml": Blob("", text.encode())}, LoadMemo()))
    assert all(p.severity is Severity.WARNING for p in found.problems), found.problems
    return [str(p) for p in found.problems if p.code == "DOC014"]


def policy(name: str, default: str, *, top: str = "{kind: Mesh}", section: str = "to") -> str:
    item = f"targetRef: {{kind: Mesh}}, default: {default}"
    head = f"type: MeshTimeout\nmesh: m\nname: {name}\nspec:\n  targetRef: {top}\n"
    return f"{head}  {section}: [{{{item}}}]"


SLOW = "{connectionTimeout: 6s, idleTimeout: 1h, http: {requestTimeout: 20s}}"


def test_a_policy_that_loses_by_its_name_is_told() -> None:
    (found,) = warnings(policy("slow", SLOW))
    assert found.startswith("p.yaml:4:1: DOC014")
    assert "connectionTimeout, http.requestTimeout: the default policy mesh-timeout-all-m" in found
    assert "idleTimeout," not in found, "both say an hour"


@pytest.mark.parametrize(
    "document",
    [
        policy("a-name-before", SLOW),
        policy("slow", SLOW, top="{kind: Dataplane}"),
        policy("slow", SLOW, top="{kind: MeshSubset, tags: {a: b}}"),
        policy("slow", "{connectionTimeout: 5s}"),
        policy("slow", "{http: {maxConnectionDuration: 5s}}"),
        policy("slow", "{http: {maxStreamDuration: 5s}}"),
    ],
)
def test_a_policy_that_wins_or_agrees_is_not(document: str) -> None:
    assert warnings(document) == []


def test_an_item_for_one_service_wins_where_services_are_resources() -> None:
    """By tags it does not: there the order of the policies is all."""
    item = "{targetRef: {kind: MeshService, name: s}, default: {connectionTimeout: 6s}}"
    document = f"type: MeshTimeout\nmesh: m\nname: slow\nspec: {{to: [{item}]}}"
    assert len(warnings(document)) == 1
    text = f"type: Mesh\nname: m\nmeshServices: {{mode: Exclusive}}\n---\n{document}"
    loaded = load({"p.yaml": Blob("", text.encode())}, LoadMemo())
    assert with_warnings(loaded).problems == ()


def test_inbounds_and_gateways_have_their_own_defaults() -> None:
    gateways = "{kind: Mesh, proxyTypes: [Gateway]}"
    (found,) = warnings(policy("slow", SLOW, top=gateways, section="from"))
    assert "idleTimeout: the default policy mesh-gateways-timeout-all-m" in found


def test_a_mesh_without_the_default_has_no_such_warning() -> None:
    skipping = "type: Mesh\nname: m\nskipCreatingInitialPolicies: [MeshTimeout]"
    text = f"{skipping}\n---\n{policy('slow', SLOW)}"
    loaded = load({"p.yaml": Blob("", text.encode())}, LoadMemo())
    assert with_warnings(loaded).problems == ()


@pytest.mark.parametrize("spec", [{"targetRef": "x", "to": 1}, {"to": [1, {"default": 2}]}, {}])
def test_a_body_of_no_known_shape_is_no_fault(spec: dict[str, Any]) -> None:
    """A type whose fields have no schema may have anything in it."""
    key = ResourceKey("MeshRetry", "m", "z")
    policy = mesh_resource(key, Labels(), spec)
    written = (mesh(), policy)
    found = overridden(written, {key: Position("p.yaml")}, strong_defaults(written))
    assert list(found) == []
