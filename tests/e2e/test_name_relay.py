"""Applications ask the relay; behind it are a real Envoy and a name server of the test."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

import pytest

from reconciler.dns_messages import answer, question_of
from reconciler.name_relay import HostServers, RelayOptions, name_relay
from tests.e2e.test_names import MAPPED, answering, resolver, snapshot, table
from tests.support import dns
from tests.support.applications import served
from tests.support.dns import AAAA, NOERROR, NXDOMAIN, SERVFAIL, A, ask, ask_by_tcp
from tests.support.real_envoy import free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from tests.support.ads_client import Served
    from xds.view import DnsListener

pytestmark = pytest.mark.e2e

OUTSIDE = {
    "both.example": ("192.0.2.1", "2001:db8::1"),
    "four.example": ("192.0.2.4",),
    "web": ("192.0.2.5",),  # the name of a cluster
}


@dataclass(frozen=True)
class World:
    port: int  # of the relay
    listener: DnsListener
    envoy: Served
    outside: dns.Upstream


@contextmanager
def relayed(envoy_port: int, *servers: int) -> Iterator[int]:
    """The relay's port. `servers`: ports of name servers."""
    port = free_port()
    options = RelayOptions(
        listen=("127.0.0.1",),
        port=port,
        envoy=("127.0.0.1", envoy_port),
        servers=lambda: tuple(("127.0.0.1", each) for each in servers),
    )
    with name_relay(options):
        yield port


@asynccontextmanager
async def world(folder: Path) -> AsyncIterator[World]:
    async with dns.upstream(OUTSIDE) as outside:
        listener = table()
        async with resolver(listener, folder) as envoy:
            with relayed(listener.port, outside.port) as port:
                yield World(port, listener, envoy, outside)


async def test_names_of_the_mesh_are_answered_as_a_resolver_needs_them(tmp_path: Path) -> None:
    """Of either case, by UDP and TCP, and without what is not there; nobody outside is asked."""
    async with world(tmp_path) as at:
        for name in ("backend.mesh", "BACKEND.Mesh"):
            assert (await ask(at.port, name)).found == (("240.0.0.0", 30),)
            assert (await ask(at.port, name, AAAA)).addresses == [MAPPED]
            assert (await ask_by_tcp(at.port, name)).addresses == ["240.0.0.0"]
        four = await ask(at.port, "four.mesh", AAAA)
        assert (four.rcode, four.found) == (NOERROR, ())
        for kind in (dns.MX, dns.TXT, dns.SRV, dns.HTTPS, dns.PTR):
            other = await ask(at.port, "backend.mesh", kind)
            assert (other.rcode, other.found) == (NOERROR, ()), kind
        assert (await ask(at.port, "backend.mesh", 255)).addresses == ["240.0.0.0", MAPPED]
        assert at.outside.asked == []


async def test_other_names_are_what_the_hosts_servers_say(tmp_path: Path) -> None:
    """Of every type, with their own TTL and codes; a cluster of Envoy's is no name."""
    async with world(tmp_path) as at:
        assert (await ask(at.port, "both.example")).found == (("192.0.2.1", 7),)
        assert (await ask(at.port, "both.example", AAAA)).addresses == ["2001:db8::1"]
        assert (await ask_by_tcp(at.port, "both.example")).addresses == ["192.0.2.1"]
        assert (await ask(at.port, "four.example", AAAA)).rcode == NOERROR
        assert (await ask(at.port, "four.example", dns.MX)).rcode == NOERROR
        assert ("four.example", dns.MX) in at.outside.asked
        assert (await ask(at.port, "web")).addresses == ["192.0.2.5"]
        for name in ("none.example", "unknown.mesh"):
            assert (await ask(at.port, name)).rcode == NXDOMAIN


async def test_a_change_is_in_force_for_the_next_question(tmp_path: Path) -> None:
    async with world(tmp_path) as at:
        for number in range(1, 6):
            moved = replace(at.listener, records=(("backend.mesh", (f"240.0.9.{number}",)),))
            started = time.monotonic()
            at.envoy.publish(snapshot(moved))
            async with asyncio.timeout(5):
                while (await ask(at.port, "backend.mesh")).addresses != [f"240.0.9.{number}"]:
                    pass
            assert time.monotonic() - started < 1


async def test_many_ask_at_once(tmp_path: Path) -> None:
    async with world(tmp_path) as at:
        names = ["backend.mesh", "both.example"] * 100
        found = await asyncio.gather(*[ask(at.port, name) for name in names])
        assert [each.addresses for each in found] == [["240.0.0.0"], ["192.0.2.1"]] * 100


