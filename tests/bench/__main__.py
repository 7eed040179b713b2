"""`make bench`: the figures of the system, each beside its floor from the same run.

Each bench runs in a process of its own, so that none inherits another's heap, and can be run alone:
`make bench ARGS="--only push_to_envoy"`. Prints a table, writes `build/bench.json` and a picture.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from reconciler.runtime.grpc_core import configure
from tests.bench.figures import Figure, Scale
from tests.bench.report import WIDTH, markdown, picture, table

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

# name -> module of tests.bench with `measure(scale) -> list[Figure]`; in the order they run
BENCHES = {
    "machine": "machine",
    "push_to_envoy": "push_to_envoy",
    "fleet": "fleet_1000",
    "builders": "builders",
    "zone_steps": "steps",
    "captured": "captured",
    "views": "views",
    "policies_10000": "policies_10000",
    "validate": "validate",
    "plan": "plan",
    "zones_40": "zones_40",
    "restart": "restart",
    "transport": "transport",
    "failover": "failover",
}
# In CI (`make test-system`), within 2 minutes: those whose figures have a check.
QUICK = ("push_to_envoy", "fleet", "builders", "zone_steps", "policies_10000")
TIMEOUT_S = 3600


def main() -> int:
    configure()
    parser = argparse.ArgumentParser(prog="make bench")
    parser.add_argument("--only", default="", help="names, comma-separated: " + ", ".join(BENCHES))
    parser.add_argument("--runs", type=int, help="of each figure; as many as its bench asks for")
    parser.add_argument("--quick", action="store_true", help="few runs, small fleets, some benches")
    parser.add_argument("--check", action="store_true", help="fail on counters and ratios")
    parser.add_argument("--out", type=Path, default=Path("build/bench.json"))
    parser.add_argument("--here", metavar="NAME", help="run this bench in this process")
    args = parser.parse_args()
    scale = Scale(args.quick, args.runs)
    if args.here:
        return here(args.here, scale, args.out)
    names = args.only.split(",") if args.only else QUICK if args.quick else tuple(BENCHES)
    unknown = [name for name in names if name not in BENCHES]
    if unknown:
        parser.error(f"no such bench: {', '.join(unknown)}; there are {', '.join(BENCHES)}")
    return every(names, args)


def here(name: str, scale: Scale, out: Path) -> int:
    module = importlib.import_module(f"tests.bench.{BENCHES[name]}")
    measure: Callable[[Scale], Awaitable[list[Figure]]] = module.measure
    found = asyncio.run(_measured(measure, scale))
    wrong = {f.key: said for f in found if f.check is not None and (said := f.check(f))}
    data = {f.key: f.as_json() | ({"wrong": wrong[f.key]} if f.key in wrong else {}) for f in found}
    out.write_text(json.dumps(data, indent=2) + "\n")
    return 0


async def _measured(
    measure: Callable[[Scale], Awaitable[list[Figure]]], scale: Scale
) -> list[Figure]:
    return await measure(scale)


def every(names: tuple[str, ...] | list[str], args: argparse.Namespace) -> int:
    """Each in a process of its own; a bench that fails does not keep the others from running."""
    args.out.parent.mkdir(parents=True, exist_ok=True)
    figures: dict[str, Any] = {}
    failed: list[str] = []
    options = [
        *(["--quick"] if args.quick else []),
        *(["--runs", str(args.runs)] if args.runs else []),
    ]
    for name in names:
        began = time.monotonic()
        sys.stderr.write(f"{name} ...\n")
        part = args.out.with_suffix(f".{name}.json")
        command = [
            sys.executable,
            "-m",
            "tests.bench",
            "--here",
            name,
            "--out",
            str(part),
            *options,
        ]
        done = subprocess.run(command, check=False, timeout=TIMEOUT_S)
        if done.returncode != 0:
            failed.append(name)
            continue
        figures |= json.loads(part.read_text())
        part.unlink()
        sys.stderr.write(f"{name}: {time.monotonic() - began:.0f} s\n")
        args.out.write_text(json.dumps(figures, indent=2, sort_keys=True) + "\n")
    return _told(figures, failed, args)


def _told(figures: dict[str, Any], failed: list[str], args: argparse.Namespace) -> int:
    Console(width=WIDTH).print(table(figures))
    drawn = args.out.with_suffix(".svg")
    drawn.write_text(picture(figures))
    args.out.with_suffix(".md").write_text(markdown(figures))
    sys.stdout.write(f"written to {args.out}, beside it .md and {drawn.name}\n")
    wrong = {key: figure["wrong"] for key, figure in figures.items() if "wrong" in figure}
    for name in failed:
        sys.stderr.write(f"{name}: FAILED, see above\n")
    for key, said in wrong.items():
        sys.stderr.write(f"{key}: {said}\n")
    return 1 if failed or (args.check and wrong) else 0


if __name__ == "__main__":
    sys.exit(main())
