"""The tour's sixth step: the mesh without its global.

Zones serve, admit a proxy that nobody has seen before, and write their status; when the global is
back, it learns of the newcomer, and the next commit arrives everywhere.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from reconciler.demo.calls import Load, by_zone
from reconciler.demo.seen import EFFECT_TIMEOUT_S, NotSeen, Seen

if TYPE_CHECKING:
    from reconciler.demo.tour import Tour

STEP = "6 the global is killed"
AWAY_S = 2.0  # both zones are watched that long before anything else happens
QUICK = """\
type: MeshTimeout
mesh: default
name: after-the-outage
spec:
  targetRef: {kind: Mesh}
  to:
    - targetRef: {kind: MeshService, name: backend}
      default:
        http: {requestTimeout: 150ms}
"""


async def outage(tour: Tour) -> None:
    world, newcomer = tour.world, tour.world.newcomer
    async with Load(tour.port, "/", per_second=60) as load:
        began = time.time()
        world.processes["global"].kill_now()
        await asyncio.sleep(AWAY_S)
        started = time.time()
        world.run_app(newcomer)
        await asyncio.to_thread(world.run_sidecar, newcomer)
        admitted = await _answered_by(load, newcomer.version, started)
        await tour.counts_become({"frontend v1": 1, "backend v1": 1, "backend v3": 1})
        _none_failed(load, began)
        zones = by_zone(load.since(began))
        text = f"{newcomer.name} is admitted in east and answers; status is committed"
        tour.report(Seen(STEP, text, f"{admitted:.0f} ms"))
        text = f"0 calls failed; east {zones['east']}, west {zones['west']}"
        tour.report(Seen(STEP, text, f"{time.time() - began:.1f} s away"))
        back = time.time()
        world.run_global()
        await world.until("both zones", lambda: _is_whole(tour), EFFECT_TIMEOUT_S)
        joined = time.time() - back
        _none_failed(load, began)
        text = "back: zones connected, the newcomer is in its inventory"
        tour.report(Seen(STEP, text, f"{joined * 1000:.0f} ms"))
    took = await tour.effect(
        "policies/after-outage.yaml", QUICK, "/slow?ms=400", lambda a: a.status == 504
    )
    tour.report(Seen(STEP, "the next commit arrives: a slow answer ends with 504", took))
    await tour.effect("policies/after-outage.yaml", None, "/slow?ms=400", lambda a: a.ok)


async def _answered_by(load: Load, version: str, since: float) -> float:
    """Milliseconds until a call was answered by that version."""
    deadline = time.monotonic() + EFFECT_TIMEOUT_S
    while True:
        found = next((a for a in load.since(since) if a.version == version), None)
        if found is not None:
            return (found.started - since) * 1000
        if time.monotonic() > deadline:
            raise NotSeen(f"no call was answered by the new proxy's application ({version})")
        await asyncio.sleep(0.02)


def _none_failed(load: Load, since: float) -> None:
    answers = load.since(since)
    failed = [a.status for a in answers if not a.ok]
    if failed or not answers:
        raise NotSeen(f"{len(failed)} of {len(answers)} calls failed: {sorted(set(failed))}")


def _is_whole(tour: Tour) -> bool:
    """The global knows both zones as connected and current, and the newcomer in one of them."""
    status = tour.world.inventory()
    zones, inventory = status.get("zones"), status.get("inventory")
    if not isinstance(zones, list) or not isinstance(inventory, list):
        return False
    current = [z for z in zones if z["connected"] and z["revision"] == status["revision"]]
    known = any(tour.world.newcomer.name in str(entry) for entry in inventory)
    return len(current) == len(tour.world.zones) and known
