"""A document is clean for the compiled schemas exactly when jsonschema finds no fault in it."""

from __future__ import annotations

import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from reconciler.schema import _is_clean, _schemas, faults_of
from reconciler.schema_compiled import PATTERN_LENGTH_MAX, compiled

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
INDEX, CONTENTS = _schemas()
ODD: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 1.0, 1.5, 2**63, 2**64 - 1, -(2**63), 1e300, "", "x", "5s", "5s\n",
    "0", "on", "1.5", "Mesh", "a" * PATTERN_LENGTH_MAX, "1" * (PATTERN_LENGTH_MAX + 1), "\ud800",
    "e\u0301", "\u0664", [], {}, [1, True, 1.0], {"kind": "Mesh"}, {"": None},
)  # fmt: skip


def instance(dice: random.Random, schema: Any, file: str, depth: int = 0) -> Any:
    """Nearly what the schema wants: one part in some is another."""
    if dice.random() < 0.04 or depth > 9 or not isinstance(schema, dict):
        return dice.choice(ODD)
    if "$ref" in schema:
        return instance(dice, *_target(schema["$ref"], file), depth)
    for several in ("oneOf", "anyOf", "allOf"):
        if several in schema and dice.random() < 0.7:
            return instance(dice, dice.choice(schema[several]), file, depth)
    for exact in ("enum", "const"):
        if exact in schema:
            return dice.choice(schema[exact]) if exact == "enum" else schema[exact]
    type_ = schema.get("type")
    match type_[0] if isinstance(type_, list) else type_:
        case "object":
            return _object(dice, schema, file, depth)
        case "array":
            items = schema.get("items", {})
            return [
                instance(dice, items, file, depth + 1)
                for _ in range(dice.randrange(schema.get("minItems", 0), 3))
            ]
        case "string":
            return dice.choice(("5s", "1h30m", "10%", "a-b", "500", "/x", "", "Q0E=", "x y"))
        case "integer" | "number":
            edge = schema.get("minimum", 0), schema.get("maximum", 2**32)
            return dice.choice((*edge, edge[0] - 1, edge[1] + 1, 1, 1.0, 0.5))
        case "boolean":
            return dice.choice((True, False))
        case _:
            return dice.choice(ODD)


def _object(dice: random.Random, schema: dict[str, Any], file: str, depth: int) -> Any:
    required = schema.get("required", [])
    found = {
        name: instance(dice, inner, file, depth + 1)
        for name, inner in schema.get("properties", {}).items()
        if dice.random() < (0.97 if name in required else 0.4)
    }
    free = schema.get("additionalProperties")
    for name in required if isinstance(free, dict) else ():
        found.setdefault(name, instance(dice, free, file, depth + 1))
    if dice.random() < 0.05 or not (found or schema.get("properties")):
        found[dice.choice(("odd", "kuma.io/service", "", "x" * 300))] = dice.choice(ODD)
    return found


def _target(reference: str, file: str) -> tuple[Any, str]:
    path, _, inside = reference.partition("#")
    if path:
        file = path.removeprefix("../") if path.startswith("../") else _beside(path, file)
    at: Any = CONTENTS[file]
    for part in filter(None, inside.split("/")):
        at = at[part]
    return at, file


def _beside(path: str, file: str) -> str:
    folder = file.rpartition("/")[0]
    return f"{folder}/{path}" if folder else path


@given(st.sampled_from(sorted(set(INDEX.values()))), st.randoms(use_true_random=False))
def test_both_validators_pass_the_same_documents(file: str, dice: random.Random) -> None:
    document = instance(dice, CONTENTS[file], file)
    assert _is_clean(file)(document) == (not faults_of(file, document)), document


@pytest.mark.parametrize("file", sorted(set(INDEX.values())))
def test_every_schema_compiles_and_meets_documents_of_both_kinds(file: str) -> None:
    """Else the law above would hold of nothing."""
    dice = random.Random(7)
    found = [instance(dice, CONTENTS[file], file) for _ in range(400)]
    verdicts = {_is_clean(file)(each) for each in (*found, *_accepted(file))}
    assert verdicts == {True, False}


def _accepted(file: str) -> Iterator[Any]:
    """What the peer takes: of some kinds dice make no whole document."""
    for verdicts in sorted((ROOT / "tests" / "verdicts").glob(f"{Path(file).stem}.yaml")):
        for case in yaml.load_all(verdicts.read_text(), yaml.CSafeLoader):
            if "fields" not in case and "refused" not in case:
                yield case["document"]


@pytest.mark.parametrize("target", ["http://169.254.169.254/x", "file:///etc/passwd", "gone.json"])
def test_c19_a_schema_refers_to_those_of_this_program_only(target: str) -> None:
    schemas = {"a.json": {"$id": "a.json", "properties": {"x": {"$ref": target}}}}
    with pytest.raises(ValueError, match="registry"):
        compiled(schemas)("a.json")
