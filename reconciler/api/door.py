"""One TLS port, two servers behind it: the ClientHello's ALPN says which, and the bytes go on as
they came.

`h2` is gRPC; everything else is HTTP (kuma-dp's client offers no protocol at all). TLS ends at the
server behind: ending it here would cost 270 kB a connection. Peers have shown nothing yet, so a
connection that sends no whole ClientHello is let go after `hello_s`, and when too many wait, the
one that has waited longest makes room: they cannot keep a proxy out.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconciler.client_hello import More, NotAHello, protocols_of

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Coroutine, Mapping
    from pathlib import Path

BACKLOG = 1024
ACCEPTED_MAX = 32  # connections in one turn of the loop
GRPC = b"h2"
PLAIN_HTTP = (b"GET ", b"POST", b"PUT ", b"HEAD")
USE_TLS = (
    b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-type: text/plain\r\n\r\n"
    b"this port speaks TLS; use https://\n"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DoorLimits:
    waiting: int = 512  # connections without a whole ClientHello
    open: int = 12_000  # handed on; a proxy has one for ADS, and one for moments
    hello_s: float = 5.0
    idle_s: float = 60.0  # gRPC pings every 15 s in both directions


@dataclass(frozen=True, slots=True)
class Behind:
    """Where the two servers listen: gRPC on a TCP port, HTTP on a unix socket. Both speak TLS."""

    grpc: tuple[str, int]
    http: Path


def reach(host: str) -> str:
    """Where this machine reaches a server that listens on `host`."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - not to listen


class Door:
    """Listens on `listening` from `start` to `stop`. `crowded` is called when connections begin to
    be turned away, at most once a minute.
    """

    def __init__(
        self,
        listening: socket.socket,
        behind: Behind,
        crowded: Callable[[str], None],
        limits: DoorLimits | None = None,
    ) -> None:
        self.limits = limits or DoorLimits()
        self._listening = listening
        self._behind = behind
        self._crowded = crowded
        self._said = -60.0
        self._server: asyncio.Server | None = None
        self._waiting: dict[_Outer, None] = {}  # oldest first
        self._open: set[_Outer] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._ended: Counter[str] = Counter()
        self._sweeping: asyncio.TimerHandle | None = None

    @property
    def figures(self) -> Mapping[str, int]:
        """`waiting` and `open` now; since the start: to `grpc`, to `http`, and turned away: `late`,
        `idle`, `crowded`, `full`, `garbage`, `unreachable`.
        """
        return {"waiting": len(self._waiting), "open": len(self._open), **self._ended}

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        # asyncio accepts a whole backlog in one turn. Those behind the first would count as waiting
        # though their ClientHello is here, and a burst of proxies would crowd itself out.
        self._server = await loop.create_server(
            lambda: _Outer(self), sock=self._listening, backlog=ACCEPTED_MAX
        )
        self._listening.listen(BACKLOG)
        self._sweep()

    async def stop(self) -> None:
        if self._sweeping is not None:
            self._sweeping.cancel()
        if self._server is not None:
            self._server.close()
        for connection in (*self._waiting, *self._open):
            connection.abort()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._listening.close()

    # --- called by connections ---

    def arrived(self, connection: _Outer) -> None:
        if len(self._waiting) >= self.limits.waiting:
            self._turned_away("crowded", next(iter(self._waiting)))
        self._waiting[connection] = None

    def decided(self, connection: _Outer, *, grpc: bool) -> None:
        self._waiting.pop(connection, None)
        if len(self._open) >= self.limits.open:
            self._turned_away("full", connection)
            return
        self._open.add(connection)
        self._ended["grpc" if grpc else "http"] += 1
        task = asyncio.get_running_loop().create_task(self._hand_on(connection, grpc=grpc))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def garbage(self, connection: _Outer) -> None:
        self._ended["garbage"] += 1
        self._waiting.pop(connection, None)

    def gone(self, connection: _Outer) -> None:
        self._waiting.pop(connection, None)
        self._open.discard(connection)

    async def _hand_on(self, connection: _Outer, *, grpc: bool) -> None:
        try:
            async with asyncio.timeout(self.limits.hello_s):
                await self._dial(connection, grpc=grpc)
        except OSError:  # also TimeoutError
            self._ended["unreachable"] += 1
            connection.abort()

    def _dial(self, connection: _Outer, *, grpc: bool) -> Coroutine[None, None, object]:
        loop = asyncio.get_running_loop()
        if grpc:
            host, port = self._behind.grpc
            return loop.create_connection(lambda: _Inner(connection), host, port)
        return loop.create_unix_connection(lambda: _Inner(connection), str(self._behind.http))

    def _turned_away(self, why: str, connection: _Outer) -> None:
        self._ended[why] += 1
        self.gone(connection)
        connection.abort()
        now = time.monotonic()
        if why in ("crowded", "full") and now - self._said >= 60.0:
            self._said = now
            self._crowded(self._words(why))

    def _words(self, why: str) -> str:
        if why == "full":
            return f"full: {self.limits.open} connections are open; the limit is --door-open-max"
        waiting = self.limits.waiting
        return f"crowded: {waiting} connections have not begun TLS; the limit is --door-waiting-max"

    def _sweep(self) -> None:
        """One timer for all: a timer each would be the larger part of what a connection costs."""
        now = time.monotonic()
        for connection in [c for c in self._waiting if now - c.heard >= self.limits.hello_s]:
            self._turned_away("late", connection)
        for connection in [c for c in self._open if now - c.heard >= self.limits.idle_s]:
            self._turned_away("idle", connection)
        every = min(self.limits.hello_s, self.limits.idle_s) / 5
        self._sweeping = asyncio.get_running_loop().call_later(every, self._sweep)


