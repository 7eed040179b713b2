"""Real pushes to real repositories are noticed; failures are told and end."""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from contextlib import aclosing
from typing import TYPE_CHECKING

from reconciler.git.address import address
from reconciler.git.mirror import Mirror, MirrorOptions
from reconciler.git.remote import RemoteLimits, transport_to
from reconciler.git.watch import (
    FetchFailed,
    FetchRecovered,
    TipsChanged,
    WatchOptions,
    refs_folder,
    tips,
)
from tests.support.git_repos import GIT_ENVIRONMENT, PolicyRepo, git, git_daemon

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import pytest

    from reconciler.git.watch import Change

MAIN = "refs/heads/main"
# Nothing here is found by polling: what is seen was noticed.
NEVER_POLLS = WatchOptions(poll_s=1000, safety_poll_s=1000, retry_first_s=1000, retry_max_s=1000)


def mirror_of(url: str, folder: Path) -> Mirror:
    where = address(url)
    transport = transport_to(where, RemoteLimits(call_s=20))
    return Mirror(folder / "mirror.git", where, transport, MirrorOptions())


async def following(changes: AsyncIterator[Change]) -> Change:
    async with asyncio.timeout(20):
        return await anext(changes)


async def until_main_is(changes: AsyncIterator[Change], commit: str) -> list[Change]:
    """Everything yielded until main is at the commit."""
    found: list[Change] = []
    async with asyncio.timeout(20):
        async for change in changes:
            found.append(change)
            if isinstance(change, TipsChanged) and change.tips[MAIN] == commit:
                break
    return found


async def test_a_plain_git_push_is_noticed_at_once(tmp_path: Path) -> None:
    repo = PolicyRepo.create(tmp_path, {"a.yaml": "0"})
    async with aclosing(tips(mirror_of(str(repo.bare), tmp_path), NEVER_POLLS)) as changes:
        assert await following(changes) == TipsChanged({MAIN: repo.tip("main")})
        await asyncio.sleep(0.1)  # the watch is set up while the first change is handled
        commit = await asyncio.to_thread(repo.commit, {"a.yaml": "1"})
        started = time.monotonic()
        push = asyncio.create_task(asyncio.to_thread(git, repo.work, "push", "origin", "main"))
        assert await following(changes) == TipsChanged({MAIN: commit})
        assert time.monotonic() - started < 1.0
        await push


async def test_a_push_before_the_watch_stands_is_not_lost(tmp_path: Path) -> None:
    repo = PolicyRepo.create(tmp_path, {"a.yaml": "0"})
    async with aclosing(tips(mirror_of(str(repo.bare), tmp_path), NEVER_POLLS)) as changes:
        await following(changes)
        commit = repo.push({"a.yaml": "1"})  # holds the loop: nothing could be watched meanwhile
        assert await following(changes) == TipsChanged({MAIN: commit})


async def test_a_force_push_is_noticed(tmp_path: Path) -> None:
    repo = PolicyRepo.create(tmp_path, {"a.yaml": "0"})
    first = repo.tip("main")
    repo.push({"a.yaml": "1"})
    async with aclosing(tips(mirror_of(str(repo.bare), tmp_path), NEVER_POLLS)) as changes:
        await following(changes)
        git(repo.work, "push", "--quiet", "--force", "origin", f"{first}:main")
        assert await following(changes) == TipsChanged({MAIN: first})


async def test_packing_refs_is_no_change_and_a_push_after_it_is(tmp_path: Path) -> None:
    repo = PolicyRepo.create(tmp_path, {"a.yaml": "0"})
    async with aclosing(tips(mirror_of(str(repo.bare), tmp_path), NEVER_POLLS)) as changes:
        await following(changes)
        git(repo.bare, "pack-refs", "--all")
        commit = await asyncio.to_thread(repo.push, {"a.yaml": "1"})
        assert await following(changes) == TipsChanged({MAIN: commit})


async def test_a_burst_of_50_commits_converges_on_the_last(tmp_path: Path) -> None:
    repo = PolicyRepo.create(tmp_path, {"a.yaml": "0"})
    commits = [repo.commit({"a.yaml": str(number)}) for number in range(1, 51)]
    git(repo.work, "push", "--quiet", "origin", "main:spare")  # the objects are there
    async with aclosing(tips(mirror_of(str(repo.bare), tmp_path), NEVER_POLLS)) as changes:
        await following(changes)
        script = "".join(f"git update-ref {MAIN} {commit}\n" for commit in commits)
        environment = os.environ | GIT_ENVIRONMENT
        burst = await asyncio.create_subprocess_exec(
            "sh", "-ec", script, cwd=repo.bare, env=environment
        )
        seen = await until_main_is(changes, commits[-1])
        assert await burst.wait() == 0
        assert len(seen) <= 50
        assert all(isinstance(change, TipsChanged) for change in seen)


