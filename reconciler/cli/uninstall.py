"""`reconciler uninstall transparent-proxy`: traffic goes again as if there were no mesh."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from reconciler.cli.capture import TRANSPARENT_PROXY, add_common, carried_out, tell

if TYPE_CHECKING:
    import argparse

EXAMPLE = "example: reconciler uninstall transparent-proxy"


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser("uninstall", help="take away what install did", epilog=EXAMPLE)
    kinds = parser.add_subparsers(dest="kind", required=True, metavar="WHAT")
    capture = kinds.add_parser(
        TRANSPARENT_PROXY,
        help="take away what redirects in the current network namespace",
        epilog=EXAMPLE,
    )
    add_common(capture, "whose rules are looked at; auto: all (default: auto)")


def run(args: argparse.Namespace) -> int:
    return carried_out(lambda: _uninstall(args))


def _uninstall(args: argparse.Namespace) -> None:
    from reconciler.capture.installation import Options, uninstall
    from reconciler.capture.rules import Family
    from reconciler.capture.wording import as_json, titles

    options = Options(backend=args.backend, families=tuple(Family), timeout_s=args.timeout)
    report = uninstall(options)
    if args.format == "json":
        fields: dict[str, object] = {
            "removed": list(report.replaced),
            "families": [family.value for family in report.families],
            "notes": list(report.notes),
        }
        sys.stdout.write(as_json(fields) + "\n")
        return
    if report.replaced:
        sys.stdout.write(f"removed from {report.backend}, {titles(report.families)}\n")
    else:
        sys.stdout.write("nothing was installed here\n")
    tell(report.notes)
