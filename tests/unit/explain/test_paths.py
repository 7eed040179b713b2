"""What stands in two documents, value by value."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.explain.paths import counterparts, differences, leaves

A, B, C = ({"name": name, "v": name * 2} for name in "abc")


def gone(path: tuple[str | int, ...], value: Any) -> set[tuple[str | int, ...]]:
    return {place for place, _ in leaves(value, path)}


def changed(before: Any, after: Any) -> dict[tuple[str | int, ...], Any]:
    """By path the other value; `None` where it is gone."""
    return {p: None if where is None else value for p, where, value in differences(before, after)}


def test_every_value_has_one_path_and_what_is_empty_is_one() -> None:
    value = {"a": [1, {"b": {}}], "c": [], "d": None}
    assert dict(leaves(value)) == {("a", 0): 1, ("a", 1, "b"): {}, ("c",): [], ("d",): None}


def test_values_that_are_another_and_values_that_are_gone() -> None:
    found = changed({"a": 1, "b": {"c": 2, "d": 3}, "e": 4}, {"a": 9, "b": {"c": 2}, "e": 4})
    assert found == {("a",): 9, ("b", "d"): None}


def test_what_comes_is_no_difference_of_what_was() -> None:
    assert changed({"a": 1}, {"a": 1, "b": 2}) == {}
    assert changed({"a": {}}, {"a": {"b": 1}}) == {("a",): {"b": 1}}


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ([A, B, C], [A, C], gone((1,), B)),
        ([A, B], [B, A], set()),
        ([A, B], [B, A, C], set()),
        ([A, B], [A, {"name": "x", "v": "bb"}], {(1, "name")}),
        ([A, B], [{"name": "a", "v": "new"}, B], {(0, "v")}),
        ([1, 2, 3], [2, 3], {(0,)}),
        ([1, 2, 3], [1, 9, 3], {(1,)}),
        ([{"x": 1}, {"x": 2}], [{"x": 2}], {(0, "x")}),
        ([{"x": 1}], [{"x": 5}], {(0, "x")}),
    ],
)
def test_entries_of_lists_are_found_again(before: Any, after: Any, expected: Any) -> None:
    assert set(changed(before, after)) == expected


def test_entries_of_one_name_are_told_apart_by_their_order() -> None:
    twice = [A, {"name": "a", "v": "second"}, B]
    assert changed(twice, [*twice, A]) == {}
    assert changed(twice, [A, {"name": "a", "v": "other"}, B]) == {(1, "v"): "other"}


def test_counterparts_say_where_a_value_stands_now() -> None:
    found = counterparts({"l": [A, B], "x": 1}, {"l": [B, A]})
    assert found[("l", 0, "v")] == ("l", 1, "v")
    assert ("x",) not in found


def test_a_value_of_another_type_is_another_value() -> None:
    assert changed({"a": 1}, {"a": "1"}) == {("a",): "1"}
    assert changed({"a": {"b": 1}}, {"a": [1]}) == {("a", "b"): None}
