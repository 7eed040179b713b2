"""The cache on disk: private, bounded, whole rows or none, and never in the way."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from reconciler.reading.cache import (
    AGE_DAYS_MAX,
    FILE,
    ROW_BYTES_MAX,
    Cache,
    Damaged,
    Unusable,
    default_folder,
    opened,
)

MIB = 1024 * 1024
TODAY = 20_000
A, B = b"a" * 32, b"b" * 32


def cache(folder: Path, day: int = TODAY, bytes_max: int = MIB) -> Cache:
    return opened(folder / "cache", bytes_max, day)


def file_of(folder: Path) -> Path:
    return folder / "cache" / FILE


def test_what_was_put_is_there_in_the_next_run(tmp_path: Path) -> None:
    first = cache(tmp_path)
    first.put({A: b"one", B: b""})
    first.close()
    assert cache(tmp_path).get([A, B, b"c"]) == {A: b"one", B: b""}


def test_only_its_owner_may_look(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        cache(tmp_path).put({A: b"one"})
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "cache").stat().st_mode) == 0o700
    assert stat.S_IMODE(file_of(tmp_path).stat().st_mode) == 0o600
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [FILE]
    file_of(tmp_path).chmod(0o644)
    cache(tmp_path)
    assert stat.S_IMODE(file_of(tmp_path).stat().st_mode) == 0o600


def test_a_folder_that_others_can_write_is_not_used(tmp_path: Path) -> None:
    """They could put a verdict there."""
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache").chmod(0o777)
    with pytest.raises(Unusable, match="written by others"):
        cache(tmp_path)


def test_a_link_is_not_followed_and_a_pipe_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir(mode=0o700)
    target = tmp_path / "other"
    target.touch()
    file_of(tmp_path).symlink_to(target)
    with pytest.raises(Unusable):
        cache(tmp_path)
    file_of(tmp_path).unlink()
    os.mkfifo(file_of(tmp_path))
    with pytest.raises(Unusable, match="is not a file"):
        cache(tmp_path)
    assert target.read_bytes() == b""


def test_the_database_of_another_program_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir(mode=0o700)
    other = sqlite3.connect(file_of(tmp_path))
    other.execute("CREATE TABLE kept (key, value)")
    other.close()
    before = file_of(tmp_path).read_bytes()
    with pytest.raises(Unusable, match="another program"):
        cache(tmp_path)
    assert file_of(tmp_path).read_bytes() == before


def test_another_format_of_the_same_table_is_not_read(tmp_path: Path) -> None:
    cache(tmp_path).close()
    other = sqlite3.connect(file_of(tmp_path))
    other.execute("PRAGMA user_version=2")
    other.close()
    with pytest.raises(Unusable, match="another program"):
        cache(tmp_path)


@pytest.mark.parametrize("damage", [b"no database", b"SQLite format 3\0" + b"\xff" * 500])
def test_a_damaged_file_is_begun_anew(tmp_path: Path, damage: bytes) -> None:
    cache(tmp_path).put({A: b"one"})
    file_of(tmp_path).write_bytes(damage)
    found = cache(tmp_path)
    assert found.get([A]) == {}
    found.put({A: b"two"})
    assert found.get([A]) == {A: b"two"}


def test_damage_that_shows_later_is_told_and_gone_in_the_next_run(tmp_path: Path) -> None:
    first = cache(tmp_path)
    first.put({bytes([n]) * 32: b"x" * 400 for n in range(100)})
    first.close()
    whole = bytearray(file_of(tmp_path).read_bytes())
    whole[8192:] = b"\x07" * (len(whole) - 8192)
    file_of(tmp_path).write_bytes(whole)
    found = cache(tmp_path)
    with pytest.raises(Damaged):
        found.get(bytes([n]) * 32 for n in range(100))
    found.discard()
    assert cache(tmp_path).get([b"\0" * 32]) == {}


def test_a_row_that_is_not_what_it_was_put_as_is_not_there(tmp_path: Path) -> None:
    first = cache(tmp_path)
    first.put({A: b"one", B: b"two"})
    first.close()
    other = sqlite3.connect(file_of(tmp_path))
    other.execute("UPDATE kept SET value = (SELECT value FROM kept WHERE key = ?)", (B,))
    other.commit()
    other.close()
    assert cache(tmp_path).get([A, B]) == {B: b"two"}


def test_who_finds_it_locked_goes_on_without(tmp_path: Path) -> None:
    found = cache(tmp_path)
    other = sqlite3.connect(file_of(tmp_path), isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    began = time.monotonic()
    with pytest.raises(Unusable, match="locked"):
        found.get([A])
    with pytest.raises(Unusable, match="locked"):
        found.put({A: b"one"})
    with pytest.raises(Unusable, match="locked"):
        cache(tmp_path)
    assert time.monotonic() - began < 20


def test_who_cannot_write_goes_on_without(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Unusable):
        opened(tmp_path / "file" / "cache", MIB, TODAY)
    with pytest.raises(Unusable):
        opened(Path("/proc/cache"), MIB, TODAY)


def test_a_writer_that_is_killed_leaves_whole_rows(tmp_path: Path) -> None:
    program = (
        "import os, sys; from pathlib import Path\n"
        "from reconciler.reading.cache import opened\n"
        f"cache = opened(Path({str(tmp_path / 'cache')!r}), {MIB}, {TODAY})\n"
        f"cache.put({{{A!r}: b'one'}})\n"
        "cache._connection.execute('BEGIN IMMEDIATE')\n"
        f"cache._connection.execute('INSERT INTO kept VALUES (?, 1, ?)', ({B!r}, b'half'))\n"
        "os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], check=False)
    assert done.returncode == -9
    found = cache(tmp_path)
    assert found.get([A, B]) == {A: b"one"}
    found.put({B: b"two"})
    assert found.get([A, B]) == {A: b"one", B: b"two"}


def test_what_nobody_asks_for_goes_in_time(tmp_path: Path) -> None:
    cache(tmp_path).put({A: b"one", B: b"two"})
    later = cache(tmp_path, TODAY + AGE_DAYS_MAX)
    later.get([A])
    later.put({})
    last = cache(tmp_path, TODAY + AGE_DAYS_MAX + 1)
    last.put({b"c": b"three"})
    assert last.get([A, B]) == {A: b"one"}


def test_the_oldest_goes_where_there_is_too_much(tmp_path: Path) -> None:
    bytes_max = 200_000
    old = cache(tmp_path, TODAY, bytes_max)
    old.put({b"old%03d" % n: b"x" * 1000 for n in range(150)})
    new = cache(tmp_path, TODAY + 1, bytes_max)
    rows = {b"new%03d" % n: b"y" * 1000 for n in range(100)}
    new.put(rows)
    assert new.get(rows) == rows
    assert len(new.get(b"old%03d" % n for n in range(150))) < 100
    new.close()
    assert file_of(tmp_path).stat().st_size < 2 * bytes_max


def test_a_row_has_a_longest_and_one_run_cannot_fill_the_disk(tmp_path: Path) -> None:
    found = cache(tmp_path)
    found.put({A: b"x" * (ROW_BYTES_MAX + 1), B: b"small"})
    assert found.get([A, B]) == {B: b"small"}
    found.put({b"%04d" % n: b"z" * 100_000 for n in range(40)})
    found.close()
    assert file_of(tmp_path).stat().st_size < 2 * MIB


@pytest.mark.parametrize(
    ("environment", "folder"),
    [
        ({"XDG_CACHE_HOME": "/x", "HOME": "/h"}, "/x/mesh-reconciler"),
        ({"HOME": "/h"}, "/h/.cache/mesh-reconciler"),
        ({"XDG_CACHE_HOME": "relative", "HOME": "/h"}, "/h/.cache/mesh-reconciler"),
    ],
)
def test_it_is_where_caches_are(environment: dict[str, str], folder: str) -> None:
    assert default_folder(environment) == Path(folder)
