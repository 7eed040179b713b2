"""MeshRetry and MeshCircuitBreaker in views: what the defaults of a mesh come to, where we differ
from Kuma, and what a change of them leaves as it is.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.defaults import with_defaults
from reconciler.state import from_resources
from reconciler.view import ProxyTraits, mesh_context, sidecar_view
from tests.support.mesh import a_dataplane, a_mesh, a_policy, an_inbound
from xds.build.clusters import build_cluster
from xds.build.listeners import build_listener
from xds.readable import readable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.model.resource import MeshResource
    from xds.view import ProxyView

SERVICE = "kuma.io/service"
WEB = a_dataplane("web", an_inbound("web"), to={10001: {SERVICE: "backend"}})
MESH = a_mesh()
RETRIES = {
    "numRetries": 5,
    "perTryTimeout": "16s",
    "retryBackOff": {"baseInterval": "0.025s", "maxInterval": "0.250s"},
}


def backend(protocol: str) -> MeshResource:
    return a_dataplane("backend", an_inbound("backend", protocol=protocol, address="10.0.0.2"))


def sidecar(*resources: MeshResource) -> ProxyView:
    state = from_resources((MESH, WEB, *resources))
    context = mesh_context(state, "default", "east", frozenset(), {})
    return sidecar_view(context, WEB, ProxyTraits(node_id="default.web")).view


def outbound(view: ProxyView) -> Any:
    """A list, since what is readable is shared."""
    return readable(build_listener(next(x for x in view.listeners if "outbound" in x.name)))


def deep(value: Any, name: str) -> Iterator[Any]:
    if isinstance(value, list):
        for each in value:
            yield from deep(each, name)
    elif isinstance(value, dict):
        for key, each in value.items():
            if key == name:
                yield each
            yield from deep(each, name)


def retry(**blocks: Any) -> MeshResource:
    item = {"targetRef": {"kind": "Mesh"}, "default": blocks}
    return a_policy("MeshRetry", "r", {"to": [item]})


def retried(protocol: str, **blocks: Any) -> Any:
    """The retry policy of the route to a service."""
    return next(deep(outbound(sidecar(backend(protocol), retry(**blocks))), "retryPolicy"), None)


# --- the defaults ---


@pytest.mark.parametrize(
    ("protocol", "reasons"),
    [
        ("http", "gateway-error,connect-failure,refused-stream"),
        ("http2", "gateway-error,connect-failure,refused-stream"),
        (
            "grpc",
            "cancelled,connect-failure,gateway-error,refused-stream,reset,resource-exhausted,"
            "unavailable",
        ),
        ("tcp", ""),
    ],
)
def test_the_defaults_of_a_mesh_try_again_and_limit(protocol: str, reasons: str) -> None:
    view = sidecar(backend(protocol), *with_defaults((MESH,))[1:])
    listener = outbound(view)
    found = next(deep(listener, "retryPolicy"), None)
    assert found == (RETRIES | {"retryOn": reasons} if reasons else None)
    assert list(deep(listener, "maxConnectAttempts")) == ([] if reasons else [5])
    cluster = readable(build_cluster(next(c for c in view.clusters if c.name == "backend")))
    assert cluster["circuitBreakers"] == {
        "thresholds": [
            {
                "maxConnections": 1024,
                "maxPendingRequests": 1024,
                "maxRequests": 1024,
                "maxRetries": 3,
                "trackRemaining": True,
            }
        ]
    }
    assert "outlierDetection" in cluster  # Limits alone leave our own as it is.


@pytest.mark.parametrize("disabled", [False, True])
def test_what_a_policy_says_of_outliers_takes_the_place_of_our_own(disabled: bool) -> None:
    detectors = {"detectors": {"totalFailures": {"consecutive": 7}}, "disabled": disabled}
    item = {"targetRef": {"kind": "Mesh"}, "default": {"outlierDetection": detectors}}
    view = sidecar(backend("http"), a_policy("MeshCircuitBreaker", "c", {"to": [item]}))
    cluster: Any = readable(build_cluster(next(c for c in view.clusters if c.name == "backend")))
    assert "healthyPanicThreshold" not in cluster["commonLbConfig"]  # It goes with ours.
    assert ("outlierDetection" in cluster) is not disabled
    if not disabled:
        assert cluster["outlierDetection"]["consecutive5Xx"] == 7
        assert cluster["outlierDetection"]["enforcingConsecutiveLocalOriginFailure"] == 0


# --- where Kuma errs ---


def test_http2_is_tried_again_as_http_is() -> None:
    """Kuma does nothing for it (D4)."""
    assert retried("http2", http={"numRetries": 2})["numRetries"] == 2
    assert retried("http2", grpc={"numRetries": 2}) is None


def test_a_call_that_was_cancelled_is_tried_again() -> None:
    """Kuma sends a word that Envoy does not know (D5)."""
    assert retried("grpc", grpc={"retryOn": ["Canceled"]})["retryOn"] == "cancelled"


def test_headers_of_an_answer_make_it_tried_again() -> None:
    """Envoy looks at them only where `retryOn` says so, which Kuma leaves out."""
    found = retried("http", http={"retriableResponseHeaders": [{"name": "x", "value": "1"}]})
    assert found["retryOn"].endswith("refused-stream,retriable-headers")


def test_waits_that_envoy_refuses_are_as_near_as_it_takes() -> None:
    """Kuma sends them, and Envoy refuses the listener."""
    assert waits(maxInterval="2s") == {"baseInterval": "0.025s", "maxInterval": "2s"}
    assert waits(baseInterval="0s") == {"baseInterval": "0.025s"}
    assert waits(baseInterval="2s", maxInterval="1s") == {"baseInterval": "2s"}
    assert waits(baseInterval="2s", maxInterval="2s") == {"baseInterval": "2s", "maxInterval": "2s"}


def waits(**back_off: str) -> Any:
    return retried("http", http={"backOff": back_off})["retryBackOff"]


# --- what a change reaches ---


def limits(most: int) -> MeshResource:
    item = {"targetRef": {"kind": "Mesh"}, "default": {"connectionLimits": {"maxRetries": most}}}
    return a_policy("MeshCircuitBreaker", "c", {"to": [item], "from": [item]})


def test_limits_change_no_listener_and_retries_no_cluster() -> None:
    one = sidecar(backend("http"), limits(1), retry(http={"numRetries": 1}))
    other = sidecar(backend("http"), limits(2), retry(http={"numRetries": 1}))
    assert (one.listeners == other.listeners, one.clusters == other.clusters) == (True, False)
    more = sidecar(backend("http"), limits(1), retry(http={"numRetries": 2}))
    assert (one.listeners == more.listeners, one.clusters == more.clusters) == (False, True)


def test_who_is_named_behind_a_resource_has_shaped_it() -> None:
    state = from_resources((MESH, WEB, backend("http"), limits(1), retry(http={"numRetries": 1})))
    context = mesh_context(state, "default", "east", frozenset(), {})
    found = sidecar_view(context, WEB, ProxyTraits(node_id="default.web"))
    kinds = {name: [key.type for key in origin] for (_, name), origin in found.origins.items()}
    assert json.dumps(kinds, sort_keys=True) == json.dumps(
        {
            "backend": ["MeshCircuitBreaker"],
            "localhost:8081": ["MeshCircuitBreaker"],
            "outbound:127.0.0.1:10001": ["MeshRetry"],
        },
        sort_keys=True,
    )
