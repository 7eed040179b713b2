"""`reconciler install transparent-proxy`, judged by what traffic does: every backend and both
families, in network namespaces. Needs root.
"""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING

import pytest

from tests.support.capture import (
    APPLICATION,
    OTHER,
    PROXY,
    PROXY_SAYS,
    SERVER_SAYS,
    World,
    answering,
    family_of,
    world,
)
from tests.support.namespaces import v4, v6

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.namespaces import Namespace

    Side = Callable[[int, int], str]

pytestmark = pytest.mark.system
BACKENDS = ["nftables", "iptables-nft", "iptables-legacy"]
EXCLUSIONS = [
    "--exclude-inbound-ports=22",
    f"--exclude-inbound-ips={v4(1, 3)},{v6(1, 3)}",
    "--exclude-outbound-ports=443,5000-5999",
    f"--exclude-outbound-ips={v4(1, 3)}/32,{v6(1, 3)}",
    f"--exclude-outbound-ports-for-uids=udp,tcp:53,8080:{OTHER}-{OTHER + 9}",
]


@pytest.fixture(scope="module", params=BACKENDS)
def captured(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("capture")) as made:
        made.install("--backend", request.param, *EXCLUSIONS)
        yield made


@pytest.fixture(params=["ipv4", "ipv6"])
def side(request: pytest.FixtureRequest) -> Side:
    return v4 if request.param == "ipv4" else v6


# --- outbound ---


@pytest.mark.parametrize("uid", [APPLICATION, 0])
def test_what_an_application_sends_reaches_the_proxy_with_its_destination(
    captured: World, side: Side, uid: int
) -> None:
    to = side(1, 2)
    assert captured.heard(captured.app, to, 8080, uid=uid) == f"proxy at 15001 for {to} 8080"


def test_where_nobody_listens_the_proxy_is_reached_all_the_same(
    captured: World, side: Side
) -> None:
    to = side(1, 9)
    assert captured.heard(captured.app, to, 9999) == f"proxy at 15001 for {to} 9999"


def test_what_the_proxy_sends_is_not_captured(captured: World, side: Side) -> None:
    heard = captured.heard(captured.app, side(1, 2), 8080, uid=PROXY)
    assert heard == f"server, to {side(1, 1)}"


@pytest.mark.parametrize(
    ("number", "port", "uid"), [(2, 443, APPLICATION), (2, 5432, APPLICATION),
                                (3, 8080, APPLICATION), (2, 8080, OTHER + 9)]
)  # fmt: skip
def test_excluded_ports_addresses_and_users_reach_the_server(
    captured: World, side: Side, number: int, port: int, uid: int
) -> None:
    heard = captured.heard(captured.app, side(1, number), port, uid=uid)
    assert heard == f"server, to {side(1, 1)}"


def test_an_exclusion_of_a_user_is_for_its_ports_and_for_nobody_else(
    captured: World, side: Side
) -> None:
    to = side(1, 2)
    heard = captured.heard(captured.app, to, 8081, uid=OTHER)
    assert heard == f"proxy at 15001 for {to} 8081"
    heard = captured.heard(captured.app, to, 8080, uid=OTHER + 10)
    assert heard == f"proxy at 15001 for {to} 8080"


# --- inbound ---


@pytest.mark.parametrize("port", [8080, 9999])
def test_what_others_send_reaches_the_proxy_with_its_destination(
    captured: World, side: Side, port: int
) -> None:
    to = side(1, 1)
    assert captured.heard(captured.peer, to, port) == f"proxy at 15006 for {to} {port}"


def test_an_excluded_inbound_port_reaches_the_application(captured: World, side: Side) -> None:
    heard = captured.heard(captured.peer, side(1, 1), 22)
    assert heard == f"application, to {side(1, 2)}"


def test_an_excluded_caller_reaches_the_application(captured: World, side: Side) -> None:
    heard = captured.heard(captured.peer, side(1, 1), 8080, source=side(1, 3))
    assert heard == f"application, to {side(1, 3)}"


# --- within the host ---


def test_the_proxy_reaches_its_application_from_its_own_address(
    captured: World, side: Side
) -> None:
    source = "127.0.0.6" if side is v4 else "::6"
    for uid in (PROXY, APPLICATION):
        heard = captured.heard(captured.app, side(1, 1), 8080, uid=uid, source=source)
        assert heard == f"application, to {source}"


