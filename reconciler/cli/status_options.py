"""How status is committed: the options that `zone` shares with `global`, which commits for zones
that do not push themselves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.cli.options import count, delay_s, ref_prefix

if TYPE_CHECKING:
    import argparse

    from reconciler.git.address import Address
    from reconciler.steps.status_state import StatusSettings

REMOTE_PUSHES = 6  # a minute: what hosted forges ask for


def add_status(parser: argparse.ArgumentParser, inventory_of: str) -> None:
    parser.add_argument(
        "--status-prefix",
        type=ref_prefix,
        default="refs/heads/status/",
        help="where status refs are, the same at global and zones (default: refs/heads/status/)",
    )
    parser.add_argument(
        "--status-coalesce",
        type=delay_s,
        default=10.0,
        help="seconds between two status pushes; an ingress or service that is gone waits for at "
        "most one (default: 10)",
    )
    parser.add_argument(
        "--status-pushes",
        type=count,
        help=f"pushes of this process a minute, 0 for no limit (default: {REMOTE_PUSHES} to a "
        "remote repository, else 0)",
    )
    parser.add_argument(
        "--status-rollover",
        type=count,
        default=10_000,
        help="commits of a status ref after which its history begins anew, at most once a day; 0 "
        "for never (default: 10000)",
    )
    parser.add_argument(
        "--inventory",
        choices=("classes", "full", "off"),
        default="classes",
        help=f"what of the proxies {inventory_of} is committed: tags, ports and counts; names and "
        "addresses too; nothing (default: classes)",
    )


def status_settings(args: argparse.Namespace, where: Address) -> StatusSettings:
    from reconciler.runtime.retry import backoff_s
    from reconciler.steps.status_state import StatusSettings

    pushes = args.status_pushes
    if pushes is None:
        pushes = 0 if where.path is not None else REMOTE_PUSHES
    return StatusSettings(
        backoff=lambda failures: backoff_s(failures, first_s=1.0, max_s=300.0),
        coalesce_s=args.status_coalesce,
        pushes_per_minute=pushes,
        rollover_commits=args.status_rollover,
    )
