"""The tour's last steps, which are about zones: calls stay near while they can, and leave a zone by
its egress alone.
"""

from __future__ import annotations

import asyncio
import re
import time
from typing import TYPE_CHECKING

from reconciler.demo.calls import Load, by_zone, calls
from reconciler.demo.seen import EFFECT_TIMEOUT_S, NotSeen, Seen

if TYPE_CHECKING:
    from collections.abc import Callable

    from reconciler.demo.calls import Answer
    from reconciler.demo.tour import Tour

NEAR, OUT = "7 near first", "8 a way out by an egress"
CALLS = 60
MESH = "meshes/default.yaml"
ROUTING = "routing: {%s: true}\n"
ZONES = {"east", "west"}
EGRESS = "egress-east"


async def near_first(tour: Tour) -> None:
    """All calls stay in east; without an instance there they go to west, and they come back."""
    before = (tour.world.work / MESH).read_text()
    started = await asyncio.to_thread(
        tour.push, MESH, before + ROUTING % "localityAwareLoadBalancing"
    )
    took = await _answered_by(tour, {"east"}, started)
    await _only(tour, {"east"})
    tour.report(Seen(NEAR, f"east {CALLS} of {CALLS} calls, of 2 : 2 instances", took))
    world = tour.world
    lost = [world.workloads["backend-east-1"], world.newcomer]
    async with Load(tour.port, "/", per_second=60) as load:
        await asyncio.sleep(0.5)
        killed = time.time()
        for workload in lost:
            world.processes[f"app-{workload.name}"].kill_now()
            world.processes[f"proxy-{workload.name}"].kill_now()
        await _until(load, killed, lambda a: a.zone == "west", "west does not take over")
        await asyncio.sleep(1.0)
        failed = [a for a in load.since(killed) if not a.ok]
        settled = [a for a in load.since(time.time() - 0.5) if a.ok]
        if {a.zone for a in settled} != {"west"}:
            raise NotSeen(f"a second later: {by_zone(settled)}")
        gap = (max(a.ended for a in failed) - killed) * 1000 if failed else 0.0
        text = f"kill -9 of all in east: west answers; {len(failed)} calls failed"
        tour.report(Seen(NEAR, text, f"{gap:.0f} ms gap"))
        back = time.time()
        for workload in lost:
            world.run_app(workload)
            await asyncio.to_thread(world.run_sidecar, workload)
        found = await _until(load, back, lambda a: a.zone == "east", "east does not come back")
        took = f"{(found.started - back) * 1000:.0f} ms"
        tour.report(Seen(NEAR, "started again: east answers again", took))
    await _only(tour, {"east"})
    started = await asyncio.to_thread(tour.push, MESH, before)
    await _answered_by(tour, ZONES, started)


async def way_out(tour: Tour) -> None:
    """With `zoneEgress` calls to west leave by east's egress, and not otherwise."""
    world, before = tour.world, (tour.world.work / MESH).read_text()
    await asyncio.to_thread(world.run_egress, "east")
    await world.until("east's egress", lambda: world.acked("east") == len(_proxies(tour)))
    if await asyncio.to_thread(_passed, tour):
        raise NotSeen("something passed the egress before the mesh asked for one")
    started = await asyncio.to_thread(tour.push, MESH, before + ROUTING % "zoneEgress")
    took = await _passes(tour, started)
    await _answered_by(tour, ZONES, time.time())
    zones = by_zone(await calls(tour.port, "/", CALLS))
    text = f"west {zones['west']} of {CALLS} calls, all by the egress of east"
    tour.report(Seen(OUT, text, took))
    world.processes[f"proxy-{EGRESS}"].kill_now()
    await _answered_by(tour, {"east"}, time.time())
    await _only(tour, {"east"})
    missing = world.status("east").get("without_egress")
    if missing != ["default"]:
        raise NotSeen(f"the zone says {missing!r} of meshes without an egress")
    tour.report(Seen(OUT, "kill -9: no way around it, and status of east says so"))
    back = time.time()
    await asyncio.to_thread(world.run_egress, "east")
    took = await _answered_by(tour, ZONES, back)
    tour.report(Seen(OUT, "started again: west is reached again", took))
    started = await asyncio.to_thread(tour.push, MESH, before)
    await _answered_by(tour, ZONES, started)


def _proxies(tour: Tour) -> list[str]:
    """Of east: sidecars, ingress and egress that run."""
    running = [name for name, p in tour.world.processes.items() if p.popen.poll() is None]
    own = ("proxy-frontend", f"proxy-{EGRESS}", "proxy-ingress-east")
    return [name for name in running if name in own or name.startswith("proxy-backend-east")]


def _passed(tour: Tour) -> int:
    """Connections that the egress has opened to services of other zones."""
    stats = tour.world.run_once(
        "inspect", EGRESS, "--type", "zone-egress", "--stats",
        "--state-dir", str(tour.world.state("east")),
    )  # fmt: skip
    found = re.search(r"cluster\.default_backend\.upstream_cx_total: (\d+)", stats)
    return int(found[1]) if found else 0


async def _passes(tour: Tour, since: float) -> str:
    deadline = time.monotonic() + EFFECT_TIMEOUT_S
    while not await asyncio.to_thread(_passed, tour):
        await calls(tour.port, "/", 5)
        if time.monotonic() > deadline:
            raise NotSeen("nothing passes the egress")
    return f"{(time.time() - since) * 1000:.0f} ms"


async def _answered_by(tour: Tour, zones: set[str], since: float) -> str:
    """Until a batch of calls is answered by exactly these zones."""
    deadline = time.monotonic() + EFFECT_TIMEOUT_S
    while True:
        began = time.time()
        answers = await calls(tour.port, "/", 12)
        found = set(by_zone(answers))
        if found == zones and all(a.ok for a in answers):
            return f"{(began - since) * 1000:.0f} ms"
        if time.monotonic() > deadline:
            raise NotSeen(f"answered by {sorted(found)}, not by {sorted(zones)}")


async def _only(tour: Tour, zones: set[str]) -> None:
    answers = await calls(tour.port, "/", CALLS)
    if set(by_zone(answers)) != zones or not all(a.ok for a in answers):
        raise NotSeen(f"answered by {by_zone(answers)}, not by {sorted(zones)} alone")


async def _until(
    load: Load, since: float, seen: Callable[[Answer], bool], otherwise: str
) -> Answer:
    deadline = time.monotonic() + EFFECT_TIMEOUT_S
    while True:
        found = next((a for a in load.since(since) if a.ok and seen(a)), None)
        if found is not None:
            return found
        if time.monotonic() > deadline:
            raise NotSeen(otherwise)
        await asyncio.sleep(0.05)
