"""Loading a whole repository never makes the collector look through it, and it stays able to."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import pytest

from reconciler.runtime.collector import (
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


def test_of_a_push_the_collector_looks_at_a_little_at_a_time_and_never_at_everything() -> None:
    """Ten objects for each that stays, as pushes make them: by Python's own thresholds a look meets
    twice as many here, and of 1,000 proxies tens of thousands.
    """
    looks: list[tuple[int, int]] = []

    def looked(phase: str, about: dict[str, int]) -> None:
        if phase == "start":
            generation = about["generation"]
            looks.append((generation, sum(len(gc.get_objects(g)) for g in range(generation + 1))))

    before, stays = gc.get_threshold(), list[list[object]]()
    gc.collect()
    try:
        seldom()
        gc.callbacks.append(looked)
        for _ in range(200):  # Each wave sees the one before it go.
            wave = [[object()] for _ in range(1_000)]
            stays += wave[::10]
    finally:
        gc.callbacks.remove(looked)
        gc.set_threshold(*before)
    assert {generation for generation, _ in looks} == {0, 1}
    assert max(size for _, size in looks) < 1_500


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
