"""When files came and when they last changed, by the commits of the branch. Blocking, in a thread.

A look back through the branch's own line of commits (the first parents): a merge counts when it
was made, for that is when the file changed here. Bounded by commits and by time; what lies before
the bound is as old as the last commit looked at. A commit that follows the last one moves only the
files it changed.
"""

from __future__ import annotations

import re
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import pygit2
from pygit2.enums import ObjectType
from rpds import HashTrieMap

from reconciler.git.errors import CommitRejected
from reconciler.git.library import UNREADABLE, open_bare
from reconciler.git.mirror import tree_oid
from reconciler.git.trees import TREE_BYTES_MAX, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

COMMITS_MAX = 2000  # of one look back
WORK_S_MAX = 3.0  # of this thread
BATCH_S = 0.004  # of work; then others have the interpreter for as long
FOLDER = b"40000"
ENTRY = re.compile(rb"[0-7]+ [^\0]+\0.{20}", re.DOTALL)  # of a tree: mode, name, oid


class FileTime(NamedTuple):
    """Seconds since the epoch."""

    created: float
    modified: float


@dataclass(frozen=True, slots=True)
class FileTimes:
    """Of the tree of `commit`. `since` is when the first commit was made that was looked at."""

    commit: str = ""
    by_path: HashTrieMap[str, FileTime] = field(default_factory=HashTrieMap)
    since: float | None = None

    def of(self, path: str) -> FileTime | None:
        found = self.by_path.get(path)
        if found is None and self.since is not None:
            return FileTime(self.since, self.since)
        return found


@dataclass(frozen=True, slots=True)
class _Step:
    """One commit and what it changed: path -> whether the file came, changed (None) or went."""

    time: float
    changes: dict[str, bool | None]
    parent: str | None
    whole: bool = False  # the first commit: all that there was came with it


class History:
    """Keeps up with one branch. `times` is replaced as a whole; anybody may read it."""

    def __init__(
        self,
        folder: Path,
        policy_path: str,
        clock: Callable[[], float] = time.thread_time,
    ) -> None:
        self.folder, self.policy_path, self.clock = folder, policy_path, clock
        self._one = threading.Lock()
        self._ended = threading.Event()
        self.times = FileTimes()
        self.commits_read = 0  # by the last look

    def follow(self, commit: str, paths: Iterable[str]) -> None:
        """Up to this commit; `paths` are the files that somebody may ask for. What cannot be read
        stays unknown: times decide nothing.
        """
        with self._one, suppress(*UNREADABLE):
            before = self.times.commit
            if commit == before:
                return
            steps = self._back(commit, before) if before else None
            if steps is not None:
                self.times = _moved(self.times, commit, steps)
                return
            found = self._from_the_beginning(commit, set(paths))
            if not self._ended.is_set():
                self.times = found

    def end(self) -> None:
        """The look back that is under way ends, and tells nothing."""
        self._ended.set()

    def _back(self, commit: str, before: str) -> list[_Step] | None:
        """What leads here from the commit before, newest first; None: it is not on the way."""
        steps: list[_Step] = []
        for step in self._walk(commit, before):
            steps.append(step)
            if step.parent == before:
                return steps
        return None

    def _from_the_beginning(self, commit: str, pending: set[str]) -> FileTimes:
        """Until the coming of every file was met."""
        modified: dict[str, float] = {}
        found: HashTrieMap[str, FileTime] = HashTrieMap()
        since = None
        for step in self._walk(commit):
            since = step.time
            for path, came in step.changes.items():
                if path in pending:
                    modified.setdefault(path, since)
                    if came:
                        pending.discard(path)
                        found = found.insert(path, FileTime(since, modified[path]))
            if step.whole or not pending:
                break
        for path in pending if since is not None else ():
            assert since is not None
            found = found.insert(path, FileTime(since, modified.get(path, since)))
        return FileTimes(commit, found, since)

    def _walk(self, commit: str, until: str = "") -> Iterable[_Step]:
        """Newest first. Work is done in short pieces: it shares the interpreter with the loop."""
        reader, spent = _Reader(self.policy_path), 0.0
        self.commits_read = 0
        next_: str | None = commit
        while next_ is not None and self.commits_read < COMMITS_MAX and spent < WORK_S_MAX:
            if self._ended.is_set():
                return
            began, worked, steps = self.clock(), 0.0, []
            with open_bare(self.folder) as repository:
                while next_ is not None and worked <= BATCH_S:
                    steps.append(reader.step(repository, next_))
                    next_ = steps[-1].parent if steps[-1].parent != until else None
                    worked = self.clock() - began
            self.commits_read += len(steps)
            spent += worked
            yield from steps
            self._ended.wait(worked)


