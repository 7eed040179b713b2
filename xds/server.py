"""ADS over gRPC and TLS: moves bytes between proxies and the owner of all state, and decides
nothing.

One task per stream reads requests and hands them to `AdsEvents` on the loop; one writes what `send`
queued. A stream that does not take its responses is ended rather than buffered for: the sending
side keeps at most one response per type in flight, so its queue stays short by construction.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import grpc
import grpc.aio

from xds.discovery import DeltaRequest, DeltaResponse, RemoteProtocolError
from xds.wire import delta_response_bytes, parse_delta_request

if TYPE_CHECKING:
    _Context = grpc.aio.ServicerContext[bytes, bytes]

SERVICE = "envoy.service.discovery.v3.AggregatedDiscoveryService"
REQUEST_BYTES_MAX = 4 * 1024 * 1024
QUEUE_MAX = 16  # responses waiting in one stream
OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.max_receive_message_length", REQUEST_BYTES_MAX),
    ("grpc.max_send_message_length", -1),  # our own messages; the client sets what it takes
    ("grpc.max_concurrent_streams", 1_000_000),
    ("grpc.keepalive_time_ms", 15_000),
    ("grpc.keepalive_timeout_ms", 15_000),
    ("grpc.http2.ping_timeout_ms", 15_000),
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),  # clients ping every 15 s
    ("grpc.http2.max_ping_strikes", 0),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.so_reuseport", 0),  # a second control plane on the port is an error, not a race
)

UNKNOWN = grpc.StatusCode.UNKNOWN  # what a refused authentication ends with, as with Kuma
_CODES = {code.value[0]: code for code in grpc.StatusCode}


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


@dataclass(slots=True)
class _Stream:
    """`ending` is set when this side ends the stream, `over` whichever side does."""

    queue: deque[bytes] = field(default_factory=deque)
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    over: asyncio.Event = field(default_factory=asyncio.Event)
    ending: tuple[grpc.StatusCode, str] | None = None

    def end(self, code: grpc.StatusCode, message: str) -> None:
        if not self.over.is_set():
            self.ending = (code, message)
            self.over.set()


class AdsServer:
    """Delta ADS for the proxies of one zone. `events` owns every decision."""

    def __init__(self, events: AdsEvents) -> None:
        self._events = events
        self._streams: dict[str, _Stream] = {}
        self._opened = 0
        self._server: grpc.aio.Server | None = None

    @property
    def streams(self) -> tuple[str, ...]:
        """Ids of the open streams, oldest first."""
        return tuple(self._streams)

    async def start(self, host: str, port: int, cert_pem: bytes, key_pem: bytes) -> int:
        """Listens on `host` with TLS and returns the port; 0 picks a free one. OSError if it is
        taken.
        """
        server = grpc.aio.server(options=OPTIONS)
        server.add_generic_rpc_handlers((self._handler(),))
        credentials = grpc.ssl_server_credentials([(key_pem, cert_pem)])
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        try:
            bound = server.add_secure_port(address, credentials)
        except RuntimeError as error:
            raise OSError(f"cannot serve ADS on {address}: {error}") from error
        await server.start()
        self._server = server
        return bound

    def send(self, stream: str, response: DeltaResponse) -> None:
        """Queues one response; a stream that is over takes nothing, one that reads nothing is
        ended.
        """
        state = self._streams.get(stream)
        if state is None or state.over.is_set():
            return
        if len(state.queue) >= QUEUE_MAX:
            state.end(
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                f"{QUEUE_MAX} responses wait to be read; reconnect to continue",
            )
            return
        state.queue.append(delta_response_bytes(response))
        state.wake.set()

    def close(self, stream: str, code: int, message: str) -> None:
        """Ends one stream with a gRPC status number; `closed(stream, by_peer=False)` follows."""
        state = self._streams.get(stream)
        if state is not None:
            state.end(_CODES.get(code, UNKNOWN), message)

    async def stop(self, grace_s: float) -> None:
        """Ends every stream with UNAVAILABLE and then the server."""
        if self._server is None:
            return
        for state in self._streams.values():
            state.end(grpc.StatusCode.UNAVAILABLE, "the control plane is stopping")
        await self._server.stop(grace_s)
        self._server = None

    def _handler(self) -> grpc.GenericRpcHandler:
        methods: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
            "DeltaAggregatedResources": grpc.stream_stream_rpc_method_handler(self._delta),
            "StreamAggregatedResources": grpc.stream_stream_rpc_method_handler(self._sotw),
        }
        return grpc.method_handlers_generic_handler(SERVICE, methods)

    async def _sotw(self, _requests: object, context: _Context) -> None:
        await context.abort(
            grpc.StatusCode.UNIMPLEMENTED,
            "this zone serves delta ADS: set api_type DELTA_GRPC in the bootstrap's ads_config "
            "(kuma-dp: KUMA_DATAPLANE_RUNTIME_ENVOY_XDS_TRANSPORT_PROTOCOL_VARIANT=DELTA_GRPC)",
        )

    async def _delta(self, _requests: object, context: _Context) -> None:
        self._opened += 1
        name = f"ads-{self._opened}"
        state = self._streams[name] = _Stream()
        tasks: list[asyncio.Task[None]] = []
        try:
            self._events.opened(name, _authorization(context))
            tasks.append(asyncio.create_task(self._read(name, state, context)))
            tasks.append(asyncio.create_task(_write(state, context)))
            await state.over.wait()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            del self._streams[name]
            self._events.closed(name, state.ending is None)
        for task in tasks:
            if not task.cancelled():
                task.result()  # A fault of ours ends the handler and is reported by grpc.
        if state.ending is not None:
            await context.abort(*state.ending)

    async def _read(self, name: str, state: _Stream, context: _Context) -> None:
        """Until the peer closes its side or a request is malformed."""
        try:
            while isinstance(message := await context.read(), bytes):  # until EOF
                self._events.request(name, parse_delta_request(message))
                if state.over.is_set():
                    return
        except RemoteProtocolError as error:
            state.end(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        except grpc.aio.BaseError:
            pass  # The connection is gone.
        finally:
            state.over.set()


async def _write(state: _Stream, context: _Context) -> None:
    try:
        while True:
            await state.wake.wait()
            state.wake.clear()
            while state.queue:
                await context.write(state.queue.popleft())
    except grpc.aio.BaseError:
        pass  # The connection is gone.
    finally:
        state.over.set()


def _authorization(context: _Context) -> str | None:
    for key, value in context.invocation_metadata() or ():
        if key == "authorization":
            return value if isinstance(value, str) else value.decode("latin-1")
    return None
