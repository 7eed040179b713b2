"""Fields that a document leaves out travel filled in: a zone of a real Kuma fills in nothing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.load import Blob, LoadMemo, load
from reconciler.model.kinds import KINDS
from reconciler.schema_defaults import FIELDS, ITEMS, filled
from reconciler.standing import as_carried

if TYPE_CHECKING:
    from collections.abc import Mapping

HEAD = "type: Mesh\nname: default\n---\n"


def carried(text: str) -> Any:
    """The spec of the document's resource as zones get it."""
    loaded = load({"p.yaml": Blob("", (HEAD + text).encode())}, LoadMemo())
    assert loaded.problems == ()
    (found,) = (r for r in loaded.resources if r.key.type != "Mesh")
    return json.loads(as_carried(found).body)


def test_a_backend_of_metrics_has_its_port_and_path() -> None:
    """A real zone would listen on port 0."""
    spec = carried(
        """
type: MeshMetric
mesh: default
name: m
spec:
  default: {backends: [{type: Prometheus, prometheus: {tls: {}}}]}
"""
    )
    prometheus = {"port": 5670, "path": "/metrics", "tls": {"mode": "Disabled"}}
    assert spec["default"]["backends"] == [{"type": "Prometheus", "prometheus": prometheus}]


def test_nothing_is_made_around_a_field_that_is_not_there() -> None:
    spec = {"default": {"backends": [{"type": "Prometheus"}]}}
    assert filled("MeshMetric", spec) == spec


def test_what_a_document_says_stays() -> None:
    match = {"path": {"type": "PathPrefix", "value": "/"}, "headers": [{"name": "a", "value": "b"}]}
    refs = [{"kind": "MeshService", "name": "b", "weight": 0}, {"kind": "MeshService", "name": "c"}]
    rule = {"matches": [match], "default": {"backendRefs": refs}}
    spec = {"to": [{"targetRef": {"kind": "MeshService", "name": "a"}, "rules": [rule]}]}
    (found,) = filled("MeshHTTPRoute", spec)["to"][0]["rules"]  # type: ignore[index]
    assert [ref["weight"] for ref in found["default"]["backendRefs"]] == [0, 1]
    assert found["matches"][0]["headers"] == [{"name": "a", "value": "b", "type": "Exact"}]
    assert refs[1] == {"kind": "MeshService", "name": "c"}  # of what was given, nothing changed


def whole(fields: Mapping[str, object]) -> Any:
    """A spec with the objects around every field, and none of the fields; lists of one."""
    spec: dict[str, Any] = {}
    for path in fields:
        at = spec
        for step in path.split(".")[:-1]:
            name, items = step.removesuffix(ITEMS), step.endswith(ITEMS)
            held = at.setdefault(name, [{}] if items else {})
            at = held[0] if items else held
    return spec


def value_at(spec: Any, path: str) -> Any:
    for step in path.replace(ITEMS, ".0").split("."):
        spec = spec[int(step) if step == "0" else step]
    return spec


@pytest.mark.parametrize("kind", FIELDS)
def test_every_field_is_filled_in_once(kind: str) -> None:
    fields = FIELDS[kind]
    assert not KINDS[kind].legacy
    once = filled(kind, whole(fields))
    assert {path: value_at(once, path) for path in fields} == fields
    assert filled(kind, once) == once


@pytest.mark.parametrize(
    "spec", [{"to": None}, {"to": "x"}, {"to": [1, None]}, {"to": {"a": 1}}, {}]
)
def test_a_spec_of_another_shape_stays_as_it_is(spec: Any) -> None:
    assert filled("MeshHTTPRoute", spec) == spec
