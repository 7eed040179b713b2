"""What turns one JSON document into another, as a JSON Patch (RFC 6902). Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

Operation = dict[str, Any]


def json_patch(before: Any, after: Any) -> list[Operation]:
    """To be applied in order."""
    return list(_between(before, after, ""))


def _between(before: Any, after: Any, path: str) -> Iterator[Operation]:
    if isinstance(before, dict) and isinstance(after, dict):
        yield from _of_object(before, after, path)
    elif isinstance(before, list) and isinstance(after, list):
        yield from _of_list(before, after, path)
    elif before != after or type(before) is not type(after):
        yield {"op": "replace", "path": path, "value": after}


def _of_object(before: dict[str, Any], after: dict[str, Any], path: str) -> Iterator[Operation]:
    for key in sorted(before.keys() | after.keys()):
        place = f"{path}/{_escaped(key)}"
        if key not in after:
            yield {"op": "remove", "path": place}
        elif key not in before:
            yield {"op": "add", "path": place, "value": after[key]}
        else:
            yield from _between(before[key], after[key], place)


def _of_list(before: list[Any], after: list[Any], path: str) -> Iterator[Operation]:
    """What both begin and end with stays where it is."""
    shorter = min(len(before), len(after))
    head = next((i for i in range(shorter) if _differ(before[i], after[i])), shorter)
    rest = shorter - head
    ends = ((i, before[-1 - i], after[-1 - i]) for i in range(rest))
    tail = next((i for i, was, now in ends if _differ(was, now)), rest)
    gone, new = before[head : len(before) - tail], after[head : len(after) - tail]
    both = min(len(gone), len(new))
    for i in range(both):
        yield from _between(gone[i], new[i], f"{path}/{head + i}")
    for i in reversed(range(both, len(gone))):
        yield {"op": "remove", "path": f"{path}/{head + i}"}
    for i in range(both, len(new)):
        yield {"op": "add", "path": f"{path}/{head + i}", "value": new[i]}


def _differ(before: Any, after: Any) -> bool:
    """As JSON: Python takes 1 for true, also deep within."""
    return next(_between(before, after, ""), None) is not None


def _escaped(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")
