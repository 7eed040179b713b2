"""What one file was read as, as bytes: for another process, and to be kept on disk. Pure.

JSON, never pickles: whatever it was made into, reading it back runs nothing. Places are of one
file, whose path is told again when it is read back.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, BinaryIO

from reconciler.decode import canonical_resource
from reconciler.model.decode import DecodeError
from reconciler.model.resource import Labels, ResourceKey
from reconciler.problems import Position, Problem, Severity
from reconciler.secret_references import Need
from reconciler.verdict import Named, Read

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reconciler.model.resource import MeshResource

LENGTH_BYTES = 4
FRAME_BYTES_MAX = 256 * 1024 * 1024  # what is longer was not written by us


def encoded(read: Read) -> bytes:
    """All of it."""
    rows = [
        [_resource(resource, at) for resource, at in read.resources],
        [[*_place(p.at), p.code, p.message, str(p.severity)] for p in read.problems],
        [[*_key(n.key), _place(n.at), _place(n.mesh_at)] for n in read.named],
        [[*_key(n.by), *_key(n.secret), n.path, _place(n.at)] for n in read.needs],
    ]
    return json.dumps(rows, separators=(",", ":")).encode()


def decoded(data: bytes, path: str) -> Read | None:
    """None when it is nothing that `encoded` made."""
    try:
        resources, problems, named, needs = json.loads(data.decode())
        return Read(
            tuple(_to_resource(path, *row) for row in resources),
            tuple(_to_problem(path, *row) for row in problems),
            tuple(
                Named(ResourceKey(*key), Position(path, *at), Position(path, *mesh_at))
                for *key, at, mesh_at in named
            ),
            tuple(
                Need(ResourceKey(*row[:3]), ResourceKey(*row[3:6]), tuple(way), Position(path, *at))
                for *row, way, at in needs
            ),
        )
    except (DecodeError, RecursionError, TypeError, ValueError):
        return None


def _resource(resource: MeshResource, at: Position) -> list[object]:
    return [*_key(resource.key), resource.labels.pairs, resource.body, *_place(at)]


def _to_resource(path: str, *row: Any) -> tuple[MeshResource, Position]:
    type_, mesh, name, labels, body, *at = row
    pairs = tuple((key, value) for key, value in labels)
    resource = canonical_resource(ResourceKey(type_, mesh, name), Labels(pairs), body, None)
    return resource, Position(path, *at)


def _to_problem(path: str, *row: Any) -> Problem:
    *at, code, message, severity = row
    return Problem(Position(path, *at), code, message, Severity(severity))


def _key(key: ResourceKey) -> tuple[str, str, str]:
    return key.type, key.mesh, key.name


def _place(at: Position) -> tuple[int, int, str]:
    return at.line, at.column, at.field


def write_frames(stream: BinaryIO, parts: Iterable[bytes]) -> None:
    for part in parts:
        stream.write(len(part).to_bytes(LENGTH_BYTES, "big"))
        stream.write(part)
    stream.flush()


def read_frame(stream: BinaryIO) -> bytes | None:
    """The next one; None where the stream ends, in the middle of one too, or holds something
    else.
    """
    head = stream.read(LENGTH_BYTES)
    length = int.from_bytes(head, "big")
    if len(head) < LENGTH_BYTES or length > FRAME_BYTES_MAX:
        return None
    part = stream.read(length)
    return part if len(part) == length else None
