"""A wire tap between two zones: relays TCP byte by byte and keeps what passed, so that the tour can
look at it.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket

KEPT_MAX = 4 * 1024 * 1024  # bytes kept; later bytes are relayed only
CHUNK = 65536


class Tap:
    """Listens on `port` and relays to `target`; `seen` holds the bytes of both directions,
    `answers` those that came from `target`.
    """

    def __init__(self, port: int, target: tuple[str, int]) -> None:
        self.port = port
        self.target = target
        self.seen = bytearray()
        self.answers = bytearray()
        self.connections = 0
        self._server: asyncio.Server | None = None
        self._relays: set[asyncio.Task[None]] = set()

    async def start(self, listening: socket.socket | None = None) -> None:
        """On a socket that listens already, where one is given."""
        if listening is not None:
            self._server = await asyncio.start_server(self._accept, sock=listening)
        else:
            self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)

    async def stop(self) -> None:
        """Takes nothing new, and ends what is relayed."""
        if self._server is not None:
            self._server.close()
        for relay in self._relays:
            relay.cancel()
        await asyncio.gather(*self._relays, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """The task is ours: one that asyncio made itself would complain when it is cancelled."""
        relay = asyncio.create_task(self._relay(reader, writer))
        self._relays.add(relay)
        relay.add_done_callback(self._relays.discard)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with contextlib.suppress(OSError), contextlib.closing(writer):
            far_reader, far_writer = await asyncio.open_connection(*self.target)
            await asyncio.gather(
                self._copy(reader, far_writer, self.seen),
                self._copy(far_reader, writer, self.seen, self.answers),
            )

    async def _copy(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *kept: bytearray
    ) -> None:
        try:
            while data := await reader.read(CHUNK):
                for side in kept:
                    if len(side) < KEPT_MAX:
                        side += data
                writer.write(data)
                await writer.drain()
        finally:
            writer.close()
