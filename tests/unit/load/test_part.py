"""A part of a document, and the rules that many kinds share."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from reconciler.part import (
    Faults,
    Part,
    at_least_one,
    at_most_one,
    duration_not_negative,
    exactly_one,
    file_path,
    form,
    in_range,
    not_allowed,
    not_empty,
    percentage,
    port,
    positive_duration,
    required,
    unique,
    word,
)
from reconciler.problems import Path, Position, field_of

if TYPE_CHECKING:
    from collections.abc import Callable


def part(value: object, path: Path = ("conf", "field")) -> Part:
    return Part(value, path, lambda p: Position("file.yaml", 1, 1, field_of(p)))


def said(faults: Faults) -> list[tuple[str, str]]:
    return [(fault.code, fault.at.field) for fault in faults]


RULES: list[tuple[Callable[[Part], Faults], object, str]] = [
    (lambda p: required(p, "add it"), None, "VAL001"),
    (lambda p: required(p, "add it"), "", ""),
    (lambda p: not_empty(p, "add it"), None, "VAL001"),
    (lambda p: not_empty(p, "add it"), "", "VAL002"),
    (lambda p: not_empty(p, "add it"), [], "VAL002"),
    (lambda p: not_empty(p, "add it"), 0, ""),
    (lambda p: in_range(p, 1), 0, "VAL003"),
    (lambda p: in_range(p, 1), 1, ""),
    (lambda p: in_range(p, 1), True, ""),
    (lambda p: in_range(p, 1, 9), 10, "VAL003"),
    (port, 65536, "VAL003"),
    (port, 65535, ""),
    (positive_duration, "0s", "VAL004"),
    (positive_duration, "1ms", ""),
    (positive_duration, "soon", "VAL004"),
    (positive_duration, None, ""),
    (duration_not_negative, "-1s", "VAL004"),
    (duration_not_negative, "0s", ""),
    (percentage, 100.1, "VAL005"),
    (percentage, "100", ""),
    (percentage, "half", "VAL005"),
    (lambda p: word(p, ("A", "B")), "C", "VAL006"),
    (lambda p: word(p, ("A", "B")), "B", ""),
    (lambda p: form(p, re.compile("[a-z]+"), "a word", "use letters"), "a1", "VAL010"),
    (lambda p: form(p, re.compile("[a-z]+"), "a word", "use letters"), "a", ""),
    (lambda p: not_allowed(p, "a TCP route has none"), 1, "VAL011"),
    (lambda p: not_allowed(p, "a TCP route has none"), None, ""),
]


@pytest.mark.parametrize(("rule", "value", "code"), RULES)
def test_a_rule_speaks_of_the_field_it_was_given(
    rule: Callable[[Part], Faults], value: object, code: str
) -> None:
    assert said(rule(part(value))) == ([(code, "conf.field")] if code else [])


def test_of_fields_that_go_together_the_object_is_named() -> None:
    both, none = part({"a": 1, "b": 2}), part({})
    assert said(exactly_one(both, "a", "b")) == [("VAL007", "conf.field")]
    assert said(at_most_one(both, "a", "c")) == []
    assert said(exactly_one(none, "a", "b")) == [("VAL008", "conf.field")]
    assert said(at_least_one(none, "a")) == [("VAL008", "conf.field")]
    assert said(at_least_one(both, "a")) == []


def test_a_repetition_is_named_not_the_first() -> None:
    names = [each["name"] for each in part([{"name": "a"}, {"name": "b"}, {"name": "a"}]).items()]
    assert said(unique(names, "the name")) == [("VAL009", "conf.field[2].name")]


def test_a_key_of_a_map_is_no_field() -> None:
    ((name, value),) = part({"version": 1}).entries()
    assert (name, field_of(value.path)) == ("version", 'conf.field["version"]')
    assert field_of(("match", "kuma.io/zone")) == 'match["kuma.io/zone"]'


def test_what_is_absent_or_of_another_type_is_empty() -> None:
    text = part("x")
    assert not text["a"]
    assert not list(text.items())
    assert not list(text.entries())
    assert part([1]).text == ""
    assert part("1").number is None


@pytest.mark.parametrize("path", ["/", "/var/log/x.log", "/tmp/", "C:\\logs\\x.log"])
def test_a_path_is_a_whole_one(path: str) -> None:
    assert said(file_path(part(path))) == []
    assert said(file_path(part(f"x{path}"))) == [("VAL010", "conf.field")]


def test_a_part_can_have_another_name_for_the_peer_and_keeps_its_place() -> None:
    here = Part({"a": [1]}, ("rules", 0), lambda p: Position("f.yaml", len(p), 1, field_of(p)))
    (found,) = (item.fault("VAL001", "") for item in here.called(("from", 7))["a"].items())
    assert found.at.field == "from[7].a[0]"
    assert found.at.line == len(("rules", 0, "a", 0))


def test_what_is_empty_is_not_set() -> None:
    fields = part({"a": "", "b": [], "c": {}, "d": None, "e": 0, "f": False, "g": "x"})
    assert [name for name in "abcdefgh" if fields.set(name)] == ["e", "f", "g"]


def test_an_entry_of_a_list_is_named_by_its_value() -> None:
    (found,) = in_range(part(99, ("statuses", 0)), 100, 599)
    assert found.message == "99 is out of range; it must be between 100 and 599"
