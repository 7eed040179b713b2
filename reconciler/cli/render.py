"""`reconciler render`: the Envoy configuration of one proxy, offline."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.cli.limits import add_limits, limits_of
from reconciler.cli.reading import policy_blobs

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from reconciler.load import Blob, Loaded
    from reconciler.model.resource import MeshResource

EXAMPLE = (
    "example: reconciler render examples-repo --file frontend.yaml --file backend.yaml "
    "--dataplane frontend --mesh default --explain"
)


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser(
        "render", help="the Envoy configuration of one proxy, offline", epilog=EXAMPLE
    )
    parser.add_argument("path", nargs="?", type=Path, default=Path(), help="policy repository")
    parser.add_argument("--dataplane", required=True, help="name of the proxy")
    parser.add_argument("--mesh", default="default", help='"" for a zone ingress or egress')
    parser.add_argument(
        "--file", type=Path, action="append", default=[],
        help="Dataplane or zone proxy of the zone: the proxy itself, and those it may call",
    )  # fmt: skip
    parser.add_argument("--zone", default="local", help="zone the proxy is in")
    parser.add_argument("--rev", help="policies of this commit instead of the files")
    parser.add_argument(
        "--policy-path", default="", help="folder of the policies inside PATH or the commit"
    )
    parser.add_argument(
        "--explain", action="store_true",
        help="instead: for each value the policy, file and line it comes from, and which lost",
    )  # fmt: skip
    parser.add_argument(
        "--only", metavar="PATTERN", default="",
        help='explain values with this in "Cluster backend connectTimeout"; * is anything',
    )  # fmt: skip
    parser.add_argument(
        "--format", choices=("text", "json"), default="text", help="of the explanation"
    )
    parser.add_argument(
        "--shadow", action="store_true",
        help="with policies labelled kuma.io/effect: shadow in force, and what that changes",
    )  # fmt: skip
    add_limits(parser)


def run(args: argparse.Namespace) -> int:
    from reconciler.load import LoadMemo, load
    from reconciler.offline import CannotRender
    from reconciler.problems import has_errors
    from reconciler.source.single import SourceError

    try:
        blobs = policy_blobs(args)
        loaded = load(blobs, LoadMemo(), limits_of(args))
        if has_errors(loaded.problems):
            for problem in loaded.problems:
                sys.stderr.write(f"{problem}\n")
            return 1
        sys.stdout.write(_answer(args, loaded, blobs))
    except (CannotRender, SourceError, OSError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


def _answer(args: argparse.Namespace, loaded: Loaded, blobs: Mapping[str, Blob]) -> str:
    from reconciler.defaults import with_defaults
    from reconciler.explain.asked import Asked, configuration, explanation
    from reconciler.explain.positions import Positions
    from reconciler.model.resource import ResourceKey
    from reconciler.offline import proxies_of
    from reconciler.source.single import single_document

    documents = {str(file): single_document(file) for file in args.file}
    proxies = proxies_of(documents, args.zone)
    named = {(proxy.key.mesh, proxy.key.name): proxy.key for proxy in proxies}
    kind = "Dataplane" if args.mesh else "ZoneIngress"
    unknown = ResourceKey(kind, args.mesh, args.dataplane)
    wanted = named.get((args.mesh, args.dataplane), unknown)
    resources = (*with_defaults(loaded.resources), *proxies, *_relayed(args))
    positions = Positions(
        loaded.provenance,
        {path: blob.data or b"" for path, blob in blobs.items()},
        {
            proxy.key: (name, Path(name).read_bytes())
            for name, proxy in zip(sorted(documents), proxies, strict=True)
        },
    )
    asked = Asked(wanted, args.zone, resources, positions, args.shadow)
    if args.explain:
        return explanation(asked, args.only, as_json=args.format == "json")
    return configuration(asked)


def _relayed(args: argparse.Namespace) -> tuple[MeshResource, ...]:
    """Ingresses of other zones, from their status refs, when PATH is a Git repository. One that
    cannot be read is left out, as the global does.
    """
    from reconciler.git.reading import status_files
    from reconciler.status.document import INGRESS_PATH, StatusUnreadable
    from reconciler.status_ingress import from_status

    try:
        refs = status_files(args.path)
    except ValueError:
        return ()
    found: tuple[MeshResource, ...] = ()
    for zone, files in sorted(refs.items()):
        if zone == args.zone or INGRESS_PATH not in files:
            continue
        try:
            found += tuple(from_status(zone, files[INGRESS_PATH]))
        except StatusUnreadable as error:
            sys.stderr.write(f"the status of zone {zone} is left out: {error}\n")
    return found
