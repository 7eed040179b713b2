"""docs/reference/operations.md: every event that is logged has its line there, and no other has."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reference" / "operations.md").read_text()
EVENT = re.compile(r"[a-z]+\.[a-z_]+")
NAMED_AT = {"Note": 0, "note": 1, "exception": 0, "warning": 0, "error": 0}  # call -> argument


def logged() -> set[str]:
    """Events of all calls that log, as the sources have them."""
    found: set[str] = set()
    for path in (*(ROOT / "reconciler").rglob("*.py"), *(ROOT / "xds").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            at = NAMED_AT.get(name)
            if at is not None and len(node.args) > at:
                found |= {
                    part.value
                    for part in ast.walk(node.args[at])
                    if isinstance(part, ast.Constant) and isinstance(part.value, str)
                }
    return {text for text in found if EVENT.fullmatch(text)}


def explained() -> list[str]:
    """Events of the page's table."""
    rows = PAGE.partition("| event |")[2].splitlines()[2:]
    return [event for row in rows for event in re.findall(r"`([^`]+)`", row.split("|")[1])]


def test_every_logged_event_is_explained() -> None:
    assert {"revision.in_force", "proxy.rejected"} <= logged()
    assert logged() - set(explained()) == set()


def test_every_explained_event_is_logged() -> None:
    assert set(explained()) - logged() == set()


def test_no_event_is_explained_twice() -> None:
    assert sorted(explained()) == sorted(set(explained()))
