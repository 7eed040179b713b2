"""`reconciler validate`: checks a policy repository, offline, without grpc or envoy-data-plane."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.cli.limits import add_limits
from reconciler.cli.reading import add_cache, add_reading, outcome, policy_blobs, policy_folder

if TYPE_CHECKING:
    import argparse

    from reconciler.formats.checked import Checked

EXAMPLE = "example: reconciler validate examples-repo --format github"
FORMATS = ("text", "json", "github", "sarif", "junit")


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser(
        "validate", help="check a policy repository, offline", epilog=EXAMPLE
    )
    add_reading(parser)
    parser.add_argument(
        "--format", choices=FORMATS, default="text",
        help="text for people; json for programs; github, sarif and junit for CI (default: text)",
    )  # fmt: skip
    parser.add_argument(
        "--color", choices=("auto", "always", "never"), default="auto",
        help="of text; auto: on a terminal, unless NO_COLOR is set (default: auto)",
    )  # fmt: skip
    parser.add_argument(
        "--docs-url", metavar="URL",
        help="where docs/reference/problems.md is to be read, for the links of sarif (default: the "
        "page that ships with this program)",
    )  # fmt: skip
    add_cache(parser)
    add_limits(parser)


def run(args: argparse.Namespace) -> int:
    try:
        blobs = policy_blobs(args)
    except (OSError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    from reconciler.blobs import is_read
    from reconciler.formats.checked import Checked
    from reconciler.problems import has_errors

    found = outcome(args, blobs)
    checked = Checked(
        problems=found.problems,
        files=tuple(sorted(filter(is_read, blobs))),
        resources=found.resources,
        folder=_folder_in_front(args),
    )
    _print(checked, args)
    return 1 if has_errors(checked.problems) else 0


def _print(checked: Checked, args: argparse.Namespace) -> None:
    from reconciler.formats import junit, programs, text

    match args.format:
        case "json":
            sys.stdout.write(programs.as_json(checked) + "\n")
        case "sarif":
            sys.stdout.write(_sarif(checked, args.docs_url) + "\n")
        case "junit":
            sys.stdout.write(junit.as_junit(checked) + "\n")
        case "github":
            sys.stdout.writelines(f"{line}\n" for line in programs.as_annotations(checked))
        case _:
            colour = _in_colour(args.color, sys.stdout.isatty())
            sys.stdout.writelines(f"{line}\n" for line in text.lines(checked, colour=colour))
    if args.format != "json":
        sys.stdout.flush()
        colour = args.format == "text" and _in_colour(args.color, sys.stderr.isatty())
        sys.stderr.writelines(f"{line}\n" for line in text.summary(checked, colour=colour))


def _sarif(checked: Checked, docs_url: str | None) -> str:
    from importlib import metadata

    from reconciler.formats import sarif
    from reconciler.packaged import problems_page

    page = problems_page()
    explained = sarif.sections(page.read_text(encoding="utf-8"))
    url = docs_url or page.resolve().as_uri()
    return sarif.as_sarif(checked, explained, url, metadata.version("mesh-reconciler"))


def _in_colour(wanted: str, terminal: bool) -> bool:
    if wanted != "auto":
        return wanted == "always"
    return terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _folder_in_front(args: argparse.Namespace) -> str:
    """Where the policy folder is for whoever reads the paths: people from where they stand, CI from
    the top of its repository, which is where the paths of a commit begin, too. Other places it
    could not show.
    """
    if args.rev and args.format == "text":
        return ""  # they may stand anywhere
    if args.rev:
        found = args.policy_path.strip("/")
        return f"{found}/" if found not in ("", ".") else ""
    folder = policy_folder(args).resolve()
    top = Path.cwd() if args.format == "text" else _top(folder) or Path.cwd()
    try:
        found = folder.relative_to(top).as_posix()
    except ValueError:
        return ""
    return "" if found == "." else f"{found}/"


def _top(folder: Path) -> Path | None:
    """Of the Git work tree it is in."""
    return next((each for each in (folder, *folder.parents) if (each / ".git").exists()), None)
