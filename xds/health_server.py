"""HDS over gRPC, on the same server as ADS: moves bytes, and decides nothing.

Envoy reports once an interval whatever happened. A report that equals the one before ends here,
before it is parsed, so that a fleet in which nothing changes costs its owner nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import grpc
import grpc.aio

from xds.health_wire import parse_health_message, specifier_bytes
from xds.served_stream import ServedStream, status_code
from xds.turns import Turns

if TYPE_CHECKING:
    from xds.health import HealthReport, Introduction, Specifier
    from xds.served_stream import Context

SERVICE = "envoy.service.health.v3.HealthDiscoveryService"
QUEUE_MAX = 4  # specifiers waiting in one stream


class HealthEvents(Protocol):
    """What the owner of the state is told, on the loop, in order per stream. Must not block."""

    def health_opened(self, stream: str, authorization: str | None) -> None:
        """A stream with the raw value of its `authorization` metadata."""

    def health_said(self, stream: str, message: Introduction | HealthReport) -> None:
        """A message that differs from the one before."""

    def health_closed(self, stream: str) -> None:
        """The stream is over, whatever ended it."""


class HealthServer:
    """One zone's HDS; `handler` goes into the gRPC server of its ADS."""

    def __init__(self, events: HealthEvents, turns: Turns | None = None) -> None:
        self._events = events
        self._streams: dict[str, ServedStream] = {}
        self._last: dict[str, bytes] = {}  # message of each stream
        self._turns = turns or Turns()
        self._opened = 0

    def handler(self) -> grpc.GenericRpcHandler:
        method: grpc.RpcMethodHandler[bytes, bytes] = grpc.stream_stream_rpc_method_handler(
            self._serve
        )
        return grpc.method_handlers_generic_handler(SERVICE, {"StreamHealthCheck": method})

    def send(self, stream: str, specifier: Specifier) -> None:
        served = self._streams.get(stream)
        if served is not None:
            self._last.pop(stream, None)  # The answer counts, also if it is what was said before.
            served.send(specifier_bytes(specifier))

    def close(self, stream: str, code: int, message: str) -> None:
        served = self._streams.get(stream)
        if served is not None:
            served.end(status_code(code), message)

    def end_all(self, message: str) -> None:
        for served in self._streams.values():
            served.end(grpc.StatusCode.UNAVAILABLE, message)

    async def _serve(self, _requests: object, context: Context) -> None:
        self._opened += 1
        name = f"hds-{self._opened}"
        stream = self._streams[name] = ServedStream(QUEUE_MAX, turns=self._turns)

        def deliver(message: bytes) -> None:
            if message != self._last.get(name):
                self._last[name] = message
                self._events.health_said(name, parse_health_message(message))

        def closed() -> None:
            forget()
            self._events.health_closed(name)

        def forget() -> None:
            del self._streams[name]
            self._last.pop(name, None)

        try:
            self._events.health_opened(name, _authorization(context))
        except Exception as error:  # Nobody knows this stream: it must not stay in the books.
            stream.our_fault(error)
            forget()
        else:
            await stream.run(context, deliver, closed)
        if stream.ending is not None:
            await context.abort(*stream.ending)


def _authorization(context: Context) -> str | None:
    for key, value in context.invocation_metadata() or ():
        if key == "authorization":
            return value if isinstance(value, str) else value.decode("latin-1")
    return None
