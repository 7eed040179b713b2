"""A DNS client and a small DNS server, both by UDP: enough to see what an answer says."""

from __future__ import annotations

import asyncio
import ipaddress
import itertools
import struct
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from tests.support.applications import served

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

A, PTR, MX, TXT, AAAA, SRV, HTTPS = 1, 12, 15, 16, 28, 33, 65
NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED = range(6)
_ids = itertools.count(1)


@dataclass(frozen=True)
class Answer:
    """What a server said: its code, addresses with their TTL, and how long the message was."""

    rcode: int
    found: tuple[tuple[str, int], ...] = ()
    truncated: bool = False
    size: int = 0

    @property
    def addresses(self) -> list[str]:
        return sorted(address for address, _ in self.found)


class _Client(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, addr: object) -> None:
        if not self.answer.done():
            self.answer.set_result(data)

    def error_received(self, exc: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(exc)


async def ask(
    port: int, name: str, kind: int = A, *, host: str = "127.0.0.1", timeout_s: float = 5.0
) -> Answer:
    """One question, sent once. Raises TimeoutError, and OSError where nobody listens."""
    loop = asyncio.get_running_loop()
    transport, client = await loop.create_datagram_endpoint(_Client, remote_addr=(host, port))
    try:
        transport.sendto(question(name, kind, next(_ids) % 0xFFFF + 1))
        async with asyncio.timeout(timeout_s):
            return parsed(await client.answer)
    finally:
        transport.close()


def question(name: str, kind: int, number: int) -> bytes:
    labels = b"".join(bytes((len(each),)) + each.encode() for each in name.split("."))
    return struct.pack("!6H", number, 0x0100, 1, 0, 0, 0) + labels + struct.pack("!BHH", 0, kind, 1)


def parsed(data: bytes) -> Answer:
    _, flags, questions, answers, _, _ = struct.unpack("!6H", data[:12])
    at, found = 12, []
    for _ in range(questions):
        at = _after_name(data, at) + 4
    for _ in range(answers):
        at = _after_name(data, at)
        kind, _, ttl, size = struct.unpack("!HHIH", data[at : at + 10])
        at += 10 + size
        if kind in (A, AAAA):
            found.append((str(ipaddress.ip_address(data[at - size : at])), ttl))
    return Answer(flags & 15, tuple(found), bool(flags & 0x0200), len(data))


def _after_name(data: bytes, at: int) -> int:
    while data[at]:
        if data[at] & 0xC0:
            return at + 2
        at += data[at] + 1
    return at + 1


async def ask_by_tcp(port: int, name: str, kind: int = A) -> Answer:
    """Raises OSError where nobody listens, EOFError where the connection ends."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        message = question(name, kind, next(_ids) % 0xFFFF + 1)
        writer.write(struct.pack("!H", len(message)) + message)
        async with asyncio.timeout(5):
            (size,) = struct.unpack("!H", await reader.readexactly(2))
            return parsed(await reader.readexactly(size))
    finally:
        writer.close()


class _Server(asyncio.DatagramProtocol):
    def __init__(self, table: Mapping[str, tuple[str, ...]], asked: list[tuple[str, int]]) -> None:
        self._table = table
        self._asked = asked
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        assert self._transport is not None
        self._transport.sendto(self.answer(data), addr)

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            (size,) = struct.unpack("!H", await reader.readexactly(2))
            found = self.answer(await reader.readexactly(size))
            writer.write(struct.pack("!H", len(found)) + found)
            await writer.drain()

    def answer(self, data: bytes) -> bytes:
        end = _after_name(data, 12)
        name = ".".join(_labels(data[12:end])).lower()
        (kind,) = struct.unpack("!H", data[end : end + 2])
        self._asked.append((name, kind))
        known = self._table.get(name)
        records = [
            ipaddress.ip_address(each).packed
            for each in known or ()
            if ipaddress.ip_address(each).version == (4 if kind == A else 6 if kind == AAAA else 0)
        ]
        code = NXDOMAIN if known is None else NOERROR
        head = data[:2] + struct.pack("!5H", 0x8180 | code, 1, len(records), 0, 0)
        answers = [struct.pack("!HHHIH", 0xC00C, kind, 1, 7, len(r)) + r for r in records]
        return head + data[12 : end + 4] + b"".join(answers)


def _labels(data: bytes) -> list[str]:
    found = []
    while data[0]:
        found.append(data[1 : data[0] + 1].decode())
        data = data[data[0] + 1 :]
    return found


@dataclass(frozen=True)
class Upstream:
    port: int
    asked: list[tuple[str, int]]  # names in lower case and types, in order


@asynccontextmanager
async def upstream(table: Mapping[str, tuple[str, ...]]) -> AsyncIterator[Upstream]:
    """A server that knows these names and their addresses (TTL 7), and no other; by UDP and TCP."""
    asked: list[tuple[str, int]] = []
    server = _Server(table, asked)
    async with served(server.talk) as port:
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: server, local_addr=("127.0.0.1", port)
        )
        try:
            yield Upstream(port, asked)
        finally:
            transport.close()
