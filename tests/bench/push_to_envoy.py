"""`git push` started → one real Envoy has the new cluster; and how much a change rebuilds.

The floor in the same run: the same push to the same kind of repository, noticed the same way, after
which a server that computes nothing sends the same bytes to the same Envoy.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path

from reconciler.demo.world import GIT_IDENTITY, World
from tests.bench.admin import Admin, until
from tests.bench.figures import Figure, Scale, at_most, times_floor
from tests.bench.floor import Floor

POLICY = """\
type: MeshTimeout
mesh: default
name: bench
spec:
  targetRef: {{kind: Mesh}}
  to:
    - targetRef: {{kind: MeshService, name: backend}}
      default: {{connectionTimeout: {number}ms}}
"""


async def measure(scale: Scale) -> list[Figure]:
    runs = scale.choose(30, 5)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        world = World(Path(folder) / "world")
        world.folder.mkdir()
        try:
            await world.start(lambda _: None)
            pushes = await asyncio.to_thread(_pushes, world, runs)
            rebuilt = await asyncio.to_thread(_rebuilt, world)
        finally:
            for tap in world.taps.values():
                await tap.stop()
            await asyncio.to_thread(world.stop)
        async with Floor(Path(folder) / "floor") as floor:
            floors = await floor.runs(runs)
    return [
        Figure(
            key="push_to_envoy_ms",
            unit="ms",
            values=tuple(pushes),
            floor=tuple(floors),
            goal=100.0,
            check=times_floor(12.0),
        ),
        *(
            Figure(key=f"rebuilt.{key}", unit="resources", values=(count,), check=at_most(most))
            for key, count, most in (
                ("one_policy", rebuilt["one_policy"], 2),
                ("no_policy", rebuilt["no_policy"], 0),
            )
        ),
    ]


def _pushes(world: World, runs: int) -> list[float]:
    admin = Admin(world.folder / "proxies" / "frontend" / "kuma-envoy-admin.sock")
    return [_push(world, admin, 1000 + number) for number in range(runs)]


def _push(world: World, admin: Admin, number: int) -> float:
    """One run in milliseconds: from the start of `git push` until Envoy shows the value."""
    commit_policy(world, number)
    started = time.perf_counter()
    world.git(world.work, "push", "--quiet", "origin", "main")
    until(lambda: admin.connect_timeout_ms() == number, f"connect timeout {number} ms")
    return (time.perf_counter() - started) * 1000


def commit_policy(world: World, number: int) -> None:
    (world.work / "bench.yaml").write_text(POLICY.format(number=number))
    world.git(world.work, "add", "bench.yaml")
    world.git(world.work, *GIT_IDENTITY, "commit", "--quiet", "--message", f"bench {number}")


def _rebuilt(world: World) -> dict[str, float]:
    """Resources built in both zones for a change of one policy, and for a commit that
    changes none.
    """
    before = _built(world)
    commit_policy(world, 4321)
    _pushed_and_settled(world)
    one = _built(world)
    (world.work / "NOTES.md").write_text("nothing a proxy can see\n")
    world.git(world.work, "add", "NOTES.md")
    world.git(world.work, *GIT_IDENTITY, "commit", "--quiet", "--message", "notes")
    _pushed_and_settled(world)
    return {"one_policy": float(one - before), "no_policy": float(_built(world) - one)}


def _pushed_and_settled(world: World) -> None:
    world.git(world.work, "push", "--quiet", "origin", "main")
    commit = world.git(world.work, "rev-parse", "HEAD").strip()
    until(lambda: _settled(world, commit), f"commit {commit} at all proxies")


def _settled(world: World, commit: str) -> bool:
    shown = [world.status(zone) for zone in world.zones]
    return all(s.get("revision") == commit and _acked(s) for s in shown)


def _acked(status: dict[str, object]) -> bool:
    proxies = status.get("proxies")
    return isinstance(proxies, dict) and proxies.get("acked") == proxies.get("total") == 3


def _built(world: World) -> int:
    total = 0
    for zone in world.zones:
        rebuilt = world.status(zone).get("rebuilt")
        total += sum(rebuilt.values()) if isinstance(rebuilt, dict) else 0
    return total
