"""Every protocol that a mesh carries, between two zones through the ingress: real Envoys, and the
bytes that the applications on both sides saw.
"""

from __future__ import annotations

import asyncio
import re
import ssl
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import grpc.aio
import pytest
import pytest_asyncio

from tests.support.ads_client import server_certificate
from tests.support.applications import (
    MIB,
    STREAM,
    UNARY,
    WebSocket,
    answers_at_the_end,
    blocks,
    digest,
    digest_of,
    digests,
    echo,
    grpc_echo,
    head_of,
    served,
    websocket_echo,
)
from tests.support.fleet import ALLOW_ALL, App, Fleet, a_mesh

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(150),
    pytest.mark.asyncio(loop_scope="module"),
]
BODY_MIB = 1024
BODY_MAX_S = 60.0
MEMORY_MAX_MIB = 64  # an Envoy may grow by this while a body of BODY_MIB passes


@dataclass
class World:
    """Zone east calls what is in zone west; `at` is where it takes calls, by service."""

    fleet: Fleet
    at: dict[str, int]


def timeout_of(service: str, request: str) -> dict[str, object]:
    to = [
        {
            "targetRef": {"kind": "MeshService", "name": service},
            "default": {"http": {"requestTimeout": request}},
        }
    ]
    spec = {"targetRef": {"kind": "Mesh"}, "to": to}
    name = f"a-time-{service}"  # before the default, which otherwise wins
    return {"type": "MeshTimeout", "mesh": "default", "name": name, "spec": spec}


def server_tls(folder: Path) -> ssl.SSLContext:
    """The application's own TLS."""
    made = server_certificate()
    for name, pem in (("cert.pem", made.cert_pem), ("key.pem", made.key_pem)):
        (folder / name).write_bytes(pem)
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return server


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("protocols")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(folder: Path) -> AsyncIterator[World]:
    tls = server_tls(folder)
    short = {f"time-{name}": timeout_of(name, "1s") for name in ("chat", "streams")}
    fleet = Fleet(
        folder / "f",
        mesh=a_mesh(),
        allow=ALLOW_ALL,
        body=timeout_of("body", "0s"),
        **short,
    )
    async with AsyncExitStack() as stack:
        stack.callback(fleet.stop)
        port = stack.enter_async_context
        apps = (
            App("body", await port(served(digests)), "http"),
            App("chat", await port(served(websocket_echo)), "http"),
            App("h2", grpc_port := await port(grpc_echo()), "http2"),
            App("streams", grpc_port, "grpc"),
            App("bytes", await port(served(answers_at_the_end)), "tcp"),
            App("secret", await port(served(echo, tls=tls)), "tls"),
            App("events", await port(served(echo)), "kafka"),
        )
        await fleet.start_global()
        await asyncio.gather(*map(fleet.start_zone, fleet.zones))
        fleet.ingress("ingress", "west")
        fleet.sidecar("far", "west", *apps)
        near = fleet.sidecar("near", "east", App("near", 1), to=tuple(app.service for app in apps))
        await fleet.all_acked(east=1, west=2)
        ready = partial(_are_reached, fleet, {app.service for app in apps})
        await fleet.until("the services of west in east", ready)
        yield World(fleet, near.calls)


def _are_reached(fleet: Fleet, services: set[str]) -> bool:
    known = fleet.endpoints("near")
    return all(known.get(service) for service in services)


async def exchange(
    port: int, data: bytes, tls: ssl.SSLContext | None = None, *, ends: bool
) -> bytes:
    """What comes back for the data; with `ends` the caller says that nothing more will come."""
    name = "localhost" if tls is not None else None
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls, server_hostname=name)
    try:
        writer.write(data)
        if ends:
            writer.write_eof()
        return await (reader.read() if ends else reader.readexactly(len(data)))
    finally:
        writer.close()


async def test_bytes_of_any_kind_pass_and_a_half_closed_connection_still_answers(
    world: World,
) -> None:
    assert await exchange(world.at["bytes"], b"x" * 100_000, ends=True) == b"100000 bytes"


async def test_a_protocol_without_rules_of_its_own_passes_as_bytes(world: World) -> None:
    """Kafka: this Envoy has no filter for it, and none is needed to carry it."""
    data = bytes(range(256)) * 64
    assert await exchange(world.at["events"], data, ends=False) == data


