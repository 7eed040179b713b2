"""JSON Schema validation of documents, worded for the people who wrote them.

The schemas are files of this program; a `$ref` is looked up among them and never fetched. Unknown
fields are kept apart from errors: the peer accepts them, so they are warnings unless the repository
is strict.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

from jsonschema import Draft202012Validator, validators
from jsonschema.exceptions import ValidationError
from referencing import Registry, Resource

from reconciler.packaged import schemas_folder

Path = tuple[str | int, ...]
FAULTS_MAX = 100  # of one document
UNKNOWN_FIELD = "SCH005"


@dataclass(frozen=True, slots=True)
class SchemaFault:
    """`key` says that the place meant is the key at the end of the path, not its value."""

    path: Path
    code: str
    message: str
    unknown_field: bool = False
    key: bool = False
    warning: bool = False


PATTERN_LENGTH_MAX = 4096  # of a text whose form is checked; some forms take more than linear time


def _pattern(_: object, pattern: str, instance: object, __: object) -> Iterator[ValidationError]:
    """`$` is the end of the text, as JSON Schema means it; Python's lets a line break follow."""
    whole = rf"{pattern[:-1]}\Z" if pattern.endswith("$") else pattern
    if not isinstance(instance, str):
        return
    if len(instance) > PATTERN_LENGTH_MAX or re.search(whole, instance) is None:
        yield ValidationError(f"{instance!r} does not match {pattern!r}")


_Validator = cast(
    "type[Draft202012Validator]",
    validators.extend(Draft202012Validator, {"pattern": _pattern}),  # type: ignore[no-untyped-call]
)


@lru_cache(maxsize=1)
def _schemas() -> tuple[Mapping[str, str], Registry[Any]]:
    folder = schemas_folder()
    index = json.loads((folder / "index.json").read_text())
    resources = []
    for path in sorted(folder.rglob("*.json")):
        contents = json.loads(path.read_text())
        if "$id" in contents:
            resources.append((contents["$id"], Resource.from_contents(contents)))
    return index, Registry().with_resources(resources)


def contents_of(file: str) -> Mapping[str, Any]:
    """A schema as it stands in its file, such as `shared.json`."""
    return cast("Mapping[str, Any]", _schemas()[1].contents(file))


def file_of(type_: str) -> str | None:
    """Where the schema of a kind stands."""
    return _schemas()[0].get(type_)


@lru_cache(maxsize=64)
def _validator(type_: str) -> Draft202012Validator | None:
    index, registry = _schemas()
    name = index.get(type_)
    if name is None:
        return None
    return _Validator(registry.contents(name), registry=registry)


def has_schema(type_: str) -> bool:
    return type_ in _schemas()[0]


def is_general(type_: str) -> bool:
    """Whether its schema knows only what all policies share."""
    return _schemas()[0].get(type_) == "policy.json"


def schema_faults(type_: str, data: object) -> tuple[SchemaFault, ...]:
    """What of a document its schema refuses, sorted by place. A type without a schema has none."""
    validator = _validator(type_)
    if validator is None:
        return ()
    found: list[SchemaFault] = []
    for error in validator.iter_errors(cast("Any", data)):
        found += _faults(error)
        if len(found) >= FAULTS_MAX:
            break
    # A missing field is an error of its own for each missing one, and each tells of all.
    return tuple(sorted(set(found), key=lambda f: (tuple(map(str, f.path)), f.code, f.message)))


def _faults(error: ValidationError) -> Iterator[SchemaFault]:
    schema = cast("Mapping[str, Any]", error.schema)
    path = tuple(error.absolute_path)
    match error.validator:
        case "additionalProperties":
            yield from _unknown(error, schema, path)
        case "required":
            missing = [
                str(name)
                for name in cast("list[str]", error.validator_value)
                if name not in cast("Mapping[str, object]", error.instance)
            ]
            for name in missing:
                yield SchemaFault(path, "SCH003", f"{name} is missing; {_about(schema, name)}")
        case "type":
            wanted = cast("str | list[str]", error.validator_value)
            name = wanted if isinstance(wanted, str) else " or ".join(wanted)
            yield SchemaFault(path, "SCH001", must_be(name, error.instance))
        case "enum":
            values = [str(value) for value in cast("list[object]", error.validator_value)]
            yield SchemaFault(path, "SCH004", one_of(error.instance, values))
        case _:
            yield SchemaFault(path, "SCH002", _worded(error, schema))


_ARTICLES = {
    "object": "an object",
    "array": "a list",
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
}


def must_be(wanted: str, value: object) -> str:
    """`wanted` is JSON Schema's name of a type."""
    return f"must be {_ARTICLES.get(wanted, wanted)}, not {_shown(value)}"


def _unknown(
    error: ValidationError, schema: Mapping[str, Any], path: Path
) -> Iterator[SchemaFault]:
    known = list(schema.get("properties", {}))
    for name in cast("Mapping[str, object]", error.instance):
        if name not in known:
            text = unknown_field(name, known)
            yield SchemaFault((*path, name), UNKNOWN_FIELD, text, True, True)


def unknown_field(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    hint = f'did you mean "{near[0]}"?' if near else f"known here: {', '.join(known)}"
    return f'unknown field "{name}"; {hint}'


def _about(schema: Mapping[str, Any], name: str) -> str:
    field_schema = schema.get("properties", {}).get(name, {})
    text = str(field_schema.get("description", "") or "add it")
    return _lower(text).rstrip(".")


def _lower(sentence: str) -> str:
    """For use after a semicolon."""
    return sentence[:1].lower() + sentence[1:]


def one_of(value: object, values: Sequence[str]) -> str:
    near = difflib.get_close_matches(str(value), values, n=1)
    hint = f' (did you mean "{near[0]}"?)' if near else ""
    return f"must be one of {', '.join(values)}, not {_shown(value)}{hint}"


def _worded(error: ValidationError, schema: Mapping[str, Any]) -> str:
    value = _shown(error.instance)
    match error.validator:
        case "minimum" | "maximum":
            return f"{value} is out of range; the {error.validator} is {error.validator_value}"
        case "minItems":
            return f"must have at least {error.validator_value} entry"
        case "maxItems":
            return f"must have at most {error.validator_value} entries"
        case "minLength":
            return "must not be empty"
        case "const":
            return f"must be {error.validator_value}, not {value}"
        case _ if schema.get("title") and schema.get("description"):
            about = str(schema["description"]).rstrip(".")
            return f"{value} is not allowed as {str(schema['title']).lower()}; {_lower(about)}"
        case _:
            return f"{value} has a form that is not allowed here"


def _shown(value: object) -> str:
    if isinstance(value, str):
        return f'"{value[:60]}"'
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, list):
        return "a list"
    return json.dumps(value)
