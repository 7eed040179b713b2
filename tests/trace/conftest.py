"""The traced world, made anew for each test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from reconciler.kds import slice as slice_
from tests.trace import fleet

if TYPE_CHECKING:
    from pathlib import Path

    from tests.trace.world import World


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The global's keys, which take long to make; made once, as in a deployment."""
    return tmp_path_factory.mktemp("keys")


@pytest.fixture
def world(tmp_path: Path, keys: Path) -> World:
    """Served and quiet. What the process remembers from other tests would not be counted."""
    for kept in (slice_._kept_insight, slice_._kept_frame):
        kept.cache_clear()
    return fleet.world(tmp_path, keys)
