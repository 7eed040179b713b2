"""The live board in words: it fits 80 columns and tells the calls that failed."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from reconciler.demo.board import board, calls_line
from reconciler.demo.calls import Answer, Load
from reconciler.demo.world import World

if TYPE_CHECKING:
    from collections.abc import Mapping

REVISION = "0123456789abcdef"
STATUS: dict[str, dict[str, object]] = {
    "global": {"revision": REVISION, "problems": ["a.yaml:3:1: MT004 sets no timeout"]},
    "east": {"revision": REVISION, "proxies": {"total": 3, "acked": 2, "rejected": 1}},
    "west": {},  # does not answer
}


class Still(World):
    """A world that stands still."""

    def status(self, role: str) -> dict[str, object]:
        return STATUS[role]


def answer(status: int, zone: str = "east") -> Answer:
    facts: Mapping[str, object] = {"zone": zone} if status == 200 else {}
    return Answer(2e9, 2e9, status, {}, facts)  # in the future, so within the window


@pytest.mark.parametrize("columns", [80, 120])
def test_board_fits_the_terminal_and_cuts_nothing(columns: int) -> None:
    load = Load(1, "/", per_second=1)
    load.answers += [answer(200), answer(200, "west"), answer(503)]
    console = Console(width=columns, file=StringIO())
    console.print(board(Still(Path("/tmp/demo")), load))
    assert isinstance(console.file, StringIO)
    lines = console.file.getvalue().splitlines()
    assert all(len(line) <= columns and "…" not in line for line in lines)
    rows = [[c.strip() for c in line.split("│")[1:-1]] for line in lines if line.startswith("│")]
    assert rows[:3] == [
        ["global", REVISION[:12], "", "", "", ""],
        ["east", REVISION[:12], "3", "2", "1", "1"],
        ["west", "no answer", "–", "–", "–", "1"],
    ]
    assert rows[3] == ["a.yaml:3:1: MT004 sets no timeout"]
    assert "  reconciler wait --commit $(git rev-parse HEAD)" in [line.rstrip() for line in lines]


def test_calls_that_fail_are_told_with_their_statuses() -> None:
    assert calls_line([answer(200)]).endswith("1 calls in 5 s, none failed")
    found = calls_line([answer(403), answer(403), answer(0), answer(200)])
    assert found.endswith("4 calls in 5 s, 3 failed: 2 × 403, 1 × no answer")
