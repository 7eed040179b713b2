"""Envoy's messages from plain data, as people write them in YAML. Pure.

Read as Kuma's zones read it (golang/protobuf's jsonpb): a field by either of its names, numbers
also in quotes, Go's durations, fields that are not known passed over. The library's own reader is
stricter here and laxer there, so of the library we take what the messages are.
"""

from __future__ import annotations

import base64
import binascii
import importlib
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from typing import Any, cast, get_args, get_type_hints

import betterproto2
from envoy_data_plane.message_pool import default_message_pool

from xds.message import type_url_of
from xds.native_rules import UNKNOWN_PACKAGES, UNREAD_TYPES

Path = tuple[str | int, ...]
DEPTH_MAX = 100
FLOAT_MAX = 3.4028234663852886e38
EXPONENT_FROM = 1e21  # from here on a float is written with an exponent, and is no integer
_RANGES = {
    "int32": (-(2**31), 2**31 - 1),
    "uint32": (0, 2**32 - 1),
    "int64": (-(2**63), 2**63 - 1),
    "uint64": (0, 2**64 - 1),
}
_RANGES |= {"sint32": _RANGES["int32"], "sfixed32": _RANGES["int32"], "fixed32": _RANGES["uint32"]}
_RANGES |= {"sint64": _RANGES["int64"], "sfixed64": _RANGES["int64"], "fixed64": _RANGES["uint64"]}
_GOOGLE = "google.protobuf."
_WRAPPERS = ("Bool", "Bytes", "Double", "Float", "String", "UInt32", "UInt64", "Int32", "Int64")
_WRAPPED = frozenset(f"{_GOOGLE}{name}Value" for name in _WRAPPERS)
_ANY, _DURATION, _TIME = f"{_GOOGLE}Any", f"{_GOOGLE}Duration", f"{_GOOGLE}Timestamp"
_STRUCT, _VALUE, _LIST = f"{_GOOGLE}Struct", f"{_GOOGLE}Value", f"{_GOOGLE}ListValue"
_IN_VALUE = _WRAPPED | {_ANY, _DURATION, _TIME, _STRUCT, _VALUE, _LIST, f"{_GOOGLE}Empty"}
_TYPED_STRUCT = "xds.type.v3.TypedStruct"  # a type URL and a Struct; the library has none
_JSON_SPACE = " \t\r\n"
_INTEGER = re.compile(r"-?(0|[1-9][0-9]*)")
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_NOT_FINITE = ("NaN", "Infinity", "-Infinity")
_UNIT_NS = {"ns": 1, "us": 10**3, "µs": 10**3, "μs": 10**3, "ms": 10**6, "s": 10**9}
_UNIT_NS |= {"m": 60 * 10**9, "h": 3600 * 10**9}
_SPAN = re.compile(r"[-+]?(0|(([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+)")
_SPAN_PART = re.compile(r"([0-9]*)\.?([0-9]*)(ns|us|µs|μs|ms|s|m|h)")
_MOMENT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}([.,][0-9]+)?(Z|[-+][0-9]{2}:[0-9]{2})"
)


class Unreadable(Exception):
    """Why data is not of its type."""

    def __init__(self, path: Path, message: str) -> None:
        super().__init__(message)
        self.path = path
        self.message = message


@dataclass(frozen=True, slots=True)
class Field:
    """`kind` and `type` are of one value: "string", or "message" and its class."""

    name: str
    json_name: str
    kind: str
    type: type | None
    is_list: bool
    key: str | None  # the kind of a map's keys
    group: str | None  # its oneof
    presence: bool  # absent is another thing than empty


@dataclass(frozen=True, slots=True)
class Message:
    """What is set, by the names of the .proto file. Durations are nanoseconds, wrappers their
    values; of a Struct and a time only that they are there. `unknown` is passed over.
    """

    type: type
    values: Mapping[str, object]
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Packed:
    """What stands in an Any; None of a type that is known by its name alone."""

    message: Message | None


def message_type(full_name: str) -> type | None:
    """None when Kuma 2.14.3's zones do not know it, or the library does not."""
    parts = full_name.split(".")
    depth = next((i for i, part in enumerate(parts) if part[:1].isupper()), 0)
    package = ".".join(parts[:depth])
    if not all(part.isidentifier() for part in parts) or package in UNKNOWN_PACKAGES:
        return None
    try:
        importlib.import_module(f"envoy_data_plane.{package}")
    except ImportError:
        return None
    return default_message_pool.url_to_type.get(f"type.googleapis.com/{full_name}")


@cache
def full_name(kind: type) -> str:
    return type_url_of(kind).rpartition("/")[2]


