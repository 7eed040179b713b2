"""One port before two servers, over real sockets: who gets where, and nobody keeps others out."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest

from reconciler.api.door import Behind, Door, DoorLimits, reach
from reconciler.api.serving import tcp_socket
from tests.unit.reconciler.test_client_hello import hello

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

H2, NO_ALPN = hello("h2"), hello()
ENDED = (ConnectionError, asyncio.IncompleteReadError)
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Room:
    """A door, and two servers behind it that say who they are and repeat what they hear."""

    def __init__(self, door: Door, port: int) -> None:
        self.door, self.port = door, port
        self.said: list[str] = []
        self.dialled: list[asyncio.StreamWriter] = []

    async def dial(self, first: bytes = b"") -> Streams:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(first)
        self.dialled.append(writer)
        return reader, writer

    async def leave(self) -> None:
        for writer in self.dialled:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def served(self, first: bytes, by: bytes) -> Streams:
        async with asyncio.timeout(5):
            reader, writer = await self.dial(first)
            assert await reader.readexactly(len(by) + len(first)) == by + first
        return reader, writer

    async def until(self, claim: Callable[[], bool]) -> None:
        async with asyncio.timeout(5):
            while not claim():  # noqa: ASYNC110 - the door counts, and tells nobody
                await asyncio.sleep(0.005)


class Repeating(asyncio.Protocol):
    """Says who it is and repeats what it hears."""

    def __init__(self, name: bytes) -> None:
        self.name = name
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(self.name)

    def data_received(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.write(data)


@asynccontextmanager
async def room(limits: DoorLimits | None = None) -> AsyncIterator[Room]:
    with TemporaryDirectory() as folder:
        inside = Path(folder) / "boot.sock"
        loop = asyncio.get_running_loop()
        grpc = await loop.create_server(lambda: Repeating(b"grpc"), "127.0.0.1", 0)
        http = await loop.create_unix_server(lambda: Repeating(b"http"), inside)
        listening = tcp_socket("127.0.0.1", 0)
        port = listening.getsockname()[1]
        found: list[Room] = []
        door = Door(
            listening,
            Behind(grpc.sockets[0].getsockname(), inside),
            lambda why: found[0].said.append(why),
            limits,
        )
        found.append(Room(door, port))
        await door.start()
        try:
            yield found[0]
        finally:
            await found[0].leave()
            await door.stop()
            grpc.close()
            http.close()


async def test_alpn_decides_and_every_byte_arrives() -> None:
    async with room() as here:
        for first, by in ((H2, b"grpc"), (NO_ALPN, b"http"), (hello("http/1.1"), b"http")):
            _, writer = await here.served(first, by)
            writer.close()
        assert here.door.figures["grpc"] == 1
        assert here.door.figures["http"] == 2


async def test_a_burst_that_has_said_hello_does_not_crowd_itself_out() -> None:
    """All are in the kernel's queue, ClientHello and all, before the door looks at it once."""
    async with room(DoorLimits(waiting=100)) as here, asyncio.timeout(20):
        burst = [socket.create_connection(("127.0.0.1", here.port)) for _ in range(300)]
        for peer in burst:
            peer.sendall(H2)
        await here.until(lambda: here.door.figures.get("grpc", 0) == 300)
        assert "crowded" not in here.door.figures
        for peer in burst:
            peer.close()


async def test_a_hello_that_comes_in_pieces() -> None:
    async with room() as here, asyncio.timeout(5):
        reader, writer = await here.dial()
        for at in range(0, len(H2), 50):
            writer.write(H2[at : at + 50])
            await asyncio.sleep(0.001)
        assert await reader.readexactly(4 + len(H2)) == b"grpc" + H2


async def test_much_data_passes_whole_in_both_directions_and_the_end_of_it() -> None:
    async with room() as here, asyncio.timeout(20):
        reader, writer = await here.served(H2, b"grpc")
        much = bytes(range(256)) * 40_000

        received = asyncio.create_task(reader.read())
        writer.write(much)
        await writer.drain()
        writer.write_eof()
        assert await received == much


async def test_who_speaks_no_tls_is_told_so_or_let_go() -> None:
    async with room() as here, asyncio.timeout(5):
        reader, _ = await here.dial(b"POST /bootstrap HTTP/1.1\r\n\r\n")
        assert b"this port speaks TLS" in await reader.read()
        reader, _ = await here.dial(b"\x00\x01\x02\x03")
        assert await reader.read() == b""
        assert here.door.figures["garbage"] == 2


