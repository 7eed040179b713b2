"""JSON Schemas of what is served: of each kind as far as it has one, of lists, of errors. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reconciler.model.kinds import KINDS
from reconciler.rest.paths import SHOWN
from reconciler.schema import contents_of, file_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.model.kinds import Kind

SHARED = "shared.json"
_TIME = {"type": "string", "format": "date-time"}
_LABELS = {"type": "object", "additionalProperties": {"type": "string"}}
_FIELDS = {"type": "array", "items": {"type": "object", "additionalProperties": {"type": "string"}}}
ERROR: Mapping[str, Any] = {
    "type": "object",
    "required": ["type", "status", "title", "detail", "details"],
    "properties": {
        "type": {"const": "/std-errors"},
        "status": {"type": "integer"},
        "title": {"type": "string", "minLength": 1},
        "detail": {"type": "string"},
        "details": {"type": "string"},
        "invalid_parameters": _FIELDS,
        "causes": _FIELDS,
    },
}


def ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def all_schemas() -> dict[str, Any]:
    """By the name that endpoints refer to."""
    found: dict[str, Any] = {"Error": ERROR}
    for name, part in contents_of(SHARED)["$defs"].items():
        found[_shared(name)] = _rewritten(part, SHARED)
    for kind in SHOWN:
        found[kind.name] = _resource(kind)
        found[f"{kind.name}List"] = _list(kind.name)
        found.update(_own_parts(kind))
    return found


def _list(name: str) -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["total", "items", "next"],
        "properties": {
            "total": {"type": "integer", "minimum": 0},
            "items": {"type": "array", "items": ref(name)},
            "next": {"type": ["string", "null"]},
        },
    }


def _head(kind: Kind) -> dict[str, Any]:
    found: dict[str, Any] = {
        "type": {"const": kind.name},
        "name": {"type": "string", "minLength": 1},
        "creationTime": _TIME,
        "modificationTime": _TIME,
        "labels": _LABELS,
    }
    if kind.mesh_scoped:
        found["mesh"] = {"type": "string", "minLength": 1}
    if kind.short:
        found["kri"] = {"type": "string", "pattern": f"^kri_{kind.short}_"}
    return found


def _resource(kind: Kind) -> dict[str, Any]:
    """In the universal form, or that of Kubernetes where a client asks for it."""
    properties = {**_own_fields(kind), **_head(kind)}
    required = ["type", "name", *(["mesh"] if kind.mesh_scoped else [])]
    if not kind.legacy:
        properties.setdefault("spec", {"type": "object"})
        properties["status"] = {"type": "object"}
        required.append("spec")
    universal = {"type": "object", "required": required, "properties": properties}
    kubernetes = {
        "type": "object",
        "required": ["apiVersion", "kind", "metadata", "spec"],
        "properties": {"kind": {"const": kind.name}, "metadata": {"type": "object"}},
    }
    return {"title": kind.name, "anyOf": [universal, kubernetes]}


def _own_fields(kind: Kind) -> dict[str, Any]:
    """As its schema has them; a zone may tell of more than we would take from a file."""
    file = file_of(kind.name)
    if file is None:
        return {}
    is_strict = not KINDS[kind.name].zone_owned
    properties = contents_of(file)["properties"]
    fields: dict[str, Any] = _rewritten(properties, file, is_strict=is_strict)
    return fields


def _own_parts(kind: Kind) -> dict[str, Any]:
    """What its schema refers to within itself."""
    file = file_of(kind.name)
    parts = contents_of(file).get("$defs", {}) if file is not None else {}
    return {_named(file or "", name): _rewritten(part, file or "") for name, part in parts.items()}


def _shared(name: str) -> str:
    return _named(SHARED, name)


def _named(file: str, name: str) -> str:
    """A part of a schema, by the file that it stands in."""
    return f"{file.rpartition('/')[2].removesuffix('.json')}.{name}"


def _rewritten(value: Any, file: str, *, is_strict: bool = True) -> Any:
    """With what it refers to where the document has it."""
    if isinstance(value, list):
        return [_rewritten(inner, file, is_strict=is_strict) for inner in value]
    if not isinstance(value, dict):
        return value
    found = {
        key: _rewritten(inner, file, is_strict=is_strict)
        for key, inner in value.items()
        if is_strict or key != "additionalProperties" or inner is not False
    }
    given = found.get("$ref")
    if isinstance(given, str):
        other, _, pointer = given.partition("#")
        found.update(ref(_named(other or file, pointer.rpartition("/")[2])))
    return found
