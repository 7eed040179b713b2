"""Upper and lower case in names: Kuma's schemas mind them, what reads documents does not."""

from __future__ import annotations

import json

import pytest

from reconciler.load import Blob, LoadMemo, load

HEAD = "type: Mesh\nname: default\n---\ntype: MeshTimeout\nmesh: default\nname: t\nspec:\n"
RIGHT = "  to: [{targetRef: {kind: Mesh}, default: {idleTimeout: 5s}}]\n"


def told(spec: str) -> list[str]:
    found = load({"p.yaml": Blob("", (HEAD + spec).encode())}, LoadMemo())
    return [f"{p.at.line}:{p.at.column} {p.at.field} {p.code} {p.severity}" for p in found.problems]


def test_a_name_of_another_case_counts_and_is_told() -> None:
    spec = "  To: [{TargetRef: {Kind: Mesh}, default: {IDLETIMEOUT: 5s}}]\n"
    found = load({"p.yaml": Blob("", (HEAD + spec).encode())}, LoadMemo())
    assert [(p.severity, p.code) for p in found.problems] == [("warning", "SCH005")] * 4
    assert str(found.problems[0]) == 'p.yaml:8:3: SCH005 warning: "To" counts as "to"; write it so'
    right = load({"p.yaml": Blob("", (HEAD + RIGHT).encode())}, LoadMemo())
    assert [json.loads(r.body) for r in found.resources] == [
        json.loads(r.body) for r in right.resources
    ]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (
            "  to: [{targetRef: {kind: Mesh}, default: {idletimeout: -5s}}]\n",
            "spec.to[0].default.idleTimeout",
        ),
        ("  To: 5\n", "spec.to"),
        ("  to: [{targetRef: {kind: Mesh, Name: 5}, default: {idleTimeout: 5s}}]\n",
         "spec.to[0].targetRef.name"),
    ],
)  # fmt: skip
def test_what_counts_is_judged(spec: str, expected: str) -> None:
    errors = [line for line in told(spec) if line.endswith("error")]
    assert [line.split(" ")[1] for line in errors] == [expected]


def test_beside_the_right_name_another_does_not_count() -> None:
    spec = "  to: [{targetRef: {kind: Mesh}, default: {idleTimeout: 5s, IdleTimeout: -5s}}]\n"
    assert [line.split(" ", 1)[1] for line in told(spec)] == [
        "spec.to[0].default.IdleTimeout SCH005 warning"
    ]