class _Half(asyncio.Protocol):
    """One of two connections that are passed through to each other. `other` is the other one's
    transport.
    """

    __slots__ = ("other", "transport")

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.other: asyncio.Transport | None = None

    def pause_writing(self) -> None:
        if self.other is not None:
            self.other.pause_reading()

    def resume_writing(self) -> None:
        if self.other is not None:
            with suppress(RuntimeError):  # It is closing.
                self.other.resume_reading()

    def abort(self) -> None:
        if self.transport is not None:
            self.transport.abort()


class _Outer(_Half):
    """A connection of a peer. `heard` is when it came; once handed on, when bytes last passed."""

    __slots__ = ("_door", "_hello", "_needed", "_one_way", "heard")

    def __init__(self, door: Door) -> None:
        super().__init__()
        self._door = door
        self._hello: bytearray | None = bytearray()
        self._needed = 0
        self._one_way = False
        self.heard = time.monotonic()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._door.arrived(self)

    def data_received(self, data: bytes) -> None:
        if self.other is not None:
            self.heard = time.monotonic()
            self.other.write(data)
            return
        if self._hello is None or self.transport is None:
            return
        self._hello += data
        if len(self._hello) >= self._needed:
            self._read_hello(self._hello)

    def _read_hello(self, hello: bytearray) -> None:
        assert self.transport is not None
        try:
            found = protocols_of(hello)
        except NotAHello:
            self._door.garbage(self)
            if hello.startswith(PLAIN_HTTP):
                self.transport.write(USE_TLS)
            self._hello = None
            self.transport.close()
            return
        if isinstance(found, More):
            self._needed = found.needed
            return
        self.transport.pause_reading()
        self.heard = time.monotonic()
        self._door.decided(self, grpc=GRPC in found)

    def eof_received(self) -> bool:
        return self.passes_on_end_to(self.other)

    def passes_on_end_to(self, other: asyncio.Transport | None) -> bool:
        """One direction has ended; False when that was the second, and the connection closes."""
        if other is None or self._one_way:
            return False
        self._one_way = True
        with suppress(OSError, RuntimeError):
            other.write_eof()
        return True

    def joined(self, inner: asyncio.Transport) -> None:
        """The server behind is there: it gets what came so far."""
        if self.transport is None or self.transport.is_closing() or self._hello is None:
            inner.abort()
            return
        self.other = inner
        inner.write(bytes(self._hello))
        self._hello = None
        self.transport.resume_reading()

    def connection_lost(self, _error: Exception | None) -> None:
        self._door.gone(self)
        self._hello = None
        if self.other is not None:
            self.other.close()
        self.other = self.transport = None


class _Inner(_Half):
    """The connection to the server behind."""

    __slots__ = ("_outer",)

    def __init__(self, outer: _Outer) -> None:
        super().__init__()
        self._outer = outer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport, self.other = transport, self._outer.transport
        self._outer.joined(transport)

    def data_received(self, data: bytes) -> None:
        if self.other is not None:
            self._outer.heard = time.monotonic()
            self.other.write(data)

    def eof_received(self) -> bool:
        return self._outer.passes_on_end_to(self.other)

    def connection_lost(self, _error: Exception | None) -> None:
        if self.other is not None:
            self.other.close()
        self.other = self.transport = None
