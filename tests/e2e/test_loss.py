"""Parts of a running mesh are lost, with real processes and real Envoys; traffic is watched.

docs/failure-modes.md names these tests. The tour (test_demo.py) has the global's death.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from reconciler.demo.calls import Load, by_zone
from reconciler.demo.outage import QUICK
from reconciler.demo.seen import EFFECT_TIMEOUT_S
from reconciler.demo.tour import Tour
from reconciler.demo.world import World

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]
SERVES_WITHIN = 2.0  # times the processor time that the program alone takes until it is there
RATE = 60.0  # calls a second


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    made = World(tmp_path / "world")
    try:
        await made.start(lambda _: None)
        yield made
    finally:
        for tap in made.taps.values():
            await tap.stop()
        await asyncio.to_thread(made.stop)


def ingress_file(world: World, zone: str) -> str:
    return world.git(None, "-C", str(world.bare), "show", f"status/{zone}:ingress.yaml")


def rebuilt(world: World) -> dict[str, object]:
    """How often each zone has built what for its proxies."""
    return {zone: world.status(zone)["rebuilt"] for zone in world.zones}


def cpu_seconds(pid: int) -> float:
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def failed(load: Load, since: float) -> list[int]:
    answers = load.since(since)
    assert answers
    return [a.status for a in answers if not a.ok]


async def test_a_zone_restarts_from_its_own_disk_while_the_global_is_away(world: World) -> None:
    """West's ingress and backends are Envoys that live on; east, which calls them, sees nothing."""
    await world.until("both backends", lambda: ingress_file(world, "west").count("version:") == 2)
    before = ingress_file(world, "west")
    async with Load(world.frontend.app_port, "/", per_second=RATE) as load:
        began = time.time()
        world.processes["global"].kill_now()
        world.processes["zone-west"].kill_now()
        await asyncio.sleep(1.0)
        world.run_zone("west")
        await world.until("west, from its disk", lambda: bool(world.status("west").get("revision")))
        # Of processor time: what other processes of a loaded machine take does not count.
        took = cpu_seconds(world.processes["zone-west"].popen.pid)
        await world.until("west's proxies", lambda: world.acked("west") == 3)
        assert world.status("west")["connected"] is False
        await asyncio.sleep(1.0)
        assert failed(load, began) == []
        assert by_zone(load.since(began))["west"] > 0
        assert ingress_file(world, "west") == before  # nothing was withdrawn
        world.run_global()
        await world.until("west at its global", lambda: world.status("west")["connected"] is True)
        assert failed(load, began) == []
    assert took < SERVES_WITHIN * program_s(), took


PROGRAM = """
import time
import reconciler.cli.main, reconciler.cli.zone, reconciler.zone_cp.process
from reconciler.warm_up import warm_up

warm_up()
print(time.process_time())
"""


def program_s() -> float:
    """Of processor time, on this machine: a zone that has nothing to serve yet."""
    command = (sys.executable, "-c", PROGRAM)
    return float(subprocess.run(command, capture_output=True, check=True, text=True).stdout)


def ingress_history(world: World, zone: str) -> list[str]:
    """Every state of the file since the beginning."""
    commits = world.git(None, "-C", str(world.bare), "log", "--format=%H", f"status/{zone}").split()
    shown = (f"{commit}:ingress.yaml" for commit in commits)
    return [world.git(None, "-C", str(world.bare), "show", path) for path in shown]


def offers(world: World, zone: str, versions: int) -> bool:
    return ingress_file(world, zone).count("version:") == versions


async def test_zones_that_lost_their_stores_publish_no_emptiness(world: World) -> None:
    """East calls west all the time: had west's ingress been withdrawn, or an endpoint been taken
    from east's frontend, calls would fail or all go to east.
    """
    for zone in world.zones:  # west's two backends; east's backend and frontend
        await world.until(f"all of {zone}", partial(offers, world, zone, 2))
    before = {zone: len(ingress_history(world, zone)) for zone in world.zones}
    async with Load(world.frontend.app_port, "/", per_second=RATE) as load:
        began = time.time()
        for zone in world.zones:
            world.processes[f"zone-{zone}"].kill_now()
        for file in world.state("west").glob("store.sqlite*"):
            file.unlink()
        (world.state("east") / "store.sqlite").write_bytes(b"SQLite format 3\0" + b"torn" * 500)
        (world.state("east") / "store.sqlite-wal").unlink(missing_ok=True)
        for zone in world.zones:
            world.run_zone(zone)
        await world.until("both gather", lambda: all(map(gathers(world), world.zones)))
        await world.until("all again", lambda: not any(map(gathers(world), world.zones)))
        await world.until("west's proxies", lambda: world.acked("west") == 3)
        await world.until("east's proxies", lambda: world.acked("east") == 3)
        await asyncio.sleep(1.0)
        assert failed(load, began) == []
        moments = range(int(began), int(time.time()) - 1)
        answers = load.since(began)
        for moment in moments:
            found = by_zone([a for a in answers if moment <= a.started < moment + 2])
            assert found["west"] > 0, (moment - began, found)
    for zone in world.zones:
        since = ingress_history(world, zone)[: -before[zone] or None]
        assert all(file.count("version:") == 2 for file in since), since


