"""A rewritten branch before the global's shell, on real repositories: held, told, accepted once."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from reconciler.global_cp.answers import GlobalAnswers
from tests.support.git_repos import PolicyRepo, git
from tests.unit.reconciler.test_global_cp import (
    MESH,
    in_force,
    running,
    state_folder,
    status_of,
    until,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import pytest

    from reconciler.global_cp.plane import GlobalControlPlane
    from reconciler.stored import Row


def unrelated(repo: PolicyRepo, name: str = "other") -> str:
    """Force-push another history, with this mesh beside the first."""
    git(repo.work, "checkout", "--quiet", "--orphan", "other")
    git(repo.work, "branch", "--quiet", "-D", "main")
    git(repo.work, "branch", "-m", "main")
    return repo.push({"other.yaml": f"type: Mesh\nname: {name}\n"})


def forget(repo: PolicyRepo) -> None:
    """The server keeps nothing that no ref leads to."""
    git(repo.bare, "reflog", "expire", "--expire=now", "--all")
    git(repo.bare, "gc", "--quiet", "--prune=now")


def is_held(plane: GlobalControlPlane, commit: str) -> bool:
    return plane.state.held is not None and plane.state.held.commit == commit


async def test_unrelated_history_is_held_until_accepted_and_the_next_is_held_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo, state = PolicyRepo.create(tmp_path, MESH), state_folder(tmp_path)
    first = repo.tip("main")
    async with running(state, repo.bare) as plane:
        await until(plane, lambda: in_force(plane) == first)
        rewritten = unrelated(repo)
        await until(plane, lambda: is_held(plane, rewritten))
        told = status_of(plane)["held"]
        assert isinstance(told, dict)
        assert (told["commit"], told["in_force"]) == (rewritten, first)
        assert (await GlobalAnswers(plane).wait(rewritten, 0.1))["outcome"] == "held"
        assert (await GlobalAnswers(plane).accept("0" * 40))["outcome"] == "refused"
        kept: list[object] = []
        write = plane.store.write

        def noted(rows: Mapping[Row, bytes | None]) -> None:
            write(rows)
            kept.append(rows.get(("meta", "accepted")))

        monkeypatch.setattr(plane.store, "write", noted)
        assert (await GlobalAnswers(plane).accept(rewritten[:7]))["outcome"] == "accepted"
        assert rewritten.encode() in kept, "answered before it would outlive a crash"
        await until(plane, lambda: in_force(plane) == rewritten)
        asked_again = await GlobalAnswers(plane).accept(rewritten)
        assert asked_again["outcome"] == "accepted"
        assert "in force already" in str(asked_again["message"])
        assert (await GlobalAnswers(plane).accept(first))["outcome"] == "refused"
        again = unrelated(repo, "another")
        await until(plane, lambda: is_held(plane, again))
        assert in_force(plane) == rewritten


async def test_older_commit_replayed_is_held_until_the_branch_goes_on(tmp_path: Path) -> None:
    repo, state = PolicyRepo.create(tmp_path, MESH), state_folder(tmp_path)
    old = repo.tip("main")
    new = repo.push({"more.yaml": "type: Mesh\nname: more\n"})
    async with running(state, repo.bare) as plane:
        await until(plane, lambda: in_force(plane) == new)
        git(repo.bare, "update-ref", "refs/heads/main", old)
        await until(plane, lambda: is_held(plane, old))
        assert in_force(plane) == new
        git(repo.bare, "update-ref", "refs/heads/main", new)
        newest = repo.push({"README.md": "no policy"})
        await until(plane, lambda: in_force(plane) == newest)
        assert status_of(plane)["held"] is None


async def test_held_over_a_restart_also_when_nobody_has_the_old_commit_any_more(
    tmp_path: Path,
) -> None:
    repo, state = PolicyRepo.create(tmp_path, MESH), state_folder(tmp_path)
    first = repo.tip("main")
    async with running(state, repo.bare) as plane:
        await until(plane, lambda: in_force(plane) == first)
    rewritten = unrelated(repo)
    forget(repo)
    async with running(state, repo.bare) as plane:  # The mirror still has it.
        await until(plane, lambda: is_held(plane, rewritten))
        assert in_force(plane) == first
    shutil.rmtree(state / "mirror.git")
    async with running(state, repo.bare) as plane:
        await until(plane, lambda: is_held(plane, rewritten))
        assert in_force(plane) is None
        assert "no longer in" in str(status_of(plane)["problems"])
        assert (await GlobalAnswers(plane).accept(rewritten))["outcome"] == "accepted"
        await until(plane, lambda: in_force(plane) == rewritten)
    async with running(state, repo.bare) as plane:
        await until(plane, lambda: in_force(plane) == rewritten)
        assert plane.store.load_all("meta").keys() == {"revision", "repository"}


async def test_branch_that_vanishes_leaves_its_last_commit_in_force_and_comes_back(
    tmp_path: Path,
) -> None:
    repo, state = PolicyRepo.create(tmp_path, MESH), state_folder(tmp_path)
    first = repo.tip("main")
    async with running(state, repo.bare) as plane:
        await until(plane, lambda: in_force(plane) == first)
        git(repo.bare, "update-ref", "-d", "refs/heads/main")
        await until(plane, lambda: plane.state.fetch_error is not None)
        assert "has no branch main" in str(status_of(plane)["repository_error"])
        assert in_force(plane) == first
    async with running(state, repo.bare) as plane:  # Also at a start.
        await until(plane, lambda: in_force(plane) == first)
        second = repo.push({"more.yaml": "type: Mesh\nname: more\n"})
        await until(plane, lambda: in_force(plane) == second)
        await until(plane, lambda: plane.state.fetch_error is None)
