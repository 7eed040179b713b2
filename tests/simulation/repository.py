"""The simulated Git: commits in order, and one status ref a zone, compared and swapped as a real
server does. What a commit means is found out by the real loader.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

from reconciler.git.errors import GitFailed, Permanent, RefMoved, Transient
from reconciler.git.status_ref import Chain, FoundRef
from reconciler.load import Blob, LoadMemo, load
from reconciler.problems import has_errors
from reconciler.standing import as_carried
from reconciler.state import from_resources
from reconciler.steps import global_state as g
from tests.simulation.documents import Content, commit_files, secrets
from xds.resource import digest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from reconciler.git.status_ref import NewCommit
    from reconciler.git.transport import Move

Files = dict[str, str]
MEMO = LoadMemo()


@dataclass
class SimGit:
    commits: list[str] = field(default_factory=list)
    parents: dict[str, str | None] = field(default_factory=dict)
    content: dict[str, Content] = field(default_factory=dict)
    refs: dict[str, list[Mapping[str, bytes]]] = field(default_factory=dict)  # trees, oldest first

    @property
    def tip(self) -> str:
        return self.commits[-1]

    def commit(self, content: Content, onto: str | None = None) -> str:
        """The branch is here from now on; `onto` is what the commit follows, unless the tip."""
        parent = onto if onto is not None or not self.commits else self.tip
        commit = f"{len(self.commits) + 1:040x}"
        self.commits.append(commit)
        self.parents[commit] = parent
        self.content[commit] = content
        return commit

    def history(self, commit: str | None) -> list[str]:
        """The commit, then what came before it."""
        found = []
        while commit is not None:
            found.append(commit)
            commit = self.parents[commit]
        return found

    def descends(self, commit: str, base: str) -> bool:
        return base in self.history(commit)


@dataclass
class SimStatusRefs:
    """The refs as the real writer uses them. `trouble` says how the next call fails."""

    git: SimGit
    trouble: Callable[[], str]
    prepared: dict[str, NewCommit] = field(default_factory=dict)

    def oid(self, ref: str) -> str | None:
        found = self.git.refs.get(ref, [])
        return f"{ref}@{len(found)}" if found else None

    def read(self, refs: Sequence[str]) -> Mapping[str, FoundRef | GitFailed | None]:
        if self.trouble() in ("before", "after"):
            raise Transient("away")
        return {ref: self._found(ref) for ref in refs}

    def _found(self, ref: str) -> FoundRef | None:
        oid = self.oid(ref)
        return FoundRef(oid, self.git.refs[ref][-1]) if oid is not None else None

    def prepare(self, commit: NewCommit) -> str:
        oid = f"prepared {len(self.prepared)}"
        self.prepared[oid] = commit
        return oid

    def has(self, oid: str) -> bool:
        return oid in self.prepared

    def chain(self, oid: str) -> Chain:
        count = int(oid.rpartition("@")[2])
        return Chain(count, str(count), 0.0)

    def move(self, moves: Sequence[Move]) -> Mapping[str, GitFailed]:
        """May fail before or after it happened: an unknown outcome."""
        trouble = self.trouble()
        if trouble == "before":
            raise Transient("cut")
        if trouble == "refused":
            return {move.ref: Permanent("pre-receive hook declined") for move in moves}
        failed: dict[str, GitFailed] = {}
        for move in moves:
            if move.expected != self.oid(move.ref):
                failed[move.ref] = RefMoved("moved")
            else:
                self.git.refs.setdefault(move.ref, []).append(self.prepared[move.oid].files)
        if trouble:
            raise Transient("cut")
        return failed

    def close(self) -> None:
        pass


# --- what commits mean ---


@lru_cache(maxsize=10_000)
def _blob(text: str) -> Blob:
    data = text.encode()
    return Blob(oid=digest((data,)), data=data, mode=0o100644)


def loaded_event(commit: str, content: Content, published: g.ReconcileKey | None) -> g.Event:
    """What the shell answers to `Load`, by the real loader."""
    files = commit_files(content)
    tree = digest(part.encode() for pair in sorted(files.items()) for part in pair)
    more = secrets(content.cas, content.revoked)
    key = g.ReconcileKey(tree, "", content.revoked)
    if key == published:
        return g.Unchanged(commit)
    found = load({path: _blob(text) for path, text in files.items()}, MEMO)
    if has_errors(found.problems):
        return g.LoadRejected(commit, found.problems)
    resources = from_resources((*map(as_carried, found.resources), *more))
    return g.Loaded(g.Revision(commit, key, resources, found.provenance, found.problems))


@lru_cache(maxsize=10_000)
def policies_of(content: Content) -> frozenset[tuple[str, str, str]]:
    """(type, display name, body) of everything a published commit stands for."""
    event = loaded_event("", content, None)
    assert isinstance(event, g.Loaded)
    found = event.revision.resources.by_key.values()
    return frozenset((r.key.type, r.display_name, r.body) for r in found if r.key.type != "Zone")
