"""The label `kuma.io/effect`: what it means on which resource, and what a person is told."""

from __future__ import annotations

import pytest

from reconciler.defaults import with_defaults, with_warnings
from reconciler.load import Blob, LoadMemo, load
from reconciler.match import is_effective
from reconciler.model.resource import ResourceKey
from reconciler.shadow import in_force, is_shadow

MESH = "type: Mesh\nname: default\n"
TO = "{to: [{targetRef: {kind: Mesh}, default: {connectionTimeout: 2s}}]}"
TIMEOUT = "type: MeshTimeout\nmesh: default\nname: %s\nlabels: {kuma.io/effect: %s}\nspec: " + TO
KUBERNETES = """
apiVersion: kuma.io/v1alpha1
kind: MeshTimeout
metadata:
  name: a
  labels:
    kuma.io/effect: dry-run
spec: {to: [{targetRef: {kind: Mesh}, default: {idleTimeout: 2s}}]}
"""


def problems(*files: str) -> list[str]:
    blobs = {f"{n}.yaml": Blob("", text.encode()) for n, text in enumerate((MESH, *files))}
    return [str(problem) for problem in with_warnings(load(blobs, LoadMemo())).problems]


def test_a_shadow_policy_is_no_problem() -> None:
    assert problems(TIMEOUT % ("a", "shadow")) == []


def test_a_shadow_policy_with_a_fault_is_refused_as_any() -> None:
    (problem,) = problems((TIMEOUT % ("a", "shadow")).replace("2s", "0s"))
    assert " MT001 " in problem


@pytest.mark.parametrize("value", ["dry-run", "Shadow", "''"])
def test_another_value_is_warned_of_where_it_stands(value: str) -> None:
    (problem,) = problems(TIMEOUT % ("a", value))
    assert problem.startswith("1.yaml:4:10: SHD001 warning: kuma.io/effect ")
    blobs = {
        "m": Blob("", MESH.encode()),
        "t.yaml": Blob("", (TIMEOUT % ("a", value)).encode()),
    }
    assert all(map(is_effective, load(blobs, LoadMemo()).resources))


def test_the_place_is_found_in_the_kubernetes_form() -> None:
    (problem,) = problems(KUBERNETES)
    assert problem.startswith("1.yaml:7:5: SHD001 ")


@pytest.mark.parametrize("type_", ["Mesh", "TrafficPermission"])
def test_on_another_type_it_means_nothing(type_: str) -> None:
    match = "[{match: {kuma.io/service: '*'}}]"
    more = f"sources: {match}\ndestinations: {match}"
    mesh = "" if type_ == "Mesh" else f"mesh: default\n{more}\n"
    text = f"type: {type_}\nname: other\nlabels: {{kuma.io/effect: shadow}}\n{mesh}"
    (problem,) = problems(text)
    assert " SHD002 warning: " in problem
    (found,) = load({"a.yaml": Blob("", text.encode())}, LoadMemo()).resources or (None,)
    if found is not None:
        assert not is_shadow(found)
        assert in_force((found,)) == (found,)


def test_under_the_name_of_a_default_neither_is_in_force_and_it_is_told() -> None:
    """As in Kuma, where the one is an edit of the other."""
    name = "mesh-timeout-all-default"
    (problem,) = problems(TIMEOUT % (name, "shadow"))
    assert problem.startswith("1.yaml:1:1: SHD003 warning: ")
    blobs = {
        "m.yaml": Blob("", MESH.encode()),
        "t.yaml": Blob("", (TIMEOUT % (name, "shadow")).encode()),
    }
    found = {r.key: r for r in with_defaults(load(blobs, LoadMemo()).resources)}
    assert not is_effective(found[ResourceKey("MeshTimeout", "default", name)])
    assert is_effective(
        found[ResourceKey("MeshTimeout", "default", "mesh-gateways-timeout-all-default")]
    )
    assert problems((TIMEOUT % (name, "shadow")).replace("mesh: default", "mesh: other")) != [
        problem
    ]


def test_where_the_mesh_begins_without_defaults_there_is_no_place_to_take() -> None:
    mesh = MESH.replace("default", "plain") + "skipCreatingInitialPolicies: ['*']\n"
    text = TIMEOUT % ("mesh-timeout-all-plain", "shadow")
    assert problems(mesh, text.replace("mesh: default", "mesh: plain")) == []
