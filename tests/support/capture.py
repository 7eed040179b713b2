"""Two networks for capture: `app`, where an application and a stand-in for its proxy listen, and
`peer`, where servers do that know nothing of a mesh. Everybody says who they are. Needs root.
"""

from __future__ import annotations

import selectors
import socket
import struct
import sys
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.namespaces import Namespace, cable, namespaces, v4, v6

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from subprocess import CompletedProcess

PROGRAM = Path(sys.executable).parent / "reconciler"
PROXY, APPLICATION, OTHER = 5678, 1000, 1500  # users
OUTBOUND, INBOUND, DNS = 15001, 15006, 15053
ORIGINAL_DESTINATION = 80  # SO_ORIGINAL_DST and IP6T_SO_ORIGINAL_DST
PROXY_SAYS, SERVER_SAYS = "240.0.0.7", "192.0.2.53"  # to whoever asks for a name
NAME = b"\7backend\4mesh\0"
LIMIT_S = 5.0


@dataclass(frozen=True)
class World:
    """`folder` holds the resolv.conf of `app`, which names `peer`."""

    app: Namespace
    peer: Namespace
    folder: Path

    def install(self, *options: str, check: bool = True) -> CompletedProcess[str]:
        return self._run("install", options, check)

    def uninstall(self, *options: str, check: bool = True) -> CompletedProcess[str]:
        return self._run("uninstall", options, check)

    def command(self, verb: str, *options: str) -> list[str | Path]:
        resolv = [f"--resolv-conf={self.folder / 'resolv.conf'}"] if verb == "install" else []
        return [PROGRAM, verb, "transparent-proxy", *resolv, *options]

    def _run(self, verb: str, options: tuple[str, ...], check: bool) -> CompletedProcess[str]:
        done = self.app.run(*self.command(verb, *options))
        assert not check or done.returncode == 0, done.stderr
        return done

    # --- what somebody hears ---

    def heard(
        self, at: Namespace, host: str, port: int, *, uid: int = APPLICATION, source: str = ""
    ) -> str:
        """Who answers a connection from there by TCP; raises OSError if nobody."""

        def asked() -> str:
            bound = (source, 0) if source else None
            with socket.create_connection((host, port), LIMIT_S, bound) as connection:
                return connection.recv(4096).decode()

        return at.within(asked, uid=uid)

    def address_of_name(
        self, where: Namespace, server: str, *, uid: int = APPLICATION, port: int = 0, at: int = 53
    ) -> str:
        """What `server` says, asked at its port `at` from `port`, that the name's address is: the
        answer must come from there.
        """

        def asked() -> str:
            with udp(server, "", port) as query:
                query.settimeout(LIMIT_S)
                query.connect((server, at))  # Datagrams from elsewhere are not received.
                query.send(question())
                return answered(query.recv(4096))

        return where.within(asked, uid=uid)


@contextmanager
def world(folder: Path) -> Iterator[World]:
    """Joined by cable 1: `app` is its side 1, `peer` side 2 and, for exclusions, side 3."""
    with namespaces("app", "peer") as (app, peer), ExitStack() as ended:
        cable(app, peer, 1)
        peer.ip("address", "add", f"{v4(1, 3)}/24", "dev", "eth1")
        third = ("address", "add", f"{v6(1, 3)}/64", "dev", "eth1", "nodad")
        peer.ip(*third, "preferred_lft", "0")  # Nothing is sent from it unless it is named.
        (folder / "resolv.conf").write_text(f"nameserver {v4(1, 2)}\nnameserver {v6(1, 2)}\n")
        by_proxy = {OUTBOUND: original, INBOUND: original, DNS: original}
        ended.enter_context(serving(app, PROXY, by_proxy))
        answers = {"127.0.0.1": PROXY_SAYS, "::1": PROXY_SAYS}
        ended.enter_context(answering(app, PROXY, answers, DNS))
        ended.enter_context(serving(app, APPLICATION, dict.fromkeys((22, 8080), application)))
        ended.enter_context(serving(peer, 0, dict.fromkeys((53, 443, 5432, 8080), server)))
        servers = dict.fromkeys([v4(1, 2), v4(1, 3), v6(1, 2), v6(1, 3)], SERVER_SAYS)
        ended.enter_context(answering(peer, 0, servers, 53))
        yield World(app, peer, folder)


