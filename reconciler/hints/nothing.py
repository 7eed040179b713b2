"""Policies that select nothing, as far as the repository alone can tell. Pure.

Those that say nothing are found in their own document (PS001).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.hints.hint import Hint, fields, items, spec_of
from reconciler.model.kinds import KINDS
from reconciler.model.resource import MESH, SERVICE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from reconciler.hints.hint import Fields
    from reconciler.model.resource import MeshResource
    from reconciler.problems import Path

_SECTIONS = ("to", "from", "rules")
_MARKS = ("MeshServiceSubset", MESH)  # nothing else is looked at


def idle(resources: Sequence[MeshResource]) -> Iterator[Hint]:
    for resource in resources:
        if not KINDS[resource.key.type].policy or not any(m in resource.body for m in _MARKS):
            continue
        spec = spec_of(resource)
        yield from _of_nobody(resource, ("targetRef",), fields(spec.get("targetRef")))
        for section in _SECTIONS:
            for path, item in items(spec, section):
                target = fields(item.get("targetRef"))
                yield from _of_nobody(resource, (*path, "targetRef"), target)


def _of_nobody(resource: MeshResource, path: Path, target: Fields) -> Iterator[Hint]:
    """Conditions that nobody can meet."""
    service = fields(target.get("tags")).get(SERVICE)
    if target.get("kind") == "MeshServiceSubset" and service not in (None, target.get("name")):
        what = f'nobody is service "{target.get("name")}" and has {SERVICE} "{service}", too'
        yield Hint(resource.key, (*path, "tags", SERVICE), "REF003", what, "remove the tag")
    mesh = fields(target.get("labels")).get(MESH)
    if mesh not in (None, resource.key.mesh):
        what = f'the policy is of mesh {resource.key.mesh}, and selects nothing of mesh "{mesh}"'
        cure = "remove the label, or move the policy"
        yield Hint(resource.key, (*path, "labels", MESH), "REF003", what, cure)
