"""`reconciler demo --transparent` as a user starts it. Needs root, nftables and curl."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from reconciler.demo.visitor import STEP

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]


def of_this_machine() -> tuple[str, ...]:
    """What a visitor could leave behind: interfaces, rules, folders."""
    commands = (["ip", "-o", "link"], ["nft", "list", "ruleset"])
    shown = [subprocess.run(c, capture_output=True, text=True, check=True).stdout for c in commands]
    folders = sorted(map(str, Path(tempfile.gettempdir()).glob("mesh-visitor-*")))
    return *shown, "\n".join(folders)


def test_the_tour_ends_with_a_program_that_knows_nothing(tmp_path: Path) -> None:
    before = of_this_machine()
    command = [sys.executable, "-m", "reconciler.cli.main", "demo", "--once", "--transparent"]
    done = subprocess.run(
        [*command, "--format", "json", "--dir", str(tmp_path / "demo")],
        capture_output=True, text=True, check=False, timeout=280,
    )  # fmt: skip
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    last = json.loads(done.stdout)["steps"][-1]
    assert (last["step"], last["ok"]) == (STEP, True)
    assert "http://backend.mesh" in last["seen"]
    assert "east" in last["seen"]
    assert "west" in last["seen"]
    assert of_this_machine() == before
