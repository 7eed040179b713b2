"""`reconciler install transparent-proxy`: the kernel leads this network's traffic to the proxy."""

from __future__ import annotations

import argparse
import pwd
import sys
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from reconciler.capture.settings import (
    Dns,
    Place,
    Settings,
    SettingsError,
    check,
    dns_servers,
    networks,
    port_or_off,
    ports,
    user,
    user_exclusion,
    virtual_network,
)
from reconciler.cli.capture import (
    TRANSPARENT_PROXY,
    add_common,
    carried_out,
    converted,
    tell,
)
from reconciler.redirected import DNS_PORT, INBOUND_PORT, OUTBOUND_PORT, PROXY_UID

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reconciler.capture.rules import Family
    from reconciler.capture.settings import Address

T = TypeVar("T")
RESOLV_CONF = Path("/etc/resolv.conf")
EXAMPLES = """\
example: reconciler install transparent-proxy --exclude-inbound-ports 22
         reconciler install transparent-proxy --dry-run --backend iptables-legacy
         reconciler install transparent-proxy --exclude-outbound-ports 5432 \\
             --exclude-outbound-ips 10.9.0.0/16,fd00:9::/32 \\
             --exclude-outbound-ports-for-uids tcp:443:backup --redirect-dns all

What it needs: the capability NET_ADMIN, for iptables-legacy NET_RAW as well; nothing for --dry-run.
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser(
        "install",
        help="lead this network's traffic through the proxy",
        epilog="example: reconciler install transparent-proxy --exclude-inbound-ports 22",
    )
    kinds = parser.add_subparsers(dest="kind", required=True, metavar="WHAT")
    capture = kinds.add_parser(
        TRANSPARENT_PROXY,
        help="redirect inbound, outbound and DNS in the current network namespace",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    capture.add_argument(
        "--dry-run",
        action="store_true",
        help="print the rules and change nothing; needs no privilege and none of the programs",
    )
    add_common(
        capture,
        "what changes the rules; auto: nftables if it works here, else iptables-nft, else "
        "iptables-legacy (default: auto)",
    )
    _add_proxy(capture)
    _add_inbound(capture)
    _add_outbound(capture)
    _add_dns(capture)


def _add_proxy(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--proxy-user", type=converted(lambda text: user(text, _user_id)), default=PROXY_UID,
        metavar="USER",
        help="id or name of the user that the proxy runs as, alone: what it sends is not "
        f"redirected (default: {PROXY_UID})",
    )  # fmt: skip
    parser.add_argument(
        "--ip-family-mode", choices=("dualstack", "ipv4"), default="dualstack",
        help="dualstack: IPv6 as well, where this network has it (default: dualstack)",
    )  # fmt: skip
    parser.add_argument(
        "--precedence", choices=[place.value for place in Place], default=Place.FIRST.value,
        help="of these redirections of TCP among those that others made; those of DNS are always "
        "first (default: first)",
    )  # fmt: skip
    parser.add_argument(
        "--vnet", type=converted(virtual_network), action="append", default=[],
        metavar="INTERFACE:NETWORK",
        help="a network of containers that this host forwards for, such as docker0:172.17.0.0/16 "
        "or br+:fd00::/64: what they send out is outbound (may be repeated)",
    )  # fmt: skip
    parser.add_argument(
        "--drop-invalid-packets", action="store_true",
        help="drop what belongs to no connection: late packets of redirected connections would "
        "reach the application as they are, and reset it",
    )  # fmt: skip


def _add_inbound(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--redirect-inbound", action=argparse.BooleanOptionalAction, default=True,
        help="redirect what others send to this network; not for gateways",
    )  # fmt: skip
    parser.add_argument(
        "--redirect-inbound-port", type=converted(port_or_off), default=INBOUND_PORT,
        metavar="PORT",
        help="where the proxy takes it, as networking.transparentProxying.redirectPortInbound of "
        f"the Dataplane says, or off (default: {INBOUND_PORT})",
    )  # fmt: skip
    parser.add_argument(
        "--exclude-inbound-ports", type=converted(ports), action="append", default=[],
        metavar="PORTS",
        help="ports of this network that are reached directly, such as 22,8000-8010 (may be "
        "repeated)",
    )  # fmt: skip
    parser.add_argument(
        "--exclude-inbound-ips", type=converted(networks), action="append", default=[],
        metavar="NETWORKS",
        help="callers that reach everything directly, such as 10.0.0.1,fd00::/8 (may be repeated)",
    )  # fmt: skip


def _add_outbound(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--redirect-outbound", action=argparse.BooleanOptionalAction, default=True,
        help="redirect what this network's applications send by TCP",
    )  # fmt: skip
    parser.add_argument(
        "--redirect-outbound-port", type=converted(port_or_off), default=OUTBOUND_PORT,
        metavar="PORT",
        help="where the proxy takes it, as networking.transparentProxying.redirectPortOutbound of "
        f"the Dataplane says, or off (default: {OUTBOUND_PORT})",
    )  # fmt: skip
    parser.add_argument(
        "--exclude-outbound-ports", type=converted(ports), action="append", default=[],
        metavar="PORTS",
        help="ports that are reached directly, wherever they are (may be repeated)",
    )  # fmt: skip
    parser.add_argument(
        "--exclude-outbound-ips", type=converted(networks), action="append", default=[],
        metavar="NETWORKS",
        help="what is reached directly, such as 10.0.0.1,fd00::/8; if it answers DNS, too (may be "
        "repeated)",
    )  # fmt: skip
    parser.add_argument(
        "--exclude-outbound-ports-for-uids",
        type=converted(lambda text: user_exclusion(text, _user_id)), action="append", default=[],
        metavar="[[PROTOCOLS:]PORTS:]USERS",
        help="what these users reach directly: USERS is an id, a name or ids such as 1000-1010, "
        'PORTS such as 22,8000-8010 or "*", PROTOCOLS tcp, udp or "*"; udp is about port 53 (may '
        "be repeated)",
    )  # fmt: skip


def _add_dns(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--redirect-dns", choices=[dns.value for dns in Dns], default=Dns.SERVERS.value,
        help="whose queries the proxy answers: servers: those that --resolv-conf names; all: any "
        "(default: servers)",
    )  # fmt: skip
    parser.add_argument(
        "--redirect-dns-by-tcp", action=argparse.BooleanOptionalAction, default=True,
        help="not by UDP alone; kuma-dp answers no other",
    )  # fmt: skip
    parser.add_argument(
        "--redirect-dns-port", type=converted(port_or_off), default=DNS_PORT, metavar="PORT",
        help=f"where it does, or off (default: {DNS_PORT})",
    )  # fmt: skip
    parser.add_argument(
        "--resolv-conf", type=Path, default=RESOLV_CONF, metavar="FILE",
        help=f"which servers are asked here (default: {RESOLV_CONF})",
    )  # fmt: skip
    parser.add_argument(
        "--skip-dns-conntrack-zone-split", action="store_true",
        help="leave the zones of conntrack alone: only where other rules set them, for without "
        "them a query of the proxy is now and then taken for one of an application that has ended",
    )  # fmt: skip


def run(args: argparse.Namespace) -> int:
    return carried_out(lambda: _install(args))


def _install(args: argparse.Namespace) -> None:
    from reconciler.capture.installation import Options, install
    from reconciler.capture.rules import Family
    from reconciler.capture.wording import as_json, captured, doubts, redirected, titles

    settings = _settings(args)
    check(settings)
    wanted = tuple(Family) if args.ip_family_mode == "dualstack" else (Family.IPV4,)
    if args.dry_run:
        _print_rules(args, settings, wanted)
        return
    options = Options(backend=args.backend, families=wanted, timeout_s=args.timeout)
    report = install(settings, options)
    lines = captured(settings, report.families)
    notes = (*report.notes, *doubts(settings, report.families))
    if args.format == "json":
        fields: dict[str, object] = {
            "backend": report.backend,
            "families": [family.value for family in report.families],
            "replaced": list(report.replaced),
            **redirected(settings),
            "notes": list(notes),
        }
        sys.stdout.write(as_json(fields) + "\n")
        return
    again = "installed again" if report.replaced else "installed"
    sys.stdout.write(f"{again} by {report.backend}, {titles(report.families)}:\n")
    sys.stdout.writelines(f"  {line}\n" for line in lines)
    tell(notes)


def _print_rules(
    args: argparse.Namespace, settings: Settings, families: tuple[Family, ...]
) -> None:
    """As they would be on a machine that has all of these families."""
    from reconciler.capture.wording import as_json, doubts, redirected, rules_text

    backend = "nftables" if args.backend == "auto" else args.backend
    texts = rules_text(settings, families, backend)
    notes = doubts(settings, families)
    if args.format == "json":
        named = [family.value for family in families]
        fields: dict[str, object] = {"backend": backend, "families": named, "rules": texts}
        fields |= {**redirected(settings), "notes": list(notes)}
        sys.stdout.write(as_json(fields) + "\n")
        return
    for program, text in texts.items():
        sys.stdout.write(f"# {program}\n{text}")
    tell(notes)


def _settings(args: argparse.Namespace) -> Settings:
    dns = Dns.OFF if args.redirect_dns_port is None else Dns(args.redirect_dns)
    return Settings(
        proxy_user=args.proxy_user,
        inbound=args.redirect_inbound and args.redirect_inbound_port is not None,
        inbound_port=args.redirect_inbound_port or INBOUND_PORT,
        outbound=args.redirect_outbound and args.redirect_outbound_port is not None,
        outbound_port=args.redirect_outbound_port or OUTBOUND_PORT,
        dns=dns,
        dns_port=args.redirect_dns_port or DNS_PORT,
        dns_servers=_servers(dns, args.resolv_conf),
        dns_tcp=args.redirect_dns_by_tcp,
        dns_zones=not args.skip_dns_conntrack_zone_split,
        exclude_inbound_ports=_flat(args.exclude_inbound_ports),
        exclude_inbound_networks=_flat(args.exclude_inbound_ips),
        exclude_outbound_ports=_flat(args.exclude_outbound_ports),
        exclude_outbound_networks=_flat(args.exclude_outbound_ips),
        exclude_users=tuple(args.exclude_outbound_ports_for_uids),
        virtual_networks=tuple(args.vnet),
        place=Place(args.precedence),
        drop_invalid=args.drop_invalid_packets,
    )


def _servers(dns: Dns, path: Path) -> tuple[Address, ...]:
    """Where all queries are captured, only what is told depends on them."""
    if dns is Dns.OFF:
        return ()
    try:
        return dns_servers(path.read_text(errors="replace"))
    except OSError as error:
        if dns is Dns.ALL:
            return ()
        raise SettingsError(
            f"{path}: {error.strerror}: whose queries shall be redirected? Name a file with "
            "--resolv-conf, or say --redirect-dns all or off"
        ) from error


def _user_id(name: str) -> int:
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        text = f'"{name}" is no user of this machine; create it, or give an id'
        raise SettingsError(text) from None


def _flat(given: Iterable[tuple[T, ...]]) -> tuple[T, ...]:
    return tuple(value for values in given for value in values)
