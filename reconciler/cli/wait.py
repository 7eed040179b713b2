"""`reconciler wait`: until a commit has arrived at every proxy, or it is known that it will not."""

from __future__ import annotations

import argparse
import json
import re
import sys
from typing import TYPE_CHECKING

from reconciler.cli.status import add_server, commit_id, server_socket

if TYPE_CHECKING:
    from collections.abc import Mapping

EXAMPLE = "example: reconciler wait --commit $(git rev-parse HEAD) --timeout 60s --state-dir DIR"
UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
EXIT = {"arrived": 0, "rejected": 1, "held": 1, "timeout": 4}


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser(
        "wait", help="wait until a commit has arrived everywhere", epilog=EXAMPLE
    )
    add_server(parser)
    parser.add_argument("--commit", required=True, help="commit id, or its first 7 or more digits")
    parser.add_argument("--timeout", type=seconds, default=60.0, help="such as 60s (default) or 2m")
    parser.add_argument(
        "--format", choices=("text", "json"), default="text", help="for people, or for programs"
    )


def seconds(text: str) -> float:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|h)", text)
    if found is None:
        raise argparse.ArgumentTypeError(f'"{text}" is not a duration such as 60s or 2m')
    return float(found[1]) * UNITS[found[2]]


def run(args: argparse.Namespace) -> int:
    from reconciler.api.client import ControlError, ask

    try:
        path = f"/wait?commit={commit_id(args)}&timeout={args.timeout}"
        answer = ask(server_socket(args), path, timeout_s=args.timeout + 10.0)
    except ControlError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    _show(answer, as_json=args.format == "json")
    return EXIT.get(str(answer.get("outcome")), 2)


def _show(answer: Mapping[str, object], *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps(answer, sort_keys=True) + "\n")
        return
    sys.stdout.write(f"{answer.get('outcome')}: {answer.get('message')}\n")
    details = answer.get("details")
    for line in details if isinstance(details, list) else []:
        sys.stdout.write(f"  {line}\n")
