"""A bare mirror of one repository, the only thing commits are read from. Blocking.

    fetch()          cheap ref check; what moved is brought here; the tips as the mirror has them
    tree_entries()   all files under the policy path; equal subtrees are not entered again
    read_blobs()     contents by oid, sizes checked before reading
    reconcile_key()  what must move to cause work

No checkout, no submodules, filters or hooks; symlinks come out as entries of their own kind. A
mirror that was deleted or damaged is rebuilt by a fresh clone beside it, then swapped in. Callers
on an event loop use asyncio.to_thread. Commits that were force-pushed away stay readable.
"""

from __future__ import annotations

import shutil
import threading
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import pygit2
from pygit2.enums import ObjectType

from reconciler.git import local_refs
from reconciler.git.errors import CommitRejected, GitFailed, Permanent, Transient
from reconciler.git.library import UNREADABLE, isolate, open_bare
from reconciler.git.packing import is_scattered, pack
from reconciler.git.trees import KINDS, EntryKind, Subtree, TreeEntry, TreeLimits, TreeWalk
from reconciler.limits import DEFAULT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from reconciler.git.address import Address
    from reconciler.git.transport import Transport

T = TypeVar("T")
SETTINGS_FILE = "reconciler.yaml"
BRANCHES_SHOWN_MAX = 10
REF_LENGTH_MAX = 1000  # what a server may send is longer than what a file can be called
SUBJECT_MAX = 200
ROOT_NAMES_MAX = 100
STATUS_BLOB_BYTES_MAX = 8 * 1024 * 1024
STATUS_BYTES_MAX = 64 * 1024 * 1024  # of all files of a status ref
PACKS_WHEN_IDLE = 20  # joined when nothing moved, so that nobody waits
PACK_SUFFIXES = {".pack", ".idx"}
PACKS_MAX = 200  # joined in any case: with a thousand, reading takes ten times as long


@dataclass(frozen=True, slots=True, kw_only=True)
class MirrorOptions:
    """`branch` is followed and must exist; `also` are full refs or prefixes ending in "/"."""

    branch: str | None = "main"
    also: tuple[str, ...] = ("refs/heads/status/",)
    blob_bytes_max: int = DEFAULT.blob_bytes
    trees: TreeLimits = field(default_factory=TreeLimits)

    @property
    def branch_ref(self) -> str | None:
        return f"refs/heads/{self.branch}" if self.branch else None


@dataclass(frozen=True, slots=True)
class TooLarge:
    """Instead of the content of a blob beyond `limits.blobBytes`, which is never read."""

    size: int
    limit: int


class ReconcileKey(NamedTuple):
    """Oids: the tree of the policy path, and its `reconciler.yaml` ("" when there is none)."""

    tree: str
    settings: str


@dataclass(frozen=True, slots=True)
class CommitInfo:
    """`time` is the committer's, in seconds since the epoch; text is shortened and printable."""

    oid: str
    parents: tuple[str, ...]
    author: str
    time: int
    subject: str


