"""Two versions of one JSON document, value by value: what stands in both, changed or not, and what
does not. Pure.

Entries of a list are known by their names where they have some, else by what they hold: one that
is gone does not make all behind it look changed.
"""

from __future__ import annotations

from collections import Counter
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, Any

from reconciler.model.resource import canonical_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.problems import Path

# A value's path in the one document, its path in the other or None, and what stands there.
Pair = tuple["Path", "Path | None", Any]


def leaves(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Each value that holds no other; an empty list or object is one."""
    inner = _inner(value)
    if not inner:
        yield path, value
    for key, part in inner:
        yield from leaves(part, (*path, key))


def at(value: Any, path: Path) -> Any:
    for key in path:
        value = value[key]
    return value


def differences(before: Any, after: Any) -> Iterator[Pair]:
    """Of each value of `before` that is another in `after`, or is not there."""
    return _pairs(before, after, (), (), every=False)


def counterparts(before: Any, after: Any) -> dict[Path, Path]:
    """Where each value of `before` stands in `after`, if it does."""
    found = _pairs(before, after, (), (), every=True)
    return {path: other for path, other, _ in found if other is not None}


def _inner(value: Any) -> list[tuple[str | int, Any]]:
    if isinstance(value, dict):
        return list(value.items())
    return list(enumerate(value)) if isinstance(value, list) else []


def _pairs(before: Any, after: Any, path: Path, other: Path, *, every: bool) -> Iterator[Pair]:
    if before == after and type(before) is type(after) and not every:
        return
    if not _inner(before):
        yield path, other, after
    elif isinstance(before, dict) and isinstance(after, dict):
        for key, value in before.items():
            if key in after:
                where = (*path, key), (*other, key)
                yield from _pairs(value, after[key], *where, every=every)
            else:
                yield from _gone(value, (*path, key))
    elif isinstance(before, list) and isinstance(after, list):
        for i, j in _aligned(before, after):
            if j is None:
                yield from _gone(before[i], (*path, i))
            else:
                yield from _pairs(before[i], after[j], (*path, i), (*other, j), every=every)
    else:
        yield from _gone(before, path)


def _gone(value: Any, path: Path) -> Iterator[Pair]:
    for place, _ in leaves(value, path):
        yield place, None, None


def _aligned(before: list[Any], after: list[Any]) -> list[tuple[int, int | None]]:
    """For each entry which one it is in the other list."""
    names, others = _names(before), _names(after)
    if names is not None and others is not None:
        place = {name: j for j, name in enumerate(others)}
        found: dict[int, int | None] = {i: place.get(name) for i, name in enumerate(names)}
        lost = [i for i, j in found.items() if j is None]
        new = [j for j, name in enumerate(others) if name not in names]
        if len(lost) == len(new):  # Renamed.
            found |= zip(lost, new, strict=True)
        return list(found.items())
    shorter = min(len(before), len(after))
    head = next((i for i in range(shorter) if before[i] != after[i]), shorter)
    rest = shorter - head
    tail = next((i for i in range(rest) if before[-1 - i] != after[-1 - i]), rest)
    pairs: list[tuple[int, int | None]] = [(i, i) for i in range(head)]
    pairs += _unequal(before[head : len(before) - tail], after[head : len(after) - tail], head)
    return pairs + [(len(before) - i, len(after) - i) for i in range(tail, 0, -1)]


def _unequal(before: list[Any], after: list[Any], start: int) -> list[tuple[int, int | None]]:
    """`start`: where both begin. As many that are gone as are new in their place are the same."""
    if len(before) == len(after) == 1:
        return [(start, start)]
    match = SequenceMatcher(
        None, [*map(canonical_json, before)], [*map(canonical_json, after)], autojunk=False
    )
    pairs: list[tuple[int, int | None]] = []
    for _, i, i_end, j, j_end in match.get_opcodes():
        same = i_end - i == j_end - j
        pairs += [(start + i + n, start + j + n if same else None) for n in range(i_end - i)]
    return pairs


def _names(entries: list[Any]) -> list[tuple[str, int]] | None:
    """Each with how many of its name come before it."""
    seen: Counter[str] = Counter()
    found: list[tuple[str, int]] = []
    for entry in entries:
        name = entry.get("name") if isinstance(entry, dict) else None
        if not isinstance(name, str):
            return None
        found.append((name, seen[name]))
        seen[name] += 1
    return found