def test_the_proxy_calling_its_own_application_comes_in_as_any_caller(
    captured: World, side: Side
) -> None:
    to = side(1, 1)
    heard = captured.heard(captured.app, to, 8080, uid=PROXY)
    assert heard == f"proxy at 15006 for {to} 8080"


def test_localhost_is_left_alone(captured: World, side: Side) -> None:
    localhost = "127.0.0.1" if side is v4 else "::1"
    for uid in (PROXY, APPLICATION):
        heard = captured.heard(captured.app, localhost, 8080, uid=uid)
        assert heard == f"application, to {localhost}"


def test_an_application_reaches_its_own_address_directly(captured: World, side: Side) -> None:
    heard = captured.heard(captured.app, side(1, 1), 8080)
    assert heard == f"application, to {side(1, 1)}"


# --- names ---


def test_queries_are_answered_by_the_proxy_from_the_address_that_was_asked(
    captured: World, side: Side
) -> None:
    for uid in (APPLICATION, 0):
        assert captured.address_of_name(captured.app, side(1, 2), uid=uid) == PROXY_SAYS


def test_dig_takes_the_answer_of_the_proxy(captured: World, side: Side) -> None:
    asked = ["dig", "+short", "+tries=1", f"@{side(1, 2)}", "backend.mesh", "A"]
    assert captured.app.says(*asked, uid=APPLICATION).strip() == PROXY_SAYS


@pytest.mark.parametrize("uid", [PROXY, OTHER])
def test_queries_of_the_proxy_and_of_excluded_users_go_on(
    captured: World, side: Side, uid: int
) -> None:
    assert captured.address_of_name(captured.app, side(1, 2), uid=uid) == SERVER_SAYS


def test_queries_to_an_excluded_address_or_another_server_go_on(
    captured: World, side: Side
) -> None:
    assert captured.address_of_name(captured.app, side(1, 3)) == SERVER_SAYS


def test_the_proxy_may_ask_from_the_port_that_an_application_asked_from(
    captured: World, side: Side
) -> None:
    """Conntrack remembers the application's flow longer than its socket lives; without zones the
    proxy's own query would be led back to the proxy.
    """
    for _ in range(2):
        for uid, says in ((APPLICATION, PROXY_SAYS), (PROXY, SERVER_SAYS)):
            heard = captured.address_of_name(captured.app, side(1, 2), uid=uid, port=40053)
            assert heard == says


def test_queries_by_tcp_are_the_proxy_s_as_well(captured: World, side: Side) -> None:
    to = side(1, 2)
    assert captured.heard(captured.app, to, 53) == f"proxy at 15053 for {to} 53"
    for uid in (PROXY, OTHER):
        assert captured.heard(captured.app, to, 53, uid=uid) == f"server, to {side(1, 1)}"


# --- what is not touched ---


def test_echoes_and_other_datagrams_pass_both_ways(captured: World, side: Side) -> None:
    """ICMP, and UDP beside port 53: there is no mesh for them."""
    for one, other, uid, number in (
        (captured.app, captured.peer, APPLICATION, 2),
        (captured.peer, captured.app, 0, 1),
    ):
        to = side(1, number)
        assert echoed(one, to)
        with answering(other, APPLICATION, {to: SERVER_SAYS}, 5353):
            assert captured.address_of_name(one, to, uid=uid, at=5353) == SERVER_SAYS


def echoed(at: Namespace, host: str) -> bool:
    """Whether an ICMP echo comes back."""
    four = family_of(host) == socket.AF_INET
    kind = socket.IPPROTO_ICMP if four else socket.IPPROTO_ICMPV6
    request, reply = (8, 0) if four else (128, 129)
    head = struct.pack("!BBHHH", request, 0, 0, 77, 1)
    check = ~sum(struct.unpack("!4H", head)) & 0xFFFF if four else 0  # else the kernel's
    message = head[:2] + struct.pack("!H", check) + head[4:]

    def asked() -> bool:
        with socket.socket(family_of(host), socket.SOCK_RAW, kind) as raw:
            raw.settimeout(5.0)
            raw.sendto(message, (host, 0))
            while True:
                data, _ = raw.recvfrom(4096)
                found = data[20:] if four else data
                if (found[0], found[4:8]) == (reply, head[4:]):
                    return True

    return at.within(asked)