class Mirror:
    """One mirror; calls from several threads are serialised where they write."""

    def __init__(
        self, folder: Path, address: Address, transport: Transport, options: MirrorOptions
    ) -> None:
        self.folder = folder
        self.address = address
        self.transport = transport
        self.options = options
        self._walk = TreeWalk(options.trees)
        self._writing = threading.RLock()
        self._gone = ""  # a commit that is not in the repository any more

    @property
    def trees_read(self) -> int:
        """How many trees the last `tree_entries` entered."""
        return self._walk.trees_read

    def follow_branch_only(self) -> None:
        """From here on nothing else is fetched; what was, stays as it is."""
        with self._writing:
            self.options = replace(self.options, also=())

    # --- refs ---

    def fetch(self) -> Mapping[str, str]:
        """Bring the followed refs here. Ref -> commit oid; raises Transient or Permanent."""
        with self._writing:
            self._prepare()
            there = self._followed(self.transport.list_refs(self.folder))
            with suppress(*UNREADABLE):
                if self._tips() == there:
                    self._tidy(PACKS_WHEN_IDLE)
                    return there
            try:
                self._clear_way(there)
                self.transport.fetch(self.folder, self._refspecs())
                self._tidy(PACKS_MAX)
                return self._tips()
            except (GitFailed, *UNREADABLE) as error:
                if self._is_sound(there):
                    raise _told(error, self.folder) from error
            try:
                self.rebuild()
                return self._tips()
            except UNREADABLE as error:
                raise _told(error, self.folder) from error

    def held(self) -> Mapping[str, str]:
        """The followed refs as the last fetch left them, {} without a mirror. Asks nobody."""
        try:
            return self._tips()
        except UNREADABLE:
            return {}

    def tip(self, ref: str) -> str | None:
        """Where the mirror has this ref, without asking the repository."""
        return self._reading(lambda repository: local_refs.target(repository, ref))

    def _followed(self, refs: Mapping[str, str]) -> dict[str, str]:
        branch = self.options.branch_ref
        if branch is not None and branch not in refs:
            raise Permanent(self._no_branch(refs))
        return {ref: oid for ref, oid in refs.items() if self._follows(ref)}

    def _follows(self, ref: str) -> bool:
        if len(ref) > REF_LENGTH_MAX:
            return False
        return ref == self.options.branch_ref or any(
            ref.startswith(given) if given.endswith("/") else ref == given
            for given in self.options.also
        )

    def _no_branch(self, refs: Mapping[str, str]) -> str:
        names = sorted(r.removeprefix("refs/heads/") for r in refs if r.startswith("refs/heads/"))
        shown = ", ".join(names[:BRANCHES_SHOWN_MAX]) + (", …" * (len(names) > BRANCHES_SHOWN_MAX))
        has = f"it has {shown}; name one with --branch" if names else "it is empty; push a commit"
        return f"{self.address} has no branch {self.options.branch}: {has}"

    def _refspecs(self) -> list[str]:
        wanted = [f"{ref}*" if ref.endswith("/") else ref for ref in self.options.also]
        if self.options.branch_ref is not None:
            wanted.insert(0, self.options.branch_ref)
        return [f"+{ref}:{ref}" for ref in wanted]

    def _tips(self) -> dict[str, str]:
        with open_bare(self.folder) as repository:
            return {
                reference.name: str(reference.target)
                for reference in repository.references.objects
                if self._follows(reference.name)
            }

    # --- commits ---

    def tree_entries(
        self, commit: str, policy_path: str = "", limits: TreeLimits | None = None
    ) -> tuple[TreeEntry, ...]:
        """All files under the policy path, paths relative to it; CommitRejected at a limit."""
        return self.tree(commit, policy_path, limits).entries

    def tree(self, commit: str, policy_path: str = "", limits: TreeLimits | None = None) -> Subtree:
        """The same as a tree, of which `trees.changes` says what differs from another."""
        limits = limits or self.options.trees
        if limits != self._walk.limits:
            self._walk = TreeWalk(limits)
        return self._reading(
            lambda repository: self._walk.tree(
                repository, tree_oid(repository, commit, policy_path)
            )
        )

    def read_blobs(
        self, oids: Iterable[str], bytes_max: int | None = None
    ) -> Mapping[str, bytes | TooLarge]:
        """Oid -> content, or `TooLarge` beyond the limit: of those only the size is read."""
        wanted, most = tuple(oids), bytes_max or self.options.blob_bytes_max
        return self._reading(
            lambda repository: {oid: read_blob(repository, oid, most) for oid in wanted}
        )

    def read_files(self, commit: str) -> Mapping[str, bytes]:
        """Path -> content of a small tree such as a status ref's; what is too large is left out."""

        return self._reading(lambda repository: read_files(repository, commit))

    def read_file(self, commit: str, path: str) -> bytes | None:
        """One file of a status ref; None when it is not there. Raises CommitRejected for one that
        is too large or no regular file.
        """

        def read(repository: pygit2.Repository) -> bytes | None:
            tree = _commit(repository, commit).tree
            if path not in tree:
                return None
            found = tree[path]
            if KINDS.get(int(found.filemode)) is not EntryKind.FILE:
                raise CommitRejected(f"{path} in {commit[:12]} is no regular file")
            body = read_blob(repository, str(found.id), STATUS_BLOB_BYTES_MAX)
            if isinstance(body, TooLarge):
                raise CommitRejected(f"{path} has {body.size} bytes, over {body.limit}")
            return body

        return self._reading(read)

    def root_names(self, commit: str) -> tuple[str, ...]:
        """The first names at the root of a commit's tree."""

        def read(repository: pygit2.Repository) -> tuple[str, ...]:
            tree = _commit(repository, commit).tree
            return tuple(entry.name or "" for entry in islice(tree, ROOT_NAMES_MAX))

        return self._reading(read)

    def reconcile_key(self, commit: str, policy_path: str = "") -> ReconcileKey:
        def read(repository: pygit2.Repository) -> ReconcileKey:
            tree = tree_oid(repository, commit, policy_path)
            found = repository[tree]
            assert isinstance(found, pygit2.Tree)
            settings = str(found[SETTINGS_FILE].id) if SETTINGS_FILE in found else ""
            return ReconcileKey(tree, settings)

        return self._reading(read)

    def commit_info(self, commit: str) -> CommitInfo:
        def read(repository: pygit2.Repository) -> CommitInfo:
            found = _commit(repository, commit)
            subject = found.raw_message.decode("utf-8", "replace").strip().split("\n")[0]
            return CommitInfo(
                str(found.id),
                tuple(map(str, found.parent_ids)),
                _printable(found.author.raw_name.decode("utf-8", "replace")),
                found.committer.time,
                _printable(subject),
            )

        return self._reading(read)

    def contains(self, tip: str, commit: str) -> bool:
        """Whether `commit`, or the only one that begins so, is `tip` or came before it."""

        def read(repository: pygit2.Repository) -> bool:
            try:
                oid = _commit(repository, commit).id
                return str(oid) == tip or repository.descendant_of(tip, oid)
            except (CommitRejected, KeyError, ValueError, pygit2.GitError):
                return False  # Unknown here, several, or no commit: no damage of the mirror.

        return self._reading(read)

    def holds(self, commit: str) -> bool:
        """Whether this object is here. One that is not is looked for once in a fresh clone: it may
        be gone from a mirror that was damaged, and from the repository when it was rewritten.
        """

        def read(repository: pygit2.Repository) -> bool:
            return commit in repository

        if self._reading(read):
            return True
        if commit != self._gone:
            self.rebuild()
            self._gone = commit
        return self._reading(read)

    def descends(self, commit: str, base: str) -> bool:
        """Whether `commit` is `base` or came after it. A `base` nobody has any more has no
        descendants.
        """
        if commit == base:
            return True
        if not self.holds(base):
            return False
        return self._reading(lambda repository: repository.descendant_of(commit, base))

    # --- health ---

    def rebuild(self) -> None:
        """Clone afresh beside the mirror and swap it in; the old one stays until that worked."""
        with self._writing:
            fresh = self.folder.with_name(self.folder.name + ".fresh")
            shutil.rmtree(fresh, ignore_errors=True)
            _create(fresh)
            try:
                self.transport.fetch(fresh, self._refspecs())
            except GitFailed:
                shutil.rmtree(fresh, ignore_errors=True)
                raise
            shutil.rmtree(self.folder, ignore_errors=True)
            fresh.rename(self.folder)

    def _prepare(self) -> None:
        """Create the mirror where there is none, or nothing that opens as one; no lock of a child
        that was killed is in the way (nobody else writes here).
        """
        for left in self.folder.glob("*.lock"):
            left.unlink(missing_ok=True)
        try:
            with open_bare(self.folder):
                pass
        except pygit2.GitError:
            shutil.rmtree(self.folder, ignore_errors=True)
            _create(self.folder)

    def _clear_way(self, there: Iterable[str]) -> None:
        """What a fetch would stumble over: locks and halves of packs of a child that was killed
        (nobody else writes here), and refs gone at the server, which may be folders of others now.
        """
        halves = [p for p in self.folder.glob("objects/pack/*") if p.suffix not in PACK_SUFFIXES]
        for left in (*halves, *self.folder.glob("refs/**/*.lock")):
            left.unlink(missing_ok=True)
        gone = self._tips().keys() - set(there)
        with open_bare(self.folder) as repository:
            for ref in gone:
                repository.references.delete(ref)

    def _tidy(self, packs_max: int) -> None:
        with suppress(*UNREADABLE):  # no room, or damage: whoever reads will tell
            if is_scattered(self.folder, packs_max):
                pack(self.folder)

    def _is_sound(self, refs: Iterable[str]) -> bool:
        """Each of these that is here leads to a tree that is there, or is no commit at all; and
        what libgit2 reads besides can be read.
        """
        try:
            with open_bare(self.folder) as repository:
                repository.lookup_reference("HEAD")
                repository.config.get_bool("core.bare")
                tuple(repository.references)  # packed-refs
                tips = [local_refs.target(repository, ref) for ref in refs]
                for oid in filter(None, tips):
                    with suppress(CommitRejected):
                        tree_oid(repository, oid, "")
        except (GitFailed, *UNREADABLE):
            return False
        return True

    def _reading(self, read: Callable[[pygit2.Repository], T]) -> T:
        """Read; a mirror that does not hold together is rebuilt once and read again."""
        for _ in range(2):  # the second time without packs that were joined meanwhile
            with suppress(*UNREADABLE), open_bare(self.folder) as repository:
                return read(repository)
        self.rebuild()
        try:
            with open_bare(self.folder) as repository:
                return read(repository)
        except UNREADABLE as error:
            raise Transient(f"{self.address}: {error} is not there after a fresh clone") from error


