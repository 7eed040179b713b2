"""The ADS server over real gRPC and TLS, with a client that can misbehave."""

from __future__ import annotations

import asyncio
import socket
import ssl
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

import pytest
from google.protobuf.any_pb2 import Any

from reconciler.demo.tap import Tap
from tests.bench import h2
from tests.support.ads_client import (
    DELTA_METHOD,
    SOTW_METHOD,
    AdsClient,
    Served,
    server_certificate,
)
from xds.delta_sender import Acked
from xds.discovery import DeltaRequest, DeltaResponse, Node
from xds.resource import CLUSTER, XdsResource
from xds.server import QUEUE_MAX, AdsLimits
from xds.snapshot import EMPTY, Snapshot
from xds.wire import delta_request_bytes, parse_delta_response, resource

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


def _answered(served: Served, count: int) -> bool:
    return len(served.answers) == count


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


async def test_state_of_the_world_is_served_beside_delta() -> None:
    """All clusters in every response, as bare Anys under one version for the type."""
    async with (
        serving(clusters(a=b"1")) as (served, port),
        asyncio.timeout(10),
        AdsClient(port, CERTIFICATE.cert_pem, method=SOTW_METHOD) as client,
    ):
        await client.send(DeltaRequest(CLUSTER, node=NODE, wanted=()))
        first = await client.receive_sotw()
        (body,) = (Any.FromString(data) for data in first.resources)
        assert (body.type_url, body.value) == (CLUSTER, b"1")
        accepted = DeltaRequest(CLUSTER, wanted=(), nonce=first.nonce, version=first.version_info)
        await client.send(accepted)
        await happens(served, lambda: len(served.answers) == 2)
        assert served.answers[1] == (CLUSTER, Acked())
        served.publish(clusters(a=b"1", b=b"2"))
        second = await client.receive_sotw()
        assert [Any.FromString(data).value for data in second.resources] == [b"1", b"2"]
        assert second.version_info != first.version_info


async def test_a_state_of_the_world_stream_that_is_malformed_ends_alone() -> None:
    async with (
        serving(EMPTY) as (served, port),
        asyncio.timeout(10),
        AdsClient(port, CERTIFICATE.cert_pem, method=SOTW_METHOD) as client,
        AdsClient(port, CERTIFICATE.cert_pem) as other,
    ):
        await other.send(DeltaRequest(CLUSTER, node=NODE))
        await other.receive()
        await client.send_bytes(b"\xff\xff not a request")
        with pytest.raises(EOFError, match=r"INVALID_ARGUMENT.*DiscoveryRequest"):
            await client.receive_sotw()
        served.publish(clusters(a=b"1"))
        await other.send(DeltaRequest(CLUSTER, nonce="1"))
        assert [r.name for r in (await other.receive()).resources] == ["a"]


async def test_a_request_at_the_limit_is_read_and_one_over_it_ends_its_stream() -> None:
    """The refusal names limit and setting; far beyond it is gRPC's own, with its number."""
    limit = AdsLimits().request_bytes
    assert limit == 4 * 1024 * 1024
    for size, words in ((limit + 1, f"{limit}; raise --ads-request-bytes"), (2 * limit, "larger")):
        async with (
            serving(EMPTY) as (served, port),
            AdsClient(port, CERTIFICATE.cert_pem) as client,
        ):
            await client.send_bytes(b"\x00" * size)
            with pytest.raises(EOFError, match="RESOURCE_EXHAUSTED") as refused:
                await client.receive()
            assert words in str(refused.value)
            assert served.requests == []
    async with serving(EMPTY) as (served, port), AdsClient(port, CERTIFICATE.cert_pem) as client:
        empty = len(delta_request_bytes(DeltaRequest(CLUSTER, Node("n" * 100_000))))
        name = "n" * (100_000 + limit - empty)
        for room in (1, 0, -1, -2):  # The length of a length moves by a byte or two.
            request = delta_request_bytes(DeltaRequest(CLUSTER, Node(name[: len(name) + room - 1])))
            if len(request) == limit:
                break
        assert len(request) == limit
        await client.send_bytes(request)
        await happens(served, lambda: served.requests)


async def test_a_fault_at_the_opening_leaves_no_stream_behind() -> None:
    async with serving(EMPTY) as (served, port), AdsClient(port, CERTIFICATE.cert_pem) as client:
        faults: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, said: faults.append(said))
        served.fault = ValueError("secret text")
        with pytest.raises(EOFError, match="INTERNAL") as refusal:
            await client.receive()
        assert "secret text" not in str(refusal.value)
        assert served.server.streams == ()
        assert served.closings == []
        assert faults