async def test_who_says_nothing_or_drips_is_let_go() -> None:
    async with room(DoorLimits(hello_s=0.2)) as here, asyncio.timeout(5):
        silent, _ = await here.dial()
        dripping, writer = await here.dial()
        for byte in H2[:5]:
            writer.write(bytes((byte,)))
            await asyncio.sleep(0.01)
        for reader in (silent, dripping):
            with pytest.raises(ENDED):
                await reader.readexactly(1)
        assert here.door.figures["late"] == 2
        assert here.door.figures["waiting"] == 0


async def test_a_thousand_half_open_connections_do_not_keep_a_proxy_out() -> None:
    async with room() as here, asyncio.timeout(20):
        for _ in range(1000):
            await here.dial()
        await here.until(lambda: here.door.figures.get("crowded", 0) == 1000 - 512)
        await here.served(H2, b"grpc")
        assert ["--door-waiting-max" in text for text in here.said] == [True]
        assert here.door.figures["waiting"] <= 512


async def test_beyond_its_limit_it_takes_no_more_and_again_when_one_goes() -> None:
    async with room(DoorLimits(open=1)) as here, asyncio.timeout(5):
        _, first = await here.served(H2, b"grpc")
        reader, _ = await here.dial(H2)
        with pytest.raises(ENDED):
            await reader.readexactly(1)
        assert here.said == ["full: 1 connections are open; the limit is --door-open-max"]
        first.close()
        await here.until(lambda: here.door.figures["open"] == 0)
        await here.served(H2, b"grpc")


async def test_a_connection_on_which_nothing_passes_is_ended() -> None:
    async with room(DoorLimits(idle_s=0.2)) as here, asyncio.timeout(5):
        reader, _ = await here.served(H2, b"grpc")
        with pytest.raises(ENDED):
            await reader.readexactly(1)
        assert here.door.figures["idle"] == 1


async def test_a_server_that_is_not_there_costs_its_connection_only() -> None:
    async with room() as here, asyncio.timeout(5):
        here.door._behind = Behind(("127.0.0.1", 1), Path("/nowhere"))
        for first in (H2, NO_ALPN):
            reader, _ = await here.dial(first)
            with pytest.raises(ENDED):
                await reader.readexactly(1)
        assert here.door.figures["unreachable"] == 2
        assert here.door.figures["open"] == 0


def test_where_this_machine_reaches_itself() -> None:
    assert [reach(host) for host in ("0.0.0.0", "::", "10.0.0.1")] == [
        "127.0.0.1",
        "::1",
        "10.0.0.1",
    ]


MEASURED = """
import asyncio, sys
from pathlib import Path
from reconciler.api.door import Behind, Door
from reconciler.api.serving import tcp_socket

async def main():
    listening = tcp_socket("127.0.0.1", 0)
    door = Door(listening, Behind(("127.0.0.1", int(sys.argv[1])), Path("x")), print)
    await door.start()
    print(listening.getsockname()[1], flush=True)
    while await asyncio.to_thread(sys.stdin.readline):
        held = [line.split()[1] for line in open("/proc/self/status") if "VmRSS" in line]
        print(*held, door.figures["open"], flush=True)

asyncio.run(main())
"""


async def test_a_passed_on_connection_costs_less_than_16_kb() -> None:
    loop = asyncio.get_running_loop()
    grpc = await loop.create_server(lambda: Repeating(b"grpc"), "127.0.0.1", 0)
    behind = str(grpc.sockets[0].getsockname()[1])
    process = await asyncio.to_thread(
        subprocess.Popen,
        [sys.executable, "-c", MEASURED, behind],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip

    def ask() -> str:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("\n")
        process.stdin.flush()
        return str(process.stdout.readline())

    async def asked() -> list[int]:
        line = await asyncio.to_thread(ask)
        return [int(word) for word in line.split()]

    count = 600
    here = Room(Door.__new__(Door), 0)
    try:
        assert process.stdout is not None
        here.port = int(await asyncio.to_thread(process.stdout.readline))
        for _ in range(20):  # Then code and caches are there.
            await here.served(H2, b"grpc")
        before, _ = await asked()
        for _ in range(count):
            await here.served(H2, b"grpc")
        after, open_now = await asked()
    finally:
        process.kill()
        process.communicate()
        await here.leave()
        grpc.close()
    assert open_now == count + 20
    assert (after - before) / count < 16
