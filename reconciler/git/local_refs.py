"""Refs of a repository on this machine: read them, compare-and-swap one under its lock. Blocking.

libgit2's push to a path overwrites a rival between negotiation and upload; the ref's own lock file,
which git and libgit2 both honour, does not.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pygit2
from pygit2.enums import ReferenceType, RepositoryOpenFlag

from reconciler.git.errors import Permanent, RefMoved, Transient
from reconciler.git.library import UNREADABLE, isolate

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path


@contextmanager
def open_local(path: Path) -> Iterator[pygit2.Repository]:
    """The configured repository, bare or with a work tree. Raises Permanent when there is none."""
    isolate()
    if not path.exists():
        raise Permanent(
            f"{path} does not exist; create it with `git init --bare`, or correct --repo"
        )
    for name in ("refs", "objects"):
        if (path / name).is_symlink():
            raise Permanent(
                f"{path / name} is a link into another repository; name that one with --repo"
            )
    try:
        repository = pygit2.Repository(str(path), RepositoryOpenFlag.NO_SEARCH)
    except pygit2.GitError as error:
        raise Permanent(
            f"{path} is not a Git repository ({error}); name the folder that holds HEAD and refs/"
        ) from error
    try:
        yield repository
    finally:
        repository.free()


def tips(path: Path) -> dict[str, str]:
    """Ref name -> oid of every ref; what is only a name for another ref has that one's."""
    with open_local(path) as repository:
        try:
            found = ((ref.name, _resolved(ref)) for ref in repository.references.objects)
            return {name: oid for name, oid in found if oid is not None}
        except UNREADABLE as error:
            raise Transient(f"{path}: refs changed while they were read ({error})") from error


def _resolved(reference: pygit2.Reference) -> str | None:
    if reference.type == ReferenceType.DIRECT:
        return str(reference.target)
    try:
        return str(reference.resolve().target)
    except KeyError:
        return None  # names a ref that does not exist


def dangling(path: Path) -> list[str]:
    """Names for refs that do not exist, such as an `origin/HEAD` after a branch was renamed."""
    with open_local(path) as repository:
        return [ref.name for ref in repository.references.objects if _resolved(ref) is None]


def target(repository: pygit2.Repository, ref: str) -> str | None:
    """Oid of a ref, None when it does not exist."""
    try:
        return _resolved(repository.lookup_reference(ref))
    except KeyError:
        return None


def swap(repository: pygit2.Repository, ref: str, expected: str | None, oid: str) -> None:
    """Move `ref` from `expected` (None: it must not exist yet) to `oid`, or raise RefMoved."""
    try:
        with repository.transaction() as transaction:
            transaction.lock_ref(ref)
            found = target(repository, ref)
            if found != expected:
                raise RefMoved(f"{ref} is at {found or 'nothing'}, not {expected or 'nothing'}")
            transaction.set_target(ref, oid)
    except UNREADABLE as error:
        if "lock" in str(error).lower():
            raise RefMoved(
                f"{ref} is being written by someone else ({error}); if nobody is, remove that lock"
            ) from error
        raise Transient(f"{ref}: {error}") from error


def allows_rewrite(repository: pygit2.Repository) -> bool:
    """Whether its owner lets a ref be moved to what does not descend from it."""
    name = "receive.denyNonFastForwards"
    return name not in repository.config or not repository.config.get_bool(name)


def check_free(repository: pygit2.Repository, ref: str, setting: str) -> None:
    """Raises Permanent when another ref of the repository makes `ref` impossible."""
    check_free_among(tuple(repository.references), ref, setting)


def check_free_among(refs: Iterable[str], ref: str, setting: str) -> None:
    """Git keeps refs as paths: one named like a folder of `ref`, or below it, leaves no place."""
    for other in refs:
        if ref.startswith(f"{other}/") or other.startswith(f"{ref}/"):
            raise Permanent(
                f"the ref {other} exists, so {ref} cannot; rename that branch, "
                f"or keep status refs elsewhere with {setting} (for example refs/mesh/status/)"
            )
