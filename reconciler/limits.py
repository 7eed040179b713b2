"""How much of a policy repository is read. Pure.

The operator of a global says how much at most (options `--limit-…`); a repository may ask for less
in its `reconciler.yaml`, never for more: what it holds may come from anybody who can push.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

NESTING_MAX = 64  # of one document; no resource needs more, and no setting lifts it


def is_deep(document: object) -> bool:
    """Whether objects and lists stand more than NESTING_MAX deep: whoever the document is sent on
    to must be able to read it at any depth of its own stack.
    """
    level: list[Any] = [document]
    for _ in range(NESTING_MAX):
        inner = (v.values() if isinstance(v, dict) else v for v in level)
        level = [v for values in inner for v in values if isinstance(v, dict | list)]
        if not level:
            return False
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """`blob_bytes` and `documents` of one file, `tree_entries` and `tree_depth` of the commit."""

    blob_bytes: int = 1024 * 1024
    tree_entries: int = 20_000
    tree_depth: int = 64
    documents: int = 1_000


FIELDS = {
    "blobBytes": "blob_bytes",
    "treeEntries": "tree_entries",
    "treeDepth": "tree_depth",
    "documents": "documents",
}
DEFAULT = Limits()


def option(key: str) -> str:
    """The operator's option for a key of `limits`."""
    return f"--limit-{FIELDS[key].replace('_', '-')}"


def cure(key: str) -> str:
    """Where the limit that was passed can be raised."""
    return f"raise limits.{key} in reconciler.yaml, or {option(key)} of the global if that is it"


def narrowed(maximum: Limits, asked: object) -> Limits:
    """The operator's limits, lower where the repository asks for it."""
    found = {
        FIELDS[key]: min(value, getattr(maximum, FIELDS[key]))
        for key, value in _asked(asked)
        if value > 0
    }
    return replace(maximum, **found)


def too_high(maximum: Limits, asked: object) -> Iterator[tuple[str, str]]:
    """What the repository asks for and may not have: (key, text)."""
    for key, value in _asked(asked):
        most = getattr(maximum, FIELDS[key])
        if value > most:
            text = f"{key} is {value}, and this global allows at most {most}; lower it"
            yield key, f"{text}, or start the global with {option(key)} {value}"


def _asked(asked: object) -> Iterator[tuple[str, int]]:
    for key, value in asked.items() if isinstance(asked, Mapping) else ():
        if key in FIELDS and type(value) is int:
            yield key, value
