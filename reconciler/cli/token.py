"""`reconciler token`: tokens for proxies and zones, offline from the global's state directory."""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

from reconciler.cli.wait import seconds

EXAMPLE = """example:
  reconciler token dataplane --mesh default --name web-1 --state-dir DIR > web-1.token
  reconciler token zone east --global grpcs://global.example:5685 --out east.join --state-dir DIR
  reconciler token zone-proxy --zone east --scope ingress --state-dir DIR"""
YEAR_S = 365 * 86400.0


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser(
        "token",
        help="issue tokens and join files",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    kinds = parser.add_subparsers(dest="kind", required=True, metavar="KIND")
    dataplane = kinds.add_parser("dataplane", help="for a sidecar")
    dataplane.add_argument("--mesh", default="default")
    dataplane.add_argument("--name", default="", help="of the Dataplane; without: any of the mesh")
    dataplane.add_argument("--tag", action="append", default=[], metavar="KEY=VALUE[,VALUE]")
    zone = kinds.add_parser("zone", help="a join file for a zone control plane")
    zone.add_argument("zone")
    zone.add_argument("--global", dest="address", required=True, metavar="grpcs://HOST:PORT")
    zone.add_argument("--out", type=Path, required=True, help="the join file to write (mode 0600)")
    proxy = kinds.add_parser("zone-proxy", help="for a zone ingress or egress")
    proxy.add_argument("--zone", required=True)
    proxy.add_argument("--scope", action="append", choices=("ingress", "egress"), required=True)
    for kind in (dataplane, zone, proxy):
        kind.add_argument(
            "--state-dir",
            type=Path,
            default=os.environ.get("RECONCILER_STATE_DIR"),
            help="state directory of the global",
        )
        kind.add_argument("--valid-for", type=seconds, default=YEAR_S, help="such as 720h")


def run(args: argparse.Namespace) -> int:
    from reconciler.keys.secret_store import FileSecrets

    if args.state_dir is None or not (Path(args.state_dir) / "secrets").is_dir():
        sys.stderr.write(
            f"{args.state_dir} is not the state directory of a global; name it with --state-dir\n"
        )
        return 2
    store = FileSecrets(Path(args.state_dir) / "secrets")
    return _dataplane(args, store) if args.kind == "dataplane" else _zone(args, store)


def _dataplane(args: argparse.Namespace, store: object) -> int:
    from reconciler.ca.keys import dataplane_signing_key
    from reconciler.ca.tokens import FIRST_KID, dataplane_claims, issue
    from reconciler.keys.secret_store import FileSecrets

    assert isinstance(store, FileSecrets)
    key = store.get(f"{dataplane_signing_key(args.mesh)}{FIRST_KID}")
    if key is None:
        sys.stderr.write(
            f'mesh "{args.mesh}" has no signing key yet: the global makes it with the mesh\n'
        )
        return 2
    tags = {}
    for pair in args.tag:
        name, mark, values = pair.partition("=")
        if not mark:
            sys.stderr.write(f'--tag "{pair}" is not KEY=VALUE\n')
            return 2
        tags[name] = values.split(",")
    claims = dataplane_claims(args.mesh, args.name, tags)
    sys.stdout.write(issue(key, claims, time.time(), args.valid_for) + "\n")
    return 0


def _zone(args: argparse.Namespace, store: object) -> int:
    from reconciler.ca.keys import ZONE_SIGNING_KEY
    from reconciler.ca.tokens import FIRST_KID, issue, zone_claims
    from reconciler.keys.join import Join, write_join
    from reconciler.keys.secret_store import FileSecrets

    assert isinstance(store, FileSecrets)
    key = store.get(f"{ZONE_SIGNING_KEY}{FIRST_KID}")
    if key is None:
        sys.stderr.write("the global has no zone signing key yet: start it once\n")
        return 2
    scope = ("cp",) if args.kind == "zone" else tuple(args.scope)
    token = issue(key, zone_claims(args.zone, scope), time.time(), args.valid_for)
    if args.kind == "zone-proxy":
        sys.stdout.write(token + "\n")
        return 0
    if args.zone == "global":
        sys.stderr.write('a zone cannot be named "global"\n')
        return 2
    ca = Path(args.state_dir) / "tls" / "ca.pem"
    write_join(
        args.out, Join(args.zone, args.address, ca.read_text() if ca.exists() else "", token)
    )
    sys.stderr.write(f"{args.out} lets a control plane join as zone {args.zone}; keep it private\n")
    return 0
