"""Loading a whole repository never makes the collector look through it, and it stays able to."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import pytest

from reconciler.runtime.collector import undisturbed
from tests.support.git_repos import PolicyRepo
from tests.unit.load.test_revision_loader import loader_of
from tests.unit.load.test_standing import MESH, follow, policies

if TYPE_CHECKING:
    from pathlib import Path


def test_a_repository_is_loaded_without_a_look_at_all_that_is_there(tmp_path: Path) -> None:
    repo = PolicyRepo.create(tmp_path, {"mesh.yaml": MESH, **policies(300)})
    loader, frozen = loader_of(tmp_path, repo), gc.get_freeze_count()
    before = gc.get_stats()[2]["collections"]
    try:
        follow(loader)
        assert gc.get_stats()[2]["collections"] == before
        assert gc.get_freeze_count() > frozen + 300
        assert gc.isenabled()
    finally:
        gc.unfreeze()


def test_a_fault_leaves_the_collector_at_work() -> None:
    with pytest.raises(ValueError, match="ours"), undisturbed():
        raise ValueError("ours")
    gc.unfreeze()
    assert gc.isenabled()
