"""Both forms people already have are one resource; what is none says why."""

from __future__ import annotations

import pytest

from reconciler.model.resource import ResourceKey
from reconciler.source.document import Declared, declared
from reconciler.source.yaml import documents


def read(text: str) -> Declared:
    (document,), faults = documents(text.encode())
    assert faults == ()
    found, problems = declared("p.yaml", document)
    assert found is not None, problems
    assert problems == ()
    return found


def problems(text: str) -> list[str]:
    (document,), _ = documents(text.encode())
    return [str(problem) for problem in declared("p.yaml", document)[1]]


def test_both_forms_of_a_policy_say_the_same() -> None:
    universal = read("{type: MeshTimeout, mesh: m, name: t, labels: {a: b}, spec: {to: []}}")
    kubernetes = read(
        "{apiVersion: kuma.io/v1alpha1, kind: MeshTimeout,"
        " metadata: {name: t, labels: {a: b, kuma.io/mesh: m}}, spec: {to: []}}"
    )
    assert universal.key == kubernetes.key == ResourceKey("MeshTimeout", "m", "t")
    assert universal.spec == kubernetes.spec == {"to": []}
    assert universal.labels == {"a": "b"}


@pytest.mark.parametrize(
    "text",
    [
        "{type: TrafficPermission, mesh: m, name: t, sources: []}",
        "{apiVersion: kuma.io/v1alpha1, kind: TrafficPermission, mesh: m, metadata: {name: t},"
        " spec: {sources: []}}",
    ],
)
def test_a_legacy_kind_is_flat_or_names_its_mesh_at_the_top(text: str) -> None:
    found = read(text)
    assert found.key == ResourceKey("TrafficPermission", "m", "t")
    assert found.spec == {"sources": []}


def test_a_policy_without_mesh_is_of_the_default_one() -> None:
    assert read("{type: MeshTimeout, name: t, spec: {}}").key.mesh == "default"
    assert read("{type: MeshTimeout, name: t, mesh: null, spec: {}}").key.mesh == "default"


def test_a_global_kind_has_no_mesh() -> None:
    assert read("{type: Mesh, name: m}").key == ResourceKey("Mesh", "", "m")
    assert read("{type: Zone, mesh: x, name: z}").key == ResourceKey("Zone", "", "z")


def test_the_system_namespace_is_kept_as_a_label() -> None:
    found = read(
        "{apiVersion: kuma.io/v1alpha1, kind: MeshTimeout,"
        " metadata: {name: t, namespace: kuma-system}, spec: {}}"
    )
    assert found.labels == {"k8s.kuma.io/namespace": "kuma-system"}


def test_fields_beside_the_spec_are_noticed() -> None:
    assert read("{type: MeshTimeout, name: t, spec: {}, sepc: {}, to: []}").unknown == (
        ("sepc",),
        ("to",),
    )
    assert read("{type: Mesh, name: m, mtls: {}}").unknown == ()
    kubernetes = "apiVersion: kuma.io/v1alpha1, kind: MeshTimeout, metadata: {name: t}, spec: {}"
    assert read(f"{{{kubernetes}, status: {{}}, mesh: m}}").unknown == (("mesh",),)


