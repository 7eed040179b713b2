"""What a clone has of a proposed change, and of what zones tell."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from reconciler.git.proposals import newest_status, proposal
from reconciler.limits import Limits
from tests.support.git_repos import PolicyRepo, git
from tests.support.status_refs import commit_status

if TYPE_CHECKING:
    from pathlib import Path

REF = "refs/heads/status/east"


def repository(tmp_path: Path) -> PolicyRepo:
    found = PolicyRepo.create(tmp_path, {"a.yaml": "one: 1\n", "b.yaml": "b: 1\n"})
    git(found.work, "checkout", "--quiet", "-b", "proposal")
    return found


def test_ones_own_status_ref_goes_before_that_of_the_remote(tmp_path: Path) -> None:
    repo = repository(tmp_path)
    commit_status(repo.bare, REF, {"applied.yaml": b"remote"}, None)
    git(repo.work, "fetch", "--quiet", "origin")
    assert newest_status(repo.work)[0] == {"east": {"applied.yaml": b"remote"}}
    commit_status(repo.work / ".git", REF, {"applied.yaml": b"own"}, None)
    assert newest_status(repo.work)[0] == {"east": {"applied.yaml": b"own"}}


def test_a_ref_that_cannot_be_read_is_left_out_and_said(tmp_path: Path) -> None:
    repo = repository(tmp_path)
    blob = git(repo.work, "hash-object", "-w", "a.yaml").strip()
    (repo.work / ".git" / "refs" / "heads" / "status").mkdir(parents=True)
    (repo.work / ".git" / REF).write_text(f"{blob}\n")
    found, left = newest_status(repo.work)
    assert found == {}
    assert list(left) == ["east"]


def test_without_a_common_commit_it_says_so(tmp_path: Path) -> None:
    repo = repository(tmp_path)
    git(repo.work, "checkout", "--quiet", "--orphan", "apart")
    repo.commit({"a.yaml": "two: 2\n"})
    assert "no common commit" in proposal(repo.work, "main", "apart", "", Limits()).note
    assert proposal(repo.work, "main", "main", "", Limits()).note == ""


def test_links_are_not_followed_nor_merged(tmp_path: Path) -> None:
    repo = repository(tmp_path)
    (repo.work / "c.yaml").symlink_to("a.yaml")
    (repo.work / "b.yaml").unlink()
    (repo.work / "b.yaml").symlink_to("a.yaml")
    repo.commit({})
    found = proposal(repo.work, "main", "proposal", "", Limits())
    assert (found.after["c.yaml"].data, found.after["b.yaml"].data) == (b"", b"")
    git(repo.work, "checkout", "--quiet", "main")
    repo.commit({"b.yaml": "b: 2\n"})
    with pytest.raises(ValueError, match=r"cannot be merged: b\.yaml"):
        proposal(repo.work, "main", "proposal", "", Limits())


def test_only_files_that_are_policies_have_a_say(tmp_path: Path) -> None:
    """What else both sides changed conflicts with nothing."""
    repo = repository(tmp_path)
    repo.commit({"notes.txt": "theirs\n"})
    git(repo.work, "checkout", "--quiet", "main")
    repo.commit({"notes.txt": "ours\n"})
    found = proposal(repo.work, "main", "proposal", "", Limits())
    assert sorted(found.after) == ["a.yaml", "b.yaml"]
