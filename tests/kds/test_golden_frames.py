"""Every type that travels, in each direction it travels: a document, the exact bytes, and back.

`golden/<Type>.yaml` holds the documents as people or control planes write them; beside it stand
the frames they become, `.global_to_zone.txt` and `.zone_to_global.txt`. The bytes are checked
against an encoder that knows only the field tables. `make golden` rewrites the frames; look at the
diff.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

import pytest

from reconciler.kds.codec import CarriedResource, decode_entry, encode_carried
from reconciler.kds.messages import MESSAGES
from reconciler.kds.names import resource_name, wire_name
from reconciler.kds.proto import kuma_mesh_pb2, kuma_system_pb2
from reconciler.kds.receive import accept_from_global, accept_from_zone
from reconciler.model.kinds import GLOBAL_TO_ZONE, KINDS, ZONE_TO_GLOBAL
from reconciler.model.resource import DISPLAY_NAME, ORIGIN, ZONE, Labels
from tests.support.field_tables import MESH, SYSTEM, encoded, reachable, resource_entry, tables
from tests.support.golden_frames import (
    GOLDEN,
    RELAYED,
    TO_GLOBAL,
    TO_ZONE,
    TRAVELS,
    documents,
    frames,
    spec_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xds.resource import XdsResource


def labels_of(direction: str, document: dict[str, Any]) -> dict[str, str]:
    """The labels a frame has, by the sheet's 4.2 and 4.4."""
    type_, own = document["type"], document.get("labels", {})
    if direction == TO_GLOBAL:
        return {DISPLAY_NAME: document["name"], **own, ORIGIN: "zone", ZONE: "east"}
    told = {DISPLAY_NAME: document["name"]} if KINDS[type_].hashed else {}
    zone = {ZONE: "east"} if type_ in RELAYED else {}
    return {**told, **zone, **own, ORIGIN: "global"}


def dump(frame: XdsResource) -> str:
    lines = [f"{frame.name} {len(frame.entry)} bytes"]
    for at in range(0, len(frame.entry), 32):
        part = frame.entry[at : at + 32]
        text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in part)
        lines.append(f"{part.hex():64} {text}")
    return "\n".join(lines) + "\n"


def tabled(direction: str, document: dict[str, Any], version: str) -> bytes:
    """The entry by the field tables alone."""
    type_, mesh = document["type"], document.get("mesh", "")
    labels, status = labels_of(direction, document), document.get("status")
    name = wire_name(type_, mesh, document["name"], Labels.of(labels))
    if KINDS[type_].legacy:
        full = message_name(type_)
        spec = (f"type.googleapis.com/{full}", encoded(full, spec_of(document)))
    else:
        spec = ("", _json(spec_of(document)))
    said = None if status is None or direction == TO_ZONE else _json(status)
    return resource_entry(name, mesh, labels, spec, said, version)


def message_name(type_: str) -> str:
    if type_ == "GlobalSecret":
        return f"{SYSTEM}.Secret"
    own = f"{SYSTEM}.{type_}" if type_ != "HealthCheck" else ""
    return own if own in tables().messages else f"{MESH}.{type_}"


