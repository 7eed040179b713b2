"""What a control plane keeps on its own disk: one sqlite3 file, sealed with a key that stands
beside it (`seal`).

A file that is not what was written (torn, rotten, edited) is set aside and reported, never taken
for an empty one in silence. Kinds of rows that are whole are kept; those that are not come again
from Git and the peers, and until they have (`MADE_GOOD`) every start knows of it. A file that
merely cannot be opened now (permissions, a full disk, another process) is not damaged: that is an
error, and the file stays. A file of the format before is brought up to date, one of a newer format
is refused.
"""

from __future__ import annotations

import os
import re
import secrets
import sqlite3
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from reconciler.seal import EMPTY, KEY_BYTES, Total, opened, row_mac, sealed
from xds.resource import digest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from reconciler.stored import Row

FORMAT = 2
UNSEALED = 1  # format of rows with a digest that needs no key
SCHEMA = (
    "CREATE TABLE IF NOT EXISTS rows ("
    " kind TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL, digest TEXT NOT NULL,"
    " PRIMARY KEY (kind, key)) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS seal (id INTEGER PRIMARY KEY CHECK (id = 1), body BLOB, mac TEXT)",
)
BUSY_S = 2.0  # one process owns the file: a lock is a person who looks at it
SIDE_FILES = ("-wal", "-shm")
DAMAGE = ("SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_ERROR")  # the last: other tables than ours
MAC = re.compile(r"[0-9a-f]{64}")
LOST = "lost"  # kind of the one row that says which kinds were whole when others were lost
MADE_GOOD: Mapping[Row, None] = {(LOST, "others"): None}  # written by whoever has all again
ASIDE_MAX = 3  # damaged files that are kept for whoever wants to look at them


class NewerFormat(Exception):
    """Written by a newer program."""


class StoreFailed(OSError):
    """The file cannot be read or written now; what it holds is as it was."""


class _Damaged(StoreFailed):
    """The bytes are not what was written."""


class _Found(NamedTuple):
    """What a file holds: kinds that are whole, and what is wrong with the rest."""

    kinds: dict[str, dict[str, bytes]]
    faults: tuple[str, ...] = ()


