"""HDS as the Envoy of a kuma-dp 2.14 sees it: facts/dataplane-wire.md 7.1 (3), 1.11 and 7.5."""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc
import grpc.aio
import pytest

from tests.support.joined import MtlsMesh, signing_key
from tests.support.kuma_dp import instances
from tests.support.kuma_tokens import dataplane_token
from tests.support.kuma_zone import ending, read, texts_of
from tests.support.protobuf_wire import fields, message, text
from tests.support.raw_frames import number, part
from tests.support.zone import dataplane

if TYPE_CHECKING:
    from tests.support.protobuf_wire import Fields

pytestmark = pytest.mark.timeout(60)
WEB = dataplane("web-1", "web", "backend")
BACKEND = dataplane("backend-1", "backend", address="10.0.0.2")


PROBE = {"serviceProbe": {"interval": "3s", "tcp": {}}}
CHECKED = dataplane("backend-2", "backend", address="10.0.0.3")
CHECKED["networking"]["inbound"][0] |= PROBE


def introduction(node: bytes) -> bytes:
    """HealthCheckRequest with a node and what it can: HTTP and TCP."""
    return part(1, part(1, node) + part(2, number(1, 0) + number(1, 1)))


def report(**clusters: int) -> bytes:
    """EndpointHealthResponse; 1 is HEALTHY, 2 is UNHEALTHY, 0 was not checked yet."""
    told = b""
    for name, status in clusters.items():
        health = part(2, part(1, b"") + (number(2, status) if status else b""))
        told += part(1, part(1, b"") + number(2, status))  # flat, as Envoy still has it, too
        told += part(2, part(1, name.replace("_", ":")) + part(2, health))
    return part(2, told)


async def test_health_is_asked_with_intervals_and_may_be_asked_before_the_proxy_is_there(
    mesh: MtlsMesh,
) -> None:
    """A specifier without its own interval would end Envoy's session."""
    envoy = await mesh.envoy(CHECKED)
    health = envoy.health()
    await health.write(introduction(envoy.node))
    await envoy.start()
    specifier = fields(await read(health))
    assert specifier.keys() == {1, 2}
    assert seconds(message(specifier, 2)) == 0.5
    checks = {
        text(check, 1): check
        for check in (message(specifier, 1, at) for at in range(len(specifier[1])))
    }
    assert checks.keys() == {"kuma:envoy:admin", "localhost:8080"}
    for name, wanted in (("kuma:envoy:admin", 1.0), ("localhost:8080", 3.0)):
        check = message(checks[name], 2)
        assert seconds(message(check, 1)) > 0, "a timeout"
        assert seconds(message(check, 2)) == wanted, "an interval"
    assert text(message(message(checks["kuma:envoy:admin"], 2), 8), 2) == "/ready"
    endpoint = message(message(message(checks["kuma:envoy:admin"], 3), 2), 1)
    assert texts_of(message(endpoint, 2), 1) == ("/tmp/kuma-dp-1/kuma-envoy-admin.sock",)


def seconds(duration: Fields) -> float:
    whole, nanos = (duration.get(field, [0])[0] for field in (1, 2))
    assert isinstance(whole, int)
    assert isinstance(nanos, int)
    return whole + nanos / 1e9


async def test_a_report_moves_the_endpoint_at_its_callers(mesh: MtlsMesh) -> None:
    await (await mesh.envoy(BACKEND)).start()
    caller = await mesh.envoy(WEB)
    await caller.start()
    envoy = await mesh.envoy(CHECKED)
    await envoy.start()
    health = envoy.health()
    await health.write(introduction(envoy.node))
    await read(health)
    for status in (1, 2, 0):  # What was not checked yet counts as healthy.
        await health.write(report(kuma_envoy_admin=1, localhost_8080=status))
        found = await caller.read()
        assert ("10.0.0.3" in instances(found)) is (status != 2)
        await caller.ack(found, "backend")


async def test_a_health_stream_with_another_token_is_refused(mesh: MtlsMesh) -> None:
    envoy = await mesh.envoy(CHECKED)
    await envoy.start()
    envoy.token = dataplane_token(signing_key(), {"Name": "web-1", "Mesh": "default"})
    health = envoy.health()
    await health.write(introduction(envoy.node))
    code, words = await ending(health)
    assert code is grpc.StatusCode.UNKNOWN
    assert words.startswith("authentication failed: ")
