"""One-time settings of libgit2 for this process.

The machine's Git configuration has no effect: no global, system or XDG config, no rewriting of
URLs, no credential helper. libgit2 runs no hooks, filters or monitors from a configuration anyway,
and this program opens only repositories its operator named, never one found by searching upwards;
so the owner check, which protects those who stumble into a foreign repository, is off.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pygit2
from pygit2.enums import ConfigLevel, RepositoryOpenFlag

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# What libgit2 raises when an object, a ref or a file is not there or not what it should be.
UNREADABLE = (pygit2.GitError, KeyError, ValueError, OSError)
MACHINE_LEVELS = (
    ConfigLevel.PROGRAMDATA,
    ConfigLevel.SYSTEM,
    ConfigLevel.XDG,
    ConfigLevel.GLOBAL,
)


def isolate() -> None:
    """Cut libgit2 off from the machine's configuration. Costs microseconds; may be repeated."""
    for level in MACHINE_LEVELS:
        if pygit2.settings.search_path[level]:
            pygit2.settings.search_path[level] = ""
    pygit2.settings.owner_validation = False


def limit_server(connect_s: float, answer_s: float) -> None:
    """How long libgit2 waits for a connection, and for the next bytes of an answer."""
    pygit2.settings.server_connect_timeout = int(connect_s * 1000)
    pygit2.settings.server_timeout = int(answer_s * 1000)


@contextmanager
def open_bare(folder: Path) -> Iterator[pygit2.Repository]:
    """The repository at exactly this folder, its own (not a parent's). Raises pygit2.GitError.

    Opened anew for each operation (50 µs): never shared between threads, never stale. Freed at the
    end: it is part of a reference cycle, and libgit2 shares open packs by path, so that one that is
    still open would hide what a rebuilt mirror holds.
    """
    isolate()
    flags = RepositoryOpenFlag.NO_SEARCH | RepositoryOpenFlag.BARE
    repository = pygit2.Repository(str(folder), flags)
    try:
        yield repository
    finally:
        repository.free()
