"""The state directory of a control plane: private, held by one process at a time, and for good that
of one role: a zone that took a global's would mix both.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class StateDirTaken(Exception):
    """Another process holds it, or it is that of another control plane."""


@contextmanager
def held(folder: Path) -> Iterator[Path]:
    """Make it (mode 0700) and lock it. Raises StateDirTaken, or OSError."""
    if folder.exists() and not folder.is_dir():
        raise StateDirTaken(f"{folder} is a file; --state-dir names a folder")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StateDirTaken(
                f"{folder} is in use by another control plane; stop it first"
            ) from error
        yield folder
    finally:
        os.close(descriptor)


def claim(folder: Path, role: str) -> bool:
    """Say once whose state this is, such as "zone east"; whether that was said before. Raises
    StateDirTaken if it is another's; call it while the folder is held.
    """
    mark = folder / "role"
    owner = mark.read_text().strip() if mark.exists() else ""
    if not owner:
        mark.write_text(f"{role}\n")
    elif owner != role:
        raise StateDirTaken(
            f"{folder} holds the state of {owner}, not of {role}; choose another --state-dir"
        )
    return bool(owner)
