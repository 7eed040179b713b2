"""The ADS server over real gRPC and TLS, with a client that can misbehave."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from tests.support.ads_client import SOTW_METHOD, AdsClient, Served, server_certificate
from xds.discovery import DeltaRequest, DeltaResponse, Node
from xds.resource import CLUSTER, XdsResource
from xds.server import QUEUE_MAX
from xds.snapshot import EMPTY, Snapshot
from xds.wire import resource

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

CERTIFICATE = server_certificate()
NODE = Node("default.web")


def clusters(**bodies: bytes) -> Snapshot:
    return Snapshot(
        {name: resource(CLUSTER, name, body) for name, body in bodies.items()}, {}, {}, {}
    )


@asynccontextmanager
async def serving(snapshot: Snapshot | None) -> AsyncIterator[tuple[Served, int]]:
    served = Served(snapshot=snapshot)
    port = await served.server.start("127.0.0.1", 0, CERTIFICATE.cert_pem, CERTIFICATE.key_pem)
    try:
        yield served, port
    finally:
        await served.server.stop(0)


async def happens(served: Served, claim: Callable[[], object]) -> None:
    """Returns once the claim is true; it can only become so when the server tells its owner
    something.
    """
    changed = asyncio.Event()
    served.on_change = changed.set
    async with asyncio.timeout(10):
        while not claim():
            changed.clear()
            await changed.wait()


async def test_subscription_is_answered_and_a_change_is_pushed() -> None:
    async with (
        serving(clusters(a=b"1")) as (served, port),
        asyncio.timeout(10),
        AdsClient(port, CERTIFICATE.cert_pem, token="secret") as client,
    ):
        await client.send(DeltaRequest(CLUSTER, node=NODE))
        first = await client.receive()
        assert [r.name for r in first.resources] == ["a"]
        await client.send(DeltaRequest(CLUSTER, nonce=first.nonce))
        await happens(served, lambda: len(served.answers) == 2)
        served.publish(clusters(a=b"1", b=b"2"))
        assert [r.name for r in (await client.receive()).resources] == ["b"]
    assert served.authorizations == ["secret"]
    assert served.requests[0][1].node is not None
    assert served.requests[0][1].node.id == NODE.id


async def test_nothing_is_sent_before_a_snapshot_is_known() -> None:
    async with (
        serving(None) as (served, port),
        asyncio.timeout(10),
        AdsClient(port, CERTIFICATE.cert_pem) as client,
    ):
        await client.send(DeltaRequest(CLUSTER, node=NODE))
        await happens(served, lambda: served.answers)
        assert served.sent == []
        served.publish(EMPTY)
        assert (await client.receive()).resources == ()


async def test_a_stream_broken_by_its_peer_says_so() -> None:
    async with serving(EMPTY) as (served, port):
        async with AdsClient(port, CERTIFICATE.cert_pem) as client:
            await client.send(DeltaRequest(CLUSTER, node=NODE))
            await client.receive()
        await happens(served, lambda: served.closings)
        assert served.closings == [("ads-1", True)]
        assert served.server.streams == ()


async def test_a_refused_stream_ends_with_our_code_and_text() -> None:
    async with serving(EMPTY) as (served, port), AdsClient(port, CERTIFICATE.cert_pem) as client:
        await client.send(DeltaRequest(CLUSTER, node=NODE))
        await client.receive()
        served.server.close("ads-1", 2, "authentication failed: no token")
        with pytest.raises(EOFError, match=r"UNKNOWN.*authentication failed: no token"):
            await client.receive()
        await happens(served, lambda: served.closings)
        assert served.closings == [("ads-1", False)]


async def test_stopping_the_server_is_not_the_peers_doing() -> None:
    async with serving(EMPTY) as (served, port), AdsClient(port, CERTIFICATE.cert_pem) as client:
        await client.send(DeltaRequest(CLUSTER, node=NODE))
        await client.receive()
        await served.server.stop(5)
        assert served.closings == [("ads-1", False)]
        with pytest.raises(EOFError, match="UNAVAILABLE"):
            await client.receive()


async def test_a_malformed_request_ends_the_stream_with_invalid_argument() -> None:
    async with serving(EMPTY) as (served, port), AdsClient(port, CERTIFICATE.cert_pem) as client:
        await client.send_bytes(b"\xff\xff not a request")
        with pytest.raises(EOFError, match="INVALID_ARGUMENT"):
            await client.receive()
        assert served.requests == []


async def test_a_request_without_a_type_ends_the_stream_with_invalid_argument() -> None:
    async with serving(EMPTY) as (_, port), AdsClient(port, CERTIFICATE.cert_pem) as client:
        await client.send(DeltaRequest("", node=NODE))
        with pytest.raises(EOFError, match=r"INVALID_ARGUMENT.*type_url"):
            await client.receive()


async def test_a_peer_that_reads_nothing_is_ended_not_buffered_for() -> None:
    async with serving(EMPTY) as (served, port), AdsClient(port, CERTIFICATE.cert_pem) as client:
        await client.send(DeltaRequest(CLUSTER, node=NODE))
        await client.receive()
        big = DeltaResponse(CLUSTER, "x", (XdsResource("a", "1", b"\x1a\x01a" * 1_000_000),))
        for _ in range(QUEUE_MAX + 1):
            served.server.send("ads-1", big)
        await happens(served, lambda: served.closings)
        assert served.closings == [("ads-1", False)]


async def test_state_of_the_world_is_refused_with_the_cure() -> None:
    async with (
        serving(EMPTY) as (_, port),
        AdsClient(port, CERTIFICATE.cert_pem, method=SOTW_METHOD) as client,
    ):
        with pytest.raises(EOFError, match=r"UNIMPLEMENTED.*DELTA_GRPC"):
            await client.receive()


async def test_a_taken_port_is_an_error() -> None:
    async with serving(EMPTY) as (_, port):
        with pytest.raises(OSError, match=f"cannot serve ADS on 127.0.0.1:{port}"):
            await Served().server.start(
                "127.0.0.1", port, CERTIFICATE.cert_pem, CERTIFICATE.key_pem
            )