def _json(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


@pytest.mark.parametrize(("type_", "direction"), TRAVELS)
def test_frame_is_the_golden_one(type_: str, direction: str, rewrite_golden: bool) -> None:
    found = "".join(map(dump, frames(type_, direction)))
    file = GOLDEN / f"{type_}.{direction}.txt"
    if rewrite_golden:
        file.write_text(found)
    assert file.read_text() == found, "run `make golden` if the change is meant"


@pytest.mark.parametrize(("type_", "direction"), TRAVELS)
def test_frame_is_by_the_field_tables(type_: str, direction: str) -> None:
    found = {frame.name: frame for frame in frames(type_, direction)}
    assert len(found) == len(documents(type_))
    for document in documents(type_):
        labels = Labels.of(labels_of(direction, document))
        mesh = document.get("mesh", "")
        name = resource_name(mesh, wire_name(type_, mesh, document["name"], labels))
        assert found[name].entry == tabled(direction, document, found[name].version), name


@pytest.mark.parametrize(("type_", "direction"), TRAVELS)
def test_frame_comes_back_as_its_document(type_: str, direction: str) -> None:
    wanted = {document["name"]: document for document in documents(type_)}
    for frame in frames(type_, direction):
        carried = decode_entry(type_, frame.entry)
        if direction == TO_ZONE:
            assert accept_from_global(type_, carried) is None
        else:
            carried = cast("CarriedResource", accept_from_zone("east", carried))
            assert isinstance(carried, CarriedResource), carried
        hashed = KINDS[type_].hashed
        document = wanted.pop(carried.labels[DISPLAY_NAME] if hashed else carried.name)
        assert carried.data == spec_of(document)
        assert carried.mesh == document.get("mesh", "")
        assert carried.labels == labels_of(direction, document)
        told = document.get("status") if direction == TO_GLOBAL else None
        assert carried.status == (None if told is None else _json(told).decode())
        assert encode_carried(carried) == frame
    assert wanted == {}


def test_there_are_as_many_types_as_the_sheet_has() -> None:
    assert (len(GLOBAL_TO_ZONE), len(ZONE_TO_GLOBAL)) == (45, 31)
    assert {p.stem for p in GOLDEN.glob("*.yaml")} == {*GLOBAL_TO_ZONE, *ZONE_TO_GLOBAL}


def test_no_frame_is_left_over() -> None:
    wanted = {f"{type_}.{direction}.txt" for type_, direction in TRAVELS}
    assert {path.name for path in GOLDEN.glob("*.txt")} == wanted


# --- the documents use every field; the messages are the tables' ---


def used(message: str, value: Any) -> Iterator[tuple[str, str]]:
    """(message, field) of everything that a document says."""
    if message.startswith("google."):
        return
    for row in tables().messages[message]:
        if row.json_name not in value:
            continue
        yield message, row.name
        inner = value[row.json_name]
        if row.type in tables().messages:
            many = inner.values() if row.map else inner if row.repeated else [inner]
            for each in many:
                yield from used(row.type, each)


LEGACY = sorted({t for t, _ in TRAVELS if KINDS[t].legacy})


@pytest.mark.parametrize("type_", LEGACY)
def test_golden_documents_use_every_field(type_: str) -> None:
    seen = {pair for d in documents(type_) for pair in used(message_name(type_), spec_of(d))}
    everywhere = {
        pair for t in LEGACY for d in documents(t) for pair in used(message_name(t), spec_of(d))
    }
    own = {m for m in reachable(message_name(type_)) if not m.startswith("google.")}
    missing = [
        f"{message}.{row.name}"
        for message in sorted(own)
        for row in tables().messages[message]
        if (message, row.name) not in everywhere
    ]
    top = [
        row.name
        for row in tables().messages[message_name(type_)]
        if (message_name(type_), row.name) not in seen
    ]
    assert (missing, top) == ([], [])


_SCALARS = {1: "double", 2: "float", 4: "uint64", 5: "int32", 8: "bool", 9: "string", 12: "bytes"}
_SCALARS |= {13: "uint32", 3: "int64"}


def described(descriptor: Any) -> dict[str, tuple[int, str, bool, bool, str]]:
    rows = {}
    for field in descriptor.fields:
        entry = field.message_type is not None and field.message_type.GetOptions().map_entry
        value = field.message_type.fields_by_name["value"] if entry else field
        named = value.message_type or value.enum_type
        type_ = named.full_name if named is not None else _SCALARS[value.type]
        # The one message that stands in the file of its user.
        type_ = type_.replace(f"{MESH}.DataSource", f"{SYSTEM}.DataSource")
        oneof = field.containing_oneof.name if field.containing_oneof else ""
        repeated = field.is_repeated and not entry
        rows[field.name] = (field.number, type_, repeated, entry, oneof)
    return rows


def messages_in(holder: Any) -> Iterator[Any]:
    for descriptor in holder:
        if not descriptor.GetOptions().map_entry:
            yield descriptor
            yield from messages_in(descriptor.nested_types)


def ours() -> dict[str, Any]:
    files = (kuma_mesh_pb2, kuma_system_pb2)
    return {
        d.full_name: d
        for f in files
        for d in messages_in(f.DESCRIPTOR.message_types_by_name.values())
    }


def test_messages_are_the_tables() -> None:
    """Names, numbers, types, maps and oneofs of every message; no more, no fewer."""
    envelope = {f"{MESH}.KumaResource", f"{MESH}.KumaResource.Meta", f"{MESH}.Any"}
    wanted = {
        name.replace(f"{SYSTEM}.DataSource", f"{MESH}.DataSource"): {
            row.name: (row.number, row.type, row.repeated, row.map, row.oneof) for row in rows
        }
        for name, rows in tables().messages.items()
        if name.startswith("kuma.") and name not in envelope
    }
    found = {name: described(descriptor) for name, descriptor in ours().items()}
    for name in wanted:
        assert found.get(name) == wanted[name], name
    holders = {name for name in found.keys() - wanted.keys() if found[name]}
    assert holders == set()


def test_enums_are_the_tables() -> None:
    found: dict[str, dict[str, int]] = {}
    for file in (kuma_mesh_pb2, kuma_system_pb2):
        enums = [*file.DESCRIPTOR.enum_types_by_name.values()]
        enums += [e for d in ours().values() for e in d.enum_types]
        found |= {e.full_name: {v.name: v.number for v in e.values} for e in enums}
    assert found == tables().enums


def test_every_legacy_kind_has_its_message() -> None:
    """MeshInsight is the global's own and never travels."""
    legacy = {kind.name for kind in KINDS.values() if kind.legacy}
    assert MESSAGES.keys() == legacy - {"MeshInsight"}
    for kind, message in MESSAGES.items():
        assert message.DESCRIPTOR.full_name == message_name(kind)
