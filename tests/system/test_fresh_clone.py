"""The README's first command on a machine that has only Python, git and make."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.system
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fresh") / "clone"
    subprocess.run(["git", "clone", "--quiet", ROOT, folder], check=True)
    return folder


def make(clone: Path, *targets: str) -> subprocess.CompletedProcess[str]:
    """`make` with an empty home and nothing of this environment."""
    home = clone.parent / "home"
    home.mkdir(exist_ok=True)
    ours = {"PYTHONPATH", "VIRTUAL_ENV", "MAKEFLAGS", "MAKELEVEL", "MAKEOVERRIDES"}
    env = {key: value for key, value in os.environ.items() if key not in ours}
    return subprocess.run(
        ["make", "--no-print-directory", *targets],
        cwd=clone,
        env={**env, "HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_make_builds_a_working_environment_once(clone: Path) -> None:
    first = make(clone, ".venv")
    assert first.returncode == 0, first.stdout + first.stderr
    program = clone / ".venv" / "bin" / "reconciler"
    done = subprocess.run(
        [program, "validate", "examples-repo"],
        cwd=clone,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "pip install" not in make(clone, ".venv").stdout
    status = subprocess.run(
        ["git", "status", "--porcelain"], cwd=clone, capture_output=True, text=True, check=True
    )
    assert status.stdout == ""