class Store:
    """`loss` says what was wrong with the file at start, and where it was put; "" normally.
    `earlier`: something else shows that there was a file.

    Raises NewerFormat and StoreFailed.
    """

    def __init__(self, path: Path, *, busy_s: float = BUSY_S, earlier: bool = False) -> None:
        self.path = path
        self.loss = ""
        self._busy_s = busy_s
        self._whole: frozenset[str] | None = None  # kinds that survived; None: all that there were
        self._totals: dict[str, Total] = {}
        self._key, had_key = _key(path.with_suffix(".key"))
        self._db = self._first(had_key=had_key or earlier)
        self._whole = self._known_whole()

    def is_whole(self, kind: str) -> bool:
        """Whether what is here of this kind is all that was written, or came again after a loss at
        this start or an earlier one.
        """
        return self._whole is None or kind in self._whole

    # --- opening ---

    def _first(self, *, had_key: bool) -> sqlite3.Connection:
        kept: dict[str, dict[str, bytes]] = {}
        try:
            db = self._connected()
            try:
                with self._failures():
                    new, found = self._read(db, had_key=had_key)
            except BaseException:
                db.close()
                raise
            if not found.faults:
                if new and had_key:
                    self._lose(f"{self.path} was gone or empty", kept)
                return db
            db.close()
            why, kept = "; ".join(found.faults), found.kinds
        except _Damaged as error:
            why = str(error)
        self._lose(f"{self._put_aside()}: {why}", kept)
        try:
            db = self._connected()
            rows: dict[Row, bytes | None] = {
                (kind, key): value for kind, held in kept.items() for key, value in held.items()
            }
            with self._failures():
                self._begin(db, {**rows, **self._told_lost(kept)})
        except _Damaged as again:
            raise StoreFailed(f"{self.path}: a new store is damaged at once: {again}") from again
        return db

    def _lose(self, why: str, kept: Mapping[str, object]) -> None:
        held = sorted(kept.keys() - {LOST})
        whole = f"whole and kept: {', '.join(held)}" if held else "nothing of it is used"
        self.loss = f"{why}; {whole}"

    def _told_lost(self, kept: Mapping[str, Mapping[str, bytes]]) -> dict[Row, bytes | None]:
        """In one transaction with the new file: a crash does not make the loss forgotten."""
        whole = kept.keys() - {LOST}
        for earlier in kept.get(LOST, {}).values():
            whole &= set(earlier.decode().split())
        return {(LOST, "others"): " ".join(sorted(whole)).encode()}

    def _known_whole(self) -> frozenset[str] | None:
        told = self.load_all(LOST).get("others")
        return None if told is None else frozenset(told.decode().split())

    def _connected(self) -> sqlite3.Connection:
        try:
            self.path.touch(mode=0o600)  # Before sqlite makes it for everyone to read.
        except OSError as error:
            raise StoreFailed(f"{self.path}: {error.strerror}") from error
        with self._failures():
            # Opened where the process starts, written in a thread: one at a time all the same.
            return sqlite3.connect(
                self.path, isolation_level=None, timeout=self._busy_s, check_same_thread=False
            )

    def _read(self, db: sqlite3.Connection, *, had_key: bool) -> tuple[bool, _Found]:
        """Whether the file is new, and what it holds."""
        version = int(db.execute("PRAGMA user_version").fetchone()[0])
        if version > FORMAT:
            raise NewerFormat(
                f"{self.path} has format {version}, this program reads up to {FORMAT}: "
                "run the newer program, or move the file away (it is rebuilt)"
            )
        if version == 0:
            if db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                raise _Damaged(f"{self.path} has lost the number of its format")
            self._begin(db, self._told_lost({}) if had_key else {})
            return True, _Found({})
        if version == UNSEALED:
            if had_key:  # It was sealed before: this is another file.
                raise _Damaged(f"{self.path} has the format from before it was sealed")
            return False, self._migrated(db)
        _set_up(db)
        return False, self._checked(db)

    def _begin(self, db: sqlite3.Connection, rows: Mapping[Row, bytes | None]) -> None:
        """A sealed store with these rows alone, or what was there before."""
        _set_up(db)
        self._totals = {}
        with db:
            db.execute("BEGIN IMMEDIATE")
            for statement in SCHEMA:
                db.execute(statement)
            db.execute("DELETE FROM rows")
            totals = self._put(db, rows)
            db.execute(f"PRAGMA user_version={FORMAT}")
        self._totals = totals

    def _migrated(self, db: sqlite3.Connection) -> _Found:
        """Format 1 had a digest in each row, and no seal."""
        rows: dict[Row, bytes | None] = {}
        for kind, key, value, written in [_row(*found) for found in db.execute(ROWS)]:
            if digest((kind.encode(), key.encode(), value)).encode() != written:
                raise _Damaged(f"row {key} of {kind} lacks its digest")
            rows[kind, key] = value
        self._begin(db, rows)
        return _Found({})

    def _checked(self, db: sqlite3.Connection) -> _Found:
        """Every kind must be what the seal says, and nothing else may be there."""
        said = db.execute("SELECT body, CAST(mac AS BLOB) FROM seal").fetchall()
        totals = opened(self._key, *said[0]) if len(said) == 1 else None
        if totals is None:
            raise _Damaged("its seal is broken")
        whole: dict[str, dict[str, bytes]] = {}
        faults: list[str] = []
        for kind, expected in totals.items():
            try:
                with self._failures():
                    whole[kind] = self._whole_kind(db, kind, expected)
            except _Damaged as error:
                faults.append(f"{kind}: {error}")
        try:
            with self._failures():
                faults += self._elsewhere(db, totals, faults)
        except _Damaged as error:
            faults.append(str(error))
        self._totals = totals
        return _Found(whole, tuple(faults))

    def _elsewhere(
        self, db: sqlite3.Connection, totals: Mapping[str, Total], faults: list[str]
    ) -> Iterator[str]:
        """What no kind shows: rows of other kinds, damage between the rows."""
        count = db.execute("SELECT count(*) FROM rows").fetchone()[0]
        if not faults and count != sum(expected.rows for expected in totals.values()):
            yield "rows were added"
        sound = db.execute("PRAGMA quick_check(1)").fetchone()[0]
        if sound != "ok":
            yield str(sound)

    def _whole_kind(self, db: sqlite3.Connection, kind: str, expected: Total) -> dict[str, bytes]:
        """Raises _Damaged with the first row that is not as written."""
        found: dict[str, bytes] = {}
        sum_of = EMPTY
        for _, key, value, written in (_row(*row) for row in db.execute(ROWS_OF, (kind,))):
            mac = row_mac(self._key, kind, key, value)
            if mac.encode() != written:
                raise _Damaged(f"row {key} was changed")
            found[key] = value
            sum_of = sum_of.plus(mac)
        if sum_of != expected:
            raise _Damaged("rows were added, dropped or put back")
        return found

    def _put_aside(self) -> Path:
        """The log beside the file goes with it: it may hold the newest rows. Old ones go."""
        seconds, fraction = divmod(time.time_ns(), 10**9)
        moment = time.strftime("%Y%m%dT%H%M%S", time.gmtime(seconds))
        aside = self.path.with_name(f"{self.path.name}.damaged-{moment}.{fraction:09}Z")
        for suffix in ("", *SIDE_FILES):
            found = self.path.with_name(self.path.name + suffix)
            if found.exists():
                found.rename(aside.with_name(aside.name + suffix))
        earlier = self.path.parent.glob(f"{self.path.name}.damaged-*")
        files = sorted(path for path in earlier if not path.name.endswith(SIDE_FILES))
        for old in files[:-ASIDE_MAX]:
            for suffix in ("", *SIDE_FILES):
                old.with_name(old.name + suffix).unlink(missing_ok=True)
        return aside

    # --- use ---

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
        with self._failures(), self._db:
            self._db.execute("BEGIN IMMEDIATE")
            totals = self._put(self._db, rows)
        self._totals = totals

    def _put(self, db: sqlite3.Connection, rows: Mapping[Row, bytes | None]) -> dict[str, Total]:
        """Rows and their seal, which follows from what is known, not from what is in the file."""
        totals = dict(self._totals)
        for (kind, key), value in rows.items():
            found = totals.get(kind, EMPTY)
            for _, _, _, mac in db.execute(f"{ROWS_OF} AND key = ?", (kind, key)).fetchall():
                found = found.minus(_hex(mac))
            if value is None:
                db.execute("DELETE FROM rows WHERE kind = ? AND key = ?", (kind, key))
            else:
                mac = row_mac(self._key, kind, key, value)
                db.execute(
                    "INSERT OR REPLACE INTO rows VALUES (?, ?, ?, ?)", (kind, key, value, mac)
                )
                found = found.plus(mac)
            totals[kind] = found
        self._seal(db, totals)
        return totals

    def _seal(self, db: sqlite3.Connection, totals: Mapping[str, Total]) -> None:
        db.execute("INSERT OR REPLACE INTO seal VALUES (1, ?, ?)", sealed(self._key, totals))

    @contextmanager
    def _failures(self) -> Iterator[None]:
        """sqlite's errors as ours: damage apart from everything else."""
        try:
            yield
        except sqlite3.Error as error:
            text = f"{self.path}: {error}"
            if getattr(error, "sqlite_errorname", "").startswith(DAMAGE):
                raise _Damaged(text) from error
            raise StoreFailed(f"{text}; look at its rights and at the room on its disk") from error

    def close(self) -> None:
        self._db.close()


