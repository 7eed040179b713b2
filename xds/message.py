"""Envoy's messages: made, joined from parts and encoded. The only place that knows their bytes.

They are those of envoy-data-plane, which validates each message when it is made and again, at every
level, when it is encoded: most of what a resource would cost. Ours are made by typed code and
checked by tests, so `new` makes them as the library does, without asking, and `encode` walks the
fields by a plan compiled once a class. Fields are written in the order of their numbers and maps in
that of their keys, so that equal messages give equal bytes.

A message is the concatenation of its fields. What many messages have in common is encoded once and
joined: as a `part` where a message may stand, or by a `framer` where bytes are put together.
"""

from __future__ import annotations

import datetime
import struct
import warnings
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import cache
from typing import TYPE_CHECKING, ParamSpec, TypeVar, cast
from typing import Any as AnyValue

import betterproto2

if TYPE_CHECKING:
    from envoy_data_plane.google.protobuf import Any

P = ParamSpec("P")
M = TypeVar("M", bound=betterproto2.Message)
Data = bytes | bytearray
Encoder = Callable[[AnyValue], Data]  # value -> payload without key and length
Writer = Callable[[AnyValue, bytearray], None]  # value of a field -> appended field
# Name of a field, whether it has presence (a default that is set is written), its writer.
Plan = tuple[tuple[str, bool, Writer], ...]

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5
PARTS = 4_096  # parts a builder remembers by what they are made of, those used last
_FIXED = {
    "double": ("<d", FIXED64),
    "fixed64": ("<Q", FIXED64),
    "sfixed64": ("<q", FIXED64),
    "float": ("<f", FIXED32),
    "fixed32": ("<I", FIXED32),
    "sfixed32": ("<i", FIXED32),
}
_RANGES = {
    "bool": (0, 1),
    "enum": (-(1 << 31), (1 << 31) - 1),
    "int32": (-(1 << 31), (1 << 31) - 1),
    "sint32": (-(1 << 31), (1 << 31) - 1),
    "uint32": (0, (1 << 32) - 1),
    "int64": (-(1 << 63), (1 << 63) - 1),
    "sint64": (-(1 << 63), (1 << 63) - 1),
    "uint64": (0, (1 << 64) - 1),
}
_SHORT = tuple(bytes((value,)) for value in range(128))  # varints of one byte
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


# --- making ---


def new(kind: Callable[P, M], /, *unnamed: P.args, **values: P.kwargs) -> M:
    """`kind(**values)` without its validation, at a thirtieth of the cost.

    Types are checked where this is called, by mypy; ranges of numbers and texts that are none when
    it is encoded.
    """
    assert not unnamed, "fields are given by name"
    plain, fresh = _template(kind)
    made = object.__new__(cast("type[M]", kind))
    made.__dict__ = found = {**plain, **values}
    for name, factory in fresh:
        if name not in values:
            found[name] = factory()
    return made


@cache
def _template(
    kind: type[betterproto2.Message],
) -> tuple[dict[str, AnyValue], tuple[tuple[str, type], ...]]:
    """Defaults of a class: values that may be shared, and what makes the lists and maps."""
    plain: dict[str, AnyValue] = {"_unknown_fields": b""}
    fresh: list[tuple[str, type]] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of defaults
        for field in fields(kind):  # type: ignore[arg-type]
            factory: AnyValue = field.default_factory
            if factory in (list, dict):
                fresh.append((field.name, factory))
            else:
                plain[field.name] = factory()
    return plain, tuple(fresh)


class _Part(bytes):
    """An encoded message, where a message may stand."""

    __slots__ = ()


def part(message: M) -> M:
    """The message, encoded now, as a field's value of many others. It has no fields any more: who
    would read or change it gets an AttributeError.
    """
    return cast("M", _Part(_encoded(message)))


def joined(_: type[M], *encoded: bytes) -> M:
    """A part of that class, from fields that are encoded already, in the order of their numbers."""
    return cast("M", _Part(b"".join(encoded)))


def any_of(message: betterproto2.Message) -> Any:
    """A part: the message packed into an Any under its own type URL."""
    data = _encoded(message)
    found = _type_url_field(type(message))
    return cast("Any", _Part(found + b"\x12" + _varint(len(data)) + data if data else found))


