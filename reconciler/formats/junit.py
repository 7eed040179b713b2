"""For CI that shows tests: JUnit's XML, a test case a file. Pure.

A file fails with its errors; its warnings stand beside them as output, and fail nothing. Nothing in
it is a time or a duration: of an unchanged repository it is the same text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.sax.saxutils import escape, quoteattr

from reconciler.formats.checked import sentence
from reconciler.problems import Position, Severity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.formats.checked import Checked
    from reconciler.problems import Problem

NAME = "reconciler validate"


def as_junit(checked: Checked) -> str:
    by_file: dict[str, list[Problem]] = {path: [] for path in checked.files}
    for problem in checked.problems:
        by_file.setdefault(problem.at.path, []).append(problem)
    failed = sum(any(p.severity is Severity.ERROR for p in found) for found in by_file.values())
    counts = f'tests="{len(by_file)}" failures="{failed}" errors="0" skipped="0"'
    return "\n".join(
        (
            '<?xml version="1.0" encoding="UTF-8"?>',
            f'<testsuites name="{NAME}" {counts}>',
            f'  <testsuite name="{NAME}" {counts}>',
            *(line for path in sorted(by_file) for line in _case(checked, path, by_file[path])),
            "  </testsuite>",
            "</testsuites>",
        )
    )


def _case(checked: Checked, path: str, problems: list[Problem]) -> Iterator[str]:
    name = checked.path_of(Position(path))
    folder = name.rpartition("/")[0] or "."
    head = f"    <testcase classname={quoteattr(folder)} name={quoteattr(name)}"
    head += f" file={quoteattr(name)}"
    if not problems:
        yield f"{head}/>"
        return
    yield f"{head}>"
    errors = [p for p in problems if p.severity is Severity.ERROR]
    if errors:
        first = f"message={quoteattr(sentence(errors[0]))} type={quoteattr(errors[0].code)}"
        yield f"      <failure {first}>{_told(checked, errors)}</failure>"
    warnings = [p for p in problems if p.severity is Severity.WARNING]
    if warnings:
        yield f"      <system-out>{_told(checked, warnings)}</system-out>"
    yield "    </testcase>"


def _told(checked: Checked, problems: list[Problem]) -> str:
    places = (f"{checked.path_of(p.at)}:{p.at.line}:{p.at.column}: {sentence(p)}" for p in problems)
    return escape("\n".join(places))
