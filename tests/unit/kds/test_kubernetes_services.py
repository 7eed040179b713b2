"""MeshServices of a Kubernetes zone, as its control plane sends them (facts/kds-wire.md 4.3):
taken, kept, relayed and shown as they are, whatever in them has no meaning on Universal.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.kds.codec import CarriedResource, decode_entry, encode_carried
from reconciler.model.resource import Labels, canonical_json
from reconciler.model.spec import MeshServiceSpec, NameSelector, TagsSelector
from reconciler.rest.global_catalogue import of_global
from reconciler.rest.zone_catalogue import of_zone
from reconciler.steps import zone_state as z
from reconciler.stored import decode_stored, encode_stored
from tests.support.global_plane import Global
from tests.support.rest import ask
from tests.support.zone import START, zone
from tests.unit.steps.test_zone_global import Followed
from xds.discovery import DeltaResponse

if TYPE_CHECKING:
    from reconciler.model.resource import MeshResource
    from xds.resource import XdsResource

SHARED = {
    "k8s.kuma.io/namespace": "kuma-demo",
    "k8s.kuma.io/service-name": "backend",
    "kuma.io/env": "kubernetes",
    "kuma.io/managed-by": "k8s-controller",
    "kuma.io/mesh": "default",
    "kuma.io/origin": "zone",
    "kuma.io/zone": "east",
}
STATUS = {
    "addresses": [
        {
            "hostname": "backend.kuma-demo.svc.cluster.local",
            "origin": "Kubernetes",
            "hostnameGeneratorRef": {"coreName": ""},
        }
    ],
    "dataplaneProxies": {"connected": 2, "healthy": 2, "total": 2},
    "tls": {"status": "Ready"},
    "vips": [{"ip": "10.43.0.17"}],
}
CLUSTER_IP = CarriedResource(
    "MeshService",
    "default",
    "backend-4dv9w4x47w8w98v4",
    {
        **SHARED,
        "k8s.kuma.io/is-headless-service": "false",
        "kuma.io/display-name": "backend",
        "team": "shop",
    },
    canonical_json(
        {
            "state": "Available",
            "selector": {
                "dataplaneTags": {"app": "backend", "k8s.kuma.io/namespace": "kuma-demo"},
            },
            "ports": [
                {"name": "main", "port": 80, "targetPort": "http", "appProtocol": "http"},
                {"name": "9901", "port": 9901, "targetPort": 9901, "appProtocol": "tcp"},
            ],
            "identities": [
                {"type": "ServiceTag", "value": "backend_kuma-demo_svc_80"},
                {"type": "SpiffeID", "value": "spiffe://default.east/ns/kuma-demo/sa/backend"},
            ],
        }
    ),
    canonical_json(STATUS),
)
HEADLESS = CarriedResource(
    "MeshService",
    "default",
    "redis-0-5bz8v8zz2d-8w8897b2f4vdc2b4",
    {
        **SHARED,
        "k8s.kuma.io/is-headless-service": "true",
        "k8s.kuma.io/service-name": "redis",
        "kuma.io/display-name": "redis-0-5bz8v8zz2d",
        "statefulset.kubernetes.io/pod-name": "redis-0",
    },
    canonical_json(
        {
            "state": "Available",
            "selector": {"dataplaneRef": {"name": "redis-0.kuma-demo"}},
            "ports": [{"name": "r", "port": 6379, "targetPort": 6379, "appProtocol": "tcp"}],
        }
    ),
    canonical_json({"tls": {"status": "NotReady"}, "dataplaneProxies": {}}),
)
BOTH = pytest.mark.parametrize("sent", [CLUSTER_IP, HEADLESS], ids=["cluster IP", "headless"])


def taken(sent: CarriedResource) -> Global:
    """A global with zones east, which sends it, and west."""
    plane = Global()
    plane.publish()
    plane.connect("west", types=("MeshService",))
    plane.connect("east", types=("MeshService",))
    plane.sent.clear()
    plane.zone_says("east", DeltaResponse("MeshService", "1", (encode_carried(sent),)))
    return plane


def relayed(plane: Global) -> XdsResource:
    """What west was sent of it."""
    (response,) = plane.sent["west-down"]
    (frame,) = response.resources
    return frame


def in_west(sent: CarriedResource) -> Followed:
    made = Followed(zone(zone="west"))
    made.connect()
    made.give("MeshService", (relayed(taken(sent)),))
    assert made.answer() is None
    return made


def held(made: Followed) -> MeshResource:
    (found,) = made.zone.state.relayed.of("MeshService")
    return found


@BOTH
def test_the_global_keeps_it_as_it_came(sent: CarriedResource) -> None:
    plane = taken(sent)
    assert not plane.state.zones["east"].refused
    (found,) = plane.state.zones["east"].owned.of("MeshService")
    assert found.key.name == sent.name
    assert found.labels == Labels.of(sent.labels)
    assert (found.body, found.status) == (sent.body, sent.status)


@BOTH
def test_other_zones_get_it_under_its_name_as_the_globals_and_its_owner_does_not(
    sent: CarriedResource,
) -> None:
    plane = taken(sent)
    frame = relayed(plane)
    assert "east-down" not in plane.sent
    assert frame.name == f"{sent.name}.default"
    labels = {**sent.labels, "kuma.io/origin": "global"}
    assert decode_entry("MeshService", frame.entry) == replace(sent, labels=labels, status=None)


@BOTH
def test_another_zone_takes_keeps_and_shows_it(sent: CarriedResource) -> None:
    west = in_west(sent)
    found = held(west)
    assert found.labels == Labels.of({**sent.labels, "kuma.io/origin": "global"})
    assert found.body == sent.body
    (kept,) = (e for e in west.zone.effects if isinstance(e, z.Persist))
    assert [decode_stored(encode_stored(r)) for r in kept.put] == [found]
    shown = of_zone(west.zone.state, hostname="west", now=START, items_max=100)
    _, answer = ask(shown, f"/meshes/default/meshservices/{sent.name}")
    assert answer["spec"] == json.loads(sent.body)
    display = sent.labels["kuma.io/display-name"]
    assert answer["kri"] == f"kri_msvc_default_east_kuma-demo_{display}_"
    assert ask(shown, f"/_kri/{answer['kri']}") == (200, answer)


def test_what_it_selects_is_read_and_selects_no_proxy_here() -> None:
    spec = held(in_west(CLUSTER_IP)).spec
    assert isinstance(spec, MeshServiceSpec)
    assert spec.selector == TagsSelector(
        (("app", "backend"), ("k8s.kuma.io/namespace", "kuma-demo"))
    )
    assert [port.target_port for port in spec.ports] == ["http", 9901]
    spec = held(in_west(HEADLESS)).spec
    assert isinstance(spec, MeshServiceSpec)
    assert spec.selector == NameSelector("redis-0.kuma-demo")


def shown_at_global(plane: Global, path: str) -> dict[str, Any]:
    shown = of_global(
        plane.state, repository="r", branch="main", hostname="g", now=START, items_max=100
    )
    assert shown is not None
    status, found = ask(shown, path)
    assert status == 200
    return dict(found)


@BOTH
def test_the_global_shows_it_with_its_status(sent: CarriedResource) -> None:
    answer = shown_at_global(taken(sent), f"/meshes/default/meshservices/{sent.name}")
    assert answer["spec"] == json.loads(sent.body)
    assert answer["status"] == json.loads(sent.status or "")
    assert answer["labels"] == sent.labels


def test_one_that_is_gone_is_gone_everywhere() -> None:
    plane = taken(CLUSTER_IP)
    name = relayed(plane).name
    plane.acknowledge("west")
    plane.zone_says("east", DeltaResponse("MeshService", "2", (), (name,)))
    (response,) = plane.sent["west-down"]
    assert response.removed == (name,)
    west = in_west(CLUSTER_IP)
    west.give("MeshService", (), (name,))
    assert west.zone.state.relayed.of("MeshService") == ()
