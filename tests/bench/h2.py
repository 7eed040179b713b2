"""HTTP/2 as far as one gRPC client needs it: a connection over TLS with a few long streams.

A thousand of these in one process cost less than a hundred channels of grpcio, so that what is
measured is the server. Only what a server of ours answers is understood; RFC 9113 has the frames.
"""

from __future__ import annotations

import asyncio
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RESET, SETTINGS, PING, GOAWAY, WINDOW = 0, 1, 3, 4, 6, 7, 8
END_STREAM, ACK, END_HEADERS = 1, 1, 4
WINDOW_BYTES = 2**28  # of a stream and of the connection; Envoy's are of this order
FRAME_MAX = 16_384
INITIAL_WINDOW_SIZE = 4  # the setting's number


def frame(kind: int, flags: int, stream: int, body: bytes) -> bytes:
    return (
        struct.pack(">I", len(body) << 8 | kind)
        + bytes((flags,))
        + struct.pack(">I", stream)
        + body
    )


def _literal(name: str, value: str) -> bytes:
    """A header never indexed, without Huffman (RFC 7541 6.2.3)."""
    return b"\x10" + _string(name) + _string(value)


def _string(text: str) -> bytes:
    data = text.encode()
    if len(data) < 127:
        return bytes((len(data),)) + data
    rest, out = len(data) - 127, bytearray((127,))
    while rest > 127:
        out.append(rest & 127 | 128)
        rest >>= 7
    out.append(rest)
    return bytes(out) + data


class Connection(asyncio.Protocol):
    """`on_message(stream, message)` and `on_over(stream or 0, why)` are called on the loop."""

    def __init__(
        self, on_message: Callable[[int, bytes], None], on_over: Callable[[int, str], None]
    ) -> None:
        self._on_message, self._on_over = on_message, on_over
        self._transport: asyncio.Transport | None = None
        self._received = bytearray()
        self._messages: dict[int, bytearray] = {}
        self._unacknowledged = 0
        self._streams = 1
        self._paths: dict[str, int] = {}

    # --- what the owner does ---

    def open(self, path: str, token: str) -> int:
        """A stream of a gRPC method; returns its id."""
        stream, self._streams = self._streams, self._streams + 2
        headers = (
            (":method", "POST"), (":scheme", "https"), (":path", path), (":authority", "zone"),
            ("content-type", "application/grpc"), ("authorization", token),
            ("te", "trailers"),  # codespell:ignore te
        )  # fmt: skip
        block = b"".join(_literal(*pair) for pair in headers)
        self._messages[stream] = bytearray()
        self._write(frame(HEADERS, END_HEADERS, stream, block))
        return stream

    def send(self, stream: int, *messages: bytes) -> None:
        """In one write, as Envoy does."""
        out = bytearray()
        for message in messages:
            data = b"\0" + struct.pack(">I", len(message)) + message
            for at in range(0, len(data), FRAME_MAX):
                out += frame(DATA, 0, stream, data[at : at + FRAME_MAX])
        self._write(bytes(out))

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _write(self, data: bytes) -> None:
        assert self._transport is not None
        self._transport.write(data)

    # --- asyncio.Protocol ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        settings = struct.pack(">HI", INITIAL_WINDOW_SIZE, WINDOW_BYTES)
        window = struct.pack(">I", WINDOW_BYTES)
        self._write(PREFACE + frame(SETTINGS, 0, 0, settings) + frame(WINDOW, 0, 0, window))

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        self._on_over(0, str(error or "closed"))

    def data_received(self, data: bytes) -> None:
        buffer = self._received
        buffer += data
        at = 0
        while len(buffer) - at >= 9:
            size = int.from_bytes(buffer[at : at + 3], "big")
            if len(buffer) - at < 9 + size:
                break
            stream = int.from_bytes(buffer[at + 5 : at + 9], "big")
            self._frame(
                buffer[at + 3], buffer[at + 4], stream, bytes(buffer[at + 9 : at + 9 + size])
            )
            at += 9 + size
        del buffer[:at]

    def _frame(self, kind: int, flags: int, stream: int, body: bytes) -> None:
        if kind == DATA:
            self._data(stream, body)
        elif kind == SETTINGS and not flags & ACK:
            self._write(frame(SETTINGS, ACK, 0, b""))
        elif kind == PING and not flags & ACK:
            self._write(frame(PING, ACK, 0, body))
        elif (kind == HEADERS and flags & END_STREAM) or kind in (RESET, GOAWAY):
            self._on_over(stream, f"frame {kind}: {body!r}")

    def _data(self, stream: int, body: bytes) -> None:
        self._unacknowledged += len(body)
        if self._unacknowledged > WINDOW_BYTES // 4:
            window = struct.pack(">I", self._unacknowledged)
            self._write(frame(WINDOW, 0, 0, window) + frame(WINDOW, 0, stream, window))
            self._unacknowledged = 0
        held = self._messages[stream]
        held += body
        while len(held) >= 5:
            size = int.from_bytes(held[1:5], "big")
            if len(held) < 5 + size:
                return
            message = bytes(held[5 : 5 + size])
            del held[: 5 + size]
            self._on_message(stream, message)


async def connect(
    address: tuple[str, int],
    tls: ssl.SSLContext,
    on_message: Callable[[int, bytes], None],
    on_over: Callable[[int, str], None],
) -> Connection:
    """Raises OSError."""
    _, connection = await asyncio.get_running_loop().create_connection(
        lambda: Connection(on_message, on_over), *address, ssl=tls, server_hostname="localhost"
    )
    return connection
