"""Loads a commit: reads its blobs, decodes and checks them, finds the values of its secrets, and
adds what the global makes itself. Blocking.

Called in a thread. Only blobs that changed are read: contents are kept by oid for as long as a
commit uses them, and what was read of a file is kept by (path, blob).
"""

from __future__ import annotations

import json
import time
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from reconciler.decode import mesh_resource
from reconciler.defaults import with_defaults, with_warnings
from reconciler.git.errors import CommitRejected, GitFailed
from reconciler.git.trees import TreeLimits
from reconciler.kds.codec import canonical_data
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
from reconciler.revision_secrets import (
    CA_EXCHANGED,
    ca_problems,
    late_warnings,
    secret_resources,
    value_problems,
)
from reconciler.state import apply, diff, from_resources
from reconciler.steps import global_state as g
from reconciler.steps.global_git import gates

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from reconciler.git.mirror import Mirror
    from reconciler.keys.secret_values import Resolved
    from reconciler.keys.system_resources import SystemResources
    from reconciler.load import Loaded
    from reconciler.model.resource import MeshResource
    from reconciler.secret_references import SecretReference
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
        self.blobs_read = 0
        self._blobs: dict[str, Blob] = {}  # of the last commit read, by oid
        self._limits = maximum  # it was read with these
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
            loaded = with_warnings(load(self._read(commit), self.memo, self.maximum))
            return self._loaded(wanted, key, loaded)
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
        state = self._meaning(loaded, resolved)
        if not self._state.by_key:
            resolved, state, refused = self._since_the_last_start(loaded, resolved, state)
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
        self._state, self._listed = state, loaded.secrets
        self._framed = next_framed(self._framed, state)
        revision = g.Revision(
            commit,
            replace(key, secrets=_mark(resolved, self.system.read_mark)),
            state,
            loaded.provenance,
            tuple(sorted(told)),
            loaded.settings,
            self._framed,
            gates(state),
        )
        return g.Loaded(revision)

    def _since_the_last_start(
        self, loaded: Loaded, resolved: Resolved, state: MeshState
    ) -> tuple[Resolved, MeshState, list[Problem]]:
        """Values that changed while this process was away must not do what they could not have done
        before its eyes: exchange a CA at once. The last ones stay, as they would have then.
        """
        last = self.values.last(loaded.secrets)
        if last.values.keys() != resolved.values.keys() or last.values == resolved.values:
            return resolved, state, []
        before = self._meaning(loaded, last)
        faults = [p for p in ca_problems(loaded, before, state) if p.code == CA_EXCHANGED]
        if not faults:
            return resolved, state, []
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

    def _read(self, commit: str) -> Mapping[str, Blob]:
        """Path -> blob of the policy path; only oids not held from the commit before are read."""
        limits = self._limits_of(commit)
        if limits != self._limits:
            self._limits, self._blobs = limits, {}
        within = TreeLimits(entries_max=limits.tree_entries, depth_max=limits.tree_depth)
        entries = self.mirror.tree_entries(commit, self.policy_path, within)
        wanted = [e for e in entries if is_read(e.path)]
        missing = {e.oid for e in wanted if e.mode not in _UNREAD and e.oid not in self._blobs}
        self.blobs_read = len(missing)
        contents = self.mirror.read_blobs(sorted(missing), limits.blob_bytes)
        blobs: dict[str, Blob] = {}
        for entry in wanted:
            data = contents.get(entry.oid)
            held = self._blobs.get(entry.oid)
            if held is None:
                read = data if isinstance(data, bytes) else None
                held = Blob(entry.oid, b"" if entry.mode in _UNREAD else read, entry.mode)
            blobs[entry.path] = held if held.mode == entry.mode else replace(held, mode=entry.mode)
        self._blobs = {blob.oid: blob for blob in blobs.values() if blob.mode not in _UNREAD}
        return blobs

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

    def _meaning(self, loaded: Loaded, resolved: Resolved) -> MeshState:
        """Unchanged resources stay the same objects, so that later stages see at once what did not
        change.
        """
        policies = with_defaults(as_carried(resource) for resource in loaded.resources)
        meshes = [resource for resource in policies if resource.key.type == "Mesh"]
        secrets = map(as_carried, secret_resources(resolved.values))
        listed = {reference.key: value for reference, value in resolved.values.items()}
        wanted = from_resources((*policies, *secrets, *self.system.resources(meshes, listed)))
        return apply(self._state, diff(self._state, wanted))


CA_WAIT_MAX_S = 600.0
_UNREAD = (SYMLINK, SUBMODULE)


def _mark(resolved: Resolved, system: str) -> str:
    """Of everything that a revision holds and its commit does not."""
    return f"{resolved.mark} {system}"


def as_carried(resource: MeshResource) -> MeshResource:
    """The resource with the body it has at a peer, so that both sides hold equal ones."""
    data = canonical_data(resource.key.type, json.loads(resource.body))
    return mesh_resource(resource.key, resource.labels, data)
