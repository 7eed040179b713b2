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
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.cli.running import words_of

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from rich.console import Console

    from reconciler.demo.seen import Seen
    from reconciler.demo.visitor import Visitor
    from reconciler.demo.world import World

EXAMPLE = "example: reconciler demo --once --dir /tmp/mesh-demo"
CANNOT = "--transparent: %s; leave it out to see everything else"
REFRESH_S = 0.5
SIGNAL_HEARD_S = 0.1


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser(
        "demo", help="the whole system on this machine, from nothing", epilog=EXAMPLE
    )
    parser.add_argument("--once", action="store_true", help="drive the scripted tour and end")
    parser.add_argument(
        "--dir",
        type=Path,
        help="an empty or new folder, which is left as it is (default: a temporary one)",
    )
    parser.add_argument(
        "--transparent",
        action="store_true",
        help="also a program that knows nothing of the mesh, in a network of its own where "
        "everything is redirected to a sidecar; needs Linux and root",
    )
    parser.add_argument(
        "--format", choices=("text", "json"), default="text", help="of the tour's table"
    )


def run(args: argparse.Namespace) -> int:
    from rich.console import Console

    console = Console(stderr=args.format == "json")
    once = args.once or not sys.stdout.isatty()
    try:
        if args.transparent:
            _check_visitor()
        folder = _folder(args.dir)
    except (OSError, ValueError) as error:
        console.print(words_of(error), style="red", markup=False, highlight=False, soft_wrap=True)
        return 2
    shown = _Shown(once=once, as_json=args.format == "json", transparent=args.transparent)
    return asyncio.run(_demo(folder, console, shown))


def _check_visitor() -> None:
    """Raises ValueError that says what is missing."""
    from reconciler.demo.visitor import missing

    if why := missing():
        raise ValueError(CANNOT % why)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shown:
    once: bool
    as_json: bool
    transparent: bool


def _folder(wanted: Path | None) -> Path:
    """Made and empty. Raises OSError, or ValueError with the cure."""
    folder: Path = wanted or Path(tempfile.mkdtemp(prefix="mesh-demo-"))
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise ValueError(f"{folder} is not empty; name a new folder with --dir")
    return folder.resolve()


async def _demo(folder: Path, console: Console, shown: _Shown) -> int:
    from reconciler.demo.visitor import Visitor, program
    from reconciler.demo.world import DemoError, World

    def say(text: str, style: str = "") -> None:
        console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)

    world = World(folder)
    visitor = Visitor(world) if shown.transparent else None
    task = asyncio.current_task()
    assert task is not None
    _on_signals(task.cancel)
    say(f"everything of this demo is in {folder}")
    started = time.monotonic()

    def progress(text: str) -> None:
        console.print(f"[dim]{time.monotonic() - started:5.1f} s[/]  {text}", highlight=False)

    try:
        try:
            await world.start(progress)
            say(await asyncio.to_thread(world.how_to_read), "dim")
            if shown.once:
                return await _tour(world, visitor, console, shown.as_json)
            if visitor is not None:
                progress("a program that knows nothing of the mesh, in a network of its own")
                await visitor.start()
                say(f"to be where it is: {' '.join(visitor.inside(program()))}", "dim")
            await _live(world, console)
            return 0
        except DemoError as error:
            # Ctrl-C may have ended what failed before it left our group: then it is heard here.
            await asyncio.sleep(SIGNAL_HEARD_S)
            say(str(error), "red")
            return 2
    except asyncio.CancelledError:
        return 130 if shown.once else 0
    finally:
        _on_signals(lambda: None)  # Ending is not interrupted: nothing may be left behind.
        for tap in world.taps.values():
            await tap.stop()
        await asyncio.to_thread(world.stop)
        if visitor is not None:
            await visitor.stop()
        with suppress(OSError):  # The terminal may be gone.
            say(f"every process has ended; logs are in {folder / 'logs'}", "dim")


def _on_signals(act: Callable[[], object]) -> None:
    """Also when the terminal goes away."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, act)


async def _tour(world: World, visitor: Visitor | None, console: Console, as_json: bool) -> int:
    from reconciler.demo.board import tour_table
    from reconciler.demo.tour import Tour

    rows: list[Seen] = []

    def report(seen: Seen) -> None:
        rows.append(seen)
        mark = "[green]✓[/]" if seen.ok else "[bold red]✗[/]"
        console.print(f"  {mark} {seen.step}: ", end="")
        console.print(f"{seen.what}  {seen.measured}", markup=False, highlight=False)

    done = await Tour(world, report, visitor).run()
    if as_json:
        sys.stdout.write(json.dumps({"ok": done, "steps": [_row(row) for row in rows]}) + "\n")
    else:
        console.print()
        console.print(tour_table(rows))
        console.print("every step was seen" if done else "a step was not seen; the logs show why")
    return 0 if done else 1


def _row(seen: Seen) -> dict[str, object]:
    return {"step": seen.step, "seen": seen.what, "measured": seen.measured, "ok": seen.ok}


async def _live(world: World, console: Console) -> None:
    """Until it is cancelled, or its terminal is gone."""
    from rich.live import Live

    from reconciler.demo.board import board
    from reconciler.demo.calls import Load

    async with Load(world.frontend.app_port, "/", per_second=20) as load:
        with suppress(OSError), Live(console=console, auto_refresh=False) as live:
            while True:
                picture = await asyncio.to_thread(board, world, load)
                live.update(picture, refresh=True)
                await asyncio.sleep(REFRESH_S)
