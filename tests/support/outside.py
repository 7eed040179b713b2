"""A service outside of the mesh: a CA of its own, certificates, and an HTTPS server that demands a
certificate of its callers.
"""

from __future__ import annotations

import datetime
import ipaddress
import ssl
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.support.applications import head_of, served
from tests.support.authorities import key_pem, made_ca

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterator
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Pair:
    cert: bytes
    key: bytes


@dataclass(slots=True)
class Authority:
    """A CA that signs for names and addresses."""

    name: str = "outside"
    key: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )
    cert: bytes = b""

    def __post_init__(self) -> None:
        self.cert = made_ca(self.key, time.time(), self.name)

    def issue(self, *names: str) -> Pair:
        key = ec.generate_private_key(ec.SECP256R1())
        start = datetime.datetime.now(datetime.UTC) - datetime.timedelta(minutes=1)
        found = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])]))
            .issuer_name(x509.load_pem_x509_certificate(self.cert).subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(start + datetime.timedelta(days=2))
            .add_extension(x509.SubjectAlternativeName([_san(n) for n in names]), critical=False)
            .sign(self.key, hashes.SHA256())
        )
        return Pair(found.public_bytes(serialization.Encoding.PEM), key_pem(key))


def _san(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


@dataclass(slots=True)
class Seen:
    """What the server knows of its callers: server names, hosts, headers of each request."""

    port: int = 0
    asked: list[str | None] = field(default_factory=list)  # server names
    hosts: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    connections: int = 0


@asynccontextmanager
async def outside(
    says: str,
    *,
    tls: Pair | None = None,
    callers: bytes | None = None,
    folder: Path | None = None,
    host: str = "127.0.0.1",
) -> AsyncIterator[Seen]:
    """An HTTP server; with `tls` by HTTPS, with `callers` for those alone whom that CA signed."""
    seen = Seen()
    context = None
    if tls is not None:
        assert folder is not None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        pair = folder / f"{says.replace(' ', '-')}.pem"
        pair.write_bytes(tls.cert + tls.key)
        context.load_cert_chain(pair)
        context.sni_callback = lambda _socket, name, _context: seen.asked.append(name)
        if callers is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(cadata=callers.decode())

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.connections += 1
        while True:
            _, headers = head_of(await reader.readuntil(b"\r\n\r\n"))
            seen.hosts.append(headers.get("host", ""))
            seen.headers.append(headers)
            body = says.encode()
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
            await writer.drain()

    async with served(answer, tls=context, host=host) as port:
        seen.port = port
        yield seen
