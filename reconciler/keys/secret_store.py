"""Keys and other secrets on disk: files of mode 0600, written whole or not at all, never silently
made anew.
"""

from __future__ import annotations

import os
import re
import secrets
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pathlib import Path

NAME_MAX = 230  # of the 255 bytes a file name may have; the rest is for the name while written
NEW = ".new"  # files being written end so; what a crash left of them is no secret
_NAME = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._-]{{0,{NAME_MAX - 1}}}")


class SecretExists(Exception):
    """A secret is made once; what is there is not replaced."""


class SecretStore(Protocol):
    """Where a control plane keeps its secrets. What `put`, `replace` and `remove` have done
    outlives a crash, whole or not at all. Names are 1 to 230 of A-Z, a-z, 0-9, ".", "_" and "-",
    beginning with a letter or digit; ValueError for others. A store that does not answer raises
    OSError.
    """

    def get(self, name: str) -> bytes | None:
        """None only when there is no such secret."""

    def put(self, name: str, value: bytes) -> None:
        """Raises SecretExists, also for the later of two that put the same name at once."""

    def replace(self, name: str, value: bytes) -> None:
        """For what others made and we only keep; keys of ours are put."""

    def remove(self, name: str) -> None:
        """Nothing happens when there is none."""

    def names(self) -> tuple[str, ...]:
        """Sorted."""


class FileSecrets:
    """One file a secret, in a folder of mode 0700."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def _path(self, name: str) -> Path:
        if _NAME.fullmatch(name) is None or name.endswith(NEW):
            raise ValueError(f"{name!r} is not the name of a secret")
        return self.folder / name

    def get(self, name: str) -> bytes | None:
        """None only when there is no such secret; a file that cannot be read is an OSError."""
        try:
            return self._path(name).read_bytes()
        except FileNotFoundError:
            return None

    def put(self, name: str, value: bytes) -> None:
        """Raises SecretExists, also for the later of two that put the same name at once."""
        path = self._path(name)
        try:
            write_private(path, value, replace=False)
        except FileExistsError as error:
            raise SecretExists(f"{path} exists already") from error

    def replace(self, name: str, value: bytes) -> None:
        write_private(self._path(name), value)

    def remove(self, name: str) -> None:
        with suppress(FileNotFoundError):
            self._path(name).unlink()
            sync_folder(self.folder)

    def names(self) -> tuple[str, ...]:
        return tuple(sorted(p.name for p in self.folder.iterdir() if not p.name.endswith(NEW)))


def write_private(path: Path, value: bytes, *, replace: bool = True) -> None:
    """Mode 0600, complete and on disk before it has its name.

    With `replace=False` raises FileExistsError where there is one already.
    """
    new = path.with_name(f"{path.name}.{secrets.token_hex(4)}{NEW}")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(value)
            file.flush()
            os.fsync(file.fileno())
        if replace:
            new.replace(path)
        else:
            _name_new(new, path)
    finally:
        with suppress(FileNotFoundError):
            new.unlink()
    sync_folder(path.parent)


def _name_new(new: Path, path: Path) -> None:
    """A link fails where the name is taken; a rename would replace what has it."""
    try:
        path.hardlink_to(new)
    except FileExistsError:
        raise
    except OSError:  # A file system without hard links; the state directory's lock must do.
        if path.exists():
            raise FileExistsError(path) from None
        new.replace(path)


def sync_folder(folder: Path) -> None:
    """New names in it are on disk when this returns."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
