"""A control plane's own disk: whole or not at all, private, and never silently empty."""

from __future__ import annotations

import sqlite3
import stat
from typing import TYPE_CHECKING

import pytest

from reconciler.keys.join import Join, JoinError, read_join, write_join
from reconciler.keys.secret_store import FileSecrets, SecretExists
from reconciler.keys.system_resources import KeysMissing, SystemResources
from reconciler.runtime.state_dir import StateDirTaken, held
from reconciler.store import NewerFormat, Store
from tests.support.mesh import MTLS, a_mesh

if TYPE_CHECKING:
    from pathlib import Path


MESH = a_mesh(backends=(MTLS,))


def test_what_was_written_is_there_after_a_restart(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    store.write({("policy", "a"): b"1", ("policy", "b"): b"2", ("meta", "revision"): b"c1"})
    store.write({("policy", "b"): b"3", ("policy", "a"): None})
    store.close()
    again = Store(tmp_path / "store")
    assert again.load_all("policy") == {"b": b"3"}
    assert again.load_all("meta") == {"revision": b"c1"}
    assert again.load_all("local") == {}
    assert again.loss == ""
    again.close()


def test_edited_row_is_found_and_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "store"
    store = Store(path)
    store.write({("policy", "a"): b"allow nobody"})
    store.close()
    with sqlite3.connect(path) as db:
        db.execute("UPDATE rows SET value = ?", (b"allow everybody",))
    db.close()
    again = Store(path)
    assert again.load_all("policy") == {}
    assert "policy: row a was changed" in again.loss
    assert not again.is_whole("policy")
    again.close()


def test_torn_file_is_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "store"
    path.write_bytes(b"SQLite format 3\0" + b"torn" * 500)
    store = Store(path)
    assert store.loss
    assert store.load_all("policy") == {}
    store.close()


def test_newer_format_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "store"
    Store(path).close()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version=99")
    db.close()
    with pytest.raises(NewerFormat, match="format 99"):
        Store(path)


def test_store_and_secrets_are_private(tmp_path: Path) -> None:
    Store(tmp_path / "store").close()
    FileSecrets(tmp_path / "secrets").put("key", b"x")
    assert stat.S_IMODE((tmp_path / "store").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "secrets").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "secrets" / "key").stat().st_mode) == 0o600


def test_secret_is_made_once(tmp_path: Path) -> None:
    secrets = FileSecrets(tmp_path)
    secrets.put("key", b"first")
    with pytest.raises(SecretExists):
        secrets.put("key", b"second")
    assert secrets.get("key") == b"first"
    assert secrets.get("other") is None
    with pytest.raises(ValueError, match="not the name of a secret"):
        secrets.get("../store")


def test_state_directory_belongs_to_one_process(tmp_path: Path) -> None:
    with held(tmp_path / "state") as folder:
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        with pytest.raises(StateDirTaken, match="stop it first"), held(folder):
            pass
    with held(folder):
        pass


def test_keys_stay_the_same_over_restarts(tmp_path: Path) -> None:
    first = SystemResources(FileSecrets(tmp_path))
    first.prepare(earlier_fleet=None, new_keys=False)
    again = SystemResources(FileSecrets(tmp_path))
    again.prepare(earlier_fleet="status/east", new_keys=False)
    assert again.resources([MESH]) == first.resources([MESH])
    names = {r.key.name for r in first.resources([MESH])}
    assert names == {
        "zone-token-signing-public-key-1",
        "kuma-cluster-id",
        "dataplane-token-signing-key-default-1",
        "default.ca-builtin-cert-ca",
        "default.ca-builtin-key-ca",
    }


def test_keys_of_an_earlier_fleet_are_asked_for(tmp_path: Path) -> None:
    system = SystemResources(FileSecrets(tmp_path))
    with pytest.raises(KeysMissing, match="--new-keys"):
        system.prepare(earlier_fleet="status/east shows a fleet", new_keys=False)
    system.prepare(earlier_fleet="status/east shows a fleet", new_keys=True)


def test_damaged_ca_is_not_made_anew(tmp_path: Path) -> None:
    secrets = FileSecrets(tmp_path)
    secrets.put("default.ca-builtin-ca", b"half of it")
    with pytest.raises(KeysMissing, match="damaged"):
        SystemResources(secrets).resources([MESH])


def test_join_file_comes_back_and_is_private(tmp_path: Path) -> None:
    join = Join("east", "grpcs://global:5685", "PEM", "token")
    write_join(tmp_path / "east.join", join)
    assert read_join(tmp_path / "east.join") == join
    assert join.target == ("global", 5685, True)
    assert stat.S_IMODE((tmp_path / "east.join").stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nonsense", "no join file"),
        ("[]", "no join file"),
        ('{"zone": "east"}', "global, token is missing"),
        ('{"zone": "e", "global": "http://x", "token": "t"}', "grpcs://host:port"),
    ],
)
def test_join_file_that_cannot_be_used_says_why(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "join").write_text(text)
    with pytest.raises(JoinError, match=words):
        read_join(tmp_path / "join")
