"""A zone's own ref: read what it says, and commit on it by compare-and-swap. Blocking.

A local repository is written in place, under the ref's lock. A remote one is written through a
mirror and pushed with the expected old id; the server closes the race. Never forced.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import pygit2
from pygit2.enums import FileMode

from reconciler.git import local_refs
from reconciler.git.errors import Permanent, Transient
from reconciler.git.library import UNREADABLE, open_bare
from reconciler.git.mirror import PACKS_MAX, Mirror, MirrorOptions, read_files
from reconciler.git.packing import is_scattered, pack

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from reconciler.git.remote import RemoteTransport

STATUS_PREFIX = "refs/heads/status/"
PREFIX_SETTING = "--status-prefix"
RESERVED_ZONES = frozenset(("global",))
ZONE_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?\Z")
ZONE_NAME_MAX = 63


@dataclass(frozen=True, slots=True)
class NewCommit:
    """`time` in seconds since the epoch; `author` is both author and committer."""

    files: Mapping[str, bytes]
    parent: str | None
    message: str
    author: str
    time: float


class StatusRef(Protocol):
    """One ref, one writer."""

    name: str

    def read(self) -> tuple[str | None, Mapping[str, bytes]]:
        """Tip and its files; None and nothing when the ref does not exist."""
        ...

    def write(self, commit: NewCommit) -> str:
        """Commit if the tip is still `commit.parent`; returns the new oid or raises RefMoved."""
        ...

    def close(self) -> None: ...


def ref_of_zone(zone: str, prefix: str = STATUS_PREFIX) -> str:
    """The one ref this zone writes. Raises Permanent for a name or prefix that Git cannot keep."""
    if zone in RESERVED_ZONES:
        raise Permanent(f"the zone name {zone} is reserved; choose another")
    if not ZONE_NAME.match(zone) or len(zone) > ZONE_NAME_MAX:
        raise Permanent(
            f"the zone name {zone!r} cannot be part of a ref; use lower case letters, digits and -"
        )
    name = f"{prefix}{zone}"
    if not prefix.startswith("refs/") or not prefix.endswith("/"):
        raise Permanent(f"{PREFIX_SETTING} {prefix!r} must begin with refs/ and end with /")
    if not pygit2.reference_is_valid_name(name):
        raise Permanent(f"{name!r} is no valid ref; correct {PREFIX_SETTING}")
    return name


def zone_of_ref(ref: str, prefix: str = STATUS_PREFIX) -> str | None:
    """Whose status this ref is; None for any other ref."""
    zone = ref.removeprefix(prefix)
    named = ref.startswith(prefix) and ZONE_NAME.match(zone) and zone not in RESERVED_ZONES
    return zone if named else None


class LocalStatusRef:
    """In a repository of this machine, written in place."""

    def __init__(self, path: Path, name: str) -> None:
        self.path = path
        self.name = name

    def read(self) -> tuple[str | None, Mapping[str, bytes]]:
        with local_refs.open_local(self.path) as repository:
            try:
                tip = local_refs.target(repository, self.name)
                if tip is not None:
                    return tip, read_files(repository, tip)
                local_refs.check_free(repository, self.name, PREFIX_SETTING)
                return None, {}
            except UNREADABLE as error:
                raise Transient(f"{self.path}: {self.name} cannot be read ({error})") from error

    def write(self, commit: NewCommit) -> str:
        with local_refs.open_local(self.path) as repository:
            try:
                oid = write_commit(repository, commit)
            except UNREADABLE as error:
                raise Permanent(
                    f"cannot write objects to {self.path} ({error}); "
                    "give this process write access to it, and check for free space"
                ) from error
            local_refs.swap(repository, self.name, commit.parent, oid)
        return oid

    def close(self) -> None:
        """Nothing is held open."""


class RemoteStatusRef:
    """On a server, through a mirror of this one ref."""

    def __init__(self, folder: Path, transport: RemoteTransport, name: str) -> None:
        self.name = name
        self.transport = transport
        options = MirrorOptions(branch=None, also=(name,))
        self.mirror = Mirror(folder, transport.address, transport, options)

    def read(self) -> tuple[str | None, Mapping[str, bytes]]:
        tip = self.mirror.fetch().get(self.name)
        if tip is None:
            refs = self.transport.list_refs(self.mirror.folder)
            local_refs.check_free_among(refs, self.name, PREFIX_SETTING)
            return None, {}
        return tip, self.mirror.read_files(tip)

    def write(self, commit: NewCommit) -> str:
        try:
            if is_scattered(self.mirror.folder, PACKS_MAX):
                pack(self.mirror.folder)
            with open_bare(self.mirror.folder) as repository:
                oid = write_commit(repository, commit)
        except UNREADABLE as error:
            shutil.rmtree(self.mirror.folder, ignore_errors=True)  # the next read clones afresh
            raise Transient(f"{self.mirror.folder} cannot be written ({error})") from error
        self.transport.push(self.mirror.folder, oid, self.name, commit.parent)
        return oid

    def close(self) -> None:
        self.transport.close()


def write_commit(repository: pygit2.Repository, commit: NewCommit) -> str:
    """Objects only; no ref moves."""
    author, _, email = commit.author.partition(" <")
    signature = pygit2.Signature(author, email.rstrip(">") or "none@invalid", int(commit.time), 0)
    tree = _write_tree(repository, commit.files)
    parents = [pygit2.Oid(hex=commit.parent)] if commit.parent is not None else []
    message = commit.message
    return str(repository.create_commit(None, signature, signature, message, tree, parents))


def _write_tree(repository: pygit2.Repository, files: Mapping[str, bytes]) -> pygit2.Oid:
    """The tree of these files; paths are made by us, never taken from a peer unescaped."""
    builder = repository.TreeBuilder()
    folders: dict[str, dict[str, bytes]] = {}
    for path in sorted(files):
        first, separator, rest = path.partition("/")
        if separator:
            folders.setdefault(first, {})[rest] = files[path]
        else:
            builder.insert(first, repository.create_blob(files[path]), FileMode.BLOB)
    for name, inside in folders.items():
        builder.insert(name, _write_tree(repository, inside), FileMode.TREE)
    return builder.write()
