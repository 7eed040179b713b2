"""The schemas are what users and their editors read: complete, described, and never fetched."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from referencing import Registry
from referencing.exceptions import Unresolvable

from reconciler.legacy_fields import read_legacy
from reconciler.model.kinds import KINDS
from reconciler.policies import POLICIES
from reconciler.schema import SchemaFault, schema_faults
from reconciler.source.document import META_FIELDS

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER = Path(__file__).parents[2] / "schemas"
FILES = sorted(FOLDER.rglob("*.json"))
SCHEMAS = {
    path.relative_to(FOLDER).as_posix(): json.loads(path.read_text())
    for path in FILES
    if path.name != "index.json"
}
INDEX: dict[str, str] = json.loads((FOLDER / "index.json").read_text())
DIALECT = "https://json-schema.org/draft/2020-12/schema"


def parts(schema: Any, path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema inside a schema that stands for a field, with its path."""
    for name, inner in schema.get("properties", {}).items():
        yield f"{path}.{name}", inner
        yield from parts(inner, f"{path}.{name}")
    for name, inner in schema.get("$defs", {}).items():
        yield f"{path}#{name}", inner
        yield from parts(inner, f"{path}#{name}")
    if isinstance(schema.get("items"), dict):
        yield from parts(schema["items"], f"{path}[]")


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if "$ref" in value:
            yield value["$ref"]
        for inner in value.values():
            yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_is_one_of_its_dialect_and_named_by_its_place(name: str) -> None:
    schema = SCHEMAS[name]
    Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == DIALECT
    assert schema["$id"] == name


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_field_has_a_title_and_a_description(name: str) -> None:
    schema = SCHEMAS[name]
    bare = [
        path
        for path, part in [(name, schema), *parts(schema, name)]
        if not (part.get("title") and part.get("description"))
    ]
    assert bare == []


@pytest.mark.parametrize("name", SCHEMAS)
def test_references_stay_among_our_files(name: str) -> None:
    for reference in references(SCHEMAS[name]):
        file, _, pointer = reference.partition("#")
        target = (FOLDER / name).parent / file if file else FOLDER / name
        assert target.resolve().is_relative_to(FOLDER)
        node = json.loads(target.read_text())
        for part in pointer.strip("/").split("/"):
            node = node[part]


@pytest.mark.parametrize("name", SCHEMAS)
def test_unknown_fields_are_seen_in_every_object(name: str) -> None:
    """An object either lists its fields and says so, or is free on purpose."""
    schema = SCHEMAS[name]
    open_objects = [
        path
        for path, part in [(name, schema), *parts(schema, name)]
        if "properties" in part and part.get("additionalProperties") is not False
    ]
    assert open_objects == []


def test_the_index_has_every_schema_and_every_policy() -> None:
    assert set(INDEX.values()) == SCHEMAS.keys() - {"shared.json"}
    assert set(INDEX) - {"reconciler.yaml", "secrets.yaml"} <= KINDS.keys()
    for policy in POLICIES:
        assert INDEX[policy.kind] == f"policies/{policy.slug}.json"


LEGACY = [name for name in INDEX if name in KINDS and KINDS[name].legacy]


@pytest.mark.parametrize("type_", [name for name in LEGACY if not KINDS[name].zone_owned])
def test_what_an_editor_passes_in_a_legacy_kind_is_read_without_fault(type_: str) -> None:
    """The verdict on these is their message's; the schema must not promise more."""
    file = FOLDER.parent / "tests" / "verdicts" / f"{Path(INDEX[type_]).stem}.yaml"
    cases = yaml.load_all(file.read_text(), yaml.CSafeLoader) if file.exists() else ()
    found = [case["document"] for case in cases if case["document"]["type"] == type_]
    passed = [document for document in found if schema_faults(type_, document) == ()]
    assert passed or not found
    for document in passed:
        spec = {name: value for name, value in document.items() if name not in META_FIELDS}
        assert read_legacy(type_, spec)[1] == (), document


def test_a_schema_is_never_fetched() -> None:
    """The library resolves what is in the registry and nothing else."""
    remote = {"$schema": DIALECT, "$ref": "http://192.0.2.1/schema.json"}
    with pytest.raises(Exception, match=r"192\.0\.2\.1") as caught:
        Draft202012Validator(remote, registry=Registry()).is_valid({})
    assert isinstance(caught.value, Unresolvable)


def faults(type_: str, data: object) -> list[tuple[tuple[str | int, ...], str]]:
    return [(fault.path, fault.code) for fault in schema_faults(type_, data)]


def test_faults_are_at_the_part_that_is_wrong() -> None:
    mesh = {
        "type": "Mesh",
        "name": "m",
        "mtls": {"backends": [{"nme": "a", "mode": "LAX"}]},
        "routing": {"zoneEgress": "yes"},
    }
    assert faults("Mesh", mesh) == [
        (("mtls", "backends", 0, "mode"), "SCH004"),
        (("mtls", "backends", 0, "name"), "SCH003"),
        (("mtls", "backends", 0, "nme"), "SCH005"),
        (("mtls", "backends", 0, "type"), "SCH003"),
        (("routing", "zoneEgress"), "SCH001"),
    ]


def test_a_near_word_is_offered() -> None:
    found = schema_faults("Mesh", {"type": "Mesh", "name": "m", "meshServices": {"mod": "x"}})
    assert found == (
        SchemaFault(
            ("meshServices", "mod"),
            "SCH005",
            'unknown field "mod"; did you mean "mode"?',
            unknown_field=True,
            key=True,
        ),
    )


def test_a_type_without_a_schema_is_not_judged() -> None:
    assert schema_faults("Workload", {"anything": 1}) == ()


def test_no_message_leaves_its_cure_out() -> None:
    """After the semicolon stands what to write, or the message names the words there are."""
    damaged = {
        "type": "MeshTimeout",
        "name": "",
        "spec": {
            "targetRef": {"kind": "Pod", "proxyTypes": "x"},
            "to": [{"targetRef": {"kind": "Mesh", "name": 5}, "default": {"idleTimeout": "x"}}],
        },
    }
    found = schema_faults("MeshTimeout", damaged)
    assert len(found) == 5
    for fault in found:
        assert re.search(r"; |must (be|not be|have)", fault.message), fault.message
