"""Loads a commit: reads its blobs, decodes and checks them, finds the values of its secrets, and
adds what the global makes itself. Blocking.

Called in a thread. Only blobs that changed are read: contents are kept by oid for as long as a
commit uses them, and what was read of a file is kept by (path, blob).
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from reconciler.defaults import with_warnings
from reconciler.git.errors import CommitRejected, GitFailed
from reconciler.git.file_times import History
from reconciler.git.trees import TreeLimits, changes
from reconciler.kds.slice import Framed, next_framed
from reconciler.kds.zone_node import ALL_FEATURES
from reconciler.keys.secret_values import SecretValues
from reconciler.keys.system_resources import KeysMissing
from reconciler.limits import DEFAULT, Limits
from reconciler.load import (
    SETTINGS_FILE,
    SUBMODULE,
    SYMLINK,
    Blob,
    LoadMemo,
    is_read,
    limits_in,
    load,
)
from reconciler.mesh_ca import ca_changes
from reconciler.problems import Position, Problem, Severity, has_errors
from reconciler.reading.ahead import read_ahead
from reconciler.reading.asked import Ahead, processes
from reconciler.revision_secrets import (
    CA_EXCHANGED,
    ca_problems,
    late_warnings,
    secret_resources,
    value_problems,
)
from reconciler.runtime.collector import undisturbed
from reconciler.standing import as_carried, followed, standing
from reconciler.state import ResourceDiff, apply, diff, from_resources, narrowed
from reconciler.steps import global_state as g
from reconciler.steps.global_git import gates

if TYPE_CHECKING:
    from collections.abc import Callable

    from reconciler.git.mirror import Mirror
    from reconciler.git.trees import Subtree
    from reconciler.keys.secret_values import Resolved
    from reconciler.keys.system_resources import SystemResources
    from reconciler.load import Loaded
    from reconciler.model.resource import ResourceKey
    from reconciler.secret_references import SecretReference
    from reconciler.standing import Standing
    from reconciler.state import MeshState


class RevisionLoader:
    """One at a time: the step asks for the next commit when a load has ended."""

    def __init__(
        self,
        mirror: Mirror,
        policy_path: str,
        system: SystemResources,
        values: SecretValues | None = None,
        maximum: Limits = DEFAULT,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.mirror = mirror
        self.maximum = maximum  # what a repository may ask for
        self.policy_path = policy_path
        self.system = system
        self.values = values or SecretValues(system.store)
        self.clock = clock
        self.memo = LoadMemo()
        self.history = History(mirror.folder, policy_path)  # when files came and changed
        self.blobs_read = 0
        self.loads_whole = 0  # commits that were looked at whole, not beside the one before
        self._tree: Subtree | None = None  # the last one read, and its files by path
        self._files: dict[str, Blob] = {}
        self._limits = maximum  # it was read with these
        self._standing: tuple[Subtree, Standing] | None = None  # of the last one without a mistake
        self._touched: frozenset[ResourceKey] | None = None  # since `_state`; None: any may be
        self._state: MeshState = from_resources(())  # of the last commit taken
        self._framed = Framed(ALL_FEATURES)  # as zones get it, made here and not on the loop
        self._listed: tuple[SecretReference, ...] = ()  # by the last commit taken
        self._waiting: tuple[str, float] | None = None  # commit, and since when it is held back

    def load(self, wanted: g.Load) -> g.Event:
        """What became of the commit."""
        commit = wanted.commit
        try:
            if not self.mirror.holds(commit):
                raise CommitRejected(
                    f"commit {commit[:12]} is no longer in {self.mirror.address}; "
                    "push it again, or accept the newest commit"
                )
            if wanted.after is not None and not self.mirror.descends(commit, wanted.after):
                return g.LoadHeld(commit, wanted.after)
            found = self.mirror.reconcile_key(commit, self.policy_path)
            key = g.ReconcileKey(found.tree, found.settings)
            published = wanted.published
            if published is not None and key == replace(published, secrets=""):
                mark = self.system.mark()
                key = replace(key, secrets=_mark(self.values.resolve(self._listed), mark))
                if key == published:
                    return g.Unchanged(commit)
            return self._loaded(wanted, key, self._looked_through(commit))
        except CommitRejected as error:
            return g.LoadRejected(commit, (Problem(Position("."), "SRC010", str(error)),))
        except (GitFailed, KeysMissing, OSError) as error:
            return g.LoadFailed(commit, str(error))

    def _loaded(self, load: g.Load, key: g.ReconcileKey, loaded: Loaded) -> g.Event:
        commit, behind = load.commit, load.behind
        resolved = self.values.resolve(loaded.secrets, also=self._listed)
        told = [*loaded.problems, *value_problems(loaded, resolved.missing, resolved.gone)]
        if has_errors(told):
            return g.LoadRejected(commit, tuple(sorted(told)))
        change = self._meaning(resolved)
        state = apply(self._state, change)
        if not self._state.by_key:
            resolved, change, refused = self._since_the_last_start(loaded, resolved, change)
            state = apply(self._state, change)
            told += refused
        told += ca_problems(loaded, self._state, state)
        if has_errors(told):
            return g.LoadRejected(commit, tuple(sorted(told)))
        waits = [change.mesh for change in ca_changes(self._state, state) if change.waits]
        if waits and behind:
            if self._is_early(commit):
                text = f"the CA of mesh {', '.join(waits)} changes once all proxies have the commit"
                return g.LoadFailed(
                    commit, f"{text} before; zones that lack it: {', '.join(behind)}"
                )
            told += late_warnings(loaded, waits, behind)
        self._waiting = None
        self.values.keep(resolved)
        before, self._state, self._listed = self._state, state, loaded.secrets
        self._touched = frozenset()
        self._framed = next_framed(self._framed, state, change)
        revision = g.Revision(
            commit,
            replace(key, secrets=_mark(resolved, self.system.read_mark)),
            state,
            loaded.provenance,
            tuple(sorted(told)),
            loaded.settings,
            self._framed,
            gates(state),
            (before, change),
        )
        return g.Loaded(revision)

    def _since_the_last_start(
        self, loaded: Loaded, resolved: Resolved, change: ResourceDiff
    ) -> tuple[Resolved, ResourceDiff, list[Problem]]:
        """Values that changed while this process was away must not do what they could not have done
        before its eyes: exchange a CA at once. The last ones stay, as they would have then.
        """
        last = self.values.last(loaded.secrets)
        if last.values.keys() != resolved.values.keys() or last.values == resolved.values:
            return resolved, change, []
        before = self._meaning(last)
        states = apply(self._state, before), apply(self._state, change)
        faults = [p for p in ca_problems(loaded, *states) if p.code == CA_EXCHANGED]
        if not faults:
            return resolved, change, []
        return last, before, [replace(p, severity=Severity.WARNING) for p in faults]

    def secrets_moved(self) -> bool:
        """Whether values or the keys of tokens are others than at the last look. Blocking."""
        values, tokens = self.values.moved(), self.system.moved()
        return values or tokens

    def _is_early(self, commit: str) -> bool:
        """Zones that lack the CA are waited for, but not for ever: one proxy that hangs would hold
        up every later commit.
        """
        if self._waiting is None or self._waiting[0] != commit:
            self._waiting = commit, self.clock()
        return self.clock() - self._waiting[1] < CA_WAIT_MAX_S

    def _looked_through(self, commit: str) -> Loaded:
        """What the files of the commit say; beside the last commit without a mistake, whenever that
        tells it all.
        """
        tree = self._read(commit)
        if self._standing is not None:
            before, known = self._standing
            changed = {path: self._files.get(path) for path in _paths(before, tree)}
            found = followed(known, changed, self.memo)
            if found is not None:
                after, keys = found
                self._standing = tree, after
                self._touched = None if self._touched is None else self._touched | keys
                return after.loaded
        self.loads_whole += 1
        with undisturbed():
            read_ahead(self._files, self.memo, self.maximum, Ahead(processes=processes()))
            loaded = with_warnings(load(self._files, self.memo, self.maximum))
            if not has_errors(loaded.problems):
                self._standing = tree, standing(self._files, loaded, self.memo)
                self._touched = None
        return loaded

    def _read(self, commit: str) -> Subtree:
        """The tree of the policy path, and its files in `_files`; only blobs not held from the
        tree before are read.
        """
        limits = self._limits_of(commit)
        if limits != self._limits:
            self._limits, self._tree, self._files, self._standing = limits, None, {}, None
        within = TreeLimits(entries_max=limits.tree_entries, depth_max=limits.tree_depth)
        tree = self.mirror.tree(commit, self.policy_path, within)
        changed = list(changes(self._tree, tree))
        held = {
            blob.oid: blob
            for was, _ in changed
            if was is not None and (blob := self._files.get(was.path)) is not None
        }
        wanted = [now for _, now in changed if now is not None and is_read(now.path)]
        missing = {e.oid for e in wanted if e.mode not in _UNREAD and e.oid not in held}
        self.blobs_read = len(missing)
        contents = self.mirror.read_blobs(sorted(missing), limits.blob_bytes)
        for was, _ in changed:
            if was is not None:
                self._files.pop(was.path, None)
        for entry in wanted:
            data = contents.get(entry.oid)
            read = data if isinstance(data, bytes) else None
            blob = held.get(entry.oid) if entry.mode not in _UNREAD else None
            blob = blob or Blob(entry.oid, b"" if entry.mode in _UNREAD else read, entry.mode)
            self._files[entry.path] = (
                blob if blob.mode == entry.mode else replace(blob, mode=entry.mode)
            )
        self._tree = tree
        return tree

    def _limits_of(self, commit: str) -> Limits:
        """Those its `reconciler.yaml` asks for; what is wrong with that file is told when it is
        loaded with the rest.
        """
        folders = [part for part in self.policy_path.split("/") if part not in {"", "."}]
        with suppress(CommitRejected):  # no regular file
            read = self.mirror.read_file(commit, "/".join((*folders, SETTINGS_FILE)))
            if read is not None:
                return limits_in(read, self.maximum)
        return self.maximum

    def _meaning(self, resolved: Resolved) -> ResourceDiff:
        """How what the commit means differs from the state. Unchanged resources stay the same
        objects, so that later stages see at once what did not change.
        """
        assert self._standing is not None
        policies = self._standing[1].policies
        secrets = map(as_carried, secret_resources(resolved.values))
        listed = {reference.key: value for reference, value in resolved.values.items()}
        made = (*secrets, *self.system.resources(policies.of("Mesh"), listed))
        if self._touched is None:
            return diff(self._state, from_resources((*policies.by_key.values(), *made)))
        put = [r for key in self._touched if (r := policies.get(key)) is not None]
        gone = {key for key in self._touched if policies.get(key) is None}
        here = {resource.key for resource in made}
        for type_ in {*_MADE_TYPES, *(key.type for key in here)}:
            gone |= {r.key for r in self._state.of(type_) if policies.get(r.key) is None}
        put = sorted((*put, *made), key=lambda r: r.key)
        return narrowed(self._state, ResourceDiff(tuple(put), tuple(sorted(gone - here))))


CA_WAIT_MAX_S = 600.0
_UNREAD = (SYMLINK, SUBMODULE)
_MADE_TYPES = ("Config", "GlobalSecret", "Secret")  # what a revision holds and its commit does not


def _mark(resolved: Resolved, system: str) -> str:
    """Of everything that a revision holds and its commit does not."""
    return f"{resolved.mark} {system}"


def _paths(before: Subtree, after: Subtree) -> frozenset[str]:
    """Of files that are read and differ."""
    pairs = (pair for pair in changes(before, after))
    paths = (each.path for pair in pairs for each in pair if each is not None)
    return frozenset(path for path in paths if is_read(path))
