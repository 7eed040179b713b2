"""The functions of Go's templates, and the values they take. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Value = str | int | float | bool | None | Mapping[str, str]
_PLAIN = re.compile(r"[a-zA-Z0-9.\-_]*")
_VERB = re.compile(r"%(.)")


class TemplateError(ValueError):
    """What is wrong with a template."""


class Beyond(Exception):
    """It may be right."""


def is_true(value: Value) -> bool:
    return bool(value) or isinstance(value, Mapping)


def shown(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return f"{{{' '.join(value.values())}}}"
    return "<no value>" if value is None else str(value)


def _printf(args: Sequence[Value]) -> Value:
    if not args or not isinstance(args[0], str):
        raise TemplateError("printf takes a format first")
    values = list(args[1:])

    def one(match: re.Match[str]) -> str:
        if match[1] == "%":
            return "%"
        if match[1] not in "svdq":
            raise Beyond
        if not values or (match[1] == "d" and not isinstance(values[0], int)):
            return f"%!{match[1]}"  # Go tells of it in the text
        text = shown(values.pop(0))
        return f'"{text}"' if match[1] == "q" else text

    text = _VERB.sub(one, args[0])
    return f"{text}%!(EXTRA)" if values else text


def _compared(args: Sequence[Value], least: int) -> None:
    if len(args) < least or len({type(each) for each in args}) > 1:
        raise TemplateError("only values of one type are compared")


def _equal(args: Sequence[Value]) -> Value:
    _compared(args, 2)
    return any(args[0] == each for each in args[1:])


def _unequal(args: Sequence[Value]) -> Value:
    _compared(args, 2)
    return args[0] != args[1]


def _ordered(args: Sequence[Value], holds: Callable[[Any, Any], bool]) -> Value:
    _compared(args, 2)
    if len(args) != 2 or isinstance(args[0], bool | Mapping) or args[0] is None:
        raise TemplateError("two texts or two numbers are compared")
    return holds(args[0], args[1])


def _negated(args: Sequence[Value]) -> Value:
    if len(args) != 1:
        raise TemplateError("not takes one value")
    return not is_true(args[0])


def _printed(args: Sequence[Value]) -> Value:
    """With a space between two of which none is a text."""
    text = ""
    for at, value in enumerate(args):
        apart = at > 0 and not isinstance(value, str) and not isinstance(args[at - 1], str)
        text += (" " if apart else "") + shown(value)
    return text


def _chosen(args: Sequence[Value], *, wanted: bool) -> Value:
    if not args:
        raise TemplateError("and and or take at least one value")
    return next((each for each in args if is_true(each) is wanted), args[-1])


def _length(args: Sequence[Value]) -> Value:
    if len(args) != 1 or not isinstance(args[0], str):
        raise TemplateError("len takes one text")
    return len(args[0].encode())


def _slice(args: Sequence[Value]) -> Value:
    text, *places = args or [None]
    if not isinstance(text, str) or len(places) > 2 or not all(_is_place(p) for p in places):
        raise TemplateError("slice takes a text and up to two places")
    begin, end = ([*places, *(None, None)])[:2]
    first, last = int(begin or 0), len(text) if end is None else int(end)  # type: ignore[arg-type]
    if not 0 <= first <= last <= len(text):
        raise TemplateError("slice goes over the end of the text")
    return text[first:last]


def _is_place(value: Value) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _called(_: Sequence[Value]) -> Value:
    raise TemplateError("there is no function to call; name it instead")


def _escaped(args: Sequence[Value]) -> Value:
    """Of what may stand in a name, nothing is escaped."""
    text = "".join(map(shown, args))
    if not _PLAIN.fullmatch(text):
        raise Beyond
    return text


def _beyond(_: Sequence[Value]) -> Value:
    raise Beyond


FUNCTIONS: Mapping[str, Callable[[Sequence[Value]], Value]] = {
    "and": lambda args: _chosen(args, wanted=False),
    "eq": _equal,
    "len": _length,
    "ne": _unequal,
    "not": _negated,
    "or": lambda args: _chosen(args, wanted=True),
    "print": _printed,
    "printf": _printf,
    "slice": _slice,
    "index": _beyond,
    "println": lambda args: f"{' '.join(map(shown, args))}\n",
    "call": _called,
    **dict.fromkeys(("html", "js", "urlquery"), _escaped),
    "ge": lambda args: _ordered(args, lambda a, b: a >= b),
    "gt": lambda args: _ordered(args, lambda a, b: a > b),
    "le": lambda args: _ordered(args, lambda a, b: a <= b),
    "lt": lambda args: _ordered(args, lambda a, b: a < b),
}
