"""What the other tests of networks rest on: whose a socket is, and in which network. Needs root."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from tests.support.namespaces import Namespace, cable, namespaces, v4, v6

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.system
USER = 4321


def listening(namespace: Namespace, host: str) -> socket.socket:
    return namespace.within(lambda: socket.create_server((host, 0), family=family(host)), uid=USER)


def family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


@pytest.mark.parametrize("address", [v4, v6])
def test_a_socket_stays_in_the_network_where_it_was_made(
    address: Callable[[int, int], str],
) -> None:
    with namespaces("one", "other") as (one, other):
        cable(one, other, 1)
        with listening(other, address(1, 2)) as server:
            port = server.getsockname()[1]
            dial = lambda: socket.create_connection((address(1, 2), port), timeout=5)  # noqa: E731
            with one.within(dial):
                server.settimeout(5)
                server.accept()[0].close()
            with pytest.raises(OSError, match=r"unreachable|timed out|refused"):
                socket.create_connection((address(1, 2), port), timeout=0.2)


def test_netfilter_takes_a_thread_s_sockets_for_its_user_s() -> None:
    with namespaces("one") as (one,):
        rules = f"meta skuid {USER} tcp dport 9 reject with tcp reset"
        hook = "type filter hook output priority 0;"
        one.says(
            "nft", f"add table ip t\nadd chain ip t out {{ {hook} }}\nadd rule ip t out {rules}"
        )

        def dial() -> None:
            socket.create_connection(("127.0.0.1", port), timeout=5).close()

        with one.within(lambda: socket.create_server(("127.0.0.1", 9))) as server:
            port = server.getsockname()[1]
            one.within(dial)
            with pytest.raises(ConnectionRefusedError):
                one.within(dial, uid=USER)


def test_a_program_has_only_the_capabilities_it_is_given() -> None:
    with namespaces("one") as (one,):
        for uid in (0, USER):
            done = one.run("cat", "/proc/self/status", uid=uid, capabilities=["net_admin"])
            assert f"CapEff:\t{1 << 12:016x}" in done.stdout
            assert f"Uid:\t{uid}\t" in done.stdout
