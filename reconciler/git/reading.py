"""One revision of a local repository, read at once: for commands that work offline. Blocking."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import pygit2

from reconciler.git.errors import CommitRejected, GitFailed
from reconciler.git.library import UNREADABLE
from reconciler.git.local_refs import open_local, target
from reconciler.git.mirror import TooLarge, read_blob, read_files, tree_oid
from reconciler.git.status_ref import STATUS_PREFIX, zone_of_ref
from reconciler.git.trees import EntryKind, TreeLimits, TreeWalk
from reconciler.load import Blob, is_read

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

BLOB_BYTES_MAX = 1024 * 1024


def revision_blobs(repository: Path, revision: str, policy_path: str = "") -> dict[str, Blob]:
    """Path -> blob under the policy path, as the global would read them from that revision.

    Raises ValueError: no repository there, no such revision, or beyond a limit.
    """
    try:
        with open_local(repository) as opened:
            commit = _commit(opened, revision)
            entries = TreeWalk(TreeLimits()).entries(opened, tree_oid(opened, commit, policy_path))
            return {
                entry.path: Blob(entry.oid, _content(opened, entry.oid, entry.kind), entry.mode)
                for entry in entries
                if is_read(entry.path)
            }
    except (GitFailed, *UNREADABLE) as error:
        raise ValueError(str(error)) from error


def _commit(repository: pygit2.Repository, revision: str) -> str:
    try:
        return str(repository.revparse_single(revision).peel(pygit2.Commit).id)
    except UNREADABLE as error:
        raise ValueError(
            f"no commit {revision} here ({error}); fetch it, or correct --rev"
        ) from error


def _content(repository: pygit2.Repository, oid: str, kind: EntryKind) -> bytes | None:
    if kind in {EntryKind.SYMLINK, EntryKind.SUBMODULE}:
        return b""  # never followed, never fetched
    read = read_blob(repository, oid, BLOB_BYTES_MAX)
    return None if isinstance(read, TooLarge) else read


def status_files(repository: Path, prefix: str = STATUS_PREFIX) -> dict[str, Mapping[str, bytes]]:
    """Zone -> the files of its status ref; a ref that is no commit is left out, as the global does.
    Raises ValueError: no repository there.
    """
    try:
        found: dict[str, Mapping[str, bytes]] = {}
        with open_local(repository) as opened:
            for reference in opened.references.objects:
                zone = zone_of_ref(reference.name, prefix)
                tip = target(opened, reference.name) if zone is not None else None
                if zone is not None and tip is not None:
                    with suppress(CommitRejected):
                        found[zone] = read_files(opened, tip)
    except (GitFailed, *UNREADABLE) as error:
        raise ValueError(str(error)) from error
    return found
