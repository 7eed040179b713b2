"""Whoever can write the store's file and not read its key changes nothing unseen; what is whole
stays, and formats follow each other.
"""

from __future__ import annotations

import logging
import shutil
import sqlite3
import stat
from contextlib import closing
from random import Random
from typing import TYPE_CHECKING

import pytest

from reconciler.decode import mesh_resource
from reconciler.model.resource import Labels, ResourceKey
from reconciler.store import ASIDE_MAX, FORMAT, MADE_GOOD, NewerFormat, Store
from reconciler.stored import encode_stored
from reconciler.zone_cp.answers import ZoneAnswers
from reconciler.zone_cp.plane import ZoneControlPlane
from tests.support.zone import settings
from xds.resource import digest

if TYPE_CHECKING:
    from pathlib import Path

POLICY = {"deny": b"nobody calls", "allow": b"web calls backend", "mesh": b"mTLS"}
LOCAL = {f"proxy-{n}": b"x" * 3000 for n in range(40)}
OPEN = b"everybody calls"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with closing(Store(tmp_path / "store.sqlite")) as store:
        store.write({("policy", key): value for key, value in POLICY.items()})
        store.write({("local", key): value for key, value in LOCAL.items()})
        store.write({("meta", "revision"): b"c1"})
    return tmp_path / "store.sqlite"


def edit(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        for statement in statements:
            db.execute(statement)


def stored(path: Path) -> tuple[dict[str, bytes], dict[str, bytes], str]:
    """Policies, proxies and what was lost, as the next start finds them; the one after is calm."""
    with closing(Store(path)) as store:
        found = store.load_all("policy"), store.load_all("local"), store.loss
    with closing(Store(path)) as store:
        assert store.loss == ""
    return found


def with_digest_of_a_stranger(kind: str, key: str, value: bytes) -> str:
    return digest((kind.encode(), key.encode(), value))


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE rows SET value = x'00' WHERE key = 'deny'",
        "DELETE FROM rows WHERE key = 'deny'",
        "DELETE FROM rows WHERE kind = 'policy'",
        "UPDATE rows SET key = 'z' WHERE key = 'deny'",
        "UPDATE rows SET kind = 'relayed' WHERE key = 'deny'",
        "INSERT INTO rows SELECT 'policy', 'more', value, digest FROM rows WHERE key = 'deny'",
        "UPDATE rows SET value = 'text' WHERE key = 'deny'",
        "UPDATE rows SET digest = x'ff' WHERE key = 'deny'",
        "UPDATE rows SET key = CAST(x'ff' AS TEXT) WHERE key = 'deny'",
    ],
)
def test_edited_policies_are_found_and_what_is_whole_is_kept(path: Path, statement: str) -> None:
    edit(path, statement)
    policy, local, loss = stored(path)
    assert policy == {}
    assert local == LOCAL
    assert "whole and kept: local, meta" in loss


def test_policy_with_the_digest_of_the_format_before_is_found(path: Path) -> None:
    """A digest that needs no key protects from nobody."""
    mark = with_digest_of_a_stranger("policy", "deny", OPEN)
    edit(path, f"UPDATE rows SET value = x'{OPEN.hex()}', digest = '{mark}' WHERE key = 'deny'")
    assert stored(path)[0] == {}


def test_row_that_was_valid_once_does_not_come_back(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        old = db.execute("SELECT value, digest FROM rows WHERE key = 'deny'").fetchone()
    with closing(Store(path)) as store:
        store.write({("policy", "deny"): b"somebody calls"})
    edit(path, f"UPDATE rows SET value = x'{old[0].hex()}', digest = '{old[1]}' WHERE key = 'deny'")
    policy, local, loss = stored(path)
    assert (policy, local) == ({}, LOCAL)
    assert "put back" in loss


def test_rows_of_a_kind_that_was_never_written_are_found(path: Path) -> None:
    edit(path, "INSERT INTO rows VALUES ('relayed', 'r', x'00', '00')")
    policy, local, loss = stored(path)
    assert (policy, local) == (POLICY, LOCAL)
    assert "rows were added" in loss
    with closing(Store(path)) as store:
        assert store.load_all("relayed") == {}


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM seal",
        "UPDATE seal SET body = x'7b7d'",
        "UPDATE seal SET mac = x'ff'",
        "DROP TABLE seal",
        "PRAGMA user_version=0",
        "PRAGMA user_version=1",
    ],
)
def test_without_its_seal_nothing_of_the_store_is_used(path: Path, statement: str) -> None:
    edit(path, statement)
    policy, local, loss = stored(path)
    assert (policy, local) == ({}, {})
    assert "nothing of it is used" in loss


@pytest.mark.parametrize("left", [b"", b"half"])
def test_lost_or_torn_key_is_a_lost_store_and_a_new_key(path: Path, left: bytes) -> None:
    key = path.with_suffix(".key")
    key.write_bytes(left) if left else key.unlink()
    policy, local, loss = stored(path)
    assert (policy, local) == ({}, {})
    assert loss
    assert stat.S_IMODE(key.stat().st_mode) == 0o600


