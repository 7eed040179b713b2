"""Commits on status refs of a local repository, as a zone makes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.git.status_ref import LocalStatusRefs, NewCommit
from reconciler.git.transport import Move

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def commit_status(bare: Path, ref: str, files: Mapping[str, bytes], parent: str | None) -> str:
    """Returns the commit's oid, which the ref is then at. Raises the fault of a lost race."""
    refs = LocalStatusRefs(bare)
    oid = refs.prepare(NewCommit(files, parent, "status\n", "Z <z@invalid>", 1e9))
    for fault in refs.move((Move(ref, parent, oid),)).values():
        raise fault
    return oid
