"""Which fields of a document a change touches."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.planning.changes import FieldChange, field_changes, resource_changes
from tests.support.plans import loaded

A, B, C = ({"targetRef": {"kind": "MeshService", "name": name}, "default": {}} for name in "abc")


def at(item: Any, timeout: str) -> Any:
    return {**item, "default": {"idleTimeout": timeout}}


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        # An entry that comes in front makes those behind it no other.
        ({"to": [A, B]}, {"to": [C, A, B]}, ["to[0]"]),
        ({"to": [A, B]}, {"to": [B]}, ["to[0]"]),
        # It is known by what it is for.
        ({"to": [at(A, "1s"), at(B, "1s")]}, {"to": [at(B, "2s"), at(A, "1s")]},
         ["to[0].default.idleTimeout"]),
        ({"to": [at(A, "1s")]}, {"to": [at(C, "9s"), at(A, "2s")]},
         ["to[0]", "to[1].default.idleTimeout"]),
        # Names that people choose are no fields.
        ({"tags": {"app": "x"}}, {"tags": {"app": "y"}}, ['tags["app"]']),
        ({"a": 1}, {"a": 1}, []),
    ],
)  # fmt: skip
def test_the_smallest_part_that_differs(old: Any, new: Any, expected: list[str]) -> None:
    assert [change.field for change in field_changes(old, new)] == expected


def test_what_goes_has_no_value_after() -> None:
    assert list(field_changes({"to": [A]}, {"to": []})) == [
        FieldChange(
            "to[0]", '{"default": {}, "targetRef": {"kind": "MeshService", "name": "a"}}', ""
        )
    ]


def test_a_label_is_a_change_of_its_resource() -> None:
    mesh = {"type": "Mesh", "name": "default"}
    before, after = loaded([mesh]), loaded([{**mesh, "labels": {"team.x": "a"}}])
    ((field,),) = (change.fields for change in resource_changes(before, after))
    assert (field.field, field.before, field.after) == ('labels["team.x"]', "", '"a"')