def test_edit_while_we_run_is_found_at_the_next_start(path: Path) -> None:
    with closing(Store(path)) as store:
        edit(path, f"UPDATE rows SET value = x'{OPEN.hex()}' WHERE key = 'deny'")
        store.write({("policy", "allow"): None, ("meta", "revision"): b"c2"})
    policy, local, _ = stored(path)
    assert (policy, local) == ({}, LOCAL)


@pytest.mark.parametrize("text", ["x'ff'", "'00'", f"'{'٣' * 64}'"])
def test_edited_row_that_is_then_written_again_stops_no_write(path: Path, text: str) -> None:
    with closing(Store(path)) as store:
        edit(path, f"UPDATE rows SET digest = {text} WHERE key = 'deny'")
        store.write({("policy", "deny"): b"new"})
        assert store.load_all("policy")["deny"] == b"new"
    assert stored(path)[0] == {}


def test_store_torn_at_any_byte_is_whole_or_set_aside(path: Path, tmp_path: Path) -> None:
    data = path.read_bytes()
    random = Random(7)
    edges = [n + d for n in range(0, len(data), 4 * 4096) for d in (-1, 0, 1)]
    sizes = {size for size in (*edges, *random.choices(range(len(data)), k=20)) if size >= 0}
    for number, size in enumerate(sorted(sizes)):
        folder = tmp_path / str(number)
        folder.mkdir()
        shutil.copy(path.with_suffix(".key"), folder)
        (folder / path.name).write_bytes(data[:size])
        policy, local, loss = stored(folder / path.name)
        assert policy in (POLICY, {})
        assert local in (LOCAL, {})
        assert bool(loss) is (size < len(data))


def test_store_with_any_byte_flipped_shows_what_was_written_or_nothing(
    path: Path, tmp_path: Path
) -> None:
    data = path.read_bytes()
    random = Random(11)
    for number in range(60):
        folder = tmp_path / str(number)
        folder.mkdir()
        shutil.copy(path.with_suffix(".key"), folder)
        rotten = bytearray(data)
        rotten[random.randrange(100, len(data))] ^= 1 << random.randrange(8)
        (folder / path.name).write_bytes(rotten)
        policy, local, _ = stored(folder / path.name)
        assert policy in (POLICY, {})
        assert local in (LOCAL, {})


def test_store_that_is_gone_is_told(path: Path) -> None:
    path.unlink()
    with closing(Store(path)) as store:
        assert "was gone or empty" in store.loss
        assert not store.is_whole("policy")


def test_loss_is_known_at_every_start_until_it_is_made_good(path: Path) -> None:
    """Also what was lost by another damage before that."""
    edit(path, "DELETE FROM rows WHERE kind = 'policy'")
    Store(path).close()
    with closing(Store(path)) as store:
        assert (store.loss, store.is_whole("policy"), store.is_whole("local")) == ("", False, True)
        store.write({("policy", "deny"): b"again"})
    edit(path, "DELETE FROM rows WHERE kind = 'local'")
    with closing(Store(path)) as store:
        assert store.load_all("policy")
        assert not any(map(store.is_whole, ("policy", "local")))
        assert store.is_whole("meta")
        store.write(MADE_GOOD)
    with closing(Store(path)) as store:
        assert store.is_whole("policy")
        assert store.is_whole("local")
        assert store.load_all("policy")


def test_store_that_is_gone_with_its_key_is_missed_where_something_else_shows_it(
    tmp_path: Path,
) -> None:
    with closing(Store(tmp_path / "store.sqlite", earlier=True)) as store:
        assert "was gone or empty" in store.loss
        assert not store.is_whole("local")


def test_first_start_has_lost_nothing(tmp_path: Path) -> None:
    with closing(Store(tmp_path / "store.sqlite")) as store:
        assert store.loss == ""
        assert store.is_whole("policy")


def test_only_the_last_damaged_stores_are_kept(path: Path) -> None:
    for number in range(ASIDE_MAX + 3):
        path.write_bytes(b"%d" % number * 1000)
        path.with_name(path.name + "-wal").write_bytes(b"log")
        Store(path).close()
    aside = sorted(p for p in path.parent.iterdir() if ".damaged-" in p.name)
    stores = [p.read_bytes()[:1] for p in aside if not p.name.endswith("-wal")]
    assert sorted(stores) == [b"3", b"4", b"5"]


# --- formats ---


def format_1(path: Path, rows: dict[tuple[str, str], bytes]) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute(
            "CREATE TABLE rows (kind TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL, "
            "digest TEXT NOT NULL, PRIMARY KEY (kind, key)) WITHOUT ROWID"
        )
        for (kind, key), value in rows.items():
            mark = with_digest_of_a_stranger(kind, key, value)
            db.execute("INSERT INTO rows VALUES (?, ?, ?, ?)", (kind, key, value, mark))
        db.execute("PRAGMA user_version=1")


