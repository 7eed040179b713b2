"""`make bench`: the figures of the system, each beside its floor from the same run.

Prints a table and writes `build/bench.json`. Real Git, real control planes, real Envoy; see
`push_to_envoy`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.bench.push_to_envoy import measure


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench")
    parser.add_argument("--runs", type=int, default=30)
    parser.add_argument("--out", type=Path, default=Path("build/bench.json"))
    parser.add_argument("--quick", action="store_true", help="few runs")
    args = parser.parse_args()
    if args.quick:
        args.runs = min(args.runs, 8)
    figures = asyncio.run(measure(args.runs))
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(figures, indent=2, sort_keys=True) + "\n")
    Console().print(table(figures))
    sys.stdout.write(f"written to {args.out}\n")
    return 0


def table(figures: dict[str, dict[str, float]]) -> Table:
    """A row a figure; the floor is the same bytes to the same Envoy from a server that computes
    nothing.
    """
    found = Table(title="bench")
    for column in ("figure", "value", "floor", "goal"):
        found.add_column(column, justify="left" if column == "figure" else "right")
    pushes, floor = figures["push_to_envoy_ms"], figures["push_to_envoy_ms.floor"]
    for key in ("p50", "p99", "max"):
        goal = "≤ 100" if key == "p50" else ""
        found.add_row(f"push_to_envoy_ms.{key}", f"{pushes[key]:.1f}", f"{floor[key]:.1f}", goal)
    for key, goal in (("one_policy", ""), ("no_policy", "0")):
        found.add_row(f"rebuilt.{key}", f"{figures['rebuilt'][key]:.0f}", "", goal)
    return found


if __name__ == "__main__":
    sys.exit(main())
