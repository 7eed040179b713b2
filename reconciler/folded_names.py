"""Names of fields in the specs of JSON kinds, as Kuma reads them. Pure.

Its schemas tell upper from lower case, and what then reads the document does not: `idletimeout`
passes the schema as an unknown field, and counts as `idleTimeout` all the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from reconciler.schema import SchemaFault, schema_faults

if TYPE_CHECKING:
    from reconciler.schema import Path

Fields = Mapping[str, object]
ROUNDS_MAX = 20  # one for each level of names that are meant otherwise
_TYPE = "SCH001"


def read_spec(kind: str, head: Fields, spec: Fields) -> tuple[Fields, tuple[SchemaFault, ...]]:
    """The spec with the names that count, and what its schema says. `head` stands beside it."""
    faults = schema_faults(kind, {**head, "spec": spec})
    if any(not fault.unknown_field and not fault.late for fault in faults):
        return spec, faults
    told: list[SchemaFault] = []
    for _ in range(ROUNDS_MAX):
        meant = [fault for fault in faults if fault.meant and fault.path[:1] == ("spec",)]
        if not meant:
            break
        for fault in meant:
            text = f'"{fault.path[-1]}" counts as "{fault.meant}"; write it so'
            told.append(replace(fault, message=text))
            spec = cast("Fields", _renamed(spec, fault.path[1:], fault.meant))
        # Of what was meant otherwise, the schema has seen nothing; that which reads it asks for
        # types alone.
        again = schema_faults(kind, {**head, "spec": spec})
        faults = tuple(f for f in again if f.unknown_field or f.late or f.code == _TYPE)
    return spec, (*told, *faults)


def _renamed(value: object, path: Path, name: str) -> object:
    """With the field at the path under another name. The schema does not refuse a null in it."""
    step, *rest = path
    if isinstance(value, list):
        return [
            _renamed(item, tuple(rest), name) if index == step else item
            for index, item in enumerate(value)
        ]
    fields = cast("Fields", value)
    if rest:
        inner = _renamed(fields[str(step)], tuple(rest), name)
        return {key: inner if key == step else held for key, held in fields.items()}
    moved = _without_nulls(fields[str(step)])
    others = {key: held for key, held in fields.items() if key != step}
    return others if moved is None else {**others, name: moved}


def _without_nulls(value: object) -> object:
    if isinstance(value, Mapping):
        return {key: _without_nulls(held) for key, held in value.items() if held is not None}
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value