async def test_tls_of_the_application_arrives_at_the_application(
    world: World, folder: Path
) -> None:
    """Inside the mesh's own: the client verifies the certificate of the application."""
    client = ssl.create_default_context(cafile=folder / "cert.pem")
    assert await exchange(world.at["secret"], b"hello", client, ends=False) == b"hello"


async def test_a_websocket_passes_both_ways_and_outlives_the_timeout_of_requests(
    world: World,
) -> None:
    chat = await WebSocket.open(world.at["chat"])
    began = time.monotonic()
    assert await chat.receive() == b"hello"
    while time.monotonic() - began < 1.5:
        await chat.send(b"still there")
        assert await chat.receive() == b"still there"
        await asyncio.sleep(0.1)  # A conversation has pauses.
    chat.close()


@pytest.mark.parametrize("service", ["h2", "streams"])
async def test_calls_and_their_trailers_pass_over_http2(world: World, service: str) -> None:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{world.at[service]}") as channel:
        unary: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(UNARY)
        call = unary(b"hello")
        assert await call == b"hello"
        assert dict(await call.trailing_metadata() or ())["x-count"] == "1"


async def test_a_stream_stays_up_while_policies_change_around_it(world: World) -> None:
    """Both pushes are about its own way: its listener in east, its inbound in west. What is under
    way on a listener that is another one has 30 s to end.
    """
    async with grpc.aio.insecure_channel(f"127.0.0.1:{world.at['streams']}") as channel:
        call: grpc.aio.StreamStreamCall[bytes, bytes] = channel.stream_stream(STREAM)()
        count = 0

        async def still_there() -> None:
            nonlocal count
            for _ in range(20):
                count += 1
                await call.write(b"%d" % count)
                assert await call.read() == b"%d" % count

        await still_there()
        before = listeners(world)
        await world.fleet.commit(**{"time-streams": timeout_of("streams", "2s")})
        await still_there()
        assert listeners(world)[0] > before[0]
        await world.fleet.commit(allow=named_permission("spiffe://default"))
        assert listeners(world)[1] > before[1]
        await still_there()
        await call.done_writing()
        assert await call.read() is grpc.aio.EOF
        assert dict(await call.trailing_metadata() or ())["x-count"] == str(count)


def listeners(world: World) -> list[int]:
    """How many listeners the Envoys of both sides have taken."""
    pattern = r"^listener_manager\.lds\.update_success$"
    return [sum(world.fleet.stats(name, pattern).values()) for name in ("near", "far")]


def named_permission(prefix: str) -> dict[str, object]:
    """Allows the same callers in other words."""
    match = {"spiffeID": {"type": "Prefix", "value": prefix}}
    rules = [{"default": {"allow": [match]}}]
    spec = {"targetRef": {"kind": "Mesh"}, "rules": rules}
    return {"type": "MeshTrafficPermission", "mesh": "default", "name": "allow-all", "spec": spec}


async def test_a_body_of_a_gibibyte_passes_through_bounded_memory_both_ways(world: World) -> None:
    began, before = time.monotonic(), memory(world)
    port = world.at["body"]
    head = f"POST / HTTP/1.1\r\nhost: test\r\ncontent-length: {BODY_MIB * MIB}\r\n\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=MIB)
    writer.write(head.encode())
    for block in blocks(BODY_MIB):
        writer.write(block)
        await writer.drain()
    line, headers = head_of(await reader.readuntil(b"\r\n\r\n"))
    assert " 200 " in line
    told = await reader.readexactly(int(headers["content-length"]))
    writer.close()
    expected = await asyncio.to_thread(digest_of, BODY_MIB)
    assert told.decode() == expected
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=MIB)
    writer.write(f"GET /{BODY_MIB} HTTP/1.1\r\nhost: test\r\n\r\n".encode())
    await reader.readuntil(b"\r\n\r\n")
    assert await digest(reader, BODY_MIB * MIB) == expected
    writer.close()
    assert time.monotonic() - began < BODY_MAX_S
    grown = {name: now - before[name] for name, now in memory(world).items()}
    assert max(grown.values()) < MEMORY_MAX_MIB, grown


def memory(world: World) -> dict[str, int]:
    """The most that each Envoy on the way has had in memory, in MiB."""
    found = {}
    for name in ("near", "far", "ingress"):
        status = Path(f"/proc/{world.fleet.pid(name)}/status").read_text()
        peak = re.search(r"VmHWM:\s+(\d+)", status)
        assert peak is not None
        found[name] = int(peak[1]) // 1024
    return found
