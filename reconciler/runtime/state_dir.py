"""The state directory of a control plane: private, and held by one process at a time."""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class StateDirTaken(Exception):
    """Another process holds it."""


@contextmanager
def held(folder: Path) -> Iterator[Path]:
    """Make it (mode 0700) and lock it. Raises StateDirTaken, or OSError."""
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