@cache
def _type_url_field(kind: type[betterproto2.Message]) -> bytes:
    """The first field of an Any; its value is the second and last."""
    url = type_url_of(kind).encode()
    return b"\x0a" + _varint(len(url)) + url


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Form:
    """An encoded message with holes: what many messages have in common, around what they have not.

    `parts`: before, between and after the holes.
    """

    parts: tuple[bytes, ...]

    def filled(self, *encoded: bytes) -> bytes:
        """The whole message. `encoded`: for each hole the field that goes there, by a framer."""
        found = [self.parts[0]]
        for field, rest in zip(encoded, self.parts[1:], strict=True):
            found += (field, rest)
        return b"".join(found)


def form(message: betterproto2.Message, *holes: str) -> Form:
    """The message's form. `holes`: fields without a value, in the order of their numbers."""
    parts = [bytearray()]
    values = message.__dict__
    for name, presence, write in _plan(type(message)):
        value = values[name]
        empty = value is None or not (presence or value)
        if name in holes:
            assert empty, f"{type(message).__name__}.{name} is filled for each message"
            parts.append(bytearray())
        elif not empty:
            write(value, parts[-1])
    return Form(tuple(map(bytes, parts)))


def type_url_of(kind: type[betterproto2.Message]) -> str:
    from envoy_data_plane.message_pool import default_message_pool

    return str(default_message_pool.type_to_url[kind])


# --- encoding ---


def encode(message: betterproto2.Message) -> bytes:
    """The message's bytes, deterministic; the library reads them back as an equal message.

    Raises ValueError for a number that its field cannot hold and for a text that is not Unicode.
    """
    return bytes(_encoded(message))


def framer(kind: type[betterproto2.Message], name: str) -> Callable[[Data], bytes]:
    """Puts bytes into a message as its field `name`: a message is the concatenation of its fields.

    For string, bytes and message fields. What differs between many resources only in a few values
    is encoded once and joined with these; fields in the order of their numbers, as `encode` does.
    """
    meta = _metadata(kind, name)
    wire_type, _ = _single(meta)
    assert wire_type == LENGTH, f"{kind.__name__}.{name} has no length"
    key = _varint(meta.number << 3 | LENGTH)

    def framed(data: Data) -> bytes:
        size = len(data)
        return key + (_SHORT[size] if size < 128 else _varint(size)) + data

    return framed


def number_framer(kind: type[betterproto2.Message], name: str) -> Callable[[int], bytes]:
    """As `framer`, for an integer without presence or in a oneof: always written."""
    meta = _metadata(kind, name)
    wire_type, encoder = _single(meta)
    assert wire_type == VARINT, f"{kind.__name__}.{name} is no integer"
    key = _varint(meta.number << 3 | VARINT)
    return lambda value: key + encoder(value)


def _metadata(kind: type[betterproto2.Message], name: str) -> betterproto2.FieldMetadata:
    (found,) = (f for f in fields(kind) if f.name == name)  # type: ignore[arg-type]
    return betterproto2.FieldMetadata.get(found)


def _encoded(message: AnyValue) -> Data:
    kind: type = type(message)
    if kind is _Part:
        return cast("bytes", message)
    out = bytearray()
    values = message.__dict__
    for name, presence, write in _plan(kind):
        value = values[name]
        # A message is asked for its presence alone: its truth would compare all of its fields.
        if value is None or not (presence or value):
            continue
        write(value, out)
    out += values["_unknown_fields"]
    return out


@cache
def _plan(kind: type[betterproto2.Message]) -> Plan:
    """All fields of a class, in the order of their numbers."""
    metas = [(f.name, betterproto2.FieldMetadata.get(f)) for f in fields(kind)]  # type: ignore[arg-type]
    metas.sort(key=lambda found: found[1].number)
    return tuple((name, _has_presence(meta), _writer(meta)) for name, meta in metas)


def _has_presence(meta: betterproto2.FieldMetadata) -> bool:
    single = not meta.repeated and meta.map_meta is None
    return single and bool(meta.optional or meta.group or meta.proto_type == "message")


def _writer(meta: betterproto2.FieldMetadata) -> Writer:
    if meta.map_meta is not None:
        return _map_writer(meta.number, *meta.map_meta)
    wire_type, encoder = _single(meta)
    key = _varint(meta.number << 3 | wire_type)
    if not meta.repeated:
        return _sized(key, encoder) if wire_type == LENGTH else _unsized(key, encoder)
    if wire_type != LENGTH:
        packed = _varint(meta.number << 3 | LENGTH)
        return _sized(packed, lambda values: b"".join(map(encoder, values)))
    return _repeated(_sized(key, encoder))


