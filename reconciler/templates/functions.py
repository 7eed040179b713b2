"""The functions of Go's templates, and how values are written. Pure."""

from __future__ import annotations

import html
import re
import string
from collections.abc import Mapping
from typing import Any

from reconciler.templates.tokens import TemplateError

TEXT_MAX = 100_000
_UNQUOTED = frozenset((string.ascii_letters + string.digits + "-_.~").encode())
_VERB = re.compile(r"%([-+# 0]*)([0-9]*)(?:\.([0-9]*))?(.|\Z)", re.DOTALL)


class _Absent:
    """No value."""


ABSENT = _Absent()


class Record(dict[str, str]):
    """Values with fixed names, as a struct of Go's has: another name is a mistake, and it cannot be
    gone through.
    """


def result(name: str, values: list[Any]) -> object:
    match name:
        case "not":
            return not is_true(values[0])
        case "len":
            return _length(values[0])
        case "index":
            return _index(values[0], values[1:])
        case "slice":
            return _slice(values[0], values[1:])
        case "print":
            return _print(values)
        case "println":
            return " ".join(map(shown, values)) + "\n"
        case "printf":
            if not isinstance(values[0], str):
                raise TemplateError("printf needs a text with its form first; write one")
            return _printf(values[0], values[1:])
        case "html":
            return (
                html.escape(_print(values), quote=True)
                .replace("&#x27;", "&#39;")
                .replace("&quot;", "&#34;")
            )
        case "urlquery":
            return _quoted(_print(values))
        case "js":
            return re.sub(r"[\\'\"<>&=]", lambda m: f"\\u{ord(m[0]):04X}", _print(values))
        case "call":
            raise TemplateError("call is given what is no function; remove it")
        case _:
            return _compared(name, values)


def _quoted(text: str) -> str:
    """For the query of a URL."""
    plain = "".join(chr(byte) if byte in _UNQUOTED else f"%{byte:02X}" for byte in text.encode())
    return plain.replace("%20", "+")


def is_true(value: object) -> bool:
    return value is not ABSENT and bool(value)


def _length(value: object) -> int:
    if isinstance(value, str):
        return len(value.encode())
    if isinstance(value, Mapping) and not isinstance(value, Record):
        return len(value)
    raise TemplateError("len is given what has no length; give it a parameter")


