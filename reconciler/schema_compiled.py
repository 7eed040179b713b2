"""Says of a document, in microseconds, that its schema has nothing against it. Pure.

`schema` asks here first: of ten thousand policies nearly all are clean, and wording faults is what
its own library is for. Forms of texts are checked by Python's expressions, the same ones in both,
so that no dialect can tell the two apart; tests/property/test_schema_laws.py holds them equal.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import jsonschema_rs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

PATTERN_LENGTH_MAX = 4096  # of a text whose form is checked; some forms take more than linear time
_BASE = "schema:///"  # a reference is resolved against it, among the files of this program
_FORM = "form"  # our keyword in the place of `pattern`


def has_form(pattern: str, text: str) -> bool:
    """`$` is the end of the text, as JSON Schema means it; Python's lets a line break follow."""
    if len(text) > PATTERN_LENGTH_MAX:
        return False
    whole = rf"{pattern[:-1]}\Z" if pattern.endswith("$") else pattern
    return re.search(whole, text) is not None


RANGES = {"int32": (-(2**31), 2**31 - 1), "int64": (-(2**63), 2**63 - 1)}
BASE64 = "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{4})$"


def has_format(name: str, value: object) -> bool:
    """The range of a whole number, and bytes in base64; other formats are for editors."""
    if name in RANGES and isinstance(value, int | float) and not isinstance(value, bool):
        least, most = RANGES[name]
        return least <= value <= most
    return name != "byte" or not isinstance(value, str) or has_form(BASE64, value)


class _Form:
    """The keyword, as jsonschema-rs wants one: an exception says no."""

    def __init__(self, _: dict[str, Any], pattern: str, __: list[str | int]) -> None:
        self.pattern = pattern

    def validate(self, instance: object) -> None:
        if isinstance(instance, str) and not has_form(self.pattern, instance):
            raise ValueError


def compiled(schemas: Mapping[str, Any]) -> Callable[[str], Callable[[object], bool]]:
    """From the name of a schema to what says whether a document is clean. A reference to anything
    but these schemas is an error here; nothing is fetched.
    """
    contents = {name: _prepared(schema, name) for name, schema in schemas.items()}
    registry = jsonschema_rs.Registry(
        [(_BASE + name, schema) for name, schema in contents.items()],
        draft=jsonschema_rs.Draft202012,
    )

    def check(name: str) -> Callable[[object], bool]:
        validator = jsonschema_rs.Draft202012Validator(
            contents[name],
            registry=registry,
            offline=True,
            validate_formats=False,
            keywords={_FORM: _Form},
        )

        def is_clean(document: object) -> bool:
            try:
                return validator.is_valid(document)
            except ValueError:  # no JSON, such as half of a surrogate pair: for the other to word
                return False

        return is_clean

    return check


def _prepared(schema: Any, name: str) -> Any:
    return {**_with_forms(schema), "$id": _BASE + name}


def _with_forms(node: Any) -> Any:
    if isinstance(node, list):
        return [_with_forms(item) for item in node]
    if not isinstance(node, dict):
        return node
    made = {
        _FORM if key == "pattern" and isinstance(value, str) else key: _with_forms(value)
        for key, value in node.items()
    }
    format_ = node.get("format")  # of a schema a text, of its properties another schema
    if format_ == "byte":
        made[_FORM] = BASE64
    elif isinstance(format_, str) and format_ in RANGES:
        least, most = RANGES[format_]
        made["allOf"] = [{"minimum": least, "maximum": most}]
    return made
