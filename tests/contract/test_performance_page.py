"""`docs/performance.md` explains every bench, and each goal stands in its table once."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.bench.__main__ import BENCHES
from tests.contract.test_goals import GOALS

PAGE = Path(__file__).parents[2] / "docs" / "performance.md"


@pytest.mark.parametrize("goal", GOALS)
def test_every_goal_stands_in_the_table_once(goal: str) -> None:
    rows = re.findall(rf"^\| `?{re.escape(goal)}`? \|", PAGE.read_text(), re.MULTILINE)
    assert len(rows) == 1, f"{PAGE.name} has {len(rows)} rows of {goal}"


@pytest.mark.parametrize("name", BENCHES)
def test_every_bench_is_explained(name: str) -> None:
    assert f"`{name}`" in PAGE.read_text()
