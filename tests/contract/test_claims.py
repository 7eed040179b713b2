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


@pytest.mark.parametrize(
    ("title", "columns", "rows_min"),
    [
        ("On purpose", "where, Kuma, here, because and test", 40),
        ("As Kuma, although it errs", "what, why it stays and test", 3),
    ],
)
def test_every_deviation_says_what_kuma_does_what_we_do_why_and_its_tests(
    title: str, columns: str, rows_min: int
) -> None:
    text = (ROOT / DEVIATIONS).read_text()
    section = text.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    assert not unknown_tests(section), f"no such test: {unknown_tests(section)}"
    found = [re.split(r"(?<!\\)\|", row)[1:-1] for row in rows(section)]
    assert len(found) >= rows_min
    for cells in found:
        where, *_ = cells
        assert len(cells) == len(re.split(", | and ", columns)), f"{where}: {columns}"
        assert all(cell.strip() for cell in cells), f"{where}: a cell is empty"
        assert NAMED.search(cells[-1]), f"{where}: names no test"


def test_every_defect_of_kuma_in_our_list_has_its_place() -> None:
    """As one we do not have, one we follow, or one that waits for its part to be built."""
    text = (ROOT / DEVIATIONS).read_text().partition("\n## ")[2]
    found = set(re.findall(r"\b[DH][0-9]+\b", text))
    assert found == {f"D{n}" for n in range(1, 20)} | {f"H{n}" for n in range(1, 16)}
