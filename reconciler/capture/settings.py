"""What shall be captured, and how the texts that say so are read. Pure: no option, no kernel.

Ports and user are those that `reconciler dataplane` takes for granted, and the peer's: a proxy of
either finds the traffic where it listens.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_interface,
)
from typing import TYPE_CHECKING, Literal

from reconciler.redirected import DNS_PORT, INBOUND_PORT, OUTBOUND_PORT, PROXY_UID

if TYPE_CHECKING:
    from collections.abc import Callable

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Protocol = Literal["tcp", "udp"]
PROTOCOLS: tuple[Protocol, ...] = ("tcp", "udp")

PORT_MAX = 65535
USER_MAX = 2**32 - 2  # the last one means "nobody" to the kernel


class SettingsError(ValueError):
    """A text says nothing that could be captured or left out; the message shows the form."""


class Dns(Enum):
    """Whose answers are the proxy's."""

    OFF = "off"
    SERVERS = "servers"  # those that resolv.conf names
    ALL = "all"  # whatever goes to UDP port 53


class Place(Enum):
    """Of our redirections among others of the same hook: the first that redirects has its way."""

    FIRST = "first"
    LAST = "last"


@dataclass(frozen=True, slots=True)
class Span:
    """Whole numbers from `first` to `last`, both included: ports, or user ids."""

    first: int
    last: int

    def __contains__(self, number: int) -> bool:
        return self.first <= number <= self.last


@dataclass(frozen=True, slots=True)
class UserExclusion:
    """What these users send to these ports goes as if there were no mesh."""

    protocols: tuple[Protocol, ...]
    ports: tuple[Span, ...]  # empty: all
    users: Span


@dataclass(frozen=True, slots=True)
class VirtualNetwork:
    """Of containers or machines that this host forwards for. `interface` may end with "+": all that
    begin so.
    """

    interface: str
    network: Network


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All of one namespace; the defaults capture both directions and the names."""

    proxy_user: int = PROXY_UID
    inbound: bool = True
    inbound_port: int = INBOUND_PORT
    outbound: bool = True
    outbound_port: int = OUTBOUND_PORT
    dns: Dns = Dns.SERVERS
    dns_port: int = DNS_PORT
    dns_servers: tuple[Address, ...] = ()
    dns_tcp: bool = True
    dns_zones: bool = True
    exclude_inbound_ports: tuple[Span, ...] = ()
    exclude_inbound_networks: tuple[Network, ...] = ()
    exclude_outbound_ports: tuple[Span, ...] = ()
    exclude_outbound_networks: tuple[Network, ...] = ()
    exclude_users: tuple[UserExclusion, ...] = ()
    virtual_networks: tuple[VirtualNetwork, ...] = ()
    place: Place = Place.FIRST
    drop_invalid: bool = False


def check(settings: Settings) -> None:
    """Raises SettingsError if they contradict each other."""
    if not settings.inbound and not settings.outbound and settings.dns is Dns.OFF:
        raise SettingsError("nothing is left to redirect: neither inbound nor outbound nor DNS")
    if settings.inbound and settings.outbound and settings.inbound_port == settings.outbound_port:
        raise SettingsError(
            f"inbound and outbound cannot both be redirected to port {settings.inbound_port}: the "
            "proxy tells them apart by it"
        )


# --- texts ---


def port_or_off(text: str) -> int | None:
    return None if text == "off" else span(text, "port", 1, PORT_MAX, single=True).first


def ports(text: str) -> tuple[Span, ...]:
    """Of "443,8000-8010"."""
    return tuple(span(part, "port", 1, PORT_MAX) for part in parts(text))


def networks(text: str) -> tuple[Network, ...]:
    """Of "10.0.0.1,fd00::/8"; bits beyond the prefix do not matter."""
    return tuple(_network(part) for part in parts(text))


def user_exclusion(text: str, user_id: Callable[[str], int]) -> UserExclusion:
    """Of "[[PROTOCOLS:]PORTS:]USERS", such as "tcp:22,8000-8010:1000-1010" or "1000". `user_id`
    gives that of a name, or raises SettingsError.
    """
    fields = [field.strip() for field in text.split(":")]
    if len(fields) > len(("protocols", "ports", "users")):
        raise SettingsError(f'"{text}" has more than PROTOCOLS:PORTS:USERS')
    some_protocols, some_ports, users = (["*"] * 3 + fields)[-3:]
    if users in {"", "*"} or "," in users:
        raise SettingsError(f'"{text}" names no user: it ends in a name, a user id, or ids such as '
                            "1000-1010")  # fmt: skip
    return UserExclusion(
        protocols=_protocols(some_protocols, text),
        ports=() if some_ports in {"", "*"} else ports(some_ports),
        users=_users(users, user_id),
    )


def virtual_network(text: str) -> VirtualNetwork:
    """Of "docker0:172.17.0.0/16" or "br+:fd00::/64"."""
    interface, colon, network = text.partition(":")
    if not colon or re.fullmatch(r"[A-Za-z0-9_.@-]{1,14}[A-Za-z0-9_.@+-]?", interface) is None:
        raise SettingsError(f'"{text}" is not INTERFACE:NETWORK, such as docker0:172.17.0.0/16')
    return VirtualNetwork(interface, _network(network))


def user(text: str, user_id: Callable[[str], int]) -> int:
    """Id of a user given by id or name."""
    return _users(text.strip(), user_id, single=True).first


def dns_servers(resolv_conf: str) -> tuple[Address, ...]:
    """Of the lines `nameserver` of that file, in order; a scope (`fe80::1%eth0`) is left out."""
    found: list[Address] = []
    for line in resolv_conf.splitlines():
        words = line.split()
        if len(words) > 1 and words[0] == "nameserver":
            try:
                server = ip_address(words[1].partition("%")[0])
            except ValueError:
                continue  # Resolvers pass over it, too.
            if server not in found:
                found.append(server)
    return tuple(found)


def span(text: str, what: str, least: int, most: int, *, single: bool = False) -> Span:
    """Of "80" or "8000-8010"; a colon, as iptables writes it, is not one of ours."""
    form = r"(\d{1,10})" if single else r"(\d{1,10})(?:-(\d{1,10}))?"
    found = re.fullmatch(form, text, re.ASCII)
    if found is not None:
        numbers = [int(number) for number in found.groups() if number is not None]
        if least <= numbers[0] <= numbers[-1] <= most:
            return Span(numbers[0], numbers[-1])
    also = "" if single else ", alone or as FIRST-LAST"
    raise SettingsError(f'"{text}" is not a {what}: {least} to {most}{also}')


def parts(text: str) -> tuple[str, ...]:
    """What stands between commas, if anything."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _network(text: str) -> Network:
    try:
        found = ip_interface(text.strip()).network
    except ValueError:
        raise SettingsError(
            f'"{text}" is neither address nor network, such as 10.0.0.1, 10.0.0.0/8 or fd00::/8'
        ) from None
    return found


def _protocols(text: str, whole: str) -> tuple[Protocol, ...]:
    named = parts(text)
    if text in {"", "*"}:
        return PROTOCOLS
    wrong = [name for name in named if name.lower() not in PROTOCOLS]
    if wrong or not named:
        raise SettingsError(f'"{whole}": "{text}" is neither tcp nor udp')
    return tuple(p for p in PROTOCOLS if p in {name.lower() for name in named})


def _users(text: str, user_id: Callable[[str], int], *, single: bool = False) -> Span:
    if re.match(r"\d", text, re.ASCII):
        return span(text, "user id", 0, USER_MAX, single=single)
    found = user_id(text)
    return Span(found, found)
