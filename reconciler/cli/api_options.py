"""Options of the HTTP API, which global and zone share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.cli.limits import positive
from reconciler.cli.options import port_or_off

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from reconciler.api.rest_listeners import ApiListeners
    from reconciler.keys.user_keys import UserKeys


def add_api(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--api-port",
        type=port_or_off,
        default=5682,
        help='of the HTTP API that kumactl reads, with TLS, or "off" (default: 5682)',
    )
    parser.add_argument(
        "--api-plain-port",
        type=port_or_off,
        default=5681,
        help='the same without TLS, or "off" (default: 5681)',
    )
    parser.add_argument(
        "--api-plain-host",
        default="127.0.0.1",
        help="address of the port without TLS; what is sent to it can be read on its way "
        "(default: 127.0.0.1)",
    )
    parser.add_argument(
        "--api-anonymous",
        action="store_true",
        help="let everyone who reaches the HTTP API read it; without, a user token is needed",
    )
    parser.add_argument(
        "--api-issue-tokens",
        choices=("on", "off"),
        default="off",
        help="whether users of the group mesh-system:admin may have tokens signed over HTTP "
        "(kumactl generate …-token); without, `reconciler token` does it (default: off)",
    )
    parser.add_argument(
        "--api-items",
        type=positive,
        default=20_000,
        help="in a list whose client names no size; kumactl export asks for no second page "
        "(default: 20000)",
    )


def api_listeners(args: argparse.Namespace, folder: Path, users: UserKeys) -> ApiListeners:
    from reconciler.api.rest_listeners import ApiListeners

    return ApiListeners(
        host=args.host,
        port=args.api_port,
        plain_host=args.api_plain_host,
        plain_port=args.api_plain_port,
        tls=(folder / "tls/cert.pem", folder / "tls/key.pem"),
        anonymous=args.api_anonymous,
        issues=args.api_issue_tokens == "on",
        items_max=args.api_items,
        users=users,
    )
