"""An instance that ends, and an application that dies behind its living sidecar, seen by a caller:
real control planes, real Envoys, observed traffic.
"""

from __future__ import annotations

import asyncio
import math
import signal
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from reconciler.demo.ports import free_ports
from reconciler.demo.world import Workload
from tests.support.planes import Planes
from tests.support.real_envoy import Connection, application

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(150)]
CALLERS, PACE_S = 10, 0.033  # 300 requests a second


class East(Planes):
    """One zone: a frontend, and two instances of `backend` whose applications are checked."""

    async def start_fleet(self, apps: Mapping[str, int]) -> None:
        await self.start_global()
        await self.start_zone("east")
        ports = free_ports(3 * (len(apps) + 1) + 1)
        self.calls = ports.pop()
        self.fleet = {
            name: Workload(name, "backend", "east", "v1", app, ports.pop(), ports.pop())
            for name, app in apps.items()
        }
        outbounds = {"backend": self.calls}
        front = Workload(
            "frontend", "frontend", "east", "v1", ports.pop(), ports.pop(), ports.pop(), outbounds
        )
        for workload in (*self.fleet.values(), front):
            self.run_sidecar(workload)
        await self.until("the fleet", lambda: self.acked("east") == len(apps) + 1)

    def _reconciler(self, name: str, *arguments: str) -> None:
        """Health is reported once a second, so that nobody waits for five."""
        more = ("--health-interval", "1s") if name.startswith("zone-") else ()
        super()._reconciler(name, *arguments, *more)

    def _dataplane(
        self, name: str, zone: str, document: Mapping[str, object], token: Sequence[str]
    ) -> None:
        networking = document["networking"]
        assert isinstance(networking, dict)
        if name != "frontend":
            networking["inbound"][0]["serviceProbe"] = {"tcp": {}, "interval": "1s"}
        super()._dataplane(name, zone, document, token)

    async def ended(self, name: str) -> None:
        """SIGTERM, and the process is gone by itself."""
        process = self.processes.pop(f"proxy-{name}")
        process.popen.send_signal(signal.SIGTERM)
        async with asyncio.timeout(20):
            while process.popen.poll() is None:  # noqa: ASYNC110 - a process
                await asyncio.sleep(0.02)
        assert process.popen.returncode == 0, process.log.read_text()


@dataclass
class Load:
    """What a steady caller got: who answered, or why nobody did, by time."""

    answers: list[tuple[float, str]] = field(default_factory=list)

    def since(self, moment: float) -> Counter[str]:
        return Counter(who for at, who in self.answers if at >= moment)

    async def sees(self, wanted: set[str], within_s: float = 25.0) -> float:
        """When, for half a second, exactly these answered."""
        async with asyncio.timeout(within_s):
            while True:
                moment = time.monotonic() - 0.5
                await asyncio.sleep(0.1)
                if set(self.since(moment)) == wanted:
                    return moment

    async def call(self, port: int, number: int) -> None:
        """One connection to the sidecar, a request every PACE_S."""
        await asyncio.sleep(PACE_S * number / CALLERS)
        connection = await Connection.open(port)
        try:
            while True:
                started = time.monotonic()
                if connection.closed:
                    connection = await Connection.open(port)
                status, body = await connection.get()
                self.answers.append((started, body if status == 200 else f"{status} {body}"))
                await asyncio.sleep(max(0.0, started + PACE_S - time.monotonic()))
        except (OSError, EOFError) as error:
            self.answers.append((math.inf, f"broken: {error!r}"))
        finally:
            connection.close()

    def __repr__(self) -> str:
        return f"Load({Counter(who for _, who in self.answers[-300:])})"


class Apps:
    """Applications that each answer with their name, and can be ended and started again."""

    def __init__(self) -> None:
        self.ports: dict[str, int] = {}
        self._running: dict[str, AbstractAsyncContextManager[int]] = {}

    async def start(self, name: str) -> None:
        running = application(name, self.ports.get(name, 0))
        self.ports[name] = await running.__aenter__()
        self._running[name] = running

    async def end(self, name: str) -> None:
        await self._running.pop(name).__aexit__(None, None, None)

    async def end_all(self) -> None:
        for name in list(self._running):
            await self.end(name)


@pytest.fixture
async def apps() -> AsyncIterator[Apps]:
    made = Apps()
    for name in ("one", "two"):
        await made.start(name)
    try:
        yield made
    finally:
        await made.end_all()


@pytest.fixture
async def east(tmp_path: Path, apps: Apps) -> AsyncIterator[East]:
    made = East(tmp_path / "world")
    try:
        await made.start_fleet(apps.ports)
        yield made
    finally:
        made.stop()


async def test_instances_that_end_and_applications_that_die_lose_no_caller(
    east: East, apps: Apps
) -> None:
    load = Load()
    callers = [asyncio.create_task(load.call(east.calls, n)) for n in range(CALLERS)]
    try:
        await _ends_and_dies(east, apps, load)
        # Its token is revoked at the global: its open stream ends, and the zone says why.
        await asyncio.to_thread(_revoke, east, "one")
        alone = await load.sees({"two"})
        refused = east.status("east")["refused"]
        assert isinstance(refused, dict)
        assert "revoked" in refused["default.one"]
        assert set(load.since(alone)) == {"two"}
    finally:
        for caller in callers:
            caller.cancel()
        await asyncio.gather(*callers, return_exceptions=True)


async def _ends_and_dies(east: East, apps: Apps, load: Load) -> None:
    # Inbounds with a serviceProbe come in once HDS has found their applications.
    began = await load.sees({"one", "two"})

    # A clean leave, twice, and each time the instance comes back: nobody notices.
    for name in ("one", "two"):
        other = {"one", "two"} - {name}
        await east.ended(name)
        assert set(load.since(time.monotonic() - 0.3)) == other
        east.run_sidecar(east.fleet[name])
        await load.sees({"one", "two"})
    found = load.since(began)
    assert set(found) == {"one", "two"}, found
    assert found.total() > 500

    # The application dies behind its living sidecar: retries hide it until nobody is sent there.
    await apps.end("one")
    await load.sees({"two"})
    await east.until("one is out", lambda: not _ready(east, "one"), 25)
    quiet = time.monotonic()
    await asyncio.sleep(2)
    assert set(load.since(quiet)) == {"two"}

    # It returns.
    await apps.start("one")
    back = await load.sees({"one", "two"})
    assert set(load.since(back)) == {"one", "two"}


def _revoke(east: East, name: str) -> None:
    token = east.folder / "proxies" / name / "token"
    state = ("--state-dir", str(east.state("global")))
    east.run_once("token", "revoke", "--mesh", "default", "--token-file", str(token), *state)


def _ready(east: East, name: str) -> bool:
    log = east.processes["zone-east"].log.read_text()
    last = [line for line in log.splitlines() if "proxy.health" in line and name in line][-1]
    return "True" in last or "true" in last
