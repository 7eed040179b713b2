"""`reconciler validate` of ten thousand policies of ten kinds, as whoever waits for it sees it: the
whole process, of files and of a commit, without a cache, from one, and with one file changed.

The floor of a cold run is a process that reads the same files and has the YAML parser go through
them, on one core; that of the others one that reads them and digests their contents.
"""

from __future__ import annotations

import asyncio
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.bench import policies
from tests.bench.figures import Figure, Scale

COLD_GOAL_S, CACHED_GOAL_S = 8.0, 1.0
_READ = """
import sys, pathlib, hashlib
contents = [file.read_bytes() for file in pathlib.Path(sys.argv[1]).rglob("*.yaml")]
"""
PARSED = f"""{_READ}
import yaml
for content in contents:
    for _ in yaml.parse(content, Loader=yaml.CSafeLoader): pass
"""
DIGESTED = f"""{_READ}
for content in contents: hashlib.sha256(content).digest()
"""


async def measure(scale: Scale) -> list[Figure]:
    size = scale.size(10_000, 1_000)
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        work = await asyncio.to_thread(policies.repository, folder, size)
        runs = scale.choose(5, 1)
        files = await asyncio.to_thread(_runs, folder, work, [], runs)
        commit = await asyncio.to_thread(_runs, folder, work, ["--rev", "HEAD"], runs)
        changed = await asyncio.to_thread(_changed, folder, work, runs)
    goals = (COLD_GOAL_S, CACHED_GOAL_S) if size == 10_000 else (None, None)
    return [
        Figure(key="validate.files.cold_s", unit="s", values=files["cold"], floor=files["parsed"],
               goal=goals[0]),
        Figure(key="validate.files.cold_cpu_s", unit="CPU s", values=files["cold_cpu"],
               floor=files["parsed_cpu"]),
        Figure(key="validate.files.cached_cpu_s", unit="CPU s", values=files["cached_cpu"],
               floor=files["digested_cpu"]),
        Figure(key="validate.files.cached_s", unit="s", values=files["cached"],
               floor=files["digested"], goal=goals[1]),
        Figure(key="validate.files.changed_s", unit="s", values=changed, floor=files["digested"]),
        Figure(key="validate.commit.cold_s", unit="s", values=commit["cold"],
               floor=commit["parsed"], goal=goals[0]),
        Figure(key="validate.commit.cached_s", unit="s", values=commit["cached"],
               floor=commit["digested"], goal=goals[1]),
    ]  # fmt: skip


def _runs(folder: Path, work: Path, of: list[str], runs: int) -> dict[str, tuple[float, ...]]:
    """Each beside its floor, in turn: a busy machine is busy for both."""
    found: dict[str, list[float]] = {}
    for run in range(runs):
        validate = _validate(work, folder / f"cache-{'-'.join(of)}-{run}", of)
        for name, command in (
            ("parsed", [sys.executable, "-c", PARSED, str(work)]),
            ("cold", validate),
            ("digested", [sys.executable, "-c", DIGESTED, str(work)]),
            ("cached", validate),
        ):
            seconds, cpu_s = timed(command)
            found.setdefault(name, []).append(seconds)
            found.setdefault(f"{name}_cpu", []).append(cpu_s)
    return {name: tuple(values) for name, values in found.items()}


def _changed(folder: Path, work: Path, runs: int) -> tuple[float, ...]:
    """One policy is another one: the others come from the cache."""
    validate, found = _validate(work, folder / "cache-changed", []), []
    timed(validate)
    for run in range(runs):
        policies.write(work, {policies.path(run): policies.policy(run, run + 1)})
        found.append(timed(validate)[0])
    return tuple(found)


def _validate(work: Path, cache: Path, of: list[str]) -> list[str]:
    program = str(Path(sys.executable).parent / "reconciler")
    return [program, "validate", str(work), "--cache-dir", str(cache), *of]


def timed(command: list[str]) -> tuple[float, float]:
    """Seconds on the clock, and of processors: of its own processes, too."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("RECONCILER_")}
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, check=True, env=environment, capture_output=True)
    seconds, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
