"""YAML in a text is what Go's yaml.v2 makes of it, not what our own documents may be."""

from __future__ import annotations

import pytest

from reconciler.source.embedded import NODES_MAX, NotYaml, embedded


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("", None),
        ("a: yes\nb: Off\nc: 'yes'\nd: ~", {"a": True, "b": False, "c": "yes", "d": None}),
        (
            "a: 017\nb: 0x1f\nc: 1_000\nd: -0b11\ne: 0",
            {"a": 15, "b": 31, "c": 1000, "d": -3, "e": 0},
        ),
        ("a: 1e3\nb: .5\nc: 08\nd: +5", {"a": 1000.0, "b": 0.5, "c": 8.0, "d": 5}),
        (
            "a: 12:30\nb: 2001-01-01\nc: 5s\nd: 1.1.1.1",
            {"a": "12:30", "b": "2001-01-01", "c": "5s", "d": "1.1.1.1"},
        ),
        ("a: !!str 5\nb: !!int 5", {"a": "5", "b": 5}),
        ("1: a\ntrue: b\n1.5: c", {"1": "a", "true": "b", "1.5": "c"}),
        ("a: 1\na: 2", {"a": 2}),
        ("x: &x {a: 1, b: 2}\nc: {<<: *x, a: 3}", {"x": {"a": 1, "b": 2}, "c": {"a": 3, "b": 2}}),
        ("x: &x {a: 1}\nc: {a: 3, <<: [*x, {b: 4}]}", {"x": {"a": 1}, "c": {"a": 3, "b": 4}}),
        ("---\na: 1\n---\nb: [", {"a": 1}),
        ('{"a":\t[1, "b"]}', {"a": [1, "b"]}),
    ],
)
def test_a_text_is_read_as_zones_read_it(text: str, data: object) -> None:
    assert embedded(text) == data


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a: [", "is not YAML in its line"),
        ("a: b: c", "is not YAML in its line 1"),
        ("a: .inf", "JSON has no form for"),
        ("? [a]\n: b", "a key that is no text"),
        ("~: b", "a key that is no text"),
        ("a: {<<: 5}", "merges what is no object"),
    ],
)
def test_a_text_that_has_no_meaning_as_json_says_why(text: str, why: str) -> None:
    with pytest.raises(NotYaml, match=why):
        embedded(text)


def test_aliases_of_aliases_end() -> None:
    text = "a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n"
    text += "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 9))
    with pytest.raises(NotYaml, match=f"over {NODES_MAX} values"):
        embedded(text)
