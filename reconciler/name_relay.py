"""Answers the applications of a host that redirects their questions to name servers: names of the
mesh as the proxy's Envoy has them, all others as the host's name servers say.

Envoy's DNS filter knows the names, but is no name server for applications: it compares with case,
knows two types, says of what it has for one family only that there is no such name in the other,
answers for its clusters too, and calls what it cannot look up non-existent
(`tests/e2e/test_names.py`). So it is asked for both families of each name, and what it does not
have is passed on as it came.

Answers of Envoy are not kept: a change is in force for the next question.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
import struct
import threading
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from reconciler.dns_messages import (
    AAAA,
    ANY,
    HEADER,
    NOERROR,
    NXDOMAIN,
    A,
    Found,
    answer,
    answers,
    failure,
    found_in,
    number_of,
    numbered,
    question,
    question_of,
    servers_in,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
    from pathlib import Path

    from reconciler.dns_messages import Question

    Way = Callable[["Place", bytes], Awaitable[bytes]]

Place = tuple[str, int]  # address and port

ENVOY_S = 1.0  # no answer of Envoy's by then: nobody knows whether there is such a name
ENVOY_TRIES = 2
SERVER_S = 2.0  # of one name server, by one way
ROUNDS = 2  # over all of them
CLUSTER_TTL_S = 300  # of what Envoy answers for a cluster's name; those of the mesh have less
PENDING_MAX = 1024  # questions at a time; more are not answered
CONNECTIONS_MAX = 128
IDLE_S = 10.0  # of a connection between two questions
BATCH = 64  # datagrams taken before others have their turn
MESSAGE_MAX = 65535
BACKLOG = 128
STOP_S = 5.0
_LENGTH = struct.Struct("!H")


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayOptions:
    """`listen`: addresses of this host, all on one port. `servers`: read before each question that
    is passed on.
    """

    listen: tuple[str, ...]
    port: int
    envoy: Place
    servers: Callable[[], tuple[Place, ...]]


@dataclass(slots=True)
class HostServers:
    """Name servers of a resolv.conf, read anew whenever it is another file."""

    path: Path
    _known: tuple[object, tuple[Place, ...]] = (None, ())

    def __call__(self) -> tuple[Place, ...]:
        try:
            stat = self.path.stat()
            state = stat.st_mtime_ns, stat.st_ino, stat.st_size
            if state != self._known[0]:
                self._known = state, servers_in(self.path.read_text(errors="replace"))
        except OSError:
            self._known = None, servers_in("")
        return self._known[1]


@contextmanager
def name_relay(options: RelayOptions) -> Iterator[None]:
    """Answers as long as the block lasts, in a thread of its own. Raises OSError when it cannot
    listen there.
    """
    sockets = _listening(options)
    loop = asyncio.new_event_loop()
    relay = _Relay(options)
    thread = threading.Thread(target=loop.run_forever, name="name-relay", daemon=True)
    thread.start()
    asyncio.run_coroutine_threadsafe(relay.start(sockets), loop).result()
    try:
        yield
    finally:
        with suppress(TimeoutError):
            asyncio.run_coroutine_threadsafe(relay.stop(), loop).result(STOP_S)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(STOP_S)
        loop.close()


def _listening(options: RelayOptions) -> list[socket.socket]:
    """By UDP and by TCP on each address; none where one of them cannot be had."""
    made: list[socket.socket] = []
    try:
        for address in options.listen:
            made.append(_bound(address, options.port, socket.SOCK_DGRAM))
            made.append(_bound(address, options.port, socket.SOCK_STREAM))
            made[-1].listen(BACKLOG)
    except OSError:
        for each in made:
            each.close()
        raise
    return made


def _bound(address: str, port: int, kind: int) -> socket.socket:
    made = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind)
    try:
        made.setblocking(False)
        if kind == socket.SOCK_STREAM:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((address, port))
    except OSError:
        made.close()
        raise
    return made


def loopbacks(family: str) -> tuple[str, ...]:
    """Where redirected questions arrive: 127.0.0.1, and ::1 unless that host, or what is redirected
    (`family`), has IPv4 alone.
    """
    if family == "ipv4" or not socket.has_ipv6:
        return ("127.0.0.1",)
    try:
        _bound("::1", 0, socket.SOCK_DGRAM).close()
    except OSError:
        return ("127.0.0.1",)
    return "127.0.0.1", "::1"


class _Relay:
    def __init__(self, options: RelayOptions) -> None:
        self._options = options
        self._envoy = _Envoy(options.envoy)
        self._listening: list[socket.socket] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._connections = 0

    async def start(self, sockets: list[socket.socket]) -> None:
        loop = asyncio.get_running_loop()
        self._listening = sockets
        for each in sockets:
            by_tcp = each.type is socket.SOCK_STREAM
            loop.add_reader(each, self._accept if by_tcp else self._receive, each)

    async def stop(self) -> None:
        loop = asyncio.get_running_loop()
        for each in self._listening:
            loop.remove_reader(each)
            each.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._envoy.close()

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # --- by UDP ---

    def _receive(self, listening: socket.socket) -> None:
        for _ in range(BATCH):
            try:
                asked, sender = listening.recvfrom(MESSAGE_MAX)
            except OSError:
                return  # All taken; or an answer's receiver is gone, which is told here.
            if len(asked) >= HEADER.size and len(self._tasks) < PENDING_MAX:
                self._keep(asyncio.create_task(self._answer(listening, asked, sender)))

    async def _answer(
        self, listening: socket.socket, asked: bytes, sender: tuple[object, ...]
    ) -> None:
        found = await self.resolved(asked, _by_udp)
        with suppress(OSError):  # Full, or nobody waits there: asked again, if at all.
            listening.sendto(found, sender)

    # --- by TCP ---

    def _accept(self, listening: socket.socket) -> None:
        try:
            connection, _ = listening.accept()
        except OSError:
            return  # It has gone meanwhile, or there are too many files.
        if self._connections >= CONNECTIONS_MAX or len(self._tasks) >= PENDING_MAX:
            connection.close()
            return
        self._connections += 1
        connection.setblocking(False)
        task = asyncio.create_task(self._talk(connection))
        self._keep(task)
        task.add_done_callback(lambda _: self._gone(connection))

    def _gone(self, connection: socket.socket) -> None:
        self._connections -= 1
        connection.close()

    async def _talk(self, connection: socket.socket) -> None:
        """Question by question."""
        with suppress(OSError, EOFError, TimeoutError):
            while True:
                async with asyncio.timeout(IDLE_S):
                    asked = await _framed(connection)
                if len(asked) < HEADER.size:
                    return
                found = await self.resolved(asked, _by_tcp)
                async with asyncio.timeout(IDLE_S):
                    await _send_framed(connection, found)

    # --- the answer ---

    async def resolved(self, asked: bytes, way: Way) -> bytes:
        """The answer to a message. `way`: how what is passed on is."""
        about = question_of(asked)
        if about is not None:
            try:
                found = await self._in_mesh(about)
            except (OSError, TimeoutError, ValueError):
                return failure(asked)
            if found is not None:
                return answer(asked, about, *found)
        return await self._elsewhere(asked, way)

    async def _in_mesh(self, about: Question) -> tuple[tuple[bytes, ...], int] | None:
        """Addresses of the type asked for and their TTL; None where there is no such name."""
        four, six = await asyncio.gather(
            self._envoy.asked(about.name, A), self._envoy.asked(about.name, AAAA)
        )
        known = [each for each in (four, six) if _is_of_mesh(each)]
        if not known:
            return None
        wanted = {A: (four,), AAAA: (six,), ANY: (four, six)}.get(about.kind, ())
        addresses = tuple(a for each in wanted if each in known for a in each.addresses)
        return addresses, min(each.ttl_s for each in known)

    async def _elsewhere(self, asked: bytes, way: Way) -> bytes:
        servers = self._options.servers()
        for place in servers * ROUNDS:
            with suppress(OSError, EOFError, TimeoutError):
                async with asyncio.timeout(SERVER_S):
                    return await way(place, asked)
        return failure(asked)


def _is_of_mesh(found: Found) -> bool:
    if found.rcode not in (NOERROR, NXDOMAIN):
        raise ValueError(f"Envoy answered with code {found.rcode}")
    return bool(found.addresses) and found.ttl_s < CLUSTER_TTL_S


# --- Envoy ---


@dataclass(slots=True)
class _Envoy:
    """The proxy's DNS listener, asked on one socket: it is on this host."""

    place: Place
    _socket: socket.socket | None = None
    _waiting: dict[int, asyncio.Future[bytes]] = field(default_factory=dict)
    _number: int = 0

    async def asked(self, name: str, kind: int) -> Found:
        """Raises OSError where nobody listens, TimeoutError without an answer, ValueError where it
        is none.
        """
        for _ in range(ENVOY_TRIES - 1):
            with suppress(TimeoutError):
                return await self._once(name, kind)
        return await self._once(name, kind)

    async def _once(self, name: str, kind: int) -> Found:
        connected = self._connected()
        number = self._free()
        waiting = self._waiting[number] = asyncio.get_running_loop().create_future()
        try:
            connected.send(question(number, name, kind))
            async with asyncio.timeout(ENVOY_S / ENVOY_TRIES):
                return found_in(await waiting)
        finally:
            del self._waiting[number]

    def _free(self) -> int:
        """Not 0: Envoy takes that for no question."""
        while True:
            self._number = self._number % 0xFFFF + 1
            if self._number not in self._waiting:
                return self._number

    def _connected(self) -> socket.socket:
        if self._socket is None:
            family = socket.AF_INET6 if ":" in self.place[0] else socket.AF_INET
            self._socket = found = socket.socket(family, socket.SOCK_DGRAM)
            found.setblocking(False)
            found.connect(self.place)
            asyncio.get_running_loop().add_reader(found, self._receive, found)
        return self._socket

    def _receive(self, connected: socket.socket) -> None:
        for _ in range(BATCH):
            try:
                message = connected.recv(MESSAGE_MAX)
            except BlockingIOError:
                return
            except OSError as error:  # Nobody listens.
                for waiting in self._waiting.values():
                    if not waiting.done():
                        waiting.set_exception(error)
                return
            waiting = self._waiting.get(number_of(message))  # type: ignore[assignment]
            if waiting is not None and not waiting.done():
                waiting.set_result(message)

    def close(self) -> None:
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()


