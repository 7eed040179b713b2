"""What a zone is told of a proxy whose host redirects its applications' traffic to it. Pure.

Names and defaults are those of kuma-dp (facts/dataplane-wire.md 1.2, 4.4): behind the port that
questions to name servers are redirected to is a resolver of its own, here `name_relay`, and Envoy's
DNS filter behind that one, on the port that the zone is told.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

OUTBOUND_PORT = 15001
INBOUND_PORT = 15006
DNS_PORT = 15053
ENVOY_DNS_PORT = 15054
PROXY_UID = 5678  # whose traffic the rules leave alone, by default
FAMILIES = ("dualstack", "ipv4")
FEATURE = "feature-transparent-proxy-in-dataplane-metadata"


@dataclass(frozen=True, slots=True, kw_only=True)
class Redirected:
    """Ports of this host that traffic is redirected to; None where it is not. `envoy_dns_port`:
    where Envoy tells names to whoever answers on `dns_port`.
    """

    outbound_port: int | None = OUTBOUND_PORT
    inbound_port: int | None = INBOUND_PORT
    dns_port: int | None = DNS_PORT
    envoy_dns_port: int = ENVOY_DNS_PORT
    dns_addresses: tuple[str, ...] = ()  # beside loopback
    family: str = "dualstack"  # or "ipv4"


def announced(redirected: Redirected | None) -> Mapping[str, object]:
    """Keys of the bootstrap request; none where nothing is redirected."""
    if redirected is None:
        return {}
    dns_port = None if redirected.dns_port is None else redirected.envoy_dns_port
    ports = {
        "inbound": redirected.inbound_port,
        "outbound": redirected.outbound_port,
        "dns": dns_port,
    }
    redirect = {
        way: {"enabled": port is not None, "port": port or 0} for way, port in ports.items()
    }
    dns = {} if dns_port is None else {"dnsPort": dns_port}
    return {
        "dataplaneConfig": {"ipFamilyMode": redirected.family, "redirect": redirect},
        "ipv6Enabled": redirected.family != "ipv4",
        **dns,
    }
