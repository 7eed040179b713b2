"""One revision of a local repository, read at once: for commands that work offline. Blocking."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import pygit2

from reconciler.blobs import SETTINGS_FILE, Blob, is_read
from reconciler.git.errors import CommitRejected, GitFailed
from reconciler.git.library import UNREADABLE
from reconciler.git.local_refs import open_local, target
from reconciler.git.mirror import TooLarge, folder_oid, read_blob, read_files
from reconciler.git.status_ref import STATUS_PREFIX, zone_of_ref
from reconciler.git.trees import KINDS, EntryKind, TreeEntry, TreeLimits, TreeWalk
from reconciler.limits import DEFAULT, Limits

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def revision_blobs(
    repository: Path, revision: str, policy_path: str = "", maximum: Limits = DEFAULT
) -> dict[str, Blob]:
    """Path -> blob under the policy path, as the global would read them from that revision.

    Raises ValueError: no repository there, no such revision, or beyond a limit.
    """
    try:
        with open_local(repository) as opened:
            tree = folder_oid(_tree(opened, revision), revision, policy_path)
            limits = limits_of(opened, tree, maximum)
            walk = TreeWalk(
                TreeLimits(entries_max=limits.tree_entries, depth_max=limits.tree_depth)
            )
            entries = walk.entries(opened, tree)
            return {
                entry.path: Blob(entry.oid, _content(opened, entry, limits), entry.mode)
                for entry in entries
                if is_read(entry.path)
            }
    except (GitFailed, *UNREADABLE) as error:
        raise ValueError(str(error)) from error


def commit_of(repository: pygit2.Repository, revision: str) -> str:
    return str(_peeled(repository, revision, pygit2.Commit).id)


def _tree(repository: pygit2.Repository, revision: str) -> pygit2.Tree:
    """Of a commit; or a tree itself, which is what `git write-tree` makes of the index."""
    found = _peeled(repository, revision, pygit2.Tree)
    assert isinstance(found, pygit2.Tree)
    return found


def _peeled(
    repository: pygit2.Repository, revision: str, to: type[pygit2.Commit] | type[pygit2.Tree]
) -> pygit2.Commit | pygit2.Tree:
    try:
        return repository.revparse_single(revision).peel(to)
    except UNREADABLE as error:
        raise ValueError(
            f"no commit {revision} here ({error}); fetch it, or correct --rev"
        ) from error


def limits_of(repository: pygit2.Repository, tree: str, maximum: Limits) -> Limits:
    found = repository[tree]
    assert isinstance(found, pygit2.Tree)
    if SETTINGS_FILE not in found:
        return maximum
    from reconciler.load import limits_in  # and all that checks documents, for this one

    settings = found[SETTINGS_FILE]
    if KINDS.get(int(settings.filemode)) is not EntryKind.FILE:
        return maximum
    read = read_blob(repository, str(settings.id), maximum.blob_bytes)
    return limits_in(read, maximum) if isinstance(read, bytes) else maximum


def _content(repository: pygit2.Repository, entry: TreeEntry, limits: Limits) -> bytes | None:
    if entry.kind in {EntryKind.SYMLINK, EntryKind.SUBMODULE}:
        return b""  # never followed, never fetched
    read = read_blob(repository, entry.oid, limits.blob_bytes)
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
