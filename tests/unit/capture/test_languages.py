"""The rules as `nft` and `iptables-restore` read them, and ours found again in what they list."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from reconciler.capture import iptables, nftables
from reconciler.capture.iptables import Ours
from reconciler.capture.rules import Family, chains_of
from reconciler.capture.settings import (
    Dns,
    Place,
    Settings,
    Span,
    UserExclusion,
    VirtualNetwork,
)

FULL = Settings(
    dns_servers=(ip_address("10.0.0.53"), ip_address("127.0.0.11"), ip_address("fd00::53")),
    exclude_inbound_ports=(Span(22, 22), Span(8000, 8010)),
    exclude_inbound_networks=(ip_network("192.0.2.0/24"),),
    exclude_outbound_ports=(Span(443, 443),),
    exclude_outbound_networks=(ip_network("10.9.0.0/16"),),
    exclude_users=(UserExclusion(("tcp", "udp"), (), Span(1000, 1010)),),
    virtual_networks=(VirtualNetwork("br+", ip_network("172.17.0.0/16")),),
    drop_invalid=True,
)
NFTABLES = """\
add table ip mesh_reconciler
delete table ip mesh_reconciler
table ip mesh_reconciler {
  chain dns_sent {
    type filter hook output priority -300; policy accept;
    meta skuid 5678 udp sport 15053 ct zone set 2 comment "answers of the proxy"
    ip daddr 10.0.0.53/32 meta skuid 5678 udp dport 53 ct zone set 1 comment "queries of the proxy"
    ip daddr 10.0.0.53/32 meta skuid 1000-1010 udp dport 53 ct zone set 1 comment "excluded user"
    ip daddr 10.0.0.53/32 udp dport 53 ct zone set 2 comment "queries"
    ip daddr 127.0.0.11/32 meta skuid 5678 udp dport 53 ct zone set 1 comment "queries of the proxy"
    ip daddr 127.0.0.11/32 meta skuid 1000-1010 udp dport 53 ct zone set 1 comment "excluded user"
    ip daddr 127.0.0.11/32 udp dport 53 ct zone set 2 comment "queries"
    oifname "lo" ip saddr 127.0.0.11/32 meta l4proto udp ct zone set 1 comment "answers of the \
resolver of this host"
  }
  chain dns_came {
    type filter hook prerouting priority -300; policy accept;
    iifname "br*" udp dport 53 ct zone set 2 comment "queries of containers"
    ip saddr 10.0.0.53/32 udp sport 53 ct zone set 1 comment "answers of servers"
    ip saddr 127.0.0.11/32 udp sport 53 ct zone set 1 comment "answers of servers"
  }
  chain invalid {
    type filter hook prerouting priority -150; policy accept;
    ct state invalid drop comment "belongs to no connection"
  }
  chain dns {
    type nat hook output priority -101; policy accept;
    ip daddr 10.9.0.0/16 udp dport 53 return comment "excluded destination"
    meta skuid 1000-1010 udp dport 53 return comment "excluded user"
    meta skuid 5678 udp dport 53 return comment "queries of the proxy"
    ip daddr 10.0.0.53/32 udp dport 53 redirect to :15053 comment "queries"
    ip daddr 127.0.0.11/32 udp dport 53 redirect to :15053 comment "queries"
  }
  chain dns_tcp {
    type nat hook output priority -101; policy accept;
    ip daddr 10.9.0.0/16 tcp dport 53 return comment "excluded destination"
    meta skuid 1000-1010 tcp dport 53 return comment "excluded user"
    meta skuid 5678 tcp dport 53 return comment "queries of the proxy"
    ip daddr 10.0.0.53/32 tcp dport 53 redirect to :15053 comment "queries"
    ip daddr 127.0.0.11/32 tcp dport 53 redirect to :15053 comment "queries"
  }
  chain outbound {
    type nat hook output priority -101; policy accept;
    oifname "lo" ip saddr 127.0.0.6/32 return comment "the proxy towards the application"
    ip daddr 10.9.0.0/16 meta l4proto tcp return comment "excluded destination"
    meta skuid 1000-1010 meta l4proto tcp return comment "excluded user"
    tcp dport 443 return comment "excluded outbound port"
    oifname "lo" ip daddr != 127.0.0.1/32 meta skuid 5678 meta l4proto tcp redirect to :15006 \
comment "the proxy to its own application, as any other caller"
    oifname "lo" return comment "applications of this host to each other"
    meta skuid 5678 return comment "what the proxy sends"
    ip daddr 127.0.0.1/32 return comment "this host"
    tcp dport 53 return comment "other queries"
    meta l4proto tcp redirect to :15001 comment "outbound"
  }
  chain vnet_dns {
    type nat hook prerouting priority -101; policy accept;
    iifname "br*" udp dport 53 redirect to :15053 comment "queries of containers"
  }
  chain inbound {
    type nat hook prerouting priority -101; policy accept;
    iifname "br*" ip daddr != 172.17.0.0/16 meta l4proto tcp redirect to :15001 comment "what \
containers send out"
    ip saddr 192.0.2.0/24 return comment "excluded callers"
    tcp dport 22 return comment "excluded inbound port"
    tcp dport 8000-8010 return comment "excluded inbound port"
    fib daddr type local meta l4proto tcp redirect to :15006 comment "inbound"
  }
}
"""
SMALL = Settings(
    dns=Dns.ALL,
    dns_tcp=False,
    dns_zones=False,
    exclude_inbound_ports=(Span(8000, 8010),),
    exclude_users=(UserExclusion(("tcp",), (Span(22, 22),), Span(1000, 1010)),),
    virtual_networks=(VirtualNetwork("br+", ip_network("fd00:17::/64")),),
    drop_invalid=True,
)
IPTABLES = """\
*mangle
:MESH_RECONCILER_INVALID - [0:0]
-A MESH_RECONCILER_INVALID -m conntrack --ctstate INVALID -m comment --comment "belongs to no \
connection" -j DROP
-I PREROUTING 1 -m comment --comment "mesh-reconciler: invalid" -j MESH_RECONCILER_INVALID
COMMIT
*nat
:MESH_RECONCILER_DNS - [0:0]
:MESH_RECONCILER_OUTBOUND - [0:0]
:MESH_RECONCILER_VNET_DNS - [0:0]
:MESH_RECONCILER_INBOUND - [0:0]
-A MESH_RECONCILER_DNS -p udp --dport 53 -m owner --uid-owner 5678 -m comment --comment "queries \
of the proxy" -j RETURN
-A MESH_RECONCILER_DNS -p udp --dport 53 -m comment --comment "queries" -j REDIRECT --to-ports 15053
-A MESH_RECONCILER_OUTBOUND -s ::6/128 -o lo -m comment --comment "the proxy towards the \
application; its address on lo was added by install" -j RETURN
-A MESH_RECONCILER_OUTBOUND -p tcp --dport 22 -m owner --uid-owner 1000-1010 -m comment --comment \
"excluded user" -j RETURN
-A MESH_RECONCILER_OUTBOUND ! -d ::1/128 -o lo -p tcp -m owner --uid-owner 5678 -m comment \
--comment "the proxy to its own application, as any other caller" -j REDIRECT --to-ports 15006
-A MESH_RECONCILER_OUTBOUND -o lo -m comment --comment "applications of this host to each other" \
-j RETURN
-A MESH_RECONCILER_OUTBOUND -m owner --uid-owner 5678 -m comment --comment "what the proxy sends" \
-j RETURN
-A MESH_RECONCILER_OUTBOUND -d ::1/128 -m comment --comment "this host" -j RETURN
-A MESH_RECONCILER_OUTBOUND -p tcp --dport 53 -m comment --comment "other queries" -j RETURN
-A MESH_RECONCILER_OUTBOUND -p tcp -m comment --comment "outbound" -j REDIRECT --to-ports 15001
-A MESH_RECONCILER_VNET_DNS -i br+ -p udp --dport 53 -m comment --comment "queries of containers" \
-j REDIRECT --to-ports 15053
-A MESH_RECONCILER_INBOUND ! -d fd00:17::/64 -i br+ -p tcp -m comment --comment "what containers \
send out" -j REDIRECT --to-ports 15001
-A MESH_RECONCILER_INBOUND -p tcp --dport 8000:8010 -m comment --comment "excluded inbound port" \
-j RETURN
-A MESH_RECONCILER_INBOUND -p tcp -m addrtype --dst-type LOCAL -m comment --comment "inbound" -j \
REDIRECT --to-ports 15006
-I PREROUTING 1 -p tcp -m comment --comment "mesh-reconciler: inbound" -j MESH_RECONCILER_INBOUND
-I PREROUTING 1 -p udp -m comment --comment "mesh-reconciler: vnet_dns" -j MESH_RECONCILER_VNET_DNS
-I OUTPUT 1 -p tcp -m comment --comment "mesh-reconciler: outbound" -j MESH_RECONCILER_OUTBOUND
-I OUTPUT 1 -p udp -m comment --comment "mesh-reconciler: dns" -j MESH_RECONCILER_DNS
COMMIT
"""
FOREIGN = """\
# Generated by iptables-save
*nat
:PREROUTING ACCEPT [0:0]
:DOCKER - [0:0]
:MESH_RECONCILED - [0:0]
-A PREROUTING -j DOCKER
-A PREROUTING -m comment --comment "see -j MESH_RECONCILER_DNS \\"here\\"" -j DOCKER
-A PREROUTING -p tcp -m comment --comment "counted; see -j MESH_RECONCILER_DNS too"
-A MESH_RECONCILED -p tcp -j RETURN
COMMIT
"""


def test_a_table_of_nftables_is_replaced_in_one_transaction() -> None:
    chains = {Family.IPV4: chains_of(FULL, Family.IPV4, source_is_ours=False)}
    assert nftables.replacing(chains) == NFTABLES


def test_a_family_that_gets_none_now_loses_its_table_in_the_same_transaction() -> None:
    chains = {Family.IPV4: chains_of(FULL, Family.IPV4, source_is_ours=False)}
    script = nftables.replacing(chains, (Family.IPV4, Family.IPV6)).splitlines()
    assert script[:4] == [
        "add table ip mesh_reconciler",
        "delete table ip mesh_reconciler",
        "add table ip6 mesh_reconciler",
        "delete table ip6 mesh_reconciler",
    ]
    assert script[4:] == NFTABLES.splitlines()[2:]


def test_tables_of_ours_are_found_by_their_whole_names() -> None:
    listing = "table inet mesh_reconciler\ntable ip6 mesh_reconciler\ntable ip mesh_reconcilers\n"
    assert nftables.ours(listing) == (Family.IPV6,)
    assert nftables.removing((Family.IPV6,)) == "delete table ip6 mesh_reconciler\n"
    assert nftables.removing(()) == ""


def test_chains_of_iptables_are_made_whole_in_one_transaction_per_table() -> None:
    chains = chains_of(SMALL, Family.IPV6, source_is_ours=True)
    assert iptables.replacing(chains, {}) == IPTABLES


def test_zones_are_set_in_the_table_raw_before_anything_is_redirected() -> None:
    settings = Settings(dns=Dns.ALL)
    script = iptables.replacing(chains_of(settings, Family.IPV4, source_is_ours=False), {})
    assert script.index("*raw") < script.index("-j CT --zone 2") < script.index("*nat")


def saved(script: str) -> str:
    """What `iptables-save` would list after that input."""
    lines = [
        line.replace("-I PREROUTING 1", "-A PREROUTING").replace("-I OUTPUT 1", "-A OUTPUT")
        for line in script.splitlines()
    ]
    return "\n".join(lines) + "\n"


def test_what_was_installed_is_found_again_and_nothing_else() -> None:
    assert iptables.ours(FOREIGN) == {}
    assert iptables.removing(iptables.ours(FOREIGN)) == ""
    found = iptables.ours(saved(IPTABLES) + FOREIGN)
    assert found == {
        "mangle": Ours(
            ("MESH_RECONCILER_INVALID",),
            ('-A PREROUTING -m comment --comment "mesh-reconciler: invalid" '
             "-j MESH_RECONCILER_INVALID",),
        ),
        "nat": Ours(
            ("MESH_RECONCILER_DNS", "MESH_RECONCILER_OUTBOUND", "MESH_RECONCILER_VNET_DNS",
             "MESH_RECONCILER_INBOUND"),
            tuple(line for line in saved(IPTABLES).splitlines()
                  if line.startswith(("-A OUTPUT", "-A PREROUTING -p"))),
        ),
    }  # fmt: skip


def test_a_way_from_one_chain_of_ours_to_another_goes_with_the_chain() -> None:
    text = "*nat\n:MESH_RECONCILER_A - [0:0]\n-A MESH_RECONCILER_A -j MESH_RECONCILER_B\nCOMMIT\n"
    assert iptables.ours(text) == {"nat": Ours(("MESH_RECONCILER_A",), ())}


def test_removing_takes_the_jumps_before_the_chains() -> None:
    present = {"nat": Ours(("MESH_RECONCILER_A", "MESH_RECONCILER_B"),
                           ("-A OUTPUT -p tcp -j MESH_RECONCILER_A",))}  # fmt: skip
    assert iptables.removing(present) == (
        "*nat\n-D OUTPUT -p tcp -j MESH_RECONCILER_A\n-F MESH_RECONCILER_A\n-F MESH_RECONCILER_B\n"
        "-X MESH_RECONCILER_A\n-X MESH_RECONCILER_B\nCOMMIT\n"
    )


def test_replacing_deletes_old_jumps_and_chains_that_are_no_longer_wanted() -> None:
    jump = '-A OUTPUT -p udp -m comment --comment "mesh-reconciler: dns" -j MESH_RECONCILER_DNS'
    present = {"nat": Ours(("MESH_RECONCILER_DNS", "MESH_RECONCILER_OLD"), (jump,)),
               "mangle": Ours(("MESH_RECONCILER_INVALID",), ())}  # fmt: skip
    settings = Settings(dns=Dns.ALL, dns_zones=False)
    script = iptables.replacing(
        chains_of(settings, Family.IPV4, source_is_ours=False), present
    ).splitlines()
    assert script[:4] == [
        "*mangle", "-F MESH_RECONCILER_INVALID", "-X MESH_RECONCILER_INVALID", "COMMIT",
    ]  # fmt: skip
    assert script.count(f"-D {jump.removeprefix('-A ')}") == 1
    assert "-X MESH_RECONCILER_OLD" in script
    assert "-X MESH_RECONCILER_DNS" not in script
    assert script.index(f"-D {jump.removeprefix('-A ')}") < script.index(
        f"-I OUTPUT 1 {jump.removeprefix('-A OUTPUT ')}"
    )


@pytest.mark.parametrize("place", Place)
def test_of_tcp_the_jump_is_first_or_last_and_of_queries_always_first(place: Place) -> None:
    chains = chains_of(Settings(dns=Dns.ALL, place=place), Family.IPV4, source_is_ours=False)
    script = iptables.replacing(chains, {})
    jump = "-I OUTPUT 1" if place is Place.FIRST else "-A OUTPUT"
    assert f'{jump} -p tcp -m comment --comment "mesh-reconciler: outbound"' in script
    assert '-I OUTPUT 1 -p udp -m comment --comment "mesh-reconciler: dns"' in script
    listing = nftables.replacing({Family.IPV4: chains})
    priority = -101 if place is Place.FIRST else -99
    assert f"chain outbound {{\n    type nat hook output priority {priority};" in listing
    assert "chain dns {\n    type nat hook output priority -101;" in listing