async def test_status_pushes_are_told_with_their_refs(tmp_path: Path) -> None:
    repo = PolicyRepo.create(tmp_path, {"a.yaml": "0"})
    async with aclosing(tips(mirror_of(str(repo.bare), tmp_path), NEVER_POLLS)) as changes:
        await following(changes)
        git(repo.bare, "update-ref", "refs/heads/status/east", MAIN)
        found = await following(changes)
        assert isinstance(found, TipsChanged)
        assert set(found.tips) == {MAIN, "refs/heads/status/east"}


async def test_a_missing_repository_is_told_and_noticed_when_it_appears(tmp_path: Path) -> None:
    repo = PolicyRepo.create(tmp_path, {"a.yaml": "0"})
    commit = repo.tip("main")
    repo.bare.rename(tmp_path / "away.git")
    async with aclosing(tips(mirror_of(str(repo.bare), tmp_path), NEVER_POLLS)) as changes:
        failed = await following(changes)
        assert isinstance(failed, FetchFailed)
        assert (failed.attempt, failed.permanent) == (1, True)
        assert "does not exist; create it" in failed.message
        (tmp_path / "away.git").rename(repo.bare)
        assert await following(changes) == FetchRecovered()
        assert await following(changes) == TipsChanged({MAIN: commit})


async def test_a_repository_that_was_replaced_is_watched_again(tmp_path: Path) -> None:
    """Restored from a backup, say: inotify stays with the folder that went."""
    repo = PolicyRepo.create(tmp_path, {"a.yaml": "0"})
    async with aclosing(tips(mirror_of(str(repo.bare), tmp_path), NEVER_POLLS)) as changes:
        await following(changes)
        commit = repo.commit({"a.yaml": "1"})
        shutil.move(repo.bare, tmp_path / "old.git")
        shutil.copytree(tmp_path / "old.git", repo.bare)
        git(repo.work, "push", "--quiet", "origin", "main")
        found = await until_main_is(changes, commit)
        assert found[-1] == TipsChanged({MAIN: commit})


async def test_a_commit_in_a_linked_work_tree_is_noticed(tmp_path: Path) -> None:
    """Its .git is a file; the refs are those of the main repository."""
    repo = PolicyRepo.create(tmp_path, {"a.yaml": "0"})
    linked = tmp_path / "linked"
    git(repo.work, "checkout", "--quiet", "--detach")
    git(repo.work, "worktree", "add", "--quiet", str(linked), "main")
    assert refs_folder(linked).resolve() == (repo.work / ".git").resolve()
    async with aclosing(tips(mirror_of(str(linked), tmp_path), NEVER_POLLS)) as changes:
        assert await following(changes) == TipsChanged({MAIN: repo.tip("main")})
        git(linked, "commit", "--quiet", "--allow-empty", "--message", "more")
        await until_main_is(changes, git(linked, "rev-parse", "HEAD"))


async def test_without_a_watch_the_repository_is_looked_at_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine may have no inotify instance left for us."""

    def full(*_: object, **__: object) -> None:
        raise OSError(24, "OS file watch limit reached")

    monkeypatch.setattr("watchfiles.main.RustNotify", full)
    monkeypatch.setattr("reconciler.git.watch.REWATCH_S", 0.05)
    repo = PolicyRepo.create(tmp_path, {"a.yaml": "0"})
    async with aclosing(tips(mirror_of(str(repo.bare), tmp_path), NEVER_POLLS)) as changes:
        assert await following(changes) == TipsChanged({MAIN: repo.tip("main")})
        await until_main_is(changes, repo.push({"a.yaml": "1"}))


async def test_failures_back_off_and_count(tmp_path: Path) -> None:
    options = WatchOptions(retry_first_s=0.01, retry_max_s=0.02)
    missing = mirror_of(str(tmp_path / "missing.git"), tmp_path)
    async with aclosing(tips(missing, options)) as changes:
        attempts = [await following(changes) for _ in range(3)]
    assert [c.attempt for c in attempts if isinstance(c, FetchFailed)] == [1, 2, 3]


async def test_a_remote_repository_is_polled(tmp_path: Path) -> None:
    repo = PolicyRepo.create(tmp_path, {"a.yaml": "0"})
    with git_daemon(tmp_path) as url:
        mirror = mirror_of(f"{url}/policy.git", tmp_path)
        async with aclosing(tips(mirror, WatchOptions(poll_s=0.05))) as changes:
            assert await following(changes) == TipsChanged({MAIN: repo.tip("main")})
            commit = await asyncio.to_thread(repo.push, {"a.yaml": "1"})
            assert await following(changes) == TipsChanged({MAIN: commit})
        mirror.transport.close()
