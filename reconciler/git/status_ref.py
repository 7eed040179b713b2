"""Status refs: read what they say, and commit on them by compare-and-swap. Blocking.

A local repository is written in place, under each ref's lock. A remote one is written through a
mirror and pushed, all refs in one push, with the expected old ids; the server closes the race.
Never forced: the one move that is no fast-forward, the rollover, is compared and swapped as well.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Protocol

import pygit2
from pygit2.enums import FileMode, SortMode

from reconciler.git import local_refs
from reconciler.git.errors import GitFailed, Permanent, RewriteRefused, Transient
from reconciler.git.library import UNREADABLE, open_bare
from reconciler.git.mirror import PACKS_MAX, Mirror, MirrorOptions, read_files
from reconciler.git.packing import is_scattered, pack
from xds.resource import digest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from reconciler.git.remote import RemoteTransport
    from reconciler.git.transport import Move

STATUS_PREFIX = "refs/heads/status/"
PREFIX_SETTING = "--status-prefix"
SHARED_PREFIXES = frozenset(
    ("refs/", "refs/heads/", "refs/tags/", "refs/remotes/", "refs/notes/", "refs/replace/")
)
RESERVED_ZONES = frozenset(("global",))
ZONE_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?\Z")
ZONE_NAME_MAX = 63
COMMITS_MAX = 100_000  # of one chain that are counted


@dataclass(frozen=True, slots=True)
class NewCommit:
    """`time` in seconds since the epoch; `author` is both author and committer."""

    files: Mapping[str, bytes]
    parent: str | None
    message: str
    author: str
    time: float


@dataclass(frozen=True, slots=True)
class FoundRef:
    """A ref's tip: its files and what its commit says of itself."""

    oid: str
    files: Mapping[str, bytes]
    message: str = ""
    author: str = ""


@dataclass(frozen=True, slots=True)
class Chain:
    """Commits from a tip down to its root, first parents only. `digest` is over their ids."""

    count: int
    digest: str
    began_at: float  # the root's time, seconds since the epoch


class StatusRefs(Protocol):
    """The status refs of one repository that this process writes."""

    def read(self, refs: Sequence[str]) -> Mapping[str, FoundRef | GitFailed | None]:
        """What each says, None for one that does not exist, or why only it cannot be had."""
        ...

    def prepare(self, commit: NewCommit) -> str:
        """Write a commit's objects; no ref moves."""
        ...

    def has(self, oid: str) -> bool:
        """Whether this commit is here, so that it can be pushed again."""
        ...

    def chain(self, oid: str) -> Chain: ...

    def move(self, moves: Sequence[Move]) -> Mapping[str, GitFailed]:
        """All of them at once; why, for those that did not move. Raises when it is not known."""
        ...

    def close(self) -> None: ...


def ref_of_zone(zone: str, prefix: str = STATUS_PREFIX) -> str:
    """The one ref this zone writes. Raises Permanent for a name or prefix that Git cannot keep."""
    if zone in RESERVED_ZONES:
        raise Permanent(f"the zone name {zone} is reserved; choose another")
    if not ZONE_NAME.match(zone) or len(zone) > ZONE_NAME_MAX:
        raise Permanent(
            f"the zone name {zone!r} cannot be part of a ref; use lower case letters, digits and -"
        )
    name = f"{prefix}{zone}"
    check_prefix(prefix)
    if not pygit2.reference_is_valid_name(name):
        raise Permanent(f"{name!r} is no valid ref; correct {PREFIX_SETTING}")
    return name


def check_prefix(prefix: str, branch_ref: str | None = None) -> None:
    """Status refs stand apart from all others, the followed branch (`branch_ref`) first of all: a
    zone of that name would write it. Raises Permanent.
    """
    if not prefix.startswith("refs/") or not prefix.endswith("/"):
        raise Permanent(f"{PREFIX_SETTING} {prefix!r} must begin with refs/ and end with /")
    if prefix in SHARED_PREFIXES:
        raise Permanent(
            f"{PREFIX_SETTING} {prefix} would take every ref there for a zone's status; "
            f"name a folder of its own, such as {STATUS_PREFIX}"
        )
    if branch_ref is None:
        return
    if branch_ref.startswith(prefix):
        raise Permanent(
            f"the branch {branch_ref} lies among the status refs of {PREFIX_SETTING} {prefix}; "
            "follow another branch, or keep status refs elsewhere"
        )
    if prefix.startswith(f"{branch_ref}/"):
        local_refs.check_free_among((branch_ref,), f"{prefix}zone", PREFIX_SETTING)


