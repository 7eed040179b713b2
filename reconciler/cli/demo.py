"""`reconciler demo`: the whole system on loopback from nothing, live on a terminal, as a checked
tour without one.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    import argparse

    from rich.console import Console

    from reconciler.demo.tour import Seen
    from reconciler.demo.world import World

EXAMPLE = "example: reconciler demo --once --dir /tmp/mesh-demo"
REFRESH_S = 0.5


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser(
        "demo", help="the whole system on this machine, from nothing", epilog=EXAMPLE
    )
    parser.add_argument("--once", action="store_true", help="drive the scripted tour and end")
    parser.add_argument(
        "--dir", type=Path, help="an empty or new folder (default: a temporary one)"
    )
    parser.add_argument(
        "--format", choices=("text", "json"), default="text", help="of the tour's table"
    )


def run(args: argparse.Namespace) -> int:
    from rich.console import Console

    console = Console(stderr=args.format == "json")
    once = args.once or not sys.stdout.isatty()
    folder = args.dir or Path(tempfile.mkdtemp(prefix="mesh-demo-"))
    if folder.exists() and any(folder.iterdir()):
        console.print(f"{folder} is not empty; name a new folder with --dir", style="red")
        return 2
    folder.mkdir(parents=True, exist_ok=True)
    return asyncio.run(_demo(folder.resolve(), console, once=once, as_json=args.format == "json"))


async def _demo(folder: Path, console: Console, *, once: bool, as_json: bool) -> int:
    from reconciler.demo.world import DemoError, World

    world = World(folder)
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    console.print(f"everything of this demo is in {folder}", highlight=False)
    started = time.monotonic()

    def progress(text: str) -> None:
        console.print(f"[dim]{time.monotonic() - started:5.1f} s[/]  {text}", highlight=False)

    try:
        await world.start(progress)
        if not once:
            await _live(world, console)
        return await _tour(world, console, as_json)
    except DemoError as error:
        console.print(str(error), style="red", markup=False)
        return 2
    except asyncio.CancelledError:
        return 130 if once else 0
    finally:
        for tap in world.taps.values():
            await tap.stop()
        await asyncio.to_thread(world.stop)


async def _tour(world: World, console: Console, as_json: bool) -> int:
    from reconciler.demo.board import tour_table
    from reconciler.demo.tour import Tour

    rows: list[Seen] = []

    def report(seen: Seen) -> None:
        rows.append(seen)
        mark = "[green]✓[/]" if seen.ok else "[bold red]✗[/]"
        console.print(f"  {mark} {seen.step}: ", end="")
        console.print(f"{seen.what}  {seen.measured}", markup=False, highlight=False)

    done = await Tour(world, report).run()
    if as_json:
        sys.stdout.write(json.dumps({"ok": done, "steps": [_row(row) for row in rows]}) + "\n")
    else:
        console.print()
        console.print(tour_table(rows))
        console.print(
            "every step was seen" if done else "a step was not seen; the logs are in logs/"
        )
    return 0 if done else 1


def _row(seen: Seen) -> dict[str, object]:
    return {"step": seen.step, "seen": seen.what, "measured": seen.measured, "ok": seen.ok}


async def _live(world: World, console: Console) -> NoReturn:
    from rich.live import Live

    from reconciler.demo.board import board
    from reconciler.demo.calls import Load

    async with Load(world.frontend.app_port, "/", per_second=20) as load:
        with Live(console=console, auto_refresh=False) as live:
            while True:
                picture = await asyncio.to_thread(board, world, load)
                live.update(picture, refresh=True)
                await asyncio.sleep(REFRESH_S)
