"""`make bench-quick`, whatever machine this is: counters, and ratios to floors of the same run."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.bench.__main__ import QUICK

pytestmark = pytest.mark.system
ROOT = Path(__file__).parents[2]


def test_nothing_does_more_than_it_must(tmp_path: Path) -> None:
    out = tmp_path / "bench.json"
    done = subprocess.run(
        ["make", "--no-print-directory", "bench-quick", f"ARGS=--out {out}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=800,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(out.read_text())
    assert {"push_to_envoy_ms", "rebuilt.no_policy", "responses_per_push"} <= found.keys()
    assert len(QUICK) == done.stderr.count(" ...\n")
