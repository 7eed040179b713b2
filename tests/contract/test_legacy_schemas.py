"""The schemas of the legacy kinds are for editors: they have the fields of the kind's message, no
more and no fewer, by their JSON names.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import pytest

from reconciler.kds.messages import MESSAGES
from reconciler.model.kinds import KINDS
from reconciler.source.document import META_FIELDS
from tests.contract.test_schemas import INDEX, SCHEMAS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from google.protobuf.descriptor import Descriptor, FieldDescriptor

LEGACY = [name for name in INDEX if name in KINDS and KINDS[name].legacy]


@dataclass(frozen=True)
class Piece:
    """A schema and the file it stands in."""

    file: str
    schema: dict[str, Any]

    def __getitem__(self, step: str) -> Piece:
        """What is inside, and not a reference."""
        file, schema = self.file, self.schema[step]
        while "$ref" in schema:
            other, _, pointer = schema["$ref"].partition("#")
            file = other or file
            schema = SCHEMAS[file]
            for part in pointer.strip("/").split("/"):
                schema = schema[part]
        return Piece(file, schema)


def differences(piece: Piece, message: Descriptor, path: str) -> Iterator[tuple[str, str]]:
    if "properties" not in piece.schema:  # Free on purpose.
        return
    fields = {field.json_name: field for field in message.fields}
    named = piece.schema.get("properties", {}).keys() - (META_FIELDS if not path else set())
    yield from ((f"{path}.{name}", "not in the schema") for name in fields.keys() - named)
    yield from ((f"{path}.{name}", "not in the message") for name in named - fields.keys())
    for name in named & fields.keys():
        inner = Piece(piece.file, piece.schema["properties"])[name]
        yield from _of_field(inner, fields[name], f"{path}.{name}")


def _of_field(piece: Piece, field: FieldDescriptor, path: str) -> Iterator[tuple[str, str]]:
    message = field.message_type
    if message is not None and message.GetOptions().map_entry:
        message = message.fields_by_name["value"].message_type
        if message is not None:
            yield from differences(piece["additionalProperties"], message, path)
        return
    inner = piece["items"] if field.is_repeated else piece
    if field.enum_type is not None:
        known = {value.name for value in field.enum_type.values}
        strange = set(inner.schema.get("enum", [])) - known
        yield from ((path, f"{word} is not in the message") for word in strange)
    elif message is not None and not message.full_name.startswith("google.protobuf."):
        yield from differences(inner, message, path)


@pytest.mark.parametrize("type_", LEGACY)
def test_the_fields_are_those_of_the_message(type_: str) -> None:
    file, message = INDEX[type_], cast("Descriptor", MESSAGES[type_].DESCRIPTOR)
    assert list(differences(Piece(file, SCHEMAS[file]), message, "")) == []
