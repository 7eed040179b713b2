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
from typing import TYPE_CHECKING, Any, cast

from reconciler.duration import parse_duration
from reconciler.schema import FAULTS_MAX, UNKNOWN_FIELD, SchemaFault, must_be, one_of, unknown_field

if TYPE_CHECKING:
    from reconciler.kds.messages import Descriptor, EnumDescriptor, FieldDescriptor
    from reconciler.schema import Path

Fields = Mapping[str, object]
_INTEGERS = {"uint32": (0, 2**32 - 1), "uint64": (0, 2**64 - 1), "int32": (-(2**31), 2**31 - 1)}
_INTEGERS["int64"] = (-(2**63), 2**63 - 1)
# google.protobuf.FieldDescriptorProto.Type
_TYPES = {1: "double", 2: "float", 3: "int64", 4: "uint64", 5: "int32", 8: "bool", 9: "string"}
_TYPES |= {12: "bytes", 13: "uint32"}
_SECONDS = re.compile(r"-?[0-9]{1,10}(\.[0-9]{1,9})?s")
_WHOLE = re.compile(r"-?(0|[1-9][0-9]*)")
_NUMBER = re.compile(rf"{_WHOLE.pattern}(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_WRAPPERS = ("Bool", "Bytes", "Double", "Float", "String", "UInt32", "UInt64", "Int32", "Int64")
_SPACE = " \t\r\n"  # of JSON
BYTE_MAX = 255
NOT_FINITE = ("NaN", "Infinity", "-Infinity")
NUMBER_MAX = 40  # characters of one in quotes
_FLOAT_MAX = 3.4028234663852886e38


@dataclass(slots=True)
class _Reading:
    """Faults in the order they are met."""

    faults: list[SchemaFault] = field(default_factory=list)

    def fault(self, path: Path, code: str, message: str) -> None:
        if len(self.faults) < FAULTS_MAX:
            self.faults.append(SchemaFault(path, code, message))

    def passed_over(self, path: Path, other: str) -> None:
        if len(self.faults) < FAULTS_MAX:
            text = f'"{path[-1]}" does not count, since "{other}" is set, too; remove one of them'
            self.faults.append(SchemaFault(path, "VAL007", text, warning=True))

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


def read_conf(message: str, data: Fields) -> tuple[Fields, tuple[SchemaFault, ...]]:
    """The same of the conf of a Mesh's backend, by the name of the message it is read as."""
    from reconciler.kds.messages import CONFS

    reading = _Reading()
    descriptor: Any = CONFS[message].DESCRIPTOR
    found = _object(reading, descriptor, data, ())
    return found, tuple(reading.faults)


def _object(reading: _Reading, message: Descriptor, data: object, path: Path) -> dict[str, object]:
    if data is None:
        return {}
    if not isinstance(data, Mapping):
        reading.fault(path, "SCH001", must_be("object", data))
        return {}
    known_names = _names(message)
    for name in data:
        if name not in known_names:
            reading.unknown((*path, name), [f.json_name for f in message.fields])
    found: dict[str, object] = {}
    chosen: dict[str, tuple[str, str]] = {}  # of each oneof: JSON name, and as written
    for known in message.fields:
        name = _written(reading, known, data, path)
        if name is None:
            continue
        found[known.json_name] = _field(reading, known, data[name], (*path, name))
        if known.containing_oneof is not None:
            earlier = chosen.get(known.containing_oneof.name)
            if earlier is not None:
                found.pop(earlier[0])
                reading.passed_over((*path, earlier[1]), name)
            chosen[known.containing_oneof.name] = (known.json_name, name)
    return found


def _written(reading: _Reading, known: FieldDescriptor, data: Fields, path: Path) -> str | None:
    """The name under which a field stands; of both, it is the JSON name that counts."""
    names = [n for n in dict.fromkeys((known.json_name, known.name)) if n in data]
    if len(names) > 1:
        reading.passed_over((*path, names[1]), names[0])
    return names[0] if names and data[names[0]] is not None else None


@lru_cache(maxsize=1024)
def _names(message: Descriptor) -> frozenset[str]:
    """Both of each field."""
    return frozenset(name for f in message.fields for name in (f.name, f.json_name))


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
    if message is None and known.enum_type is not None:
        return _enum(reading, known.enum_type, value, path)
    if message is None:
        return _scalar(reading, _TYPES[known.type], value, path)
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


def _enum(reading: _Reading, known: EnumDescriptor, value: object, path: Path) -> object:
    """A word, or a number; as for Kuma, one that no word stands for, too."""
    if value is None:
        return known.values[0].name
    if isinstance(value, str) and value in known.values_by_name:
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        reading.fault(path, "SCH004", one_of(value, [each.name for each in known.values]))
        return known.values[0].name
    number = _number(reading, "int32", value, path)
    word = cast("Mapping[object, Any]", known.values_by_number).get(number)
    return word.name if word is not None else number


def _scalar(reading: _Reading, type_: str, value: object, path: Path) -> object:
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
    if isinstance(value, list) and all(map(_is_byte, value)):
        return base64.b64encode(bytes(item or 0 for item in value)).decode()
    if not isinstance(value, str):
        reading.fault(path, "SCH001", must_be("string", value))
        return ""
    found = value.replace("\n", "").replace("\r", "")
    try:
        base64.b64decode(found, validate=True)
    except (binascii.Error, ValueError):
        text = f'"{value[:60]}" is not base64; write the bytes in it, with its padding'
        reading.fault(path, "SCH002", text)
        return ""
    return found


def _is_byte(value: object) -> bool:
    """Of a list, which Go reads as bytes as well."""
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return value is None or (is_number and 0 <= cast("int", value) <= BYTE_MAX)


def _number(reading: _Reading, type_: str, value: object, path: Path) -> object:
    whole = type_ in _INTEGERS
    if not whole and value in NOT_FINITE:
        return value
    found = _parsed(value, _WHOLE if whole else _NUMBER)
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


def _parsed(value: Any, form: re.Pattern[str]) -> int | float | None:
    """A number, also in quotes; None when it is none. `form` is that in quotes."""
    if value is None:
        return 0
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return value if not isinstance(value, float) or math.isfinite(value) else None
    text = value.strip(_SPACE) if isinstance(value, str) and len(value) <= NUMBER_MAX else ""
    if text == "null":
        return 0
    if not form.fullmatch(text):
        return None
    return int(text) if _WHOLE.fullmatch(text) else float(text)
