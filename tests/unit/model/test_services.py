"""MeshServices and their kin: what Kuma reads of them, and nothing guessed."""

from __future__ import annotations

import pytest

from reconciler.decode import decode_resource, mesh_resource
from reconciler.model.decode import DecodeError
from reconciler.model.resource import Labels, ResourceKey
from reconciler.model.services import decode_mesh_service, decode_multi_zone_service
from reconciler.model.spec import (
    Identity,
    LabelsSelector,
    MeshServiceSpec,
    MultiZonePort,
    MultiZoneSpec,
    NameSelector,
    ServicePort,
    TagsSelector,
    ZoneAddressSpec,
)


def test_a_mesh_service_is_read_whole() -> None:
    spec = decode_resource(
        "MeshService",
        {
            "state": "Available",
            "selector": {"dataplaneTags": {"version": "v1", "kuma.io/service": "shop"}},
            "ports": [
                {"port": 80, "targetPort": "main", "appProtocol": "http", "name": "web"},
                {"port": 443, "targetPort": 8443},
            ],
            "identities": [{"type": "ServiceTag", "value": "shop"}],
        },
    )
    assert spec == MeshServiceSpec(
        True,
        TagsSelector((("kuma.io/service", "shop"), ("version", "v1"))),
        (ServicePort("web", 80, "main", "http"), ServicePort("443", 443, 8443, "tcp")),
        (Identity("ServiceTag", "shop"),),
    )


def test_what_a_mesh_service_leaves_out_selects_and_reaches_nothing() -> None:
    assert decode_mesh_service({}) == MeshServiceSpec(False, None, ())
    assert decode_mesh_service({"ports": [{"port": 80}]}).ports[0].target_port == 0


def test_each_form_of_selector() -> None:
    def selector(**fields: object) -> object:
        return decode_mesh_service({"selector": fields}).selector

    labels = {"matchLabels": {"app": "shop"}}
    assert selector(dataplaneRef={"name": "shop-0"}) == NameSelector("shop-0")
    assert selector(dataplaneLabels=labels) == LabelsSelector((("app", "shop"),))
    assert selector(dataplaneLabels={}) == LabelsSelector(())
    assert selector(dataplaneTags={}) == TagsSelector(())
    both = selector(dataplaneTags={"a": "b"}, dataplaneLabels=labels)
    assert both == TagsSelector((("a", "b"),)), "Kuma's order"
    assert selector(dataplaneTags={"a": "b"}, dataplaneRef={"name": "x"}) == NameSelector("x")


def test_a_multi_zone_service_and_a_zone_address_are_read() -> None:
    data = {
        "selector": {"meshService": {"matchLabels": {"kuma.io/display-name": "shop"}}},
        "ports": [{"port": 80, "appProtocol": "grpc"}, {"port": 81, "name": "b"}],
    }
    assert decode_multi_zone_service(data) == MultiZoneSpec(
        (("kuma.io/display-name", "shop"),),
        (MultiZonePort("80", 80, "grpc"), MultiZonePort("b", 81, "tcp")),
    )
    assert decode_multi_zone_service({}) == MultiZoneSpec((), ())
    for type_, sent, found in (
        ("MeshMultiZoneService", data, decode_multi_zone_service(data)),
        ("MeshZoneAddress", {"address": "a.b", "port": 1}, ZoneAddressSpec("a.b", 1)),
    ):
        assert mesh_resource(ResourceKey(type_, "m", "x"), Labels(), sent).spec == found


@pytest.mark.parametrize(
    ("type_", "data", "path"),
    [
        ("MeshService", {"ports": [{"port": "80"}]}, "ports[0].port"),
        ("MeshService", {"ports": [{"targetPort": 1.5}]}, "ports[0].targetPort"),
        ("MeshService", {"ports": [{"targetPort": True}]}, "ports[0].targetPort"),
        ("MeshService", {"selector": {"dataplaneTags": []}}, "selector.dataplaneTags"),
        ("MeshService", {"identities": ["shop"]}, "identities[0]"),
        ("MeshMultiZoneService", {"ports": {}}, "ports"),
        ("MeshZoneAddress", {"address": 1}, "address"),
    ],
)
def test_another_type_is_no_guess(type_: str, data: dict[str, object], path: str) -> None:
    with pytest.raises(DecodeError) as caught:
        decode_resource(type_, data)
    assert caught.value.path == path
