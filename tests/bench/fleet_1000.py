"""A thousand proxies: the storm when they connect, pushes to the last of them, and their rest.

One fleet is measured through all of it, then the same clients at a server that computes nothing and
sends them the same bytes (`fleet_floor`).
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path

from tests.bench.figures import Figure, Scale, at_most, times_floor
from tests.bench.fleet import (
    COMMON,
    SERVICES,
    Fleet,
    cpu_s,
    document,
    memory_mb,
    tree,
)
from tests.bench.floor_fleet import FloorFleet

STORM_S = 5.0
QUIET_S = 0.2  # between two runs, so that the answers of one are not in the next
RECORDED = (1, 2)  # runs whose bytes the floor sends; the value differs from the one before
FLOOR_RUNS = 30
POLICY_PUSHES = ("outbound", "inbound")
GOALS = {"outbound": 500.0, "inbound": 800.0, "endpoint": 300.0}


async def measure(scale: Scale) -> list[Figure]:
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        run = _Run(Path(folder) / "real", scale)
        async with run.fleet:
            await run.everything()
        floor = await _floor(Path(folder) / "floor", run)
    return run.figures(floor)


class _Run:
    """One fleet through all phases. `recorded`: what the zone sent and the value in it, for the
    floor.
    """

    def __init__(self, folder: Path, scale: Scale) -> None:
        size = scale.size(1000, 100)
        # One more instance of the service that everyone calls; it comes and goes.
        extra = document(size, service=0)
        self.newcomer = f"default.{extra['name']}"
        self.fleet, self.scale = Fleet(folder, size, (extra,)), scale
        self.runs = scale.choose(100, 5)
        self.recorded: dict[str, dict[str, list[str]]] = {}
        self.recorded_values: dict[str, int] = {}
        self.took_ms: dict[str, list[float]] = {what: [] for what in GOALS}
        self.storm: dict[str, float] = {}
        self.idle: dict[str, dict[str, float]] = {}
        self.stalls: dict[str, float] = {}
        self.values = 1000
        self.responses = 0.0

    async def everything(self) -> None:
        await self._storm()
        await self._idle("fresh")
        for what in POLICY_PUSHES:
            await self._pushes(what)
        await self._endpoints()
        if not self.scale.quick:
            await self._wear()
            await self._idle("worn")
            # Envoys with our bootstrap also report their health, each every 5 s.
            await self.fleet.clients.all(do="health")
            await self._idle("with_health")

    async def _storm(self) -> None:
        fleet = self.fleet
        await fleet.clients.record()
        before = cpu_s(fleet.zone_pids)
        seconds = await fleet.clients.connect(STORM_S, fleet.own)
        self.storm = {"s": seconds, "cpu_s": cpu_s(fleet.zone_pids) - before}
        await fleet.settled()
        self.recorded["first"] = await fleet.clients.heard()
        self._stall("storm")

    def _stall(self, phase: str) -> None:
        """The longest turn of the loop up to the end of a phase."""
        self.stalls[phase] = self.fleet.stall_ms()

    async def _idle(self, when: str) -> None:
        pids, for_s = self.fleet.zone_pids, self.scale.size(60, 5)
        await asyncio.sleep(self.scale.size(10, 1))  # Reports and status commits of what was.
        before = cpu_s(pids)
        await asyncio.sleep(for_s)
        self.idle[when] = {"cores": (cpu_s(pids) - before) / for_s, **memory_mb(pids)}

    async def _pushes(self, what: str) -> None:
        clients = self.fleet.clients
        for number in range(self.runs):
            self.values += 1
            name = f"{what} {number}"
            if number in RECORDED:
                await clients.record()
            before = await clients.responses()
            self.took_ms[what].append(await self.fleet.pushed(what, self.values))
            await self.fleet.settled()
            self.responses = await clients.responses() - before
            if number in RECORDED:
                self.recorded[name] = await clients.heard()
                self.recorded_values[name] = self.values
        self._stall(what)

    async def _endpoints(self) -> None:
        """An instance of the service that all call comes and goes in turns."""
        fleet, clients = self.fleet, self.fleet.clients
        others = len(range(0, fleet.size, SERVICES))
        for number in range(self.runs):
            comes, name = number % 2 == 0, f"endpoint {number}"
            if number in RECORDED:
                await clients.record()
            await clients.expect(fleet.own, "endpoints", others + comes, cluster=COMMON)
            home = clients.homes[self.newcomer]
            began = time.monotonic()
            await home.ask({"do": "join" if comes else "leave", "nodes": [self.newcomer]})
            self.took_ms["endpoint"].append((await clients.last() - began) * 1000)
            await asyncio.sleep(QUIET_S)
            if number in RECORDED:
                heard = await clients.heard()
                heard.pop(self.newcomer, None)
                self.recorded[name] = heard
                self.recorded_values[name] = others + comes
        self._stall("endpoint")

    async def _wear(self) -> None:
        """1,000 reconnects, and pushes until there were 1,000."""
        fleet = self.fleet
        await fleet.clients.leave(fleet.own)
        await fleet.clients.connect(STORM_S, fleet.own)
        await fleet.settled()
        for number in range(self.scale.choose(1000, 0) - 2 * self.runs):
            self.values += 1
            await fleet.pushed(POLICY_PUSHES[number % 2], self.values)
        await fleet.settled()
        self._stall("worn")

    # --- what it was ---

    def figures(self, floor: dict[str, list[float]]) -> list[Figure]:
        name = f"{self.fleet.size}"
        found = [
            Figure(
                key=f"push_to_last_of_{name}_ms.{what}", unit="ms", judged="p99", goal=GOALS[what],
                values=tuple(self.took_ms[what]), floor=tuple(floor[what]),
                check=times_floor(25.0),
            )
            for what in POLICY_PUSHES
        ]  # fmt: skip
        found += [
            Figure(
                key="endpoint_change_ms", unit="ms", judged="p99", goal=GOALS["endpoint"],
                values=tuple(self.took_ms["endpoint"]), floor=tuple(floor["endpoint"]),
            ),
            Figure(
                key="connect_storm.s", unit="s", goal=10.0,
                values=(self.storm["s"],), floor=tuple(floor["storm_s"]),
            ),
            Figure(
                key="connect_storm.cpu_s", unit="s", goal=10.0,
                values=(self.storm["cpu_s"],), floor=tuple(floor["storm_cpu_s"]),
            ),
        ]  # fmt: skip
        return [*found, *self._idle_figures(), *self._stall_figures()]

    def _idle_figures(self) -> list[Figure]:
        goals = {"cores": 0.01, "rss": 256.0, "pss": 256.0}
        units = {"cores": "cores", "rss": "MB", "pss": "MB"}
        names = {"cores": "cores", "rss": "rss_mb", "pss": "pss_mb"}
        found = [
            Figure(
                key=f"idle_{self.fleet.size}.{when}.{names[each]}", unit=units[each],
                values=(value,), goal=goals[each],
            )
            for when, values in self.idle.items()
            for each, value in values.items()
        ]  # fmt: skip
        if "worn" in self.idle:
            growth = 100 * (self.idle["worn"]["pss"] / self.idle["fresh"]["pss"] - 1)
            found.append(
                Figure(key=f"idle_{self.fleet.size}.growth", unit="%", values=(growth,), goal=5.0)
            )
        return found

    def _stall_figures(self) -> list[Figure]:
        return [
            Figure(key=f"loop_stall_ms_max.{phase}", unit="ms", values=(longest,), goal=25.0)
            for phase, longest in self.stalls.items()
        ] + [
            Figure(
                key="responses_per_push", unit="responses", check=at_most(2.0),
                values=(self.responses / self.fleet.size,),
            )
        ]  # fmt: skip


async def _floor(folder: Path, run: _Run) -> dict[str, list[float]]:
    """The same proxies, the same bytes; what the pushes took there, and the storm."""
    found: dict[str, list[float]] = {}
    async with FloorFleet(folder, run.recorded, run.fleet.proxies) as floor:
        pids = tree(floor.pid)
        before = cpu_s(pids)
        found["storm_s"] = [await floor.clients.connect(STORM_S, run.fleet.own)]
        found["storm_cpu_s"] = [cpu_s(pids) - before]
        for what in GOALS:
            found[what] = []
            for number in range(min(run.runs, FLOOR_RUNS)):
                name = f"{what} {RECORDED[number % 2]}"
                value = run.recorded_values[name]
                if what == "endpoint":
                    took = await floor.sent(name, "endpoints", value, cluster=COMMON)
                else:
                    took = await floor.pushed(name, what, value)
                found[what].append(took)
                await asyncio.sleep(QUIET_S)
    return found