@cache
def message_fields(kind: type) -> tuple[Field, ...]:
    """In the order of the .proto file, where of a oneof the last that is set counts."""
    hints = get_type_hints(kind, vars(sys.modules[kind.__module__]), {})
    return tuple(_field(found, hints[found.name]) for found in fields(kind))


def _field(found: Any, hint: Any) -> Field:
    meta = betterproto2.FieldMetadata.get(found)
    inner = meta if meta.map_meta is None else meta.map_meta[1]
    kind: Any = None
    if inner.unwrap is not None:
        kind = inner.unwrap()
    elif inner.proto_type in ("message", "enum"):
        choices = get_args(hint) if meta.map_meta is None else get_args(hint)[1:]
        kind = choices[0] if choices else hint
    head, *rest = found.name.split("_")
    return Field(
        name=found.name,
        json_name=head + "".join(part[:1].upper() + part[1:] for part in rest),
        kind=inner.proto_type,
        type=kind,
        is_list=bool(meta.repeated),
        key=None if meta.map_meta is None else meta.map_meta[0].proto_type,
        group=meta.group,
        presence=bool(meta.group or meta.optional or inner.proto_type == "message"),
    )


def read_message(kind: type, data: object, path: Path = ()) -> Message:
    """Raises Unreadable."""
    if data is None:
        return Message(kind, {})
    if not isinstance(data, Mapping):
        raise Unreadable(path, "must be an object with fields")
    if len(path) > DEPTH_MAX:
        raise Unreadable(path, "is nested too deep")
    values: dict[str, object] = {}
    chosen: dict[str, str] = {}
    for field in message_fields(kind):
        if field.name not in data and field.json_name not in data:
            continue
        given = data.get(field.json_name, data.get(field.name))
        if given is None and not _takes_null(field):
            continue
        values[field.name] = _value(field, given, (*path, field.name))
        if field.group is not None:
            values.pop(chosen.get(field.group, ""), None)
            chosen[field.group] = field.name
    known = _names(kind)
    return Message(kind, values, tuple(str(name) for name in data if name not in known))


@cache
def _names(kind: type) -> frozenset[str]:
    return frozenset(name for f in message_fields(kind) for name in (f.name, f.json_name))


def _takes_null(field: Field) -> bool:
    single = not field.is_list and field.key is None and field.kind == "message"
    return single and full_name(cast("type", field.type)) == _VALUE


def _value(field: Field, given: object, path: Path) -> object:
    if field.key is not None:
        if not isinstance(given, Mapping):
            raise Unreadable(path, "must be an object")
        if field.key != "string":
            given = {_scalar(field.key, None, key, path): item for key, item in given.items()}
        return {key: _single(field, item, (*path, str(key))) for key, item in given.items()}
    if field.is_list:
        if not isinstance(given, list):
            raise Unreadable(path, "must be a list")
        return [_single(field, item, (*path, index)) for index, item in enumerate(given)]
    return _single(field, given, path)


def _single(field: Field, given: object, path: Path) -> object:
    if field.kind != "message":
        return _scalar(field.kind, field.type, given, path)
    assert field.type is not None
    name = full_name(field.type)
    if not name.startswith(_GOOGLE):
        return read_message(field.type, given, path)
    return _well_known(name, field.type, given, path)


def _well_known(name: str, kind: type, given: object, path: Path) -> object:
    if given is None and name != _VALUE:
        return _scalar(message_fields(kind)[0].kind, None, None, path) if name in _WRAPPED else 0
    if name in _WRAPPED:
        return _scalar(message_fields(kind)[0].kind, None, given, path)
    if name == _DURATION:
        return _duration(given, path)
    if name == _TIME and not (isinstance(given, str) and _MOMENT.fullmatch(given)):
        raise Unreadable(path, "is not a time; write it like 2026-01-31T12:00:00Z")
    if name == _ANY:
        return Packed(read_any(given, path))
    if name == _STRUCT and not isinstance(given, Mapping):
        raise Unreadable(path, "must be an object")
    if name == _LIST and not isinstance(given, list):
        raise Unreadable(path, "must be a list")
    if name not in (_TIME, _ANY, _STRUCT, _LIST, _VALUE):
        return read_message(kind, given, path)
    return 0


