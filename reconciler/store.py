"""What a control plane keeps on its own disk: one sqlite3 file, each row with its digest.

A damaged file is set aside and reported, never taken for an empty one in silence; what it held
comes again from Git and the peers. A file that merely cannot be opened now (permissions, a full
disk, another process) is not damaged: that is an error, and the file stays. A file of a newer
format is refused.
"""

from __future__ import annotations

import sqlite3
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from xds.resource import digest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from reconciler.stored import Row

FORMAT = 1
SCHEMA = """
CREATE TABLE IF NOT EXISTS rows (
    kind TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL, digest TEXT NOT NULL,
    PRIMARY KEY (kind, key)
) WITHOUT ROWID
"""
BUSY_S = 2.0  # one process owns the file: a lock is a person who looks at it
SIDE_FILES = ("-wal", "-shm")
DAMAGE = ("SQLITE_CORRUPT", "SQLITE_NOTADB")  # names of sqlite's codes


class NewerFormat(Exception):
    """Written by a newer program."""


class StoreFailed(OSError):
    """The file cannot be read or written now; what it holds is as it was."""


class _Damaged(StoreFailed):
    """The bytes are not what was written."""


class Store:
    """`set_aside` names the file a damaged store was moved to, and why; None normally.

    Raises NewerFormat and StoreFailed.
    """

    def __init__(self, path: Path, *, busy_s: float = BUSY_S) -> None:
        self.path = path
        self._busy_s = busy_s
        self.set_aside: str | None = None
        try:
            self._db = self._opened()
        except _Damaged as error:
            self._put_aside(str(error))
            try:
                self._db = self._opened()
            except _Damaged as again:
                raise StoreFailed(f"{path}: a new store is damaged at once: {again}") from again

    def _opened(self) -> sqlite3.Connection:
        try:
            self.path.touch(mode=0o600)  # Before sqlite makes it for everyone to read.
        except OSError as error:
            raise StoreFailed(f"{self.path}: {error.strerror}") from error
        with self._failures():
            # Opened where the process starts, written in a thread: one at a time all the same.
            db = sqlite3.connect(
                self.path, isolation_level=None, timeout=self._busy_s, check_same_thread=False
            )
        try:
            with self._failures():
                self._prepare(db)
                _check(db)
        except BaseException:
            db.close()
            raise
        return db

    def _prepare(self, db: sqlite3.Connection) -> None:
        found = int(db.execute("PRAGMA user_version").fetchone()[0])
        if found > FORMAT:
            raise NewerFormat(
                f"{self.path} has format {found}, this program reads up to {FORMAT}: "
                "run the newer program, or move the file away (it is rebuilt)"
            )
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=FULL")
        db.execute(SCHEMA)
        db.execute(f"PRAGMA user_version={FORMAT}")

    def _put_aside(self, why: str) -> None:
        """The log beside the file goes with it: it may hold the newest rows."""
        name = f"{self.path.name}.damaged-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}"
        aside, count = self.path.with_name(name), 1
        while aside.exists():
            aside, count = self.path.with_name(f"{name}-{count}"), count + 1
        for suffix in ("", *SIDE_FILES):
            found = self.path.with_name(self.path.name + suffix)
            if found.exists():
                found.rename(aside.with_name(aside.name + suffix))
        self.set_aside = f"{aside}: {why}"

    def load_all(self, kind: str) -> dict[str, bytes]:
        """Every row of a kind, sorted by key."""
        with self._failures():
            rows = self._db.execute(
                "SELECT key, value FROM rows WHERE kind = ? ORDER BY key", (kind,)
            )
            return dict(rows.fetchall())

    def write(self, rows: Mapping[Row, bytes | None]) -> None:
        """One transaction; on disk when it returns, and nothing of it when it raises. None: the
        row goes.
        """
        put = [
            (kind, key, value, _row_digest(kind, key, value))
            for (kind, key), value in rows.items()
            if value is not None
        ]
        gone = [row for row, value in rows.items() if value is None]
        with self._failures(), self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.executemany("INSERT OR REPLACE INTO rows VALUES (?, ?, ?, ?)", put)
            self._db.executemany("DELETE FROM rows WHERE kind = ? AND key = ?", gone)

    @contextmanager
    def _failures(self) -> Iterator[None]:
        """sqlite's errors as ours: damage apart from everything else."""
        try:
            yield
        except sqlite3.Error as error:
            text = f"{self.path}: {error}"
            if error.sqlite_errorname.startswith(DAMAGE):
                raise _Damaged(text) from error
            raise StoreFailed(f"{text}; look at its rights and at the room on its disk") from error

    def close(self) -> None:
        self._db.close()


def _check(db: sqlite3.Connection) -> None:
    """Every row must be what was written; raises _Damaged. Text as bytes: it may be no text."""
    rows = db.execute("SELECT CAST(kind AS BLOB), CAST(key AS BLOB), value, digest FROM rows")
    for kind, key, value, written in rows:
        if not isinstance(value, bytes) or digest((kind, key, value)) != written:
            shown = key.decode(errors="replace")
            raise _Damaged(f"row {shown} of {kind.decode(errors='replace')} lacks its digest")


def _row_digest(kind: str, key: str, value: bytes) -> str:
    """Of the whole row, so that no value can come under another's key."""
    return digest((kind.encode(), key.encode(), value))
