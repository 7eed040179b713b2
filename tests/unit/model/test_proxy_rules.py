"""A proxy's own document is checked whole before the zone takes it."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from reconciler.model.proxy_rules import PROBLEMS_MAX, check_proxy_resource
from reconciler.schema import schema_faults

SIDECAR: dict[str, Any] = {
    "type": "Dataplane",
    "mesh": "default",
    "name": "shop-1",
    "networking": {
        "address": "10.0.0.7",
        "admin": {"port": 9901},
        "inbound": [
            {
                "port": 18080,
                "servicePort": 8080,
                "serviceAddress": "127.0.0.1",
                "tags": {"kuma.io/service": "shop", "kuma.io/protocol": "http", "version": "v1"},
            }
        ],
        "outbound": [
            {"port": 10001, "tags": {"kuma.io/service": "stock"}},
            {"port": 10002, "backendRef": {"kind": "MeshService", "name": "stock", "port": 80}},
        ],
        "transparentProxying": {
            "redirectPortInbound": 15006,
            "redirectPortOutbound": 15001,
            "reachableBackends": {"refs": [{"kind": "MeshService", "labels": {"a": "b"}}]},
        },
        "listeners": [{"type": "ZoneIngress", "address": "10.0.0.7", "port": 10003}],
    },
    "probes": {
        "port": 9000,
        "endpoints": [{"inboundPort": 8080, "inboundPath": "/healthy", "path": "/8080/healthy"}],
    },
}
INGRESS: dict[str, Any] = {
    "type": "ZoneIngress",
    "name": "ingress-a",
    "networking": {
        "address": "10.0.0.4",
        "port": 10001,
        "advertisedAddress": "ingress.example.org",
        "advertisedPort": 10001,
    },
}
GATEWAY: dict[str, Any] = {
    "type": "Dataplane",
    "name": "gw",
    "networking": {"address": "::1", "gateway": {"tags": {"kuma.io/service": "edge"}}},
}


def changed(document: dict[str, Any], path: str, value: object) -> dict[str, Any]:
    """`a.0.b` set to the value; None takes the field away. A tag's name is all that follows."""
    result = copy.deepcopy(document)
    head, is_tag, tag = path.partition(".tags.")
    *parents, last = [*head.split("."), "tags", tag] if is_tag else head.split(".")
    inner: Any = result
    for part in parents:
        inner = inner[int(part)] if isinstance(inner, list) else inner.setdefault(part, {})
    if value is None:
        del inner[last]
    else:
        inner[last] = value
    return result


@pytest.mark.parametrize("document", [SIDECAR, INGRESS, GATEWAY])
def test_a_good_document_has_no_fault(document: dict[str, Any]) -> None:
    assert check_proxy_resource(document) == []
    assert schema_faults(document["type"], document) == (), "what editors say is what holds"