async def test_a_stream_that_says_nothing_is_ended_and_one_that_spoke_is_not() -> None:
    async with serving(EMPTY) as (served, port), asyncio.timeout(10):
        served.server.limits = AdsLimits(first_request_s=0.2)
        async with (
            AdsClient(port, CERTIFICATE.cert_pem) as speaking,
            AdsClient(port, CERTIFICATE.cert_pem) as silent,
        ):
            await speaking.send(DeltaRequest(CLUSTER, node=NODE))
            await speaking.receive()
            with pytest.raises(
                EOFError, match=r"DEADLINE_EXCEEDED.*no request within.*--ads-first-request"
            ):
                await silent.receive()
            assert len(served.server.streams) == 1
            served.publish(clusters(a=b"1"))
            await speaking.send(DeltaRequest(CLUSTER, nonce="1"))
            assert [r.name for r in (await speaking.receive()).resources] == ["a"]


async def test_beyond_the_limit_a_stream_is_told_to_come_again() -> None:
    async with serving(EMPTY) as (served, port), asyncio.timeout(10):
        served.server.limits = AdsLimits(streams=1)
        async with AdsClient(port, CERTIFICATE.cert_pem) as first:
            await first.send(DeltaRequest(CLUSTER, node=NODE))
            await first.receive()
            async with AdsClient(port, CERTIFICATE.cert_pem) as second:
                with pytest.raises(
                    EOFError, match=r"RESOURCE_EXHAUSTED.*1 ADS streams.*--ads-streams-max"
                ):
                    await second.receive()
            assert served.server.streams == ("ads-1",)


async def test_a_method_nobody_serves_is_unimplemented() -> None:
    method = "/envoy.service.route.v3.RouteDiscoveryService/StreamRoutes"
    async with (
        serving(EMPTY) as (_, port),
        AdsClient(port, CERTIFICATE.cert_pem, method=method) as client,
    ):
        with pytest.raises(EOFError, match="UNIMPLEMENTED"):
            await client.receive()


async def test_a_taken_port_is_an_error() -> None:
    async with serving(EMPTY) as (_, port):
        with pytest.raises(OSError, match=f"cannot serve ADS on 127.0.0.1:{port}"):
            await Served().server.start(
                "127.0.0.1", port, CERTIFICATE.cert_pem, CERTIFICATE.key_pem
            )


async def test_a_message_is_not_followed_by_a_ping() -> None:
    """Of one that finds out how much more could come: both sides would pay for it in system calls,
    with every message.
    """
    pings, heard = 0, asyncio.Queue[bytes]()

    class Counting(h2.Connection):
        def _frame(self, kind: int, flags: int, stream: int, body: bytes) -> None:
            nonlocal pings
            pings += kind == h2.PING
            super()._frame(kind, flags, stream, body)

    tls = ssl.create_default_context(cadata=CERTIFICATE.cert_pem.decode())
    tls.set_alpn_protocols(["h2"])
    async with serving(EMPTY) as (served, port), asyncio.timeout(10):
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(
            lambda: Counting(lambda _, message: heard.put_nowait(message), lambda _, why: None),
            "127.0.0.1", port, ssl=tls, server_hostname="localhost",
        )  # fmt: skip
        stream = connection.open(DELTA_METHOD, "secret")
        connection.send(stream, delta_request_bytes(DeltaRequest(CLUSTER, node=NODE)))
        for number in range(50):
            response = parse_delta_response(await heard.get())
            connection.send(
                stream, delta_request_bytes(DeltaRequest(CLUSTER, nonce=response.nonce))
            )
            await happens(served, partial(_answered, served, number + 2))
            served.publish(clusters(a=str(number).encode()))
        connection.abort()
    assert pings == 0


async def test_tls_records_are_short_for_buffers_of_connections_are_as_large() -> None:
    """Of thousands that are open: a large response leaves little behind."""
    async with serving(clusters(a=b"1" * 200_000)) as (_, port), asyncio.timeout(10):
        listening = socket.create_server(("127.0.0.1", 0))
        tap = Tap(listening.getsockname()[1], ("127.0.0.1", port))
        await tap.start(listening)
        try:
            async with AdsClient(tap.port, CERTIFICATE.cert_pem) as client:
                await client.send(DeltaRequest(CLUSTER, node=NODE))
                assert [r.name for r in (await client.receive()).resources] == ["a"]
        finally:
            await tap.stop()
    lengths = tls_records(bytes(tap.answers))
    assert sum(lengths) > 200_000
    assert max(lengths) <= 4096


def tls_records(data: bytes) -> list[int]:
    """The lengths of whole ones (RFC 8446, 5.1)."""
    lengths, at = [], 0
    while at + 5 <= len(data):
        lengths.append(int.from_bytes(data[at + 3 : at + 5]))
        at += 5 + lengths[-1]
    return lengths
