"""Kuma's messages from the tables in tests/kds/field_tables.txt, and an encoder that reads nothing
else: golden frames are checked with it, byte for byte. It shares no code and no .proto file with
the program.
"""

from __future__ import annotations

import base64
import re
import struct
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

TABLES = Path(__file__).parents[1] / "kds" / "field_tables.txt"
MESH, SYSTEM, GOOGLE = "kuma.mesh.v1alpha1", "kuma.system.v1alpha1", "google.protobuf"
VARINTS = ("bool", "uint32", "uint64", "int32", "int64")
WRAPPERS = ("BoolValue", "BytesValue", "DoubleValue", "FloatValue", "StringValue", "UInt32Value")


@dataclass(frozen=True)
class Row:
    """One field. `type` is a scalar, or the full name of a message or enum."""

    name: str
    number: int
    type: str
    repeated: bool = False
    map: bool = False  # from text to `type`
    oneof: str = ""

    @property
    def json_name(self) -> str:
        return re.sub(r"_([a-z0-9])", lambda found: found[1].upper(), self.name)


@dataclass(frozen=True)
class Tables:
    messages: Mapping[str, tuple[Row, ...]]
    enums: Mapping[str, Mapping[str, int]]


_FIELD = re.compile(r"(\w+)=(\d+) (?:(rep) )?(?:map<string,([\w.]+)>|([\w.]+))")


@cache
def tables() -> Tables:
    lines = [line for line in TABLES.read_text().splitlines() if line and line[0] != "#"]
    named: list[tuple[str, str, bool]] = []
    package = ""
    for line in lines:
        if line.startswith("package "):
            package = line.split()[1]
            continue
        head, _, rest = line.partition(": ")
        name = head.removeprefix("enum ")
        named.append((f"{package}.{name}", rest, head != name))
    known = {name for name, _, _ in named}
    enums = {
        name: {v.split("=")[0]: int(v.split("=")[1]) for v in rest.split(", ")}
        for name, rest, is_enum in named
        if is_enum
    }
    messages = {
        name: tuple(_rows(name, rest, known)) for name, rest, is_enum in named if not is_enum
    }
    return Tables(messages, enums)


def _rows(message: str, rest: str, known: set[str]) -> Iterator[Row]:
    if rest == "(empty)":
        return
    for part in re.split(r"; (?![^{]*\})", rest):
        oneof = re.fullmatch(r"oneof (\w+)\{(.*)\}", part)
        for field in oneof[2].split(", ") if oneof else [part]:
            found = _FIELD.fullmatch(field)
            assert found is not None, (message, field)
            type_ = _resolved(message, found[4] or found[5], known)
            yield Row(
                found[1],
                int(found[2]),
                type_,
                found[3] == "rep",
                found[4] is not None,
                oneof[1] if oneof else "",
            )


def _resolved(message: str, type_: str, known: set[str]) -> str:
    """A type as written, looked up from the inside of the message outwards."""
    if type_.startswith("gp."):
        return f"{GOOGLE}.{type_[3:]}"
    if type_ in known or type_ in (*VARINTS, "string", "bytes", "double", "float"):
        return type_
    scope = message
    while scope and f"{scope}.{type_}" not in known:
        scope = scope.rpartition(".")[0]
    assert scope, (message, type_)
    return f"{scope}.{type_}"


def reachable(message: str) -> set[str]:
    """The message and all messages in it."""
    found: set[str] = set()
    waiting = [message]
    while waiting:
        name = waiting.pop()
        if name in tables().messages and name not in found:
            found.add(name)
            waiting += [row.type for row in tables().messages[name]]
    return found


# --- bytes ---


def varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def _tag(number: int, wire_type: int) -> bytes:
    return varint(number << 3 | wire_type)


def _sized(number: int, data: bytes) -> bytes:
    return _tag(number, 2) + varint(len(data)) + data


