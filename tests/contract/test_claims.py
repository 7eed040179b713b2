"""Pages on roles, failure modes and deviations: each line names the tests that hold it, and those
exist.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DEVIATIONS = "docs/reference/deviations.md"
PAGES = ("docs/roles.md", "docs/failure-modes.md")
NAMED = re.compile(r"`(test_\w+)`")


@cache
def known() -> frozenset[str]:
    files = (ROOT / "tests").rglob("test_*.py")
    found = [re.findall(r"^(?:async )?def (test_\w+)", file.read_text(), re.M) for file in files]
    return frozenset(name for names in found for name in names)


def rows(text: str) -> list[str]:
    """Lines of tables, without their heads."""
    lines = text.splitlines()
    marks = {number for number, line in enumerate(lines) if re.match(r"\|[-| ]+\|$", line)}
    heads = {number - 1 for number in marks}
    return [
        line
        for number, line in enumerate(lines)
        if line.startswith("|") and number not in marks | heads
    ]


def unknown_tests(text: str) -> list[str]:
    return sorted(set(NAMED.findall(text)) - known())


@pytest.mark.parametrize("page", PAGES)
def test_every_line_names_a_test_and_every_test_exists(page: str) -> None:
    text = (ROOT / page).read_text()
    found = rows(text)
    assert len(found) > 20
    unproven = [line for line in found if not NAMED.search(line)]
    assert not unproven, unproven
    assert not unknown_tests(text), f"{page} names tests that are not there: {unknown_tests(text)}"


def on_purpose() -> list[list[str]]:
    """Cells of each row."""
    text = (ROOT / DEVIATIONS).read_text()
    section = text.partition("\n## On purpose\n")[2].partition("\n## ")[0]
    return [re.split(r"(?<!\\)\|", row)[1:-1] for row in rows(section)]


def test_every_deviation_says_what_kuma_does_what_we_do_why_and_its_tests() -> None:
    found = on_purpose()
    assert len(found) > 40
    for cells in found:
        where, *_ = cells
        assert len(cells) == 5, f"{where}: where, Kuma, here, because and test"
        assert all(cell.strip() for cell in cells), f"{where}: a cell is empty"
        assert NAMED.search(cells[-1]), f"{where}: names no test"
        assert not unknown_tests(cells[-1]), f"{where}: no such test: {unknown_tests(cells[-1])}"