def gathers(world: World) -> Callable[[str], bool]:
    return lambda zone: bool(world.status(zone).get("gathering"))


def known_to_global(world: World) -> list[str]:
    """The proxies that it knows, of all zones."""
    found = world.inventory().get("inventory")
    kinds = ("/Dataplane ", "/ZoneIngress ", "/ZoneEgress ")
    listed = map(str, found if isinstance(found, list) else [])
    return [each for each in listed if any(kind in each for kind in kinds)]


async def test_wiping_the_inventory_of_the_global_changes_no_proxy(world: World) -> None:
    async with Load(world.frontend.app_port, "/", per_second=RATE) as load:
        everyone = sum(map(world.acked, world.zones))  # A zone tells of them ten times a second.
        await world.until("all of them", lambda: len(known_to_global(world)) == everyone)
        began, before = time.time(), rebuilt(world)
        known = known_to_global(world)
        world.processes["global"].kill_now()
        for file in world.state("global").glob("store.sqlite*"):
            file.unlink()
        world.run_global()
        await world.until("the inventory", lambda: known_to_global(world) == known)
        await world.until(
            "both zones", lambda: all(world.status(zone)["connected"] for zone in world.zones)
        )
        assert rebuilt(world) == before
        assert failed(load, began) == []


async def test_without_git_and_without_a_mirror_nobody_calls_in_vain(world: World) -> None:
    """The repository is away, then the mirror is damaged, then it is gone; a new proxy comes in
    meanwhile; when Git is back, the next commit arrives.
    """
    newcomer, state = world.newcomer, world.state("global")
    tour = Tour(world, lambda _: None)
    revision = world.status("global")["revision"]
    async with Load(world.frontend.app_port, "/", per_second=RATE) as load:
        began = time.time()
        away = world.bare.rename(world.bare.with_name("away.git"))
        restart_global(world)
        await world.until(  # from its mirror
            "both zones", lambda: both_have(world, revision), EFFECT_TIMEOUT_S
        )
        world.run_app(newcomer)
        await asyncio.to_thread(world.run_sidecar, newcomer)
        await world.until("the newcomer", lambda: world.acked("east") == 4)
        for pack in (state / "mirror.git" / "objects").rglob("*"):
            if pack.is_file():
                pack.chmod(0o600)
                pack.write_bytes(b"damaged")
        restart_global(world)
        await world.until("its words", lambda: bool(problem(world)))
        assert world.status("global")["revision"] is None
        world.processes["global"].kill_now()
        shutil.rmtree(state / "mirror.git")
        world.run_global()
        await world.until("its words", lambda: bool(problem(world)))
        assert world.status("global")["revision"] is None
        assert all(world.status(zone)["revision"] == revision for zone in world.zones)
        away.rename(world.bare)
        await world.until("both zones", lambda: both_have(world, revision), EFFECT_TIMEOUT_S)
        assert failed(load, began) == []
        assert any(answer.version == newcomer.version for answer in load.since(began))
    await tour.effect("policies/back.yaml", QUICK, "/slow?ms=400", lambda a: a.status == 504)


def restart_global(world: World) -> None:
    world.processes["global"].kill_now()
    world.run_global()


def problem(world: World) -> object:
    return world.status("global").get("repository_error")


def both_have(world: World, revision: object) -> bool:
    """The global is there, and both zones are connected to it with this revision in force."""
    zones = world.inventory().get("zones")
    rows = zones if isinstance(zones, list) else []
    current = [z for z in rows if z["connected"] and z["revision"] == revision]
    return len(current) == len(world.zones)
