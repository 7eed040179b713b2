"""`reconciler dataplane`: Envoy as sidecar, ingress or egress, from a file that says what it is."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.cli.options import count, ip, port, port_or_off
from reconciler.cli.running import words_of
from reconciler.cli.wait import seconds
from reconciler.redirected import (
    DNS_PORT,
    ENVOY_DNS_PORT,
    FAMILIES,
    INBOUND_PORT,
    OUTBOUND_PORT,
    PROXY_UID,
    Redirected,
)

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from reconciler.dataplane import DataplaneOptions, Program

LEVELS = ("trace", "debug", "info", "warning", "error", "critical", "off")
EXAMPLE = (
    "example: reconciler dataplane --file web.yaml --zone-address https://127.0.0.1:5678 "
    "--token-file web.token --ca-file zone-ca.pem"
)


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser(
        "dataplane", help="run Envoy as sidecar, ingress or egress", epilog=EXAMPLE
    )
    parser.add_argument(
        "--file", type=Path, required=True, help="Dataplane, ZoneIngress or ZoneEgress"
    )
    parser.add_argument(
        "--zone-address",
        required=True,
        metavar="https://HOST:PORT",
        help="bootstrap port of the zone control plane",
    )
    parser.add_argument("--token-file", type=Path, required=True, help="made by `reconciler token`")
    parser.add_argument("--ca-file", type=Path, help="CA of the zone (default: the system's)")
    parser.add_argument("--workdir", type=Path, help="sockets and bootstrap of this proxy")
    parser.add_argument(
        "--admin-port",
        type=port,
        help="of /ready and admin access, instead of networking.admin.port in the file",
    )
    parser.add_argument(
        "--concurrency", type=count, default=1, help="Envoy's worker threads (default: 1)"
    )
    parser.add_argument(
        "--drain-time",
        type=seconds,
        default=30.0,
        help="how long requests under way may hold up the end, such as 30s (default: 30s)",
    )
    parser.add_argument(
        "--log-level",
        choices=LEVELS,
        default="warning",
        help="Envoy's; debug and trace leave out the headers of requests, of which one holds this "
        "proxy's token (default: warning)",
    )
    _add_redirection(parser)
    parser.add_argument(
        "--application-probe-proxy-port",
        type=port,
        default=0,
        metavar="PORT",
        help="answers /PORT/PATH, /tcp/PORT and /grpc/PORT with the health of the application "
        "there, for who is outside of the mesh (default: 0, off)",
    )


def _add_redirection(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--transparent-proxy",
        action="store_true",
        help="this host redirects its applications' traffic to the proxy, as `reconciler install "
        "transparent-proxy` sets it up",
    )
    parser.add_argument(
        "--redirect-outbound-port",
        type=port_or_off,
        default=OUTBOUND_PORT,
        metavar="PORT",
        help=f"where outgoing connections are redirected to, or off (default: {OUTBOUND_PORT})",
    )
    parser.add_argument(
        "--redirect-inbound-port",
        type=port_or_off,
        default=INBOUND_PORT,
        metavar="PORT",
        help=f"where incoming connections are redirected to, or off (default: {INBOUND_PORT})",
    )
    parser.add_argument(
        "--redirect-dns-port",
        type=port_or_off,
        default=DNS_PORT,
        metavar="PORT",
        help="where questions to name servers are redirected to: names of the mesh are answered, "
        f"others passed on to the servers of this host; or off (default: {DNS_PORT})",
    )
    parser.add_argument(
        "--dns-address",
        type=ip,
        action="append",
        default=[],
        metavar="IP",
        help="also answer there, beside loopback: on the bridge of containers whose questions are "
        "redirected, such as 172.17.0.1 (may be repeated)",
    )
    parser.add_argument(
        "--envoy-dns-port",
        type=port,
        default=ENVOY_DNS_PORT,
        metavar="PORT",
        help=f"where Envoy tells this process the names of the mesh (default: {ENVOY_DNS_PORT})",
    )
    parser.add_argument(
        "--ip-family-mode",
        choices=FAMILIES,
        default=FAMILIES[0],
        help=f"what is redirected (default: {FAMILIES[0]})",
    )
    parser.add_argument(
        "--run-as",
        metavar="USER|UID",
        help="as root: be this user, and Envoy too, once files that only root may read are read; "
        f"the rules of `install transparent-proxy` leave out {PROXY_UID} by default",
    )


def run(args: argparse.Namespace) -> int:
    from reconciler.dataplane import Fatal
    from reconciler.dataplane import run as run_envoy
    from reconciler.proxy_user import NotThisUser
    from reconciler.source.single import SourceError, single_document

    def report(text: str) -> None:
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()

    try:
        return run_envoy(_options(args, single_document(args.file)), report)
    except (Fatal, NotThisUser, SourceError, OSError) as error:
        report(words_of(error))
        return 2


def _options(args: argparse.Namespace, document: Mapping[str, object]) -> DataplaneOptions:
    """Everything is read before this process becomes another user, who may not read it."""
    from reconciler.dataplane import (
        DataplaneOptions,
        default_workdir,
        read_token,
        with_admin_port,
    )

    if args.admin_port is not None:
        document = with_admin_port(document, args.admin_port)
    redirected = Redirected(
        outbound_port=args.redirect_outbound_port,
        inbound_port=args.redirect_inbound_port,
        dns_port=args.redirect_dns_port,
        envoy_dns_port=args.envoy_dns_port,
        dns_addresses=tuple(args.dns_address),
        family=args.ip_family_mode,
    )
    token = read_token(args.token_file)
    ca_pem, envoy = _as_user(args)
    workdir = args.workdir or default_workdir(str(document.get("name", "")))
    return DataplaneOptions(
        document=document,
        zone_address=args.zone_address,
        token=token,
        workdir=workdir.absolute(),
        ca_file=args.ca_file,
        ca_pem=ca_pem,
        envoy=envoy,
        redirected=redirected if args.transparent_proxy else None,
        probe_proxy_port=args.application_probe_proxy_port,
        concurrency=args.concurrency,
        log_level=args.log_level,
        drain_s=args.drain_time,
    )


def _as_user(args: argparse.Namespace) -> tuple[str, Program | None]:
    """This process is the user of `--run-as` from here on. What the CA file says, and Envoy: where
    they are may be closed to that user.
    """
    from reconciler.dataplane import find_envoy, opened
    from reconciler.proxy_user import become, hand_over, user_of

    if args.run_as is None:
        return "", None
    user = user_of(args.run_as)
    ca_pem = args.ca_file.read_text() if args.ca_file is not None else ""
    envoy = opened(find_envoy())
    if args.workdir is not None:
        hand_over(args.workdir, user)
    become(user)
    return ca_pem, envoy
