"""`reconciler inspect`: what a proxy's Envoy runs and counts, by its control plane."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from reconciler.cli.status import add_server, server_socket

if TYPE_CHECKING:
    import argparse

EXAMPLE = (
    "example: reconciler inspect web-1 --mesh default --clusters --state-dir "
    "/var/lib/mesh-reconciler/global"
)
TIMEOUT_S = 20.0  # a zone answers the global within 10 s
EXIT = {200: 0, 400: 2, 504: 4}  # any other status: asked, and there is no answer


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser(
        "inspect",
        help="what a proxy's Envoy runs and counts",
        description="Asks the Envoy of a proxy: at the global of any zone, at a zone of its own. "
        "Private keys and tokens in the answer are replaced by [redacted].",
        epilog=EXAMPLE,
    )
    parser.add_argument("proxy", help="its name, as its zone knows it")
    parser.add_argument(
        "--type",
        choices=("dataplane", "zone-ingress", "zone-egress"),
        default="dataplane",
        help="what kind of proxy (default: dataplane)",
    )
    parser.add_argument("--mesh", default="default", help="of a dataplane (default: default)")
    parser.add_argument(
        "--zone", default="", help="where it is, when several zones have one of that name"
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--stats", action="store_true", help="its statistics")
    what.add_argument("--clusters", action="store_true", help="its clusters and their endpoints")
    what.add_argument("--config-dump", action="store_true", help="what it runs (default)")
    parser.add_argument("--eds", action="store_true", help="endpoints too, in a configuration dump")
    parser.add_argument(
        "--all", action="store_true", help="also statistics that have never been used"
    )
    parser.add_argument(
        "--format",
        choices=("text", "json"),
        default="text",
        help="of statistics and clusters; a configuration dump is always JSON",
    )
    add_server(parser)


def run(args: argparse.Namespace) -> int:
    from reconciler.api.client import ControlError, fetch

    what = "stats" if args.stats else "clusters" if args.clusters else "config"
    query = {
        "name": args.proxy,
        "type": args.type,
        "mesh": args.mesh,
        "zone": args.zone,
        "what": what,
        "format": args.format,
        "eds": "1" if args.eds else "",
        "all": "1" if args.all else "",
    }
    try:
        status, body = fetch(
            server_socket(args), f"/inspect?{urlencode(query)}", timeout_s=TIMEOUT_S
        )
    except ControlError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    if status == 200:
        sys.stdout.write(body.decode(errors="replace"))
        if not body.endswith(b"\n"):
            sys.stdout.write("\n")
    else:
        sys.stderr.write(f"{_reason(body)}\n")
    return EXIT.get(status, 1)


def _reason(body: bytes) -> str:
    try:
        return str(json.loads(body)["error"])
    except (ValueError, KeyError, TypeError):
        return body.decode(errors="replace") or "no answer"
