"""Limits given on the command line hold in the processes, and each refusal names its option.

docs/failure-modes.md lists all limits; most are tested where they are kept.
"""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import time
from contextlib import closing, suppress
from typing import TYPE_CHECKING

import grpc
import pytest

from reconciler.kds.zone_node import call_headers
from reconciler.keys.join import read_join
from tests.support.planes import Planes
from xds.discovery import DeltaRequest, Node
from xds.resource import CLUSTER
from xds.wire import delta_request_bytes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    Call = grpc.aio.StreamStreamCall[bytes, bytes]

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]
ADS = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"
DOWN = "/kuma.mesh.v1alpha1.KDSSyncService/GlobalToZoneSync"
OF_GLOBAL = ("--kds-streams-per-zone", "1", "--door-hello-timeout", "0.5")
OF_ZONE = (
    *("--proxies-max", "0", "--ads-streams-max", "1", "--ads-request-bytes", "20000"),
    *("--ads-first-request", "2", "--door-open-max", "1"),
)


@pytest.fixture
async def planes(tmp_path: Path) -> AsyncIterator[Planes]:
    made = Planes(tmp_path / "world")
    try:
        await made.start_global(*OF_GLOBAL)
        await made.start_zone("east", *OF_ZONE)
        yield made
    finally:
        await asyncio.to_thread(made.stop)


def ca(planes: Planes, role: str) -> bytes:
    return (planes.state(role) / "tls" / "ca.pem").read_bytes()


def channel(port: int, ca_pem: bytes) -> grpc.aio.Channel:
    return grpc.aio.secure_channel(f"127.0.0.1:{port}", grpc.ssl_channel_credentials(ca_pem))


async def ended(call: Call) -> tuple[grpc.StatusCode, str]:
    with suppress(grpc.aio.AioRpcError):
        while isinstance(await call.read(), bytes):
            continue
    return await call.code(), str(await call.details())


async def test_the_limit_of_kds_streams_holds_and_is_named(planes: Planes) -> None:
    """Zone east has its one stream."""
    headers = call_headers("east", "0", read_join(planes.join_file("east")).token)
    async with channel(planes.kds_port, ca(planes, "global")) as to_global:
        call: Call = to_global.stream_stream(DOWN)(metadata=headers)
        code, text = await ended(call)
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "has 1 such streams open; end one first, or raise --kds-streams-per-zone" in text


async def test_the_limits_of_ads_hold_and_are_named(planes: Planes) -> None:
    token = planes.run_once("token", "dataplane", "--state-dir", str(planes.state("global")))
    port, metadata = planes.ports["east"].ads, (("authorization", token),)
    async with channel(port, ca(planes, "east")) as zone:
        open_ads: grpc.aio.StreamStreamMultiCallable[bytes, bytes] = zone.stream_stream(ADS)
        silent = open_ads(metadata=metadata)
        await asyncio.sleep(0.5)
        assert (
            "1 ADS streams are open here; try again, or raise --ads-streams-max"
            in (await ended(open_ads(metadata=metadata)))[1]
        )
        code, text = await ended(silent)
        assert code is grpc.StatusCode.DEADLINE_EXCEEDED
        assert text == "no request within 2 s (--ads-first-request of the zone)"

        large = open_ads(metadata=metadata)
        await large.write(delta_request_bytes(DeltaRequest(CLUSTER, Node("x" * 20_000))))
        code, text = await ended(large)
        assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert text.endswith("over the limit of 20000; raise --ads-request-bytes of the zone")

        inbound = {"port": 80, "tags": {"kuma.io/service": "web"}}
        networking = {"address": "10.0.0.1", "inbound": [inbound]}
        document = {"type": "Dataplane", "mesh": "default", "name": "web-1"}
        said = {"dataplane.resource": json.dumps({**document, "networking": networking})}
        proxy = open_ads(metadata=metadata)
        await proxy.write(
            delta_request_bytes(DeltaRequest(CLUSTER, Node("default.web-1", metadata=said)))
        )
        assert "raise its limit --proxies-max" in (await ended(proxy))[1]
    assert "--proxies-max" in str(planes.status("east")["refused"])


async def test_the_limits_of_the_door_hold(planes: Planes) -> None:
    """A second connection while one is passed on; one that says nothing for half a second."""
    await asyncio.to_thread(_second_while_one_is_open, planes)
    log = planes.processes["zone-east"].log.read_text()
    assert "full: 1 connections are open; the limit is --door-open-max" in log
    assert await asyncio.to_thread(_seconds_it_may_be_silent, planes) < 4.0  # 5 s is the default.


def _second_while_one_is_open(planes: Planes) -> None:
    trusting = ssl.create_default_context(cadata=ca(planes, "east").decode())
    where = ("127.0.0.1", planes.ports["east"].bootstrap)
    with (
        closing(trusting.wrap_socket(socket.create_connection(where), server_hostname=where[0])),
        closing(socket.create_connection(where)) as second,
        pytest.raises(OSError),
    ):
        trusting.wrap_socket(second, server_hostname=where[0])


def _seconds_it_may_be_silent(planes: Planes) -> float:
    with closing(socket.create_connection(("127.0.0.1", planes.refusing_port))) as silent:
        began = time.monotonic()
        silent.settimeout(10)
        with suppress(ConnectionResetError):
            assert silent.recv(1) == b""
        return time.monotonic() - began
