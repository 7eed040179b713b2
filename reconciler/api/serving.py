"""One uvicorn server inside a loop that is not its own: no signal handlers, sockets made by us."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from email.utils import formatdate
from typing import TYPE_CHECKING

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from starlette.types import ASGIApp

BACKLOG = 1024
CONNECTIONS_MAX = 2048
KEEP_ALIVE_S = 15
REQUEST_S = 10.0  # from its first byte, or the connection's start, to its last byte
HEADER_MAX = 64 * 1024  # bytes
STOP_GRACE_S = 1.0  # for answers under way; who waits for news is let go after it
UNIX_PATH_MAX = 107  # bytes


class _State(ServerState):
    """The Date of an answer is that of its moment, not of a clock that ticks."""

    @property
    def default_headers(self) -> list[tuple[bytes, bytes]]:
        return [(b"date", formatdate(usegmt=True).encode())]

    @default_headers.setter
    def default_headers(self, _headers: list[tuple[bytes, bytes]]) -> None:
        """uvicorn's own, of which we have none."""


class _Server(uvicorn.Server):
    """Waits until it is to end, which uvicorn asks ten times a second."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.server_state = _State()
        self._ending = asyncio.Event()

    async def main_loop(self) -> None:
        await self._ending.wait()

    def end(self) -> None:
        self.should_exit = True
        self._ending.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Signals are the process's business."""
        yield


class Impatient(H11Protocol):
    """Ends a connection whose request does not come in time.

    uvicorn waits for ever: peers without any right could take up every connection there is.
    """

    REQUEST_S = REQUEST_S
    _late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._unwatch()
        super().connection_lost(exc)

    def _watch(self) -> None:
        """The timer runs while a request is incomplete; between two, uvicorn's own runs."""
        cycle = self.cycle
        if cycle is not None and not cycle.more_body and not cycle.response_complete:
            self._unwatch()
        elif self._late is None:
            self._late = self.loop.call_later(self.REQUEST_S, self.transport.abort)

    def _unwatch(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None


class Attentive(Impatient):
    """Ends a connection whose peer does not read its answer in time: who reads a large list a byte
    a minute would hold all of it.
    """

    ANSWER_S = 60.0

    def _watch(self) -> None:
        super()._watch()
        cycle = self.cycle
        if cycle is not None and not cycle.more_body and not cycle.response_complete:
            self._late = self.loop.call_later(self.ANSWER_S, self.transport.abort)

    def on_response_complete(self) -> None:
        self._unwatch()
        super().on_response_complete()  # What was sent ahead is taken up there.
        if self.cycle is not None and not self.cycle.response_complete:
            self._watch()


class HttpServer:
    """Serves one application on one socket until `stop`."""

    def __init__(
        self,
        app: ASGIApp,
        sock: socket.socket,
        tls: tuple[Path, Path] | None = None,
        protocol: type[H11Protocol] = Impatient,
    ) -> None:
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            lifespan="off",
            http=protocol,
            ws="none",
            limit_concurrency=CONNECTIONS_MAX,
            timeout_keep_alive=KEEP_ALIVE_S,
            h11_max_incomplete_event_size=HEADER_MAX,
            ssl_certfile=str(tls[0]) if tls else None,
            ssl_keyfile=str(tls[1]) if tls else None,
            server_header=False,
        )
        self._server = _Server(config)
        self._socket = sock
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Raises OSError, with the socket closed, when it cannot serve."""
        self._task = asyncio.create_task(self._server.serve(sockets=[self._socket]))
        while not self._server.started:
            if self._task.done():
                self._socket.close()
                await self._task
                raise OSError("the HTTP server did not start")
            await asyncio.sleep(0.005)

    async def stop(self) -> None:
        """Takes nothing new, lets answers under way end, then closes what is left."""
        self._server.end()
        if self._task is not None:
            await asyncio.wait([self._task], timeout=STOP_GRACE_S)
            self._server.force_exit = True
            await asyncio.wait([self._task], timeout=STOP_GRACE_S)
        for connection in tuple(self._server.server_state.connections):
            connection.transport.abort()
        self._socket.close()


def unix_socket(path: Path) -> socket.socket:
    """Listening, mode 0600: nobody can connect between bind and listen. Raises OSError."""
    if len(os.fsencode(path)) > UNIX_PATH_MAX:
        raise OSError(
            f"{path} is too long for a unix socket ({UNIX_PATH_MAX} bytes); "
            "choose a shorter --state-dir"
        )
    path.unlink(missing_ok=True)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.bind(str(path))
        path.chmod(0o600)
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        raise OSError(f"cannot listen on {path}: {error.strerror}") from error
    return sock


def tcp_socket(host: str, port: int) -> socket.socket:
    """Listening; port 0 picks one. Raises OSError that names the address."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
        sock.listen(BACKLOG)  # Here a port is found taken that only SO_REUSEADDR let us bind.
    except OSError as error:
        sock.close()
        raise OSError(f"cannot listen on {host}:{port}: {error.strerror}") from error
    return sock
