"""Keys and other secrets on disk: files of mode 0600, written whole or not at all, never silently
made anew.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pathlib import Path

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,252}")


class SecretExists(Exception):
    """A secret is made once; what is there is not replaced."""


class SecretStore(Protocol):
    def get(self, name: str) -> bytes | None: ...

    def put(self, name: str, value: bytes) -> None: ...

    def names(self) -> tuple[str, ...]: ...


class FileSecrets:
    """One file a secret, in a folder of mode 0700."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def _path(self, name: str) -> Path:
        if _NAME.fullmatch(name) is None:
            raise ValueError(f"{name!r} is not the name of a secret")
        return self.folder / name

    def get(self, name: str) -> bytes | None:
        """None only when there is no such secret; a file that cannot be read is an OSError."""
        try:
            return self._path(name).read_bytes()
        except FileNotFoundError:
            return None

    def put(self, name: str, value: bytes) -> None:
        """Raises SecretExists."""
        path = self._path(name)
        if path.exists():
            raise SecretExists(f"{path} exists already")
        write_private(path, value)

    def names(self) -> tuple[str, ...]:
        return tuple(sorted(p.name for p in self.folder.iterdir() if not p.name.endswith(".new")))


def write_private(path: Path, value: bytes) -> None:
    """Mode 0600, complete and on disk before it has its name."""
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(value)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
