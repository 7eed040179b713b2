"""The figures for people: a table for the terminal, a picture for the page."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Mapping

WIDTH = 140  # also where no terminal says its own
BAR, BAR_MAX = 50, 80  # characters: of the whole goal, and at most
STATISTICS = ("p50", "p90", "p99", "max")
COLUMNS = ["figure", "unit", *STATISTICS, "floor", "runs", "goal"]


def table(figures: Mapping[str, Any]) -> Table:
    """A row a figure. The floor, the same statistic as the goal's, stands beside it."""
    found = Table(title="bench")
    for column in COLUMNS:
        found.add_column(column, justify="left" if column in ("figure", "unit") else "right")
    for key, figure in figures.items():
        *cells, goal = row(key, figure)
        colour = "" if not goal else "green" if figure["goal"]["met"] else "red"
        found.add_row(*cells, f"[{colour}]{goal}[/{colour}]" if colour else "")
    return found


def markdown(figures: Mapping[str, Any]) -> str:
    """The same for a page."""
    lines = [COLUMNS, ["---"] * 2 + ["---:"] * (len(COLUMNS) - 2)]
    lines += [row(key, figure) for key, figure in figures.items()]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def row(key: str, figure: Mapping[str, Any]) -> list[str]:
    goal = figure.get("goal")
    judged = goal["judged"] if goal else "p50"
    floor = number(figure["floor"][judged]) if "floor" in figure else ""
    values = [number(figure[name]) for name in STATISTICS]
    return [key, figure["unit"], *values, floor, f"{figure['runs']:.0f}", _goal(goal)]


def _goal(goal: Mapping[str, Any] | None) -> str:
    if goal is None:
        return ""
    said = "met" if goal["met"] else "not met"
    return f"{goal['judged']} ≤ {goal['at_most']:g}: {said}"


def number(value: float) -> str:
    """Three significant digits, no exponent."""
    if value == int(value) and abs(value) < 1e6:
        return str(int(value))
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def picture(figures: Mapping[str, Any]) -> str:
    """SVG: every figure with a goal, and its floor, as a share of the goal."""
    found = Table(title="share of the goal (the line is 100 %; shorter is better)", box=None)
    for column in ("figure", "", "share"):
        found.add_column(column, no_wrap=True)
    for key, figure in figures.items():
        goal = figure.get("goal")
        if not goal or not goal["at_most"]:
            continue
        found.add_row(key, *_bar(figure, goal, "green" if goal["met"] else "red"))
        if "floor" in figure:
            found.add_row("[dim]its floor[/dim]", *_bar(figure["floor"], goal, "bright_black"))
    console = Console(record=True, width=WIDTH, file=io.StringIO())
    console.print(found)
    return console.export_svg(title="make bench")


def _bar(of: Mapping[str, Any], goal: Mapping[str, Any], colour: str) -> tuple[str, str]:
    share = of[goal["judged"]] / goal["at_most"]
    drawn = "█" * min(BAR_MAX, max(1, round(share * BAR)))
    drawn = f"{drawn:<{BAR}}│" if len(drawn) <= BAR else f"{drawn[:BAR]}│{drawn[BAR:]}"
    return f"[{colour}]{drawn}[/{colour}]", f"{100 * share:.0f} %"
