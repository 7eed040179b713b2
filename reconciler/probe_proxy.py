"""Serves health checks of the applications behind this proxy to who is outside of the mesh: HTTP on
a port of its own, which the rules of a host that redirects traffic have to leave out.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import h11

from reconciler.probe_calls import called
from reconciler.probing import UNKNOWN, probe_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.probe_calls import Application
    from reconciler.probing import Verdict

REQUEST_S = 1.0  # until a request is whole, as in Kuma
CONNECTIONS_MAX = 128  # more at once are closed: nobody has so many probes
HEAD_MAX = 16 * 1024  # bytes
CHUNK = 65536
BACKLOG = 128
STOP_S = 5.0


@contextmanager
def probe_proxy(port: int, application: Application) -> Iterator[int]:
    """Serves as long as the block lasts, in a thread of its own; yields the port. Raises OSError
    when it cannot listen there.
    """
    listening = _listening(port)
    loop = asyncio.new_event_loop()
    server = _Server(application)
    thread = threading.Thread(target=loop.run_forever, name="probe-proxy", daemon=True)
    thread.start()
    asyncio.run_coroutine_threadsafe(server.start(listening), loop).result()
    try:
        yield listening.getsockname()[1]
    finally:
        with suppress(TimeoutError):
            asyncio.run_coroutine_threadsafe(server.stop(), loop).result(STOP_S)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(STOP_S)
        loop.close()


def _listening(port: int) -> socket.socket:
    """On every address of this host, of both families where there are two."""
    if socket.has_dualstack_ipv6():
        with suppress(OSError):
            return socket.create_server(
                ("", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=BACKLOG
            )
    return socket.create_server(("", port), backlog=BACKLOG)


class _Server:
    """One answer a connection. It accepts by itself: a connection that asyncio's own server accepts
    as it is closed is never closed.
    """

    def __init__(self, application: Application) -> None:
        self._application = application
        self._tasks: set[asyncio.Task[None]] = set()
        self._listening: socket.socket | None = None

    async def start(self, listening: socket.socket) -> None:
        listening.setblocking(False)
        self._listening = listening
        asyncio.get_running_loop().add_reader(listening, self._accept, listening)

    async def stop(self) -> None:
        assert self._listening is not None
        asyncio.get_running_loop().remove_reader(self._listening)
        self._listening.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, listening: socket.socket) -> None:
        try:
            connection, _ = listening.accept()
        except OSError:
            return  # It has gone meanwhile, or there are too many files.
        if len(self._tasks) >= CONNECTIONS_MAX:
            connection.close()
            return
        connection.setblocking(False)
        task = asyncio.create_task(self._served(connection))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: connection.close())  # It may never have begun.

    async def _served(self, connection: socket.socket) -> None:
        reader, writer = await asyncio.open_connection(sock=connection)
        talk = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_MAX)
        try:
            async with asyncio.timeout(REQUEST_S):
                request = await _request(reader, talk)
            if request is not None:
                verdict = await self._verdict(request)
                async with asyncio.timeout(REQUEST_S):
                    writer.write(_answer(talk, verdict))
                    await writer.drain()
        except (OSError, TimeoutError, h11.ProtocolError):
            writer.transport.abort()
        except asyncio.CancelledError:
            writer.transport.abort()
            raise
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def _verdict(self, request: h11.Request) -> Verdict:
        headers = [(n.decode("latin-1"), v.decode("latin-1")) for n, v in request.headers]
        probe = probe_of(request.target.decode("latin-1"), headers)
        return UNKNOWN if probe is None else await called(self._application, probe)


async def _request(reader: asyncio.StreamReader, talk: h11.Connection) -> h11.Request | None:
    """Its head: a probe's body is of no interest. None when nothing came."""
    while True:
        event = talk.next_event()
        if event is h11.NEED_DATA:
            talk.receive_data(await reader.read(CHUNK))
        else:
            return event if isinstance(event, h11.Request) else None


def _answer(talk: h11.Connection, verdict: Verdict) -> bytes:
    body = f"{verdict.word}\n".encode()
    headers = [
        ("content-type", "text/plain; charset=utf-8"),
        ("x-content-type-options", "nosniff"),
        ("content-length", str(len(body))),
        ("connection", "close"),
    ]
    response = h11.Response(status_code=verdict.status, headers=headers)
    parts = (talk.send(response), talk.send(h11.Data(data=body)), talk.send(h11.EndOfMessage()))
    return b"".join(part or b"" for part in parts)