def _sized(key: bytes, encoder: Encoder) -> Writer:
    def write(value: AnyValue, out: bytearray) -> None:
        data = encoder(value)
        size = len(data)
        out += key
        out += _SHORT[size] if size < 128 else _varint(size)
        out += data

    return write


def _unsized(key: bytes, encoder: Encoder) -> Writer:
    def write(value: AnyValue, out: bytearray) -> None:
        out += key
        out += encoder(value)

    return write


def _repeated(single: Writer) -> Writer:
    def write(values: AnyValue, out: bytearray) -> None:
        for value in values:
            single(value, out)

    return write


def _map_writer(
    number: int, key_meta: betterproto2.FieldMetadata, value_meta: betterproto2.FieldMetadata
) -> Writer:
    """Entries are messages with the fields key (1) and value (2)."""
    write_key, write_value = _entry_part(1, key_meta), _entry_part(2, value_meta)

    def entry(pair: tuple[AnyValue, AnyValue]) -> bytearray:
        out = bytearray()
        write_key(pair[0], out)
        write_value(pair[1], out)
        return out

    write_entry = _sized(_varint(number << 3 | LENGTH), entry)

    def write(found: AnyValue, out: bytearray) -> None:
        for map_key in sorted(found):
            write_entry((map_key, found[map_key]), out)

    return write


def _entry_part(number: int, meta: betterproto2.FieldMetadata) -> Writer:
    wire_type, encoder = _single(meta)
    key = _varint(number << 3 | wire_type)
    return _sized(key, encoder) if wire_type == LENGTH else _unsized(key, encoder)


def _single(meta: betterproto2.FieldMetadata) -> tuple[int, Encoder]:
    """Wire type and encoder of one value of this field."""
    kind = meta.proto_type
    if kind in _FIXED:
        form, wire_type = _FIXED[kind]
        return wire_type, struct.Struct(form).pack
    if kind in _RANGES:
        return VARINT, _integer(*_RANGES[kind], zigzag=kind.startswith("sint"))
    if kind == "string":
        return LENGTH, str.encode
    if kind == "bytes":
        return LENGTH, bytes
    return LENGTH, _encoded if meta.unwrap is None else _wrapped(meta.unwrap())


def _integer(low: int, high: int, *, zigzag: bool) -> Encoder:
    def encoded(value: int) -> bytes:
        if not low <= value <= high:
            raise ValueError(f"{value} is not between {low} and {high}")
        if zigzag:
            value = value << 1 if value >= 0 else (value << 1) ^ ~0
        return _varint(value)

    return encoded


def _wrapped(kind: type[betterproto2.Message]) -> Encoder:
    """Well-known types that the library hands out as Python values: durations, times, wrappers."""
    if kind.__name__ == "Duration":
        return _duration
    if kind.__name__ == "Timestamp":
        return _timestamp
    ((name, presence, write),) = _plan(kind)
    assert (name, presence) == ("value", False), f"{kind.__name__} wraps no single value"

    def encoded(value: AnyValue) -> bytearray:
        out = bytearray()
        if value:
            write(value, out)
        return out

    return encoded


def _duration(value: datetime.timedelta) -> bytes:
    """Seconds and nanos of one sign (google.protobuf.Duration)."""
    if value.days >= 0:
        return _seconds_nanos(value.days * 86_400 + value.seconds, value.microseconds * 1000)
    span = -value
    return _seconds_nanos(-span.days * 86_400 - span.seconds, -span.microseconds * 1000)


def _timestamp(value: datetime.datetime) -> bytes:
    """Seconds since 1970, before it negative, and nanos that count forward in any case."""
    span = value - _EPOCH
    return _seconds_nanos(span.days * 86_400 + span.seconds, span.microseconds * 1000)


def _seconds_nanos(seconds: int, nanos: int) -> bytes:
    out = b"\x08" + _varint(seconds) if seconds else b""
    return out + b"\x10" + _varint(nanos) if nanos else out


def _varint(value: int) -> bytes:
    if 0 <= value < 128:
        return _SHORT[value]
    if value < 0:
        value += 1 << 64
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)