def test_previous_format_is_read_and_sealed(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    format_1(path, {("policy", key): value for key, value in POLICY.items()})
    assert stored(path) == (POLICY, {}, "")
    edit(path, "UPDATE rows SET value = x'00' WHERE key = 'deny'")
    assert stored(path)[0] == {}


def test_previous_format_with_an_edited_row_is_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    format_1(path, {("policy", key): value for key, value in POLICY.items()})
    edit(path, "UPDATE rows SET value = x'00' WHERE key = 'deny'")
    assert stored(path)[0] == {}


def test_unsealed_file_in_place_of_a_sealed_one_is_not_read(path: Path) -> None:
    path.unlink()
    format_1(path, {("policy", "deny"): OPEN})
    policy, _, loss = stored(path)
    assert policy == {}
    assert "from before it was sealed" in loss


def test_newer_format_is_refused_with_its_cure_and_stays(path: Path) -> None:
    edit(path, f"PRAGMA user_version={FORMAT + 1}")
    before = path.read_bytes()
    with pytest.raises(NewerFormat, match="run the newer program"):
        Store(path)
    assert path.read_bytes() == before


# --- a zone on such a store ---


async def test_zone_with_an_edited_policy_serves_none_and_keeps_its_proxies(tmp_path: Path) -> None:
    """The rest of the policies would be another policy: without a deny, everybody is allowed."""
    path = tmp_path / "store.sqlite"
    mesh = mesh_resource(ResourceKey("Mesh", "", "default"), Labels(), {})
    spec = {"networking": {"address": "10.0.0.1", "inbound": []}}
    proxy = mesh_resource(ResourceKey("Dataplane", "default", "web"), Labels(), spec)
    with closing(Store(path)) as store:
        store.write({("policy", "m"): encode_stored(mesh), ("local", "w"): encode_stored(proxy)})
        store.write({("meta", "revision"): b"c1"})
    for statement, revision in (("SELECT 1", "c1"), ("DELETE FROM rows WHERE key = 'm'", None)):
        edit(path, statement)
        with closing(Store(path)) as store:
            plane = ZoneControlPlane(settings(), store, logging.getLogger("test"))
            plane.restore()
            plane.stop()
            await plane.outbox.close()
            assert plane.state.revision == revision
            assert len(plane.state.policy.by_key) == (revision is not None)
            assert plane.state.local.of("Dataplane") == (proxy,)
            told = str(ZoneAnswers(plane).status(proxies=False)["store_error"])
            assert ("rows were added, dropped or put back" in told) is (revision is None)


async def test_zone_of_a_global_without_commits_starts_again_without_a_revision(
    tmp_path: Path,
) -> None:
    mesh = mesh_resource(ResourceKey("Mesh", "", "default"), Labels(), {})
    with closing(Store(tmp_path / "store.sqlite")) as store:
        store.write({("policy", "m"): encode_stored(mesh), ("meta", "revision"): b""})
        plane = ZoneControlPlane(settings(), store, logging.getLogger("test"))
        plane.restore()
        plane.stop()
        await plane.outbox.close()
        assert (plane.state.revision, list(plane.state.policy.by_key)) == (None, [mesh.key])


async def test_policies_that_came_again_have_their_revision_although_more_is_missing(
    tmp_path: Path,
) -> None:
    """A crash while the zone gathers: the store still says that something was lost."""
    path = tmp_path / "store.sqlite"
    mesh = mesh_resource(ResourceKey("Mesh", "", "default"), Labels(), {})
    with closing(Store(path, earlier=True)) as store:
        store.write({("policy", "m"): encode_stored(mesh), ("meta", "revision"): b"c2"})
    with closing(Store(path)) as store:
        plane = ZoneControlPlane(settings(), store, logging.getLogger("test"))
        plane.restore()
        plane.stop()
        await plane.outbox.close()
        assert plane.state.revision == "c2"
        assert plane.state.gathering is not None
        assert plane.state.gathering.lost == {"local", "relayed", "vips"}


@pytest.mark.parametrize("row", [b'{"type": "Nonsense"}', b"", None])
async def test_addresses_that_are_lost_are_told_and_not_given_again(
    tmp_path: Path, row: bytes | None
) -> None:
    """Unlike those of a zone that never gave any."""
    path = tmp_path / "store.sqlite"
    mesh = mesh_resource(ResourceKey("Mesh", "", "default"), Labels(), {})
    with closing(Store(path)) as store:
        rows: dict[tuple[str, str], bytes | None] = {("policy", "m"): encode_stored(mesh)}
        store.write(rows if row is None else {**rows, ("vips", "all"): row})
        plane = ZoneControlPlane(settings(), store, logging.getLogger("test"))
        plane.restore()
        plane.stop()
        await plane.outbox.close()
        lost = plane.state.gathering.lost if plane.state.gathering is not None else frozenset()
        assert ("vips" in lost) is (row is not None)
        assert (plane.state.vips.skipped > 0) is (row is not None)


async def test_rows_that_this_program_cannot_read_stop_no_start(tmp_path: Path) -> None:
    with closing(Store(tmp_path / "store.sqlite")) as store:
        store.write({("policy", "m"): b'{"type": "Nonsense"}', ("meta", "revision"): b"c1"})
        plane = ZoneControlPlane(settings(), store, logging.getLogger("test"))
        plane.restore()
        plane.stop()
        await plane.outbox.close()
        assert plane.state.revision is None
