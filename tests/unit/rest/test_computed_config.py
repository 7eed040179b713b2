"""What a zone would give a proxy, and what shadow policies would change in it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.decode import mesh_resource
from reconciler.model.resource import Labels
from reconciler.rest.answer import Asked, Refused
from reconciler.rest.computed_config import ENDPOINTS
from reconciler.rest.zone_catalogue import of_zone
from tests.support.rest import ALICE, global_catalogue
from tests.support.zone import MESH, START, dataplane, policy, zone
from xds.readable import readable_by_type
from xds.resource import CLUSTER, LISTENER, SECRET

if TYPE_CHECKING:
    from reconciler.model.resource import MeshResource
    from reconciler.rest.catalogue import Catalogue

MTLS = {"mtls": {"enabledBackend": "ca", "backends": [{"name": "ca", "type": "builtin"}]}}
PIPE = {"dataplane.admin.port": "9901", "dataplane.admin.socketPath": "/w/admin.sock"}


def timeouts(name: str, connection: str, *, shadow: bool = False) -> MeshResource:
    default = {"connectionTimeout": connection}
    found = policy(
        "MeshTimeout", name, {"to": [{"targetRef": {"kind": "Mesh"}, "default": default}]}
    )
    return replace(found, labels=Labels.of({"kuma.io/effect": "shadow"})) if shadow else found


def zone_with(*policies: MeshResource, said: dict[str, object] | None = None) -> Any:
    made = zone(*policies)
    made.connect(dataplane("backend-1", "backend", address="10.0.0.2"))
    made.connect(dataplane("web-1", "web", "backend"), said=said)
    return made


def shown(made: Any) -> Catalogue:
    return of_zone(made.state, hostname="z", now=START, items_max=1000)


def config(catalogue: Catalogue, *query: tuple[str, str], name: str = "web-1") -> Any:
    endpoint = ENDPOINTS[0]
    places = {"mesh": "default", "name": name}
    asked = Asked(path="/", route=endpoint.path, places=places, query=query, caller=ALICE)
    return json.loads(endpoint.answer(catalogue, asked).body)


def test_a_new_proxy_is_shown_although_others_do_not_see_it_yet() -> None:
    made = zone_with()
    made.connect(dataplane("new-1", "new", "backend", address="10.0.0.3"), listeners=False)
    found = shown(made)
    here = [r.key.name for r in found.of("Dataplane", "default")]
    assert here == ["backend-1", "new-1", "web-1"]
    assert config(found, name="new-1")["xds"]


def test_a_zone_shows_what_the_proxy_has() -> None:
    made = zone_with(timeouts("t", "2s"))
    found = config(shown(made))
    snapshot = made.state.proxies["default.web-1"].snapshot
    assert snapshot is not None
    assert found == {"xds": readable_by_type(snapshot)}
    assert found["xds"][CLUSTER]["backend"]["connectTimeout"] == "2s"


def test_shadow_policies_are_in_force_only_where_they_are_asked_for() -> None:
    made = zone_with(timeouts("t", "2s"), timeouts("a", "7s", shadow=True))
    now, then = config(shown(made)), config(shown(made), ("shadow", "true"))
    assert now["xds"][CLUSTER]["backend"]["connectTimeout"] == "2s"
    assert then["xds"][CLUSTER]["backend"]["connectTimeout"] == "7s"


def test_the_difference_is_a_patch_of_what_is_in_force() -> None:
    made = zone_with(timeouts("t", "2s"), timeouts("a", "7s", shadow=True))
    found = config(shown(made), ("shadow", "true"), ("include", "diff"))
    path = f"/{CLUSTER.replace('/', '~1')}/backend/connectTimeout"
    assert found["diff"] == [{"op": "replace", "path": path, "value": "7s"}]
    assert config(shown(made), ("include", "diff"))["diff"] == []


@pytest.mark.parametrize("on", [True, False])
def test_outlier_detection_is_as_the_zone_has_it(on: bool) -> None:
    made = zone(mesh_resource(MESH.key, Labels(), MTLS), outlier_detection=on)
    made.connect(dataplane("web-1", "web", "backend"))
    (view,) = made.state.contexts["default"].cached.views.values()
    (cluster,) = (c for c in view.view.clusters if c.name == "backend")
    assert cluster.detection is on
    assert ("outlierDetection" in config(shown(made))["xds"][CLUSTER]["backend"]) is on


def test_certificates_are_placeholders_and_no_private_key_is_shown() -> None:
    made = zone(mesh_resource(MESH.key, Labels(), MTLS), admin_access=True)
    made.connect(dataplane("web-1", "web"), said=PIPE)
    found = config(shown(made))["xds"]
    assert sorted(found[SECRET]) == ["identity_cert:secret:default", "mesh_ca:secret:default"]
    text = json.dumps(found)
    assert "kuma:envoy:admin" in found[LISTENER]
    left_out = '"privateKey": {"inlineString": "[redacted]"}'
    assert text.count(left_out) == text.count('"privateKey"') == 2


@pytest.mark.parametrize(
    ("query", "name", "status"),
    [
        (("shadow", "perhaps"), "web-1", 400),
        (("include", "all"), "web-1", 400),
        (("include", "diff"), "nobody", 404),
    ],
)
def test_what_cannot_be_computed_is_told(query: tuple[str, str], name: str, status: int) -> None:
    with pytest.raises(Refused) as refused:
        config(shown(zone_with()), query, name=name)
    assert refused.value.status == status


def test_a_global_computes_no_configuration() -> None:
    with pytest.raises(Refused) as refused:
        config(global_catalogue())
    assert refused.value.status == 405
    assert "zone" in refused.value.detail
