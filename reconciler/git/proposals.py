"""A proposed change as Git has it: the base, and what the base would be with the change merged.
Blocking.

A branch that is behind its base is not compared as it stands: that would show the base's own news
as undone. Files are merged in memory, nothing is written.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pygit2
from pygit2.enums import FileMode

from reconciler.git.errors import GitFailed
from reconciler.git.library import UNREADABLE
from reconciler.git.local_refs import open_local, target
from reconciler.git.mirror import TooLarge, read_blob, read_files, tree_oid
from reconciler.git.reading import commit_of, limits_of
from reconciler.git.status_ref import STATUS_PREFIX, zone_of_ref
from reconciler.git.trees import EntryKind, TreeEntry, TreeLimits, TreeWalk
from reconciler.load import Blob, is_read

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from reconciler.limits import Limits

CONFLICTS_SHOWN = 5
REMOTES = "refs/remotes/"


@dataclass(frozen=True, slots=True)
class Proposal:
    """`base` and `head`: commits. `before` and `after`: path -> blob under the policy path, `after`
    as it would be once merged. `note`: what could not be looked at.
    """

    base: str
    head: str
    before: Mapping[str, Blob]
    after: Mapping[str, Blob]
    note: str = ""


def proposal(repository: Path, base: str, head: str, policy_path: str, maximum: Limits) -> Proposal:
    """Raises ValueError: no repository there, no such commit, beyond a limit, or a conflict."""
    try:
        with open_local(repository) as opened:
            return _Reader(opened, policy_path, maximum).proposal(base, head)
    except (GitFailed, *UNREADABLE) as error:
        raise ValueError(str(error)) from error


class _Reader:
    """What both sides have in common is read once."""

    def __init__(self, repository: pygit2.Repository, policy_path: str, maximum: Limits) -> None:
        self.repository = repository
        self.policy_path = policy_path
        self.maximum = maximum
        self.blobs: dict[tuple[str, int], Blob] = {}
        entries, depth = maximum.tree_entries, maximum.tree_depth
        self.walk = TreeWalk(TreeLimits(entries_max=entries, depth_max=depth))

    def proposal(self, base: str, head: str) -> Proposal:
        ours, theirs = commit_of(self.repository, base), commit_of(self.repository, head)
        before, after = self._entries(ours), self._entries(theirs)
        common: pygit2.Oid | None = self.repository.merge_base(ours, theirs)
        note = ""
        if common is None:
            note = f"{base} and {head} have no common commit here; fetch the whole history"
        elif str(common) != ours:
            after = self._merged(self._entries(str(common)), before, after)
        limits = limits_of(self.repository, self._tree(ours), self.maximum)
        return Proposal(
            ours,
            theirs,
            {path: self._blob(entry, limits) for path, entry in before.items()},
            {path: self._blob(entry, limits) for path, entry in after.items()},
            note,
        )

    def _tree(self, commit: str) -> str:
        return tree_oid(self.repository, commit, self.policy_path)

    def _entries(self, commit: str) -> dict[str, TreeEntry]:
        entries = self.walk.entries(self.repository, self._tree(commit))
        return {entry.path: entry for entry in entries if is_read(entry.path)}

    def _merged(
        self,
        common: Mapping[str, TreeEntry],
        ours: Mapping[str, TreeEntry],
        theirs: Mapping[str, TreeEntry],
    ) -> dict[str, TreeEntry]:
        """Each file as the side has it that changed it; lines are merged where both did."""
        found: dict[str, TreeEntry] = {}
        conflicts: list[str] = []
        for path in ours.keys() | theirs.keys():
            was, one, other = common.get(path), ours.get(path), theirs.get(path)
            chosen = one if other == was or one == other else other
            if one not in (was, other) and other != was:
                chosen = self._lines(was, one, other)
                if chosen is None:
                    conflicts.append(path)
            if chosen is not None:
                found[path] = chosen
        if conflicts:
            shown = ", ".join(sorted(conflicts)[:CONFLICTS_SHOWN])
            raise ValueError(f"cannot be merged: {shown}; rebase the change on its base")
        return found

    def _lines(
        self, was: TreeEntry | None, one: TreeEntry | None, other: TreeEntry | None
    ) -> TreeEntry | None:
        """None: a conflict."""
        if one is None or other is None:
            return None
        if EntryKind.SYMLINK in (one.kind, other.kind) or one.kind is not other.kind:
            return None
        result = self.repository.merge_file_from_index(
            _index_entry(was), _index_entry(one), _index_entry(other), use_deprecated=False
        )
        if not result.automergeable:
            return None
        data = result.contents.encode()
        oid = str(pygit2.hash(data))
        self.blobs[oid, one.mode] = Blob(oid, data, one.mode)
        return TreeEntry(one.path, one.mode, oid, one.kind)

    def _blob(self, entry: TreeEntry, limits: Limits) -> Blob:
        known = self.blobs.get((entry.oid, entry.mode))
        if known is None:
            known = Blob(entry.oid, self._content(entry, limits), entry.mode)
            self.blobs[entry.oid, entry.mode] = known
        return known

    def _content(self, entry: TreeEntry, limits: Limits) -> bytes | None:
        if entry.kind in {EntryKind.SYMLINK, EntryKind.SUBMODULE}:
            return b""  # never followed, never fetched
        read = read_blob(self.repository, entry.oid, limits.blob_bytes)
        return None if isinstance(read, TooLarge) else read


def _index_entry(entry: TreeEntry | None) -> pygit2.IndexEntry | None:
    if entry is None:
        return None
    return pygit2.IndexEntry(entry.path, pygit2.Oid(hex=entry.oid), FileMode(entry.mode))


def newest_status(
    repository: Path, prefix: str = STATUS_PREFIX
) -> tuple[dict[str, Mapping[str, bytes]], dict[str, str]]:
    """Zone -> the files of its status ref, and zone -> why its ref was left out. A clone has the
    refs of its remote beside its own; its own win. Raises ValueError: no repository there.
    """
    found: dict[str, Mapping[str, bytes]] = {}
    left: dict[str, str] = {}
    try:
        with open_local(repository) as opened:
            for zone, ref in sorted(_status_refs(opened, prefix).items()):
                tip = target(opened, ref)
                try:
                    if tip is not None:
                        found[zone] = read_files(opened, tip)
                except (GitFailed, *UNREADABLE) as error:
                    left[zone] = str(error)
    except (GitFailed, *UNREADABLE) as error:
        raise ValueError(str(error)) from error
    return found, left


def _status_refs(repository: pygit2.Repository, prefix: str) -> dict[str, str]:
    own: dict[str, str] = {}
    remote: dict[str, str] = {}
    for name in sorted(repository.references):
        zone = zone_of_ref(name, prefix)
        if zone is not None:
            own[zone] = name
        elif name.startswith(REMOTES):
            _, _, branch = name.removeprefix(REMOTES).partition("/")
            zone = zone_of_ref(f"refs/heads/{branch}", prefix)
            if zone is not None:
                remote.setdefault(zone, name)
    return remote | own
