"""Walks the tree of a commit without a checkout; equal subtrees are entered once.

Entries of a tree are data of whoever can push: names and sizes are checked here, and nothing in
them is ever used as a path of this machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import pygit2
from pygit2.enums import FileMode, ObjectType

from reconciler.git.errors import CommitRejected
from reconciler.limits import DEFAULT, cure

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

TREE_BYTES_MAX = 4 * 1024 * 1024


class EntryKind(StrEnum):
    FILE = "file"
    SYMLINK = "symlink"  # never followed
    SUBMODULE = "submodule"  # never fetched
    INVALID = "invalid"  # a name no checkout would accept, or a mode that is none of Git's


KINDS = {
    int(FileMode.BLOB): EntryKind.FILE,
    int(FileMode.BLOB_EXECUTABLE): EntryKind.FILE,
    0o100664: EntryKind.FILE,  # written by early versions of Git
    int(FileMode.LINK): EntryKind.SYMLINK,
    int(FileMode.COMMIT): EntryKind.SUBMODULE,
}


@dataclass(frozen=True, slots=True)
class TreeEntry:
    """`path` is relative to the policy path, `mode` Git's (0o100644), `oid` 40 hex digits."""

    path: str
    mode: int
    oid: str
    kind: EntryKind


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeLimits:
    """Above these a commit is rejected; keys `limits.treeEntries` and `limits.treeDepth`."""

    entries_max: int = DEFAULT.tree_entries
    depth_max: int = DEFAULT.tree_depth


@dataclass(frozen=True, slots=True)
class Subtree:
    """One tree as walked. `visited` counts its trees too: empty ones cost time as well."""

    oid: str
    entries: tuple[TreeEntry, ...]  # all below, in Git's order
    leaves: tuple[TreeEntry, ...]  # of these, what is in no folder of this tree
    children: Mapping[str, Subtree]
    visited: int


def changes(
    before: Subtree | None, after: Subtree
) -> Iterator[tuple[TreeEntry | None, TreeEntry | None]]:
    """What differs between two trees: each entry as it was and as it is. Equal folders are not
    entered; None: there was nothing, and all is new.
    """
    if before is None:
        yield from ((None, each) for each in after.entries)
        return
    if before.oid == after.oid:
        return
    known = {each.path: each for each in before.leaves}
    for each in after.leaves:
        was = known.pop(each.path, None)
        if was != each:
            yield was, each
    yield from ((each, None) for each in known.values())
    for name, child in after.children.items():
        yield from changes(before.children.get(name), child)
    for name in before.children.keys() - after.children.keys():
        yield from ((each, None) for each in before.children[name].entries)


class TreeWalk:
    """Lists trees; a subtree equal to the last walk's at the same place is not entered again."""

    def __init__(self, limits: TreeLimits) -> None:
        self.limits = limits
        self.trees_read = 0  # by the last walk
        self._last: Subtree | None = None

    def entries(self, repository: pygit2.Repository, tree: str) -> tuple[TreeEntry, ...]:
        """Everything below that is no tree itself. Raises CommitRejected beyond a limit."""
        return self.tree(repository, tree).entries

    def tree(self, repository: pygit2.Repository, tree: str) -> Subtree:
        """The same as a tree, for `changes`."""
        self.trees_read = 0
        self._last = self._walk(repository, "", tree, self._last, 1)
        return self._last

    def _walk(
        self, repository: pygit2.Repository, prefix: str, oid: str, last: Subtree | None, level: int
    ) -> Subtree:
        if last is not None and last.oid == oid:
            return last
        if level > self.limits.depth_max:
            raise CommitRejected(
                f"folders are nested deeper than {self.limits.depth_max} at {prefix}; "
                f"flatten them, or {cure('treeDepth')}"
            )
        entries: list[TreeEntry] = []
        leaves: list[TreeEntry] = []
        children: dict[str, Subtree] = {}
        names: set[bytes] = set()
        visited = 1
        for item in self._tree(repository, prefix, oid):
            raw = item.raw_name or b""
            name = raw.decode("utf-8", "backslashreplace")
            if raw in names:  # Which of the two counts, every reader decides for itself.
                raise CommitRejected(f"{prefix}{shown(name)} is there twice; remove one")
            names.add(raw)
            if item.type == ObjectType.TREE:
                # Whatever its name is: a policy that stands below must not be lost unseen.
                below = last.children.get(name) if last is not None else None
                under = f"{prefix}{shown(name)}/"
                child = self._walk(repository, under, str(item.id), below, level + 1)
                children[name] = child
                entries.extend(child.entries)
                visited += child.visited
            else:
                leaves.append(entry(prefix, name, int(item.filemode), str(item.id)))
                entries.append(leaves[-1])
                visited += 1
            self._check_count(visited)
        return Subtree(oid, tuple(entries), tuple(leaves), children, visited)

    def _tree(self, repository: pygit2.Repository, prefix: str, oid: str) -> pygit2.Tree:
        self.trees_read += 1
        kind, size = repository.odb.read_header(oid)
        if kind != ObjectType.TREE:
            raise CommitRejected(f"{prefix or 'the root'} is not a folder in this commit")
        if size > TREE_BYTES_MAX:
            raise CommitRejected(f"{prefix or 'the root'} has a listing of {size} bytes; split it")
        tree = repository[oid]
        assert isinstance(tree, pygit2.Tree)
        return tree

    def _check_count(self, visited: int) -> None:
        if visited > self.limits.entries_max:
            raise CommitRejected(
                f"more than {self.limits.entries_max} files and folders; "
                f"move what is no policy elsewhere, or {cure('treeEntries')}"
            )


def is_plain(name: str) -> bool:
    """Could be the name of one file: no separator, no control character, not special to Git."""
    return (
        name.lower() not in {"", ".", "..", ".git"}
        and "/" not in name
        and name.isprintable()
        and "\\" not in name
    )


def entry(prefix: str, name: str, mode: int, oid: str) -> TreeEntry:
    kind = KINDS.get(mode, EntryKind.INVALID) if is_plain(name) else EntryKind.INVALID
    return TreeEntry(f"{prefix}{shown(name)}", mode, oid, kind)


def shown(name: str) -> str:
    """Printable, and one part of a path: an odd name cannot pass for a file in a folder."""
    text = name if name.isprintable() else name.encode("unicode_escape").decode("ascii")
    return text.replace("/", "\\x2f")
