"""The pages lead somewhere: links resolve, commands exist, and what they list is what there is."""

from __future__ import annotations

import configparser
import re
from importlib import import_module
from pathlib import Path

import pytest

from reconciler.policies import POLICIES

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
MAKE = re.compile(r"\bmake ([a-z.][a-z-]*)")
PROGRAM = re.compile(r"(?:`|^|\$ )(?:\.venv/bin/)?reconciler ([a-z][a-z-]*)", re.MULTILINE)
PATH = re.compile(r"`((?:reconciler|xds|tests|schemas|docs|requirements)/[\w./-]+)`")


def prose(page: Path) -> str:
    return page.read_text()


def code(page: Path) -> str:
    """What a reader may paste: code blocks and spans."""
    text = page.read_text()
    return "\n".join(
        re.findall(r"```sh\n(.*?)```", text, re.DOTALL) + re.findall(r"`[^`\n]+`", text)
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_resolve(page: Path) -> None:
    relative = [t for t in LINK.findall(prose(page)) if "://" not in t and not t.startswith("#")]
    missing = [t for t in relative if not (page.parent / t.partition("#")[0]).exists()]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_commands_and_paths_in_pages_exist(page: Path) -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z.][a-z-]*):", makefile, re.MULTILINE))
    commands = {command.name for command in import_module("reconciler.cli.main").COMMANDS}
    text = code(page)
    assert set(MAKE.findall(text)) - targets == set()
    assert set(PROGRAM.findall(text)) - commands == set()
    named = {path for path in PATH.findall(text) if "mesh_foo" not in path}
    assert {path for path in named if not (ROOT / path).exists()} == set()


def test_the_readme_opens_with_the_two_commands() -> None:
    opening = (ROOT / "README.md").read_text().split("```")[1]
    assert [line.split("#")[0].strip() for line in opening.splitlines()[1:]] == [
        "make demo",
        "make test",
    ]


def test_every_package_has_its_paragraph() -> None:
    """docs/architecture.md names every package and top-level module of the reconciler."""
    text = (ROOT / "docs" / "architecture.md").read_text()
    parts = [
        path.stem
        for path in (ROOT / "reconciler").iterdir()
        if (path.is_dir() and (path / "__init__.py").exists()) or path.suffix == ".py"
    ]
    named = set(re.findall(r"\w+", text))
    assert [part for part in sorted(parts) if part not in named and part != "__init__"] == []


def test_the_page_tells_the_layers_that_the_linter_checks() -> None:
    config = configparser.ConfigParser()
    config.read(ROOT / ".importlinter")
    checked = config["importlinter:contract:layers"]["layers"].replace("reconciler.", "")
    layers = [re.findall(r"[\w.]+", line) for line in checked.split("\n") if line]
    text = (ROOT / "docs" / "architecture.md").read_text()
    found = re.search(r"The shell is layered: `(.*?)`", text, re.DOTALL)
    assert found is not None
    told = [re.findall(r"[\w.]+", layer) for layer in found[1].split("<")]
    assert [sorted(layer) for layer in told[::-1]] == [sorted(layer) for layer in layers]


def test_the_readme_lists_every_command() -> None:
    table = (ROOT / "README.md").read_text().partition("## Commands")[2].partition("\n## ")[0]
    rows = "".join(line.split("|")[1] for line in table.splitlines() if line.startswith("| `"))
    commands = {command.name for command in import_module("reconciler.cli.main").COMMANDS}
    assert set(re.findall(r"`([a-z]+)`", rows)) == commands


def test_the_page_on_interoperation_names_the_policies_that_are_carried_out() -> None:
    text = " ".join((ROOT / "docs" / "interop.md").read_text().split())
    told = re.search(r"A zone of this program carries out ([^.]+)\.", text)
    assert told is not None
    assert re.split(r", | and ", told[1]) == sorted(policy.kind for policy in POLICIES)


def test_decisions_are_dated_and_complete() -> None:
    for record in (ROOT / "docs" / "adr").glob("*.md"):
        assert re.fullmatch(r"\d{4}-\d\d-\d\d-[a-z0-9-]+\.md", record.name)
        headings = re.findall(r"^## (\w+)", record.read_text(), re.MULTILINE)
        assert headings == ["Context", "Options", "Decision", "Effects"], record.name
