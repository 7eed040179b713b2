"""The status of a resource: up as it is, down never, and not a reason for a zone to change."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from reconciler.decode import mesh_resource
from reconciler.kds.codec import CarriedResource, decode_entry, encode_carried
from reconciler.kds.proto import kds_pb2
from reconciler.kds.receive import accept_from_zone
from reconciler.kds.slice import relay
from reconciler.kds.types import KUMA_RESOURCE
from reconciler.kds.upward import zone_carried
from reconciler.model.resource import Labels, MeshResource, ResourceKey
from reconciler.state import EMPTY, diff, from_resources
from reconciler.steps import global_state as g
from reconciler.steps.zone_staging import typed
from reconciler.stored import decode_stored, encode_stored
from tests.support.global_plane import Global
from tests.support.protobuf_wire import fields, message
from tests.support.slices import sliced
from xds.discovery import DeltaResponse, RemoteProtocolError
from xds.wire import resource

if TYPE_CHECKING:
    from xds.resource import XdsResource

KEY = ResourceKey("MeshService", "default", "shop")
SPEC = {"ports": [{"port": 80, "appProtocol": "http"}], "selector": {"dataplaneTags": {"a": "b"}}}


def service(status: str | None) -> MeshResource:
    return mesh_resource(KEY, Labels(), SPEC, status)


def frame_with(status: bytes, type_: str = "MeshService") -> XdsResource:
    made = kds_pb2.KumaResource()
    made.meta.name, made.meta.mesh = "shop", "default"
    made.spec.value = b"{}"
    made.status.value = status
    made.status.SetInParent()
    return resource(KUMA_RESOURCE, "shop.default", made.SerializeToString(deterministic=True))


def kuma_fields(frame: XdsResource) -> dict[int, list[bytes | int]]:
    return message(message(fields(frame.entry), 2), 2)


def send(plane: Global, nonce: str, *frames: XdsResource) -> tuple[g.Effect, ...]:
    response = DeltaResponse("MeshService", nonce, frames, ())
    return plane.deliver(g.ZonePublished("east-up", response))


def test_the_zones_status_is_kept_and_its_change_is_a_change() -> None:
    plane = Global()
    plane.publish()
    plane.connect("east")
    for nonce, status in (("1", '{"vips":[]}'), ("2", '{"vips":[{"ip":"241.0.0.1"}]}')):
        send(plane, nonce, encode_carried(zone_carried("east", service(status))))
        (held,) = plane.state.zones["east"].owned.of("MeshService")
        assert held.status == status


def test_a_status_alone_is_kept_for_no_other_zone() -> None:
    """It changes with every proxy."""
    plane = Global()
    plane.publish()
    plane.connect("east")
    first = send(plane, "1", encode_carried(zone_carried("east", service('{"tls":{}}'))))
    (kept,) = (e for e in first if isinstance(e, g.KeepRelayed))
    assert [r.status for r in kept.put] == [None]
    changes = plane.state.changes
    second = send(plane, "2", encode_carried(zone_carried("east", service('{"vips":[]}'))))
    assert not any(isinstance(e, g.KeepRelayed) for e in second)
    assert plane.state.changes == changes


def test_a_status_that_changes_makes_a_difference_of_states() -> None:
    before, after = from_resources([service("{}")]), from_resources([service('{"a":1}')])
    assert diff(before, after).put == (service('{"a":1}'),)


def test_other_zones_are_sent_no_status_and_nothing_when_only_it_changes() -> None:
    labels = Labels.of({"kuma.io/zone": "east"})
    one, other = (replace(service(status), labels=labels) for status in ("{}", '{"a":1}'))
    first = sliced(None, "west", "c1", EMPTY, from_resources([one]))
    (frame,) = first.types["MeshService"].values()
    assert 3 not in kuma_fields(frame)
    assert relay(first, [(one, other)]) is first


def test_a_zone_ignores_the_status_it_is_sent() -> None:
    carried = zone_carried("east", service(None))
    assert typed(replace(carried, status='{"a":1}')) == typed(carried)


def test_it_survives_on_disk_and_old_rows_are_read() -> None:
    assert decode_stored(encode_stored(service('{"a":1}'))) == service('{"a":1}')
    assert "status" not in json.loads(encode_stored(service(None)))
    assert decode_stored(encode_stored(service(None))) == service(None)


@pytest.mark.parametrize("status", [None, ""])
def test_an_any_with_an_empty_value_is_never_sent(status: str | None) -> None:
    carried = CarriedResource("MeshService", "default", "shop", {}, "{}", status)
    assert 3 not in kuma_fields(encode_carried(carried))


MALFORMED = [
    (b"", "the status is empty"),
    (b"[]", "the status is not an object"),
    (b"nil", "Expecting value"),
    (b'{"a":NaN}', "NaN is not a number"),
    (b'{"a":"\\ud800"}', "surrogates"),
    (b'{"a":' + b"[" * 100 + b"]" * 100 + b"}", "64 levels"),
    (b"\xff\xfe", "utf-8"),
]


@pytest.mark.parametrize(("status", "why"), MALFORMED)
def test_a_malformed_status_ends_the_stream_and_says_whose(status: bytes, why: str) -> None:
    plane = Global()
    plane.publish()
    plane.connect("east")
    send(plane, "1", encode_carried(zone_carried("east", service("{}"))))
    (closed,) = send(plane, "2", frame_with(status))
    assert isinstance(closed, g.CloseSession)
    assert "MeshService shop: " in closed.message
    assert why in closed.message
    assert len(plane.state.zones["east"].owned.of("MeshService")) == 1


def test_a_status_of_a_type_that_has_none_is_not_looked_at() -> None:
    """Kuma gave some types a status only lately: a peer of another version may send one."""
    assert decode_entry("MeshTimeout", frame_with(b"", "MeshTimeout").entry).status is None


def test_attribution_to_the_zone_keeps_the_status() -> None:
    found = accept_from_zone("east", zone_carried("east", service('{"a":1}')))
    assert isinstance(found, CarriedResource)
    assert found.status == '{"a":1}'


def test_a_resource_without_a_spec_is_refused_with_its_name() -> None:
    made = kds_pb2.KumaResource()
    made.meta.name = "shop"
    entry = resource(KUMA_RESOURCE, "shop.", made.SerializeToString()).entry
    for type_ in ("MeshService", "Mesh", "TrafficRoute"):
        with pytest.raises(RemoteProtocolError, match=f"{type_} shop: the resource has no spec"):
            decode_entry(type_, entry)
