"""`reconciler validate`: checks a policy repository, offline, without grpc or envoy-data-plane."""

from __future__ import annotations

import json
import os
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.cli.limits import add_limits, limits_of

if TYPE_CHECKING:
    import argparse

    from reconciler.limits import Limits
    from reconciler.load import Blob, Loaded
    from reconciler.problems import Problem

EXAMPLE = "example: reconciler validate examples-repo --format github"


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser(
        "validate", help="check a policy repository, offline", epilog=EXAMPLE
    )
    parser.add_argument("path", nargs="?", type=Path, default=Path(), help="a folder (default: .)")
    parser.add_argument("--rev", help="a commit of the Git repository at PATH instead of its files")
    parser.add_argument(
        "--policy-path", default="", help="folder of the policies inside PATH or the commit"
    )
    parser.add_argument("--format", choices=("text", "json", "github"), default="text")
    add_limits(parser)


def run(args: argparse.Namespace) -> int:
    from reconciler.defaults import with_warnings
    from reconciler.load import LoadMemo, load

    try:
        blobs = policy_blobs(args)
    except (OSError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    loaded = with_warnings(load(blobs, LoadMemo(), limits_of(args)))
    _print(loaded, args.format, _folder_for_ci(_policy_folder(args)))
    from reconciler.problems import has_errors

    return 1 if has_errors(loaded.problems) else 0


def _policy_folder(args: argparse.Namespace) -> Path:
    """Inside PATH also for a policy path that begins with a slash, as the global takes it."""
    return Path(args.path, args.policy_path.strip("/"))


def policy_blobs(args: argparse.Namespace) -> dict[str, Blob]:
    """Of the commit that --rev names, else of the folder. Raises ValueError or OSError."""
    if not args.rev:
        return folder_blobs(_policy_folder(args), limits_of(args))
    from reconciler.git.reading import revision_blobs

    return revision_blobs(args.path, args.rev, args.policy_path, limits_of(args))


def folder_blobs(folder: Path, limits: Limits) -> dict[str, Blob]:
    """The files of a working folder; hidden folders are left out, links are not followed."""
    from reconciler.load import SYMLINK, Blob

    if not folder.is_dir():
        raise ValueError(f"{folder} is not a folder; name the policy repository")
    found: dict[str, Blob] = {}
    for root, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            file = Path(root) / name
            path = _shown(file.relative_to(folder).as_posix())
            if file.is_symlink():
                found[path] = Blob("", b"", SYMLINK)
            elif name.endswith((".yaml", ".yml", ".json")):
                found[path] = _file_blob(file, limits)
            if len(found) > limits.tree_entries + 1:
                return found
    return found


def _shown(path: str) -> str:
    """A name may hold what a terminal would obey."""
    return path if path.isprintable() else ascii(path)[1:-1]


def _file_blob(file: Path, limits: Limits) -> Blob:
    from reconciler.load import Blob

    status = file.stat()
    if not stat.S_ISREG(status.st_mode):
        return Blob("", b"", stat.S_IFMT(status.st_mode))  # reading a pipe would wait for ever
    return Blob("", file.read_bytes() if status.st_size <= limits.blob_bytes else None)


def _folder_for_ci(folder: Path) -> str:
    """CI shows an annotation at a path from where it runs; other places it cannot show."""
    try:
        found = _shown(folder.resolve().relative_to(Path.cwd()).as_posix())
    except ValueError:
        return ""
    return "" if found == "." else f"{found}/"


def _print(loaded: Loaded, form: str, folder: str) -> None:
    if form == "json":
        rows = [
            {
                "path": p.at.path, "line": p.at.line, "column": p.at.column, "field": p.at.field,
                "severity": p.severity, "code": p.code, "message": p.message,
            }
            for p in loaded.problems
        ]  # fmt: skip
        text = json.dumps({"resources": len(loaded.resources), "problems": rows}, indent=2)
        sys.stdout.write(text + "\n")
        return
    for problem in loaded.problems:
        if form == "github":
            sys.stdout.write(_annotation(problem, folder) + "\n")
        else:
            sys.stdout.write(f"{problem}\n")
    errors = sum(problem.severity == "error" for problem in loaded.problems)
    warnings = len(loaded.problems) - errors
    sys.stderr.write(f"{len(loaded.resources)} resources, {errors} errors, {warnings} warnings\n")


def _annotation(problem: Problem, folder: str) -> str:
    """A workflow command. What people wrote must not end it, nor begin another."""
    at = problem.at
    path = _escaped(f"{folder}{at.path}").replace(":", "%3A").replace(",", "%2C")
    place = f"file={path},line={max(at.line, 1)},col={max(at.column, 1)}"
    return f"::{problem.severity} {place}::{_escaped(f'{problem.code} {problem.message}')}"


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