def read_files(repository: pygit2.Repository, commit: str) -> dict[str, bytes]:
    """Path -> content of the files of a small tree; symlinks and what is too large are left out,
    a tree beyond the limits altogether: no zone wrote it. CommitRejected when it is no commit.
    """
    tree = tree_oid(repository, commit, "")
    try:
        entries = TreeWalk(TreeLimits()).entries(repository, tree)
    except CommitRejected:
        return {}
    found: dict[str, bytes] = {}
    room = STATUS_BYTES_MAX
    for entry in entries:
        if entry.kind is EntryKind.FILE:
            body = read_blob(repository, entry.oid, STATUS_BLOB_BYTES_MAX)
            if isinstance(body, bytes):
                found[entry.path] = body
                room -= len(body)
        if room < 0:  # One blob costs little in Git, under however many names.
            return {}
    return found


def read_blob(repository: pygit2.Repository, oid: str, limit: int) -> bytes | TooLarge:
    kind, size = repository.odb.read_header(oid)
    if kind != ObjectType.BLOB:
        raise CommitRejected(f"the object {oid[:12]} stands for a file but is none; push it again")
    return TooLarge(size, limit) if size > limit else repository.odb.read(oid)[1]


def _create(folder: Path) -> None:
    isolate()
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        pygit2.init_repository(str(folder), bare=True, initial_head="main")
    except UNREADABLE as error:
        raise Permanent(
            f"cannot create the mirror {folder} ({error}); "
            "let this process write to its state directory"
        ) from error


