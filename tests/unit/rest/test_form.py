"""The JSON of one resource in each of its forms."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from reconciler.kds.proxy_insight import Subscription
from reconciler.model.resource import ResourceKey
from reconciler.problems import Position
from reconciler.rest.catalogue import Times
from reconciler.rest.form import UNSET, kubernetes, meta_of, places_of, text_of, time_text
from tests.support.rest import ask, catalogue, insight_of, made
from tests.support.zone import START

NEVER = Times()


def test_a_policy_has_its_head_and_then_its_spec() -> None:
    spec = {"targetRef": {"kind": "Mesh"}}
    text = text_of(made("MeshTimeout", "t", spec, team="a"), Times(START, START + 1.5))
    assert json.loads(text) == {
        "type": "MeshTimeout",
        "mesh": "default",
        "name": "t",
        "creationTime": "2027-01-15T08:00:00Z",
        "modificationTime": "2027-01-15T08:00:01.500Z",
        "labels": {"kuma.io/team": "a", "kuma.io/mesh": "default"},
        "kri": "kri_mt_default___t_",
        "spec": spec,
    }
    order = ["type", "mesh", "name", "creationTime", "modificationTime", "labels", "kri", "spec"]
    assert list(json.loads(text)) == order


def test_a_legacy_kind_has_head_and_spec_in_one() -> None:
    routing = {"routing": {"zoneEgress": True}}
    assert json.loads(text_of(made("Mesh", "m", routing), NEVER)) == {
        "type": "Mesh",
        "name": "m",
        "creationTime": UNSET,
        "modificationTime": UNSET,
        "kri": "kri_m____m_",
        **routing,
    }
    assert json.loads(text_of(made("Mesh", "m"), NEVER))["name"] == "m"


@pytest.mark.parametrize(("status", "shown"), [(None, {}), ('{"vips":[]}', {"vips": []})])
def test_a_kind_with_a_status_shows_one(status: str | None, shown: object) -> None:
    service = replace(made("MeshService", "s", {"ports": []}), status=status)
    assert json.loads(text_of(service, NEVER))["status"] == shown
    assert "status" not in json.loads(text_of(made("MeshTimeout", "t"), NEVER))


def test_an_insight_is_shown_from_its_message_with_the_labels_it_came_with() -> None:
    base = made("Dataplane", "web", {"networking": {"address": "1.2.3.4"}}, zone="east")
    found = json.loads(text_of(insight_of(base, Subscription("cp", START)), NEVER))
    assert found["subscriptions"][0]["connectTime"] == "2027-01-15T08:00:00Z"
    assert found["labels"] == {"kuma.io/zone": "east"}  # no label of the mesh


@pytest.mark.parametrize(
    ("at", "text"),
    [
        (None, "0001-01-01T00:00:00Z"),
        (0.0, "1970-01-01T00:00:00Z"),
        (START + 0.25, "2027-01-15T08:00:00.250Z"),
    ],
)
def test_times_are_utc_to_the_millisecond(at: float | None, text: str) -> None:
    assert time_text(at) == text


def test_the_kubernetes_form_keeps_labels_and_has_a_namespace_where_there_is_one() -> None:
    found = kubernetes(made("MeshTimeout", "t", {"to": []}, team="a"), Times(START, START))
    assert found == {
        "kind": "MeshTimeout",
        "apiVersion": "kuma.io/v1alpha1",
        "metadata": {
            "name": "t",
            "namespace": "kuma-system",
            "creationTimestamp": "2027-01-15T08:00:00Z",
            "labels": {"kuma.io/team": "a", "kuma.io/mesh": "default"},
        },
        "spec": {"to": []},
    }
    own = kubernetes(made("MeshTimeout", "t"), NEVER, "mesh-a")["metadata"]
    assert isinstance(own, dict)
    assert (own["namespace"], own["creationTimestamp"]) == ("mesh-a", None)


def test_a_legacy_kind_of_a_mesh_says_which_and_has_no_namespace() -> None:
    found = kubernetes(made("TrafficRoute", "all"), NEVER)
    assert found["mesh"] == "default"
    assert found["metadata"] == {"name": "all", "creationTimestamp": None}
    mesh = kubernetes(made("Mesh", "default"), NEVER)
    assert "mesh" not in mesh
    proxy = kubernetes(made("Dataplane", "d", {"networking": {"address": "1.2.3.4"}}), NEVER)
    metadata = proxy["metadata"]
    assert isinstance(metadata, dict)
    assert metadata["namespace"] == "kuma-system"


def test_an_unknown_format_is_refused() -> None:
    shown = catalogue(made("Mesh", "default"))
    status, found = ask(shown, "/meshes/default?format=yaml")
    assert (status, found["invalid_parameters"][0]["field"]) == (400, "format")
    for known in ("universal", "kubernetes", "k8s", ""):
        assert ask(shown, f"/meshes/default?format={known}")[0] == 200


def test_inspections_name_a_resource_by_four_fields() -> None:
    assert meta_of(made("MeshTimeout", "t", team="a")) == {
        "labels": {"kuma.io/mesh": "default", "kuma.io/team": "a"},
        "mesh": "default",
        "name": "t",
        "type": "MeshTimeout",
    }


def test_headers_say_revision_file_and_line_as_far_as_a_header_can() -> None:
    mesh = made("Mesh", "default")
    key = ResourceKey("Mesh", "", "default")
    shown = catalogue(mesh, places={key: Position("meshes/default.yaml", 3, 1)})
    assert places_of(shown, mesh) == {
        "mesh-revision": "c0ffee0123456789",
        "mesh-file": "meshes/default.yaml:3:1",
    }
    odd = catalogue(mesh, places={key: Position("a\nb.yaml")}, revision=None)
    assert places_of(odd, mesh) == {}


def test_what_nobody_can_encode_does_not_end_an_answer() -> None:
    broken = made("Mesh", "default", {"note": "\ud800"})
    assert ask(catalogue(broken), "/meshes/default")[0] == 200
