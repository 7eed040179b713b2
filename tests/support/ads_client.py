"""An ADS client of both variants over real gRPC and TLS, a server driven by `AdsStream` and the
certificates for both.
"""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import grpc
import grpc.aio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from xds.ads_stream import AdsStream
from xds.delta_sender import Acked, Answer, Nacked
from xds.proto import discovery_pb2 as pb
from xds.resource import LISTENER
from xds.server import SERVICE, AdsServer
from xds.wire import delta_request_bytes, parse_delta_response, sotw_request_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

    from xds.discovery import DeltaRequest, DeltaResponse
    from xds.snapshot import Snapshot

DELTA_METHOD = f"/{SERVICE}/DeltaAggregatedResources"
SOTW_METHOD = f"/{SERVICE}/StreamAggregatedResources"


@dataclass(frozen=True, slots=True)
class ServerCertificate:
    """Self-signed, for 127.0.0.1 and localhost; its own CA."""

    cert_pem: bytes
    key_pem: bytes


def server_certificate() -> ServerCertificate:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "control plane")])
    now = datetime.datetime.now(datetime.UTC)
    alternatives: list[x509.GeneralName] = [
        x509.DNSName("localhost"),
        x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
    ]
    cert = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    return ServerCertificate(
        cert.public_bytes(serialization.Encoding.PEM),
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
    )


class AdsClient:
    """One stream. Use as an async context manager; `receive` returns the next response."""

    def __init__(
        self, port: int, ca_pem: bytes, *, token: str = "", method: str = DELTA_METHOD
    ) -> None:
        credentials = grpc.ssl_channel_credentials(ca_pem)
        self._channel = grpc.aio.secure_channel(f"127.0.0.1:{port}", credentials)
        metadata = (("authorization", token),) if token else ()
        self.call: grpc.aio.StreamStreamCall[bytes, bytes] = self._channel.stream_stream(method)(
            metadata=metadata
        )

    async def __aenter__(self) -> AdsClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.call.cancel()
        await self._channel.close(None)

    async def send(self, request: DeltaRequest) -> None:
        encode = delta_request_bytes if request.wanted is None else sotw_request_bytes
        await self.call.write(encode(request))

    async def send_bytes(self, message: bytes) -> None:
        await self.call.write(message)

    async def receive(self) -> DeltaResponse:
        """The next response; EOFError with code and details once the stream is over."""
        return parse_delta_response(await self.receive_bytes())

    async def receive_sotw(self) -> pb.DiscoveryResponse:
        return pb.DiscoveryResponse.FromString(await self.receive_bytes())

    async def receive_bytes(self) -> bytes:
        try:
            message = await self.call.read()
        except grpc.aio.AioRpcError as error:
            raise EOFError(f"{error.code()}: {error.details()}") from error
        if not isinstance(message, bytes):  # EOF
            raise EOFError(  # noqa: TRY004 - the stream is over
                f"{await self.call.code()}: {await self.call.details()}"
            )
        return message


@dataclass(slots=True)
class Served:
    """The smallest owner of state: one snapshot for every proxy, and what the proxies answered.

    What is gone is removed from a proxy `drain_s` seconds after its last accepted listener change.
    """

    server: AdsServer = field(init=False)
    snapshot: Snapshot | None = None
    streams: dict[str, AdsStream] = field(default_factory=dict)
    requests: list[tuple[str, DeltaRequest]] = field(default_factory=list)
    answers: list[tuple[str, Answer]] = field(default_factory=list)
    authorizations: list[str | None] = field(default_factory=list)
    fault: Exception | None = None  # raised when a stream opens
    closings: list[tuple[str, bool]] = field(default_factory=list)
    sent: list[DeltaResponse] = field(default_factory=list)
    drain_s: float = 0
    draining: dict[str, asyncio.TimerHandle] = field(default_factory=dict)
    on_change: Callable[[], None] = field(default=lambda: None)

    def __post_init__(self) -> None:
        self.server = AdsServer(self)

    @property
    def rejections(self) -> list[str]:
        return [answer.message for _, answer in self.answers if isinstance(answer, Nacked)]

    def opened(self, stream: str, authorization: str | None) -> None:
        if self.fault is not None:
            raise self.fault
        self.authorizations.append(authorization)
        self.streams[stream] = AdsStream.open()

    def request(self, stream: str, request: DeltaRequest) -> None:
        self.requests.append((request.type_url, request))
        self.streams[stream], answer = self.streams[stream].on_request(request)
        self.answers.append((request.type_url, answer))
        if request.type_url == LISTENER and isinstance(answer, Acked):
            self._drain(stream)
        self._push(stream)
        self.on_change()

    def closed(self, stream: str, by_peer: bool) -> None:
        self.closings.append((stream, by_peer))
        del self.streams[stream]
        if timer := self.draining.pop(stream, None):
            timer.cancel()
        self.on_change()

    def publish(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        for stream in list(self.streams):
            self._push(stream)

    def _drain(self, stream: str) -> None:
        if timer := self.draining.pop(stream, None):
            timer.cancel()
        if self.drain_s:
            loop = asyncio.get_running_loop()
            self.draining[stream] = loop.call_later(self.drain_s, self._drained, stream)

    def _drained(self, stream: str) -> None:
        del self.draining[stream]
        self._push(stream)

    def _push(self, stream: str) -> None:
        retire = stream not in self.draining
        self.streams[stream], responses = self.streams[stream].push(self.snapshot, retire=retire)
        for response in responses:
            self.sent.append(response)
            self.server.send(stream, response)
