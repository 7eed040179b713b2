"""Whether data that people write is a resource that Envoy's API allows. Pure.

Read as its type says, then asked by the rules of `native_rules`. Loading this loads
envoy-data-plane: it is imported where a document has such a resource, and not before.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from xds.native_json import (
    Field,
    Message,
    Packed,
    Path,
    Unreadable,
    enum_numbers,
    full_name,
    message_fields,
    message_type,
    read_any,
    read_message,
)
from xds.native_rules import native_rules

SECOND_NS = 1_000_000_000
_EMPTY: dict[str, object] = {"string": "", "bytes": b"", "bool": False}
_FORMS = {
    "header-name": re.compile(r":?[0-9a-zA-Z!#$%&'*+\-.^_|~`]+"),
    "header-value": re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]*"),
    "header-name-loose": re.compile(r"[^\x00\n\r]*"),
    "header-value-loose": re.compile(r"[^\x00\n\r]*"),
}
_WORDS = {
    "header-name": "must be the name of a header",
    "header-value": "must be the value of a header",
    "header-name-loose": "must not have line breaks",
    "header-value-loose": "must not have line breaks",
}
_BOUND = re.compile(r"(chars|bytes|items|)(>=|<=|>|<)([0-9.]+)")
_HOLDS: dict[str, Callable[[float, float], bool]] = {
    ">=": lambda number, bound: number >= bound,
    "<=": lambda number, bound: number <= bound,
    ">": lambda number, bound: number > bound,
    "<": lambda number, bound: number < bound,
}
_SHOWN = {">=": "at least", "<=": "at most", ">": "greater than", "<": "less than"}
_UNITS = {"chars": " characters", "bytes": " bytes", "items": " entries", "": ""}
_ELSEWHERE = ("required", "one", "if-set", "unasked")


@dataclass(frozen=True, slots=True)
class Judged:
    """`fault`: what is wrong with data as a message; None when it is one. `unknown`: fields that
    the message does not have, and that are passed over.
    """

    fault: str | None = None
    unknown: tuple[str, ...] = ()


def judged(type_name: str, data: object, *, whole: bool) -> Judged:
    """With `whole` the values are asked, too; a part that is to be merged into another message
    cannot be.
    """
    kind = message_type(type_name)
    assert kind is not None, type_name
    return _judged(lambda: read_message(kind, data), whole=whole)


def judged_any(data: object) -> Judged:
    """The same for a whole resource that names its type in `@type`."""
    return _judged(lambda: read_any(data), whole=True)


def _judged(read: Callable[[], Message | None], *, whole: bool) -> Judged:
    try:
        message = read()
    except Unreadable as error:
        return Judged(_said(error.path, error.message))
    if message is None:
        return Judged()
    fault = next(_broken(message, ()), None) if whole else None
    return Judged(fault, tuple(_passed_over(message, ())))


def _passed_over(value: object, path: Path) -> Iterator[str]:
    """Places of the fields that no message has, those in an Any among them."""
    match value:
        case Message():
            yield from (_place((*path, name)) for name in value.unknown)
            for name, inner in value.values.items():
                yield from _passed_over(inner, (*path, name))
        case Packed(message):
            yield from _passed_over(message, path)
        case list():
            for index, item in enumerate(value):
                yield from _passed_over(item, (*path, index))
        case dict():
            for key, item in value.items():
                yield from _passed_over(item, (*path, key))


def _said(path: Path, text: str) -> str:
    if not path:
        return f"the resource {text}"
    return f"{_place(path)} {text}"


def _place(path: Path) -> str:
    parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return "".join(parts).removeprefix(".")


def _broken(message: Message, path: Path) -> Iterator[str]:
    """Every rule that the message breaks, and those in it."""
    rules = native_rules().get(full_name(message.type), {})
    fields = message_fields(message.type)
    for name, asked in rules.items():
        if asked == ("one",):
            yield from _none_of(message, [f.name for f in fields if f.group == name], path)
    for field in fields:
        asked = rules.get(field.name, ())
        if not asked and field.name not in message.values:
            continue  # Nearly every one.
        here = (*path, field.name)
        if asked:
            yield from _field_faults(field, asked, message, here)
        if field.name in message.values and "unasked" not in asked:
            yield from _inside(message.values.get(field.name), here)


def _none_of(message: Message, names: list[str], path: Path) -> Iterator[str]:
    if not message.values.keys() & set(names):
        yield _said(path, f"needs one of {', '.join(names)}")


def _inside(value: object, path: Path) -> Iterator[str]:
    if isinstance(value, Message):
        yield from _broken(value, path)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _inside(item, (*path, index))
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _inside(item, (*path, key))


def _field_faults(
    field: Field, rules: tuple[str, ...], message: Message, path: Path
) -> Iterator[str]:
    value = message.values.get(field.name)
    if value is None:
        if "required" in rules and (field.group is None or field.name in message.values):
            yield _said(path, "is missing")
        if field.is_list or field.key is not None:
            value = []
        elif field.presence:
            return
        else:
            value = _EMPTY.get(field.kind, 0)
    if "if-set" in rules and not value:
        return
    for rule in rules:
        for part, place in _asked(rule, value, path):
            text = _refusal(rule.rpartition(":")[2], part, field)
            if text is not None:
                yield _said(place, text)


def _asked(rule: str, value: Any, path: Path) -> Iterator[tuple[object, Path]]:
    """The values that a rule is about."""
    if rule.startswith("each:"):
        yield from ((item, (*path, index)) for index, item in enumerate(value))
    elif rule.startswith("key:"):
        yield from ((key, (*path, key)) for key in value)
    else:
        yield value, path


def _refusal(rule: str, value: Any, field: Field) -> str | None:
    bound = _BOUND.fullmatch(rule)
    if bound is not None:
        return _beyond(bound[1], bound[2], bound[3], value, field)
    if rule in _FORMS:
        return None if _FORMS[rule].fullmatch(value) else _WORDS[rule]
    if rule == "known":
        numbers = enum_numbers(cast("type", field.type))
        return None if value in numbers else f"is {value}, which stands for nothing"
    if rule == "unique":
        return None if len(set(value)) == len(value) else "has an entry twice"
    if rule == "is-true":
        return None if value else "must be true"
    name, _, wanted = rule.partition("=")
    return _worded(name, wanted, value)


def _beyond(unit: str, sign: str, limit: str, value: Any, field: Field) -> str | None:
    number: float
    if unit == "bytes":
        number = len(value.encode() if isinstance(value, str) else value)
    elif unit:
        number = len(value)
    else:
        is_time = field.kind == "message" and full_name(cast("type", field.type)).endswith(
            ".Duration"
        )
        number = value / SECOND_NS if is_time else value
    if math.isnan(number) or _HOLDS[sign](number, float(limit)):  # As the zones compare.
        return None
    if unit and limit == "1" and sign == ">=":
        return "must not be empty"
    seconds = "s" if not unit and isinstance(number, float) and number != value else ""
    return f"must be {_SHOWN[sign]} {limit}{_UNITS[unit] or seconds}"


def _worded(name: str, wanted: str, value: Any) -> str | None:
    match name:
        case "in":
            return None if value in wanted.split(",") else f"must be one of {wanted}"
        case "not-in":
            return "cannot be that" if str(value) in wanted.split(",") else None
        case "prefix":
            return None if value.startswith(wanted) else f"must begin with {wanted}"
        case "suffix":
            return None if value.endswith(wanted) else f"must end with {wanted}"
        case "pattern":
            return None if re.search(wanted, value) else f"must have the form {wanted}"
        case "not-between":
            low, high = map(float, wanted.split(","))
            inside = low < value / SECOND_NS < high
            return f"must not be between {low:g}s and {high:g}s" if inside else None
        case _:
            assert name in _ELSEWHERE, name
            return None
