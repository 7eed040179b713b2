"""YAML that stands as text inside a resource, as plain data. Pure.

Such a text is read by zones, so it is read as they read it (yaml.v2 of Go): YAML 1.1 with `yes` and
`on` for true, numbers in other bases, anchors, merge keys, the last of a key that is there twice,
and of several documents the first.
"""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

NODES_MAX = 100_000  # with every alias written out
_PLAIN = "!plain"
_TEXT = "tag:yaml.org,2002:str"
_RESOLVED = frozenset(f"tag:yaml.org,2002:{name}" for name in ("int", "float", "bool", "null"))
_MERGE = "<<"
_WORDS: dict[str, object] = {"": None, "~": None, "null": None, "Null": None, "NULL": None}
for _word in ("y", "yes", "true", "on"):
    _WORDS |= dict.fromkeys((_word, _word.capitalize(), _word.upper()), True)
for _word in ("n", "no", "false", "off"):
    _WORDS |= dict.fromkeys((_word, _word.capitalize(), _word.upper()), False)
_WORDS |= {f"{sign}.{word}": math.inf for sign in ("", "+", "-") for word in ("inf", "Inf", "INF")}
_WORDS |= dict.fromkeys((".nan", ".NaN", ".NAN"), math.nan)
_BASES = (("0x", 16), ("0b", 2), ("0o", 8), ("0", 8))
_DIGITS = re.compile(r"[0-9a-f]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
INT_MIN, INT_MAX = -(2**63), 2**64 - 1


class NotYaml(Exception):
    """Why a text cannot be read, or has no meaning as JSON."""


class _Loader(yaml.CSafeLoader):
    """Leaves it to us what a plain scalar is."""

    yaml_implicit_resolvers: dict[str, Any] = {}


_Loader.add_implicit_resolver(_PLAIN, re.compile(""), None)


def embedded(text: str) -> object:
    """The data, with the keys of every object as text. Raises NotYaml."""
    try:
        return _read(text)
    except NotYaml as error:
        try:
            return json.JSONDecoder().raw_decode(text.lstrip())[0]
        except (ValueError, RecursionError):
            raise error from None


def _read(text: str) -> object:
    loader = _Loader(text)
    try:
        if not loader.check_node():
            return None
        return _value(loader.get_node(), _Count())
    except yaml.MarkedYAMLError as error:
        where = f" in its line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise NotYaml(f"is not YAML{where}: {error.problem}") from error
    except (yaml.YAMLError, RecursionError) as error:
        raise NotYaml("is not YAML; correct it") from error
    finally:
        loader.dispose()


class _Count:
    """Nodes read so far: a few aliases of aliases make millions of them."""

    def __init__(self) -> None:
        self.nodes = 0

    def one_more(self) -> None:
        self.nodes += 1
        if self.nodes > NODES_MAX:
            raise NotYaml(f"has over {NODES_MAX} values; shorten it")


def _value(node: Any, count: _Count) -> object:
    count.one_more()
    if isinstance(node, yaml.ScalarNode):
        return _finite(_scalar(node))
    if isinstance(node, yaml.SequenceNode):
        return [_value(item, count) for item in node.value]
    return dict(_entries(node, count))


def _entries(node: Any, count: _Count) -> Iterator[tuple[str, object]]:
    """A key of the object's own comes after those that it merges, and wins."""
    if not isinstance(node, yaml.MappingNode):
        raise NotYaml("merges what is no object; write the fields out")
    own = []
    for key, value in node.value:
        if _is_merge(key):
            sources = value.value if isinstance(value, yaml.SequenceNode) else [value]
            for source in reversed(sources):
                yield from _entries(source, count)
        else:
            own.append((key, value))
    for key, value in own:
        yield _key(key), _value(value, count)


def _is_merge(key: Any) -> bool:
    return isinstance(key, yaml.ScalarNode) and key.tag == _PLAIN and key.value == _MERGE


def _key(node: Any) -> str:
    key = _scalar(node) if isinstance(node, yaml.ScalarNode) else None
    if key is None:
        raise NotYaml("has a key that is no text; put it in quotes")
    if isinstance(key, bool):
        return str(key).lower()
    return f"{key:g}" if isinstance(key, float) else str(key)


def _finite(value: object) -> object:
    if isinstance(value, float) and not math.isfinite(value):
        raise NotYaml("has a number that JSON has no form for; write another")
    return value


def _scalar(node: Any) -> object:
    text = str(node.value)
    if node.tag != _PLAIN and node.tag not in _RESOLVED:
        return text
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in "+-.0123456789":
        return text
    plain = text.replace("_", "")
    number = _integer(plain)
    if number is not None:
        return number
    return float(plain) if _FLOAT.fullmatch(plain) else text


def _integer(plain: str) -> int | None:
    """As Go reads one with its base in front: 0x1f, 0b11, 0o17 and 017."""
    sign = -1 if plain[:1] == "-" else 1
    digits = plain[1:].lower() if plain[:1] in ("-", "+") else plain.lower()
    start, base = next((b for b in _BASES if digits.startswith(b[0]) and digits != "0"), ("", 10))
    digits = digits.removeprefix(start)
    if not _DIGITS.fullmatch(digits) or len(digits) > 64:
        return None
    try:
        number = sign * int(digits, base)
    except ValueError:
        return None
    return number if INT_MIN <= number <= INT_MAX else None
