"""`reconciler plan`: what a change of the policy repository would do to real traffic, offline."""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.cli.limits import add_limits, limits_of
from reconciler.cli.reading import add_cache, ahead

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable, Mapping

    from reconciler.git.proposals import Proposal
    from reconciler.planning.plan import Plan
    from reconciler.problems import Problem
    from reconciler.reading.asked import Ahead
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
    _add_forge(parser)
    add_cache(parser)
    add_limits(parser)


def _add_forge(parser: argparse.ArgumentParser) -> None:
    from reconciler.forge.surroundings import FORGES, TOKEN

    group = parser.add_argument_group(
        "forge", "a job of GitHub Actions, GitLab CI or Gitea knows all of it by itself; the token "
        f"is read from {TOKEN}, or GITHUB_TOKEN, GITLAB_TOKEN, GITEA_TOKEN"
    )  # fmt: skip
    group.add_argument(
        "--post", action="store_true",
        help="write the plan as a comment of the change, or update ours; without a token that may, "
        "say so and go on",
    )  # fmt: skip
    group.add_argument("--forge", choices=FORGES, help="which kind it is")
    group.add_argument("--forge-api", metavar="URL", help="such as https://api.github.com")
    group.add_argument("--forge-repository", metavar="NAME", help="owner/name, or GitLab's project")
    group.add_argument("--forge-change", metavar="N", help="number of the pull or merge request")
    group.add_argument(
        "--forge-author", metavar="LOGIN",
        help="who wrote our comments, where the token cannot tell: a GitHub app, as plan[bot]",
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Shown:
    """A plan as it is printed: lines with a style each, or one text."""

    empty: bool
    lines: tuple[tuple[str, str], ...] = ()
    text: str = ""
    comment: str = ""  # for the change, where that is asked for


class Refused(Exception):
    """A side has errors: nothing of it would come into force."""

    def __init__(self, commit: str, problems: Iterable[Problem]) -> None:
        super().__init__(commit)
        self.commit = commit
        self.problems = tuple(problems)


def run(args: argparse.Namespace) -> int:
    from reconciler.forge.posting import ForgeError
    from reconciler.runtime.collector import undisturbed

    try:
        with undisturbed():  # what is imported stays, too
            shown = _shown(args)
    except Refused as refused:
        for problem in refused.problems:
            sys.stderr.write(f"{problem}\n")
        sys.stderr.write(
            f"{refused.commit[:12]} has errors: it would change nothing anywhere; mend them first\n"
        )
        return 1
    except (OSError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    _print(shown)
    if args.post:
        try:
            _post(args, shown.comment)
        except ForgeError as error:
            sys.stderr.write(f"not posted: {error}\n")
            return 2
    return 1 if args.exit_code and not shown.empty else 0


def _shown(args: argparse.Namespace) -> Shown:
    """From the cache where the very same was asked for before. Raises ValueError, OSError or
    Refused.
    """
    from reconciler.git.proposals import newest_status, proposal
    from reconciler.reading.cache import Unusable

    base, head = _range(args.range)
    found = proposal(args.repo, base, head, args.policy_path, limits_of(args))
    refs, left = newest_status(args.repo, args.status_prefix)
    _tell(args, found, refs, left)
    with ahead(args) as options:
        key = _key(args, found, refs, options)
        with suppress(Unusable):
            if options.cache is not None:
                known = _decoded(options.cache.get([key]).get(key, b""))
                if known is not None:
                    options.cache.put({})
                    return known
        shown = _formed(args, found, _planned(args, found, refs, options))
        with suppress(Unusable):
            if options.cache is not None:
                options.cache.put({key: json.dumps(asdict(shown)).encode()})
        return shown


def _range(text: str) -> tuple[str, str]:
    base, dots, head = text.partition("..")
    head = head.lstrip(".")
    if not (dots and base and head):
        raise ValueError(f'"{text}" is no BASE..HEAD; write for example {DEFAULT_RANGE}')
    return base, head


def _tell(
    args: argparse.Namespace,
    found: Proposal,
    refs: Mapping[str, Mapping[str, bytes]],
    left: Mapping[str, str],
) -> None:
    """What is missing for a whole plan."""
    for zone, why in left.items():
        sys.stderr.write(f"the status of zone {zone} is left out: {why}\n")
    if not refs:
        sys.stderr.write(
            f"no zone's status is here ({args.status_prefix}*); fetch those refs to see the effect "
            "on proxies\n"
        )
    if found.note:
        sys.stderr.write(f"{found.note}\n")


def _key(
    args: argparse.Namespace,
    found: Proposal,
    refs: Mapping[str, Mapping[str, bytes]],
    options: Ahead,
) -> bytes:
    from reconciler.reading.keys import Keys, digest
    from reconciler.status.document import files_digest

    keys = Keys(options.program, "plan", limits_of(args), args.format, args.xds, args.post)
    zones = [f"{zone} {files_digest(files)}" for zone, files in sorted(refs.items())]
    before, after = found.before, found.after
    fresh = {path: blob for path, blob in after.items() if before.get(path) is not blob}
    gone = json.dumps(sorted(before.keys() - after.keys())).encode()
    sides = keys.of_all(before), keys.of_all(fresh), gone
    return digest(*sides, found.base.encode(), found.head.encode(), *map(str.encode, zones))


def _decoded(data: bytes) -> Shown | None:
    try:
        known = json.loads(data)
        lines = tuple((str(text), str(style)) for text, style in known["lines"])
        return Shown(bool(known["empty"]), lines, str(known["text"]), str(known["comment"]))
    except (KeyError, TypeError, ValueError):
        return None


def _planned(
    args: argparse.Namespace,
    found: Proposal,
    refs: Mapping[str, Mapping[str, bytes]],
    options: Ahead,
) -> Plan:
    from reconciler.hints.found import with_hints
    from reconciler.load import LoadMemo, load
    from reconciler.planning.fleet import fleets
    from reconciler.planning.plan import plan
    from reconciler.problems import has_errors
    from reconciler.reading.ahead import read_ahead

    limits = limits_of(args)
    memo = LoadMemo(len(found.before) + len(found.after) + 2)
    sides = []
    for commit, blobs in ((found.base, found.before), (found.head, found.after)):
        read_ahead(blobs, memo, limits, options)
        loaded = load(blobs, memo, limits)
        if has_errors(loaded.problems):
            raise Refused(commit, loaded.problems)
        sides.append(loaded)
    base, head = sides[0], with_hints(sides[1], found.after)
    if head.problems:  # else there is nothing that the base could have had before
        base = with_hints(base, found.before)
    return plan(base, head, fleets(refs))


def _formed(args: argparse.Namespace, found: Proposal, plan: Plan) -> Shown:
    readable: Callable[[XdsResource], dict[str, object]] | None = None
    if args.xds:
        from xds.readable import readable as readable
    comment = _comment(found, plan, readable) if args.post or args.format == "markdown" else ""
    if args.format == "json":
        from reconciler.planning.data import data

        rows = {"base": found.base, "head": found.head, **data(plan, readable)}
        text = json.dumps(rows, indent=2, ensure_ascii=False) + "\n"
        return Shown(plan.is_empty, text=text, comment=comment)
    if args.format == "markdown":
        return Shown(plan.is_empty, text=comment, comment=comment)
    from reconciler.planning.text import lines

    rows_of = tuple((line.text, str(line.style)) for line in lines(plan, readable))
    return Shown(plan.is_empty, rows_of, comment=comment)


def _comment(
    found: Proposal, plan: Plan, readable: Callable[[XdsResource], dict[str, object]] | None
) -> str:
    from reconciler.planning.markdown import markdown

    return markdown(plan, f"{found.base[:12]}..{found.head[:12]}", readable)


def _post(args: argparse.Namespace, comment: str) -> None:
    """Raises ForgeError for what is worth another try. A job that may not comment, such as that of
    a pull request from a fork, has its plan on stdout.
    """
    from reconciler.forge.posting import NotAllowed, post
    from reconciler.forge.surroundings import TOKEN, connected, place, token_of
    from reconciler.planning.markdown import MARK

    names = ("forge", "forge_api", "forge_repository", "forge_change", "forge_author")
    given = {n.removeprefix("forge_"): getattr(args, n) or "" for n in names}
    at = place(os.environ, given)
    token = token_of(at.forge, os.environ)
    if not token:
        sys.stderr.write(f"not posted: no token here; a job that may comment has it in {TOKEN}\n")
        return
    try:
        posted = post(connected(at, token), comment, MARK)
    except NotAllowed as error:
        sys.stderr.write(f"not posted: {error}\n")
        return
    sys.stderr.write(f"comment {posted.sort}: {posted.url or 'there is no address of it'}\n")


def _print(shown: Shown) -> None:
    sys.stdout.write(shown.text)
    if not sys.stdout.isatty():
        sys.stdout.writelines(f"{text}\n" for text, _ in shown.lines)
        return
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False, soft_wrap=True)
    styles = {
        "title": "bold", "good": "green", "bad": "red", "warning": "yellow", "faint": "dim",
    }  # fmt: skip
    for text, style in shown.lines:
        console.print(Text(text, style=styles.get(style, "")))
