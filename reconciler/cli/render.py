"""`reconciler render`: the Envoy configuration of one proxy, offline."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.cli.limits import add_limits, limits_of
from reconciler.cli.reading import policy_blobs

if TYPE_CHECKING:
    import argparse

    from reconciler.load import Loaded
    from reconciler.model.resource import MeshResource
    from reconciler.offline import Rendered

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
    parser.add_argument("--mesh", default="default", help='"" for a zone ingress')
    parser.add_argument(
        "--file", type=Path, action="append", default=[],
        help="Dataplane or ZoneIngress of the zone: the proxy itself, and those it may call",
    )  # fmt: skip
    parser.add_argument("--zone", default="local", help="zone the proxy is in")
    parser.add_argument("--rev", help="policies of this commit instead of the files")
    parser.add_argument(
        "--policy-path", default="", help="folder of the policies inside PATH or the commit"
    )
    parser.add_argument("--explain", action="store_true", help="which policies shaped what")
    add_limits(parser)


def run(args: argparse.Namespace) -> int:
    from reconciler.load import LoadMemo, load
    from reconciler.offline import CannotRender
    from reconciler.problems import has_errors
    from reconciler.source.single import SourceError

    try:
        loaded = load(policy_blobs(args), LoadMemo(), limits_of(args))
        if has_errors(loaded.problems):
            for problem in loaded.problems:
                sys.stderr.write(f"{problem}\n")
            return 1
        found = _rendered(args, loaded)
    except (CannotRender, SourceError, OSError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    _show(found, loaded, explain=args.explain)
    return 0


def _rendered(args: argparse.Namespace, loaded: Loaded) -> Rendered:
    from reconciler.defaults import with_defaults
    from reconciler.model.resource import ResourceKey
    from reconciler.offline import proxies_of, rendered
    from reconciler.source.single import single_document

    documents = {str(file): single_document(file) for file in args.file}
    proxies = proxies_of(documents, args.zone)
    type_ = "Dataplane" if args.mesh else "ZoneIngress"
    wanted = ResourceKey(type_, args.mesh, args.dataplane)
    policies = with_defaults(loaded.resources)
    return rendered(policies, proxies, _relayed(args), wanted, args.zone)


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


def _show(found: Rendered, loaded: Loaded, *, explain: bool) -> None:
    from xds.readable import readable_snapshot

    document: dict[str, object] = dict(readable_snapshot(found.snapshot))
    if explain:
        document["origins"] = {
            f"{type_url.rpartition('.')[2]} {name}": [
                f"{key} ({loaded.provenance.get(key, 'a default of the mesh')})" for key in keys
            ]
            for (type_url, name), keys in sorted(found.origins.items())
            if keys
        }
    sys.stdout.write(json.dumps(document, indent=2) + "\n")
