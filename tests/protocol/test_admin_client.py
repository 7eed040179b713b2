"""Asking an Envoy over real sockets: who is believed, and how little one that misbehaves costs."""

from __future__ import annotations

import asyncio
import ssl
import stat
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from reconciler.admin import AdminTarget
from reconciler.admin_client import CLIENT_FILE, AdminClient, AdminFailed, AdminLimits
from reconciler.ca.admin import issue_admin_server, new_admin_ca
from tests.support.applications import served

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

pytestmark = pytest.mark.timeout(60)
NODE = "default.web-1"
LIMITS = AdminLimits(connect_s=5, request_s=5, overall_s=10, at_once=2, answer_max=10_000)
NOW = time.time()
CA = new_admin_ca(NOW)


def http(body: bytes, status: str = "200 OK", head: str = "") -> bytes:
    length = head or f"content-length: {len(body)}\r\n"
    return f"HTTP/1.1 {status}\r\n{length}\r\n".encode() + body


@asynccontextmanager
async def envoy(
    serve: Serve, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1"
) -> AsyncIterator[int]:
    """Something that listens where an Envoy would."""

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await serve(reader, writer)

    async with served(one, tls=tls, host=host) as port:
        yield port


def saying(answer: bytes) -> Serve:
    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        await writer.drain()

    return serve


async def hang(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.read()


@pytest.fixture
def client(tmp_path: Path) -> AdminClient:
    return AdminClient(CA, tmp_path, NOW, LIMITS)


async def asked(
    client: AdminClient, port: int, *, plain: bool = True, config: bool = False, node: str = NODE
) -> bytes:
    target = AdminTarget(node, "127.0.0.1", port, plain)
    return await client.get(target, "/stats?usedonly=", is_config=config, limit=1_000_000)


def server_tls(
    ca: bytes, folder: Path, node: str = NODE, host: str = "127.0.0.1"
) -> ssl.SSLContext:
    made = issue_admin_server(ca, (host,), node, NOW)
    file = folder / "server.pem"
    file.write_bytes(made.chain_pem + made.key_pem)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cadata=made.ca_pem.decode())
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(file)
    return context


async def test_answer_comes_whole_however_it_is_framed(client: AdminClient) -> None:
    for answer in (
        http(b"server.live: 1\n"),
        http(b"7\r\nserver.\r\n8\r\nlive: 1\n\r\n0\r\n\r\n", head="transfer-encoding: chunked\r\n"),
    ):
        async with envoy(saying(answer)) as port:
            assert await asked(client, port) == b"server.live: 1\n"


async def test_both_sides_prove_themselves(client: AdminClient, tmp_path: Path) -> None:
    shown: list[object] = []

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        shown.append(writer.get_extra_info("ssl_object").getpeercert()["subjectAltName"])
        writer.write(http(b"x"))

    async with envoy(serve, server_tls(CA, tmp_path)) as port:
        assert await asked(client, port, plain=False) == b"x"
    assert shown == [(("DNS", "kuma-cp"),)]
    assert stat.S_IMODE((tmp_path / CLIENT_FILE).stat().st_mode) == 0o600


async def test_a_proxy_with_an_ipv6_address(client: AdminClient, tmp_path: Path) -> None:
    tls = server_tls(CA, tmp_path, host="::1")
    async with envoy(saying(http(b"x")), tls, "::1") as port:
        target = AdminTarget(NODE, "::1", port)
        assert await client.get(target, "/stats", is_config=False, limit=100) == b"x"
    with pytest.raises(AdminFailed, match=rf"stats of \[::1\]:{port}: cannot connect"):
        await client.get(target, "/stats", is_config=False, limit=100)


async def test_server_of_another_ca_or_address_is_not_asked(
    client: AdminClient, tmp_path: Path
) -> None:
    for tls in (
        server_tls(new_admin_ca(NOW), tmp_path),
        server_tls(CA, tmp_path, host="127.0.0.9"),
    ):
        async with envoy(saying(http(b"x")), tls) as port:
            with pytest.raises(AdminFailed, match=r"cannot connect: .*certificate"):
                await asked(client, port, plain=False)


async def test_another_proxy_at_the_same_place_is_not_mistaken_for_it(
    client: AdminClient, tmp_path: Path
) -> None:
    """Envoys share a port by default: either of two might answer."""
    async with envoy(saying(http(b"x")), server_tls(CA, tmp_path, "default.web-2")) as port:
        with pytest.raises(AdminFailed, match="another proxy answers there"):
            await asked(client, port, plain=False)


async def test_keys_do_not_leave_the_zone(client: AdminClient) -> None:
    dump = b'{"private_key": {"inline_bytes": "c2VjcmV0"}}'
    async with envoy(saying(http(dump))) as port:
        found = await asked(client, port, config=True)
    assert found == b'{"private_key": {"inline_bytes": "[redacted]"}}'


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (http(b"no", "503 Service Unavailable"), "answered 503"),
        (b"", "no whole HTTP answer"),
        (b"\x16\x03\x01 what is this?\r\n", "no whole HTTP answer"),
        (http(b"half", head="content-length: 400\r\n"), "no whole HTTP answer"),
        (http(b"x" * 200_000), r"over the limit of 10000 bytes \(--admin-answer-max\)"),
        (http(b'{"a": '), "the answer is no JSON"),
    ],
)
async def test_answer_that_is_none_is_said_in_words(
    client: AdminClient, answer: bytes, why: str
) -> None:
    async with envoy(saying(answer)) as port:
        said = f"unable to send GET to stats of 127.0.0.1:{port}: .*{why}"
        with pytest.raises(AdminFailed, match=said):
            await asked(client, port, config=True)
    assert client.figures == {"asked": 1, "failed": 1, "waiting": 0}


async def test_nobody_there(client: AdminClient) -> None:
    async with envoy(hang) as port:
        pass
    with pytest.raises(AdminFailed, match="cannot connect"):
        await asked(client, port)


async def test_each_step_has_its_time(tmp_path: Path) -> None:
    async def drip(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.01)

    short = AdminClient(CA, tmp_path, NOW, AdminLimits(connect_s=5, request_s=0.1, overall_s=10))
    for serve in (hang, drip):
        async with envoy(serve) as port:
            with pytest.raises(AdminFailed, match=r"timed out after 0\.1 s"):
                await asked(short, port)
    handshake = AdminClient(CA, tmp_path, NOW, AdminLimits(connect_s=0.1))
    async with envoy(hang) as port:  # It takes the connection and says nothing of TLS.
        with pytest.raises(AdminFailed, match=r"timed out after 0\.1 s"):
            await asked(handshake, port, plain=False)


async def test_turns_are_bounded_and_so_is_waiting_for_one(tmp_path: Path) -> None:
    limits = AdminLimits(request_s=5, overall_s=0.3, at_once=1)
    busy = AdminClient(CA, tmp_path, NOW, limits)
    at_once = 0

    async def count(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        nonlocal at_once
        at_once += 1
        await reader.read()

    async with envoy(count) as port:
        asking = [asyncio.create_task(asked(busy, port)) for _ in range(5)]
        found = await asyncio.gather(*asking, return_exceptions=True)
    assert all(isinstance(e, AdminFailed) and "timed out after 0.3 s" in str(e) for e in found)
    assert at_once <= 2  # the second got its turn as the first ended
