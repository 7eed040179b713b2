"""Forty zones at one global: how long they take to join, a change to the last of them, and a start
of the global while they are there.

The zones are KDS clients in this process, the global a process of its own. The floor is the same
clients at a server that sends them the same bytes and computes nothing (`kds_floor`).
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.kds.types import MANIFEST
from tests.bench import policies
from tests.bench.bench_global import BenchGlobal
from tests.bench.figures import Figure, Scale, at_most, exponent, times_floor
from tests.bench.kds_floor import record
from tests.bench.kds_zones import TYPES, BenchZones
from tests.bench.zone_proxies import dataplanes, insights
from tests.support.git_repos import git

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from xds.discovery import DeltaResponse

POLICIES = 200
JOIN_GOAL_S, CHANGE_GOAL_MS, STALL_GOAL_MS = 5.0, 200.0, 10.0
QUIET_S = 0.3  # for what follows a join or a change, such as the answers of both sides
GROWTH_RUNS = 10
CHANGED = 0  # number of the policy: a MeshTimeout


@dataclass
class _Run:
    folder: Path
    work: Path
    bench: BenchGlobal
    size: int
    value: int = 0
    first: dict[str, dict[str, DeltaResponse]] = field(default_factory=dict)
    change: dict[str, list[DeltaResponse]] = field(default_factory=dict)
    figures: list[Figure] = field(default_factory=list)

    def add(self, key: str, unit: str, *values: float, **more: object) -> None:
        self.figures.append(Figure(key=key, unit=unit, values=values, **more))  # type: ignore[arg-type]


async def measure(scale: Scale) -> list[Figure]:
    size, runs = scale.size(40, 10), scale.choose(50, 5)
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        work = await asyncio.to_thread(policies.repository, folder, POLICIES)
        run = _Run(folder, work, BenchGlobal(folder), size)
        await asyncio.to_thread(run.bench.start)
        try:
            joins = run.bench.joins([f"zone-{n:02}" for n in range(size)])
            zones = BenchZones.of(joins)
            joined = await _joined(run, zones)
            changed = await _changes(run, zones, runs)
            await _restarted(run, zones, scale.choose(5, 2))
            await _growth(run, zones)
            await _proxies(run, zones, scale.size(1000, 100))
            await zones.stop()
        finally:
            await asyncio.to_thread(run.bench.stop)
        floors = await _floor(run, BenchZones.of(joins), runs)
    whole = size == 40
    run.add("zones_40.join_s", "s", joined, floor=(floors[0],), goal=JOIN_GOAL_S if whole else None)
    run.add(
        "zones_40.change_ms",
        "ms",
        *changed,
        floor=tuple(floors[1]),
        judged="p99",
        goal=CHANGE_GOAL_MS if whole else None,
        check=times_floor(20.0),
    )
    return run.figures  # fmt: skip


async def _joined(run: _Run, zones: BenchZones) -> float:
    """Seconds from the first dial until all are current."""
    before, began = run.bench.cpu_s, time.perf_counter()
    zones.start()
    found = await zones.current(git(run.work, "rev-parse", "HEAD")) - began
    await asyncio.sleep(QUIET_S)
    run.add("zones_40.join_cpu_s", "CPU s", run.bench.cpu_s - before)
    run.add("zones_40.rss_mb", "MB", run.bench.rss_mb)
    run.add("zones_40.join_stall_ms", "ms", run.bench.stall_ms, goal=STALL_GOAL_MS, judged="max")
    run.first = {zone.name: dict(zone.responses) for zone in zones.zones}
    return found


async def _pushed(run: _Run, zones: BenchZones) -> float:
    """Milliseconds from the start of `git push` until the last zone has acknowledged it."""
    run.value += 1
    commit = policies.change(run.work, [CHANGED], run.value)
    zones.clear()
    began = time.perf_counter()
    await asyncio.to_thread(git, run.work, "push", "--quiet", "origin", "main")
    return (await zones.current(commit) - began) * 1000


async def _changes(run: _Run, zones: BenchZones, runs: int) -> list[float]:
    found: list[float] = []
    besides: list[float] = []
    before = run.bench.cpu_s
    for _ in range(runs):
        found.append(await _pushed(run, zones))
        await asyncio.sleep(QUIET_S)
        besides.append(float(sum(_besides(zone.seen) for zone in zones.zones)))
    run.add("zones_40.change_cpu_ms", "CPU ms", (run.bench.cpu_s - before) / runs * 1000)
    run.add("zones_40.responses_besides", "responses", *besides, check=at_most(0))
    run.add("zones_40.change_stall_ms", "ms", run.bench.stall_ms, goal=STALL_GOAL_MS, judged="max")
    run.change = {
        zone.name: [zone.responses[type_] for type_, _, _ in zone.seen] for zone in zones.zones
    }
    return found


def _besides(seen: list[tuple[str, int, float]]) -> int:
    """How far this is from one response with one resource, and one with the manifest."""
    told = sorted((type_ == MANIFEST, count) for type_, count, _ in seen)
    return 0 if told == [(False, 1), (True, 1)] else abs(len(told) - 2) or 1


async def _restarted(run: _Run, zones: BenchZones, runs: int) -> None:
    """From the start of the new process until all are current again."""
    found = []
    for _ in range(runs):
        commit = git(run.work, "rev-parse", "HEAD")
        await asyncio.to_thread(run.bench.stop)
        for zone in zones.zones:
            zone.revision = ""
        began = time.perf_counter()
        await asyncio.to_thread(run.bench.start)
        found.append((await zones.current(commit) - began) * 1000)
    await asyncio.sleep(QUIET_S)
    run.add("restart_ms.global", "ms", *found)
    run.add("restart_ms.global_stall", "ms", run.bench.stall_ms, goal=STALL_GOAL_MS, judged="max")


async def _growth(run: _Run, zones: BenchZones) -> None:
    """The global's CPU of a change, by how many zones there are."""
    costs: dict[int, float] = {}
    size = run.size
    while size >= run.size // 8:
        some = BenchZones(zones.zones[:size], zones.moved)
        for zone in zones.zones[size:]:
            if zone.client is not None:
                await zone.client.stop()
                zone.client = None
        await asyncio.sleep(QUIET_S)
        before = run.bench.cpu_s
        for _ in range(GROWTH_RUNS):
            await _pushed(run, some)
        costs[size] = (run.bench.cpu_s - before) / GROWTH_RUNS * 1000
        size //= 2
    for size, cost in costs.items():
        run.add(f"zones_40.change_cpu_ms_{size}", "CPU ms", cost)
    found = exponent(list(costs), list(costs.values()))
    run.add("zones_40.change_exponent", "of the zones", found, check=at_most(1.1))