def test_places_of_the_spec_are_places_in_the_file() -> None:
    found = read("type: MeshTimeout\nname: t\nspec:\n  to:\n    - default: {a: 1}\n")
    assert str(found.at(("to", 0, "default", "a"))) == "p.yaml:5:20"
    assert str(found.at(("to", 0, "default", "a"), key=True)) == "p.yaml:5:17"
    assert str(found.at(("from",))) == "p.yaml:4:3"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[]", "p.yaml:1:1: DOC001 must be an object with type and name"),
        ("name: x", "p.yaml:1:1: DOC001 type is missing; it says what the document is, such as"),
        ("type: MeshTimout\nname: x", 'p.yaml:1:7: DOC002 there is no type "MeshTimout"; did you'),
        ("type: [a]\nname: x", "p.yaml:1:7: DOC001 type is missing"),
        ("type: Mesh", "p.yaml:1:1: DOC003 name is missing"),
        ("type: Mesh\nname: 5", "p.yaml:2:7: DOC003 name must be text; put it in quotes"),
        ("type: Mesh\nname: Web", "p.yaml:2:7: DOC003 name may have lower-case letters"),
        ("type: Mesh\nname: w\u0435b", "p.yaml:2:7: DOC003 name may have lower-case letters"),
        ("type: Mesh\nname: " + "m" * 64, "p.yaml:2:7: DOC003 name has over 63 characters"),
        ("type: Zone\nname: " + "m" * 254, "p.yaml:2:7: DOC003 name has over 253 characters"),
        ("type: Mesh\nname: m\nlabels: {a: 1}", 'p.yaml:3:13: DOC003 label "a" must be text'),
        ("type: Mesh\nname: m\nlabels: [a]", "p.yaml:3:9: DOC003 labels must be an object"),
        (
            "type: MeshTLS\nname: m\nmesh: 1\nspec: {}",
            "p.yaml:3:7: DOC003 mesh must be the name of a Mesh",
        ),
        ("type: MeshTLS\nname: m", "p.yaml:1:1: DOC004 spec is missing; it says"),
        (
            "type: MeshTLS\nname: m\nspec: {}\ncreationTime: now",
            "p.yaml:4:15: DOC003 creationTime is no time as Kuma's API writes it; remove it",
        ),
        ("type: MeshTrust\nname: m\nspec: {}\nstatus: 5", "p.yaml:4:9: DOC003 status is no"),
        ("type: MeshTLS\nname: m\nspec: {}\nkri: 5", "p.yaml:4:6: DOC003 kri is no text"),
        ("type: MeshTLS\nname: m\nspec: {}\nlabels:", "p.yaml:4:8: DOC003 labels must be"),
        ("type: Retry\nname: m", "p.yaml:1:1: DOC003 mesh is missing; write the mesh"),
        ("type: MeshTLS\nname: m\nmesh: ''\nspec: {}", "p.yaml:3:7: DOC003 mesh must be"),
        ("type: MeshTLS\nname: m\nspec: []", "p.yaml:3:7: DOC004 spec must be an object"),
        (
            "apiVersion: v1\nkind: Pod",
            "p.yaml:1:13: DOC001 apiVersion must be kuma.io/v1alpha1; keep other manifests",
        ),
        ("kind: Mesh\nname: m", "p.yaml:1:1: DOC001 apiVersion must be kuma.io/v1alpha1; add it"),
        ("type: Zone\nname: global", 'p.yaml:2:7: DOC003 the zone name "global" is reserved'),
        (
            "type: Mesh\nname: m\nlabels:\n  kuma.io/origin: zone",
            "p.yaml:4:19: DOC003 what stands in Git is global; remove kuma.io/origin",
        ),
        (
            "apiVersion: kuma.io/v1alpha1\nkind: Mesh\nmetadata: {name: a, labels: []}",
            "p.yaml:3:29: DOC003 labels must be an object",
        ),
        (
            "apiVersion: kuma.io/v1alpha1\nkind: Mesh\nmetadata: {name: a}\nspec: ''",
            "p.yaml:4:7: DOC004 spec must be an object",
        ),
        (
            "apiVersion: kuma.io/v1alpha1\nkind: MeshTLS\nmetadata: {name: a, namespace: shop}",
            'p.yaml:3:32: DOC005 namespace "shop" belongs to a zone; policies of this repository',
        ),
        (
            "apiVersion: kuma.io/v1alpha1\nkind: MeshTLS",
            "p.yaml:1:1: DOC003 metadata with a name is missing",
        ),
    ],
)
def test_what_is_no_resource_says_where_and_why(text: str, problem: str) -> None:
    found = problems(text)
    assert len(found) == 1
    assert found[0].startswith(problem)


def test_every_fault_of_a_head_is_told_at_once() -> None:
    found = problems("type: MeshTLS\nname: A\nmesh: []\nlabels: 1\nspec: 2")
    assert [line.split(":")[1] for line in found] == ["2", "4", "3", "5"]
