"""The main job on real parts: the demo's tour, driven as a user drives it, must see every step
happen.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
STEPS = (
    "1 both zones answer",
    "1 mutual TLS",
    "1 strangers are refused",
    "1 the wire between the zones",
    "2 MeshTimeout",
    "2 MeshTrafficPermission",
    "2 MeshHTTPRoute",
    "3 a commit with a mistake",
    "4 kill -9 east's backend",
    "5 status commits",
)


def test_tour_sees_every_step_happen(tmp_path: Path) -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "reconciler.cli.main",
            "demo",
            "--once",
            "--format",
            "json",
            "--dir",
            str(tmp_path / "demo"),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    answer = json.loads(done.stdout)
    assert answer["ok"] is True
    seen = [row["step"] for row in answer["steps"] if row["ok"]]
    assert tuple(dict.fromkeys(seen)) == STEPS
