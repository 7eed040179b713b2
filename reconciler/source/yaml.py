"""YAML and JSON as plain data with the place of every part. Pure.

One pass over the C parser's events, built here rather than by PyYAML: JSON's scalar types only
(`on`, `12:30`, `017` and dates stay text), no anchors, aliases or merge keys, no duplicate keys, no
tags but YAML's core ones, bounded depth and count. A fault is a `SyntaxFault` with its place.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import yaml

from reconciler.limits import DEFAULT, NESTING_MAX, Limits, cure

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

INT_MIN, INT_MAX = -(2**63), 2**64 - 1  # what protobuf's and Go's integers can hold
NUMBER_LENGTH_MAX = 400

Path = tuple[str | int, ...]
Place = tuple[int, int]  # line and column, from 1
Places = dict[Path, tuple[Place, Place]]  # places of the key and of the value

_INT = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(((0|[1-9][0-9]*)(\.[0-9]*)?)|\.[0-9]+)([eE][-+]?[0-9]+)?")
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_TRUE, _FALSE = frozenset({"true", "True", "TRUE"}), frozenset({"false", "False", "FALSE"})
_TEXT_TAG = "tag:yaml.org,2002:str"
_CORE_TAGS = frozenset(
    f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null", "map", "seq")
)
_MERGE = "<<"
_Take: TypeAlias = "Callable[[], Any]"  # the next event


@dataclass(frozen=True, slots=True)
class Document:
    """One document: its data, and per path the places of the key and of the value."""

    data: object
    places: Mapping[Path, tuple[Place, Place]]

    def value_at(self, path: Path) -> Place:
        """Place of the deepest part of the path that the document has."""
        return self._deepest(path)[1]

    def key_at(self, path: Path) -> Place:
        return self._deepest(path)[0]

    def _deepest(self, path: Path) -> tuple[Place, Place]:
        while path not in self.places:
            path = path[:-1]
        return self.places[path]


@dataclass(frozen=True, slots=True)
class SyntaxFault:
    """`code` is that of docs/reference/problems.md."""

    place: Place
    code: str
    message: str


class _Fault(Exception):
    def __init__(self, place: Place, code: str, message: str) -> None:
        super().__init__(message)
        self.fault = SyntaxFault(place, code, message)


def documents(
    data: bytes, limits: Limits = DEFAULT
) -> tuple[tuple[Document, ...], tuple[SyntaxFault, ...]]:
    """All documents of a file; on the first fault what came before it, and the fault. Empty ones
    are left out.
    """
    if len(data) > limits.blob_bytes:
        text = f"has {len(data)} bytes, and {limits.blob_bytes} are read at most; split it, or "
        return (), (SyntaxFault((1, 1), "SRC002", text + cure("blobBytes")),)
    found: list[Document] = []
    try:
        _read(_decoded(data), found, limits.documents)
    except _Fault as error:
        return tuple(found), (error.fault,)
    return tuple(found), ()


def _decoded(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start)
        column = error.start - (data.rfind(b"\n", 0, error.start) + 1)
        place = (line + 1, column + 1)
        raise _Fault(place, "SRC001", "is not UTF-8 text; save it as UTF-8") from error


def _read(text: str, found: list[Document], most: int) -> None:
    """Appends to `found` as long as there is no fault."""
    try:
        take: _Take = yaml.CSafeLoader(text).get_event
        count = 0
        while not isinstance(event := take(), yaml.StreamEndEvent):
            if isinstance(event, yaml.DocumentStartEvent):
                count += 1
                if count > most:
                    message = f"over {most} documents in one file; split it, or {cure('documents')}"
                    raise _Fault(_start(event), "SRC005", message)
                document = _document(take)
                if document.data is not None:
                    found.append(document)
    except yaml.reader.ReaderError as error:
        raise _unprintable(text, error) from error
    except yaml.MarkedYAMLError as error:
        raise _not_yaml(error) from error
    except yaml.YAMLError as error:
        raise _Fault((1, 1), "SRC001", f"is not YAML: {error}") from error


def _unprintable(text: str, error: yaml.reader.ReaderError) -> _Fault:
    at = error.position
    place = (text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at))
    return _Fault(place, "SRC001", "has a control character here; remove it")


def _not_yaml(error: yaml.MarkedYAMLError) -> _Fault:
    place = _place(error.problem_mark or error.context_mark)
    problem = error.problem or str(error)
    if "nesting depth" in problem:  # the parser looks ahead, and has its own limit
        return _too_deep(place)
    if "cannot start any token" in problem:
        problem += "; indent with spaces, and quote text that begins with @, ` or %"
    return _Fault(place, "SRC001", f"is not YAML: {problem}")


def _too_deep(place: Place) -> _Fault:
    return _Fault(
        place, "SRC003", f"is nested over {NESTING_MAX} levels, which no setting allows; flatten it"
    )


class _Mark(Protocol):
    @property
    def line(self) -> int: ...

    @property
    def column(self) -> int: ...


def _place(mark: _Mark | None) -> Place:
    return (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)


def _start(event: Any) -> Place:
    mark = event.start_mark
    return (mark.line + 1, mark.column + 1)


# --- from events to data: half of the time that reading a repository takes ---


def _document(take: _Take) -> Document:
    places: Places = {}
    first = take()
    data = _value(first, take, (), _start(first), places)
    return Document(data, places)


def _value(event: Any, take: _Take, path: Path, key_place: Place, places: Places) -> object:
    """Recurses to NESTING_MAX; `event` begins the value, its rest is taken."""
    mark = event.start_mark
    place = (mark.line + 1, mark.column + 1)
    places[path] = (key_place, place)
    kind = type(event)
    if kind is not yaml.ScalarEvent or event.tag is not None or event.anchor is not None:
        _check_node(event, place)
    if kind is yaml.ScalarEvent:
        return _scalar(event, place)
    if len(path) >= NESTING_MAX:
        raise _too_deep(place)
    if kind is yaml.MappingStartEvent:
        return _mapping(take, path, places)
    found: list[object] = []
    while type(item := take()) is not yaml.SequenceEndEvent:
        found.append(_value(item, take, (*path, len(found)), _start(item), places))
    return found


def _mapping(take: _Take, path: Path, places: Places) -> dict[str, object]:
    found: dict[str, object] = {}
    while type(event := take()) is not yaml.MappingEndEvent:
        place = _start(event)
        if type(event) is not yaml.ScalarEvent or event.tag is not None or event.anchor is not None:
            _check_node(event, place)
            if not isinstance(event, yaml.ScalarEvent):
                raise _Fault(place, "SRC001", "a key must be text")
        key = str(event.value)
        if key == _MERGE and event.implicit[0]:
            raise _Fault(place, "SRC004", "merge keys are not allowed; write the fields out")
        if key in found:
            line = places[(*path, key)][0][0]
            text = f'the key "{key}" is here twice (first in line {line}); remove one'
            raise _Fault(place, "SRC007", text)
        found[key] = _value(take(), take, (*path, key), place, places)
    return found


def _check_node(event: Any, place: Place) -> None:
    if isinstance(event, yaml.AliasEvent):
        raise _Fault(place, "SRC004", "aliases are not allowed; write the value out")
    if event.anchor is not None:
        raise _Fault(place, "SRC004", "anchors are not allowed; remove it, and write values out")
    if event.tag is not None and event.tag not in _CORE_TAGS:
        text = f"the tag {event.tag} is not allowed; remove it"
        raise _Fault(place, "SRC006", text)


def _scalar(event: yaml.ScalarEvent, place: Place) -> object:
    """JSON's types: null, true, false and numbers as JSON and YAML 1.2 write them; all else is
    text.
    """
    text = str(event.value)
    quoted = event.tag is None and not event.implicit[0]
    if quoted or event.tag == _TEXT_TAG:
        return text
    if text in _NULLS:
        return None
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    if text[0] in "+-.0123456789":
        return _number(text, place)
    return text


def _number(text: str, place: Place) -> int | float | str:
    """Text that only begins like a number, such as 1.2.3 or 10.0.0.7, stays text."""
    number: int | float
    if _INT.fullmatch(text) is not None:
        number = int(text) if len(text) < NUMBER_LENGTH_MAX else math.inf
        fits = INT_MIN <= number <= INT_MAX
    elif _FLOAT.fullmatch(text) is not None:
        number = float(text) if len(text) < NUMBER_LENGTH_MAX else math.inf
        fits = math.isfinite(number)
    else:
        return text
    if not fits:
        raise _Fault(place, "SRC011", "the number is out of range; write text in quotes")
    return number
