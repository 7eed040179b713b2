"""A document of a legacy kind against its protobuf message: what of it the message cannot hold, and
what it can in the form that travels. Pure.

Read as Kuma reads it (golang/protobuf's jsonpb): a field by its JSON name or the one in the .proto
file, Go's durations, numbers also in quotes, null as absent. Where that passes over a field in
silence there is a fault.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from reconciler.duration import parse_duration
from reconciler.model.decode import DecodeError, fields_of
from reconciler.model.kinds import KINDS
from reconciler.schema import FAULTS_MAX, UNKNOWN_FIELD, SchemaFault, must_be, one_of, unknown_field
from reconciler.schema_defaults import filled

if TYPE_CHECKING:
    from reconciler.kds.messages import Descriptor, FieldDescriptor
    from reconciler.schema import Path

Fields = Mapping[str, object]
_INTEGERS = {"uint32": (0, 2**32 - 1), "uint64": (0, 2**64 - 1), "int32": (-(2**31), 2**31 - 1)}
_INTEGERS["int64"] = (-(2**63), 2**63 - 1)
# google.protobuf.FieldDescriptorProto.Type
_TYPES = {1: "double", 2: "float", 3: "int64", 4: "uint64", 5: "int32", 8: "bool", 9: "string"}
_TYPES |= {11: "message", 12: "bytes", 13: "uint32", 14: "enum"}
_SECONDS = re.compile(r"-?[0-9]{1,10}(\.[0-9]{1,9})?s")
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_WRAPPERS = ("Bool", "Bytes", "Double", "Float", "String", "UInt32", "UInt64", "Int32", "Int64")
_FLOAT_MAX = 3.4028234663852886e38


@dataclass(slots=True)
class _Reading:
    """Faults in the order they are met."""

    faults: list[SchemaFault] = field(default_factory=list)

    def fault(self, path: Path, code: str, message: str) -> None:
        if len(self.faults) < FAULTS_MAX:
            self.faults.append(SchemaFault(path, code, message))

    def unknown(self, path: Path, known: list[str]) -> None:
        if len(self.faults) < FAULTS_MAX:
            text = unknown_field(str(path[-1]), known)
            self.faults.append(SchemaFault(path, UNKNOWN_FIELD, text, True, True))


@lru_cache(maxsize=64)
def _message(type_: str) -> Any:
    """Loaded when a document asks for it: `validate` starts without protobuf."""
    from reconciler.kds.messages import MESSAGES

    return MESSAGES[type_].DESCRIPTOR


def read_legacy(type_: str, data: Fields) -> tuple[Fields, tuple[SchemaFault, ...]]:
    """The data as protobuf's JSON, without what is faulty, and the faults sorted by place."""
    reading = _Reading()
    found = _object(reading, _message(type_), data, ())
    faults = sorted(reading.faults, key=lambda f: (tuple(map(str, f.path)), f.code, f.message))
    return found, tuple(faults)


def _object(reading: _Reading, message: Descriptor, data: object, path: Path) -> dict[str, object]:
    if data is None:
        return {}
    if not isinstance(data, Mapping):
        reading.fault(path, "SCH001", must_be("object", data))
        return {}
    by_name = _by_name(message)
    found: dict[str, object] = {}
    chosen: dict[str, str] = {}
    for name, value in data.items():
        known = by_name.get(name)
        if known is None:
            reading.unknown((*path, name), [f.json_name for f in message.fields])
        elif value is not None and not _is_second(reading, known, name, chosen, path):
            found[known.json_name] = _field(reading, known, value, (*path, name))
    return found


@lru_cache(maxsize=1024)
def _by_name(message: Descriptor) -> Mapping[str, FieldDescriptor]:
    """By both names of each."""
    return {f.name: f for f in message.fields} | {f.json_name: f for f in message.fields}


def _is_second(
    reading: _Reading, known: FieldDescriptor, name: str, chosen: dict[str, str], path: Path
) -> bool:
    """A field that is there already under its other name, or another of its oneof is."""
    group = known.containing_oneof.name if known.containing_oneof else f"={known.name}"
    first = chosen.setdefault(group, name)
    if first == name:
        return False
    text = f'"{first}" is set, too, and only one of the two can be; remove one'
    reading.fault((*path, name), "SCH002", text)
    return True


def _field(reading: _Reading, known: FieldDescriptor, value: object, path: Path) -> object:
    if known.message_type is not None and known.message_type.GetOptions().map_entry:
        if not isinstance(value, Mapping):
            reading.fault(path, "SCH001", must_be("object", value))
            return {}
        inner = known.message_type.fields_by_name["value"]
        return {k: _single(reading, inner, v, (*path, k)) for k, v in value.items()}
    if not known.is_repeated:
        return _single(reading, known, value, path)
    if not isinstance(value, list):
        reading.fault(path, "SCH001", must_be("array", value))
        return []
    return [_single(reading, known, item, (*path, i)) for i, item in enumerate(value)]


