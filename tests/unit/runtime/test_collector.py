"""Loading a whole repository never makes the collector look through it, and it stays able to."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import pytest

from reconciler.runtime.collector import (
    FULL_LOOK_EVERY,
    MIDDLE_LOOK_EVERY,
    YOUNG_LOOK_EVERY,
    seldom,
    undisturbed,
)
from tests.support.git_repos import PolicyRepo
from tests.support.step_fleet import document, mesh_with_mtls, permission, step_fleet, timeout
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


def test_a_running_control_plane_is_seldom_looked_through() -> None:
    before = gc.get_threshold()
    try:
        seldom()
        assert gc.get_threshold() == (YOUNG_LOOK_EVERY, MIDDLE_LOOK_EVERY, FULL_LOOK_EVERY)
    finally:
        gc.set_threshold(*before)


def test_proxies_that_come_and_go_and_commits_leave_nothing_to_the_collector() -> None:
    """Else what is seldom looked through would grow until then."""
    made = step_fleet(20, services=5)
    gc.collect()
    gc.disable()
    try:
        for number in range(10):
            made.commit(
                f"c{number + 2}", *mesh_with_mtls(), timeout(number + 1), permission("Allow")
            )
            made.leave(next(iter(made.envoys)))
            made.arrive(document(number, 5, 5))
            made.run(1.0)
        assert gc.collect() < 100
    finally:
        gc.enable()
