"""Results of earlier runs on the disk of whoever runs a command: content-addressed rows of bytes in
one sqlite file. Blocking.

Only ever a shortcut: a row is what it was put as, or it is not there. Whatever is wrong with the
file (damaged, locked, read-only, somebody else's) raises Unusable once, and the command goes on
without. The key is everything a result depends on, so nothing here is ever out of date; what nobody
asked for in AGE_DAYS_MAX days goes, and the oldest first where there is too much.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import stat
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

FILE = "results.sqlite3"
AGE_DAYS_MAX = 30
ROW_BYTES_MAX = 4 * 1024 * 1024
WAIT_S = 1.0  # for another command that is writing
KEPT_SHARE = 0.8  # of the limit, once it was passed
_MARK, _FORMAT = 0x6D726331, 1
_TABLE = (
    "CREATE TABLE kept (key BLOB PRIMARY KEY, day INTEGER NOT NULL, value BLOB NOT NULL) STRICT"
)
_SUM_BYTES = 16
_ROW_BYTES = 120  # of a row beside its value
_ASKED_AT_ONCE = 500
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


class Unusable(Exception):
    """The reason, in a few words."""


class Damaged(Unusable):
    """The file is no whole database."""


def default_folder(environment: Mapping[str, str]) -> Path:
    """As freedesktop.org has it: a path that is not absolute is none."""
    base = Path(environment.get("XDG_CACHE_HOME", ""))
    home = Path(environment.get("HOME") or "~").expanduser()
    return (base if base.is_absolute() else home / ".cache") / "mesh-reconciler"


class Cache:
    """One process's view of the file; `day` is today, in days of any calendar."""

    def __init__(self, folder: Path, bytes_max: int, day: int) -> None:
        """Raises Unusable."""
        self.folder = folder
        self.bytes_max = bytes_max
        self.day = day
        self._asked: set[bytes] = set()  # rows that an earlier day touched last
        with _explained():
            self._open(folder)

    def _open(self, folder: Path) -> None:
        file = _private_file(folder)
        address = f"file:{quote(str(file))}?mode=rw"
        self._connection = sqlite3.connect(address, uri=True, timeout=WAIT_S, isolation_level=None)
        try:
            self._connection.execute("PRAGMA trusted_schema=OFF")
            self._prepare()
        except BaseException:
            self._connection.close()
            raise

    def _prepare(self) -> None:
        """An empty file becomes ours; one that is neither empty nor ours is not touched."""
        ours = [(_TABLE,)]
        query = "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL"
        if self._connection.execute(query).fetchall() == ours:
            if self._numbers() != (_MARK, _FORMAT):
                raise Unusable("is of another program")
            return
        self._connection.execute("PRAGMA auto_vacuum=FULL")
        with self._writing():
            found = self._connection.execute(query).fetchall()
            if found and found != ours:
                raise Unusable("is of another program")
            if not found:
                self._connection.execute(_TABLE)
                self._connection.execute(f"PRAGMA application_id={_MARK}")
                self._connection.execute(f"PRAGMA user_version={_FORMAT}")

    def _numbers(self) -> tuple[int, int]:
        mark = self._connection.execute("PRAGMA application_id").fetchone()[0]
        return mark, self._connection.execute("PRAGMA user_version").fetchone()[0]

    def get(self, keys: Iterable[bytes]) -> dict[bytes, bytes]:
        """What is kept of these. Raises Unusable."""
        found: dict[bytes, bytes] = {}
        wanted = iter(keys)
        with _explained():
            while part := list(islice(wanted, _ASKED_AT_ONCE)):
                marks = ",".join("?" * len(part))
                query = f"SELECT key, day, value FROM kept WHERE key IN ({marks})"  # noqa: S608
                for key, day, value in self._connection.execute(query, part):
                    body = value[_SUM_BYTES:]
                    if _sum(key, body) == value[:_SUM_BYTES]:
                        found[key] = body
                        if day != self.day:
                            self._asked.add(key)
        return found

    def put(self, rows: Mapping[bytes, bytes]) -> None:
        """All of them or none; notes what was asked for, and keeps within the bounds. Raises
        Unusable.
        """
        small = [(k, self.day, _sum(k, v) + v) for k, v in rows.items() if len(v) <= ROW_BYTES_MAX]
        if not small and not self._asked:
            return
        with _explained(), self._writing():
            asked = [(self.day, key) for key in self._asked]
            self._connection.executemany("UPDATE kept SET day=? WHERE key=?", asked)
            self._connection.executemany("INSERT OR REPLACE INTO kept VALUES (?, ?, ?)", small)
            self._bound()
        self._asked.clear()

    def _bound(self) -> None:
        oldest = self.day - AGE_DAYS_MAX
        self._connection.execute("DELETE FROM kept WHERE day < ?", (oldest,))
        query = f"SELECT count(*), total(length(value) + {_ROW_BYTES}) FROM kept"  # noqa: S608
        count, size = self._connection.execute(query).fetchone()
        while size > self.bytes_max:
            goes = max(1, int(count * (1 - KEPT_SHARE * self.bytes_max / size)))
            first = "SELECT rowid FROM kept ORDER BY day, rowid LIMIT ?"
            self._connection.execute(f"DELETE FROM kept WHERE rowid IN ({first})", (goes,))  # noqa: S608
            count, size = self._connection.execute(query).fetchone()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            with suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    def close(self) -> None:
        self._connection.close()

    def discard(self) -> None:
        """Closes it, and the next one begins anew. Raises Unusable."""
        self.close()
        _remove(self.folder)


def opened(folder: Path, bytes_max: int, day: int) -> Cache:
    """A damaged one is begun anew. Raises Unusable."""
    try:
        return Cache(folder, bytes_max, day)
    except Damaged:
        _remove(folder)
        return Cache(folder, bytes_max, day)


def _remove(folder: Path) -> None:
    for name in (FILE, f"{FILE}-journal"):
        with _explained():
            (folder / name).unlink(missing_ok=True)


def _private_file(folder: Path) -> Path:
    """For its owner alone, and no link to somewhere else."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    held = folder.stat()
    if held.st_uid != os.geteuid() or held.st_mode & 0o022:
        raise Unusable("its folder can be written by others")
    file = folder / FILE
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    descriptor = os.open(file, flags, 0o600)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid():
            raise Unusable("is not a file of whoever runs this")
        if status.st_mode & 0o077:
            os.fchmod(descriptor, 0o600)
    finally:
        os.close(descriptor)
    return file


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", None)
        primary = code & 0xFF if isinstance(code, int) else None
        raise (Damaged if primary in _DAMAGED else Unusable)(str(error)) from error
    except OSError as error:
        raise Unusable(error.strerror or str(error)) from error


def _sum(key: bytes, value: bytes) -> bytes:
    return hashlib.blake2b(key + value, digest_size=_SUM_BYTES).digest()
