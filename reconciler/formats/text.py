"""For people: a line a problem, and a summary. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.formats.checked import occurrences, sentence, shown
from reconciler.problems import Severity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.formats.checked import Checked
    from reconciler.problems import Problem

SUMMED_UP_FROM = 10  # fewer are seen at a glance
_RED, _YELLOW, _BOLD, _DIM, _PLAIN = "\x1b[31m", "\x1b[33m", "\x1b[1m", "\x1b[2m", "\x1b[0m"
_COLOURS = {Severity.ERROR: _RED, Severity.WARNING: _YELLOW}


def lines(checked: Checked, *, colour: bool = False) -> Iterator[str]:
    for problem in checked.problems:
        yield _line(checked, problem, colour=colour)


def _line(checked: Checked, problem: Problem, *, colour: bool) -> str:
    at = problem.at
    place = checked.path_of(at) + (f":{at.line}:{at.column}" if at.line else "")
    note = "" if problem.severity is Severity.ERROR else "warning: "
    code, message = shown(problem.code), shown(problem.message)
    if not colour:
        return f"{place}: {code} {note}{message}"
    what, semicolon, cure = message.partition("; ")
    head = f"{_BOLD}{place}{_PLAIN}: {_COLOURS[problem.severity]}{code} {note}{_PLAIN}{what}"
    return f"{head}{_DIM}{semicolon}{cure}{_PLAIN}" if semicolon else head


def summary(checked: Checked, *, colour: bool = False) -> Iterator[str]:
    """What there is most of, when it is much; and how it ended."""
    if len(checked.problems) >= SUMMED_UP_FROM:
        for code, severity, found in occurrences(checked.problems):
            files = len({problem.at.path for problem in found})
            name = f"{_COLOURS[severity]}{code}{_PLAIN}" if colour else code
            where = "1 file" if files == 1 else f"{files} files"
            first = sentence(found[0]).removeprefix(f"{code} ")
            yield f"{len(found):>6} {name} {severity}{'s' * (len(found) > 1)} in {where}: {first}"
    errors = checked.count(Severity.ERROR)
    warnings = checked.count(Severity.WARNING)
    end = f"{checked.resources} resources, {errors} errors, {warnings} warnings"
    worst = _RED if errors else _YELLOW if warnings else ""
    yield f"{worst}{end}{_PLAIN}" if colour and worst else end
