"""`reconciler plan`: what a change of the policy repository would do to real traffic, offline."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.cli.limits import add_limits, limits_of

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable

    from reconciler.git.proposals import Proposal
    from reconciler.load import Loaded
    from reconciler.planning.plan import Plan
    from reconciler.planning.text import Line
    from xds.resource import XdsResource

EXAMPLE = "example: reconciler plan main..HEAD --format markdown"
DEFAULT_RANGE = "main..HEAD"


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser(
        "plan", help="what a change would do to real traffic, offline", epilog=EXAMPLE
    )
    parser.add_argument(
        "range", nargs="?", default=DEFAULT_RANGE, metavar="BASE..HEAD",
        help=f"what is in force, and what is proposed (default: {DEFAULT_RANGE})",
    )  # fmt: skip
    parser.add_argument(
        "--repo", type=Path, default=Path(), help="the policy repository, a clone (default: .)"
    )
    parser.add_argument("--policy-path", default="", help="folder of the policies in the commits")
    parser.add_argument("--format", choices=("text", "json", "markdown"), default="text")
    parser.add_argument(
        "--xds", action="store_true", help="the exact differences of Envoy's configuration, too"
    )
    parser.add_argument(
        "--exit-code", action="store_true", help="exit with 1 when the plan is not empty"
    )
    parser.add_argument(
        "--status-prefix", default="refs/heads/status/", help="where zones write their status"
    )
    add_limits(parser)


@dataclass(frozen=True, slots=True)
class Refused:
    """A side with errors: nothing of it would come into force."""

    commit: str
    loaded: Loaded


def run(args: argparse.Namespace) -> int:
    try:
        found = _planned(args)
    except (OSError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    if isinstance(found, Refused):
        for problem in found.loaded.problems:
            sys.stderr.write(f"{problem}\n")
        sys.stderr.write(
            f"{found.commit[:12]} has errors: it would change nothing anywhere; mend them first\n"
        )
        return 1
    plan, proposal = found
    _show(args, plan, proposal)
    return 1 if args.exit_code and not plan.is_empty else 0


def _planned(args: argparse.Namespace) -> tuple[Plan, Proposal] | Refused:
    """Raises ValueError or OSError for what cannot be read."""
    from reconciler.git.proposals import newest_status, proposal
    from reconciler.load import LoadMemo, load
    from reconciler.planning.fleet import fleets
    from reconciler.planning.plan import plan
    from reconciler.problems import has_errors

    base, dots, head = args.range.partition("..")
    if not dots or not base or not head.strip("."):
        raise ValueError(f'"{args.range}" is no BASE..HEAD; write for example {DEFAULT_RANGE}')
    limits, memo = limits_of(args), LoadMemo()
    found = proposal(args.repo, base, head.lstrip("."), args.policy_path, limits)
    before, after = (load(blobs, memo, limits) for blobs in (found.before, found.after))
    for commit, loaded in ((found.base, before), (found.head, after)):
        if has_errors(loaded.problems):
            return Refused(commit, loaded)
    refs, left = newest_status(args.repo, args.status_prefix)
    for zone, why in left.items():
        sys.stderr.write(f"the status of zone {zone} is left out: {why}\n")
    if not refs:
        sys.stderr.write(
            f"no zone's status is here ({args.status_prefix}*); fetch those refs to see the effect "
            "on proxies\n"
        )
    if found.note:
        sys.stderr.write(f"{found.note}\n")
    return plan(before, after, fleets(refs)), found


def _show(args: argparse.Namespace, plan: Plan, proposal: Proposal) -> None:
    readable: Callable[[XdsResource], dict[str, object]] | None = None
    if args.xds:
        from xds.readable import readable as readable
    title = f"{proposal.base[:12]}..{proposal.head[:12]}"
    if args.format == "json":
        from reconciler.planning.data import data

        found = {"base": proposal.base, "head": proposal.head, **data(plan, readable)}
        sys.stdout.write(json.dumps(found, indent=2, ensure_ascii=False) + "\n")
    elif args.format == "markdown":
        from reconciler.planning.markdown import markdown

        sys.stdout.write(markdown(plan, title, readable))
    else:
        from reconciler.planning.text import lines

        _print(lines(plan, readable))


def _print(found: Iterable[Line]) -> None:
    if not sys.stdout.isatty():
        sys.stdout.writelines(f"{line.text}\n" for line in found)
        return
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False, soft_wrap=True)
    styles = {
        "title": "bold", "good": "green", "bad": "red", "warning": "yellow", "faint": "dim",
    }  # fmt: skip
    for line in found:
        console.print(Text(line.text, style=styles.get(line.style, "")))