# --- who they are ---


def original(connection: socket.socket) -> str:
    """The stand-in: at which port it was reached, and where the caller meant to go."""
    if connection.family == socket.AF_INET:
        data = connection.getsockopt(socket.SOL_IP, ORIGINAL_DESTINATION, 16)
        port, address = struct.unpack("!2xH4s8x", data)
    else:
        data = connection.getsockopt(socket.IPPROTO_IPV6, ORIGINAL_DESTINATION, 28)
        port, address = struct.unpack("!2xH4x16s4x", data)
    host = socket.inet_ntop(connection.family, address)
    return f"proxy at {connection.getsockname()[1]} for {host} {port}"


def application(connection: socket.socket) -> str:
    return f"application, to {connection.getpeername()[0]}"


def server(connection: socket.socket) -> str:
    return f"server, to {connection.getpeername()[0]}"


# --- servers ---


@contextmanager
def serving(
    at: Namespace, uid: int, ports: Mapping[int, Callable[[socket.socket], str]]
) -> Iterator[None]:
    """Connections by both families are told that text, and closed."""

    def accepted(listening: socket.socket) -> None:
        connection, _ = listening.accept()
        with connection:
            connection.sendall(ports[listening.getsockname()[1]](connection).encode())

    def made() -> list[socket.socket]:
        return [
            socket.create_server((host, port), family=family_of(host), backlog=16)
            for port in ports
            for host in ("0.0.0.0", "::")
        ]

    with _serving(at, uid, made, accepted):
        yield


@contextmanager
def answering(at: Namespace, uid: int, says: dict[str, str], port: int) -> Iterator[None]:
    """Names have the address `says[host]` for who asks at `host`, by UDP."""

    def answer(listening: socket.socket) -> None:
        query, caller = listening.recvfrom(4096)
        listening.sendto(answer_to(query, says[listening.getsockname()[0]]), caller)

    with _serving(at, uid, lambda: [udp(host, host, port) for host in says], answer):
        yield


@contextmanager
def _serving(
    at: Namespace,
    uid: int,
    made: Callable[[], list[socket.socket]],
    ready: Callable[[socket.socket], None],
) -> Iterator[None]:
    """All in one thread: what it accepts is the user's, too."""
    sockets = at.within(made, uid=uid)
    end, ended = socket.socketpair()

    def run() -> None:
        with selectors.DefaultSelector() as selector:
            for one in (*sockets, ended):
                selector.register(one, selectors.EVENT_READ)
            while True:
                for key, _ in selector.select():
                    if key.fileobj is ended:
                        return
                    assert isinstance(key.fileobj, socket.socket)
                    ready(key.fileobj)

    thread = at.thread(run, uid=uid)
    try:
        yield
    finally:
        end.close()
        thread.join(LIMIT_S)
        for one in (*sockets, ended):
            one.close()


def udp(like: str, host: str, port: int) -> socket.socket:
    """Of the family of `like`, bound to `host`; closed if it cannot be."""
    made = socket.socket(family_of(like), socket.SOCK_DGRAM)
    try:
        if made.family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind((host, port))
    except OSError:
        made.close()
        raise
    return made


def family_of(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


# --- messages of DNS (RFC 1035) ---


def question() -> bytes:
    return struct.pack("!6H", 7, 0x0100, 1, 0, 0, 0) + NAME + struct.pack("!2H", 1, 1)


def answer_to(query: bytes, address: str) -> bytes:
    """One record of type A, whatever the question: name, type and class are those of the query."""
    end = query.index(b"\0", 12) + 5
    head = query[:2] + struct.pack("!5H", 0x8180, 1, 1, 0, 0)
    record = struct.pack("!3HIH", 0xC00C, 1, 1, 1, 4) + socket.inet_aton(address)
    return head + query[12:end] + record


def answered(message: bytes) -> str:
    return socket.inet_ntoa(message[-4:])
