"""Calls as the demo's frontend makes them, and what came back."""

from __future__ import annotations

import asyncio
import http.client
import json
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

TIMEOUT_S = 8.0
OPEN_MAX = 64  # calls under way; with fewer, slow answers would hide when a change took effect
KEPT_MAX = 20_000  # answers a load keeps; a board that stays up for days must not grow


@dataclass(frozen=True, slots=True)
class Answer:
    """One call of the frontend to its upstream. `status` 0: no HTTP answer. Times are seconds since
    the epoch.
    """

    started: float
    ended: float
    status: int
    headers: Mapping[str, str]
    facts: Mapping[str, object] = field(default_factory=dict)  # what the backend said of itself

    @property
    def ok(self) -> bool:
        return self.status == 200

    @property
    def zone(self) -> str:
        return str(self.facts.get("zone", ""))

    @property
    def version(self) -> str:
        return str(self.facts.get("version", ""))


def call(port: int, path: str) -> Answer:
    """Ask the frontend application on `port` to call its upstream at `path`."""
    now = time.time()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", f"/call?path={path}")
        data = json.loads(connection.getresponse().read())
    except (OSError, http.client.HTTPException, ValueError):
        return Answer(now, time.time(), 0, {})
    finally:
        connection.close()
    facts = json.loads(data["body"]) if data["status"] == 200 else {}
    headers = {key.lower(): value for key, value in data["headers"].items()}
    return Answer(data["started"], data["ended"], data["status"], headers, facts)


async def calls(port: int, path: str, count: int) -> list[Answer]:
    return [await asyncio.to_thread(call, port, path) for _ in range(count)]


def by_zone(answers: Sequence[Answer]) -> Counter[str]:
    return Counter(answer.zone for answer in answers if answer.ok)


def by_version(answers: Sequence[Answer]) -> Counter[str]:
    return Counter(answer.version for answer in answers if answer.ok)


class Load:
    """A steady stream of calls in the background: open loop, so that a slow answer delays no other
    call.
    """

    def __init__(self, port: int, path: str, per_second: float) -> None:
        self.port = port
        self.path = path
        self.interval_s = 1 / per_second
        self.answers: list[Answer] = []
        self._threads = ThreadPoolExecutor(OPEN_MAX)
        self._task: asyncio.Task[None] | None = None
        self._open: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Load:
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)
        self._threads.shutdown(wait=False)

    async def _run(self) -> None:
        while True:
            task = asyncio.create_task(self._one())
            self._open.add(task)
            task.add_done_callback(self._open.discard)
            await asyncio.sleep(self.interval_s)

    async def _one(self) -> None:
        loop = asyncio.get_running_loop()
        answer = await loop.run_in_executor(self._threads, call, self.port, self.path)
        self.answers.append(answer)
        if len(self.answers) > KEPT_MAX:
            del self.answers[: KEPT_MAX // 2]

    def since(self, moment: float) -> list[Answer]:
        return sorted((a for a in self.answers if a.started >= moment), key=lambda a: a.started)
