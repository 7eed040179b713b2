"""A global of Kuma 2.14 as a zone sees it: its calls and frames as it was observed to send them
(facts/kds-wire.md 1.5 to 1.9 and 12.2), written and read without the product's codecs.

Each call of the zone is a value whose messages the test reads and writes. As with Kuma, nothing is
sent on a stream, headers neither, before the first message.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import grpc
import grpc.aio

from tests.support.protobuf_wire import fields, message, text
from tests.support.raw_frames import delta_response, number, part

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.support.protobuf_wire import Fields

    Context = grpc.aio.ServicerContext[bytes, bytes]
    Entries = Mapping[str, tuple[bytes, ...]]

IN_TIME_S = 20.0
SYNC = ("GlobalToZoneSync", "ZoneToGlobalSync")
ADMIN = ("StreamXDSConfigs", "StreamStats", "StreamClusters")
DOWN, UP = SYNC


@dataclass
class KumaCall:
    """One stream of the zone."""

    headers: tuple[tuple[str, str], ...]
    context: Context
    over: asyncio.Event = field(default_factory=asyncio.Event)
    nonces: int = 0

    async def read(self) -> Fields:
        async with asyncio.timeout(IN_TIME_S):
            found = await self.context.read()
        assert isinstance(found, bytes), "the zone has ended its stream"
        return fields(found)

    async def write(self, data: bytes) -> None:
        await self.context.write(data)

    async def answer(self, type_: str, *entries: bytes, removed: tuple[str, ...] = ()) -> str:
        """A response under the next nonce of the stream, which it returns."""
        self.nonces += 1
        nonce = str(self.nonces)
        await self.write(delta_response(type_, nonce, entries, removed, "global"))
        return nonce


@dataclass
class KumaGlobal:
    """Plaintext gRPC on loopback. `interval` is the body of its health check's answer."""

    interval: bytes = part(1, number(1, 300))
    health: list[tuple[tuple[str, str], ...]] = field(default_factory=list)
    without: tuple[str, ...] = ()  # methods that it does not have
    port: int = 0
    checked: asyncio.Event = field(default_factory=asyncio.Event)
    _calls: dict[str, asyncio.Queue[KumaCall]] = field(default_factory=dict)
    _server: grpc.aio.Server | None = None

    async def start(self) -> None:
        self._calls = {method: asyncio.Queue() for method in (*SYNC, *ADMIN)}
        bidi = grpc.stream_stream_rpc_method_handler
        has: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
            method: bidi(partial(self._serve, method))
            for method in self._calls
            if method not in self.without
        }
        sync = {method: has[method] for method in SYNC}
        rest = {method: has[method] for method in ADMIN if method in has}
        rest["HealthCheck"] = grpc.unary_unary_rpc_method_handler(self._healthy)
        server = grpc.aio.server()
        named = grpc.method_handlers_generic_handler
        server.add_generic_rpc_handlers(
            (
                named("kuma.mesh.v1alpha1.KDSSyncService", sync),
                named("kuma.mesh.v1alpha1.GlobalKDSService", rest),
            )
        )
        self.port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        self._server = server

    async def stop(self) -> None:
        if self._server is not None:
            await self._server.stop(0)

    async def call(self, method: str) -> KumaCall:
        """The zone's next call of this method."""
        async with asyncio.timeout(IN_TIME_S):
            return await self._calls[method].get()

    async def pings(self, count: int) -> None:
        async with asyncio.timeout(IN_TIME_S):
            while len(self.health) < count:
                self.checked.clear()
                await self.checked.wait()

    async def _serve(self, method: str, _requests: object, context: Context) -> None:
        call = KumaCall(_headers(context), context)
        self._calls[method].put_nowait(call)
        await call.over.wait()
        await context.abort(grpc.StatusCode.UNAVAILABLE, "the global is going away")

    async def _healthy(self, request: bytes, context: Context) -> bytes:
        assert request == b""
        self.health.append(_headers(context))
        self.checked.set()
        return self.interval


def _headers(context: Context) -> tuple[tuple[str, str], ...]:
    found = context.invocation_metadata() or ()
    return tuple((key, value) for key, value in found if isinstance(value, str))


async def serve_first(call: KumaCall, count: int, entries: Entries) -> list[Fields]:
    """Answers `count` subscriptions at once, in whatever order they come, and reads the answers to
    that; returns the subscriptions, then those answers.
    """
    asked = []
    for _ in range(count):
        request = await call.read()
        asked.append(request)
        type_ = text(request, 2)
        await call.answer(type_, *entries.get(type_, ()))
    return asked + [await call.read() for _ in range(count)]


def node_id(request: Fields) -> str:
    return text(message(request, 1), 1)
