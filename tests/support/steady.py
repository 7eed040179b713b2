"""Steady traffic: so many requests a second whatever becomes of them, and what each came to.

Open loop: a slow answer delays no other request. In a thread with a loop of its own, so that what a
test waits for does not stand in the way; in a network namespace where one is named.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import time
from collections import deque
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from tests.support.namespaces import enter

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import Future
    from pathlib import Path

PER_SECOND = 200.0
KEPT = 16  # connections that are open from the beginning; more when these are busy
ANSWER_S = 5.0  # no answer by then: a failed request


@dataclass(frozen=True, slots=True)
class Call:
    """Times are of the monotonic clock. `status` 0: no answer."""

    started: float
    ended: float
    status: int
    version: str  # of the instance that answered

    @property
    def ok(self) -> bool:
        return self.status == 200


class Steady:
    """Requests to the HTTP listener at `host`:`port`, as long as the block lasts."""

    def __init__(
        self,
        port: int,
        *,
        host: str = "127.0.0.1",
        per_second: float = PER_SECOND,
        namespace: Path | None = None,
    ) -> None:
        self._address = (host, port)
        self._interval_s = 1 / per_second
        self._namespace = namespace
        self._calls: list[Call] = []
        self._open: deque[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = deque()
        self._under_way: dict[asyncio.Task[None], float] = {}  # when each began
        self._loop = asyncio.new_event_loop()
        self._main: Future[None] | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Steady:
        self._thread.start()
        self._main = asyncio.run_coroutine_threadsafe(self._drive(), self._loop)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._main is not None
        self._main.cancel()
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def between(self, since: float, until: float) -> list[Call]:
        """Those that began then and have come to something, in the order they began."""
        found = [call for call in self._calls[:] if since <= call.started < until]
        return sorted(found, key=lambda call: call.started)

    def since(self, moment: float) -> list[Call]:
        return self.between(moment, float("inf"))

    async def came_to_something(self, before: float) -> None:
        """Returns when all that began before then have."""
        while min([*self._under_way.copy().values()], default=before) < before:  # noqa: ASYNC110
            await asyncio.sleep(0.02)  # Another thread's.

    # --- in the thread ---

    def _run(self) -> None:
        if self._namespace is not None:
            enter(self._namespace)
        self._loop.run_forever()

    async def _drive(self) -> None:
        due = time.monotonic()
        while True:
            task = asyncio.create_task(self._one())
            self._under_way[task] = time.monotonic()
            task.add_done_callback(self._under_way.pop)
            due += self._interval_s
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    async def _end(self) -> None:
        for task in list(self._under_way):
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)
        for _, writer in self._open:
            writer.close()
        for _, writer in self._open:
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _one(self) -> None:
        began = time.monotonic()
        status, version = 0, ""
        with contextlib.suppress(OSError, EOFError, ValueError):
            async with asyncio.timeout(ANSWER_S):
                status, version = await self._asked()
        self._calls.append(Call(began, time.monotonic(), status, version))

    async def _asked(self) -> tuple[int, str]:
        """On the connection that rested longest; a new one while few are open."""
        if len(self._open) + len(self._under_way) > KEPT and self._open:
            reader, writer = self._open.popleft()
        else:
            reader, writer = await asyncio.open_connection(*self._address)
        whole = False
        try:
            writer.write(b"GET / HTTP/1.1\r\nhost: backend\r\n\r\n")
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            length = int(head.partition("content-length: ")[2].partition("\r\n")[0] or 0)
            body = await reader.readexactly(length)
            status = int(head.split(maxsplit=2)[1])
            whole = "connection: close" not in head
        finally:
            if whole:
                self._open.append((reader, writer))
            else:
                writer.close()
        return status, str(json.loads(body)["version"]) if status == 200 else ""


# --- what they tell ---


def gap(calls: Sequence[Call], since: float, until: float) -> float:
    """Seconds: the longest time without a success."""
    ends = sorted(call.ended for call in calls if call.ok and since <= call.ended < until)
    moments = (since, *ends, until)
    return max(after - before for before, after in pairwise(moments))


def failed(calls: Sequence[Call]) -> list[Call]:
    return [call for call in calls if not call.ok]


def versions(calls: Sequence[Call]) -> frozenset[str]:
    """Of the instances that answered."""
    return frozenset(call.version for call in calls if call.ok)
