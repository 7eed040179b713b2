"""A zone of Kuma 2.14 as a global sees it: its calls, headers and frames as it was observed to send
them (facts/kds-wire.md 1.5 to 1.8 and 12.1), written and read without the product's codecs.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import grpc
import grpc.aio

from tests.support.protobuf_wire import fields, message, text
from tests.support.raw_frames import (
    ZONE_TO_GLOBAL,
    delta_request,
    delta_response,
    kuma_metadata,
    node,
    zone_config,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.global_link import GlobalLink
    from tests.support.protobuf_wire import Fields

    Stream = grpc.aio.StreamStreamCall[bytes, bytes]

SYNC = "/kuma.mesh.v1alpha1.KDSSyncService/"
GLOBAL = "/kuma.mesh.v1alpha1.GlobalKDSService/"
DOWN, UP = f"{SYNC}GlobalToZoneSync", f"{SYNC}ZoneToGlobalSync"
HEALTH = f"{GLOBAL}HealthCheck"
ADMIN = ("StreamXDSConfigs", "StreamStats", "StreamClusters")
IN_TIME_S = 20.0


def kuma_headers(zone: str) -> tuple[tuple[str, str], ...]:
    """Without a token; `features` are two fields."""
    return (
        ("client-id", zone),
        ("features", "zone-ping-health"),
        ("features", "hash-suffix"),
        ("kds-version", "v3"),
        ("version", "2.14.3"),
    )


def first_node(zone: str, *features: str) -> bytes:
    return node(zone, kuma_metadata(f"{zone}-cp", zone_config(), *features))


@dataclass(frozen=True)
class Said:
    """A response as its bytes have it."""

    type_url: str
    nonce: str
    identifier: str
    names: tuple[str, ...]
    removed: tuple[str, ...]
    entries: tuple[Fields, ...] = field(repr=False)
    system_version: str = ""

    def resource(self, index: int = 0) -> Fields:
        """The KumaResource in an entry."""
        return fields(bytes_of(message(self.entries[index], 2), 2))

    def labels(self, index: int = 0) -> dict[str, str]:
        meta = message(self.resource(index), 1)
        pairs = [message(meta, 6, at) for at in range(len(meta.get(6, [])))]
        return {text(pair, 1): text(pair, 2) for pair in pairs}


def bytes_of(found: Fields, number: int) -> bytes:
    value = found[number][0]
    assert isinstance(value, bytes)
    return value


def texts_of(found: Fields, number: int) -> tuple[str, ...]:
    return tuple(text(found, number, at) for at in range(len(found.get(number, []))))


def said(data: bytes) -> Said:
    """A DeltaDiscoveryResponse. Fields that no peer of Kuma's knows would be an error of ours."""
    found = fields(data)
    assert found.keys() <= {1, 2, 4, 5, 6, 7}
    entries = tuple(message(found, 2, at) for at in range(len(found.get(2, []))))
    return Said(
        text(found, 4),
        text(found, 5),
        text(message(found, 7), 1) if 7 in found else "",
        tuple(text(entry, 3) for entry in entries),
        texts_of(found, 6),
        entries,
        text(found, 1) if 1 in found else "",
    )


async def read(call: Stream) -> bytes:
    """The next message; AioRpcError when the stream ended with another status than OK."""
    async with asyncio.timeout(IN_TIME_S):
        found = await call.read()
    assert isinstance(found, bytes), await call.code()
    return found


async def ending(call: Stream) -> tuple[grpc.StatusCode, str]:
    """How the other side ends it, behind whatever it still says."""
    async with asyncio.timeout(IN_TIME_S):
        try:
            while isinstance(await call.read(), bytes):
                pass
        except grpc.aio.AioRpcError:
            pass
        return await call.code(), str(await call.details())


@dataclass
class KumaZone:
    """Opens its calls on one channel, all of whose messages are compressed as Kuma's are."""

    channel: grpc.aio.Channel
    name: str = "kuma-1"

    def open(self, method: str) -> Stream:
        multi: grpc.aio.StreamStreamMultiCallable[bytes, bytes] = self.channel.stream_stream(method)
        return multi(metadata=kuma_headers(self.name), compression=grpc.Compression.Gzip)

    async def health(self) -> bytes:
        check: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = self.channel.unary_unary(HEALTH)
        return await check(
            b"",
            metadata=kuma_headers(self.name),
            timeout=IN_TIME_S,
            compression=grpc.Compression.Gzip,
        )

    async def subscribe(self, call: Stream, *types: str, features: tuple[str, ...] = ()) -> None:
        """Each with the whole node, whose configuration alone has ten kilobytes."""
        told = first_node(self.name, *features)
        for type_ in types:
            await call.write(delta_request(type_, of=told, subscribe=("*",)))

    async def ack(self, call: Stream, response: Said, nonce: str = "") -> None:
        told = nonce or response.nonce
        await call.write(delta_request(response.type_url, of=node(self.name), nonce=told))

    async def nack(self, call: Stream, response: Said, error: str) -> None:
        await call.write(
            delta_request(
                response.type_url,
                of=node(self.name),
                subscribe=("*",),
                nonce=response.nonce,
                error=error,
            )
        )

    async def take(self, call: Stream, *, ack: bool = True) -> Said:
        found = said(await read(call))
        if ack:
            await self.ack(call, found)
        return found

    async def publish(
        self, call: Stream, type_: str, nonce: str, *entries: bytes, removed: tuple[str, ...] = ()
    ) -> None:
        await call.write(delta_response(type_, nonce, entries, removed, self.name))

    async def joined(self, *types: str) -> tuple[Stream, dict[str, Said]]:
        """Its downward stream with the first answers, each acknowledged."""
        call = self.open(DOWN)
        await self.subscribe(call, *types)
        answers = [await self.take(call) for _ in types]
        return call, {answer.type_url: answer for answer in answers}

    async def asked(self) -> tuple[Stream, list[Fields]]:
        """Its upward stream, and what the global asks there before the zone has said a word: two
        types more than a Kuma global, which are answered empty.
        """
        call = self.open(UP)
        return call, [fields(await read(call)) for _ in range(len(ZONE_TO_GLOBAL) + 2)]


@asynccontextmanager
async def kuma_zone(link: GlobalLink, name: str = "kuma-1") -> AsyncIterator[KumaZone]:
    """Connected to a global of ours."""
    async with link.channel() as channel:
        yield KumaZone(channel, name)
