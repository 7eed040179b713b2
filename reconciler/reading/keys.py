"""Rows of the cache of earlier runs: their keys, and what `validate` keeps of a repository. Pure.

Light: a repository that was checked before is answered without loading what checks one.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reconciler.problems import Position, Problem, Severity

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.blobs import Blob

_CONTENT = "sha256:"
# In what may hold a key or a password as it is, by right or by mistake.
_SECRETIVE = (b"inline", b"clientkey", b"privatekey", b"private key", b"password")


def may_be_kept(blob: Blob) -> bool:
    """Whether it may stand on a disk outside the repository: not what may hold a plain secret."""
    if not blob.oid or blob.data is None:
        return False
    lower = blob.data.lower()
    return not any(word in lower for word in _SECRETIVE)


def content_id(data: bytes) -> str:
    """Of a file that is no blob of Git; no two contents share one, whoever wrote them."""
    return _CONTENT + hashlib.sha256(data).hexdigest()


class Keys:
    """Of the rows of a cache: everything that a result depends on. The program that reads, how
    strict the repository is and what it allows; of each file its place, mode and content.
    """

    def __init__(self, program: str, *settings: object) -> None:
        self._head = hashlib.sha256(digest(*map(_bytes, (program, *settings))))

    def of_file(self, path: str, blob: Blob) -> bytes:
        hasher = self._head.copy()
        hasher.update(_file_digest(path, blob))
        return hasher.digest()

    def of_all(self, blobs: Mapping[str, Blob]) -> bytes:
        hasher = self._head.copy()
        for path in sorted(blobs):
            hasher.update(_file_digest(path, blobs[path]))
        return hasher.digest()


def _file_digest(path: str, blob: Blob) -> bytes:
    """Git's own name of a blob is not trusted with this: it is a SHA-1."""
    if blob.data is None:
        content = "too large"
    else:
        content = blob.oid if blob.oid.startswith(_CONTENT) else content_id(blob.data)
    return digest(_bytes(path), _bytes(blob.mode), content.encode())


def _bytes(value: object) -> bytes:
    return str(value).encode("utf-8", "surrogatepass")


def digest(*parts: bytes) -> bytes:
    """Framed, so that what moves from one part to the next makes another one."""
    hasher = hashlib.sha256()
    for part in parts:
        hasher.update(len(part).to_bytes(8, "big"))
        hasher.update(part)
    return hasher.digest()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What `reconciler validate` says of a repository."""

    resources: int
    problems: tuple[Problem, ...]


def encoded_outcome(outcome: Outcome) -> bytes:
    rows = [
        [p.at.path, p.at.line, p.at.column, p.at.field, p.code, p.message, str(p.severity)]
        for p in outcome.problems
    ]
    return json.dumps([outcome.resources, rows], separators=(",", ":")).encode()


def decoded_outcome(data: bytes) -> Outcome | None:
    """None when it is nothing that `encoded_outcome` made."""
    try:
        count, rows = json.loads(data.decode())
        return Outcome(int(count), tuple(_problem(*row) for row in rows))
    except (RecursionError, TypeError, ValueError):
        return None


def _problem(*row: Any) -> Problem:
    path, line, column, field, code, message, severity = row
    return Problem(Position(path, line, column, field), code, message, Severity(severity))
