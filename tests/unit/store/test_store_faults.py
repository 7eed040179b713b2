"""A store is set aside when it is damaged, and only then; what goes aside can be looked at."""

from __future__ import annotations

import sqlite3
import stat
import tempfile
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.store import NewerFormat, Store, StoreFailed

ROWS = {f"key-{n}": bytes([n]) * 3000 for n in range(60)}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A closed store with rows over several pages."""
    store = Store(tmp_path / "store")
    store.write({("policy", key): value for key, value in ROWS.items()})
    store.close()
    return tmp_path / "store"


def aside_files(path: Path) -> list[str]:
    return sorted(p.name for p in path.parent.iterdir() if ".damaged-" in p.name)


def edit(path: Path, sql: str, *values: object) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute(sql, values)


def test_value_under_the_key_of_another_is_found(path: Path) -> None:
    edit(path, "UPDATE rows SET key = 'key-x' WHERE key = 'key-1'")
    store = Store(path)
    assert store.load_all("policy") == {}
    assert "key-x" in store.loss
    store.close()


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE rows SET value = 'text' WHERE key = 'key-1'",
        "UPDATE rows SET key = CAST(x'ff' AS TEXT) WHERE key = 'key-1'",
        "UPDATE rows SET digest = x'00' WHERE key = 'key-1'",
    ],
)
def test_row_of_another_form_is_damage_not_a_crash(path: Path, sql: str) -> None:
    edit(path, sql)
    with closing(Store(path)) as store:
        assert store.loss


@pytest.mark.parametrize("keep", [0.3, 0.6, 0.9])
def test_file_cut_short_is_set_aside_whole(path: Path, keep: float) -> None:
    data = path.read_bytes()
    cut = data[: int(len(data) * keep)]
    path.write_bytes(cut)
    with closing(Store(path)) as store:
        assert store.load_all("policy") == {}
        store.write({("policy", "new"): b"1"})
    (aside,) = aside_files(path)
    assert path.with_name(aside).read_bytes() == cut
    with closing(Store(path)) as store:
        assert store.load_all("policy") == {"new": b"1"}
        assert store.loss == ""


def test_second_damage_does_not_replace_what_the_first_put_aside(path: Path) -> None:
    for text in (b"first", b"second"):
        path.write_bytes(text * 1000)
        Store(path).close()
    assert len(aside_files(path)) == 2


def test_store_that_another_process_writes_to_is_not_taken_for_damaged(path: Path) -> None:
    """sqlite says "locked" with an error of the same family as damage."""
    with closing(sqlite3.connect(path, isolation_level=None, timeout=0)) as other:
        other.execute("PRAGMA locking_mode=EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoreFailed, match="locked"):
            Store(path, busy_s=0)
    assert aside_files(path) == []
    with closing(Store(path)) as store:
        assert store.load_all("policy") == ROWS


def test_folder_that_is_not_there_is_an_error_with_words(tmp_path: Path) -> None:
    with pytest.raises(StoreFailed, match="nowhere"):
        Store(tmp_path / "nowhere" / "store")


def test_full_disk_keeps_what_was_there(path: Path) -> None:
    """Nothing of a transaction that could not be written, everything of those before."""
    with closing(Store(path)) as store:
        pages = store._db.execute("PRAGMA page_count").fetchone()[0]
        store._db.execute(f"PRAGMA max_page_count={pages + 2}")
        with pytest.raises(StoreFailed, match="full"):
            store.write(
                {
                    ("policy", "big"): b"x" * 1_000_000,
                    ("policy", "key-1"): None,
                    ("meta", "revision"): b"c2",
                }
            )
        assert store.load_all("policy") == ROWS
        assert store.load_all("meta") == {}
    with closing(Store(path)) as store:
        assert store.load_all("policy") == ROWS


def test_newer_format_stays_as_it_is(path: Path) -> None:
    edit(path, "PRAGMA user_version=99")
    before = path.read_bytes()
    with pytest.raises(NewerFormat):
        Store(path)
    assert path.read_bytes() == before
    assert aside_files(path) == []


def test_side_files_are_as_private_as_the_store(tmp_path: Path) -> None:
    with closing(Store(tmp_path / "store")) as store:
        store.write({("policy", "secret"): b"1"})
        modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in tmp_path.iterdir()}
    assert modes == dict.fromkeys(["store", "store-shm", "store-wal", "store.key"], 0o600)


@given(
    st.lists(
        st.tuples(st.text(max_size=8), st.one_of(st.none(), st.binary(max_size=40))), max_size=12
    )
)
def test_restart_shows_exactly_the_writes(changes: list[tuple[str, bytes | None]]) -> None:
    """The law of the store: last write per key wins, over any restart, for any text."""
    with tempfile.TemporaryDirectory() as folder:
        path, model = Path(folder) / "store", dict[str, bytes]()
        for key, value in changes:
            with closing(Store(path)) as store:
                store.write({("local", key): value})
                if value is None:
                    model.pop(key, None)
                else:
                    model[key] = value
        with closing(Store(path)) as store:
            assert store.load_all("local") == model
            assert store.loss == ""
