"""Texts that say what is captured: what they mean, and what is said of those that mean nothing."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING

import pytest

from reconciler.capture.settings import (
    PROTOCOLS,
    Dns,
    Settings,
    SettingsError,
    Span,
    UserExclusion,
    VirtualNetwork,
    check,
    dns_servers,
    networks,
    port_or_off,
    ports,
    user,
    user_exclusion,
    virtual_network,
)

if TYPE_CHECKING:
    from collections.abc import Callable

BOTH = PROTOCOLS


def user_id(name: str) -> int:
    if name != "backup":
        raise SettingsError(f'"{name}" is no user')
    return 34


def test_ports_are_numbers_and_ranges_between_commas() -> None:
    assert ports("22, 8000-8010,65535") == (Span(22, 22), Span(8000, 8010), Span(65535, 65535))
    assert ports("") == ()
    assert (port_or_off("1"), port_or_off("off")) == (1, None)


def test_networks_are_addresses_and_prefixes_of_either_family() -> None:
    assert networks("10.0.0.1,10.1.2.3/8,fd00::1/8") == (
        ip_network("10.0.0.1/32"),
        ip_network("10.0.0.0/8"),
        ip_network("fd00::/8"),
    )


@pytest.mark.parametrize(
    ("text", "exclusion"),
    [
        ("1000", UserExclusion(BOTH, (), Span(1000, 1000))),
        ("backup", UserExclusion(BOTH, (), Span(34, 34))),
        ("22:1000-1010", UserExclusion(BOTH, (Span(22, 22),), Span(1000, 1010))),
        ("*:backup", UserExclusion(BOTH, (), Span(34, 34))),
        ("tcp:22,80-90:0", UserExclusion(("tcp",), (Span(22, 22), Span(80, 90)), Span(0, 0))),
        ("udp,TCP::1", UserExclusion(BOTH, (), Span(1, 1))),
        ("*:*:1", UserExclusion(BOTH, (), Span(1, 1))),
    ],
)
def test_exclusions_of_users_name_protocols_and_ports_or_mean_all(
    text: str, exclusion: UserExclusion
) -> None:
    assert user_exclusion(text, user_id) == exclusion


def test_virtual_networks_belong_to_interfaces_or_beginnings_of_their_names() -> None:
    docker = VirtualNetwork("docker0", ip_network("172.17.0.0/16"))
    assert virtual_network("docker0:172.17.0.0/16") == docker
    assert virtual_network("interface-of-15:10.0.0.0/8").interface == "interface-of-15"
    assert virtual_network("br+:fd00::1/64") == VirtualNetwork("br+", ip_network("fd00::/64"))


def test_the_proxy_s_user_is_an_id_or_a_name() -> None:
    assert (user("5678", user_id), user("backup", user_id)) == (5678, 34)


@pytest.mark.parametrize(
    ("parse", "text", "said"),
    [
        (ports, "0", '"0" is not a port: 1 to 65535'),
        (ports, "80-79", '"80-79" is not a port'),
        (ports, "80:90", '"80:90" is not a port'),
        (ports, "٨٠", "is not a port"),
        (port_or_off, "65536", '"65536" is not a port: 1 to 65535'),
        (port_or_off, "80-81", '"80-81" is not a port'),
        (networks, "10.0.0", "neither address nor network"),
        (networks, "10.0.0.0/33", "neither address nor network"),
        (virtual_network, "docker0", "is not INTERFACE:NETWORK"),
        (virtual_network, "a b:10.0.0.0/8", "is not INTERFACE:NETWORK"),
        (virtual_network, 'x";drop:10.0.0.0/8', "is not INTERFACE:NETWORK"),
        (virtual_network, "interface-of-16c:10.0.0.0/8", "is not INTERFACE:NETWORK"),
        (virtual_network, "docker0:ten", "neither address nor network"),
    ],
)
def test_a_text_that_means_nothing_is_refused_with_the_form(
    parse: Callable[[str], object], text: str, said: str
) -> None:
    with pytest.raises(SettingsError) as error:
        parse(text)
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("*", "names no user"),
        ("tcp:22:", "names no user"),
        ("1000,1001", "names no user"),
        ("sctp:22:1000", '"sctp" is neither tcp nor udp'),
        (",:22:1000", '"," is neither tcp nor udp'),
        ("tcp:22:1000:1", "more than PROTOCOLS:PORTS:USERS"),
        ("tcp:http:1000", '"http" is not a port'),
        ("4294967295", "is not a user id"),
        ("nobody-knows", '"nobody-knows" is no user'),
    ],
)
def test_a_wrong_exclusion_is_refused_with_the_part_that_is(text: str, said: str) -> None:
    with pytest.raises(SettingsError) as error:
        user_exclusion(text, user_id)
    assert said in str(error.value)


def test_servers_are_those_of_resolv_conf_in_order_and_once() -> None:
    text = (
        "# nameserver 192.0.2.1\nnameserver 10.0.0.53\nsearch mesh\n nameserver fe80::1%eth0\n"
        "nameserver\nnameserver ten\nnameserver 10.0.0.53\nnameserver fd00::53 # second\n"
    )
    assert dns_servers(text) == tuple(map(ip_address, ("10.0.0.53", "fe80::1", "fd00::53")))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (Settings(inbound=False, outbound=False, dns=Dns.OFF), "nothing is left to redirect"),
        (Settings(inbound_port=15001), "port 15001"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(settings: Settings, said: str) -> None:
    with pytest.raises(SettingsError) as error:
        check(settings)
    assert said in str(error.value)


def test_each_redirection_alone_is_something() -> None:
    for only in (
        Settings(outbound=False, dns=Dns.OFF),
        Settings(inbound=False, dns=Dns.OFF),
        Settings(inbound=False, outbound=False),
    ):
        check(only)
