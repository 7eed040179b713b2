"""What docs/roles.md and docs/failure-modes.md promise: each line names the tests that hold it, and
those exist.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = ("docs/roles.md", "docs/failure-modes.md")
NAMED = re.compile(r"`(test_\w+)`")


@cache
def known() -> frozenset[str]:
    files = (ROOT / "tests").rglob("test_*.py")
    found = [re.findall(r"^(?:async )?def (test_\w+)", file.read_text(), re.M) for file in files]
    return frozenset(name for names in found for name in names)


def rows(page: str) -> list[str]:
    """Lines of tables, without their heads."""
    lines = (ROOT / page).read_text().splitlines()
    marks = {number for number, line in enumerate(lines) if re.match(r"\|[-| ]+\|$", line)}
    heads = {number - 1 for number in marks}
    return [
        line
        for number, line in enumerate(lines)
        if line.startswith("|") and number not in marks | heads
    ]


@pytest.mark.parametrize("page", PAGES)
def test_every_line_names_a_test_and_every_test_exists(page: str) -> None:
    found = rows(page)
    assert len(found) > 20
    unproven = [line for line in found if not NAMED.search(line)]
    assert not unproven, unproven
    text = (ROOT / page).read_text()
    named = set(NAMED.findall(text))
    assert not named - known(), f"{page} names tests that are not there: {sorted(named - known())}"
