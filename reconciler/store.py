"""What a control plane keeps on its own disk: one sqlite3 file, each row with its digest.

A file that cannot be read is set aside and reported, never taken for an empty one in silence; what
it held comes
again from Git and the peers. A file of a newer format is refused.
"""

from __future__ import annotations

import hashlib
import sqlite3
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

FORMAT = 1
SCHEMA = """
CREATE TABLE IF NOT EXISTS rows (
    kind TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL, digest BLOB NOT NULL,
    PRIMARY KEY (kind, key)
) WITHOUT ROWID
"""


class NewerFormat(Exception):
    """Written by a newer program."""


class Store:
    """`set_aside` names the file a damaged store was moved to, and why; None normally."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.set_aside: str | None = None
        try:
            self._db = self._opened()
            self._check()
        except sqlite3.DatabaseError as error:
            self._put_aside(str(error))

    def _opened(self) -> sqlite3.Connection:
        new = not self.path.exists()
        db = sqlite3.connect(self.path, isolation_level=None)
        if new:
            self.path.chmod(0o600)
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=FULL")
        found = int(db.execute("PRAGMA user_version").fetchone()[0])
        if found > FORMAT:
            raise NewerFormat(
                f"{self.path} has format {found}, this program reads up to {FORMAT}: "
                "run the newer program, or move the file away (it is rebuilt)"
            )
        db.execute(SCHEMA)
        db.execute(f"PRAGMA user_version={FORMAT}")
        return db

    def _check(self) -> None:
        """Every row must be what was written; raises sqlite3.DatabaseError."""
        for key, value, digest in self._db.execute("SELECT key, value, digest FROM rows"):
            if hashlib.sha256(value).digest() != digest:
                raise sqlite3.DatabaseError(f"row {key} does not have its digest")

    def _put_aside(self, why: str) -> None:
        db = getattr(self, "_db", None)
        if db is not None:
            db.close()
        aside = self.path.with_name(f"{self.path.name}.damaged-{int(time.time())}")
        self.path.rename(aside)
        for suffix in ("-wal", "-shm"):
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
        self.set_aside = f"{aside}: {why}"
        self._db = self._opened()

    def load_all(self, kind: str) -> dict[str, bytes]:
        rows = self._db.execute("SELECT key, value FROM rows WHERE kind = ? ORDER BY key", (kind,))
        return dict(rows.fetchall())

    def write(
        self,
        kind: str,
        put: Mapping[str, bytes],
        drop: Iterable[str],
        meta: Mapping[str, bytes] | None = None,
    ) -> None:
        """One transaction; on disk when it returns."""
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._put(kind, put)
            self._db.executemany(
                "DELETE FROM rows WHERE kind = ? AND key = ?", [(kind, key) for key in drop]
            )
            self._put("meta", meta or {})

    def _put(self, kind: str, put: Mapping[str, bytes]) -> None:
        self._db.executemany(
            "INSERT OR REPLACE INTO rows VALUES (?, ?, ?, ?)",
            [(kind, k, v, hashlib.sha256(v).digest()) for k, v in put.items()],
        )

    def close(self) -> None:
        self._db.close()