async def _proxies(run: _Run, zones: BenchZones, count: int) -> None:
    """One zone tells of so many proxies, and then of all of them again: their counters are others,
    as ten seconds after a push.
    """
    zone = zones.zones[0]
    zone.revision = ""
    await asyncio.to_thread(run.bench.stop)
    await asyncio.to_thread(run.bench.start)
    await BenchZones([zone], zones.moved).current(git(run.work, "rev-parse", "HEAD"))
    await asyncio.sleep(QUIET_S)
    told = {
        "proxies_dataplanes": ("Dataplane", dataplanes(zone.name, count)),
        "proxies_insights": ("DataplaneInsight", insights(zone.name, count, 1)),
        "proxies_counters": ("DataplaneInsight", insights(zone.name, count, 2)),
    }
    for name, (type_, resources) in told.items():
        before, heard = run.bench.cpu_s, zone.heard
        zone.say(type_, resources)
        async with asyncio.timeout(60):
            while zone.heard == heard:
                zones.moved.clear()
                await zones.moved.wait()
        await asyncio.sleep(QUIET_S)
        run.add(f"zones_40.{name}_cpu_ms", "CPU ms", (run.bench.cpu_s - before) * 1000)
    stall_ms = run.bench.stall_ms  # Since the start, and after all three.
    run.add("zones_40.proxies_stall_ms", "ms", stall_ms, goal=STALL_GOAL_MS, judged="max")


async def _floor(run: _Run, zones: BenchZones, runs: int) -> tuple[float, list[float]]:
    record(run.folder, run.first, run.change)
    async with _floor_server(run):
        began = time.perf_counter()
        zones.start()
        async with asyncio.timeout(60):
            while not all(set(TYPES) <= zone.responses.keys() for zone in zones.zones):  # noqa: ASYNC110 - no event for that
                await asyncio.sleep(0.002)
        joined = time.perf_counter() - began
        try:
            changed = [await _floor_change(run, zones) for _ in range(runs)]
        finally:
            await zones.stop()
    return joined, changed


async def _floor_change(run: _Run, zones: BenchZones) -> float:
    run.value += 1
    policies.change(run.work, [CHANGED], run.value)
    zones.clear()
    began = time.perf_counter()
    await asyncio.to_thread(git, run.work, "push", "--quiet", "origin", "main")
    async with asyncio.timeout(60):
        while not all(len(zone.seen) >= 2 for zone in zones.zones):
            zones.moved.clear()
            await zones.moved.wait()
    return (max(zone.seen[-1][2] for zone in zones.zones) - began) * 1000


@contextlib.asynccontextmanager
async def _floor_server(run: _Run) -> AsyncIterator[None]:
    command = [sys.executable, "-m", "tests.bench.kds_floor", str(run.folder)]
    server = subprocess.Popen([*command, str(run.bench.world.kds_port)])  # noqa: ASYNC220 - once
    try:
        yield
    finally:
        server.terminate()
        await asyncio.to_thread(server.wait, 20)
