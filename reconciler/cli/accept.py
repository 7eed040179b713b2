"""`reconciler accept`: put a commit in force that does not descend from the one in force now."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from reconciler.cli.status import add_server, commit_id, server_socket

if TYPE_CHECKING:
    import argparse

EXAMPLE = "example: reconciler accept 4f2a9c1e --state-dir /var/lib/mesh-reconciler/global"
TIMEOUT_S = 10.0


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser(
        "accept",
        help="put a commit in force that is held after a force-push",
        description="A commit that does not descend from the one in force (the branch was "
        "rewritten, or an older commit came back) is held: `reconciler status` names it. This "
        "accepts exactly that commit, once; after the next force-push it is asked for again.",
        epilog=EXAMPLE,
    )
    parser.add_argument(
        "commit", help="id of the commit that is held, or its first 7 or more digits"
    )
    add_server(parser)


def run(args: argparse.Namespace) -> int:
    from reconciler.api.client import ControlError, ask

    try:
        path = f"/accept?commit={commit_id(args)}"
        answer = ask(server_socket(args), path, timeout_s=TIMEOUT_S, method="POST")
    except ControlError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.write(f"{answer.get('outcome')}: {answer.get('message')}\n")
    return 0 if answer.get("outcome") == "accepted" else 1
