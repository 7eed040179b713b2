"""What a control plane's start makes stays to the end: the collector never looks through it, not
while it is made and not later.
"""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

from reconciler.cli import global_, zone
from reconciler.zone_cp import process

IMPORTED = """
import asyncio, gc
from reconciler.cli import {module}
before = gc.get_stats()[2]["collections"]
try:
    asyncio.run({module}._serve({given}, earlier=False))
except (AttributeError, TypeError):  # There are no arguments: its modules are all it got.
    pass
print(gc.get_stats()[2]["collections"] - before, gc.get_freeze_count(), gc.isenabled())
"""


@pytest.mark.parametrize(("module", "given"), [("zone", 4), ("global_", 3)])
def test_modules_are_imported_without_a_look_at_all_that_is_there(module: str, given: int) -> None:
    program = IMPORTED.format(module=module, given=", ".join(["None"] * given))
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    looks, frozen, enabled = done.stdout.split()
    assert (looks, enabled) == ("0", "True")
    assert int(frozen) > 100_000


def test_a_zone_is_warm_and_restored_undisturbed_before_it_serves() -> None:
    lines = inspect.getsource(process.serve)
    begun, warm, restored, serves = map(
        lines.index, ("undisturbed()", "warm_up()", "plane.restore()", "AdsServer(")
    )
    assert begun < warm < restored < serves
    assert "undisturbed()" in inspect.getsource(zone._serve)
    assert "undisturbed()" in inspect.getsource(global_._serve)
