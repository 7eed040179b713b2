"""Ten thousand policies: a global's cold start, and one change until a zone has acknowledged it.

The floor of a change is what Git alone needs: the same push, a fetch, the tree and the changed
blob. Where the time of a cold start goes is measured beside it, step by step, in this process.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from reconciler.decode import mesh_resource
from reconciler.git.address import address
from reconciler.git.mirror import Mirror, MirrorOptions
from reconciler.git.remote import RemoteLimits, transport_to
from reconciler.kds.slice import Framed, next_framed
from reconciler.kds.types import MANIFEST
from reconciler.kds.zone_node import ALL_FEATURES
from reconciler.keys.secret_store import FileSecrets
from reconciler.keys.system_resources import SystemResources
from reconciler.load import Blob, LoadMemo, load
from reconciler.model.resource import Labels, ResourceKey
from reconciler.revision_loader import RevisionLoader
from reconciler.schema import schema_faults
from reconciler.source.yaml import documents
from reconciler.state import from_resources
from reconciler.steps import global_state as g
from tests.bench import policies
from tests.bench.bench_global import BenchGlobal
from tests.bench.figures import Figure, Scale, at_most, exponent
from tests.bench.kds_zones import BenchZones
from tests.support.git_repos import git

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

T = TypeVar("T")
MAIN = "refs/heads/main"
COLD_GOAL_S = 8.0
BESIDE_MS = 60.0  # what a change may take beside its floor
STALL_MS = 10.0
DIFFS = (1, 10, 100)
DIFF_RUNS = 5


async def measure(scale: Scale) -> list[Figure]:
    size = scale.size(10_000, 1_000)
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        work = await asyncio.to_thread(policies.repository, folder, size)
        bench = BenchGlobal(folder)
        cold = await asyncio.to_thread(_cold, bench, scale.choose(3, 1))
        try:
            changes, besides = await _changes(bench, work, scale.choose(50, 5))
            rss, stall = bench.rss_mb, bench.stall_ms
        finally:
            await asyncio.to_thread(bench.stop)
        floor = await asyncio.to_thread(_floor, folder, work, len(changes))
        split = await asyncio.to_thread(_split, folder)
        by_diff = await asyncio.to_thread(_by_diff, folder, work)
    key = "policies_10000"
    goal = statistics.median(floor) + BESIDE_MS
    whole = size == 10_000
    return [
        Figure(key=f"{key}.cold_s", unit="s", values=cold["wall"], goal=COLD_GOAL_S),
        Figure(key=f"{key}.cold_cpu_s", unit="CPU s", values=cold["cpu"]),
        Figure(key=f"{key}.cold_stall_ms", unit="ms", values=cold["stall"], goal=STALL_MS,
               judged="max"),
        Figure(key=f"{key}.rss_mb", unit="MB", values=(rss,)),
        *(Figure(key=f"{key}.split.{part}", unit="CPU ms", values=(ms,))
          for part, ms in split.items()),
        Figure(key=f"{key}.change_ms", unit="ms", values=tuple(changes), floor=tuple(floor),
               goal=goal if whole else None),
        Figure(key=f"{key}.change_stall_ms", unit="ms", values=(stall,)),
        Figure(key=f"{key}.resources_besides", unit="resources", values=besides,
               check=at_most(0)),
        *(Figure(key=f"{key}.load_{diff}", unit="CPU ms", values=tuple(ms))
          for diff, ms in by_diff.items()),
        Figure(key=f"{key}.load_exponent", unit="of the diff",
               values=(_exponent(by_diff),), check=at_most(1.1)),
    ]  # fmt: skip


def _exponent(by_diff: Mapping[int, list[float]]) -> float:
    return exponent(list(by_diff), [statistics.median(ms) for ms in by_diff.values()])


def _cold(bench: BenchGlobal, runs: int) -> dict[str, tuple[float, ...]]:
    """The last one goes on running."""
    wall, cpu, stall = [], [], []
    for run in range(runs):
        if run:
            bench.stop()
            bench.forget()
        wall.append(bench.start())
        cpu.append(bench.cpu_s)
        stall.append(bench.stall_ms)
    return {"wall": tuple(wall), "cpu": tuple(cpu), "stall": tuple(stall)}


async def _changes(
    bench: BenchGlobal, work: Path, runs: int
) -> tuple[list[float], tuple[float, ...]]:
    """Milliseconds from the start of `git push` to the ACK of a zone; and resources that it was
    sent besides the one, a run.
    """
    zones = BenchZones.of(bench.joins(["east"]))
    zones.start()
    found, besides = [], []
    try:
        await zones.current(git(work, "rev-parse", "HEAD"))
        for run in range(runs):
            commit = policies.change(work, [run * 10], run + 1)
            zones.clear()
            began = time.perf_counter()
            await asyncio.to_thread(git, work, "push", "--quiet", "origin", "main")
            found.append((await zones.current(commit) - began) * 1000)
            seen = zones.zones[0].seen
            besides.append(float(sum(count for type_, count, _ in seen if type_ != MANIFEST) - 1))
    finally:
        await zones.stop()
    return found, tuple(besides)


def _mirror(folder: Path, name: str) -> Mirror:
    where = address(str(folder / "policy.git"))
    return Mirror(folder / name, where, transport_to(where, RemoteLimits()), MirrorOptions())


def _floor(folder: Path, work: Path, runs: int) -> list[float]:
    """The push, a fetch, and a look at what it changed."""
    mirror, found = _mirror(folder, "floor.git"), []
    mirror.tree_entries(mirror.fetch()[MAIN])
    for run in range(runs):
        policies.change(work, [run * 10], 1000 + run)
        began = time.perf_counter()
        git(work, "push", "--quiet", "origin", "main")
        entries = mirror.tree_entries(mirror.fetch()[MAIN])
        mirror.read_blobs([e.oid for e in entries if e.path == policies.path(run * 10)])
        found.append((time.perf_counter() - began) * 1000)
    return found


def _split(folder: Path) -> dict[str, float]:
    """CPU of each part alone, of all policies; `load` is parse, validate and decode as they are
    done together.
    """
    mirror, costs = _mirror(folder, "split.git"), {}

    def timed(part: str, work: Callable[[], T]) -> T:
        began = time.process_time()
        found = work()
        costs[part] = (time.process_time() - began) * 1000
        return found

    tip = timed("fetch", mirror.fetch)[MAIN]
    entries = timed("walk", lambda: mirror.tree_entries(tip))
    bodies = timed("read", lambda: mirror.read_blobs([e.oid for e in entries]))
    small = {oid: body for oid, body in bodies.items() if isinstance(body, bytes)}
    blobs = {e.path: Blob(e.oid, small[e.oid]) for e in entries}
    parsed = timed("parse", lambda: [documents(b.data or b"")[0][0].data for b in blobs.values()])
    data = [document for document in parsed if isinstance(document, dict)]
    timed("validate", lambda: [schema_faults(str(d["type"]), d) for d in data])
    timed(
        "decode",
        lambda: [
            mesh_resource(ResourceKey(str(d["type"]), "default", str(d["name"])), Labels(), spec)
            for d in data
            if isinstance(spec := d.get("spec"), dict)
        ],
    )
    loaded = timed("load", lambda: load(blobs, LoadMemo()))
    state = from_resources(loaded.resources)
    timed("frame", lambda: next_framed(Framed(ALL_FEATURES), state))
    return costs


def _by_diff(folder: Path, work: Path) -> dict[int, list[float]]:
    """CPU of loading one commit, by how many policies it changes."""
    mirror = _mirror(folder, "diff.git")
    loader = RevisionLoader(mirror, "", SystemResources(FileSecrets(folder / "diff-keys")))
    key, found = _taken(loader, None), dict[int, list[float]]()
    for diff in DIFFS:
        for run in range(DIFF_RUNS):
            policies.change(work, range(run, run + diff), 10_000 * diff + run)
            git(work, "push", "--quiet", "origin", "main")
            mirror.fetch()
            began = time.process_time()
            key = _taken(loader, key)
            found.setdefault(diff, []).append((time.process_time() - began) * 1000)
    return found


def _taken(loader: RevisionLoader, key: g.ReconcileKey | None) -> g.ReconcileKey:
    tip = loader.mirror.tip(MAIN) or loader.mirror.fetch()[MAIN]
    loaded = loader.load(g.Load(tip, key))
    assert isinstance(loaded, g.Loaded), loaded
    return loaded.revision.key
