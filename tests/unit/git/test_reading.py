"""A revision of a local repository as the offline commands read it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from reconciler.git.reading import revision_blobs
from reconciler.limits import DEFAULT
from tests.support.git_repos import PolicyRepo

if TYPE_CHECKING:
    from pathlib import Path


def test_a_revision_is_read_and_not_the_work_tree(tmp_path: Path) -> None:
    repo = PolicyRepo.create(tmp_path, {"p/a.yaml": "old", "p/README.md": "no policy"})
    repo.push({"p/a.yaml": "new"})
    (repo.work / "p" / "a.yaml").write_text("not committed")
    assert {p: b.data for p, b in revision_blobs(repo.work, "HEAD~1", "p").items()} == {
        "a.yaml": b"old"
    }
    assert revision_blobs(repo.bare, "main", "p")["a.yaml"].data == b"new"


def test_links_are_not_followed_and_large_files_not_read(tmp_path: Path) -> None:
    repo = PolicyRepo.create(tmp_path, {"big.yaml": "x" * (DEFAULT.blob_bytes + 1)})
    (repo.work / "link.yaml").symlink_to("/etc/passwd")
    repo.push({"a.yaml": "a"})
    blobs = revision_blobs(repo.work, "HEAD")
    assert blobs["big.yaml"].data is None
    assert (blobs["link.yaml"].data, blobs["link.yaml"].mode) == (b"", 0o120000)


def test_faults_say_what_to_correct(tmp_path: Path) -> None:
    repo = PolicyRepo.create(tmp_path, {"a.yaml": "a"})
    with pytest.raises(ValueError, match="correct --rev"):
        revision_blobs(repo.work, "nope")
    with pytest.raises(ValueError, match="no folder p"):
        revision_blobs(repo.work, "HEAD", "p")
    with pytest.raises(ValueError, match="not a Git repository"):
        revision_blobs(tmp_path, "HEAD")
