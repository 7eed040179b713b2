"""One uvicorn server inside a loop that is not its own: no signal handlers, sockets made by us."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING

import uvicorn

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from starlette.applications import Starlette

BACKLOG = 1024
CONNECTIONS_MAX = 2048
KEEP_ALIVE_S = 15


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Signals are the process's business."""
        yield


class HttpServer:
    """Serves one application on one socket until `stop`."""

    def __init__(
        self, app: Starlette, sock: socket.socket, tls: tuple[Path, Path] | None = None
    ) -> None:
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            lifespan="off",
            http="h11",
            ws="none",
            limit_concurrency=CONNECTIONS_MAX,
            timeout_keep_alive=KEEP_ALIVE_S,
            h11_max_incomplete_event_size=64 * 1024,
            ssl_certfile=str(tls[0]) if tls else None,
            ssl_keyfile=str(tls[1]) if tls else None,
            server_header=False,
        )
        self._server = _Server(config)
        self._socket = sock
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._task = asyncio.create_task(self._server.serve(sockets=[self._socket]))
        while not self._server.started:
            if self._task.done():
                await self._task
                raise OSError("the HTTP server did not start")
            await asyncio.sleep(0.005)

    async def stop(self) -> None:
        self._server.should_exit = True
        self._server.force_exit = True
        if self._task is not None:
            await asyncio.wait([self._task], timeout=5)
        self._socket.close()


def unix_socket(path: Path) -> socket.socket:
    """Listening, mode 0600 from its first moment."""
    path.unlink(missing_ok=True)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    # The state directory is 0700, so nobody can come in between bind and chmod.
    sock.bind(str(path))
    path.chmod(0o600)
    sock.listen(BACKLOG)
    return sock


def tcp_socket(host: str, port: int) -> socket.socket:
    """Listening; port 0 picks one. Raises OSError that names the address."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
    except OSError as error:
        sock.close()
        raise OSError(f"cannot listen on {host}:{port}: {error.strerror}") from error
    sock.listen(BACKLOG)
    return sock
