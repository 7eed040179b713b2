"""Laws of the rules, whatever the settings: packets are led through them as the kernel does it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.capture.iptables import PREFIX
from reconciler.capture.rules import (
    LOOPBACK,
    Chain,
    Drop,
    Family,
    Hook,
    Leave,
    Redirect,
    Rule,
    Verdict,
    Zone,
    chains_of,
)
from reconciler.capture.settings import (
    Dns,
    Place,
    Settings,
    Span,
    UserExclusion,
    VirtualNetwork,
)

if TYPE_CHECKING:
    from reconciler.capture.settings import Address, Protocol

T = TypeVar("T")
NAME_LENGTH_MAX = 28  # of a chain of iptables
COMMENT_LENGTH_MAX = 127  # of a rule of nftables
HERE = {Family.IPV4: ip_address("10.0.0.2"), Family.IPV6: ip_address("fd00::2")}


@dataclass(frozen=True)
class Packet:
    """The first one of a flow."""

    protocol: Protocol
    destination: Address
    port: int
    source: Address
    source_port: int = 40000
    uid: int | None = None  # None: nobody of this host sent it
    leaves_by: str = ""
    arrives_by: str = ""


def fits(rule: Rule, p: Packet) -> bool:
    return (
        rule.protocol in {None, p.protocol}
        and (rule.ports is None or p.port in rule.ports)
        and rule.source_port in {None, p.source_port}
        and (rule.source is None or p.source in rule.source)
        and (rule.destination is None or p.destination in rule.destination)
        and (rule.elsewhere is None or p.destination not in rule.elsewhere)
        and (not rule.arrives_by or p.arrives_by.startswith(rule.arrives_by.rstrip("+")))
        and rule.leaves_by in {"", p.leaves_by}
        and (rule.users is None or (p.uid is not None and p.uid in rule.users))
        and (not rule.to_this_host or p.destination in HERE.values())
        and not rule.invalid
    )


def led(chains: tuple[Chain, ...], hook: Hook, packet: Packet) -> Verdict | None:
    """By the first chain of the hook that decides; Leave is for the next one to decide."""
    found: Verdict | None = None
    for chain in chains:
        if chain.hook is hook and chain.protocol in {None, packet.protocol}:
            verdict = next((r.verdict for r in chain.rules if fits(r, packet)), None)
            if not isinstance(verdict, Leave | None):
                return verdict
            found = found or verdict
    return found


# --- settings and packets ---

ports_ = st.integers(1, 65535)
users_ = st.integers(0, 70000)
addresses_ = st.sampled_from(
    [
        "10.0.0.2",
        "10.0.0.53",
        "10.9.0.1",
        "10.9.0.2",
        "127.0.0.1",
        "127.0.0.53",
        "fd00::2",
        "fd00::53",
        "::1",
    ]
).map(ip_address)
networks_ = st.sampled_from(["10.9.0.0/16", "10.0.0.53/32", "fd00::/64", "fd09::/16"]).map(
    ip_network
)


def spans(numbers: st.SearchStrategy[int]) -> st.SearchStrategy[Span]:
    return st.tuples(numbers, numbers).map(lambda pair: Span(min(pair), max(pair)))


def some(of: st.SearchStrategy[T]) -> st.SearchStrategy[tuple[T, ...]]:
    return st.lists(of, max_size=2).map(tuple)


settings_ = st.builds(
    Settings,
    proxy_user=users_,
    inbound=st.booleans(),
    outbound=st.booleans(),
    dns=st.sampled_from(Dns),
    dns_servers=some(addresses_),
    dns_tcp=st.booleans(),
    dns_zones=st.booleans(),
    exclude_inbound_ports=some(spans(ports_)),
    exclude_inbound_networks=some(networks_),
    exclude_outbound_ports=some(spans(ports_)),
    exclude_outbound_networks=some(networks_),
    exclude_users=some(
        st.builds(
            UserExclusion,
            st.sampled_from([("tcp",), ("udp",), ("tcp", "udp")]),
            some(spans(ports_)),
            spans(users_),
        )
    ),
    virtual_networks=some(st.builds(VirtualNetwork, st.just("br+"), networks_)),
    place=st.sampled_from(Place),
    drop_invalid=st.booleans(),
)
families_ = st.sampled_from(Family)


@st.composite
def sent(draw: st.DrawFn, family: Family) -> Packet:
    """What somebody of this host sends: to itself it leaves by lo."""
    mine = addresses_.filter(lambda address: address.version == family.version)
    destination = draw(mine)
    local = destination.is_loopback or destination == HERE[family]
    return Packet(
        protocol=draw(st.sampled_from(["tcp", "udp"])),
        destination=destination,
        port=draw(st.one_of(ports_, st.sampled_from([53, 80]))),
        source=destination if local else HERE[family],
        uid=draw(users_),
        leaves_by=LOOPBACK if local else "eth0",
    )


@given(settings=settings_, family=families_, data=st.data())
def test_what_the_proxy_sends_to_others_is_never_redirected(
    settings: Settings, family: Family, data: st.DataObject
) -> None:
    packet = replace(data.draw(sent(family)), uid=settings.proxy_user)
    verdict = led(chains_of(settings, family, source_is_ours=False), Hook.NAT_SENT, packet)
    if packet.leaves_by != LOOPBACK or packet.protocol == "udp":
        assert isinstance(verdict, Leave | None)
    else:
        # To its own application it comes in as any caller, and never goes out again.
        assert verdict in {None, Leave(), Redirect(settings.inbound_port)}
        if packet.destination == family.localhost:
            assert verdict != Redirect(settings.inbound_port)


@given(settings=settings_, family=families_, uid=users_, port=ports_)
def test_what_comes_from_the_proxy_s_source_is_never_redirected(
    settings: Settings, family: Family, uid: int, port: int
) -> None:
    packet = Packet("tcp", HERE[family], port, family.proxy_source, uid=uid, leaves_by=LOOPBACK)
    chains = chains_of(settings, family, source_is_ours=False)
    assert led(chains, Hook.NAT_SENT, packet) == Leave()


@given(settings=settings_, family=families_, data=st.data())
def test_outbound_is_redirected_unless_a_reason_is_there(
    settings: Settings, family: Family, data: st.DataObject
) -> None:
    """The reasons in plain words, without an order."""
    packet = replace(data.draw(sent(family)), protocol="tcp")
    assert packet.uid is not None
    verdict = led(chains_of(settings, family, source_is_ours=True), Hook.NAT_SENT, packet)
    to, uid, at = packet.destination, packet.uid, packet.port
    excluded = (
        any(at in span for span in settings.exclude_outbound_ports)
        or any(to in network for network in settings.exclude_outbound_networks)
        or any(
            uid in e.users
            and "tcp" in e.protocols
            and (not e.ports or any(at in s for s in e.ports))
            for e in settings.exclude_users
        )
    )
    own = packet.leaves_by == LOOPBACK
    proxy = uid == settings.proxy_user
    name = at == 53 and settings.dns is not Dns.OFF
    asked = settings.dns is Dns.ALL or (settings.dns is Dns.SERVERS and to in settings.dns_servers)
    to_itself = own and proxy and to != family.localhost and settings.inbound
    wanted: Verdict
    if at == 53 and asked and settings.dns_tcp and not proxy and not excluded:
        wanted = Redirect(settings.dns_port)
    elif not settings.outbound or excluded:
        wanted = Leave()
    elif to_itself:
        wanted = Redirect(settings.inbound_port)
    else:
        wanted = Leave() if own or proxy or name else Redirect(settings.outbound_port)
    assert (verdict or Leave()) == wanted


@given(settings=settings_, family=families_, port=ports_, source=addresses_)
def test_inbound_is_redirected_unless_a_reason_is_there(
    settings: Settings, family: Family, port: int, source: Address
) -> None:
    packet = Packet("tcp", HERE[family], port, source, arrives_by="eth0")
    verdict = led(chains_of(settings, family, source_is_ours=False), Hook.NAT_ARRIVING, packet)
    excluded = any(port in span for span in settings.exclude_inbound_ports) or any(
        source in network and network.version == family.version
        for network in settings.exclude_inbound_networks
    )
    wanted = Redirect(settings.inbound_port) if settings.inbound and not excluded else Leave()
    assert (verdict or Leave()) == wanted


@given(settings=settings_, family=families_, port=ports_)
def test_what_is_forwarded_for_others_is_never_inbound(
    settings: Settings, family: Family, port: int
) -> None:
    elsewhere = ip_address("192.0.2.1" if family is Family.IPV4 else "2001:db8::1")
    packet = Packet("tcp", elsewhere, port, HERE[family], arrives_by="eth1")
    verdict = led(chains_of(settings, family, source_is_ours=False), Hook.NAT_ARRIVING, packet)
    assert isinstance(verdict, Leave | None)


@given(settings=settings_, family=families_, data=st.data())
def test_a_query_and_its_answer_are_in_one_zone(
    settings: Settings, family: Family, data: st.DataObject
) -> None:
    """Of what is redirected: that of captured flows; of what goes on to a server that is captured
    for others: the other one. Without, conntrack would not know the answer.
    """
    packet = replace(data.draw(sent(family)), protocol="udp", port=53)
    chains = chains_of(settings, family, source_is_ours=False)
    verdict = led(chains, Hook.NAT_SENT, packet)
    zone = led(chains, Hook.RAW_SENT, packet)
    if isinstance(verdict, Redirect):
        here = family.localhost
        answer = Packet("udp", packet.source, packet.source_port, here, settings.dns_port,
                        uid=settings.proxy_user, leaves_by=LOOPBACK)  # fmt: skip
        assert led(chains, Hook.RAW_SENT, answer) == zone
    elif packet.leaves_by != LOOPBACK:
        answer = Packet("udp", packet.source, packet.source_port, packet.destination, 53,
                        arrives_by="eth0")  # fmt: skip
        assert led(chains, Hook.RAW_ARRIVING, answer) == zone
    if not settings.dns_zones:
        assert zone is None


@given(settings=settings_, family=families_, ours=st.booleans())
def test_nothing_but_tcp_and_queries_is_ever_touched(
    settings: Settings, family: Family, ours: bool
) -> None:
    for chain in chains_of(settings, family, source_is_ours=ours):
        for rule in chain.rules:
            protocol = rule.protocol or chain.protocol
            match rule.verdict:
                case Redirect():
                    names = rule.verdict.port == settings.dns_port
                    assert rule.ports == Span(53, 53) if names else protocol == "tcp"
                case Zone():
                    assert protocol == "udp"
                case Drop():
                    assert rule.invalid
            assert protocol is not None or isinstance(rule.verdict, Drop)


@given(settings=settings_, family=families_, ours=st.booleans())
def test_rules_can_be_written_in_every_language(
    settings: Settings, family: Family, ours: bool
) -> None:
    chains = chains_of(settings, family, source_is_ours=ours)
    assert len({chain.name for chain in chains}) == len(chains)
    for chain in chains:
        assert len(PREFIX + chain.name) <= NAME_LENGTH_MAX
        for rule in chain.rules:
            assert len(rule.why.encode()) <= COMMENT_LENGTH_MAX
            assert '"' not in rule.why
            for network in (rule.source, rule.destination, rule.elsewhere):
                assert network is None or network.version == family.version
            assert rule.protocol is not None or (rule.ports, rule.source_port) == (None, None)


@pytest.mark.parametrize("uid", [5678, 7000])
def test_queries_of_the_proxy_s_user_go_on_and_of_no_other(uid: int) -> None:
    server = ip_address("10.0.0.53")
    packet = Packet("udp", server, 53, HERE[Family.IPV4], uid=uid, leaves_by="eth0")
    for settings in (Settings(proxy_user=7000, dns=Dns.ALL),
                     Settings(proxy_user=7000, dns_servers=(server,))):  # fmt: skip
        chains = chains_of(settings, Family.IPV4, source_is_ours=False)
        verdict = led(chains, Hook.NAT_SENT, packet)
        assert verdict == (Leave() if uid == 7000 else Redirect(15053))


@pytest.mark.parametrize(
    ("dns", "by_tcp", "wanted"),
    [
        (Dns.OFF, True, Redirect(15001)),  # It is like anything else.
        (Dns.ALL, True, Redirect(15053)),
        (Dns.ALL, False, Leave()),
        (Dns.SERVERS, True, Leave()),  # None is named.
    ],
)
def test_names_by_tcp_are_the_proxy_s_where_it_answers_them_and_never_passed_through(
    dns: Dns, by_tcp: bool, wanted: Verdict
) -> None:
    packet = Packet("tcp", ip_address("10.0.0.53"), 53, HERE[Family.IPV4], uid=1, leaves_by="eth0")
    settings = Settings(dns=dns, dns_tcp=by_tcp)
    chains = chains_of(settings, Family.IPV4, source_is_ours=False)
    assert led(chains, Hook.NAT_SENT, packet) == wanted


def test_where_port_53_is_excluded_names_by_tcp_are_not_captured() -> None:
    settings = Settings(dns=Dns.ALL, exclude_outbound_ports=(Span(50, 60),))
    names = [chain.name for chain in chains_of(settings, Family.IPV4, source_is_ours=False)]
    assert "dns_tcp" not in names


def test_of_an_excluded_network_only_the_servers_that_are_captured_have_a_zone() -> None:
    """The answers of others come in none."""
    network, server = ip_network("10.9.0.0/16"), ip_address("10.9.0.53")
    for settings in (
        Settings(dns_servers=(server,), exclude_outbound_networks=(network,)),
        Settings(dns_servers=(server,), exclude_outbound_networks=(ip_network(server),)),
    ):
        (sent_, *_) = chains_of(settings, Family.IPV4, source_is_ours=False)
        excluded = [rule for rule in sent_.rules if rule.why == "excluded destination"]
        assert [rule.destination for rule in excluded] == [ip_network(server)]


def test_where_zones_are_left_alone_there_is_no_chain_for_them() -> None:
    settings = Settings(dns=Dns.ALL, dns_zones=False)
    names = [chain.name for chain in chains_of(settings, Family.IPV4, source_is_ours=False)]
    assert names == ["dns", "dns_tcp", "outbound", "inbound"]


def test_last_is_for_tcp_alone() -> None:
    settings = Settings(dns=Dns.ALL, place=Place.LAST)
    chains = chains_of(settings, Family.IPV4, source_is_ours=False)
    assert [chain.name for chain in chains if not chain.first] == ["outbound", "inbound"]
