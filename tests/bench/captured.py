"""A thousand proxies of captured applications, of a service each: every one of them is told of
every service, by name, at an address of its own. The same with five services that each reaches.

Both storms are measured: of a fleet whose services are all new, so that each that comes changes
what the others are told, and of one that comes back. Then what changes a little of what all of
them hold, and what changes all of it. The floor is the same clients at a server that computes
nothing and sends them the same resources.
"""

from __future__ import annotations

import asyncio
import gc
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.bench.captured_fleet import CapturedFleet, CapturedFloorFleet, Table, newcomer
from tests.bench.figures import Figure, Scale, at_most
from tests.bench.fleet import cpu_s, forget_peak, memory_mb, peak_mb, tree

if TYPE_CHECKING:
    from collections.abc import Awaitable

STORM_S = 5.0
QUIET_S = 0.5
RECORDED = (1, 2)  # runs whose bytes the floor sends
GOALS_MS = {"new_service": 500.0, "endpoint": 300.0, "policy": 500.0}
RUNS = {"new_service": 20, "endpoint": 30, "policy": 20, "outbound": 5}
PEAK_MB = 384.0  # during a storm: what it comes to at rest, and half as much again in buffers
RESPONSES = {"new_service": 4.0, "endpoint": 1.0, "policy": 2.0, "outbound": 2.0}


async def measure(scale: Scale) -> list[Figure]:
    found: list[Figure] = []
    for name, reaches in (("captured", False), ("captured_reachable", True)):
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            run = _Run(Path(folder) / "real", scale, reaches=reaches)
            async with run.fleet:
                await run.everything()
            floor = await _floor(Path(folder) / "floor", run)
        found += run.figures(name, floor)
        del run
        gc.collect()
    return found


class _Run:
    """One fleet through all phases."""

    def __init__(self, folder: Path, scale: Scale, *, reaches: bool) -> None:
        size = scale.size(1000, 60)
        self.runs = {what: scale.choose(runs, 3) for what, runs in RUNS.items()}
        come = range(self.runs["new_service"])
        extra = [newcomer(size + n, size + n) for n in come]
        more = newcomer(size + len(come), 0)  # one more instance of a service
        self.instance = f"default.{more['name']}"
        self.fleet = CapturedFleet(folder, size, (*extra, more), reaches=reaches)
        self.scale = scale
        self.tables: dict[str, Table] = {}
        self.values: dict[str, int] = {}  # in a recorded push
        self.took_ms: dict[str, list[float]] = {what: [] for what in RUNS}
        self.cpu_ms: dict[str, list[float]] = {what: [] for what in RUNS}
        self.responses: dict[str, float] = {}
        self.once: dict[str, float] = {}
        self.floored: dict[str, str] = {}  # figure -> its figure of the floor
        self.value = 1000

    async def everything(self) -> None:
        await self._storm("fresh")
        await self._idle("fresh")
        fleet = self.fleet
        await fleet.clients.leave(fleet.own)
        await self._storm("again")
        self.tables["first"] = await fleet.clients.holding()
        await self._idle("again")
        await self._new_services()
        await self._pushes("endpoint", self._endpoint)
        await self._pushes("policy", self._policy)
        await self._pushes("outbound", self._outbound)
        await self._idle("worn")

    async def _storm(self, when: str) -> None:
        fleet, pids = self.fleet, self.fleet.zone_pids
        forget_peak(pids)
        before, theirs = cpu_s(pids), await fleet.clients.cpu_s()
        key = f"storm_{when}"
        self.once[f"{key}.s"] = await fleet.clients.connect(
            STORM_S, fleet.own, what="whole", value=fleet.known
        )
        self.once[f"{key}.cpu_s"] = cpu_s(pids) - before
        self.once[f"{key}.clients_cpu_s"] = await fleet.clients.cpu_s() - theirs
        await fleet.settled()
        self.once[f"{key}.peak_mb"] = peak_mb(pids)
        self.once[f"loop_stall_ms_max.{key}"] = fleet.stall_ms()

    async def _idle(self, when: str) -> None:
        pids = self.fleet.zone_pids
        await asyncio.sleep(self.scale.size(10, 1))
        before, for_s = cpu_s(pids), self.scale.size(20, 2)
        await asyncio.sleep(for_s)
        self.once[f"idle_{when}.cores"] = (cpu_s(pids) - before) / for_s
        self.once |= {f"idle_{when}.{k}_mb": mb for k, mb in memory_mb(pids).items()}

    async def _new_services(self) -> None:
        """One after another; where nobody reaches them nobody is told."""
        fleet = self.fleet

        async def come(number: int) -> float:
            at = fleet.size + number
            return await self._joins(at, f"svc-{at}") if not fleet.reaches else await self._by(at)

        await self._pushes("new_service", come)

    async def _joins(self, at: int, service: str) -> float:
        clients, node = self.fleet.clients, f"default.proxy-{at}"
        await clients.expect(self.fleet.own, "service", at, service=service)
        began = time.monotonic()
        await clients.homes[node].ask({"do": "join", "nodes": [node]})
        return (await clients.last() - began) * 1000

    async def _by(self, at: int) -> float:
        """Until it is there; what others are told of it is counted."""
        node = f"default.proxy-{at}"
        return 1000 * await self.fleet.clients.connect(0.0, [node])

    async def _endpoint(self, number: int) -> float:
        comes, clients = number % 2 == 0, self.fleet.clients
        self.value = 1 + comes
        await clients.expect(self.fleet.own, "endpoints", self.value, cluster="svc-0")
        began = time.monotonic()
        said = {"do": "join" if comes else "leave", "nodes": [self.instance]}
        await clients.homes[self.instance].ask(said)
        return (await clients.last() - began) * 1000

    async def _policy(self, number: int) -> float:
        self.value = 2000 + number
        return await self.fleet.pushed("policy", self.value, cluster="svc-0")

    async def _outbound(self, number: int) -> float:
        self.value = 3000 + number
        return await self.fleet.pushed("outbound", self.value)

    async def _pushes(self, what: str, push: Any) -> None:
        fleet, clients = self.fleet, self.fleet.clients
        for number in range(self.runs[what]):
            recorded, name = number in RECORDED, f"{what} {number}"
            if recorded:
                await clients.record()
            before, responses = cpu_s(fleet.zone_pids), await clients.responses()
            self.took_ms[what].append(await push(number))
            await asyncio.sleep(QUIET_S)
            await fleet.settled()
            self.cpu_ms[what].append(1000 * (cpu_s(fleet.zone_pids) - before))
            if recorded:
                self.tables[name] = (await clients.table()).of(frozenset(fleet.own))
                self.values[name] = self.value
            sent = await clients.responses() - responses
            self.responses[what] = sent / fleet.size
        self.once[f"loop_stall_ms_max.{what}"] = fleet.stall_ms()

    # --- what it was ---

    def figures(self, name: str, floor: dict[str, list[float]]) -> list[Figure]:
        goals = {"peak_mb": PEAK_MB, "rss_mb": 256.0, "pss_mb": 256.0, "cores": 0.01}
        stall = "loop_stall_ms_max"
        found = [
            Figure(
                key=f"{name}.{key}", values=(value,), unit=_unit(key),
                floor=tuple(floor.get(key, ())),
                goal=25.0 if key.startswith(stall) else goals.get(key.rpartition(".")[2]),
            )
            for key, value in self.once.items()
        ]  # fmt: skip
        for what, values in self.took_ms.items():
            is_told = what != "new_service" or not self.fleet.reaches
            found += [
                Figure(
                    key=f"{name}.{what}_ms", unit="ms", values=tuple(values), judged="p99",
                    floor=tuple(floor.get(what, ())), goal=GOALS_MS.get(what) if is_told else None,
                ),
                Figure(
                    key=f"{name}.{what}_cpu_ms", unit="CPU ms",
                    values=(statistics.median(self.cpu_ms[what]),),
                    floor=tuple(floor.get(f"{what}_cpu", ())),
                ),
                Figure(
                    key=f"{name}.{what}.responses", unit="a proxy", values=(self.responses[what],),
                    check=at_most(RESPONSES[what] + 0.5 if is_told else 0.5),
                ),
            ]  # fmt: skip
            sent = self.tables.get(f"{what} {RECORDED[0]}")
            if sent is not None:
                found.append(Figure(key=f"{name}.{what}.mb", unit="MB", values=(sent.sent_mb,)))
        first = self.tables["first"].sent_mb
        return [*found, Figure(key=f"{name}.first.mb", unit="MB", values=(first,))]


