"""A fault of a user's document as a value: where, which code, what, and the cure.

Collected and sorted, never raised. Printed form: `policies/web.yaml:7:28: MT001 connectionTimeout
must be greater than 0s; omit it to inherit`. Each code has its section in
docs/reference/problems.md.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

Path = tuple[str | int, ...]  # inside a document: ("to", 0, "default", "idleTimeout")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


class Key(str):
    """A part of a path that is the key of a map, such as a tag or a header, and no field's name."""

    __slots__ = ()


def field_of(path: Path) -> str:
    """A path as Kuma's API writes it: `spec.to[0].targetRef.tags["kuma.io/zone"]`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif isinstance(part, Key) or _NAME.match(part) is None:
            text += f"[{json.dumps(part, ensure_ascii=False)}]"
        else:
            text += f".{part}" if text else part
    return text


def field_in_schema(path: Path) -> str:
    """A path as Kuma's API writes it where a document does not fit its type's schema: keys of maps
    are like fields (`spec.targetRef.tags.kuma.io/zone`), up to a space in one.
    """
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)[1:]
    return text.partition(" ")[0]


class Severity(StrEnum):
    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place in a file of the policy repository.

    Line and column are 1-based; line 0 means the file as a whole. `field` is what of the resource
    is meant, as Kuma's API names it; two places do not differ in it.
    """

    path: str
    line: int = 0
    column: int = 0
    field: str = field(default="", compare=False)

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.column}" if self.line else self.path


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    at: Position
    code: str
    message: str  # what is wrong; cure
    severity: Severity = Severity.ERROR

    def __str__(self) -> str:
        note = "" if self.severity is Severity.ERROR else "warning: "
        return f"{self.at}: {self.code} {note}{self.message}"


def has_errors(problems: Iterable[Problem]) -> bool:
    return any(problem.severity is Severity.ERROR for problem in problems)
