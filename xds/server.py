"""ADS over gRPC and TLS: moves bytes between proxies and the owner of all state, and decides
nothing.

The sending side keeps at most one response per type in flight, so the queue of a stream stays
short by construction.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol

import grpc
import grpc.aio

from xds.names import authority
from xds.room import Room
from xds.served_stream import ServedStream, status_code, transport_max
from xds.turns import Turns
from xds.wire import (
    delta_response_bytes,
    parse_delta_request,
    parse_sotw_request,
    size_of,
    sotw_response_bytes,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from xds.discovery import DeltaRequest, DeltaResponse
    from xds.health_server import HealthServer
    from xds.served_stream import Context

SERVICE = "envoy.service.discovery.v3.AggregatedDiscoveryService"
QUEUE_MAX = 16  # responses waiting in one stream
STOPPING = "the control plane is stopping"
OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.max_send_message_length", -1),  # our own messages; the client sets what it takes
    ("grpc.max_concurrent_streams", 1_000_000),
    # Who says nothing is out before its callers try it again (`EJECTION_BASE` of their clusters).
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 8_000),
    ("grpc.http2.ping_timeout_ms", 8_000),
    ("grpc.server_handshake_timeout_ms", 10_000),
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),  # clients ping every 15 s
    ("grpc.http2.max_ping_strikes", 0),
    ("grpc.keepalive_permit_without_calls", 1),
    # A PING for nearly every message that comes, to find out how much more could come: what proxies
    # send is small, and both sides pay for it in system calls.
    ("grpc.http2.bdp_probe", 0),
    # Buffers of a connection are as large as TLS records, and stay: by the usual 16 kB a thousand
    # proxies that were sent megabytes once keep 18 MB more.
    ("grpc.tsi.max_frame_size", 4096),
    ("grpc.so_reuseport", 0),  # a second control plane on the port is an error, not a race
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AdsLimits:
    """Bytes of a request, streams that are open at a time, and seconds to a stream's first word."""

    request_bytes: int = 4 * 1024 * 1024
    streams: int = 12_000  # a zone's 5,000 proxies have one each, and may come back before they go
    first_request_s: float = 10.0  # Envoy writes it at once


class AdsEvents(Protocol):
    """What the owner of the state is told, on the loop, in order per stream. Must not block.

    Whatever a method raises ends that stream with INTERNAL and reaches the loop's exception
    handler.
    """

    def opened(self, stream: str, authorization: str | None) -> None:
        """A stream with the raw value of its `authorization` metadata."""

    def request(self, stream: str, request: DeltaRequest) -> None:
        """One well-formed request; the first one of a stream carries the node."""

    def closed(self, stream: str, by_peer: bool) -> None:
        """The stream is over; False if `close` or `stop` ended it, or a request was malformed."""


@dataclass(frozen=True, slots=True)
class _Variant:
    """How one method reads and writes."""

    parse: Callable[[bytes], DeltaRequest]
    encode: Callable[[DeltaResponse], bytes]


DELTA = _Variant(parse_delta_request, delta_response_bytes)
STATE_OF_THE_WORLD = _Variant(parse_sotw_request, sotw_response_bytes)


@dataclass(frozen=True, slots=True)
class _Stream:
    served: ServedStream
    variant: _Variant