def zone_of_ref(ref: str, prefix: str = STATUS_PREFIX) -> str | None:
    """Whose status this ref is; None for any other ref."""
    zone = ref.removeprefix(prefix)
    named = ref.startswith(prefix) and ZONE_NAME.match(zone) and zone not in RESERVED_ZONES
    return zone if named else None


class LocalStatusRefs:
    """In a repository of this machine, written in place."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self, refs: Sequence[str]) -> Mapping[str, FoundRef | GitFailed | None]:
        with local_refs.open_local(self.path) as repository:
            return {ref: self._read(repository, ref) for ref in refs}

    def _read(self, repository: pygit2.Repository, ref: str) -> FoundRef | GitFailed | None:
        try:
            tip = local_refs.target(repository, ref)
            if tip is not None:
                return _found(repository, tip)
            local_refs.check_free(repository, ref, PREFIX_SETTING)
            return None
        except GitFailed as error:
            return error
        except UNREADABLE as error:
            return Transient(f"{self.path}: {ref} cannot be read ({error})")

    def prepare(self, commit: NewCommit) -> str:
        with local_refs.open_local(self.path) as repository:
            try:
                return write_commit(repository, commit)
            except UNREADABLE as error:
                raise Permanent(
                    f"cannot write objects to {self.path} ({error}); "
                    "give this process write access to it, and check for free space"
                ) from error

    def has(self, oid: str) -> bool:
        with local_refs.open_local(self.path) as repository:
            try:
                return oid in repository
            except UNREADABLE:
                return False

    def chain(self, oid: str) -> Chain:
        with local_refs.open_local(self.path) as repository:
            try:
                return _chain(repository, oid)
            except UNREADABLE as error:
                raise Transient(f"{self.path}: history of {oid[:12]} ({error})") from error

    def move(self, moves: Sequence[Move]) -> Mapping[str, GitFailed]:
        failed: dict[str, GitFailed] = {}
        with local_refs.open_local(self.path) as repository:
            for move in moves:
                try:
                    self._move(repository, move)
                except GitFailed as error:
                    failed[move.ref] = error
        return failed

    def _move(self, repository: pygit2.Repository, move: Move) -> None:
        if move.rewrite and not local_refs.allows_rewrite(repository):
            raise RewriteRefused(
                f"{self.path} does not let {move.ref} begin anew: receive.denyNonFastForwards"
            )
        local_refs.swap(repository, move.ref, move.expected, move.oid)

    def close(self) -> None:
        """Nothing is held open."""


class RemoteStatusRefs:
    """On a server, through a mirror of these refs: full names, or prefixes that end in "/"."""

    def __init__(self, folder: Path, transport: RemoteTransport, also: tuple[str, ...]) -> None:
        self.transport = transport
        options = MirrorOptions(branch=None, also=also)
        self.mirror = Mirror(folder, transport.address, transport, options)

    def read(self, refs: Sequence[str]) -> Mapping[str, FoundRef | GitFailed | None]:
        tips = self.mirror.fetch()
        missing = [ref for ref in refs if ref not in tips]
        there = self.transport.list_refs(self.mirror.folder) if missing else {}
        return {ref: self._read(ref, tips.get(ref), there) for ref in refs}

    def _read(self, ref: str, tip: str | None, there: Iterable[str]) -> FoundRef | GitFailed | None:
        try:
            if tip is None:
                local_refs.check_free_among(there, ref, PREFIX_SETTING)
                return None
            with open_bare(self.mirror.folder) as repository:
                return _found(repository, tip)
        except GitFailed as error:
            return error
        except UNREADABLE as error:
            shutil.rmtree(self.mirror.folder, ignore_errors=True)  # the next read clones afresh
            return Transient(f"{self.mirror.folder}: {ref} cannot be read ({error})")

    def prepare(self, commit: NewCommit) -> str:
        try:
            if is_scattered(self.mirror.folder, PACKS_MAX):
                pack(self.mirror.folder)
            with open_bare(self.mirror.folder) as repository:
                return write_commit(repository, commit)
        except UNREADABLE as error:
            shutil.rmtree(self.mirror.folder, ignore_errors=True)  # the next read clones afresh
            raise Transient(f"{self.mirror.folder} cannot be written ({error})") from error

    def has(self, oid: str) -> bool:
        try:
            with open_bare(self.mirror.folder) as repository:
                return oid in repository
        except UNREADABLE:
            return False

    def chain(self, oid: str) -> Chain:
        try:
            with open_bare(self.mirror.folder) as repository:
                return _chain(repository, oid)
        except UNREADABLE as error:
            raise Transient(f"{self.mirror.folder} cannot be read ({error})") from error

    def move(self, moves: Sequence[Move]) -> Mapping[str, GitFailed]:
        failed = self.transport.push(self.mirror.folder, moves)
        if any(move.rewrite and move.ref not in failed for move in moves):
            self.mirror.rebuild()  # without the history that was dropped
        return failed

    def close(self) -> None:
        self.transport.close()


def _found(repository: pygit2.Repository, tip: str) -> FoundRef:
    """Raises CommitRejected for a ref that is no commit."""
    files = read_files(repository, tip)
    commit = repository[tip].peel(pygit2.Commit)
    assert isinstance(commit, pygit2.Commit)
    author = f"{commit.author.raw_name.decode('utf-8', 'replace')}"
    return FoundRef(tip, files, commit.raw_message.decode("utf-8", "replace"), author)


def _chain(repository: pygit2.Repository, oid: str) -> Chain:
    walk = repository.walk(oid, SortMode.NONE)
    walk.simplify_first_parent()
    oids, began_at = [], 0.0
    for commit in islice(walk, COMMITS_MAX):
        oids.append(str(commit.id))
        began_at = float(commit.commit_time)
    return Chain(len(oids), digest(found.encode() for found in reversed(oids)), began_at)


def write_commit(repository: pygit2.Repository, commit: NewCommit) -> str:
    """Objects only; no ref moves."""
    author, _, email = commit.author.partition(" <")
    signature = pygit2.Signature(author, email.rstrip(">") or "none@invalid", int(commit.time), 0)
    tree = _write_tree(repository, commit.files, _tree_of(repository, commit.parent))
    parents = [pygit2.Oid(hex=commit.parent)] if commit.parent is not None else []
    message = commit.message
    return str(repository.create_commit(None, signature, signature, message, tree, parents))


def _tree_of(repository: pygit2.Repository, commit: str | None) -> pygit2.Tree | None:
    return repository[commit].peel(pygit2.Tree) if commit is not None else None


def _write_tree(
    repository: pygit2.Repository, files: Mapping[str, bytes], before: pygit2.Tree | None
) -> pygit2.Oid:
    """The tree of these files; paths are made by us, never taken from a peer unescaped. What is in
    the tree `before` is there: of a thousand files most are as they were.
    """
    builder = repository.TreeBuilder() if before is None else repository.TreeBuilder(before)
    held = {str(found.name): found for found in before} if before is not None else {}
    folders: dict[str, dict[str, bytes]] = {}
    for path in sorted(files):
        first, separator, rest = path.partition("/")
        if separator:
            folders.setdefault(first, {})[rest] = files[path]
        else:
            known = held.pop(first, None)
            same = known is not None and known.id == pygit2.hash(files[path])
            if known is None or not same or known.filemode != FileMode.BLOB:
                builder.insert(first, repository.create_blob(files[path]), FileMode.BLOB)
    for name, inside in folders.items():
        known = held.pop(name, None)
        tree = _write_tree(repository, inside, known if isinstance(known, pygit2.Tree) else None)
        builder.insert(name, tree, FileMode.TREE)
    for name in held:
        builder.remove(name)
    return builder.write()
