"""Each line of both checklists has a test, and each test that is named exists.

`kds_lines.yaml` and `dp_lines.yaml` are the sheets' lines in our own words. What nothing here does
yet must stand in docs/reference/deviations.md.
"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

HERE = Path(__file__).parent
TESTS, ROOT = HERE.parent, HERE.parents[1]
FILES = ("kds_lines.yaml", "dp_lines.yaml")
UNBUILT = "## Not there yet"
LEAST = {"kds_lines.yaml": 90, "dp_lines.yaml": 70}  # lines; fewer have been lost


@cache
def parts_of(name: str) -> tuple[dict[str, Any], ...]:
    return tuple(yaml.safe_load((HERE / name).read_text()))


def lines_of(name: str) -> dict[str, dict[str, Any]]:
    found = {}
    for part in parts_of(name):
        for line, told in part["lines"].items():
            found[f"{part['part']} {line}"] = told
    return found


@cache
def names_in(path: Path) -> frozenset[str]:
    """Names that pytest collects: functions, and what a state machine is called."""
    if not path.is_file():
        return frozenset()
    names = set()
    for node in ast.parse(path.read_bytes()).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return frozenset(name for name in names if name.startswith(("test_", "Test")))


def missing(name: str) -> list[str]:
    tests = [(line, test) for line, told in lines_of(name).items() for test in told.get("held", ())]
    return [
        f"{line}: there is no tests/{test}"
        for line, test in tests
        if test.partition("::")[2] not in names_in(TESTS / test.partition("::")[0])
    ]


@pytest.mark.parametrize("name", FILES)
def test_tests_that_lines_name_exist(name: str) -> None:
    assert missing(name) == []


@pytest.mark.parametrize("name", FILES)
def test_every_line_is_held_by_a_test_or_said_to_be_unbuilt(name: str) -> None:
    page = (ROOT / "docs" / "reference" / "deviations.md").read_text()
    unbuilt = page[page.index(UNBUILT) :]
    faults = []
    for line, told in lines_of(name).items():
        if not told.get("says") or told.keys() - {"says", "held", "unbuilt"}:
            faults.append(f"{line}: says, held, unbuilt are its keys, and it says something")
        if not (told.get("held") or told.get("unbuilt")):
            faults.append(f"{line}: no test holds it")
        if told.get("unbuilt", "") not in unbuilt:
            faults.append(f'{line}: deviations.md does not say "{told["unbuilt"]}"')
    assert faults == []


@pytest.mark.parametrize("name", FILES)
def test_numbered_lists_are_whole(name: str) -> None:
    assert len(lines_of(name)) >= LEAST[name]
    for part in parts_of(name):
        if "numbered" in part:
            wanted = [str(number + 1) for number in range(part["numbered"])]
            assert list(part["lines"]) == wanted, part["part"]


def test_every_test_of_this_folder_holds_a_line() -> None:
    """One that holds none is of no sheet, or its line was forgotten."""
    named = {t for name in FILES for told in lines_of(name).values() for t in told.get("held", ())}
    ours = {
        f"conformance/{path.name}::{test}"
        for path in HERE.glob("test_*.py")
        if path.name != Path(__file__).name
        for test in names_in(path)
    }
    assert sorted(ours - named) == []


def test_a_test_that_is_renamed_is_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    part = {"part": "1", "lines": {"1": {"says": "x", "held": ["conformance/x.py::test_x"]}}}
    monkeypatch.setitem(globals(), "parts_of", lambda _name: (part,))
    assert missing("any") == ["1 1: there is no tests/conformance/x.py::test_x"]