class AdsServer:
    """ADS for the proxies of one zone, in both variants, and `health` on the same port. `events`
    owns every decision.
    """

    def __init__(
        self,
        events: AdsEvents,
        health: HealthServer | None = None,
        limits: AdsLimits | None = None,
        turns: Turns | None = None,
    ) -> None:
        self._events = events
        self._health = health
        self._streams: dict[str, _Stream] = {}
        self._turns, self._room = turns or Turns(), Room()
        self._opened = 0
        self._server: grpc.aio.Server | None = None
        self.limits = limits or AdsLimits()

    @property
    def streams(self) -> tuple[str, ...]:
        """Ids of the open streams, oldest first."""
        return tuple(self._streams)

    async def start(self, host: str, port: int, cert_pem: bytes, key_pem: bytes) -> int:
        """Listens on `host` with TLS and returns the port; 0 picks a free one. OSError if it is
        taken.
        """
        size = ("grpc.max_receive_message_length", transport_max(self.limits.request_bytes))
        server = grpc.aio.server(options=(*OPTIONS, size))
        server.add_generic_rpc_handlers((self._handler(),))
        if self._health is not None:
            server.add_generic_rpc_handlers((self._health.handler(),))
        credentials = grpc.ssl_server_credentials([(key_pem, cert_pem)])
        address = authority(host, port)
        try:
            bound = server.add_secure_port(address, credentials)
        except RuntimeError as error:
            raise OSError(f"cannot serve ADS on {address}: {error}") from error
        await server.start()
        self._server = server
        return bound

    def send(self, stream: str, response: DeltaResponse) -> None:
        """Queues one response, which is encoded when its stream can take it; one that is over takes
        nothing, one that reads nothing is ended.
        """
        found = self._streams.get(stream)
        if found is not None:
            make = partial(found.variant.encode, response)
            found.served.send_later(size_of(response.resources), make)

    def close(self, stream: str, code: int, message: str) -> None:
        """Ends one stream with a gRPC status number; `closed(stream, by_peer=False)` follows."""
        found = self._streams.get(stream)
        if found is not None:
            found.served.end(status_code(code), message)

    async def stop(self, grace_s: float) -> None:
        """Ends every stream with UNAVAILABLE and then the server."""
        if self._server is None:
            return
        for stream in self._streams.values():
            stream.served.end(grpc.StatusCode.UNAVAILABLE, STOPPING)
        if self._health is not None:
            self._health.end_all(STOPPING)
        await self._server.stop(grace_s)
        self._server = None

    def _handler(self) -> grpc.GenericRpcHandler:
        methods: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
            "DeltaAggregatedResources": grpc.stream_stream_rpc_method_handler(self._delta),
            "StreamAggregatedResources": grpc.stream_stream_rpc_method_handler(self._sotw),
        }
        return grpc.method_handlers_generic_handler(SERVICE, methods)

    async def _delta(self, _requests: object, context: Context) -> None:
        await self._serve(context, DELTA)

    async def _sotw(self, _requests: object, context: Context) -> None:
        await self._serve(context, STATE_OF_THE_WORLD)

    async def _serve(self, context: Context, variant: _Variant) -> None:
        if len(self._streams) >= self.limits.streams:
            text = f"{self.limits.streams} ADS streams are open here; try again"
            text = f"{text}, or raise --ads-streams-max of the zone"
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, text)
        self._opened += 1
        name = f"ads-{self._opened}"
        served = ServedStream(
            QUEUE_MAX,
            received_max=self.limits.request_bytes,
            received_setting="raise --ads-request-bytes of the zone",
            turns=self._turns,
            room=self._room,
        )
        self._streams[name] = _Stream(served, variant)

        within_s = self.limits.first_request_s
        text = f"no request within {within_s:g} s (--ads-first-request of the zone)"
        silent = asyncio.get_running_loop().call_later(
            within_s, served.end, grpc.StatusCode.DEADLINE_EXCEEDED, text
        )

        def deliver(message: bytes) -> None:
            silent.cancel()
            self._events.request(name, variant.parse(message))

        def closed() -> None:
            silent.cancel()
            del self._streams[name]
            self._events.closed(name, served.ending is None)

        try:
            self._events.opened(name, _authorization(context))
        except Exception as error:  # Nobody knows this stream: it must not stay in the books.
            silent.cancel()
            served.our_fault(error)
            del self._streams[name]
        else:
            await served.run(context, deliver, closed)
        if served.ending is not None:
            await context.abort(*served.ending)


def _authorization(context: Context) -> str | None:
    for key, value in context.invocation_metadata() or ():
        if key == "authorization":
            return value if isinstance(value, str) else value.decode("latin-1")
    return None