def encoded(message: str, value: Any) -> bytes:
    """The message of a JSON value: fields in the order of their numbers, maps sorted by key, and
    nothing for a plain field that is zero.
    """
    special = _special(message, value)
    if special is not None:
        return special
    rows = {row.json_name: row for row in tables().messages[message]}
    unknown = value.keys() - rows.keys()
    assert not unknown, f"{message} has no {sorted(unknown)}"
    pairs = [(rows[key], inner) for key, inner in value.items()]
    return b"".join(_field(row, inner) for row, inner in sorted(pairs, key=lambda p: p[0].number))


def _field(row: Row, value: Any) -> bytes:
    if row.map:
        return b"".join(
            _sized(row.number, _sized(1, key.encode()) + _single(Row("value", 2, row.type), inner))
            for key, inner in sorted(value.items())
        )
    if not row.repeated:
        return _single(row, value, keep=bool(row.oneof))
    if row.type in VARINTS or row.type in tables().enums:
        packed = b"".join(varint(_number(row.type, item)) for item in value)
        return _sized(row.number, packed) if value else b""
    return b"".join(_single(row, item, keep=True) for item in value)


def _single(row: Row, value: Any, *, keep: bool = False) -> bytes:
    if row.type in VARINTS or row.type in tables().enums:
        number = _number(row.type, value)
        return _tag(row.number, 0) + varint(number) if number or keep else b""
    if row.type in ("double", "float"):
        data = struct.pack("<d" if row.type == "double" else "<f", value)
        return _tag(row.number, 1 if row.type == "double" else 5) + data if value or keep else b""
    if row.type in ("string", "bytes"):
        data = value.encode() if row.type == "string" else base64.b64decode(value)
        return _sized(row.number, data) if data or keep else b""
    return _sized(row.number, encoded(row.type, value))


def _number(type_: str, value: Any) -> int:
    return tables().enums[type_][value] if type_ in tables().enums else int(value)


def _special(message: str, value: Any) -> bytes | None:
    """Google's own messages, whose JSON is not an object of their fields."""
    package, _, name = message.rpartition(".")
    if package != GOOGLE:
        return None
    row = tables().messages[message][0]
    if name in WRAPPERS:
        return _single(row, value)
    if name == "Duration":
        exact = Decimal(value.removesuffix("s"))
        return _moment(int(exact), int((exact - int(exact)) * 10**9))
    if name == "Timestamp":
        moment = datetime.fromisoformat(value.replace("Z", "+00:00"))
        return _moment(int(moment.timestamp()), moment.microsecond * 1000)
    if name == "Value":
        return _value(value)
    return _field(row, value)  # Struct and ListValue


def _moment(seconds: int, nanos: int) -> bytes:
    first, second = tables().messages[f"{GOOGLE}.Duration"]
    return _single(first, seconds) + _single(second, nanos)


def _value(value: Any) -> bytes:
    rows = {row.name: row for row in tables().messages[f"{GOOGLE}.Value"]}
    kinds = {bool: "bool", int: "number", float: "number", str: "string", dict: "struct"}
    if value is None:
        return _single(rows["null_value"], 0, keep=True)
    kind = kinds.get(type(value), "list")
    return _single(rows[f"{kind}_value"], value, keep=True)


def resource_entry(
    name: str,
    mesh: str,
    labels: Mapping[str, str],
    spec: tuple[str, bytes],
    status: bytes | None,
    version: str,
) -> bytes:
    """An entry of a response: a KumaResource in a discovery resource. `spec` is type_url and value,
    `status` JSON.
    """
    kuma: dict[str, Any] = {
        "meta": {"name": name, "mesh": mesh, "labels": dict(labels)},
        "spec": _any(*spec),
    }
    if status is not None:
        kuma["status"] = _any("", status)
    body = _any(f"type.googleapis.com/{MESH}.KumaResource", encoded(f"{MESH}.KumaResource", kuma))
    document = {"version": version, "resource": body, "name": f"{name}.{mesh}"}
    return encoded("envoy.service.discovery.v3.Resource", document)


def _any(type_url: str, value: bytes) -> dict[str, str]:
    return {"typeUrl": type_url, "value": base64.b64encode(value).decode()}
