"""What a zone is told of a proxy whose host redirects its applications' traffic to it. Pure.

Names and defaults are those of kuma-dp (facts/dataplane-wire.md 1.2, 4.4), but for DNS: kuma-dp has
a resolver of its own behind the redirected port and Envoy behind that one. We have Envoy alone, so
its DNS filter is asked to answer on the redirected port itself, and to pass on what it does not
know; a feature that no other control plane knows says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

OUTBOUND_PORT = 15001
INBOUND_PORT = 15006
DNS_PORT = 15053
PROXY_UID = 5678  # whose traffic the rules leave alone, by default
FAMILIES = ("dualstack", "ipv4")
FEATURE = "feature-transparent-proxy-in-dataplane-metadata"
ENVOY_DNS = "mesh-reconciler-envoy-dns"


@dataclass(frozen=True, slots=True, kw_only=True)
class Redirected:
    """Ports of this host that traffic is redirected to; None where it is not."""

    outbound_port: int | None = OUTBOUND_PORT
    inbound_port: int | None = INBOUND_PORT
    dns_port: int | None = DNS_PORT
    family: str = "dualstack"  # or "ipv4"

    @property
    def features(self) -> tuple[str, ...]:
        return (FEATURE,) if self.dns_port is None else (FEATURE, ENVOY_DNS)


def announced(redirected: Redirected | None) -> Mapping[str, object]:
    """Keys of the bootstrap request; none where nothing is redirected."""
    if redirected is None:
        return {}
    ports = {
        "inbound": redirected.inbound_port,
        "outbound": redirected.outbound_port,
        "dns": redirected.dns_port,
    }
    redirect = {
        way: {"enabled": port is not None, "port": port or 0} for way, port in ports.items()
    }
    dns = {} if redirected.dns_port is None else {"dnsPort": redirected.dns_port}
    return {
        "dataplaneConfig": {"ipFamilyMode": redirected.family, "redirect": redirect},
        "ipv6Enabled": redirected.family != "ipv4",
        **dns,
    }
