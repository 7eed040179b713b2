"""What the commands tell: rules for `--dry-run`, a report for people and one for programs. Pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from reconciler.capture import iptables, nftables
from reconciler.capture.rules import Family, chains_of
from reconciler.capture.settings import Dns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reconciler.capture.settings import Settings

TITLES = {Family.IPV4: "IPv4", Family.IPV6: "IPv6"}


def rules_text(settings: Settings, families: Sequence[Family], backend: str) -> dict[str, str]:
    """What would be given to each program, by its name. `backend`: "nftables", else iptables."""
    chains = {family: chains_of(settings, family, source_is_ours=family is Family.IPV6)
              for family in families}  # fmt: skip
    if backend == "nftables":
        return {"nft -f -": nftables.replacing(chains)}
    programs = {Family.IPV4: "iptables-restore", Family.IPV6: "ip6tables-restore"}
    return {
        f"{programs[family]} --noflush": iptables.replacing(some, {})
        for family, some in chains.items()
    }


def captured(settings: Settings, families: Sequence[Family]) -> tuple[str, ...]:
    """One line for each redirection."""
    lines = []
    if settings.inbound:
        lines.append(f"inbound TCP to port {settings.inbound_port}")
    if settings.outbound:
        lines.append(
            f"outbound TCP to port {settings.outbound_port}, but what user {settings.proxy_user} "
            "sends"
        )
    servers = _captured_servers(settings, families)
    by = "UDP and TCP" if settings.dns_tcp else "UDP"
    if settings.dns is Dns.ALL:
        lines.append(f"all DNS by {by} to port {settings.dns_port}")
    elif settings.dns is Dns.SERVERS and servers:
        lines.append(f"DNS by {by} of {', '.join(servers)} to port {settings.dns_port}")
    return tuple(lines)


def redirected(settings: Settings) -> dict[str, object]:
    """For programs: the ports, null where nothing goes to one, and who is left alone."""
    dns = settings.dns is not Dns.OFF
    ports = {
        "inbound": settings.inbound_port if settings.inbound else None,
        "outbound": settings.outbound_port if settings.outbound else None,
        "dns": settings.dns_port if dns else None,
    }
    return {"ports": ports, "proxy_user": settings.proxy_user}


def doubts(settings: Settings, families: Sequence[Family]) -> tuple[str, ...]:
    """What may not be as it was meant."""
    lines = []
    if settings.proxy_user == 0:
        lines.append("the proxy's user is root: nothing that root sends is captured")
    if settings.dns is Dns.SERVERS and not _captured_servers(settings, families):
        lines.append("resolv.conf names no server, so no DNS is captured; say --redirect-dns all")
    local = [server for server in settings.dns_servers if server.is_loopback]
    if settings.dns is Dns.ALL and local:
        lines.append(
            f"the resolver at {local[0]} is of this host: unless its user is excluded (such as "
            "--exclude-outbound-ports-for-uids 53:systemd-resolve), what it asks comes back "
            "to the proxy, and to itself"
        )
    return tuple(lines)


def as_json(fields: dict[str, object]) -> str:
    return json.dumps(fields, indent=2, ensure_ascii=False)


def titles(families: Sequence[Family]) -> str:
    return " and ".join(TITLES[family] for family in families)


def _captured_servers(settings: Settings, families: Sequence[Family]) -> list[str]:
    versions = {family.version for family in families}
    return [str(server) for server in settings.dns_servers if server.version in versions]
