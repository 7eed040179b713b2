"""A commit beside the one before it: what was loaded, brought up to it by the files that changed.
Pure.

`load` looks at a repository whole, which takes a third of a second for 10,000 policies. What only
the whole tree shows (duplicates, missing meshes, names that defaults give way to) is kept here as
an index, so that most commits cost what their files cost. Whatever the index cannot answer, such as
another Mesh, a mistake or a new reference to a secret, is left to `load`.
"""

from __future__ import annotations

import json
from bisect import bisect_left, insort
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from reconciler.decode import mesh_resource
from reconciler.defaults import (
    StrongDefaults,
    has_default_name,
    overridden,
    strong_defaults,
    with_defaults,
)
from reconciler.kds.codec import canonical_data
from reconciler.kds.messages import MESSAGES
from reconciler.load import (
    SETTINGS_FILE,
    Loaded,
    LoadMemo,
    Shown,
    is_policy_file,
    printable,
    read_once,
    shown_as,
)
from reconciler.problems import Position, has_errors
from reconciler.secret_references import SECRETS_FILE
from reconciler.state import MeshState, ResourceDiff, apply, from_resources

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from reconciler.load import Blob
    from reconciler.model.resource import MeshResource, ResourceKey
    from reconciler.verdict import Read


@dataclass(frozen=True, slots=True)
class Standing:
    """A commit without a mistake, and what the next one is compared with. `policies` are its
    resources as zones get them, the defaults of its meshes among them.
    """

    loaded: Loaded
    policies: MeshState
    reads: Mapping[str, Read]  # by path
    shown: Mapping[Shown, ResourceKey]
    meshes: frozenset[str]
    defaults: StrongDefaults


def standing(blobs: Mapping[str, Blob], loaded: Loaded, memo: LoadMemo) -> Standing:
    """Of all files of a commit, and what was loaded of them: without a mistake."""
    reads = {
        path: read_once(path, blob, loaded.settings, memo)[0]
        for path, blob in blobs.items()
        if is_policy_file(path)
    }
    named = ((shown_as(resource), resource.key) for resource in loaded.resources)
    return Standing(
        loaded,
        from_resources(with_defaults(map(as_carried, loaded.resources))),
        reads,
        {parts: key for parts, key in named if parts is not None},
        frozenset(r.key.name for r in loaded.resources if r.key.type == "Mesh"),
        strong_defaults(loaded.resources),
    )


def followed(
    before: Standing, blobs: Mapping[str, Blob | None], memo: LoadMemo
) -> tuple[Standing, frozenset[ResourceKey]] | None:
    """The standing with these files as they are now (None: gone), and the keys of what they spoke
    of or speak of. None when only `whole` can say what this commit means.
    """
    if not blobs.keys().isdisjoint((SETTINGS_FILE, SECRETS_FILE)):
        return None
    settings = before.loaded.settings
    wanted = {path: blob for path, blob in blobs.items() if blob is not None}
    if len(before.reads) + len(wanted) + 2 > settings.limits.tree_entries:
        return None
    if any(path.count("/") >= settings.limits.tree_depth for path in wanted):
        return None
    made = {path: read_once(path, b, settings, memo) for path, b in sorted(wanted.items())}
    reads = {path: read for path, (read, _) in made.items()}
    was = [before.reads[path] for path in blobs if path in before.reads]
    old = [resource for read in was for resource, _ in read.resources]
    pairs = [pair for read in reads.values() for pair in read.resources]
    if not _is_simple(before, was, old, reads.values()):
        return None
    if not _fits(before, {r.key for r in old}, [r for r, _ in pairs]):
        return None
    count = sum(is_new for _, is_new in made.values())
    after = _after(before, blobs.keys(), old, pairs, reads)
    loaded = replace(after.loaded, read=count)
    return replace(after, loaded=loaded), frozenset(r.key for r in (*old, *(r for r, _ in pairs)))


def _is_simple(
    before: Standing, was: Iterable[Read], old: Iterable[MeshResource], reads: Iterable[Read]
) -> bool:
    """Whether nothing is wrong with the files themselves, and nothing in them decides what others
    mean: a Mesh, a secret that is needed, a name that a default gives way to.
    """
    fresh = tuple(reads)
    if any(has_errors(read.problems) for read in fresh):
        return False
    if any(read.needs for read in (*was, *fresh)):
        return False
    resources = (*old, *(resource for read in fresh for resource, _ in read.resources))
    return not any(
        resource.key.type == "Mesh" or has_default_name(resource, before.defaults)
        for resource in resources
    )


def _fits(before: Standing, old: set[ResourceKey], fresh: list[MeshResource]) -> bool:
    """Whether the resources stand beside those of the other files: no name twice, no mesh that is
    not there.
    """
    keys = {resource.key for resource in fresh}
    if len(keys) < len(fresh):
        return False
    if any(key in before.loaded.provenance for key in keys - old):
        return False
    if any(key.mesh and key.mesh not in before.meshes for key in keys):
        return False
    shown: dict[Shown, MeshResource] = {}
    for resource in fresh:
        parts = shown_as(resource)
        if parts is None:
            continue
        holder = before.shown.get(parts)
        if holder is not None and holder != resource.key and holder not in old:
            return False
        if shown.setdefault(parts, resource) is not resource:
            return False
    return True


def _after(
    before: Standing,
    paths: Iterable[str],
    old: list[MeshResource],
    pairs: list[tuple[MeshResource, Position]],
    reads: Mapping[str, Read],
) -> Standing:
    changed, gone = set(paths), {r.key for r in old} - {r.key for r, _ in pairs}
    provenance, shown, all_reads = (
        dict(before.loaded.provenance),
        dict(before.shown),
        dict(before.reads),
    )
    resources = list(before.loaded.resources)
    for resource in old:
        del resources[_place(resources, resource.key)]
        del provenance[resource.key]
        parts = shown_as(resource)
        if parts is not None:
            del shown[parts]
    for resource, position in pairs:
        resources.insert(_place(resources, resource.key), resource)
        provenance[resource.key] = position
        parts = shown_as(resource)
        if parts is not None:
            shown[parts] = resource.key
    for path in changed:
        all_reads.pop(path, None)
    all_reads.update(reads)
    fresh = [resource for resource, _ in pairs]
    told = [problem for read in reads.values() for problem in map(printable, read.problems)]
    told += overridden(fresh, provenance, before.defaults)
    problems = [p for p in before.loaded.problems if p.at.path not in changed]
    for problem in told:
        insort(problems, problem)
    loaded = replace(
        before.loaded,
        resources=tuple(resources),
        provenance=provenance,
        problems=tuple(problems),
    )
    change = ResourceDiff(tuple(map(as_carried, fresh)), tuple(sorted(gone)))
    policies = apply(before.policies, change)
    return replace(before, loaded=loaded, policies=policies, reads=all_reads, shown=shown)


def _place(resources: list[MeshResource], key: ResourceKey) -> int:
    return bisect_left(resources, key, key=lambda resource: resource.key)


def as_carried(resource: MeshResource) -> MeshResource:
    """The resource with the body it has at a peer, so that both sides hold equal ones. What travels
    as JSON has it already.
    """
    if resource.key.type not in MESSAGES:
        return resource
    data = canonical_data(resource.key.type, json.loads(resource.body))
    return mesh_resource(resource.key, resource.labels, data)
