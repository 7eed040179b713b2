"""JSON Schema validation of documents, worded for the people who wrote them.

The schemas are files of this program; a `$ref` is looked up among them and never fetched. Unknown
fields are kept apart from errors: the peer accepts them, so they are warnings unless the repository
is strict.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

from reconciler.packaged import schemas_folder
from reconciler.schema_compiled import RANGES, compiled, has_form, has_format

if TYPE_CHECKING:  # takes a tenth of a second, and clean documents do without
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import ValidationError
    from referencing import Registry

Path = tuple[str | int, ...]
FAULTS_MAX = 100  # of one document
UNKNOWN_FIELD = "SCH005"
LATE = "late"  # the `$comment` of a form that Kuma's own schemas leave open or have no words for


@dataclass(frozen=True, slots=True)
class SchemaFault:
    """`key` says that the place meant is the key at the end of the path, not its value. `late`:
    Kuma's schema lets it pass, and what reads the document then refuses it. `meant`: the field that
    an unknown one differs from in upper and lower case alone.
    """

    path: Path
    code: str
    message: str
    unknown_field: bool = False
    key: bool = False
    warning: bool = False
    late: bool = False
    meant: str = ""


@lru_cache(maxsize=1)
def _schemas() -> tuple[Mapping[str, str], Mapping[str, Any]]:
    """From type to file, and what stands in each."""
    folder = schemas_folder()
    index = json.loads((folder / "index.json").read_text())
    read = (json.loads(path.read_text()) for path in sorted(folder.rglob("*.json")))
    return index, {contents["$id"]: contents for contents in read if "$id" in contents}


def contents_of(file: str) -> Mapping[str, Any]:
    """A schema as it stands in its file, such as `shared.json`."""
    return cast("Mapping[str, Any]", _schemas()[1][file])


def file_of(type_: str) -> str | None:
    """Where the schema of a kind stands."""
    return _schemas()[0].get(type_)


@lru_cache(maxsize=1)
def _compiled() -> Callable[[str], Callable[[object], bool]]:
    return compiled(_schemas()[1])


@lru_cache(maxsize=64)
def _is_clean(file: str) -> Callable[[object], bool]:
    return _compiled()(file)


@lru_cache(maxsize=1)
def _registry() -> Registry[Any]:
    from referencing import Registry, Resource

    pairs = ((name, Resource.from_contents(each)) for name, each in _schemas()[1].items())
    return Registry().with_resources(pairs)


def _pattern(_: object, pattern: str, instance: object, __: object) -> Iterator[ValidationError]:
    from jsonschema.exceptions import ValidationError

    if isinstance(instance, str) and not has_form(pattern, instance):
        yield ValidationError(f"{instance!r} does not match {pattern!r}")


def _format(
    _: object, name: str, instance: object, schema: Mapping[str, Any]
) -> Iterator[ValidationError]:
    """What is under a `minimum` is told by that."""
    from jsonschema.exceptions import ValidationError

    if not has_format(name, instance):
        number = instance if isinstance(instance, int | float) else 0
        if isinstance(instance, str) or number >= schema.get("minimum", number):
            yield ValidationError(f"{instance!r} is no {name}")


@lru_cache(maxsize=64)
def _validator(file: str) -> Draft202012Validator:
    from jsonschema import Draft202012Validator, validators

    keywords = {"pattern": _pattern, "format": _format}
    extended = validators.extend(Draft202012Validator, keywords)  # type: ignore[no-untyped-call]
    made = cast("type[Draft202012Validator]", extended)
    return made(_schemas()[1][file], registry=_registry())


def schema_faults(type_: str, data: object) -> tuple[SchemaFault, ...]:
    """What of a document its schema refuses, sorted by place. A type without a schema has none."""
    file = file_of(type_)
    if file is None or _is_clean(file)(data):
        return ()
    return faults_of(file, data)


def faults_of(file: str, data: object) -> tuple[SchemaFault, ...]:
    """The same of a schema that is named, and word by word."""
    found: list[SchemaFault] = []
    for error in _validator(file).iter_errors(cast("Any", data)):
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
                text = f"{name} is missing; {_about(schema, name)}"
                yield SchemaFault((*path, name), "SCH003", text)
        case "type":
            wanted = cast("str | list[str]", error.validator_value)
            names = [wanted] if isinstance(wanted, str) else [w for w in wanted if w != "null"]
            yield SchemaFault(path, "SCH001", must_be(" or ".join(names), error.instance))
        case "enum":
            values = [str(value) for value in cast("list[object]", error.validator_value)]
            yield SchemaFault(path, "SCH004", one_of(error.instance, values))
        case _:
            is_range = error.validator == "format" and error.validator_value in RANGES
            late = schema.get("$comment") == LATE or is_range
            yield SchemaFault(path, "SCH002", _worded(error, schema), late=late)


_ARTICLES = {
    "object": "an object",
    "array": "a list",
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
}


def must_be(wanted: str, value: object) -> str:
    """`wanted` is JSON Schema's name of a type, or several with "or" between them."""
    shown = " or ".join(_ARTICLES.get(name, name) for name in wanted.split(" or "))
    return f"must be {shown}, not {_shown(value)}"


def _unknown(
    error: ValidationError, schema: Mapping[str, Any], path: Path
) -> Iterator[SchemaFault]:
    known = list(schema.get("properties", {}))
    given = cast("Mapping[str, object]", error.instance)
    for name in given:
        if name not in known:
            text = unknown_field(name, known)
            same = (each for each in known if each.casefold() == name.casefold())
            meant = next((each for each in same if each not in given), "")
            yield SchemaFault((*path, name), UNKNOWN_FIELD, text, True, True, meant=meant)


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
        case "maxLength":
            return f"has over {error.validator_value} characters; write a shorter text"
        case "format" if error.validator_value in RANGES:
            least, most = RANGES[str(error.validator_value)]
            return f"{value} is out of range; write a number of {least} to {most}"
        case "format":
            return "must be base64; encode it so"
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
