"""What the default policies of a mesh do to proxies, and that a policy of the repository wins."""

from __future__ import annotations

from typing import Any

from reconciler.decode import mesh_resource
from reconciler.defaults import with_defaults
from reconciler.model.resource import Labels, MeshResource, ResourceKey
from reconciler.offline import proxies_of, rendered
from tests.support.mesh import a_mesh
from xds.readable import readable_snapshot


def document(name: str, **networking: Any) -> dict[str, Any]:
    inner = {"address": "10.0.0.1", "admin": {"port": 9901}, **networking}
    return {"type": "Dataplane", "mesh": "default", "name": name, "networking": inner}


def http(service: str) -> dict[str, str]:
    return {"kuma.io/service": service, "kuma.io/protocol": "http"}


OUTBOUND = [{"port": 10001, "tags": {"kuma.io/service": "backend"}}]
FILES = {
    "backend": document("backend", inbound=[{"port": 80, "tags": http("backend")}]),
    "web": document("web", inbound=[{"port": 81, "tags": http("web")}], outbound=OUTBOUND),
    "edge": document("edge", gateway={"tags": {"kuma.io/service": "edge"}}, outbound=OUTBOUND),
}


def configuration(name: str, *policies: MeshResource) -> Any:
    """Readable, by kind and name."""
    proxies = proxies_of(FILES, "east")
    key = ResourceKey("Dataplane", "default", name)
    found = rendered(with_defaults((a_mesh(), *policies)), proxies, (), key, "east")
    kinds: Any = readable_snapshot(found.snapshot)
    return {kind: {r.get("name"): r for r in kinds[kind]} for kind in kinds}


def deep(value: Any, key: str) -> set[str]:
    """Every value under the key, wherever it stands."""
    if isinstance(value, list):
        return {found for inner in value for found in deep(inner, key)}
    if not isinstance(value, dict):
        return set()
    own = {value[key]} if isinstance(value.get(key), str) else set()
    return own | {found for inner in value.values() for found in deep(inner, key)}


def route_timeouts(listener: Any) -> tuple[set[str], set[str]]:
    """For requests, and for streams that are idle."""
    routes = [
        route["route"]
        for chain in listener["filterChains"]
        for network in chain["filters"]
        for host in network["typedConfig"].get("routeConfig", {}).get("virtualHosts", ())
        for route in host["routes"]
    ]
    assert routes
    return {r.get("timeout", "-") for r in routes}, {r.get("idleTimeout", "-") for r in routes}


def test_a_sidecar_calls_with_the_defaults_of_to() -> None:
    found = configuration("web")
    cluster = found["clusters"]["backend"]
    assert cluster["connectTimeout"] == "5s"
    assert deep(cluster, "idleTimeout") == {"3600s"}
    assert route_timeouts(found["listeners"]["outbound:127.0.0.1:10001"]) == ({"15s"}, {"1800s"})


def test_a_sidecar_is_called_with_the_defaults_of_from() -> None:
    found = configuration("web")
    cluster = found["clusters"]["localhost:81"]
    assert cluster["connectTimeout"] == "10s"
    assert deep(cluster, "idleTimeout") == {"7200s"}
    assert route_timeouts(found["listeners"]["inbound:10.0.0.1:81"]) == ({"0s"}, {"3600s"})


def test_a_gateway_has_its_own() -> None:
    found = configuration("edge")
    assert route_timeouts(found["listeners"]["outbound:127.0.0.1:10001"])[1] == {"5s"}


def test_a_policy_whose_name_sorts_first_wins_in_what_it_says() -> None:
    item = {"targetRef": {"kind": "Mesh"}, "default": {"http": {"requestTimeout": "3s"}}}
    policy = mesh_resource(
        ResourceKey("MeshTimeout", "default", "a"),
        Labels(),
        {"targetRef": {"kind": "Mesh"}, "to": [item]},
    )
    found = configuration("web", policy)
    assert route_timeouts(found["listeners"]["outbound:127.0.0.1:10001"]) == ({"3s"}, {"1800s"})
    assert found["clusters"]["backend"]["connectTimeout"] == "5s"
