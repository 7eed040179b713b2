"""The first build of a process, done before it matters. Pure.

When a type of Envoy's messages is first met, its defaults are collected and the encoder compiles a
plan for it. A zone does this before it listens, so that no proxy waits for it.
"""

from __future__ import annotations

from typing import Any

from reconciler.decode import mesh_resource
from reconciler.model.resource import Labels, MeshResource, ResourceKey
from reconciler.offline import proxies_of, rendered
from xds.build.listeners import build_listener
from xds.names import ADMIN_CLUSTER, ADMIN_LISTENER, READINESS_CLUSTER
from xds.view import AdminListener, AdminTls

MESH, ZONE = "warm-up", "here"
BUILTIN = {"enabledBackend": "ca", "backends": [{"name": "ca", "type": "builtin"}]}
EVERYTHING = {"kind": "Mesh"}
HTTP = {"kind": "MeshService", "name": "http"}


def warm_up() -> None:
    """Builds a sidecar and an ingress with every policy, and forgets them."""
    proxies = proxies_of({"app": _sidecar(), "ingress": _ingress(ZONE)}, ZONE)
    relayed = (_resource("ZoneIngress", "", "far", {**_ingress("there"), **_offer()}),)
    for proxy in proxies:
        rendered(_policies(), proxies, relayed, proxy.key, ZONE)
    build_listener(_admin())


def _admin() -> AdminListener:
    tls = AdminTls(b"", b"", b"", "here")
    return AdminListener(ADMIN_LISTENER, "127.0.0.1", 3000, READINESS_CLUSTER, ADMIN_CLUSTER, tls)


def _policies() -> tuple[MeshResource, ...]:
    routes = [
        {
            "matches": [{"path": {"type": "PathPrefix", "value": "/a"}, "method": "GET"}],
            "default": {
                "filters": [
                    {
                        "type": "ResponseHeaderModifier",
                        "responseHeaderModifier": {"set": [{"name": "x", "value": "y"}]},
                    }
                ],
                "backendRefs": [{"kind": "MeshService", "name": "http", "weight": 1}],
            },
        }
    ]
    timeouts = {
        "connectionTimeout": "1s",
        "idleTimeout": "1s",
        "http": {"requestTimeout": "1s", "streamIdleTimeout": "1s"},
    }
    span = {"baseInterval": "1s", "maxInterval": "1s"}
    retries = {"numRetries": 1, "backOff": span, "retryOn": ["Unavailable"]}
    web = {
        **retries,
        "retryOn": ["5xx", "503", "HttpMethodGet"],
        "hostSelection": [{"predicate": "OmitPreviousHosts"}],
    }
    detectors = {"totalFailures": {"consecutive": 1}}
    breaker = {"connectionLimits": {"maxRetries": 1}, "outlierDetection": {"detectors": detectors}}
    again = {"tcp": {"maxConnectAttempt": 1}, "http": web, "grpc": retries}
    from_all = [{"targetRef": EVERYTHING, "default": {"action": "Allow"}}]
    return (
        _resource("Mesh", "", MESH, {"mtls": BUILTIN}),
        _policy("MeshTrafficPermission", "from", from_all),
        _policy("MeshTimeout", "to", [{"targetRef": EVERYTHING, "default": timeouts}]),
        _policy("MeshCircuitBreaker", "to", [{"targetRef": HTTP, "default": breaker}]),
        _policy("MeshRetry", "to", [{"targetRef": EVERYTHING, "default": again}]),
        _policy(
            "MeshHTTPRoute",
            "to",
            [{"targetRef": HTTP, "rules": routes}],
        ),
    )


def _policy(kind: str, direction: str, items: list[dict[str, Any]]) -> MeshResource:
    return _resource(kind, MESH, "all", {"targetRef": EVERYTHING, direction: items})


def _resource(kind: str, mesh: str, name: str, body: dict[str, Any]) -> MeshResource:
    return mesh_resource(ResourceKey(kind, mesh, name), Labels(), body)


def _sidecar() -> dict[str, Any]:
    inbounds = [
        {
            "port": 1000 + number,
            "tags": {"kuma.io/service": protocol, "kuma.io/protocol": protocol},
        }
        for number, protocol in enumerate(("http", "grpc", "tcp"))
    ]
    outbounds = [
        {"port": 2000 + number, "tags": {"kuma.io/service": protocol}}
        for number, protocol in enumerate(("http", "grpc", "tcp"))
    ]
    return {
        "type": "Dataplane",
        "mesh": MESH,
        "name": "app",
        "networking": {
            "address": "127.0.0.1",
            "admin": {"port": 3000},
            "inbound": inbounds,
            "outbound": outbounds,
            "transparentProxying": {
                "redirectPortInbound": 3001,
                "redirectPortOutbound": 3002,
                "directAccessServices": ["*"],
            },
        },
        "probes": {
            "port": 3005,
            "endpoints": [{"inboundPort": 1000, "inboundPath": "/", "path": "/"}],
        },
    }


def _ingress(zone: str) -> dict[str, Any]:
    networking = {
        "address": "127.0.0.1",
        "port": 3003,
        "advertisedAddress": "127.0.0.1",
        "advertisedPort": 3003,
        "admin": {"port": 3004},
    }
    return {
        "type": "ZoneIngress",
        "name": f"ingress-{zone}",
        "zone": zone,
        "networking": networking,
    }


def _offer() -> dict[str, Any]:
    tags = {"kuma.io/service": "http", "kuma.io/protocol": "http", "kuma.io/zone": "there"}
    return {"availableServices": [{"mesh": MESH, "instances": 1, "tags": tags}]}