def _told(error: Exception, folder: Path) -> GitFailed:
    return error if isinstance(error, GitFailed) else Transient(f"mirror {folder}: {error}")


def _commit(repository: pygit2.Repository, oid: str) -> pygit2.Commit:
    try:
        found = repository[oid].peel(pygit2.Commit)
    except pygit2.InvalidSpecError as error:
        raise CommitRejected(f"{oid[:12]} is no commit; point the ref at one") from error
    assert isinstance(found, pygit2.Commit)
    return found


def tree_oid(repository: pygit2.Repository, commit: str, policy_path: str) -> str:
    return folder_oid(_commit(repository, commit).tree, commit, policy_path)


def folder_oid(top: pygit2.Tree, commit: str, policy_path: str) -> str:
    """Of a folder in the tree of a commit."""
    tree: pygit2.Object = top
    for name in [part for part in policy_path.split("/") if part not in {"", "."}]:
        if not isinstance(tree, pygit2.Tree) or name not in tree:
            raise CommitRejected(
                f"commit {commit[:12]} has no folder {policy_path}; correct --path or add it"
            )
        tree = tree[name]
    if tree.type != ObjectType.TREE:
        raise CommitRejected(
            f"{policy_path} is a file in commit {commit[:12]}; --path names a folder"
        )
    return str(tree.id)


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text)[:SUBJECT_MAX]
