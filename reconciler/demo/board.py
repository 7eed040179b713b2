"""The demo's live board: zones, revisions, proxies, requests by zone, and what to try next."""

from __future__ import annotations

import shlex
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Group
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from reconciler.demo.calls import by_zone

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import RenderableType

    from reconciler.demo.calls import Answer, Load
    from reconciler.demo.seen import Seen
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
    """One picture of the running world. It fits 80 columns."""
    answers = load.since(time.time() - WINDOW_S)
    parts: list[RenderableType] = [_zones(world, answers), Text(calls_line(answers))]
    problems = world.status("global").get("problems")
    if isinstance(problems, list) and problems:
        text = "\n".join(str(problem) for problem in problems[:5])
        parts.append(Panel(Text(text, "red"), title="the newest commit is not in force"))
    parts.append(Text("\nwhat to try in another terminal:", "bold"))
    # Without a frame: what is selected there is what is typed elsewhere.
    parts += [Padding(Text(line, overflow="fold"), (0, 0, 0, 2)) for line in next_steps(world)]
    parts.append(Text("Ctrl-C ends everything", "dim"))
    return Group(*parts)


def _zones(world: World, answers: Sequence[Answer]) -> Table:
    table = Table(title="Mesh Reconciler demo", title_justify="left")
    for column in ("control plane", "in force", "proxies", "acked", "rejected"):
        table.add_column(column, no_wrap=True)
    table.add_column(f"answers, {WINDOW_S:.0f} s", justify="right", no_wrap=True)
    answered = by_zone(answers)
    table.add_row("global", _revision(world.status("global")), "", "", "", "")
    for zone in world.zones:
        status = world.status(zone)
        proxies = status.get("proxies")
        counts: Mapping[str, object] = proxies if isinstance(proxies, dict) else {}
        figures = [str(counts.get(key, "–")) for key in ("total", "acked", "rejected")]
        table.add_row(zone, _revision(status), *figures, str(answered[zone]))
    return table


def _revision(status: Mapping[str, object]) -> str:
    """Of who does not answer nothing is known; one that has none yet says so."""
    return str(status.get("revision") or "none yet")[:12] if status else "no answer"


def calls_line(answers: Sequence[Answer]) -> str:
    """How frontend's calls went: the statuses of those that failed."""
    failed = Counter(answer.status for answer in answers if not answer.ok)
    words = ", ".join(f"{count} × {status or 'no answer'}" for status, count in failed.items())
    what = f"{failed.total()} failed: {words}" if failed else "none failed"
    return f"frontend calls backend: {len(answers)} calls in {WINDOW_S:.0f} s, {what}"


def next_steps(world: World) -> tuple[str, ...]:
    """Lines that work as they stand, in this order, in a shell of their own."""
    return (
        f"cd {shlex.quote(str(world.work))}",
        f"export PATH={shlex.quote(str(Path(sys.executable).parent))}:$PATH",
        "export RECONCILER_STATE_DIR=../global",
        "sed -i 's/requestTimeout: .*/requestTimeout: 5s/' policies/timeouts.yaml",
        "git commit -am 'A shorter timeout' && git push",
        "reconciler wait --commit $(git rev-parse HEAD)",
        "reconciler status",
        "git -C ../policy.git log --oneline status/west",
        "git -C ../policy.git show status/west:ingress.yaml",
        f"curl 'http://127.0.0.1:{world.frontend.app_port}/call?path=/'",
    )