# --- name servers ---


async def _by_udp(place: Place, asked: bytes) -> bytes:
    """From a port and under a number that nobody can guess."""
    loop = asyncio.get_running_loop()
    sent = numbered(asked, secrets.randbits(16))
    async with _connected(place, socket.SOCK_DGRAM) as connected:
        await loop.sock_sendall(connected, sent)
        while True:
            found = await loop.sock_recv(connected, MESSAGE_MAX)
            if answers(found, sent):
                return numbered(found, number_of(asked))


async def _by_tcp(place: Place, asked: bytes) -> bytes:
    sent = numbered(asked, secrets.randbits(16))
    async with _connected(place, socket.SOCK_STREAM) as connected:
        await _send_framed(connected, sent)
        found = await _framed(connected)
        if not answers(found, sent):
            raise EOFError
        return numbered(found, number_of(asked))


@asynccontextmanager
async def _connected(place: Place, kind: int) -> AsyncIterator[socket.socket]:
    """An address of IPv6 may name its interface (`fe80::1%eth0`)."""
    host, port = place
    family, _, _, _, address = socket.getaddrinfo(
        host, port, type=kind, flags=socket.AI_NUMERICHOST
    )[0]
    with socket.socket(family, kind) as made:
        made.setblocking(False)
        await asyncio.get_running_loop().sock_connect(made, address)
        yield made


async def _send_framed(connected: socket.socket, message: bytes) -> None:
    framed = _LENGTH.pack(len(message)) + message
    await asyncio.get_running_loop().sock_sendall(connected, framed)


async def _framed(connected: socket.socket) -> bytes:
    """Raises EOFError where it ends before its end."""
    (size,) = _LENGTH.unpack(await _exactly(connected, _LENGTH.size))
    return await _exactly(connected, size)


async def _exactly(connected: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size:
        part = await asyncio.get_running_loop().sock_recv(connected, size - len(found))
        if not part:
            raise EOFError
        found += part
    return found
