"""Which resources a change adds, removes or alters, and which of their fields. Pure.

Compared is what the documents mean: a change of formatting, of comments or of places is none.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from reconciler.problems import Key, Path, Position, field_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from reconciler.load import Loaded
    from reconciler.model.resource import MeshResource, ResourceKey

FIELDS_MAX = 200  # of one resource; beyond, how many more there are
ABSENT = object()
_MAPS = frozenset(("tags", "match", "labels", "headers", "matchLabels"))  # of keys, not of fields


class Sort(StrEnum):
    ADDED = "added"
    CHANGED = "changed"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class FieldChange:
    """`before` and `after` are canonical JSON; "" where the field is not there."""

    field: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class ResourceChange:
    """`at`: where it stands on the side that has it; on both, in the head."""

    sort: Sort
    key: ResourceKey
    at: Position
    fields: tuple[FieldChange, ...] = ()


def resource_changes(base: Loaded, head: Loaded) -> tuple[ResourceChange, ...]:
    """Sorted by key."""
    before = {r.key: r for r in base.resources}
    after = {r.key: r for r in head.resources}
    found: list[ResourceChange] = []
    for key, resource in after.items():
        old = before.get(key)
        if old is None:
            found.append(ResourceChange(Sort.ADDED, key, head.provenance[key]))
        elif old is not resource and old != resource:
            fields = tuple(_of(old, resource))
            found.append(ResourceChange(Sort.CHANGED, key, head.provenance[key], fields))
    gone = before.keys() - after.keys()
    found += [ResourceChange(Sort.REMOVED, key, base.provenance[key]) for key in gone]
    return tuple(sorted(found, key=lambda change: change.key))


def _of(old: MeshResource, new: MeshResource) -> Iterator[FieldChange]:
    labels = (dict(old.labels.pairs), dict(new.labels.pairs))
    yield from field_changes(labels[0], labels[1], ("labels",))
    yield from field_changes(json.loads(old.body), json.loads(new.body))


def field_changes(old: object, new: object, path: Path = ()) -> Iterator[FieldChange]:
    """The smallest parts in which two values of plain JSON differ. Of lists that grew or shrank in
    the middle, the entries are matched by what they are for.
    """
    if old == new:
        return
    if isinstance(old, dict) and isinstance(new, dict):
        is_map = bool(path) and str(path[-1]) in _MAPS
        for name in sorted(old.keys() | new.keys()):
            part = Key(name) if is_map else name
            yield from field_changes(old.get(name, ABSENT), new.get(name, ABSENT), (*path, part))
    elif isinstance(old, list) and isinstance(new, list):
        for index, before, after in _paired(old, new):
            yield from field_changes(before, after, (*path, index))
    else:
        yield FieldChange(field_of(path), _text(old), _text(new))


def _paired(old: list[object], new: list[object]) -> Iterator[tuple[int, object, object]]:
    """Entries with what they were: equal ones first, then those with the same name or target, then
    what is left, in order. The index is that of the new list, or of the old one for what is gone.
    """
    left = dict(enumerate(old))
    pairs: dict[int, object] = {}
    for same in (lambda a, b: a == b, lambda a, b: _aim(a) is not None and _aim(a) == _aim(b)):
        for index, item in enumerate(new):
            if index not in pairs:
                place = next((i for i, each in left.items() if same(each, item)), None)
                if place is not None:
                    pairs[index] = left.pop(place)
    rest = [index for index in range(len(new)) if index not in pairs]
    for index, place in zip(rest, list(left), strict=False):
        pairs[index] = left.pop(place)
    for index, item in enumerate(new):
        yield index, pairs.get(index, ABSENT), item
    for place, item in left.items():
        yield place, item, ABSENT


def _aim(item: object) -> object:
    """By what people know an entry of a list: its name, target or matches."""
    if not isinstance(item, dict):
        return None
    return next((item[k] for k in ("name", "targetRef", "matches", "match") if k in item), None)


def _text(value: object) -> str:
    if value is ABSENT:
        return ""
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def kinds_changed(changes: Iterable[ResourceChange]) -> Mapping[str, frozenset[str]]:
    """By mesh, the kinds of which something changed."""
    found: dict[str, set[str]] = {}
    for change in changes:
        mesh = change.key.name if change.key.type == "Mesh" else change.key.mesh
        found.setdefault(mesh, set()).add(change.key.type)
    return {mesh: frozenset(kinds) for mesh, kinds in found.items()}