async def test_what_nobody_can_say_is_a_failure_and_not_a_missing_name(tmp_path: Path) -> None:
    """Who hears of a failure asks again; who hears that there is no such name does not."""
    gone = free_port()
    listener = table()
    async with dns.upstream(OUTSIDE) as outside:
        with relayed(listener.port, outside.port) as port:  # Envoy is not there yet.
            assert (await ask(port, "backend.mesh")).rcode == SERVFAIL
            assert outside.asked == []  # It would say that there is no such name.
    with relayed(listener.port, gone) as port:
        async with resolver(listener, tmp_path):
            await answering(listener.port)
            assert (await ask(port, "backend.mesh")).addresses == ["240.0.0.0"]
            assert (await ask(port, "both.example")).rcode == SERVFAIL
            assert (await ask_by_tcp(port, "both.example")).rcode == SERVFAIL


async def test_the_next_server_is_asked_where_one_is_gone_or_silent(tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()
    silent, _ = await loop.create_datagram_endpoint(
        asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0)
    )
    try:
        listener, quiet = table(), silent.get_extra_info("sockname")[1]
        async with dns.upstream(OUTSIDE) as outside, resolver(listener, tmp_path):
            with relayed(listener.port, free_port(), quiet, outside.port) as port:
                found = await ask(port, "both.example")
                assert found.addresses == ["192.0.2.1"]
    finally:
        silent.close()


class Liar(asyncio.DatagramProtocol):
    """Answers twice: somebody else's question, then the one it was asked."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        other = bytes((data[0] ^ 1,)) + data[1:]
        for asked, address in ((other, b"\xc0\0\2\7"), (data, b"\xc0\0\2\1")):
            about = question_of(asked)
            assert about is not None
            self.transport.sendto(answer(asked, about, (address,), 7), addr)

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        size = int.from_bytes(await reader.readexactly(2), "big")
        asked = await reader.readexactly(size)
        about = question_of(asked)
        assert about is not None
        found = answer(bytes((asked[0] ^ 1,)) + asked[1:], about, (b"\xc0\0\2\7",), 7)
        writer.write(len(found).to_bytes(2, "big") + found)
        await writer.drain()


async def test_what_was_not_asked_is_not_heard(tmp_path: Path) -> None:
    """By UDP anybody may send; by TCP a server that says something else is none."""
    loop, liar, listener = asyncio.get_running_loop(), Liar(), table()
    async with served(liar.talk) as place, resolver(listener, tmp_path):
        lying, _ = await loop.create_datagram_endpoint(
            lambda: liar, local_addr=("127.0.0.1", place)
        )
        try:
            with relayed(listener.port, place) as port:
                assert (await ask(port, "both.example")).addresses == ["192.0.2.1"]
                assert (await ask_by_tcp(port, "both.example")).rcode == SERVFAIL
        finally:
            lying.close()


async def test_a_message_that_is_no_plain_question_is_passed_on_as_it_came(tmp_path: Path) -> None:
    """One of another opcode, here: the server outside may say what it makes of it."""
    async with world(tmp_path) as at:
        loop = asyncio.get_running_loop()
        heard: asyncio.Future[bytes] = loop.create_future()

        class Client(asyncio.DatagramProtocol):
            def datagram_received(self, data: bytes, addr: object) -> None:
                heard.set_result(data)

        transport, _ = await loop.create_datagram_endpoint(
            Client, remote_addr=("127.0.0.1", at.port)
        )
        try:
            message = dns.question("both.example", A, 9)
            transport.sendto(message[:2] + b"\x11\x00" + message[4:])
            async with asyncio.timeout(5):
                assert dns.parsed(await heard).addresses == ["192.0.2.1"]
        finally:
            transport.close()


def test_servers_of_the_host_are_read_anew_when_they_are_others(tmp_path: Path) -> None:
    path = tmp_path / "resolv.conf"
    servers = HostServers(path)
    assert servers() == (("127.0.0.1", 53),)
    path.write_text("nameserver 192.0.2.1\n")
    assert servers() == (("192.0.2.1", 53),)
    path.write_text("nameserver 192.0.2.1\nnameserver 2001:db8::1\n")
    assert servers() == (("192.0.2.1", 53), ("2001:db8::1", 53))
    path.unlink()
    assert servers() == (("127.0.0.1", 53),)


def test_a_port_that_is_taken_is_an_error() -> None:
    with relayed(1) as port:
        options = RelayOptions(
            listen=("127.0.0.1",), port=port, envoy=("127.0.0.1", 1), servers=tuple
        )
        with pytest.raises(OSError, match="in use"), name_relay(options):
            raise AssertionError
