"""Clusters that are gone stay while connections drain on the listeners that used them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from reconciler.state import ResourceDiff, apply
from reconciler.steps import zone_build
from reconciler.steps import zone_state as z
from tests.support.zone import Zone, dataplane, policy, settings, zone
from xds.discovery import DeltaRequest
from xds.resource import CLUSTER, ENDPOINT, LISTENER

if TYPE_CHECKING:
    from reconciler.model.resource import MeshResource


def towards(service: str) -> MeshResource:
    """All requests to `backend` go to this service."""
    rule = {
        "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
        "default": {"backendRefs": [{"kind": "MeshService", "name": service}]},
    }
    to = {"targetRef": {"kind": "MeshService", "name": "backend"}, "rules": [rule]}
    return policy("MeshHTTPRoute", "r", {"to": [to]})


def publish(made: Zone, policy: MeshResource) -> None:
    put = ResourceDiff(put=(policy,))
    state = made.state
    made.state = replace(state, policy=apply(state.policy, put), merged=apply(state.merged, put))
    made.state, effects = zone_build.touched(made.state, put)
    assert effects
    made.deliver(z.BuildDue(made.now))


def caller(service: str) -> tuple[Zone, str]:
    made = zone(towards(service))
    made.connect(dataplane("backend-1", "backend", address="10.0.0.2"))
    stream = made.connect(dataplane("caller-1", "caller", "backend"))
    made.acknowledge_all(stream)
    return made, stream


def removed(made: Zone, stream: str) -> set[str]:
    """Clusters taken out since the last look; everything is acknowledged."""
    responses = made.sent.get(stream, [])
    found = {name for r in responses if r.type_url == CLUSTER for name in r.removed}
    made.acknowledge_all(stream)
    return found


DRAIN_S = settings().retire_after_s


def test_cluster_that_is_gone_is_taken_out_after_the_drain_time_and_not_before() -> None:
    made, stream = caller("blue")
    publish(made, towards("green"))
    assert removed(made, stream) == set()
    made.tick(DRAIN_S - 1)
    assert removed(made, stream) == set()
    made.tick(1)
    assert removed(made, stream) == {"blue"}


def test_drain_time_of_a_later_change_is_its_own() -> None:
    """A change made while an earlier one drains has connections that drain as long."""
    made, stream = caller("blue")
    publish(made, towards("green"))
    assert removed(made, stream) == set()
    made.tick(DRAIN_S - 1)
    publish(made, towards("red"))
    assert removed(made, stream) == set()
    made.tick(1)
    assert removed(made, stream) == set()
    made.tick(DRAIN_S - 1)
    assert removed(made, stream) == {"blue", "green"}


def test_drain_time_begins_when_the_listeners_are_replaced() -> None:
    """A proxy that refuses them, or is slow to answer, still sends requests to the old clusters."""
    made, stream = caller("blue")
    publish(made, towards("green"))
    held = []
    while waiting := made.sent.pop(stream, []):  # All but the listeners are acknowledged.
        for response in waiting:
            if response.type_url == LISTENER:
                held.append(response)
                continue
            made.request(stream, DeltaRequest(response.type_url, nonce=response.nonce))
            if response.type_url == CLUSTER:
                made.request(stream, DeltaRequest(ENDPOINT, subscribe=("green",)))
    assert len(held) == 1
    made.tick(2 * DRAIN_S)
    made.request(stream, DeltaRequest(LISTENER, nonce=held[0].nonce))
    assert removed(made, stream) == set()
    made.tick(DRAIN_S)
    assert removed(made, stream) == {"blue"}
