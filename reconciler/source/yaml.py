"""YAML and JSON as plain data with the place of every part. Pure.

One `compose` pass by the C parser, then our own builder: JSON's scalar types only (`on`, `12:30`
and dates stay
text), no aliases, no duplicate keys, bounded depth and count. A fault is a `SyntaxFault` with its
place.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, cast

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

BLOB_MAX = 1024 * 1024  # bytes
DEPTH_MAX = 64
DOCUMENTS_MAX = 1000

Path = tuple[str | int, ...]
Place = tuple[int, int]  # line and column, from 1

_INT = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+|[0-9]+)([eE][-+]?[0-9]+)?")
_QUOTED = ("'", '"', "|", ">")
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_TRUE, _FALSE = frozenset({"true", "True", "TRUE"}), frozenset({"false", "False", "FALSE"})
_PLAIN_TAGS = frozenset(
    f"tag:yaml.org,2002:{name}"
    for name in ("str", "int", "float", "bool", "null", "map", "seq", "timestamp", "merge", "value")
)


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


def documents(data: bytes) -> tuple[tuple[Document, ...], tuple[SyntaxFault, ...]]:
    """All documents of a file; on the first fault what came before it, and the fault. Empty ones
    are left out.
    """
    if len(data) > BLOB_MAX:
        text = f"the file has {len(data)} bytes, at most {BLOB_MAX} are read; split it"
        return (), (SyntaxFault((1, 1), "SRC002", text),)
    found: list[Document] = []
    try:
        text = _decoded(data)
        for document in _composed(text):
            found.append(document)
            if len(found) > DOCUMENTS_MAX:
                raise _Fault(
                    (1, 1), "SRC005", f"over {DOCUMENTS_MAX} documents in one file; split it"
                )
    except _Fault as error:
        return tuple(found), (error.fault,)
    return tuple(found), ()


def _decoded(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start)
        column = error.start - (data.rfind(b"\n", 0, error.start) + 1)
        raise _Fault(
            (line + 1, column + 1), "SRC001", "is not UTF-8 text; save it as UTF-8"
        ) from error


def _composed(text: str) -> Iterator[Document]:
    loader = yaml.CSafeLoader(text)
    try:
        _refuse_depth(text)
        while loader.check_node():
            node = cast("yaml.Node", loader.get_node())
            places: dict[Path, tuple[Place, Place]] = {}
            data = _built(node, (), _start(node), places)
            if data is not None:
                yield Document(data, places)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise _Fault(_place(mark), "SRC001", f"is not YAML: {error.problem or error}") from error
    except yaml.YAMLError as error:
        raise _Fault((1, 1), "SRC001", f"is not YAML: {error}") from error
    finally:
        loader.dispose()


def _refuse_depth(text: str) -> None:
    """Before composing, which recurses: counts nesting by the parser's events alone."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.AliasEvent):
            raise _Fault(
                _place(event.start_mark), "SRC004", "aliases are not allowed; write the value out"
            )
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > DEPTH_MAX:
                text_ = f"is nested over {DEPTH_MAX} levels; flatten it"
                raise _Fault(_place(event.start_mark), "SRC003", text_)
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


class _Mark(Protocol):
    @property
    def line(self) -> int: ...

    @property
    def column(self) -> int: ...


def _place(mark: _Mark | None) -> Place:
    return (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)


def _start(node: yaml.Node) -> Place:
    return _place(node.start_mark)


def _built(
    node: yaml.Node, path: Path, key_place: Place, places: dict[Path, tuple[Place, Place]]
) -> object:
    places[path] = (key_place, _start(node))
    if node.tag not in _PLAIN_TAGS:
        raise _Fault(_start(node), "SRC006", f"the tag {node.tag} is not allowed; remove it")
    if isinstance(node, yaml.ScalarNode):
        return _scalar(node)
    if isinstance(node, yaml.SequenceNode):
        return [
            _built(item, (*path, index), _start(item), places)
            for index, item in enumerate(node.value)
        ]
    return _mapping(node, path, places)


def _mapping(
    node: yaml.Node, path: Path, places: dict[Path, tuple[Place, Place]]
) -> dict[str, object]:
    found: dict[str, object] = {}
    for key_node, value_node in node.value:
        if not isinstance(key_node, yaml.ScalarNode):
            raise _Fault(_start(key_node), "SRC001", "a key must be text")
        key = str(key_node.value)
        if key in found:
            line = places[(*path, key)][0][0]
            text = f'the key "{key}" is here twice (first in line {line}); remove one'
            raise _Fault(_start(key_node), "SRC007", text)
        found[key] = _built(value_node, (*path, key), _start(key_node), places)
    return found


def _scalar(node: yaml.ScalarNode) -> object:
    """JSON's types: null, true, false and numbers as JSON and YAML 1.2 write them; all else is
    text.
    """
    text = str(node.value)
    if node.style in _QUOTED:
        return text
    if text in _NULLS:
        return None
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    if _INT.fullmatch(text) and len(text) < 40:
        return int(text)
    if _FLOAT.fullmatch(text) and len(text) < 40:
        return float(text)
    return text
