"""Loads a commit: reads its blobs, decodes and checks them, and adds what the global makes itself.
Blocking.

Called in a thread. Only blobs that changed are read: contents are kept by oid for as long as a
commit uses them, and what was read of a file is kept by (path, blob).
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

from reconciler.decode import mesh_resource
from reconciler.defaults import with_defaults, with_warnings
from reconciler.git.errors import CommitRejected, GitFailed
from reconciler.kds.codec import canonical_data
from reconciler.kds.slice import Framed, next_framed
from reconciler.kds.zone_node import ALL_FEATURES
from reconciler.keys.system_resources import KeysMissing
from reconciler.load import SETTINGS_FILE, SUBMODULE, SYMLINK, Blob, LoadMemo, is_policy_file, load
from reconciler.problems import Position, Problem, has_errors
from reconciler.state import apply, diff, from_resources
from reconciler.steps import global_state as g

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.git.mirror import Mirror
    from reconciler.keys.system_resources import SystemResources
    from reconciler.load import Loaded
    from reconciler.model.resource import MeshResource
    from reconciler.state import MeshState


class RevisionLoader:
    """One at a time: the step asks for the next commit when a load has ended."""

    def __init__(self, mirror: Mirror, policy_path: str, system: SystemResources) -> None:
        self.mirror = mirror
        self.policy_path = policy_path
        self.system = system
        self.memo = LoadMemo()
        self.blobs_read = 0
        self._blobs: dict[str, Blob] = {}  # of the last commit read, by oid
        self._state: MeshState = from_resources(())
        self._framed = Framed(ALL_FEATURES)  # as zones get it, made here and not on the loop

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
            if key == wanted.published:
                return g.Unchanged(commit)
            loaded = with_warnings(load(self._read(commit), self.memo))
            if has_errors(loaded.problems):
                return g.LoadRejected(commit, loaded.problems)
            return g.Loaded(self._revision(commit, key, loaded))
        except CommitRejected as error:
            return g.LoadRejected(commit, (Problem(Position("."), "SRC010", str(error)),))
        except (GitFailed, KeysMissing, OSError) as error:
            return g.LoadFailed(commit, str(error))

    def _read(self, commit: str) -> Mapping[str, Blob]:
        """Path -> blob of the policy path; only oids not held from the commit before are read."""
        entries = self.mirror.tree_entries(commit, self.policy_path)
        wanted = [e for e in entries if is_policy_file(e.path) or e.path == SETTINGS_FILE]
        missing = {e.oid for e in wanted if e.mode not in _UNREAD and e.oid not in self._blobs}
        self.blobs_read = len(missing)
        contents = self.mirror.read_blobs(sorted(missing))
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

    def _revision(self, commit: str, key: g.ReconcileKey, loaded: Loaded) -> g.Revision:
        """Unchanged resources stay the same objects, so that later stages see at once what did not
        change.
        """
        policies = with_defaults(as_carried(resource) for resource in loaded.resources)
        meshes = [resource for resource in policies if resource.key.type == "Mesh"]
        wanted = from_resources((*policies, *self.system.resources(meshes)))
        self._state = apply(self._state, diff(self._state, wanted))
        self._framed = next_framed(self._framed, self._state)
        return g.Revision(
            commit,
            key,
            self._state,
            loaded.provenance,
            loaded.problems,
            loaded.settings,
            self._framed,
        )


_UNREAD = (SYMLINK, SUBMODULE)


def as_carried(resource: MeshResource) -> MeshResource:
    """The resource with the body it has at a peer, so that both sides hold equal ones."""
    data = canonical_data(resource.key.type, json.loads(resource.body))
    return mesh_resource(resource.key, resource.labels, data)
