"""Classes of proxies: no names, no addresses, and all that a proxy's configuration is made of."""

from __future__ import annotations

import json
from typing import Any

import pytest

from reconciler.model.resource import MeshResource
from reconciler.model.spec import DataplaneSpec
from reconciler.registration import from_document
from reconciler.status.document import (
    Inventory,
    ProxyClass,
    ProxyEntry,
    StatusInput,
    StatusUnreadable,
    files,
)
from reconciler.status.inventory_file import inventory_of
from reconciler.status.shape import checked, document_of, shape_of

DOCUMENT: dict[str, Any] = {
    "type": "Dataplane",
    "mesh": "default",
    "name": "web-7",
    "labels": {"team": "a", "pod": "web-7"},
    "networking": {
        "address": "10.1.2.3",
        "inbound": [
            {
                "name": "main",
                "port": 80,
                "servicePort": 8080,
                "serviceAddress": "127.0.0.1",
                "tags": {"kuma.io/service": "web", "kuma.io/protocol": "http"},
            },
            {
                "port": 81,
                "address": "10.9.9.9",
                "protocol": "grpc",
                "tags": {"kuma.io/service": "x"},
            },
        ],
        "outbound": [
            {"port": 10001, "tags": {"kuma.io/service": "db", "version": "v1"}},
            {
                "port": 1,
                "address": "127.0.0.2",
                "backendRef": {"kind": "MeshService", "name": "d", "port": 3},
            },
        ],
        "transparentProxying": {"redirectPortInbound": 15006, "redirectPortOutbound": 15001},
    },
}
GATEWAY: dict[str, Any] = {
    "type": "Dataplane",
    "mesh": "default",
    "name": "edge-1",
    "networking": {
        "address": "10.1.2.4",
        "gateway": {"type": "DELEGATED", "tags": {"kuma.io/service": "edge"}},
        "outbound": [{"port": 10001, "tags": {"kuma.io/service": "web"}}],
    },
}


def resource(document: dict[str, Any]) -> MeshResource:
    found = from_document(document, "east")
    assert isinstance(found, MeshResource), found
    return found


def test_a_shape_has_no_name_and_no_address_of_the_proxy() -> None:
    shape = shape_of(resource(DOCUMENT))
    for text in ("web-7", "10.1.2.3", "10.9.9.9"):
        assert text not in shape
    assert json.loads(shape)["labels"] == {"team": "a"}


@pytest.mark.parametrize("document", [DOCUMENT, GATEWAY], ids=["sidecar", "gateway"])
def test_a_proxy_made_of_its_shape_is_the_same_but_for_name_and_addresses(
    document: dict[str, Any],
) -> None:
    first = resource(document)
    again = resource(dict(document_of(shape_of(first), "default", "other", "192.0.2.77")))
    assert shape_of(again) == shape_of(first)
    assert isinstance(first.spec, DataplaneSpec)
    assert isinstance(again.spec, DataplaneSpec)
    assert again.spec.outbounds == first.spec.outbounds
    assert again.spec.gateway_tags == first.spec.gateway_tags
    assert again.spec.transparent == first.spec.transparent
    for before, after in zip(first.spec.inbounds, again.spec.inbounds, strict=True):
        assert (after.name, after.port, after.workload_port) == (
            before.name, before.port, before.workload_port,
        )  # fmt: skip
        assert (after.tags, after.protocol) == (before.tags, before.protocol)
        own = before.workload_address == before.address
        assert (after.workload_address == after.address) is own


@pytest.mark.parametrize("inventory", [Inventory.CLASSES, Inventory.FULL])
def test_what_a_zone_writes_is_read_back(inventory: Inventory) -> None:
    shapes = [shape_of(resource(each)) for each in (DOCUMENT, GATEWAY)]
    status = StatusInput(
        zone="east",
        classes=tuple(ProxyClass("default", shape, 3) for shape in shapes),
        proxies=tuple(ProxyEntry("default", shape[:9], "192.0.2.1", shape) for shape in shapes),
    )
    found = inventory_of(files(status, inventory))
    expected = status.classes if inventory is Inventory.CLASSES else status.proxies
    assert set(found) == set(expected)
    assert len(found) == 2


def test_what_an_earlier_program_wrote_is_read() -> None:
    row = b"format: 2\nmesh: m\nservice: web\nclasses:\n  - count: 2\n    inbounds:\n"
    row += b"      - {port: 80, tags: {kuma.io/service: web}}\n"
    (found,) = inventory_of({"proxies/m/web.yaml": row})
    shape = checked([{"port": 80, "tags": {"kuma.io/service": "web"}}])
    assert found == ProxyClass("m", shape, 2)
    assert "outbounds" not in shape


@pytest.mark.parametrize(
    "body",
    [
        "[]",
        "mesh: 5",
        "mesh: m\nclasses: 5",
        "mesh: m\nclasses: [5]",
        "mesh: m\nclasses: [{count: 0, inbounds: []}]",
        "mesh: m\nclasses: [{count: true, inbounds: []}]",
        "mesh: m\nclasses: [{count: 100001, inbounds: []}]",
        "mesh: m\nclasses: [{count: 1, inbounds: [{port: 80}]}]",
        "mesh: m\nclasses: [{count: 1, inbounds: [{tags: {}}]}]",
        "mesh: m\nclasses: [{count: 1, inbounds: [], labels: {a: 1}}]",
        "mesh: m\nclasses: [{count: 1, inbounds: [], secret: x}]",
        "mesh: m\nclasses: [{count: 1, inbounds: [], transparentProxying: 1}]",
        "mesh: m\nproxies: [{name: a, inbounds: []}]",
        "mesh: &a m\nservice: *a\nclasses: []",
    ],
)
def test_what_no_zone_writes_is_refused(body: str) -> None:
    with pytest.raises(StatusUnreadable):
        inventory_of({"proxies/m/web.yaml": body.encode()})
