"""Asks the Envoy of a proxy of this zone: configuration, statistics, clusters. Shell.

By mTLS on the proxy's admin listener, as `kuma-cp`; who answers must be the very proxy that was
asked. Only where Envoy's own admin interface listens on loopback it is asked in plaintext. Every
step has a limit: a proxy that hangs costs its asker ten seconds and nobody else anything.
"""

from __future__ import annotations

import asyncio
import http.client
import io
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconciler.ca.admin import admin_identity, issue_admin_client
from reconciler.keys.secret_store import write_private
from reconciler.redaction import redacted
from xds.names import authority

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import Any

    from reconciler.admin import AdminTarget

CHUNK = 256 * 1024
HEAD_MAX = 64 * 1024  # bytes beside the body: headers, sizes of chunks
CLIENT_FILE = "admin-client.pem"


class AdminFailed(Exception):
    """No answer; the text is for whoever asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdminLimits:
    connect_s: float = 3.0
    request_s: float = 5.0
    overall_s: float = 10.0  # with waiting for its turn
    at_once: int = 8
    answer_max: int = 48 * 1024 * 1024  # bytes; with its envelope it fits into a KDS message


class AdminClient:
    """`ca_pem` is the zone's CA of admin access, `folder` its state directory. Raises ValueError
    for a CA that cannot be used; OSError.
    """

    def __init__(self, ca_pem: bytes, folder: Path, now: float, limits: AdminLimits) -> None:
        self.limits = limits
        self._asked = self._failed = self._waiting = 0
        self._context = _context(ca_pem, folder, now)
        self._turns = asyncio.Semaphore(limits.at_once)

    async def get(self, target: AdminTarget, path: str, *, is_config: bool, limit: int) -> bytes:
        """The body of the answer, without secrets. Raises AdminFailed."""
        self._asked += 1
        self._waiting += 1
        try:
            async with asyncio.timeout(self.limits.overall_s), self._turns:
                data = await self._exchange(target, path, min(limit, self.limits.answer_max))
                return await asyncio.to_thread(_body, data, is_config)
        except TimeoutError:
            self._failed += 1
            text = f"timed out after {self.limits.overall_s:g} s"
            raise AdminFailed(f"{_what(target, path)}: {text}") from None
        except AdminFailed as error:
            self._failed += 1
            raise AdminFailed(f"{_what(target, path)}: {error}") from error
        finally:
            self._waiting -= 1

    @property
    def figures(self) -> Mapping[str, int]:
        return {"asked": self._asked, "failed": self._failed, "waiting": self._waiting}

    async def _exchange(self, target: AdminTarget, path: str, limit: int) -> bytes:
        """All bytes of one answer, over a connection of its own."""
        reader, writer = await self._connected(target)
        try:
            _check_identity(target, writer)
            async with asyncio.timeout(self.limits.request_s):
                head = f"GET {path} HTTP/1.1\r\nhost: {authority(target.host, target.port)}\r\n"
                writer.write(
                    f"{head}connection: close\r\naccept-encoding: identity\r\n\r\n".encode()
                )
                return await _all(reader, limit)
        except TimeoutError:
            raise AdminFailed(f"timed out after {self.limits.request_s:g} s") from None
        except OSError as error:
            raise AdminFailed(f"the connection broke: {error}") from error
        finally:
            writer.transport.abort()

    async def _connected(
        self, target: AdminTarget
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        tls: dict[str, Any] = {} if target.plain else {"ssl": self._context}
        if not target.plain:
            tls["server_hostname"] = target.host
        try:
            async with asyncio.timeout(self.limits.connect_s):
                return await asyncio.open_connection(target.host, target.port, limit=CHUNK, **tls)
        except TimeoutError:
            raise AdminFailed(f"timed out after {self.limits.connect_s:g} s") from None
        except (OSError, UnicodeError) as error:  # also ssl.SSLError
            raise AdminFailed(f"cannot connect: {error}") from error


def _what(target: AdminTarget, path: str) -> str:
    where = authority(target.host, target.port)
    return f"unable to send GET to {path.partition('?')[0][1:]} of {where}"


def _check_identity(target: AdminTarget, writer: asyncio.StreamWriter) -> None:
    """The certificate is of this zone's CA and for this address; two proxies may share that."""
    if target.plain:
        return
    shown = writer.get_extra_info("ssl_object").getpeercert().get("subjectAltName", ())
    if ("URI", admin_identity(target.node_id)) not in shown:
        raise AdminFailed(
            "another proxy answers there; give each proxy of an address its own "
            "networking.admin.port"
        )


async def _all(reader: asyncio.StreamReader, limit: int) -> bytes:
    found = bytearray()
    while chunk := await reader.read(CHUNK):
        found += chunk
        if len(found) > limit + HEAD_MAX:
            raise AdminFailed(f"the answer is over the limit of {limit} bytes (--admin-answer-max)")
    return bytes(found)


def _body(data: bytes, is_config: bool) -> bytes:
    """In a thread: large answers are taken apart here."""
    response = http.client.HTTPResponse(_Received(data))  # type: ignore[arg-type]
    try:
        response.begin()
        body = response.read()
    except (http.client.HTTPException, ValueError, OSError) as error:
        raise AdminFailed(f"the answer is no whole HTTP answer: {error!r}") from error
    if response.status != 200:
        raise AdminFailed(f"answered {response.status}")
    try:
        return redacted(body) if is_config else body
    except ValueError as error:
        raise AdminFailed(f"the answer is no JSON: {error}") from error


class _Received:
    """Bytes that stand for a socket."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, _mode: str) -> io.BytesIO:
        return io.BytesIO(self._data)


def _context(ca_pem: bytes, folder: Path, now: float) -> ssl.SSLContext:
    """`ssl` reads a key from a file only: made anew at each start, private."""
    made = issue_admin_client(ca_pem, now)
    file = folder / CLIENT_FILE
    write_private(file, made.chain_pem + made.key_pem)
    context = ssl.create_default_context(cadata=made.ca_pem.decode())
    context.load_cert_chain(file)
    return context
