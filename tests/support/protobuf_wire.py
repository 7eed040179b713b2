"""An independent reader of protobuf bytes, by hand: what goldens are checked with."""

from __future__ import annotations

Fields = dict[int, list[bytes | int]]


def varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7


def fields(data: bytes) -> Fields:
    """Field number -> values in order: numbers for varints, bytes for the rest."""
    found: Fields = {}
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        number, wire_type = key >> 3, key & 7
        value: bytes | int
        if wire_type == 0:
            value, at = varint(data, at)
        elif wire_type == 2:
            size, at = varint(data, at)
            value, at = data[at : at + size], at + size
        else:
            size = {1: 8, 5: 4}[wire_type]
            value, at = data[at : at + size], at + size
        found.setdefault(number, []).append(value)
    return found


def message(found: Fields, number: int, index: int = 0) -> Fields:
    value = found[number][index]
    assert isinstance(value, bytes)
    return fields(value)


def text(found: Fields, number: int, index: int = 0) -> str:
    value = found[number][index]
    assert isinstance(value, bytes)
    return value.decode()
