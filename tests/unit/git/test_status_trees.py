"""Commits upon commits of a status ref: each has the files that it was made of, and no others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pygit2
from pygit2.enums import FileMode

from reconciler.git.mirror import read_files
from reconciler.git.status_ref import NewCommit, write_commit

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

A, B = b"a", b"b"
STEPS: tuple[Mapping[str, bytes], ...] = (
    {"applied.yaml": A},
    {"applied.yaml": B, "proxies/m/one.yaml": A, "proxies/m/two.yaml": A},
    {"applied.yaml": B, "proxies/m/one.yaml": A, "proxies/m/two.yaml": B},
    {"applied.yaml": B, "proxies/m/two.yaml": B, "proxies/n/one.yaml": A},
    {"applied.yaml": B, "proxies": A},
    {"applied.yaml/x": B, "proxies/m/one.yaml": A},
    {"ingress.yaml": A},
)


def committed(repository: pygit2.Repository, files: Mapping[str, bytes], parent: str | None) -> str:
    return write_commit(repository, NewCommit(files, parent, "status", "zone <zone@mesh>", 0.0))


def repository_in(folder: Path) -> pygit2.Repository:
    return pygit2.init_repository(str(folder), bare=True)


def tree_of(repository: pygit2.Repository, commit: str) -> pygit2.Oid:
    return repository[commit].peel(pygit2.Tree).id


def test_a_tree_that_follows_another_is_as_one_made_from_nothing(tmp_path: Path) -> None:
    repository, parent = repository_in(tmp_path), None
    for files in (*STEPS, *reversed(STEPS)):
        parent = committed(repository, files, parent)
        assert read_files(repository, parent) == files
        assert tree_of(repository, parent) == tree_of(
            repository, committed(repository, files, None)
        )


def test_what_is_as_it_was_is_not_written_again(tmp_path: Path) -> None:
    """Of a thousand files most are: what is written is what fails when the disk is full."""
    repository = repository_in(tmp_path)
    files = {"applied.yaml": A, "proxies/m/one.yaml": b"one"}
    parent = committed(repository, files, None)
    kept = pygit2.hash(files["proxies/m/one.yaml"])
    (tmp_path / "objects" / str(kept)[:2] / str(kept)[2:]).unlink()
    after = committed(repository, {**files, "applied.yaml": B}, parent)
    assert repository[after].peel(pygit2.Tree)["proxies/m/one.yaml"].id == kept
    assert kept not in pygit2.Repository(str(tmp_path))


def test_a_tree_that_somebody_else_wrote_gets_files_of_the_right_mode(tmp_path: Path) -> None:
    repository = repository_in(tmp_path)
    builder = repository.TreeBuilder()
    builder.insert("applied.yaml", repository.create_blob(A), FileMode.BLOB_EXECUTABLE)
    who = pygit2.Signature("x", "x@y", 0, 0)
    theirs = repository.create_commit(None, who, who, "theirs", builder.write(), [])
    ours = committed(repository, {"applied.yaml": A}, str(theirs))
    assert repository[ours].peel(pygit2.Tree)["applied.yaml"].filemode == FileMode.BLOB
