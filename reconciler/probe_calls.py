"""Calls the application that a probe asks about: by TCP, HTTP/1.1, with or without TLS, or gRPC.

Where a host redirects traffic, calls leave from 127.0.0.6 or ::6, which the rules let pass to the
application itself (facts/dataplane-wire.md 0).
"""

from __future__ import annotations

import asyncio
import concurrent.futures.thread  # noqa: F401 - loaded late by asyncio, when we may not read it
import ipaddress
import ssl
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h11

from reconciler.probing import (
    HEALTHY,
    UNHEALTHY,
    GrpcProbe,
    HttpProbe,
    TcpProbe,
    check_request,
    http_verdict,
    is_serving,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from hpack.struct import Header

    from reconciler.probing import Probe, Verdict

SOURCES = {4: "127.0.0.6", 6: "::6"}
HEAD_MAX = 16 * 1024  # bytes
BODY_MAX = 10 * 1024  # read of an answer; what comes after it says nothing more
CHUNK = 65536
AGENT = "kube-probe/2.14.3"  # who asks by gRPC is taken for kubelet, as in Kuma
CHECK = "/grpc.health.v1.Health/Check"


@dataclass(frozen=True, slots=True)
class Application:
    """Where it listens: the address of its Dataplane."""

    address: str
    redirected: bool

    @property
    def source(self) -> tuple[str, int] | None:
        if not self.redirected:
            return None
        try:
            version = ipaddress.ip_address(self.address).version
        except ValueError:  # a name
            version = 4
        return SOURCES[version], 0

    def authority(self, port: int) -> str:
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"{host}:{port}"


async def called(application: Application, probe: Probe) -> Verdict:
    """What the application came to within the probe's time."""
    try:
        async with asyncio.timeout(probe.timeout_s):
            match probe:
                case TcpProbe():
                    async with _connection(application, probe.port, None):
                        return HEALTHY
                case GrpcProbe():
                    return HEALTHY if await _checked(application, probe) else UNHEALTHY
                case HttpProbe():
                    return http_verdict(await _asked(application, probe))
    except (OSError, EOFError, TimeoutError, h11.ProtocolError, h2.exceptions.ProtocolError):
        return UNHEALTHY


@asynccontextmanager
async def _connection(
    application: Application, port: int, tls: ssl.SSLContext | None
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection(
        application.address, port, local_addr=application.source, ssl=tls
    )
    try:
        yield reader, writer
    finally:
        writer.close()
        with suppress(OSError, asyncio.CancelledError):
            await writer.wait_closed()


# --- HTTP ---


async def _asked(application: Application, probe: HttpProbe) -> int:
    """The status of a whole answer; of a long one, its beginning. Raises as `called` catches."""
    headers = list(probe.headers)
    if "host" not in dict(headers):
        headers.insert(0, ("host", application.authority(probe.port)))
    request = h11.Request(
        method="GET", target=probe.target, headers=[*headers, ("connection", "close")]
    )
    talk = h11.Connection(h11.CLIENT, max_incomplete_event_size=HEAD_MAX)
    tls = _unverified() if probe.tls else None
    async with _connection(application, probe.port, tls) as (reader, writer):
        writer.write((talk.send(request) or b"") + (talk.send(h11.EndOfMessage()) or b""))
        await writer.drain()
        return await _status(reader, talk)


async def _status(reader: asyncio.StreamReader, talk: h11.Connection) -> int:
    status, read = 0, 0
    while read < BODY_MAX:
        match talk.next_event():
            case h11.NEED_DATA:
                talk.receive_data(await reader.read(CHUNK))
            case h11.Response(status_code=code):
                status = code
            case h11.Data(data=data):
                read += len(data)
            case h11.EndOfMessage() | h11.PAUSED:
                break
    return status


def _unverified() -> ssl.SSLContext:
    """Whose certificate it is does not matter to a probe, as it does not to kubelet."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


# --- gRPC ---


async def _checked(application: Application, probe: GrpcProbe) -> bool:
    """Whether the service says that it is serving. Raises as `called` catches."""
    talk = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding=None))
    async with _connection(application, probe.port, None) as (reader, writer):
        talk.initiate_connection()
        stream = talk.get_next_available_stream_id()
        talk.send_headers(stream, _head(application, probe))
        talk.send_data(stream, check_request(probe.service), end_stream=True)
        answer = _Answer()
        while not answer.ended:
            writer.write(talk.data_to_send())
            await writer.drain()
            data = await reader.read(CHUNK)
            if not data:
                raise EOFError("closed without an answer")
            for event in talk.receive_data(data):
                answer.take(event)
        return answer.status == b"0" and is_serving(bytes(answer.body))


def _head(application: Application, probe: GrpcProbe) -> list[tuple[str, str]]:
    return [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", CHECK),
        (":authority", application.authority(probe.port)),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
        ("user-agent", AGENT),
        ("grpc-timeout", f"{probe.timeout_s}S"),
    ]


class _Answer:
    """One answer as it comes. Its status may come with the head, when there is no body."""

    def __init__(self) -> None:
        self.status = b""
        self.body = bytearray()
        self.ended = False

    def take(self, event: h2.events.Event) -> None:
        match event:
            case h2.events.ResponseReceived(headers=headers):
                self._note(headers)
            case h2.events.TrailersReceived(headers=headers):
                self._note(headers)
            case h2.events.DataReceived(data=data):
                self.body += data or b""
                self.ended = len(self.body) > BODY_MAX
            case h2.events.StreamEnded():
                self.ended = True
            case h2.events.StreamReset():
                self.status, self.ended = b"", True
            case _:
                pass

    def _note(self, headers: Iterable[Header]) -> None:
        for name, value in headers:
            if name == b"grpc-status":
                self.status = value
