"""The import contracts hold, cover every shell module, and bite.

To bite: each is shown a breach that it must find.
"""

from __future__ import annotations

import configparser
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINTER = Path(sys.executable).parent / "lint-imports"


def contract(name: str) -> configparser.SectionProxy:
    config = configparser.ConfigParser()
    config.read(ROOT / ".importlinter")
    return config[f"importlinter:contract:{name}"]


def lines(name: str, key: str) -> list[str]:
    return [line for line in contract(name)[key].split("\n") if line]


def lint(root: Path, *contracts: str) -> subprocess.CompletedProcess[str]:
    """Runs the linter on the tree at `root`, which need not be the installed one."""
    chosen = [argument for name in contracts for argument in ("--contract", name)]
    return subprocess.run(
        [LINTER, "--no-cache", *chosen],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Our packages and contracts in a folder where a breach can be committed."""
    for package in ("reconciler", "xds"):
        shutil.copytree(
            ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    shutil.copy(ROOT / ".importlinter", tmp_path)
    return tmp_path


def test_contracts_hold() -> None:
    result = lint(ROOT)
    assert result.returncode == 0, result.stdout


# One line of code that each contract must refuse: contract, module, line, words of the finding.
BREACHES = [
    ("direction", "xds/view.py", "import reconciler.state", "xds.view -> reconciler.state"),
    ("pure", "reconciler/state.py", "import time", "reconciler.state -> time"),
    ("pure", "xds/resource.py", "import asyncio", "xds.resource -> asyncio"),
    ("pure", "reconciler/brand_new.py", "import os", "reconciler.brand_new -> os"),
    (
        "pure-from-shell",
        "reconciler/state.py",
        "import reconciler.runtime",
        "reconciler.state -> reconciler.runtime",
    ),
    (
        "layers",
        "reconciler/runtime/__init__.py",
        "import reconciler.git",
        "reconciler.runtime -> reconciler.git",
    ),
    ("one-owner-git", "reconciler/api/new.py", "import pygit2", "reconciler.api.new -> pygit2"),
    ("one-owner-grpc", "reconciler/cli/new.py", "import grpc", "reconciler.cli.new -> grpc"),
    ("one-owner-yaml", "reconciler/state.py", "import yaml", "reconciler.state -> yaml"),
    (
        "one-owner-envoy",
        "reconciler/kds/new.py",
        "import envoy_data_plane",
        "reconciler.kds.new -> envoy_data_plane",
    ),
]


@pytest.mark.parametrize(("name", "module", "line", "finding"), BREACHES)
def test_a_breach_is_found(copy: Path, name: str, module: str, line: str, finding: str) -> None:
    path = copy / module
    text = path.read_text() if path.exists() else '"""New."""\n'
    path.write_text(f"{text}\n{line}\n")
    result = lint(copy, name)
    assert result.returncode == 1, result.stdout
    assert finding in result.stdout


def test_every_shell_module_is_closed_to_pure_modules() -> None:
    """A module that is shell for one contract is shell for all three."""
    shell = {line.split(" -> ")[0].removesuffix(".**") for line in lines("pure", "ignore_imports")}
    shell.remove("reconciler.ca")  # draws keys, yet computes with what it is given: steps use it
    opened = {
        line.split(" -> ")[0].removesuffix(".**")
        for line in lines("pure-from-shell", "ignore_imports")
    }
    closed = {module.partition(".")[2] for module in lines("pure-from-shell", "forbidden_modules")}
    layered = {
        module.strip(" ()") for layer in lines("layers", "layers") for module in layer.split("|")
    }
    assert shell == opened == layered
    assert {module.partition(".")[2] for module in shell} == closed