# Text as bytes: in a file that was edited it may be no text.
ROWS = "SELECT CAST(kind AS BLOB), CAST(key AS BLOB), value, CAST(digest AS BLOB) FROM rows"
ROWS_OF = f"{ROWS} WHERE kind = ?"


def _row(kind: object, key: object, value: object, mac: object) -> tuple[str, str, bytes, object]:
    """Raises _Damaged for what no program of ours writes."""
    try:
        if isinstance(kind, bytes) and isinstance(key, bytes) and isinstance(value, bytes):
            return kind.decode(), key.decode(), value, mac
    except UnicodeDecodeError:
        pass
    raise _Damaged(f"row {key!r} is of another form")


def _hex(mac: object) -> str:
    """Of a row that was changed while we run: the seal will not fit, and the next start sees it."""
    text = mac.decode(errors="replace") if isinstance(mac, bytes) else ""
    return text if MAC.fullmatch(text) else "0"


def _set_up(db: sqlite3.Connection) -> None:
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=FULL")


def _key(path: Path) -> tuple[bytes, bool]:
    """The key of the seal, made when there is none, and whether there was one. Who lost it, or has
    half of it, has lost what it sealed: that comes again from Git and the peers.
    """
    try:
        if path.exists():
            found = path.read_bytes()
            if len(found) == KEY_BYTES:
                return found, True
            path.unlink()
            return _new_key(path), True
        return _new_key(path), False
    except OSError as error:
        raise StoreFailed(f"{path}: {error.strerror}") from error


def _new_key(path: Path) -> bytes:
    made = secrets.token_bytes(KEY_BYTES)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        os.write(descriptor, made)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return made
