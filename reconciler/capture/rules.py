"""The rules, before anybody's language: chains of conditions and what becomes of the packet.

One `Chain` hangs at one hook of the kernel and holds our rules alone; whatever it does not redirect
goes on to the rules of others. `chains_of` is the whole of what capture does; nftables.py and
iptables.py only write it down. What each redirection is for stands in docs/transparent-proxy.md;
their order is the peer's (Kuma 2.14.3, pkg/transparentproxy/iptables/builder) but where
docs/reference/deviations.md says otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING

from reconciler.capture.settings import Dns, Place, Span

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.capture.settings import Address, Network, Protocol, Settings, UserExclusion

LOOPBACK = "lo"
NAME_PORT = Span(53, 53)
# Conntrack tells flows apart by addresses and ports. The query of an application that has ended and
# the one that the proxy sends on may have the same; in two zones they are two flows.
ZONE_ONWARD = 1
ZONE_CAPTURED = 2
# The comment by which `uninstall` knows whose the address is: no file could be lost with the rules.
SOURCE_IS_OURS = "the proxy towards the application; its address on lo was added by install"
SOURCE_WAS_THERE = "the proxy towards the application"


class Family(Enum):
    """Of addresses; the value is what people read."""

    IPV4 = "ipv4"
    IPV6 = "ipv6"

    @property
    def version(self) -> int:
        return 4 if self is Family.IPV4 else 6

    @property
    def localhost(self) -> Address:
        return ip_address("127.0.0.1" if self is Family.IPV4 else "::1")

    @property
    def proxy_source(self) -> Address:
        """From which Envoy speaks to its application, so that nothing takes it for the caller."""
        return ip_address("127.0.0.6" if self is Family.IPV4 else "::6")


class Hook(Enum):
    """Where the kernel asks, as (table, built-in chain) of iptables."""

    NAT_ARRIVING = ("nat", "PREROUTING")
    NAT_SENT = ("nat", "OUTPUT")
    RAW_ARRIVING = ("raw", "PREROUTING")
    RAW_SENT = ("raw", "OUTPUT")
    MANGLE_ARRIVING = ("mangle", "PREROUTING")


@dataclass(frozen=True, slots=True)
class Leave:
    """The packet goes on to the rules of others."""


@dataclass(frozen=True, slots=True)
class Redirect:
    """To a port of this host; who listens there can ask for the original destination."""

    port: int


@dataclass(frozen=True, slots=True)
class Zone:
    """Of conntrack. The first zone that is set stays."""

    number: int


@dataclass(frozen=True, slots=True)
class Drop:
    pass


Verdict = Leave | Redirect | Zone | Drop


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """All conditions must hold; None and "" are none. `why` is its comment in the kernel."""

    why: str
    verdict: Verdict
    protocol: Protocol | None = None
    ports: Span | None = None  # of the destination
    source_port: int | None = None
    source: Network | None = None
    destination: Network | None = None
    elsewhere: Network | None = None  # the destination is none of this
    arrives_by: str = ""
    leaves_by: str = ""
    users: Span | None = None
    to_this_host: bool = False  # the destination is an address of this network
    invalid: bool = False  # to conntrack


@dataclass(frozen=True, slots=True)
class Chain:
    """`first`: before what others have at that hook. Nothing but `protocol` gets into it."""

    name: str
    hook: Hook
    first: bool
    protocol: Protocol | None
    rules: tuple[Rule, ...]


def chains_of(settings: Settings, family: Family, *, source_is_ours: bool) -> tuple[Chain, ...]:
    """What captures this family's traffic. `source_is_ours`: its `proxy_source` was not there
    before, so it goes with the rules.
    """
    first = settings.place is Place.FIRST
    of = _Family(settings, family)
    chains = [
        Chain("dns_sent", Hook.RAW_SENT, True, "udp", tuple(of.zones_sent())),
        Chain("dns_came", Hook.RAW_ARRIVING, True, "udp", tuple(of.zones_came())),
        Chain("invalid", Hook.MANGLE_ARRIVING, True, None, tuple(of.invalid())),
        Chain("dns", Hook.NAT_SENT, True, "udp", tuple(of.dns("udp"))),
        Chain("dns_tcp", Hook.NAT_SENT, True, "tcp", tuple(of.dns_tcp())),
        Chain("outbound", Hook.NAT_SENT, first, "tcp", tuple(of.outbound(source_is_ours))),
        Chain("vnet_dns", Hook.NAT_ARRIVING, True, "udp", tuple(of.vnet_dns())),
        Chain("inbound", Hook.NAT_ARRIVING, first, "tcp", tuple(of.inbound())),
    ]
    return tuple(chain for chain in chains if chain.rules)


@dataclass(frozen=True, slots=True)
class _Family:
    """The rules of one family, chain by chain."""

    settings: Settings
    family: Family

    def inbound(self) -> Iterator[Rule]:
        s = self.settings
        # Virtual networks come first: what containers send out also arrives here.
        if s.outbound:
            for vnet in s.virtual_networks:
                if self._mine(vnet.network):
                    yield Rule(
                        why="what containers send out", protocol="tcp", arrives_by=vnet.interface,
                        elsewhere=vnet.network, verdict=Redirect(s.outbound_port),
                    )  # fmt: skip
        if not s.inbound:
            return
        for network in filter(self._mine, s.exclude_inbound_networks):
            yield Rule(why="excluded callers", source=network, verdict=Leave())
        for ports in s.exclude_inbound_ports:
            yield Rule(why="excluded inbound port", protocol="tcp", ports=ports, verdict=Leave())
        # What a host forwards, for containers or as a router, is nobody's inbound.
        yield Rule(
            why="inbound", protocol="tcp", to_this_host=True, verdict=Redirect(s.inbound_port)
        )

    def outbound(self, source_is_ours: bool) -> Iterator[Rule]:
        s = self.settings
        yield Rule(
            why=SOURCE_IS_OURS if source_is_ours else SOURCE_WAS_THERE, leaves_by=LOOPBACK,
            source=_host(self.family.proxy_source), verdict=Leave(),
        )  # fmt: skip
        if not s.outbound:
            return
        yield from self._excluded("tcp")
        for ports in s.exclude_outbound_ports:
            yield Rule(why="excluded outbound port", protocol="tcp", ports=ports, verdict=Leave())
        proxy = Span(s.proxy_user, s.proxy_user)
        if s.inbound:
            yield Rule(
                why="the proxy to its own application, as any other caller", protocol="tcp",
                leaves_by=LOOPBACK, elsewhere=_host(self.family.localhost), users=proxy,
                verdict=Redirect(s.inbound_port),
            )  # fmt: skip
        yield Rule(why="applications of this host to each other", leaves_by=LOOPBACK,
                   verdict=Leave())  # fmt: skip
        yield Rule(why="what the proxy sends", users=proxy, verdict=Leave())
        yield Rule(why="this host", destination=_host(self.family.localhost), verdict=Leave())
        if s.dns is not Dns.OFF:
            yield Rule(why="other queries", protocol="tcp", ports=NAME_PORT, verdict=Leave())
        yield Rule(why="outbound", protocol="tcp", verdict=Redirect(s.outbound_port))

    def dns_tcp(self) -> Iterator[Rule]:
        excluded = any(NAME_PORT.first in span for span in self.settings.exclude_outbound_ports)
        if self.settings.dns_tcp and not excluded:
            yield from self.dns("tcp")

    def dns(self, protocol: Protocol) -> Iterator[Rule]:
        s = self.settings
        targets = self._name_servers()
        if not targets:
            return
        yield from self._excluded(protocol, NAME_PORT)
        yield Rule(
            why="queries of the proxy", protocol=protocol, ports=NAME_PORT,
            users=Span(s.proxy_user, s.proxy_user), verdict=Leave(),
        )  # fmt: skip
        for server in targets:
            yield Rule(
                why="queries", protocol=protocol, ports=NAME_PORT, destination=server,
                verdict=Redirect(s.dns_port),
            )  # fmt: skip

    def vnet_dns(self) -> Iterator[Rule]:
        if self._name_servers():
            for vnet in self.settings.virtual_networks:
                if self._mine(vnet.network):
                    yield Rule(
                        why="queries of containers", protocol="udp", ports=NAME_PORT,
                        arrives_by=vnet.interface, verdict=Redirect(self.settings.dns_port),
                    )  # fmt: skip

    def zones_sent(self) -> Iterator[Rule]:
        """What is redirected is in one zone, and its answer too; what goes on to a server is in the
        other one, whoever sends it.
        """
        s = self.settings
        if not s.dns_zones:
            return
        proxy = Span(s.proxy_user, s.proxy_user)
        targets = self._name_servers()
        if targets:
            yield Rule(
                why="answers of the proxy", protocol="udp", source_port=s.dns_port, users=proxy,
                verdict=Zone(ZONE_CAPTURED),
            )  # fmt: skip
        for server in targets:
            yield Rule(
                why="queries of the proxy", protocol="udp", ports=NAME_PORT, destination=server,
                users=proxy, verdict=Zone(ZONE_ONWARD),
            )  # fmt: skip
            yield from self._excluded("udp", NAME_PORT, server, ZONE_ONWARD)
            yield Rule(
                why="queries", protocol="udp", ports=NAME_PORT, destination=server,
                verdict=Zone(ZONE_CAPTURED),
            )  # fmt: skip
        if targets:
            yield from self._answers_of_this_host()

    def zones_came(self) -> Iterator[Rule]:
        if not self.settings.dns_zones or not (targets := self._name_servers()):
            return
        for vnet in self.settings.virtual_networks:
            if self._mine(vnet.network):
                yield Rule(
                    why="queries of containers", protocol="udp", ports=NAME_PORT,
                    arrives_by=vnet.interface, verdict=Zone(ZONE_CAPTURED),
                )  # fmt: skip
        for server in targets:
            yield Rule(
                why="answers of servers", protocol="udp", source_port=NAME_PORT.first,
                source=server, verdict=Zone(ZONE_ONWARD),
            )  # fmt: skip

    def invalid(self) -> Iterator[Rule]:
        """Late packets of a redirected connection that conntrack no longer knows would reach the
        application as they are, which resets the connection.
        """
        if self.settings.drop_invalid:
            yield Rule(why="belongs to no connection", invalid=True, verdict=Drop())

    # --- parts ---

    def _mine(self, network: Network) -> bool:
        return network.version == self.family.version

    def _name_servers(self) -> tuple[Network | None, ...]:
        """Whose queries are captured: (None,) for all."""
        match self.settings.dns:
            case Dns.OFF:
                return ()
            case Dns.ALL:
                return (None,)
            case Dns.SERVERS:
                servers = (_host(server) for server in self.settings.dns_servers)
                return tuple(filter(self._mine, servers))

    def _answers_of_this_host(self) -> Iterator[Rule]:
        """Of a resolver that listens on loopback. Docker's answers from another port than it was
        asked at, and only conntrack knows: hence from any, except at the address of everybody.
        """
        for server in self.settings.dns_servers:
            if server.version == self.family.version and server.is_loopback:
                everybody = server == self.family.localhost
                yield Rule(
                    why="answers of the resolver of this host", protocol="udp",
                    source=_host(server), source_port=NAME_PORT.first if everybody else None,
                    leaves_by=LOOPBACK, verdict=Zone(ZONE_ONWARD),
                )  # fmt: skip

    def _excluded(
        self,
        protocol: Protocol,
        only: Span | None = None,
        server: Network | None = None,
        zone: int | None = None,
    ) -> Iterator[Rule]:
        """What is sent as if there were no mesh: to some addresses, or by some users; `only` to
        these ports and, with one, to `server`. It leaves, or gets a zone.
        """
        verdict: Verdict = Leave() if zone is None else Zone(zone)
        for network in filter(self._mine, self.settings.exclude_outbound_networks):
            both = network if server is None else _common(network, server)
            if both is not None:
                yield Rule(
                    why="excluded destination", protocol=protocol, ports=only, destination=both,
                    verdict=verdict,
                )  # fmt: skip
        for exclusion in self.settings.exclude_users:
            for ports in _ports(exclusion, protocol, only):
                yield Rule(
                    why="excluded user", protocol=protocol, ports=ports, destination=server,
                    users=exclusion.users, verdict=verdict,
                )  # fmt: skip


def _ports(exclusion: UserExclusion, protocol: Protocol, only: Span | None) -> list[Span | None]:
    """Those that the exclusion names in a chain that `only` these get into."""
    if protocol not in exclusion.protocols:
        return []
    if only is None:
        return list(exclusion.ports) or [None]
    asked = not exclusion.ports or any(only.first in ports for ports in exclusion.ports)
    return [only] if asked else []


def _common(one: Network, other: Network) -> Network | None:
    if one.version != other.version or not one.overlaps(other):
        return None
    return max(one, other, key=lambda network: network.prefixlen)


def _host(address: Address) -> Network:
    return ip_network(address)
