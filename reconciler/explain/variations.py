"""A policy's document and the same with another value at one place: who would see which values come
from there. Pure.

A value is given another of its kind, never a likely one: what a proxy then has of it can come from
nowhere else. What cannot be read with any other value is left out instead.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

from reconciler.duration import parse_duration
from reconciler.schema import contents_of, file_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.problems import Path

MARK = "xqz7"  # in no name that anybody gives
SHIFT = timedelta(milliseconds=1237)
SECTIONS = ("to", "from", "rules")
REMOVED = object()


@dataclass(frozen=True, slots=True)
class Node:
    """A value of a document, or an entry of one of its lists. `path` is inside the spec."""

    path: Path
    value: Any
    is_value: bool

    @property
    def is_target(self) -> bool:
        return self.path[2:3] == ("targetRef",)

    @property
    def is_condition(self) -> bool:
        """Of whom or what the item speaks, and not what it says."""
        return self.is_target or "matches" in self.path

    @property
    def form(self) -> Path:
        return form_of(self.path)


def form_of(path: Path) -> Path:
    """The same for a field of any item; `rules` and `from` speak of the same."""
    plain = tuple("*" if isinstance(part, int) else part for part in path)
    return ("from", *plain[1:]) if plain[:1] == ("rules",) else plain


def nodes(spec: Any, path: Path = ()) -> Iterator[Node]:
    """All of a document; the outer before the inner."""
    if isinstance(spec, dict):
        for name, value in spec.items():
            yield from nodes(value, (*path, name))
    elif isinstance(spec, list):
        for index, value in enumerate(spec):
            if isinstance(value, dict | list):
                yield Node((*path, index), value, is_value=False)
            yield from nodes(value, (*path, index))
    else:
        yield Node(path, spec, is_value=True)


def of_policy(spec: Any) -> Iterator[Node]:
    """What its items say; of whom they are about only what may show in a configuration: callers."""
    for section in SECTIONS:
        for node in nodes(spec.get(section) or [], (section,)):
            if not node.is_target or (section == "from" and node.path[3:4] != ("kind",)):
                yield node


def others(node: Node, kind: str) -> Iterator[Any]:
    """Values to try instead, the most telling first; `REMOVED` at the end."""
    value = node.value
    if not node.is_value:
        pass
    elif isinstance(value, bool):
        yield not value
    elif isinstance(value, int | float):
        yield value + 7919  # where the next one up may be the next outbound's
        yield value + 1
        yield value - 1
    elif isinstance(value, str):
        span = parse_duration(value)
        if span is not None:
            yield f"{(span + SHIFT) // timedelta(milliseconds=1)}ms"
        yield from _number(value)
        yield value + MARK
        yield from (word for word in words(kind) if word != value)
    yield REMOVED


def _number(text: str) -> Iterator[str]:
    try:
        number = float(text)
    except ValueError:
        return
    yield f"{number + 1:g}" if number < 99 else f"{number - 1:g}"


@cache
def words(kind: str) -> tuple[str, ...]:
    """Those a type's schema knows, with those of the shared one: what a text may be that is free
    to be anything else.
    """
    file = file_of(kind)
    found: dict[str, None] = {}
    if file is not None:
        _collect(contents_of(file), found)
    return tuple(found)


def _collect(schema: Any, found: dict[str, None]) -> None:
    if isinstance(schema, dict):
        listed = [*(schema.get("enum") or ()), schema.get("const")]
        found.update(dict.fromkeys(word for word in listed if isinstance(word, str)))
        for part in schema.values():
            _collect(part, found)
    elif isinstance(schema, list):
        for part in schema:
            _collect(part, found)


def with_value(spec: Any, path: Path, value: Any) -> Any:
    """A copy."""
    made = json.loads(json.dumps(spec))
    if not path:
        return value
    holder = made
    for key in path[:-1]:
        holder = holder[key]
    if value is REMOVED:
        del holder[path[-1]]
    else:
        holder[path[-1]] = value
    return made
