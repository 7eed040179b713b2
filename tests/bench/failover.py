"""`make bench-failover`: what callers see when a part of a mesh of two zones is lost.

200 requests a second from a caller in east to `backend`, of which each zone has two instances; real
Envoys, the policies of examples-repo. The floor of the longest gap is the same traffic just before;
that of the return is the time until the listener of what was started takes connections.

    python -m tests.bench.failover --only kill_instance,kill_ingress --runs 3 --format markdown
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from reconciler.runtime.grpc_core import configure
from tests.bench.figures import Figure, Scale
from tests.bench.report import WIDTH, number
from tests.support.outages import OUTAGES, Outage, Outcome, measured
from tests.support.steady import Steady
from tests.support.two_zones import TwoZones

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Found = dict[str, list[Outcome]]  # outcomes of an outage, one a run
NONE_FAIL = ("leave", "leave_remote", "kill_own_zone", "kill_other_zone", "kill_global")
WITHIN_S = 1.0  # what is killed fails no call after that
# What says nothing more is known by its silence alone: of a second, and another one for an answer.
SILENT_S, SILENT = 3.0, ("freeze_instance", "freeze_remote", "freeze_ingress")
# kill -9 of the only local instance with its sidecar, at 200 requests a second, on a machine of
# this kind with Kuma 2.14.3: it looks for what is gone once a second and keeps it for ten.
KUMA_S, KUMA_FAILED = 11.3, 2251
COLUMNS = (
    "lost",
    "failed",
    "of",
    "gap, ms",
    "before",
    "settled, ms",
    "slowest, ms",
    "back, ms",
    "floor",
    "failed then",
    "goal",
)


async def measure(scale: Scale) -> list[Figure]:
    found, wrong = await outcomes(OUTAGES, scale.choose(3, 1))
    if wrong:
        raise AssertionError("; ".join(f"{name}: {said}" for name, said in wrong.items()))
    return [figure for name, runs in found.items() for figure in figures(name, runs)]


async def outcomes(outages: Sequence[Outage], runs: int) -> tuple[Found, dict[str, str]]:
    """In one world, one after another; what did not become as before ends the run."""
    found: Found = {outage.name: [] for outage in outages}
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        world = TwoZones(Path(folder) / "world")
        try:
            await world.start_all()
            with Steady(world.outbound) as load:
                for outage in [outage for _ in range(runs) for outage in outages]:
                    sys.stderr.write(f"{outage.name} ...\n")
                    try:
                        found[outage.name].append(await measured(world, load, outage))
                    except AssertionError as error:
                        return found, {outage.name: str(error)}
        finally:
            world.stop()
    return found, {}


def limit_s(name: str) -> float:
    return SILENT_S if name in SILENT else WITHIN_S


def figures(name: str, runs: Sequence[Outcome]) -> list[Figure]:
    floors = tuple(1000 * o.back_floor for o in runs if o.back_floor is not None)
    none = name in NONE_FAIL
    return [
        Figure(
            key=f"failover.{name}.failed", unit="requests", judged="max", goal=0 if none else None,
            values=tuple(float(o.failed) for o in runs),
            floor=tuple(float(o.quiet_failed) for o in runs),
        ),
        Figure(
            key=f"failover.{name}.gap_ms", unit="ms",
            values=tuple(1000 * o.gap for o in runs), floor=tuple(1000 * o.quiet_gap for o in runs),
        ),
        Figure(
            key=f"failover.{name}.settled_ms", unit="ms", judged="max",
            goal=None if none else 1000 * limit_s(name),
            values=tuple(1000 * o.settled for o in runs),
        ),
        Figure(
            key=f"failover.{name}.back_ms", unit="ms",
            values=tuple(1000 * o.back for o in runs), floor=floors,
        ),
    ]  # fmt: skip


def row(outage: Outage, runs: Sequence[Outcome]) -> tuple[list[str], bool]:
    """The worst of the runs, in the order of `COLUMNS`, and whether the goal is met."""
    failed, settled = max(o.failed for o in runs), max(o.settled for o in runs)
    none = outage.name in NONE_FAIL
    met = failed == 0 if none else settled <= limit_s(outage.name)
    floors = [o.back_floor for o in runs if o.back_floor is not None]
    goal = "0 failed" if none else f"settled ≤ {limit_s(outage.name):g} s"
    cells = [
        outage.title,
        str(failed),
        str(max(o.calls for o in runs)),
        _ms(o.gap for o in runs),
        _ms(o.quiet_gap for o in runs),
        _ms(o.settled for o in runs),
        _ms(o.slowest for o in runs),
        _ms(o.back for o in runs),
        _ms(floors) if floors else "",
        str(max(o.failed_back for o in runs)),
        f"{goal}: {'met' if met else 'not met'}",
    ]
    return cells, met


def _ms(seconds: object) -> str:
    return number(round(1000 * max(seconds)))  # type: ignore[call-overload]


def shown(found: Found, form: str) -> None:
    rows = {o.name: row(o, found[o.name]) for o in OUTAGES if found.get(o.name)}
    if form == "json":
        data = {name: [asdict(outcome) for outcome in runs] for name, runs in found.items()}
        print(json.dumps(data, indent=2))
    elif form == "markdown":
        sys.stdout.write(markdown(rows))
    else:
        Console(width=None if sys.stdout.isatty() else WIDTH).print(table(rows))
        print(f"Kuma 2.14.3, kill -9 of the only local instance: {KUMA_S} s, {KUMA_FAILED} failed")


def markdown(rows: Mapping[str, tuple[list[str], bool]]) -> str:
    aligned = ["---", *["---:"] * (len(COLUMNS) - 2), "---"]
    lines = [list(COLUMNS), aligned, *(cells for cells, _ in rows.values())]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def table(rows: Mapping[str, tuple[list[str], bool]]) -> Table:
    made = Table(title="200 requests a second; the worst of the runs")
    for column in COLUMNS:
        made.add_column(column, justify="left" if column in (COLUMNS[0], "goal") else "right")
    for cells, met in rows.values():
        colour = "green" if met else "red"
        made.add_row(*cells[:-1], f"[{colour}]{cells[-1]}[/{colour}]")
    return made


def main() -> int:
    configure()
    parser = argparse.ArgumentParser(prog="make bench-failover")
    names = [outage.name for outage in OUTAGES]
    parser.add_argument("--only", default="", help="comma-separated: " + ", ".join(names))
    parser.add_argument("--runs", type=int, default=1, help="of each (default: 1)")
    parser.add_argument("--format", choices=("table", "json", "markdown"), default="table")
    args = parser.parse_args()
    wanted = args.only.split(",") if args.only else names
    if unknown := set(wanted).difference(names):
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    chosen = [outage for outage in OUTAGES if outage.name in wanted]
    found, wrong = asyncio.run(outcomes(chosen, args.runs))
    shown(found, args.format)
    for name, said in wrong.items():
        sys.stderr.write(f"{name}: {said}\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
