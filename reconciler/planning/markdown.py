"""A plan as the comment of a pull request: one screen, the details folded. Pure.

Names and values are what people wrote, a stranger's in a pull request from a fork: each stands in a
code span that it cannot end, and none can make a link, mention anybody or close a fold.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from reconciler.planning.text import (
    SIGNS,
    Line,
    edge_text,
    field_text,
    lines,
    risk_line,
    scope_text,
    tls_text,
    who_text,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from reconciler.planning.plan import Plan
    from xds.resource import XdsResource

LENGTH_MAX = 60_000  # characters; GitHub takes 65,536
SHOWN_MAX = 12  # rows before the folds
MARK = "<!-- mesh-reconciler plan -->"  # by which the comment is found again
_BADGES = {"high": "🔴", "medium": "🟡", "unknown": "⚪", "low": "🟢"}
_CONTROL = re.compile(r"[\x00-\x1f\x7f\u200b-\u200f\u2028-\u202e\u2066-\u2069]")


def code(text: str) -> str:
    """A code span that holds any text: longer fences than any run of backticks in it."""
    plain = _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text).replace("|", "\N{BROKEN BAR}")
    longest = max((len(run) for run in re.findall(r"`+", plain)), default=0)
    fence = "`" * (longest + 1)
    pad = " " if plain[:1] in ("`", "") or plain[-1:] == "`" else ""
    return f"{fence}{pad}{plain or ' '}{pad}{fence}"


def markdown(
    plan: Plan,
    title: str,
    readable: Callable[[XdsResource], dict[str, object]] | None,
    mark: str = MARK,
) -> str:
    """`title`: which commits. Beyond LENGTH_MAX the folded details are cut, never the summary."""
    head = "\n".join(_summary(plan, title, mark))
    rest = "\n".join(_details(plan, readable))
    room = LENGTH_MAX - len(head)
    if len(rest) > room:
        cut = rest[: max(room - 200, 0)].rpartition("\n")[0]
        rest = f"{cut}\n```\n\n</details>\n\n*Cut here; `reconciler plan` shows all.*"
    return f"{head}\n\n{rest}\n" if rest else f"{head}\n"


def _summary(plan: Plan, title: str, mark: str) -> Iterator[str]:
    yield mark
    yield f"### Mesh plan for {code(title)}"
    yield ""
    if plan.is_empty:
        yield "🟢 **No change**: what the documents mean is the same."
        return
    yield f"{_BADGES[plan.risk.level]} **{risk_line(plan.risk)}**"
    yield from _traffic(plan)
    yield ""
    yield "| zone | proxies touched | notes |"
    yield "|---|---:|---|"
    for zone in plan.zones[:SHOWN_MAX]:
        notes = code(f"{len(zone.notes)} notes, see below") if zone.notes else ""
        yield f"| {code(zone.zone)} | {zone.touched} of {zone.proxies} | {notes} |"
    if len(plan.zones) > SHOWN_MAX:
        yield f"| {len(plan.zones) - SHOWN_MAX} more | | |"


def _traffic(plan: Plan) -> Iterator[str]:
    rows = [code(tls_text(change)) for change in plan.tls]
    edges = sorted(plan.edges, key=lambda edge: (not edge.closes, not edge.opens))
    rows += [code(edge_text(edge)) for edge in edges]
    if rows:
        yield ""
        yield "**Traffic**"
        yield ""
        yield from (f"- {row}" for row in rows[:SHOWN_MAX])
        if len(rows) > SHOWN_MAX:
            yield f"- and {len(rows) - SHOWN_MAX} more"


def _details(
    plan: Plan, readable: Callable[[XdsResource], dict[str, object]] | None
) -> Iterator[str]:
    if plan.is_empty:
        return
    yield from _fold(f"Resources ({len(plan.changes)})", _resources(plan))
    if plan.settings:
        yield from _fold(f"Settings ({len(plan.settings)})", _settings(plan))
    if plan.warnings:
        rows = (f"- {code(str(problem))}" for problem in plan.warnings)
        yield from _fold(f"Warnings ({len(plan.warnings)})", rows)
    yield from _fold("Everything, by zone", _whole(plan, readable))


def _fold(title: str, rows: Iterator[str]) -> Iterator[str]:
    yield "<details>"
    yield f"<summary>{title}</summary>"
    yield ""
    yield from rows
    yield ""
    yield "</details>"


def _resources(plan: Plan) -> Iterator[str]:
    for change in plan.changes:
        yield f"- {SIGNS[change.sort]} {code(str(change.key))} {code(str(change.at))}"
        yield from (f"  - {code(field_text(field))}" for field in change.fields)


def _settings(plan: Plan) -> Iterator[str]:
    for change in plan.settings:
        yield f"- {code(scope_text(change))} for {code(who_text(change))}"
        yield from (f"  - {code(field_text(field))}" for field in change.fields)


def _whole(
    plan: Plan, readable: Callable[[XdsResource], dict[str, object]] | None
) -> Iterator[str]:
    """As on a terminal, in a block whose end no text in it can be."""
    yield "```diff"
    for line in lines(plan, readable):
        yield _plain(line)
    yield "```"


def _plain(line: Line) -> str:
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", line.text).replace("```", "'''")
