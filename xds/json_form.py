"""Envoy's messages in protobuf's JSON form, read straight from their bytes.

What the library's own `parse(...).to_dict()` gives, without making, validating and looking up the
types of each message on the way: 30 ms for a resource there, a third of one here. A class is looked
at once (`_plan`). Messages with a JSON form of their own, such as durations, are few and short:
those the library writes.
"""

from __future__ import annotations

import base64
import math
import struct
from collections.abc import Callable
from dataclasses import fields
from functools import cache, lru_cache
from typing import Any, NamedTuple, cast

import betterproto2

Reader = Callable[[Any], Any]  # of the value that stands on the wire
WELL_KNOWN_KEPT = 1_024
_LENGTH = 2
_FIXED = {
    "double": "<d",
    "fixed64": "<Q",
    "sfixed64": "<q",
    "float": "<f",
    "fixed32": "<I",
    "sfixed32": "<i",
}
_SIGNED = {"int32": 32, "int64": 64, "enum": 64}
_IN_QUOTES = ("int64", "uint64", "sint64", "fixed64", "sfixed64")


class _Field(NamedTuple):
    name: str  # in JSON
    repeated: bool
    is_map: bool
    packed: int  # wire type of its values where a list of them may be packed; else -1
    presence: bool  # a default that is written counts
    read: Reader


def json_form(kind: type[betterproto2.Message], data: bytes) -> dict[str, Any]:
    """The message with these bytes, with every Any opened. Fields in the order of its class."""
    plan = _plan(kind)
    found: dict[str, Any] = {}
    for parsed in betterproto2.parse_fields(data):
        field = plan.get(parsed.number)
        if field is None:
            continue
        if field.is_map:
            key, value = field.read(parsed.value)
            found.setdefault(field.name, {})[key] = value
        elif field.repeated:
            packed = field.packed >= 0 and parsed.wire_type == _LENGTH
            values = _unpacked(parsed.value, field.packed) if packed else (parsed.value,)
            found.setdefault(field.name, []).extend(map(field.read, values))
        else:
            value = field.read(parsed.value)
            if field.presence or _counts(parsed.value):
                found[field.name] = value
            else:
                found.pop(field.name, None)
    if len(found) < 2:
        return found
    return {f.name: found[f.name] for f in plan.values() if f.name in found}


def _counts(raw: object) -> bool:
    """A number of fixed size is bytes here."""
    return any(raw) if isinstance(raw, bytes) else bool(raw)


@cache
def _plan(kind: type[betterproto2.Message]) -> dict[int, _Field]:
    """By number, in the order of the class."""
    hints = kind._type_hints()  # of all fields at once: this is what costs
    found: dict[int, _Field] = {}
    for field in fields(kind):  # type: ignore[arg-type]
        meta = betterproto2.FieldMetadata.get(field)
        inner: tuple[Any, ...] = getattr(hints[field.name], "__args__", None) or (
            hints[field.name],
        )
        if meta.map_meta is not None:
            read: Reader = _entry_reader(meta.map_meta, inner[1])
        else:
            read = _reader(meta, inner[0])
        found[meta.number] = _Field(
            str(betterproto2.Casing.CAMEL(field.name)).rstrip("_"),
            bool(meta.repeated),
            meta.map_meta is not None,
            _wire_type(meta.proto_type),
            bool(meta.optional) or meta.proto_type == "message",
            read,
        )
    return found


def _wire_type(proto_type: str) -> int:
    """Of values that may be packed."""
    if proto_type in _FIXED:
        return 1 if _FIXED[proto_type][1] in "dQq" else 5
    return -1 if proto_type in ("string", "bytes", "message", "map") else 0


def _unpacked(data: bytes, wire_type: int) -> list[Any]:
    if wire_type == 0:
        found, at = [], 0
        while at < len(data):
            value, at = betterproto2.decode_varint(data, at)
            found.append(value)
        return found
    size = 8 if wire_type == 1 else 4
    return [data[at : at + size] for at in range(0, len(data), size)]


def _reader(meta: betterproto2.FieldMetadata, type_: Any) -> Reader:
    kind = meta.proto_type
    if kind == "message":
        return _message_reader(type_ if meta.unwrap is None else meta.unwrap())
    if kind == "string":
        return lambda data: str(data, "utf-8")
    if kind == "bytes":
        return lambda data: base64.b64encode(data).decode()
    if kind == "bool":
        return bool
    if kind == "enum":
        return lambda value: _word(type_, _signed(value, 64))
    if kind in ("float", "double"):
        return lambda data: _float(struct.unpack(_FIXED[kind], data)[0])
    read = _integer_reader(kind)
    return (lambda value: str(read(value))) if kind in _IN_QUOTES else read


def _message_reader(kind: type[betterproto2.Message]) -> Reader:
    from envoy_data_plane.google.protobuf import Any as AnyMessage

    if kind is AnyMessage:
        return _opened
    if _is_plain(kind):
        return lambda data: json_form(kind, data)
    return lambda data: _well_known(kind, data)


@cache
def _is_plain(kind: type[betterproto2.Message]) -> bool:
    return kind.to_dict is betterproto2.Message.to_dict


@lru_cache(maxsize=WELL_KNOWN_KEPT)
def _well_known(kind: type[betterproto2.Message], data: bytes) -> Any:
    return kind.parse(data).to_dict()


def _opened(data: bytes) -> dict[str, Any]:
    """Of an Any: its type and what is in it."""
    from envoy_data_plane.message_pool import default_message_pool

    url, value = "", b""
    for parsed in betterproto2.parse_fields(data):
        if parsed.number == 1:
            url = str(parsed.value, "utf-8")
        elif parsed.number == 2:
            value = parsed.value
    if not url:
        return {"@type": url}
    kind = default_message_pool.url_to_type[url]
    if _is_plain(kind):
        return {"@type": url, **json_form(kind, value)}
    return {"@type": url, "value": _well_known(kind, value)}


def _entry_reader(
    metas: tuple[betterproto2.FieldMetadata, betterproto2.FieldMetadata], type_: Any
) -> Reader:
    """Of an entry of a map: its key and value."""
    readers = _reader(metas[0], None), _reader(metas[1], type_)
    defaults = _default(metas[0]), _default(metas[1])

    def read(data: bytes) -> tuple[Any, Any]:
        raw = list(defaults)
        for parsed in betterproto2.parse_fields(data):
            if parsed.number in (1, 2):
                raw[parsed.number - 1] = parsed.value
        return readers[0](raw[0]), readers[1](raw[1])

    return read


def _default(meta: betterproto2.FieldMetadata) -> object:
    wire_type = _wire_type(meta.proto_type)
    return {0: 0, 1: bytes(8), 5: bytes(4)}.get(wire_type, b"")


def _integer_reader(kind: str) -> Reader:
    if kind in _FIXED:
        return lambda data: struct.unpack(_FIXED[kind], data)[0]
    if kind in _SIGNED:
        return lambda value: _signed(value, _SIGNED[kind])
    if kind.startswith("sint"):
        return lambda value: (value >> 1) ^ -(value & 1)
    return cast("Reader", int)


def _signed(value: int, bits: int) -> int:
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


def _word(kind: Any, value: int) -> Any:
    """A number that has no word stays one."""
    found = kind(value)
    return (found.proto_name or found.name) if found.name else found.value


def _float(value: float) -> float | str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return value
