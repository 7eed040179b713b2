"""`reconciler dataplane`: Envoy as sidecar, ingress or egress, from a file that says what it is."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.cli.options import count, port
from reconciler.cli.running import words_of
from reconciler.cli.wait import seconds

if TYPE_CHECKING:
    import argparse

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


def run(args: argparse.Namespace) -> int:
    from reconciler.dataplane import (
        DataplaneOptions,
        Fatal,
        default_workdir,
        read_token,
        with_admin_port,
    )
    from reconciler.dataplane import run as run_envoy
    from reconciler.source.single import SourceError, single_document

    def report(text: str) -> None:
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()

    try:
        document = single_document(args.file)
        if args.admin_port is not None:
            document = with_admin_port(document, args.admin_port)
        options = DataplaneOptions(
            document=document,
            zone_address=args.zone_address,
            token=read_token(args.token_file),
            workdir=(args.workdir or default_workdir(str(document.get("name", "")))).absolute(),
            ca_file=args.ca_file,
            concurrency=args.concurrency,
            log_level=args.log_level,
            drain_s=args.drain_time,
        )
        return run_envoy(options, report)
    except (Fatal, SourceError, OSError) as error:
        report(words_of(error))
        return 2
