"""The zone's connection to its global: dials, keeps the calls of one session together, and dials
again.

Both sync streams and the health check belong to one session; when any of them ends, all end, and
after a while the next session begins. What is said on the streams is decided elsewhere.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import grpc
import grpc.aio

from reconciler.kds.proto import kds_pb2
from reconciler.kds.sizes import OURS_MAX
from reconciler.kds.zone_node import call_headers
from reconciler.runtime.retry import backoff_s
from xds.discovery import DeltaRequest, DeltaResponse, RemoteProtocolError
from xds.names import authority
from xds.wire import (
    delta_request_bytes,
    delta_response_bytes,
    delta_response_parts,
    parse_delta_request,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from reconciler.kds.admin_client import AdminStreams

    _Call = grpc.aio.StreamStreamCall[bytes, bytes]

PART_MAX = 100  # resources taken in one turn of the loop, at up to 0.05 ms each
QUEUE_MAX = 512  # messages waiting in one stream
HEALTH_INTERVAL_S = 300.0  # until the global says otherwise
HEALTH_MIN_S = 0.1  # whatever it says
CANCEL_AGAIN_S = 1.0
ADMISSION_WAIT_S = 1.0  # for a global that says nothing until it is asked
OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.keepalive_time_ms", 20_000),  # a real global ends clients that ping faster than 15 s
    ("grpc.keepalive_timeout_ms", 15_000),
    ("grpc.http2.ping_timeout_ms", 15_000),  # by default 60 s pass until a frozen global is missed
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.use_local_subchannel_pool", 1),
)
SIZES = ("grpc.max_receive_message_length", "grpc.max_send_message_length")
_SYNC = "/kuma.mesh.v1alpha1.KDSSyncService/"
_GLOBAL = "/kuma.mesh.v1alpha1.GlobalKDSService/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dial:
    """Where the global is, and how to come back to it."""

    host: str
    port: int
    tls: bool
    ca_pem: bytes | None
    zone: str
    version: str
    token: str = field(repr=False)
    backoff_first_s: float = 0.5
    backoff_max_s: float = 15.0
    message_max: int = OURS_MAX

    @property
    def target(self) -> str:
        return authority(self.host, self.port)


class KdsClientEvents(Protocol):
    """What the owner of the state is told, on the loop. Must not block."""

    def connected(self, session: str) -> None: ...

    def response(self, session: str, response: DeltaResponse, *, more: bool) -> None:
        """From GlobalToZoneSync. `more`: the response goes on with the next call."""

    def global_request(self, session: str, request: DeltaRequest) -> None:
        """From ZoneToGlobalSync."""

    def disconnected(self, session: str, reason: str) -> None: ...

    def redial_least_s(self) -> float:
        """What this global needs between two sessions, beside the backoff."""


@dataclass(slots=True)
class _Outgoing:
    """What waits to be written to one stream."""

    queue: deque[bytes] = field(default_factory=deque)
    wake: asyncio.Event = field(default_factory=asyncio.Event)


class KdsClient:
    """`events` owns every decision."""

    def __init__(
        self, events: KdsClientEvents, dial: Dial, admin: AdminStreams | None = None
    ) -> None:
        self._events = events
        self._dial = dial
        self._admin = admin
        self._session: str | None = None
        self._sessions = 0
        self._down = _Outgoing()
        self._up = _Outgoing()
        self._left: asyncio.Future[str] | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._forever())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def send_request(self, session: str, request: DeltaRequest) -> None:
        """On GlobalToZoneSync."""
        self._send(session, self._down, delta_request_bytes(request))

    def send_response(self, session: str, response: DeltaResponse) -> None:
        """On ZoneToGlobalSync."""
        self._send(session, self._up, delta_response_bytes(response))

    def leave(self, session: str, reason: str) -> None:
        """End the session; another follows after the backoff."""
        if session == self._session and self._left is not None and not self._left.done():
            self._left.set_result(reason)

    def _send(self, session: str, outgoing: _Outgoing, data: bytes) -> None:
        if session != self._session:
            return
        if len(outgoing.queue) >= QUEUE_MAX:
            self.leave(session, f"{QUEUE_MAX} messages wait to be read by the global")
            return
        outgoing.queue.append(data)
        outgoing.wake.set()

    # --- sessions ---

    async def _forever(self) -> None:
        failures = 0
        while True:
            loop = asyncio.get_running_loop()
            began = loop.time()
            try:
                await self._one_session()
            except Exception as error:
                # Ours, but a zone that stops dialling would never hear of its global again.
                loop.call_exception_handler(
                    {"message": "a session ended by a fault of ours", "exception": error}
                )
            failures = 0 if loop.time() - began > self._dial.backoff_max_s else failures + 1
            wait_s = random.uniform(*redial_s(failures, self._dial))  # noqa: S311 - jitter
            await asyncio.sleep(wait_s + self._events.redial_least_s())

    async def _one_session(self) -> None:
        self._sessions += 1
        session = f"{self._dial.zone}-{self._sessions}"
        channel = self._channel()
        opened = False
        reason = "cancelled"
        try:
            await self._health(channel)  # The first call: its error is the clearest.
            self._down, self._up = _Outgoing(), _Outgoing()
            self._session = session
            self._left = asyncio.get_running_loop().create_future()
            opened = True
            reason = await self._streams(session, channel)
        except grpc.aio.AioRpcError as error:
            reason = f"{error.code().name}: {error.details()}"
        except Exception as error:
            reason = f"a fault of this control plane: {error!r}"
            raise
        finally:
            self._session = None
            await channel.close()
            self._events.disconnected(session if opened else "", reason)

    def _channel(self) -> grpc.aio.Channel:
        target = self._dial.target
        options = (*OPTIONS, *((name, self._dial.message_max) for name in SIZES))
        if not self._dial.tls:
            return grpc.aio.insecure_channel(target, options=options)
        credentials = grpc.ssl_channel_credentials(self._dial.ca_pem)
        return grpc.aio.secure_channel(target, credentials, options=options)

    @property
    def _headers(self) -> tuple[tuple[str, str], ...]:
        return call_headers(self._dial.zone, self._dial.version, self._dial.token)

    async def _health(self, channel: grpc.aio.Channel) -> float:
        """One health check; the interval the global wishes."""
        check: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(
            f"{_GLOBAL}HealthCheck"
        )
        try:
            data = await check(b"", metadata=self._headers, timeout=10)
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.UNIMPLEMENTED:
                return HEALTH_INTERVAL_S
            raise
        interval = kds_pb2.ZoneHealthCheckResponse.FromString(data).interval
        seconds = interval.seconds + interval.nanos / 1e9
        return max(seconds, HEALTH_MIN_S) if seconds > 0 else HEALTH_INTERVAL_S

    async def _streams(self, session: str, channel: grpc.aio.Channel) -> str:
        """Until one of them ends; says why."""
        down: _Call = channel.stream_stream(f"{_SYNC}GlobalToZoneSync")(metadata=self._headers)
        up: _Call = channel.stream_stream(f"{_SYNC}ZoneToGlobalSync")(metadata=self._headers)
        self._events.connected(session)

        async def on_response(data: bytes) -> None:
            for part, more in delta_response_parts(data, PART_MAX):
                self._events.response(session, part, more=more)
                if more:
                    await asyncio.sleep(0)

        async def on_request(data: bytes) -> None:
            self._events.global_request(session, parse_delta_request(data))

        tasks: list[asyncio.Task[str]] = [
            asyncio.create_task(_read(down, on_response)),
            asyncio.create_task(_read(up, on_request)),
            asyncio.create_task(_write(down, self._down)),
            asyncio.create_task(_write(up, self._up)),
            asyncio.create_task(self._check_health(channel)),
            asyncio.create_task(self._leaving()),
        ]
        if self._admin is not None:
            tasks.append(asyncio.create_task(self._admin.run(channel, self._headers)))
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            return "; ".join(sorted({task.result() for task in done}))
        finally:
            await end_all(tasks)
            down.cancel()
            up.cancel()

    async def _leaving(self) -> str:
        assert self._left is not None
        return await self._left

    async def _check_health(self, channel: grpc.aio.Channel) -> str:
        try:
            interval_s = await self._health(channel)
            while True:
                await asyncio.sleep(interval_s)
                interval_s = await self._health(channel)
        except grpc.aio.AioRpcError as error:
            return f"health check: {error.code().name}: {error.details()}"


def redial_s(failures: int, dial: Dial) -> tuple[float, float]:
    """Between which seconds the next dial comes, after so many sessions in a row that were refused
    or did not last. A global that is started anew is back in a second: whoever was cut off comes
    at once, apart only as far as all zones together need it, and only what fails backs off.
    """
    if not failures:
        return 0.0, dial.backoff_first_s / 2
    bound = backoff_s(failures, first_s=dial.backoff_first_s, max_s=dial.backoff_max_s)
    return bound / 4, bound


async def _read(call: _Call, deliver: Callable[[bytes], Awaitable[None]]) -> str:
    try:
        while isinstance(message := await call.read(), bytes):
            await deliver(message)
    except RemoteProtocolError as error:
        return str(error)
    except grpc.aio.AioRpcError as error:
        return f"{error.code().name}: {error.details()}"
    except asyncio.CancelledError:
        return "cancelled"
    code = await call.code()
    return f"{code.name}: {await call.details()}"


async def _write(call: _Call, outgoing: _Outgoing) -> str:
    """Ends with the stream; the reader knows why.

    Nothing is written before the global has let the stream in or refused it: a write that fails
    would replace its status, and with it the reason, by an INTERNAL of grpc's own.
    """
    await _admitted(call)
    try:
        while True:
            while outgoing.queue:
                await call.write(outgoing.queue.popleft())
            outgoing.wake.clear()
            await outgoing.wake.wait()
    except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
        await asyncio.Event().wait()
    raise AssertionError


async def _admitted(call: _Call) -> None:
    """Until the global's headers are here, which ours sends at once and a real Kuma with its first
    message: that one is written to unasked after a while.
    """
    with suppress(TimeoutError):
        async with asyncio.timeout(ADMISSION_WAIT_S):
            await call.initial_metadata()


async def end_all(tasks: Sequence[asyncio.Task[str]]) -> None:
    """A cancellation may be swallowed by an await that ends at that very moment: it is repeated, or
    the session would never end and no other begin.
    """
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=CANCEL_AGAIN_S)
    await asyncio.gather(*tasks, return_exceptions=True)
