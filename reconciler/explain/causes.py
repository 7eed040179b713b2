"""Which value of a configuration hangs on which place of a document: found by changing the place
and computing again. Pure.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from reconciler.decode import mesh_resource
from reconciler.explain.paths import differences, leaves
from reconciler.explain.variations import (
    MARK,
    REMOVED,
    nodes,
    of_policy,
    others,
    with_value,
    words,
)
from reconciler.explain.world import TYPES, UNREADABLE
from xds.readable import readable
from xds.resource import LISTENER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.explain.variations import Node
    from reconciler.explain.world import World
    from reconciler.model.resource import MeshResource, ResourceKey
    from reconciler.problems import Path
    from xds.snapshot import Snapshot

Spot = tuple[str, str, "Path"]  # type URL, name of the resource, path in its JSON


class How(StrEnum):
    """How a value depends on a place: it is what stands there; it is there because of it; it is a
    built-in default that holds because of it.
    """

    VALUE = "value"
    PRESENCE = "presence"
    DEFAULT = "default"


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A field of a resource: `path` is inside its spec."""

    key: ResourceKey
    path: Path

    @property
    def unit(self) -> Path:
        """The item it is in."""
        return self.path[:2]


@dataclass(slots=True)
class Causes:
    """By value, the places it hangs on. `first`: of each place, another value to read it with."""

    values: dict[Spot, dict[Place, None]] = field(default_factory=dict)
    presence: dict[Spot, dict[Place, None]] = field(default_factory=dict)
    fallen: dict[Spot, dict[Place, None]] = field(default_factory=dict)  # another once it is gone
    first: dict[Place, Any] = field(default_factory=dict)


def touched(
    world: World, other: Snapshot, *, follow: bool = False
) -> Iterator[tuple[Spot, Path | None, Any]]:
    """Of each value that is another there: where it stands there, if at all, and what it is.

    `follow` a listener that has another name, as one has that listens on another port.
    """
    for type_url in TYPES:
        before, after = world.snapshot.of(type_url), other.of(type_url)
        lost, new = before.keys() - after.keys(), after.keys() - before.keys()
        one = follow and type_url == LISTENER and len(lost) == len(new) == 1
        renamed = dict(zip(lost, new, strict=True)) if one else {}
        for name, resource in before.items() if before is not after else ():
            changed = after.get(renamed.get(name, name))
            if changed is not None and changed.version == resource.version:
                continue
            document = world.document(type_url, resource)
            if changed is None:
                for path, _ in leaves(document):
                    yield (type_url, name, path), None, None
                continue
            for path, where, value in differences(document, readable(changed)):
                yield (type_url, name, path), where, value


def causes_of(world: World, resource: MeshResource, alone: frozenset[Spot] | None) -> Causes:
    """Of all places of a resource. `alone`: of a policy, what is another without it. Where its
    values account for that, nothing more is asked.
    """
    look = _Look(world, resource, json.loads(resource.body), alone)
    those = list(nodes(look.spec) if alone is None else of_policy(look.spec))
    for node in those:
        if node.is_value:
            look.at(node)
    if alone is None or alone - look.found.values.keys():
        for node in those:
            if not node.is_value:
                look.at(node)
    return look.found


@dataclass(slots=True)
class _Look:
    world: World
    resource: MeshResource
    spec: Any
    alone: frozenset[Spot] | None
    found: Causes = field(default_factory=Causes)

    def at(self, node: Node) -> None:
        """Values that are free to be anything need one try; words are tried all, as one may do the
        same as another.
        """
        kind, tried = self.resource.key.type, False
        for value in others(node, kind):
            if value is REMOVED and tried:
                return
            try:
                changed = with_value(self.spec, node.path, value)
                other = self.world.changed([variant(self.resource, changed)])
            except UNREADABLE:
                continue
            tried = True
            self.found.first.setdefault(Place(self.resource.key, node.path), value)
            is_word = isinstance(value, str) and value in words(kind)
            self._note(node, other.snapshot, is_word=is_word, removed=value is REMOVED)
            if not is_word:
                return

    def _note(self, node: Node, other: Snapshot, *, is_word: bool, removed: bool) -> None:
        """Another word or condition may be that of another policy, and change what is that one's.
        A condition itself stands in a value that has its mark.
        """
        place, found = Place(self.resource.key, node.path), self.found
        for spot, where, now in touched(self.world, other, follow=self.alone is None):
            if (is_word or node.is_condition) and not self._hangs(spot):
                continue
            if where is None:
                found.presence.setdefault(spot, {})[place] = None
            elif removed:
                found.fallen.setdefault(spot, {})[place] = None
            elif not node.is_condition or MARK in str(now):
                found.values.setdefault(spot, {})[place] = None

    def _hangs(self, spot: Spot) -> bool:
        return self.alone is None or spot in self.alone


def variant(resource: MeshResource, spec: Any) -> MeshResource:
    """Raises DecodeError."""
    return mesh_resource(resource.key, resource.labels, spec)
