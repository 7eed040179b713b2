"""A zone that was killed starts from its own disk, with its global away: to the first proxy that is
served, and to the last. Its proxies come back by themselves, as Envoys do.

The floor is the server that computes nothing (`fleet_floor`), killed and started again with what it
sends in its hands.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from tests.bench.figures import Figure, Scale
from tests.bench.fleet import ZONE, Fleet, cpu_s
from tests.bench.floor_fleet import FloorFleet

STORM_S = 5.0
GOAL_MS = 1500.0


async def measure(scale: Scale) -> list[Figure]:
    size, runs = scale.size(1000, 60), scale.choose(5, 2)
    took = {key: list[float]() for key in ("first", "all", "cpu", "floor_first", "floor_all")}
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        async with Fleet(Path(folder) / "real", size) as fleet:
            await fleet.clients.record()
            await fleet.clients.connect(STORM_S, fleet.own)
            await fleet.settled()
            heard = await fleet.clients.heard()
            fleet.world.processes["global"].kill_now()
            for _ in range(runs):
                await _restarted(fleet, took)
        async with FloorFleet(Path(folder) / "floor", {"first": heard}, fleet.proxies) as floor:
            await floor.clients.connect(STORM_S, fleet.own)
            for _ in range(runs):
                await floor.clients.expect_again()
                began = await floor.restart()
                first, last = await floor.clients.first_and_last()
                took["floor_first"].append((first - began) * 1000)
                took["floor_all"].append((last - began) * 1000)
    return [
        Figure(
            key="restart_ms.zone", unit="ms", goal=GOAL_MS,
            values=tuple(took["first"]), floor=tuple(took["floor_first"]),
        ),
        Figure(
            key="restart_ms.zone_all", unit="ms",
            values=tuple(took["all"]), floor=tuple(took["floor_all"]),
        ),
        Figure(key="restart_ms.zone_cpu_s", unit="s", values=tuple(took["cpu"])),
    ]  # fmt: skip


async def _restarted(fleet: Fleet, took: dict[str, list[float]]) -> None:
    await fleet.clients.expect_again()
    fleet.world.processes[f"zone-{ZONE}"].kill_now()
    began = time.monotonic()
    fleet.world.run_zone(ZONE)
    first, last = await fleet.clients.first_and_last()
    took["cpu"].append(cpu_s(fleet.zone_pids))
    took["first"].append((first - began) * 1000)
    took["all"].append((last - began) * 1000)
    await fleet.settled()