def _unit(key: str) -> str:
    last = key.rpartition(".")[2]
    if last in ("s", "cores"):
        return last
    if last.endswith("cpu_s"):
        return "CPU s"
    return "MB" if last.endswith("_mb") else "ms"


async def _floor(folder: Path, run: _Run) -> dict[str, list[float]]:
    """The same proxies, the same bytes; what the pushes took there, and the storm."""
    found: dict[str, list[float]] = {}
    async with CapturedFloorFleet(folder, run.tables, run.fleet.proxies) as floor:
        pids, own, clients = tree(floor.pid), run.fleet.own, floor.clients
        before, theirs = cpu_s(pids), await clients.cpu_s()
        seconds = await clients.connect(STORM_S, own, what="whole", value=run.fleet.known)
        for storm in ("storm_fresh", "storm_again"):
            found[f"{storm}.s"] = [seconds]
            found[f"{storm}.cpu_s"] = [cpu_s(pids) - before]
            found[f"{storm}.clients_cpu_s"] = [await clients.cpu_s() - theirs]
        for what in RUNS:
            names = [name for n in RECORDED if (name := f"{what} {n}") in run.tables]
            if not names or not run.tables[names[0]].heard:
                continue
            found[what] = []
            for number in range(2 * run.runs[what] // 2):
                name = names[number % len(names)]
                before = cpu_s(pids)
                found[what].append(await _sent(floor, run, what, name))
                await asyncio.sleep(QUIET_S)
                found.setdefault(f"{what}_cpu", []).append(1000 * (cpu_s(pids) - before))
    return found


def _sent(floor: CapturedFloorFleet, run: _Run, what: str, name: str) -> Awaitable[float]:
    value = run.values[name]
    if what == "new_service":
        service = f"svc-{run.fleet.size + int(name.rpartition(' ')[2])}"
        return floor.sent(name, "service", value, service=service)
    if what == "endpoint":
        return floor.sent(name, "endpoints", value, cluster="svc-0")
    if what == "policy":
        return floor.pushed(name, "policy", value, cluster="svc-0")
    return floor.pushed(name, "outbound", value)