def _whole(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TemplateError("an index is no whole number; write one")
    return value


def _index(value: object, keys: list[object]) -> object:
    if is_nothing(value):
        raise TemplateError("index is given nothing; give it a parameter")
    for key in keys:
        if isinstance(value, Mapping) and not isinstance(value, Record):
            if not isinstance(key, str):
                raise TemplateError("a parameter is named by a text; put it in quotes")
            value = value.get(key, "")
        elif isinstance(value, str):
            data = value.encode()
            place = _whole(key)
            if not 0 <= place < len(data):
                raise TemplateError(f"the text has no character {place}; correct it")
            value = data[place]
        else:
            raise TemplateError("index is given what has no parts; give it a parameter")
    return value


def _slice(value: object, places: list[object]) -> str:
    if not isinstance(value, str) or len(places) > 2:
        raise TemplateError("slice is given what is no text; give it a parameter")
    data = value.encode()
    start, end = [*map(_whole, places), *(0, len(data))[len(places) :]]
    if not 0 <= start <= end <= len(data):
        raise TemplateError(f"the text has no part {start} to {end}; correct it")
    return data[start:end].decode(errors="replace")


def _kind(value: object) -> str:
    """Of what can be compared; nothing of other things."""
    if isinstance(value, bool):
        return "bool"
    kinds = (kind.__name__ for kind in (str, int, float) if isinstance(value, kind))
    return next(kinds, "")


def _equal(first: object, others: list[Any]) -> bool:
    for other in others:
        if _kind(first) == _kind(other):
            if isinstance(first, Mapping) and isinstance(other, Mapping):
                raise TemplateError("all parameters are compared; name one of them")
            if first == other or (is_nothing(first) and is_nothing(other)):
                return True
        elif not (is_nothing(first) or is_nothing(other)):
            raise TemplateError("values of different types are compared; correct them")
    return False


def is_nothing(value: object) -> bool:
    return value is ABSENT or value is None


def _compared(name: str, values: list[Any]) -> bool:
    first, others = values[0], values[1:]
    if not others:
        raise TemplateError(f"{name} compares with nothing; give it another value")
    if name in ("eq", "ne"):
        return _equal(first, others) == (name == "eq")
    kinds = {_kind(value) for value in values}
    if len(kinds) > 1 or kinds & {"", "bool"}:
        raise TemplateError(f"{name} needs two texts or two numbers; correct them")
    is_less, is_same = bool(first < others[0]), bool(first == others[0])
    found = {"lt": is_less, "le": is_less or is_same, "gt": not (is_less or is_same)}
    return found.get(name, not is_less)


# --- values as text ---


def shown(value: object) -> str:
    if value is ABSENT:
        return "<no value>"
    if value is None:
        return "<nil>"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return _float(value)
    if isinstance(value, Record):
        return "{" + " ".join(value.values()) + "}"
    if isinstance(value, Mapping):
        inner = " ".join(f"{key}:{shown(item)}" for key, item in sorted(value.items()))
        return f"map[{inner}]"
    return str(value)


def _float(value: float) -> str:
    """Go's %v: the shortest form, with an exponent from 1e21 on."""
    exponent = abs(value) >= 1e21 or (value != 0 and abs(value) < 1e-4)
    if exponent:
        mantissa, _, power = f"{value!r}".partition("e")
        return f"{mantissa}e{int(power or 0):+03d}"
    return str(int(value)) if value.is_integer() else repr(value)


def _print(values: list[Any]) -> str:
    """Between two values, none of which is a text, there is a space."""
    found = ""
    for index, value in enumerate(values):
        if index and not isinstance(value, str) and not isinstance(values[index - 1], str):
            found += " "
        found += shown(value)
    return found


def _printf(form: str, values: list[Any]) -> str:
    rest = list(values)

    def put(found: re.Match[str]) -> str:
        flags, width, precision, verb = found[1], found[2], found[3], found[4]
        if verb == "%":
            return "%"
        if not verb:
            return "%!(NOVERB)"
        if not rest:
            return f"%!{verb}(MISSING)"
        text = _verb(verb, flags, precision, rest.pop(0))
        fill = "0" if "0" in flags and "-" not in flags else " "
        size = min(int(width or 0), TEXT_MAX)
        return text.ljust(size) if "-" in flags else text.rjust(size, fill)

    text = _VERB.sub(put, form)
    if rest:
        extra = ", ".join(f"{_type(value)}={shown(value)}" for value in rest)
        text += f"%!(EXTRA {extra})"
    return text


def _type(value: object) -> str:
    if isinstance(value, Mapping):
        return "map[string]string"
    names = {"bool": "bool", "str": "string", "int": "int", "float": "float64"}
    return names.get(type(value).__name__, "<nil>")


def _verb(verb: str, flags: str, precision: str | None, value: Any) -> str:
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    if verb == "v" or (verb == "s" and isinstance(value, str)):
        text = shown(value)
        return text[: int(precision or 0)] if precision is not None and verb == "s" else text
    if verb == "t" and isinstance(value, bool):
        return shown(value)
    if verb == "q" and isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if is_whole and verb in "dxXob":
        return f"{value:+{verb}}" if "+" in flags else f"{value:{verb}}"
    if is_whole and verb == "c":
        return chr(value) if 0 <= value < 0x110000 else "\ufffd"
    if isinstance(value, str) and verb in "xX":
        return value.encode().hex() if verb == "x" else value.encode().hex().upper()
    if isinstance(value, float) and verb in "fFeEgG":
        return f"{value:.{int(precision or 0) if precision is not None else 6}{verb}}"
    return f"%!{verb}({_type(value)}={shown(value)})"