IN, OUT = "networking.inbound.0.", "networking.outbound.0."
REF = "networking.outbound.1.backendRef"


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        ("name", "Shop_1", "name: must be lower-case letters, digits, '-' and '.', such as web-1"),
        ("name", "a" * 254, "name: must be lower-case"),
        ("mesh", ["default"], "mesh: must be the name of a Mesh"),
        ("labels", ["a"], "labels: must be an object"),
        ("labels", {"a": 1}, 'labels["a"]: must be text'),
        ("networking", None, "networking: must be present"),
        ("networking", "here", "networking: must be an object"),
        ("networking.address", None, "networking.address: address can't be empty"),
        ("networking.address", "0.0.0.0", "networking.address: must be an address others can"),
        ("networking.address", "::", "networking.address: must be an address others can"),
        ("networking.address", "a b", "networking.address: must be an IP or a DNS name"),
        ("networking.advertisedAddress", "-x-", "networking.advertisedAddress: must be an IP or"),
        ("networking.admin.port", 70000, "networking.admin.port: must be a port"),
        ("networking.admin.port", 10001, "networking.admin.port: 127.0.0.1:10001 is an inbound or"),
        (IN + "port", None, "networking.inbound[0].port: must be a port"),
        (IN + "port", "80", "networking.inbound[0].port: must be a port"),
        (IN + "port", True, "networking.inbound[0].port: must be a port"),
        (IN + "servicePort", 65536, "networking.inbound[0].servicePort: must be a port"),
        (IN + "address", "host", "networking.inbound[0].address: must be an IP"),
        (IN + "serviceAddress", "10.0.0.7", None),
        (IN + "tags.kuma.io/protocol", "x", 'networking.inbound[0].tags["kuma.io/protocol"]: must'),
        (IN + "tags.a b", "x", 'networking.inbound[0].tags["a b"]: tag names have'),
        (IN + "tags.a", "", 'networking.inbound[0].tags["a"]: tag values have'),
        (IN + "tags", {"a": "b"}, 'networking.inbound[0].tags["kuma.io/service"]: tag has to'),
        (IN + "tags", {}, None),
        (IN + "protocol", "TLS", None),
        (IN + "protocol", "mysql", None),
        (IN + "protocol", "amqp", "networking.inbound[0].protocol: must be one of"),
        (IN + "state", "Up", "networking.inbound[0].state: must be Ready, NotReady or Ignored"),
        (IN + "serviceProbe", {"healthyThreshold": 0}, "networking.inbound[0].serviceProbe.health"),
        ("networking.inbound", [1], "networking.inbound[0]: must be an object"),
        ("networking.inbound", {}, "networking.inbound: must be a list"),
        ("networking.inbound", [{}] * 1001, "networking.inbound: has 1001 entries; at most 1000"),
        (OUT + "port", 0, "networking.outbound[0].port: must be a port"),
        (OUT + "address", "host", "networking.outbound[0].address: must be an IP"),
        (OUT + "tags", {}, 'networking.outbound[0].tags["kuma.io/service"]: tag has to exist, or'),
        (OUT + "backendRef", {"kind": "MeshService", "name": "a", "port": 1},
         "networking.outbound[0].tags: excludes backendRef"),
        (REF + ".kind", "Mesh", "networking.outbound[1].backendRef.kind: must be one of"),
        (REF + ".name", None, "networking.outbound[1].backendRef: needs a name or labels"),
        (REF + ".port", None, "networking.outbound[1].backendRef.port: must be a port"),
        (REF + ".labels", {"a": "b"}, "networking.outbound[1].backendRef.labels: excludes name"),
        (REF, {"kind": "MeshExternalService", "name": "a"}, None),
        ("networking.gateway", {"tags": {"kuma.io/service": "a"}}, "networking.inbound: a gateway"),
        ("networking.listeners", [{"type": "X", "port": 1}], "networking.listeners[0].type: must"),
        ("networking.listeners", [{"type": "ZoneIngress", "port": 18080, "address": "10.0.0.7"}],
         "networking.listeners[0].port: another listener or inbound is there"),
        ("networking.transparentProxying", {"reachableBackends": {"refs": [{"kind": "Mesh"}]}},
         "networking.transparentProxying.reachableBackends.refs[0].kind: must be one of"),
        ("probes", {"port": 9000, "endpoints": [
            {"inboundPort": 80, "inboundPath": "x", "path": "/y"}]},
         "probes.endpoints[0].inboundPath: must be a path that begins with /"),
    ],
)  # fmt: skip
def test_each_rule_of_a_sidecar(path: str, value: object, told: str | None) -> None:
    found = check_proxy_resource(changed(SIDECAR, path, value))
    if told is None:
        assert found == []
    else:
        assert [text for text in found if text.startswith(told)], found


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        ("networking.port", None, "networking.port: must be a port"),
        ("networking.advertisedPort", None, "networking: advertisedAddress and advertisedPort go"),
        ("networking.advertisedAddress", "a b", "networking.advertisedAddress: must be an IP or"),
        ("networking.advertisedPort", 70000, "networking.advertisedPort: must be a port"),
        ("networking.admin", {"port": 10001}, "networking.admin.port: is the listener's own port"),
    ],
)
def test_each_rule_of_a_zone_proxy(path: str, value: object, told: str) -> None:
    found = check_proxy_resource(changed(INGRESS, path, value))
    assert len(found) == 1
    assert found[0].startswith(told)


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        ("networking.gateway", {}, 'networking.gateway.tags["kuma.io/service"]: tag has to exist'),
        ("networking.gateway.tags.kuma.io/protocol", "http", "networking.gateway.tags"),
        ("networking.gateway.type", "OTHER", "networking.gateway.type: must be DELEGATED or"),
        ("networking.outbound", [{"port": 1, "tags": {"kuma.io/service": "a"}}], None),
    ],
)
def test_each_rule_of_a_gateway(path: str, value: object, told: str | None) -> None:
    found = check_proxy_resource(changed(GATEWAY, path, value))
    assert [text[: len(told)] for text in found] == [told] if told else found == []


def test_a_builtin_gateway_has_no_outbounds() -> None:
    document = changed(GATEWAY, "networking.gateway.type", "BUILTIN")
    document["networking"]["outbound"] = [{"port": 1, "tags": {"kuma.io/service": "a"}}]
    (problem,) = check_proxy_resource(document)
    assert problem.startswith("networking.outbound: a gateway has none")


def test_an_application_at_its_own_sidecar_is_refused() -> None:
    document = changed(SIDECAR, IN + "serviceAddress", "10.0.0.7")
    document["networking"]["inbound"][0]["servicePort"] = 18080
    (problem,) = check_proxy_resource(document)
    assert problem.startswith("networking.inbound[0].serviceAddress: with servicePort it is")


def test_a_hopeless_document_is_told_its_first_faults_only() -> None:
    document = changed(SIDECAR, "networking.inbound", [{"port": 0}] * 1000)
    assert len(check_proxy_resource(document)) == PROBLEMS_MAX
