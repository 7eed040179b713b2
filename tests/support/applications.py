"""Applications and clients of every protocol that a mesh carries, small and without a framework."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Awaitable, Callable

    Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

MIB = 1 << 20
WEBSOCKET = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455
UNARY, STREAM = "/test.Echo/Unary", "/test.Echo/Stream"


@asynccontextmanager
async def served(
    handler: Handler,
    *,
    tls: ssl.SSLContext | None = None,
    host: str = "127.0.0.1",
    port: int = 0,
) -> AsyncIterator[int]:
    """Yields the port. Who is gone while it is answered is nobody's fault."""
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await handler(reader, writer)
        except (EOFError, OSError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
            tasks.discard(task)

    server = await asyncio.start_server(serve, host, port, ssl=tls, limit=MIB)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await server.wait_closed()


def head_of(text: bytes) -> tuple[str, dict[str, str]]:
    """First line and headers."""
    first, *lines = text.decode().split("\r\n")
    pairs = (line.partition(":") for line in lines if line)
    return first, {name.lower(): value.strip() for name, _, value in pairs}


# --- bytes ---


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()


async def answers_at_the_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Says how much came once the caller has said that nothing more will."""
    told = len(await reader.read())
    writer.write(f"{told} bytes".encode())
    await writer.drain()


# --- HTTP/1.1 ---


async def digests(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers a body with its SHA-256, and a GET of a number with that many MiB."""
    line, headers = head_of(await reader.readuntil(b"\r\n\r\n"))
    _, path, _ = line.split()
    if line.startswith("GET"):
        count = int(path[1:])
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % (count * MIB))
        for block in blocks(count):
            writer.write(block)
            await writer.drain()
        return
    found = (await digest(reader, int(headers["content-length"]))).encode()
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(found) + found)
    await writer.drain()


def blocks(count: int) -> Any:
    """That many different MiB."""
    seed = hashlib.sha256(b"body").digest() * (MIB // 32)
    return (number.to_bytes(8, "big") + seed[8:] for number in range(count))


def digest_of(count: int) -> str:
    found = hashlib.sha256()
    for block in blocks(count):
        found.update(block)
    return found.hexdigest()


async def digest(reader: asyncio.StreamReader, length: int) -> str:
    found, left = hashlib.sha256(), length
    while left:
        data = await reader.read(min(left, MIB))
        if not data:
            raise EOFError(f"{left} bytes of {length} did not come")
        left -= len(data)
        found.update(data)
    return found.hexdigest()


# --- WebSocket ---


async def websocket_echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """RFC 6455, as far as an echo needs it; it speaks first."""
    _, headers = head_of(await reader.readuntil(b"\r\n\r\n"))
    assert headers["upgrade"].lower() == "websocket", headers
    proof = hashlib.sha1((headers["sec-websocket-key"] + WEBSOCKET).encode()).digest()
    accept = base64.b64encode(proof).decode()
    writer.write(
        "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n"
        f"sec-websocket-accept: {accept}\r\n\r\n".encode()
        + frame(b"hello")
    )
    while data := await read_frame(reader):
        writer.write(frame(data))
        await writer.drain()


class WebSocket:
    """A client; `open` raises ConnectionRefusedError with the status line of who says no."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def open(cls, port: int) -> WebSocket:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        key = base64.b64encode(os.urandom(16)).decode()
        writer.write(
            "GET /chat HTTP/1.1\r\nhost: test\r\nconnection: Upgrade\r\nupgrade: websocket\r\n"
            f"sec-websocket-version: 13\r\nsec-websocket-key: {key}\r\n\r\n".encode()
        )
        try:
            line, headers = head_of(await reader.readuntil(b"\r\n\r\n"))
            if " 101 " not in line:
                raise ConnectionRefusedError(line)
        except (OSError, EOFError):
            writer.close()
            raise
        proof = hashlib.sha1((key + WEBSOCKET).encode()).digest()
        assert headers["sec-websocket-accept"] == base64.b64encode(proof).decode()
        return cls(reader, writer)

    async def send(self, data: bytes) -> None:
        self._writer.write(frame(data, mask=b"mask"))
        await self._writer.drain()

    async def receive(self) -> bytes:
        return await read_frame(self._reader)

    def close(self) -> None:
        self._writer.close()


def frame(data: bytes, mask: bytes = b"") -> bytes:
    length = bytes((len(data) | (0x80 if mask else 0),))
    assert len(data) < 126
    return b"\x82" + length + mask + _masked(data, mask)


async def read_frame(reader: asyncio.StreamReader) -> bytes:
    _, length = await reader.readexactly(2)
    mask = await reader.readexactly(4) if length & 0x80 else b""
    return _masked(await reader.readexactly(length & 0x7F), mask)


def _masked(data: bytes, mask: bytes) -> bytes:
    return bytes(b ^ mask[i % 4] for i, b in enumerate(data)) if mask else data


# --- gRPC ---


@asynccontextmanager
async def grpc_echo() -> AsyncIterator[int]:
    """Unary and both ways; a trailer says how many messages came."""

    async def unary(request: bytes, context: grpc.aio.ServicerContext[Any, Any]) -> bytes:
        context.set_trailing_metadata((("x-count", "1"),))
        return request

    async def stream(
        requests: AsyncIterator[bytes], context: grpc.aio.ServicerContext[Any, Any]
    ) -> AsyncIterator[bytes]:
        count = 0
        async for request in requests:
            count += 1
            yield request
        context.set_trailing_metadata((("x-count", str(count)),))

    handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
        "Unary": grpc.unary_unary_rpc_method_handler(unary),
        "Stream": grpc.stream_stream_rpc_method_handler(stream),
    }
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Echo", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield port
    finally:
        await server.stop(None)
