"""`make` and `reconciler` offer what the documentation promises, and say how they are used."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = Path(sys.executable).parent / "reconciler"
TARGETS = [
    ".venv", "demo", "check", "test", "test-system", "bench", "bench-quick", "bench-failover",
    "golden", "protos", "policy", "docs", "help", "lock",
]  # fmt: skip
COMMANDS = [
    "demo", "global", "zone", "dataplane", "validate", "plan", "render", "status", "wait", "accept",
    "inspect", "token", "install", "uninstall",
]  # fmt: skip


def run(*argv: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)


def offered_commands() -> tuple[str, ...]:
    return tuple(command.name for command in import_module("reconciler.cli.main").COMMANDS)


def test_make_alone_prints_every_target_with_its_purpose() -> None:
    result = run("make", "--no-print-directory")
    assert result.returncode == 0
    plain = re.sub(r"\x1b\[\d*m", "", result.stdout)
    listed = {line.split()[0]: " ".join(line.split()[1:]) for line in plain.splitlines()}
    assert sorted(listed) == sorted(TARGETS)
    assert all(listed.values())


@pytest.mark.parametrize("target", TARGETS)
def test_make_target_can_be_planned(target: str) -> None:
    """A dry run: every recipe expands, every prerequisite exists."""
    result = run("make", "--dry-run", target, "NAME=MeshFoo")
    assert result.returncode == 0, result.stderr


def test_make_policy_without_a_name_says_how() -> None:
    result = run("make", "policy")
    assert result.returncode != 0
    assert "make policy NAME=MeshFoo" in result.stderr


def test_make_without_a_new_enough_python_says_so(tmp_path: Path) -> None:
    """A machine whose only Python is too old: the cure stands in the message."""
    for file in ("Makefile", "pyproject.toml"):
        (tmp_path / file).write_text((ROOT / file).read_text())
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements" / "dev.txt").touch()
    result = subprocess.run(
        ["make", ".venv", "PYTHON="], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert result.returncode != 0
    assert "Python 3.11 or newer" in result.stderr


def test_every_promised_command_is_there() -> None:
    assert set(COMMANDS) <= set(offered_commands())


def test_help_lists_every_command() -> None:
    result = run(PROGRAM, "--help")
    assert result.returncode == 0, result.stderr
    assert [name for name in offered_commands() if name not in result.stdout] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command_has_an_example(command: str) -> None:
    result = run(PROGRAM, command, "--help")
    assert result.returncode == 0, result.stderr
    assert re.search(rf"(?i)example:\s+reconciler\s+{command}\b", result.stdout), result.stdout


@pytest.mark.parametrize("argv", [["nonsense"], ["validate", "--no-such-option"], []])
def test_wrong_usage_exits_with_2(argv: list[str]) -> None:
    """0 done, 1 the answer is bad, 2 could not run, 4 timed out."""
    assert run(PROGRAM, *argv).returncode == 2
