"""A MeshService from one zone to another over real gRPC: under its hashed name, as the global's,
without a status; and never back.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from reconciler.kds.codec import decode_entry, encode_carried
from reconciler.kds.names import hashed_name
from reconciler.kds.upward import zone_carried
from reconciler.model.resource import Labels
from tests.support.global_link import SYNC, GlobalLink, acknowledge, global_link, read, subscribe
from tests.support.global_plane import timeout
from tests.support.mesh_services import mesh, one
from tests.support.zone import dataplane, zone
from xds.discovery import DeltaResponse
from xds.wire import delta_response_bytes, parse_delta_request

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import grpc.aio

    Call = grpc.aio.StreamStreamCall[bytes, bytes]

pytestmark = pytest.mark.timeout(60)
DOWN, UP = f"{SYNC}GlobalToZoneSync", f"{SYNC}ZoneToGlobalSync"
TYPE = "MeshService"
NAME = hashed_name("default", "backend", Labels.of({"kuma.io/zone": "east"}))


@pytest.fixture
async def link(tmp_path: Path) -> AsyncIterator[GlobalLink]:
    async with global_link(tmp_path) as made:
        made.publish(timeout(1000))
        yield made


async def told_to(call: Call) -> DeltaResponse:
    """The next response of the type that is not empty, acknowledged."""
    while True:
        response = await read(call)
        await acknowledge(call, response)
        if response.type_url == TYPE and (response.resources or response.removed):
            return response


async def tell(call: Call, response: DeltaResponse) -> str | None:
    """What the global says to it: None for an ACK."""
    await call.write(delta_response_bytes(response))
    while True:
        message = await call.read()
        assert isinstance(message, bytes)
        answer = parse_delta_request(message)
        if answer.type_url == TYPE and answer.nonce == response.nonce:
            return answer.error


async def test_the_other_zone_gets_the_synced_form_under_the_hashed_name(link: GlobalLink) -> None:
    east = zone(mesh())
    east.connect(dataplane("backend-0", "backend"))
    east.tick(1)
    carried = zone_carried("east", one(east))
    assert carried.name == NAME
    assert carried.status is not None
    frame = encode_carried(carried)
    async with link.channel() as channel:
        up = link.call(channel, UP, "east")
        back = link.call(channel, DOWN, "east")
        west = link.call(channel, DOWN, "west")
        for call, name in ((back, "east"), (west, "west")):
            await subscribe(call, name, TYPE)
            first = await read(call)
            await acknowledge(call, first)
            assert first.resources == ()
        said = DeltaResponse(TYPE, "1", (frame,), control_plane="east")
        assert await tell(up, said) is None
        (found,) = (await told_to(west)).resources
        assert found.name == f"{NAME}.default"
        labels = {**carried.labels, "kuma.io/origin": "global"}
        assert decode_entry(TYPE, found.entry) == replace(carried, labels=labels, status=None)
        gone = DeltaResponse(TYPE, "2", (), (found.name,), control_plane="east")
        assert await tell(up, gone) is None
        assert (await told_to(west)).removed == (found.name,)
        await subscribe(back, "east", "MeshTimeout")
        assert (await read(back)).type_url == "MeshTimeout", "its own was not sent back"


async def test_a_name_with_another_zones_hash_is_refused(link: GlobalLink) -> None:
    east = zone(mesh())
    east.connect(dataplane("backend-0", "backend"))
    frame = encode_carried(zone_carried("east", one(east)))
    async with link.channel() as channel:
        up = link.call(channel, UP, "west")
        error = await tell(up, DeltaResponse(TYPE, "1", (frame,), control_plane="west"))
        assert error is not None
        assert 'label kuma.io/zone claims zone "east"' in error