def _single(reading: _Reading, known: FieldDescriptor, value: object, path: Path) -> object:
    message = known.message_type
    if message is None:
        values = [v.name for v in known.enum_type.values] if known.enum_type else []
        numbers = [v.number for v in known.enum_type.values] if known.enum_type else []
        return _scalar(reading, _TYPES[known.type], value, path, values, numbers)
    package, _, name = message.full_name.rpartition(".")
    if package != "google.protobuf":
        return _object(reading, message, value, path)
    if name.removesuffix("Value") in _WRAPPERS:
        return _scalar(reading, _TYPES[message.fields_by_name["value"].type], value, path)
    if name == "Duration":
        return _duration(reading, value, path)
    if name == "Struct" and not isinstance(value, Mapping):
        reading.fault(path, "SCH001", must_be("object", value))
        return {}
    return value  # A Struct holds anything; times are in no kind that stands in Git.


def _duration(reading: _Reading, value: object, path: Path) -> object:
    if not isinstance(value, str):
        reading.fault(path, "SCH001", f"{must_be('string', value)}; write it like 1m30s")
        return "0s"
    span = parse_duration(value)
    if span is None:
        reading.fault(path, "SCH002", f'"{value[:60]}" is not a duration; write it like 1m30s')
        return "0s"
    # Through float, a nanosecond would be lost.
    return value if _SECONDS.fullmatch(value) else f"{span.total_seconds():.6f}s"


def _scalar(
    reading: _Reading,
    type_: str,
    value: object,
    path: Path,
    values: list[str] | None = None,
    numbers: list[int] | None = None,
) -> object:
    """`values` and `numbers` are those of an enum."""
    match type_:
        case "bool":
            return _checked(reading, isinstance(value, bool), "boolean", value, path)
        case "string":
            found = "" if value is None else value
            if isinstance(found, bool | int | float):
                reading.fault(path, "SCH001", f"{must_be('string', value)}; put it in quotes")
                return ""
            return _checked(reading, isinstance(found, str), "string", found, path)
        case "bytes":
            return _bytes(reading, value, path)
        case "enum":
            is_number = isinstance(value, int) and not isinstance(value, bool)
            if value is None or value in (values or ()) or (is_number and value in (numbers or ())):
                return value or 0
            reading.fault(path, "SCH004", one_of(value, values or ()))
            return 0
        case _:
            return _number(reading, type_, value, path)


def _checked(reading: _Reading, fits: bool, wanted: str, value: object, path: Path) -> object:
    if value is None:
        return False
    if not fits:
        reading.fault(path, "SCH001", must_be(wanted, value))
        return False if wanted == "boolean" else ""
    return value


def _bytes(reading: _Reading, value: object, path: Path) -> object:
    if value is None:
        return ""
    if not isinstance(value, str):
        reading.fault(path, "SCH001", must_be("string", value))
        return ""
    try:
        base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        text = f'"{value[:60]}" is not base64; write the bytes in it, with its padding'
        reading.fault(path, "SCH002", text)
        return ""
    return value


def _number(reading: _Reading, type_: str, value: object, path: Path) -> object:
    whole = type_ in _INTEGERS
    found = _parsed(value)
    if found is None:
        reading.fault(path, "SCH001", must_be("integer" if whole else "number", value))
        return 0
    if not whole:
        limit = _FLOAT_MAX if type_ == "float" else math.inf
        if not math.isfinite(found) or abs(found) > limit:
            reading.fault(path, "SCH002", f"{value} is out of range; write a smaller number")
            return 0
        return found
    if found != int(found):
        reading.fault(path, "SCH001", must_be("integer", value))
        return 0
    low, high = _INTEGERS[type_]
    if not low <= found <= high:
        bound, limit_ = ("minimum", low) if found < low else ("maximum", high)
        reading.fault(path, "SCH002", f"{value} is out of range; the {bound} is {limit_}")
        return 0
    return int(found)


def _parsed(value: Any) -> int | float | None:
    """A number, also in quotes; None when it is none."""
    if value is None:
        return 0
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return value if not isinstance(value, float) or math.isfinite(value) else None
    if not isinstance(value, str) or len(value) > 40 or not _NUMBER.fullmatch(value):
        return None
    return int(value) if value.lstrip("-").isdigit() else float(value)


# --- the form that travels ---

_MESH_DURATIONS = (("dpCert", "requestTimeout"), ("rootChain", "requestTimeout"))


def normal_data(type_: str, data: Fields) -> Fields:
    """A spec as people write it, in the form that travels: with what it leaves out, and as the
    kind's protobuf message has it, whose Duration knows seconds only, while `1m30s` is allowed in
    a document.
    """
    kind = KINDS.get(type_)
    if kind is not None and not kind.legacy:
        return filled(type_, data)
    if kind is not None and type_ != "Mesh":
        return read_legacy(type_, data)[0]
    mtls = data.get("mtls")
    if type_ != "Mesh" or not isinstance(mtls, Mapping) or not mtls.get("backends"):
        return data
    backends = [_normal_backend(fields_of(item, "mtls")) for item in mtls["backends"]]
    return {**data, "mtls": {**mtls, "backends": backends}}


def _normal_backend(backend: Fields) -> Fields:
    found = dict(backend)
    for section, name in _MESH_DURATIONS:
        inner = found.get(section)
        if isinstance(inner, Mapping) and isinstance(inner.get(name), str):
            span = parse_duration(inner[name])
            if span is None:
                raise DecodeError(f"{section}.{name}", f'"{inner[name]}" is not a duration')
            found[section] = {**inner, name: f"{span.total_seconds():.6f}s"}
    return found
