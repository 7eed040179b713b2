"""The demo's live board: zones, revisions, proxies, requests by zone, and what to try next."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rich.console import Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from reconciler.demo.calls import by_zone

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import RenderableType

    from reconciler.demo.calls import Load
    from reconciler.demo.tour import Seen
    from reconciler.demo.world import World

WINDOW_S = 5.0


def tour_table(rows: list[Seen]) -> Table:
    """What the tour saw, a row a step."""
    table = Table(title="The tour", title_justify="left")
    table.add_column("")
    table.add_column("step", no_wrap=True)
    table.add_column("seen")
    table.add_column("measured", justify="right", no_wrap=True)
    for row in rows:
        mark = Text("✓", "green") if row.ok else Text("✗", "bold red")
        table.add_row(mark, row.step, Text(row.what), row.measured)
    return table


def board(world: World, load: Load) -> RenderableType:
    """One picture of the running world."""
    parts: list[RenderableType] = [_zones(world, load)]
    problems = world.status("global").get("problems")
    if isinstance(problems, list) and problems:
        text = "\n".join(str(problem) for problem in problems[:5])
        parts.append(Panel(Text(text, "red"), title="the newest commit is not in force"))
    parts.append(_next_steps(world))
    return Group(*parts)


def _zones(world: World, load: Load) -> Table:
    table = Table(title="Mesh Reconciler demo", title_justify="left")
    for column in ("control plane", "revision in force", "proxies", "acknowledged", "rejected"):
        table.add_column(column)
    table.add_column(f"answered calls, last {WINDOW_S:.0f} s", justify="right")
    answered = by_zone(load.since(time.time() - WINDOW_S))
    table.add_row("global", _revision(world.status("global")), "", "", "", "")
    for zone in world.zones:
        status = world.status(zone)
        proxies = status.get("proxies")
        counts: Mapping[str, object] = proxies if isinstance(proxies, dict) else {}
        figures = [str(counts.get(key, "–")) for key in ("total", "acked", "rejected")]
        table.add_row(zone, _revision(status), *figures, str(answered[zone]))
    return table


def _revision(status: Mapping[str, object]) -> str:
    return str(status.get("revision") or "not answering")[:12]


def _next_steps(world: World) -> Panel:
    lines = (
        f"cd {world.work}",
        "edit policies/*.yaml, then: git commit -am 'my change' && git push",
        f"git -C {world.bare} log --oneline status/west",
        f"git -C {world.bare} show status/west:ingress.yaml",
        f"reconciler status --socket {world.control_socket('global')}",
        f"curl 'http://127.0.0.1:{world.frontend.app_port}/call?path=/'",
        "Ctrl-C ends everything",
    )
    return Panel("\n".join(lines), title="what to try", title_align="left")
