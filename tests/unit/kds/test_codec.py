"""Frames against the field tables, read by an independent reader; refusals of what is none."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from reconciler.kds.codec import (
    CarriedResource,
    canonical_data,
    decode_entry,
    decode_insight,
    encode_carried,
)
from reconciler.kds.proto import kds_pb2, kuma_mesh_pb2
from reconciler.model.resource import canonical_json
from tests.support.protobuf_wire import fields, message, text
from xds.discovery import RemoteProtocolError
from xds.wire import resource

if TYPE_CHECKING:
    from collections.abc import Mapping

KUMA = "type.googleapis.com/kuma.mesh.v1alpha1.KumaResource"
DOCUMENTS: Mapping[str, Mapping[str, object]] = {
    "Mesh": {
        "mtls": {"enabledBackend": "ca-1", "backends": [{"name": "ca-1", "type": "builtin"}]},
        "routing": {"localityAwareLoadBalancing": True},
        "networking": {"outbound": {"passthrough": False}},
    },
    "Dataplane": {
        "networking": {
            "address": "10.0.0.7",
            "inbound": [
                {
                    "port": 18080,
                    "servicePort": 8080,
                    "serviceAddress": "127.0.0.1",
                    "tags": {"kuma.io/service": "shop", "version": "v1"},
                    "state": "NotReady",
                }
            ],
            "outbound": [{"port": 10001, "tags": {"kuma.io/service": "stock"}}],
            "transparentProxying": {"redirectPortInbound": 15006, "redirectPortOutbound": 15001},
        }
    },
    "ZoneIngress": {
        "zone": "east",
        "networking": {
            "address": "10.0.0.4",
            "port": 10001,
            "advertisedAddress": "203.0.113.7",
            "advertisedPort": 10001,
        },
        "availableServices": [
            {"mesh": "default", "instances": 2, "tags": {"kuma.io/service": "shop"}}
        ],
    },
    "Secret": {"data": "c2VjcmV0"},
    "GlobalSecret": {"data": "c2VjcmV0"},
    "Config": {"config": "5a3b"},
    "Zone": {"enabled": False},
    "DataplaneInsight": {"subscriptions": [{"id": "1", "connectTime": "2026-11-24T10:00:00Z"}]},
    "ZoneIngressInsight": {"subscriptions": [{"id": "1"}]},
    "ZoneEgress": {"zone": "east", "networking": {"address": "10.0.0.5", "port": 10002}},
    "ZoneEgressInsight": {"subscriptions": [{"id": "1"}]},
    "MeshTimeout": {"to": [{"targetRef": {"kind": "Mesh"}, "default": {"idleTimeout": "20s"}}]},
}


def carried(type_: str, data: object) -> CarriedResource:
    labels = {"kuma.io/origin": "global", "kuma.io/display-name": "web"}
    return CarriedResource(type_, "default", "web-abc", labels, canonical_json(data))


@pytest.mark.parametrize("type_", sorted(DOCUMENTS))
def test_frame_comes_back_as_it_went(type_: str) -> None:
    data = canonical_data(type_, DOCUMENTS[type_])
    assert data == DOCUMENTS[type_]
    sent = carried(type_, data)
    frame = encode_carried(sent)
    assert frame.name == "web-abc.default"
    assert decode_entry(type_, frame.entry) == sent
    assert encode_carried(decode_entry(type_, frame.entry)) == frame


def test_envelope_has_the_numbers_of_the_sheet() -> None:
    frame = encode_carried(carried("MeshTimeout", DOCUMENTS["MeshTimeout"]))
    entry = fields(frame.entry)
    assert text(entry, 1) == frame.version
    assert text(entry, 3) == "web-abc.default"
    any_ = message(entry, 2)
    assert text(any_, 1) == KUMA
    kuma = message(any_, 2)
    meta = message(kuma, 1)
    assert (text(meta, 1), text(meta, 2)) == ("web-abc", "default")
    labels = {text(pair, 1): text(pair, 2) for pair in map(fields, meta[6])}  # type: ignore[arg-type]
    assert labels == {"kuma.io/origin": "global", "kuma.io/display-name": "web"}
    spec = message(kuma, 2)
    assert 1 not in spec  # An empty type_url: JSON follows.
    assert json.loads(text(spec, 2)) == DOCUMENTS["MeshTimeout"]
    assert 3 not in kuma  # No status: an empty one would end a real peer's stream.


def test_dataplane_is_protobuf_by_the_field_table() -> None:
    frame = encode_carried(carried("Dataplane", DOCUMENTS["Dataplane"]))
    spec = message(message(message(fields(frame.entry), 2), 2), 2)
    assert text(spec, 1) == "type.googleapis.com/kuma.mesh.v1alpha1.Dataplane"
    networking = message(message(spec, 2), 1)
    assert text(networking, 5) == "10.0.0.7"
    inbound = message(networking, 1)
    assert (inbound[3], inbound[4], inbound[9]) == ([18080], [8080], [1])
    assert text(inbound, 6) == "127.0.0.1"
    outbound = message(networking, 2)
    assert outbound[4] == [10001]
    proxying = message(networking, 4)
    assert (proxying[1], proxying[2]) == ([15006], [15001])


def test_zone_ingress_is_protobuf_by_the_field_table() -> None:
    frame = encode_carried(carried("ZoneIngress", DOCUMENTS["ZoneIngress"]))
    ingress = message(message(message(message(fields(frame.entry), 2), 2), 2), 2)
    assert text(ingress, 1) == "east"
    networking = message(ingress, 2)
    assert text(networking, 2) == "203.0.113.7"
    assert (networking[3], networking[4]) == ([10001], [10001])
    service = message(ingress, 3)
    assert (service[2], text(service, 3)) == ([2], "default")
    assert text(message(service, 1), 2) == "shop"


def test_equal_resources_give_equal_bytes_whatever_the_order_of_fields() -> None:
    one = carried("Mesh", {"routing": {"zoneEgress": True}, "mtls": {"enabledBackend": ""}})
    other = carried("Mesh", {"mtls": {"enabledBackend": ""}, "routing": {"zoneEgress": True}})
    assert encode_carried(one) == encode_carried(other)


@pytest.mark.parametrize(
    ("type_", "body"),
    [
        ("MeshTimeout", b"\x12\x00"),  # spec without JSON
        ("MeshTimeout", b"\x12\x04\x12\x02[]"),  # JSON, but no object
        ("MeshTimeout", b""),  # no spec
        ("Mesh", b"\x12\x02\x0a\x00"),  # legacy spec without its type
        ("Mesh", b"\xff"),
    ],
)
def test_what_is_no_frame_ends_the_stream(type_: str, body: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        decode_entry(type_, resource(KUMA, "x.", body).entry)


NESTED = b'{"a":' + b"[" * 100 + b"]" * 100 + b"}"


@pytest.mark.parametrize(
    "spec",
    [
        b'{"a":NaN}',
        b'{"a":-Infinity}',
        b'{"a":1e999}',
        b'{"a":"\\ud800"}',
        NESTED,
        b'{"a":' * 50_000,
    ],
)
def test_spec_that_could_not_be_sent_on_ends_the_stream(spec: bytes) -> None:
    """Python reads it; other programs would not, and whoever it is relayed to would pay for it."""
    frame = kds_pb2.KumaResource()
    frame.meta.name = "x"
    frame.spec.value = spec
    with pytest.raises(RemoteProtocolError, match="MeshService x"):
        decode_entry("MeshService", resource(KUMA, "x.", frame.SerializeToString()).entry)


def test_time_outside_the_calendar_ends_the_stream() -> None:
    insight = kuma_mesh_pb2.DataplaneInsight()
    insight.subscriptions.add().connect_time.seconds = 10**15
    frame = kds_pb2.KumaResource()
    frame.spec.type_url = "type.googleapis.com/kuma.mesh.v1alpha1.DataplaneInsight"
    frame.spec.value = insight.SerializeToString()
    with pytest.raises(RemoteProtocolError, match="Timestamp"):
        decode_entry("DataplaneInsight", resource(KUMA, "x.", frame.SerializeToString()).entry)


@pytest.mark.parametrize(
    ("url", "spec"),
    [("kuma.mesh.v1alpha1.Dataplane", b""), ("kuma.mesh.v1alpha1.DataplaneInsight", b"\xff")],
)
def test_what_is_no_insight_ends_the_stream(url: str, spec: bytes) -> None:
    frame = kds_pb2.KumaResource()
    frame.meta.name = "x"
    frame.spec.type_url, frame.spec.value = f"type.googleapis.com/{url}", spec
    with pytest.raises(RemoteProtocolError, match="DataplaneInsight x"):
        decode_insight(resource(KUMA, "x.", frame.SerializeToString()).entry)


def test_another_envelope_ends_the_stream() -> None:
    with pytest.raises(RemoteProtocolError, match="not a KumaResource"):
        decode_entry("Mesh", resource("type.googleapis.com/other", "x.", b"").entry)