def read_any(given: object, path: Path = ()) -> Message | None:
    """The message in an Any; None of a type that is known by its name alone. Raises Unreadable."""
    if not isinstance(given, Mapping):
        raise Unreadable(path, "must be an object with an @type")
    url = given.get("@type")
    if not isinstance(url, str):
        raise Unreadable(path, "needs an @type; write type.googleapis.com/ and the message's name")
    name = url.rpartition("/")[2]
    if name == _TYPED_STRUCT:
        _scalar("string", None, given.get("typeUrl", given.get("type_url")), (*path, "type_url"))
        _well_known(_STRUCT, Message, given.get("value"), (*path, "value"))
    if name in UNREAD_TYPES or name == _TYPED_STRUCT:
        return None
    kind = message_type(name)
    if kind is None:
        raise Unreadable((*path, "@type"), f'"{url[:120]}" is no type that zones know; correct it')
    if name not in _IN_VALUE:
        return read_message(kind, {k: v for k, v in given.items() if k != "@type"}, path)
    if "value" not in given:
        raise Unreadable(path, f'needs a "value", as {name} does in an Any')
    _well_known(name, kind, given["value"], (*path, "value"))
    return Message(kind, {})


def _duration(given: object, path: Path) -> int:
    if not isinstance(given, str):
        raise Unreadable(path, "must be a duration in quotes, such as 1.5s")
    if _SPAN.fullmatch(given) is None or len(given) > DEPTH_MAX:
        raise Unreadable(path, f'"{given[:60]}" is not a duration; write it like 1.5s')
    total = 0
    for whole, part, unit in _SPAN_PART.findall(given):
        size = _UNIT_NS[unit]
        total += int(whole or 0) * size + int(part or 0) * size // 10 ** len(part)
    if total > 2**63 - 1:
        raise Unreadable(path, f'"{given[:60]}" is too long; write less than 292 years')
    return -total if given.startswith("-") else total


def _scalar(kind: str, type_: type | None, given: object, path: Path) -> object:
    match kind:
        case "string":
            return _of(str, "", "text; put it in quotes", given, path)
        case "bool":
            return _of(bool, False, "true or false", given, path)
        case "bytes":
            return _bytes(given, path)
        case "enum":
            return _enum(cast("type", type_), given, path)
        case "double" | "float":
            return _real(kind, given, path)
        case _:
            return _integer(kind, given, path)


def _of(kind: type, empty: object, what: str, given: object, path: Path) -> object:
    if given is None:
        return empty
    if not isinstance(given, kind):
        raise Unreadable(path, f"must be {what}")
    return given


def _bytes(given: object, path: Path) -> bytes:
    text = _of(str, "", "bytes in base64", given, path)
    try:
        return base64.b64decode(re.sub(r"[\r\n]", "", str(text)), validate=True)
    except (binascii.Error, ValueError) as error:
        raise Unreadable(path, "is not base64; write the bytes in it, with its padding") from error


def _enum(kind: Any, given: object, path: Path) -> int:
    if isinstance(given, str):
        number = _numbers(kind).get(given)
        if number is None:
            raise Unreadable(path, f'"{given[:60]}" is none of {", ".join(_numbers(kind))}')
        return number
    return _integer("int32", given, path)


@cache
def _numbers(kind: Any) -> dict[str, int]:
    renamed: dict[str, int] = kind.betterproto_renamed_proto_names_to_value()
    again = set(renamed.values())
    return renamed | {n: int(v) for n, v in kind.__members__.items() if int(v) not in again}


def enum_numbers(kind: type) -> frozenset[int]:
    return frozenset(_numbers(kind).values())


def _integer(kind: str, given: object, path: Path) -> int:
    low, high = _RANGES[kind]
    text = given.strip(_JSON_SPACE) if isinstance(given, str) else ""
    number: int | None = None
    if given is None or text == "null":
        number = 0
    elif isinstance(given, float) and given.is_integer() and abs(given) < EXPONENT_FROM:
        number = int(given)
    elif isinstance(given, int) and not isinstance(given, bool):
        number = given
    elif _INTEGER.fullmatch(text) and len(text) < 40 and not (low == 0 and text[0] == "-"):
        number = int(text)
    if number is None:
        raise Unreadable(path, "must be a whole number")
    if not low <= number <= high:
        raise Unreadable(path, f"is {number}; it must be between {low} and {high}")
    return number


def _real(kind: str, given: object, path: Path) -> float:
    text = given.strip(_JSON_SPACE) if isinstance(given, str) else ""
    if given is None or text == "null":
        return 0.0
    if given in _NOT_FINITE:
        return float(str(given))
    is_number = isinstance(given, int | float) and not isinstance(given, bool)
    if not is_number and not (_NUMBER.fullmatch(text) and len(text) < 400):
        raise Unreadable(path, "must be a number")
    number = float(cast("Any", text or given))
    if abs(number) > (FLOAT_MAX if kind == "float" else sys.float_info.max):
        raise Unreadable(path, "is out of range; write a smaller number")
    return number
