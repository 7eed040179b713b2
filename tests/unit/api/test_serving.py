"""An HTTP server of ours that nobody asks anything."""

from __future__ import annotations

import asyncio
import http.client
from contextlib import closing
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from starlette.applications import Starlette

from reconciler.api.serving import HttpServer, tcp_socket


async def test_it_waits_for_nothing_but_its_sockets_and_still_tells_the_time() -> None:
    sock = tcp_socket("127.0.0.1", 0)
    port = int(sock.getsockname()[1])
    server = HttpServer(Starlette(), sock)
    await server.start()
    try:
        loop: Any = asyncio.get_running_loop()
        assert [timer for timer in loop._scheduled if not timer.cancelled()] == []
        said = parsedate_to_datetime(await asyncio.to_thread(date_of_an_answer, port))
        assert abs((datetime.now(UTC) - said).total_seconds()) < 5
    finally:
        await server.stop()


def date_of_an_answer(port: int) -> str:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        connection.request("GET", "/")
        return str(connection.getresponse().headers["date"])
