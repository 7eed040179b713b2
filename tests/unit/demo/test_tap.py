"""The tap relays byte by byte, keeps what passed, and ends in silence."""

from __future__ import annotations

import asyncio
import gc

from reconciler.demo.tap import Tap


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(100):
        writer.write(data)
    writer.close()


async def test_tap_relays_both_ways_and_stops_under_way_without_a_complaint() -> None:
    complaints: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, c: complaints.append(c))
    async with await asyncio.start_server(echo, "127.0.0.1", 0) as far:
        tap = Tap(0, ("127.0.0.1", far.sockets[0].getsockname()[1]))
        await tap.start()
        assert tap._server is not None
        reader, writer = await asyncio.open_connection(*tap._server.sockets[0].getsockname())
        writer.write(b"there and back")
        assert await reader.readexactly(14) == b"there and back"
        assert tap.seen == b"there and back" * 2
        assert tap.answers == b"there and back"
        await tap.stop()
        assert await reader.read() == b""
        writer.close()
    gc.collect()
    assert complaints == []


async def test_tap_before_nobody_closes_the_connection() -> None:
    async with await asyncio.start_server(echo, "127.0.0.1", 0) as free:
        port = free.sockets[0].getsockname()[1]
    tap = Tap(0, ("127.0.0.1", port))
    await tap.start()
    assert tap._server is not None
    reader, writer = await asyncio.open_connection(*tap._server.sockets[0].getsockname())
    async with asyncio.timeout(10):
        assert await reader.read() == b""
    writer.close()
    await tap.stop()
