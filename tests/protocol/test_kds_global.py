"""The global's door over real gRPC: who is let in and until when, peers that do not read, peers
that never finish, and messages of any size.
"""

from __future__ import annotations

import asyncio
import socket
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
import pytest

from reconciler.decode import mesh_resource
from reconciler.kds.admin import METHODS
from reconciler.kds.server import STREAMS_PER_ZONE_MAX
from reconciler.kds.zone_node import FEATURES, call_headers
from reconciler.model.resource import Labels, MeshResource, ResourceKey
from reconciler.repository_settings import decode_settings
from reconciler.steps.global_insights import zone_insight
from tests.support.global_link import (
    GLOBAL,
    SYNC,
    GlobalLink,
    acknowledge,
    global_link,
    read,
    secret,
    subscribe,
)
from tests.support.global_plane import timeout

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    Call = grpc.aio.StreamStreamCall[bytes, bytes]

pytestmark = pytest.mark.timeout(60)
DOWN, UP = f"{SYNC}GlobalToZoneSync", f"{SYNC}ZoneToGlobalSync"
ADMIN = tuple(f"{GLOBAL}{method}" for method in METHODS.values())
TYPES = ("MeshTimeout", "MeshRetry", "MeshAccessLog", "MeshTrace", "MeshCircuitBreaker")
IN_TIME_S = 20


@pytest.fixture
async def link(tmp_path: Path) -> AsyncIterator[GlobalLink]:
    async with global_link(tmp_path) as made:
        made.publish(timeout(1000))
        yield made


async def health(link: GlobalLink, zone: str, token: str | None) -> grpc.StatusCode:
    async with link.channel() as channel:
        check: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(
            f"{GLOBAL}HealthCheck"
        )
        try:
            await check(b"", metadata=call_headers(zone, "0", token), timeout=IN_TIME_S)
        except grpc.aio.AioRpcError as error:
            return error.code()
        return grpc.StatusCode.OK


async def ended(call: Call) -> grpc.StatusCode:
    """How the global ends it, behind whatever it had said before."""
    async with asyncio.timeout(IN_TIME_S):
        try:
            while isinstance(await call.read(), bytes):
                pass
        except grpc.aio.AioRpcError:
            pass
        return await call.code()


# --- identity ---


async def test_health_is_told_to_who_proves_to_be_the_zone(link: GlobalLink) -> None:
    assert await health(link, "east", link.token("east")) is grpc.StatusCode.OK
    for sent in (None, "x", link.token("west"), link.token("east", valid_s=-1)):
        assert await health(link, "east", sent) is grpc.StatusCode.UNAUTHENTICATED


@pytest.mark.parametrize("method", [DOWN, UP, *ADMIN])
async def test_open_stream_ends_when_its_token_expires(link: GlobalLink, method: str) -> None:
    async with link.channel() as channel:
        call = link.call(channel, method, "east", link.token("east", valid_s=1.5))
        await call.initial_metadata()
        assert await ended(call) is grpc.StatusCode.UNAUTHENTICATED
        assert "has expired; issue a join file" in await call.details()


async def test_admin_streams_stand_in_the_zones_insight_and_end_with_the_token(
    link: GlobalLink,
) -> None:
    token = link.token("east")
    async with link.channel() as channel:
        calls = [link.call(channel, method, "east", token) for method in ADMIN]
        sync = link.call(channel, DOWN, "east", token)
        for call in (*calls, sync):
            await call.initial_metadata()
        found: Any = zone_insight(link.plane.state, "east")
        assert set(found["kdsStreams"]) == {"globalToZone", "configDump", "stats", "clusters"}
        proof = next(iter(link.plane.state.admin.values())).proof
        link.publish(timeout(1000), secret("zone-token-revocations", proof.token_id.encode()))
        for call in calls:
            assert await ended(call) is grpc.StatusCode.UNAUTHENTICATED
            assert "is revoked" in await call.details()
    assert dict(link.plane.state.admin) == {}