class _Reader:
    """Reads the history of one policy path. Trees of the last step are kept: the parent's are
    those of the next.
    """

    def __init__(self, policy_path: str) -> None:
        self.policy_path = policy_path
        self._last: dict[str, frozenset[bytes]] = {}  # by oid
        self._used: dict[str, frozenset[bytes]] = {}

    def step(self, repository: pygit2.Repository, oid: str) -> _Step:
        at, parents = _commit(repository, oid)
        if not parents:
            return _Step(at, {}, None, whole=True)
        now, then = (self._tree(repository, each) for each in (oid, parents[0]))
        if now is None or now == then:
            return _Step(at, {}, parents[0])
        if then is None:
            return _Step(at, {}, parents[0], whole=True)
        self._used = {}
        changes = dict(self._changes(repository, "", now, then))
        self._last = self._used
        return _Step(at, changes, parents[0])

    def _tree(self, repository: pygit2.Repository, commit: str) -> str | None:
        """None where the commit has no such folder."""
        try:
            return tree_oid(repository, commit, self.policy_path)
        except CommitRejected:
            return None

    def _changes(
        self, repository: pygit2.Repository, prefix: str, now: str | None, then: str | None
    ) -> Iterable[tuple[str, bool | None]]:
        """Equal folders are not entered. As bytes: thousands of files make no value each."""
        after, before = (self._entries(repository, each) for each in (now, then))
        news, olds = _by_name(after - before), _by_name(before - after)
        for name in news.keys() | olds.keys():
            path = f"{prefix}{shown(name.decode('utf-8', 'backslashreplace'))}"
            new, old = news.get(name), olds.get(name)
            if new is not None and not new.is_folder:
                yield path, None if old is not None and not old.is_folder else True
            elif old is not None and not old.is_folder:
                yield path, False
            below = [each.oid if each and each.is_folder else None for each in (new, old)]
            if any(below):
                yield from self._changes(repository, f"{path}/", *below)

    def _entries(self, repository: pygit2.Repository, oid: str | None) -> frozenset[bytes]:
        if oid is None:
            return frozenset()
        found = self._used.get(oid) or self._last.get(oid)
        if found is None:
            kind, size = repository.odb.read_header(oid)
            if kind != ObjectType.TREE or size > TREE_BYTES_MAX:
                raise ValueError(f"{oid} is no tree, or too large a one")
            found = frozenset(ENTRY.findall(repository.odb.read(oid)[1]))
        self._used[oid] = found
        return found


class _Entry(NamedTuple):
    is_folder: bool
    oid: str


def _by_name(entries: Iterable[bytes]) -> dict[bytes, _Entry]:
    found = {}
    for each in entries:
        mode, _, name = each[:-21].partition(b" ")
        found[name] = _Entry(mode == FOLDER, each[-20:].hex())
    return found


def _commit(repository: pygit2.Repository, oid: str) -> tuple[float, tuple[str, ...]]:
    commit = repository[oid].peel(pygit2.Commit)
    return float(commit.commit_time), tuple(map(str, commit.parent_ids))


def _moved(times: FileTimes, commit: str, steps: list[_Step]) -> FileTimes:
    found = times.by_path
    for step in reversed(steps):
        for path, came in step.changes.items():
            before = found.get(path)
            if came is False:
                found = found.discard(path)
            elif before is None:
                found = found.insert(path, FileTime(step.time, step.time))
            else:
                found = found.insert(path, FileTime(before.created, step.time))
    return FileTimes(commit, found, times.since)
