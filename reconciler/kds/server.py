"""KDS on the global: moves bytes between zones and the owner of all state, and decides nothing.

Six methods on one port. Zones publish and subscribe on two streams and answer on three more what is
asked of their proxies (`admin_server`); health checks are answered. Proxies that dial this port are
told where to go instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import grpc
import grpc.aio

from reconciler.kds.admin_server import AdminDesk, AdminEvents
from reconciler.kds.admission import Caller
from reconciler.kds.proto import kds_pb2
from reconciler.kds.sizes import OURS_MAX
from xds.names import authority
from xds.served_stream import ServedStream, status_code, transport_max
from xds.turns import Turns
from xds.wire import (
    delta_request_bytes,
    delta_response_bytes,
    delta_response_parts,
    parse_delta_request,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterator

    from reconciler.kds.admission import Refusal
    from xds.discovery import DeltaRequest, DeltaResponse
    from xds.served_stream import Context

SYNC_SERVICE = "kuma.mesh.v1alpha1.KDSSyncService"
GLOBAL_SERVICE = "kuma.mesh.v1alpha1.GlobalKDSService"
PROXY_SERVICES = (
    "envoy.service.discovery.v3.AggregatedDiscoveryService",
    "envoy.service.health.v3.HealthDiscoveryService",
)
# Resources that are taken at once, at 0.05 to 0.2 ms each: a zone with a thousand proxies tells of
# all of them in one response. How many such parts fit into a turn of the loop, its clock says.
PART_MAX = 8
QUEUE_MAX = 256  # messages waiting in one stream: several a type
STREAMS_PER_ZONE_MAX = 2  # of one method: a new one may overlap the old one's end
CALLS_PER_CONNECTION_MAX = 32  # a zone has five streams and a health check open
HEALTH_INTERVAL_S = 60
OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.max_concurrent_streams", CALLS_PER_CONNECTION_MAX),
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),  # a real zone pings every 15 s
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_ping_strikes", 0),
    ("grpc.keepalive_time_ms", 15_000),
    ("grpc.keepalive_timeout_ms", 15_000),
    ("grpc.http2.ping_timeout_ms", 15_000),
    ("grpc.so_reuseport", 0),
)


class KdsEvents(AdminEvents, Protocol):
    """What the owner of the state is told, on the loop, in order per stream. Must not block."""

    def zone_opened(self, session: str, caller: Caller, *, downward: bool) -> Refusal | None:
        """A sync stream; a refusal ends it, and nothing more is told of it."""

    def zone_admitted(self, caller: Caller) -> Refusal | None:
        """Whether it proves to be the zone it names, for everything but the sync streams."""

    def health(self, caller: Caller) -> Refusal | None:
        """A zone says that it lives."""

    def proxy_came(self, caller: Caller) -> str:
        """What a proxy is told that dialled this port; only `authorization` says who it is."""

    def subscription(self, session: str, request: DeltaRequest) -> None: ...

    def published(self, session: str, response: DeltaResponse, *, more: bool) -> None:
        """`more`: the response goes on with the next call."""

    def closed(self, session: str) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class KdsLimits:
    """Bytes of a message, and open streams of one method and zone."""

    message_max: int = OURS_MAX
    streams_per_zone: int = STREAMS_PER_ZONE_MAX


@dataclass(frozen=True, slots=True)
class _Stream:
    zone: str
    downward: bool
    served: ServedStream


class KdsServer:
    """`events` owns every decision; `name` is what proxies that come here are told."""

    def __init__(
        self, events: KdsEvents, limits: KdsLimits | None = None, turns: Turns | None = None
    ) -> None:
        self._events = events
        self._limits = limits or KdsLimits()
        self._streams: dict[str, _Stream] = {}
        self._turns = turns or Turns()
        self._opened = 0
        self.admin = AdminDesk(
            self._admitted_zone, events.zone_admitted, self._limits.streams_per_zone, events
        )
        self._server: grpc.aio.Server | None = None

    async def start(self, host: str, port: int, cert_pem: bytes, key_pem: bytes) -> int:
        """Listens with TLS and returns the port; 0 picks a free one. Raises OSError."""
        sizes = (
            ("grpc.max_receive_message_length", transport_max(self._limits.message_max)),
            ("grpc.max_send_message_length", self._limits.message_max),
        )
        server = grpc.aio.server(options=(*OPTIONS, *sizes))
        server.add_generic_rpc_handlers(self._handlers())
        credentials = grpc.ssl_server_credentials([(key_pem, cert_pem)])
        address = authority(host, port)
        try:
            bound = server.add_secure_port(address, credentials)
        except RuntimeError as error:
            raise OSError(f"cannot serve KDS on {address}: {error}") from error
        await server.start()
        self._server = server
        return bound

    def send_response(self, session: str, response: DeltaResponse) -> None:
        self._send(session, delta_response_bytes(response))

    def send_request(self, session: str, request: DeltaRequest) -> None:
        self._send(session, delta_request_bytes(request))

    def _send(self, session: str, data: bytes) -> None:
        stream = self._streams.get(session)
        if stream is not None:
            stream.served.send(data)

    def waiting(self, session: str) -> int:
        """Messages that the peer has not taken yet."""
        stream = self._streams.get(session)
        return len(stream.served.queue) if stream is not None else 0

    def close(self, session: str, code: int, message: str) -> None:
        stream = self._streams.get(session)
        if stream is not None:
            stream.served.end(status_code(code), message)
        else:
            self.admin.close(session, code, message)

    async def stop(self, grace_s: float) -> None:
        """Ends every stream with UNAVAILABLE and then the server."""
        if self._server is None:
            return
        for stream in self._streams.values():
            stream.served.end(grpc.StatusCode.UNAVAILABLE, "the global control plane is stopping")
        self.admin.stop()
        await self._server.stop(grace_s)
        self._server = None

    # --- handlers ---

    def _handlers(self) -> tuple[grpc.GenericRpcHandler, ...]:
        bidi = grpc.stream_stream_rpc_method_handler
        sync: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
            "GlobalToZoneSync": bidi(self._global_to_zone),
            "ZoneToGlobalSync": bidi(self._zone_to_global),
        }
        others: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
            "HealthCheck": grpc.unary_unary_rpc_method_handler(self._health_check),
            **self.admin.handlers(),
        }
        proxies = [
            grpc.method_handlers_generic_handler(
                service, dict.fromkeys(_METHODS, bidi(self._proxy))
            )
            for service in PROXY_SERVICES
        ]
        return (
            grpc.method_handlers_generic_handler(SYNC_SERVICE, sync),
            grpc.method_handlers_generic_handler(GLOBAL_SERVICE, others),
            *proxies,
        )

    async def _proxy(self, _requests: object, context: Context) -> None:
        text = self._events.proxy_came(_caller(context))
        await context.abort(grpc.StatusCode.FAILED_PRECONDITION, text)

    async def _global_to_zone(self, _requests: object, context: Context) -> None:
        await self._sync(context, downward=True)

    async def _zone_to_global(self, _requests: object, context: Context) -> None:
        await self._sync(context, downward=False)

    async def _health_check(self, _request: bytes, context: Context) -> bytes:
        refused = self._events.health(await _named_caller(context))
        if refused is not None:
            await context.abort(status_code(refused.code), refused.message)
        answer = kds_pb2.ZoneHealthCheckResponse()
        answer.interval.seconds = HEALTH_INTERVAL_S
        return answer.SerializeToString()

    async def _admitted_zone(self, context: Context) -> Caller:
        """Who opens a stream, proven to be a zone; ends the call of whoever is none."""
        caller = await _named_caller(context)
        refused = self._events.zone_admitted(caller)
        if refused is not None:
            await context.abort(status_code(refused.code), refused.message)
        return caller

    async def _sync(self, context: Context, *, downward: bool) -> None:
        caller = await _named_caller(context)
        open_now = [
            s for s in self._streams.values() if s.zone == caller.zone and s.downward is downward
        ]
        if len(open_now) >= self._limits.streams_per_zone:
            text = (
                f'zone "{caller.zone}" has {len(open_now)} such streams open; end one first, '
                "or raise --kds-streams-per-zone of the global"
            )
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, text)
        self._opened += 1
        session = f"{caller.zone}-{self._opened}"
        stream = self._streams[session] = _Stream(caller.zone, downward, self._served())
        admitted = False
        try:
            refused = self._events.zone_opened(session, caller, downward=downward)
            admitted = refused is None
        finally:  # Also of a fault of ours: what stays in the books counts against the zone.
            if not admitted:
                del self._streams[session]
        if refused is not None:
            await context.abort(status_code(refused.code), refused.message)
        await self._run(session, stream, context)

    def _served(self) -> ServedStream:
        return ServedStream(
            QUEUE_MAX,
            self._limits.message_max,
            received_max=self._limits.message_max,
            received_setting="raise --kds-message-bytes of the global",
            turns=self._turns,
        )

    async def _run(self, session: str, stream: _Stream, context: Context) -> None:
        def deliver(data: bytes) -> Awaitable[None] | None:
            if stream.downward:
                self._events.subscription(session, parse_delta_request(data))
                return None
            parts = delta_response_parts(data, PART_MAX)
            first, more = next(parts)
            self._events.published(session, first, more=more)
            return rest(parts) if more else None

        async def rest(parts: Iterator[tuple[DeltaResponse, bool]]) -> None:
            for part, more in parts:
                await self._turns.wait()
                if stream.served.over.is_set():
                    return
                self._events.published(session, part, more=more)

        def closed() -> None:
            del self._streams[session]
            self._events.closed(session)

        await stream.served.run(context, deliver, closed)
        # Never OK: a real zone takes that for a graceful end and falls silent.
        await context.abort(
            *(stream.served.ending or (grpc.StatusCode.CANCELLED, "the zone ended the stream"))
        )


_METHODS = (
    "StreamAggregatedResources",
    "DeltaAggregatedResources",
    "StreamHealthCheck",
    "FetchHealthCheck",
)


async def _named_caller(context: Context) -> Caller:
    """Ends the call of whoever does not say which zone it is."""
    caller = _caller(context)
    if not caller.zone:
        await context.abort(
            grpc.StatusCode.INVALID_ARGUMENT, '"client-id" is not present in metadata'
        )
    return caller


def _caller(context: Context) -> Caller:
    """`features` may come twice: the pairs are looked at, never a dict of them."""
    zone, authorization, features = "", None, []
    for key, value in context.invocation_metadata() or ():
        text = value if isinstance(value, str) else value.decode("latin-1")
        match key:
            case "client-id":
                zone = text
            case "authorization":
                authorization = text
            case "features":
                features.append(text)
    return Caller(zone, authorization, tuple(features), context.peer() or "")