async def test_open_streams_end_with_the_commit_that_revokes_their_token(link: GlobalLink) -> None:
    revoked, kept = link.token("east"), link.token("east")
    async with link.channel() as channel:
        ending = link.call(channel, DOWN, "east", revoked)
        going = link.call(channel, UP, "east", kept)
        for call in (ending, going):
            await call.initial_metadata()
        proofs = [s.proof for s in link.plane.state.sessions.values() if s.downward]
        assert proofs[0] is not None
        link.publish(timeout(1000), secret("zone-token-revocations", proofs[0].token_id.encode()))
        assert await ended(ending) is grpc.StatusCode.UNAUTHENTICATED
        assert "is revoked" in await ending.details()
        assert not going.done()


async def test_zone_without_a_token_comes_from_its_network_and_alone(link: GlobalLink) -> None:
    listed = [{"zone": "kuma-1", "from": "127.0.0.0/8"}, {"zone": "kuma-2", "from": "10.0.0.0/8"}]
    link.settings = decode_settings({"kds": {"tokenless": listed}})
    link.publish(timeout(1000))
    async with link.channel() as channel:
        call = link.call(channel, DOWN, "kuma-1", None)
        await subscribe(call, "kuma-1", "Mesh")
        assert (await read(call)).type_url == "Mesh"
        refused = link.call(channel, DOWN, "kuma-2", None)
        assert await refused.code() is grpc.StatusCode.UNAUTHENTICATED
        assert "kds.tokenless in reconciler.yaml does not list it" in await refused.details()
        other = link.call(channel, DOWN, "kuma-1")
        assert await other.code() is grpc.StatusCode.PERMISSION_DENIED
        assert "connected under another identity" in await other.details()


async def test_stream_beyond_the_limit_is_refused_by_its_number(link: GlobalLink) -> None:
    for method in (DOWN, UP):
        async with link.channel() as channel:
            held = [link.call(channel, method, "east") for _ in range(STREAMS_PER_ZONE_MAX)]
            for call in held:
                await call.initial_metadata()
            beyond = link.call(channel, method, "east")
            assert await beyond.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert f"has {STREAMS_PER_ZONE_MAX} such streams open" in await beyond.details()
            assert not any(call.done() for call in held)


# --- peers that take their time ---


async def test_a_thousand_half_open_connections_keep_no_zone_out(link: GlobalLink) -> None:
    """TCP without a word, and TLS that stops in its first message."""
    idle: list[socket.socket] = []
    try:
        for number in range(1000):
            peer = socket.create_connection(("127.0.0.1", link.port), timeout=IN_TIME_S)
            idle.append(peer)
            if number % 2:
                peer.send(b"\x16\x03\x01\x02\x00\x01")
            if number % 50 == 0:
                await asyncio.sleep(0)
        async with asyncio.timeout(IN_TIME_S), link.channel() as channel:
            call = link.call(channel, DOWN, "east")
            await subscribe(call, "east", "MeshTimeout")
            assert len((await read(call)).resources) == 1
    finally:
        for peer in idle:
            peer.close()


# What a reader lets come in unread, bytes; grpc would widen it to all that is sent here.
SMALL_WINDOW = (("grpc.http2.lookahead_bytes", 65_536), ("grpc.http2.bdp_probe", 0))


def policies(number: int, count: int = 200) -> list[MeshResource]:
    """Of five kinds, `count` each, all of them changed by `number`; about 1 kB each."""
    spec = {
        "targetRef": {"kind": "Mesh"},
        "to": [{"targetRef": {"kind": "Mesh"}, "default": {"n": number, "pad": "x" * 900}}],
    }
    plain = {"to": [{"targetRef": {"kind": "Mesh"}, "default": {"connectionTimeout": "1s"}}]}
    padded = Labels.of({"number": str(number), **{f"pad{i}": "x" * 60 for i in range(15)}})
    return [
        mesh_resource(
            ResourceKey(type_, "default", f"p{i}"),
            padded,
            plain if type_ == "MeshTimeout" else spec,
        )
        for type_ in TYPES
        for i in range(count)
    ]


