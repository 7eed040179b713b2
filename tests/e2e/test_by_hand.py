"""docs/how-to/run-by-hand.md does what it says: its commands, in order, in one shell."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.support.pages import ROOT, typed

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]
PAGE = ROOT / "docs" / "how-to" / "run-by-hand.md"


def test_the_page_on_running_by_hand_works_as_typed(tmp_path: Path) -> None:
    """With an empty home, every command must succeed, and the last ones end every process."""
    done = typed(PAGE, tmp_path)
    assert done.status == 0, f"{done.out}\n{done.logs}"
    assert "hello from west" in done.out
    assert re.search(r"arrived: all proxies of 2 zones have it", done.out)
    assert re.search(r"default\.frontend-1 +│ yes +│ acknowledged", done.out)
    assert "kuma.io/service: backend" in done.out
    assert "kuma:envoy:admin::" in done.out  # backend-1's clusters, asked through zone west
    assert not [line for line in done.logs.splitlines() if "Traceback" in line]
