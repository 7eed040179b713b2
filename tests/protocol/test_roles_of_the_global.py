"""Who the global lets in, and as whom, over real gRPC: each of KDS's six methods without a zone's
proof, and a zone that speaks in another's name.

docs/roles.md names these tests.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

import grpc
import pytest

from reconciler.ca import tokens
from reconciler.ca.authority import new_rsa_key_pem
from reconciler.global_cp.answers import GlobalAnswers
from reconciler.kds.codec import CarriedResource, encode_carried
from reconciler.kds.names import hashed_name
from reconciler.kds.server import KdsLimits
from reconciler.kds.zone_node import call_headers
from reconciler.model.resource import DISPLAY_NAME, ZONE, Labels, canonical_json
from tests.support.global_link import GLOBAL, SYNC, GlobalLink, global_link
from tests.support.global_plane import timeout
from xds.discovery import DeltaResponse
from xds.wire import delta_response_bytes, parse_delta_request

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from xds.discovery import DeltaRequest
    from xds.resource import XdsResource

pytestmark = pytest.mark.timeout(60)
IN_TIME_S = 20.0
STREAMS = (
    f"{SYNC}GlobalToZoneSync",
    f"{SYNC}ZoneToGlobalSync",
    f"{GLOBAL}StreamXDSConfigs",
    f"{GLOBAL}StreamStats",
    f"{GLOBAL}StreamClusters",
)
HEALTH = f"{GLOBAL}HealthCheck"


@pytest.fixture
async def link(tmp_path: Path) -> AsyncIterator[GlobalLink]:
    async with global_link(tmp_path) as made:
        made.publish(timeout(1000))
        yield made


async def refusal(
    link: GlobalLink, method: str, headers: tuple[tuple[str, str], ...]
) -> tuple[grpc.StatusCode, str]:
    async with asyncio.timeout(IN_TIME_S), link.channel() as channel:
        call: Any
        if method == HEALTH:
            unary: Any = channel.unary_unary(method)
            call = unary(b"", metadata=headers)
        else:
            call = channel.stream_stream(method)(metadata=headers)
        return await call.code(), str(await call.details())


def forged(link: GlobalLink, kind: str) -> str | None:
    """What somebody presents for zone "east" who is not its control plane."""
    claims: dict[str, dict[str, Any]] = {
        "zone proxy": tokens.zone_claims("east", ("ingress",)),
        "another zone": tokens.zone_claims("west", ("cp",)),
        "dataplane": tokens.dataplane_claims("default", "web-1"),
        "expired": tokens.zone_claims("east", ("cp",)),
    }
    match kind:
        case "none":
            return None
        case "garbage":
            return "not-a-token"
        case "another key":
            key = new_rsa_key_pem()
            return tokens.issue(key, tokens.zone_claims("east", ("cp",)), time.time(), 600.0)
    valid_s = -1.0 if kind == "expired" else 600.0
    return tokens.issue(link.key, claims[kind], time.time(), valid_s)


KINDS = ("none", "garbage", "zone proxy", "another zone", "dataplane", "expired", "another key")


@pytest.mark.parametrize("method", [*STREAMS, HEALTH])
async def test_no_method_of_kds_answers_without_a_zones_proof(
    link: GlobalLink, method: str
) -> None:
    nameless = await refusal(link, method, ())
    assert nameless == (grpc.StatusCode.INVALID_ARGUMENT, '"client-id" is not present in metadata')
    for kind in KINDS:
        code, text = await refusal(link, method, call_headers("east", "0", forged(link, kind)))
        assert code is grpc.StatusCode.UNAUTHENTICATED, (kind, text)
        assert "reconciler token zone" in text or "join file" in text, (kind, text)
    _, text = await refusal(link, method, call_headers("global", "0", link.token("global")))
    assert text.startswith('"global" is the name of the global')
    assert not link.plane.state.sessions
    assert not link.plane.state.zones


# --- a zone that speaks for another ---


def ingress(owner: str, **said: object) -> XdsResource:
    """Of zone east by its connection; `owner` is the zone that its name's hash is of."""
    networking = {"address": "10.0.0.9", "port": 10001}
    wire = hashed_name("", "in", Labels.of({ZONE: owner}))
    body = canonical_json({"networking": networking, **said})
    return encode_carried(CarriedResource("ZoneIngress", "", wire, {DISPLAY_NAME: "in"}, body))


@pytest.mark.parametrize(
    ("sent", "place"),
    [(ingress("east", zone="west"), "zone"), (ingress("west"), "its name")],
    ids=["payload", "name"],
)
async def test_a_zone_that_claims_another_is_refused_and_stands_in_status(
    link: GlobalLink, sent: XdsResource, place: str
) -> None:
    async with asyncio.timeout(IN_TIME_S), link.channel() as channel:
        west = link.call(channel, f"{SYNC}ZoneToGlobalSync", "west")  # The global knows the zone.
        await west.initial_metadata()
        up = link.call(channel, f"{SYNC}ZoneToGlobalSync", "east")
        await asked_for(up, "ZoneIngress")
        response = DeltaResponse("ZoneIngress", "1", (sent,))
        await up.write(delta_response_bytes(response))
        answer = await asked_for(up, "ZoneIngress")
    words = f'{place} claims zone "west", but it came from zone "east"'
    assert answer.error is not None
    assert words in answer.error
    rows = cast("list[dict[str, Any]]", GlobalAnswers(link.plane).status(proxies=True)["zones"])
    east = next(row for row in rows if row["zone"] == "east")
    assert words in str(east)
    assert not link.plane.state.zones["west"].owned.by_key
    assert not link.plane.state.zones["east"].owned.by_key


async def asked_for(call: grpc.aio.StreamStreamCall[bytes, bytes], type_: str) -> DeltaRequest:
    """The global's next request of the type; it asks for all that a zone may send."""
    while True:
        message = await call.read()
        assert isinstance(message, bytes)
        request = parse_delta_request(message)
        if request.type_url == type_:
            return request


# --- sizes ---


async def test_a_message_of_a_zone_over_the_limit_names_limit_and_setting(tmp_path: Path) -> None:
    limits = KdsLimits(message_max=100_000)
    async with (
        global_link(tmp_path, limits) as link,
        asyncio.timeout(IN_TIME_S),
        link.channel() as channel,
    ):
        link.publish(timeout(1000))
        up = link.call(channel, f"{SYNC}ZoneToGlobalSync", "east")
        await asked_for(up, "ZoneIngress")
        await up.write(b"\x00" * 100_001)
        with suppress(grpc.aio.AioRpcError):
            while isinstance(await up.read(), bytes):
                continue
        assert await up.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "limit of 100000; raise --kds-message-bytes of the global" in await up.details()