async def test_kuma_15042_several_hundred_policies_in_flight_to_a_reader_that_does_not_read(
    link: GlobalLink,
) -> None:
    """`Send` blocked for ever. Here: nobody else waits, nothing piles up, and it reads on to the
    last state.
    """
    async with link.channel(*SMALL_WINDOW) as slow_channel, link.channel() as quick_channel:
        slow = link.call(slow_channel, DOWN, "slow")
        quick = link.call(quick_channel, DOWN, "quick")
        link.publish(*policies(0))
        await subscribe(slow, "slow", *TYPES)
        await subscribe(quick, "quick", *TYPES)
        async with asyncio.timeout(IN_TIME_S):
            for number in range(5):
                for _ in TYPES:
                    await acknowledge(quick, await read(quick))
                while not is_current(link, "quick"):
                    await link.plane.changed.wait()
                link.publish(*policies(number + 1))
            # One response of each type is on its way, and the last ones wait for the reader.
            sessions = link.plane.state.sessions.values()
            mine = next(s for s in sessions if s.zone == "slow")
            assert {t: counts.sent for t, counts in mine.counts.items()} == dict.fromkeys(TYPES, 1)
            assert link.plane.kds is not None
            assert 0 < link.plane.kds.waiting(mine.id) < len(TYPES)
            held: dict[tuple[str, str], str] = {}  # The name alone is the same in each type.
            while not is_current(link, "slow"):
                response = await read(slow)
                held |= {(response.type_url, r.name): r.version for r in response.resources}
                await acknowledge(slow, response)
                await asyncio.sleep(0.01)  # It reads slowly, too.
        shown = next(s.shown for s in link.plane.state.sessions.values() if s.zone == "slow")
        assert shown is not None
        types = ((t, shown.types[t].items()) for t in TYPES)
        assert held == {(t, n): r.version for t, found in types for n, r in found}


def is_current(link: GlobalLink, zone: str) -> bool:
    session = next(s for s in link.plane.state.sessions.values() if s.zone == zone)
    published = link.plane.state.published
    assert session.shown is not None
    assert published is not None
    if session.shown.revision != published.commit or len(session.senders) != len(TYPES):
        return False
    return all(sender.holds(session.shown.types[t]) for t, sender in session.senders.items())


# --- how streams end ---


@pytest.mark.parametrize("method", [DOWN, UP])
async def test_kuma_16326_a_zone_that_closes_its_side_is_never_answered_with_ok(
    link: GlobalLink, method: str
) -> None:
    """OK would leave a real zone connected and deaf."""
    async with link.channel() as channel:
        call = link.call(channel, method, "east")
        await call.initial_metadata()
        await call.done_writing()
        assert await ended(call) is grpc.StatusCode.CANCELLED
    assert link.plane.state.zones["east"].disconnected_at is not None


# --- sizes ---


def large(mib: int) -> MeshResource:
    labels = Labels.of({f"pad{i}": "x" * 1024 * 1024 for i in range(mib)})
    return replace(timeout(1000), labels=labels)


async def test_kuma_16373_what_one_side_sends_the_other_can_read(link: GlobalLink) -> None:
    """20 MiB to one of ours; to a real Kuma zone, which takes 10, it is not sent and said."""
    link.publish(large(20))
    kuma = [name for name in FEATURES if name != "revision-manifest"]
    async with link.channel() as ours_channel, link.channel() as kuma_channel:
        ours = link.call(ours_channel, DOWN, "ours")
        await subscribe(ours, "ours", "MeshTimeout")
        theirs = link.call(kuma_channel, DOWN, "theirs")
        await subscribe(theirs, "theirs", "MeshTimeout", "Mesh", features=kuma)
        async with asyncio.timeout(IN_TIME_S):
            assert len((await read(ours)).resources) == 1
            first = await read(theirs)
            assert first.type_url == "Mesh"
            await acknowledge(theirs, first)
            link.publish(large(1))
            cured = await read(theirs)
        assert (cured.type_url, len(cured.resources)) == ("MeshTimeout", 1)
        assert not theirs.done()
