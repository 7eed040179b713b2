"""How much of a policy repository is read: the options that `global`, `validate` and `render`
share.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from reconciler.cli.options import count

if TYPE_CHECKING:
    from reconciler.limits import Limits

MIB = 1024 * 1024
DEPTH_MAX = 256  # folders are walked one inside the other
OPTIONS = (
    ("--limit-blob-bytes", MIB, "bytes of one file, at most (default: 1048576)"),
    ("--limit-tree-entries", 20_000, "files and folders of a commit, at most (default: 20000)"),
    ("--limit-tree-depth", 64, f"folders inside folders, at most {DEPTH_MAX} (default: 64)"),
    ("--limit-documents", 1_000, "documents in one file, at most (default: 1000)"),
)


def add_limits(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(
        "limits", "of what is read of the repository, whose reconciler.yaml may only lower them"
    )
    for name, default, text in OPTIONS:
        kind = depth if name == "--limit-tree-depth" else positive
        group.add_argument(name, type=kind, default=default, help=text)


def limits_of(args: argparse.Namespace) -> Limits:
    from reconciler.limits import Limits

    return Limits(
        blob_bytes=args.limit_blob_bytes,
        tree_entries=args.limit_tree_entries,
        tree_depth=args.limit_tree_depth,
        documents=args.limit_documents,
    )


def positive(text: str) -> int:
    found = count(text)
    if found < 1:
        raise argparse.ArgumentTypeError(f'"{text}" is not a number, 1 or more')
    return found


def depth(text: str) -> int:
    found = positive(text)
    if found > DEPTH_MAX:
        raise argparse.ArgumentTypeError(f'"{text}" is more than {DEPTH_MAX}')
    return found
