"""Patches between documents: applied by an independent reader, they give the other document."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from reconciler.rest.json_patch import json_patch

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(0, 3) | st.sampled_from(["", "a", "b"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["a", "b/c", "d~e", ""]), inner, max_size=4)
    ),
    max_leaves=12,
)


def applied(document: Any, patch: list[dict[str, Any]]) -> Any:
    """RFC 6902 by the letter, for the three operations we use."""
    found: Any = {"root": deepcopy(document)}
    for step in patch:
        *way, last = ["root", *_names(step["path"])]
        place = found
        for name in way:
            place = place[int(name) if isinstance(place, list) else name]
        key: Any = int(last) if isinstance(place, list) else last
        match step["op"], place:
            case "remove", _:
                del place[key]
            case "add", list():
                assert key <= len(place)
                place.insert(key, step["value"])
            case "add", _:
                assert key not in place
                place[key] = step["value"]
            case "replace", _:
                assert key in place if isinstance(place, dict) else key < len(place)
                place[key] = step["value"]
    return found["root"]


def _names(path: str) -> list[str]:
    return [name.replace("~1", "/").replace("~0", "~") for name in path.split("/")[1:]]


@given(JSON, JSON)
def test_a_patch_turns_one_document_into_the_other(before: Any, after: Any) -> None:
    assert _same(applied(before, json_patch(before, after)), after)


def test_a_number_is_no_truth_deep_within_a_list_either() -> None:
    assert json_patch([[0], 1], [[False], 1]) == [{"op": "replace", "path": "/0/0", "value": False}]


def _same(one: Any, other: Any) -> bool:
    """Python takes 1 for true."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[k], other[k]) for k in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return type(one) is type(other) and bool(one == other)


@given(JSON)
def test_nothing_is_to_be_done_where_nothing_differs(document: Any) -> None:
    assert json_patch(document, deepcopy(document)) == []


def test_an_item_put_into_a_list_moves_no_other() -> None:
    patch = json_patch({"l": [1, 2, 3]}, {"l": [1, 9, 2, 3]})
    assert patch == [{"op": "add", "path": "/l/1", "value": 9}]
