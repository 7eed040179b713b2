"""Keys and certificates on disk: made once, whole, private; a loss is named, never papered over."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from reconciler.keys.join import Join, JoinError, read_join
from reconciler.keys.secret_store import NAME_MAX, FileSecrets, SecretExists, write_private
from reconciler.keys.server_certificate import FILES, server_tls
from reconciler.keys.system_resources import KeysMissing, SystemResources

if TYPE_CHECKING:
    from pathlib import Path

NOW = 1_800_000_000.0


def test_of_many_that_put_one_name_exactly_one_wins(tmp_path: Path) -> None:
    secrets = FileSecrets(tmp_path)

    def put(value: bytes) -> bytes | None:
        try:
            secrets.put("key", value)
        except SecretExists:
            return None
        return value

    with ThreadPoolExecutor(8) as threads:
        won = [v for v in threads.map(put, [b"%d" % n for n in range(40)]) if v is not None]
    assert won == [secrets.get("key")]
    assert secrets.names() == ("key",)


def test_what_a_crash_left_half_written_is_no_secret(tmp_path: Path) -> None:
    (tmp_path / "key.0123abcd.new").write_bytes(b"half")
    secrets = FileSecrets(tmp_path)
    assert secrets.names() == ()
    secrets.put("key", b"whole")
    assert secrets.get("key") == b"whole"
    with pytest.raises(ValueError, match="not the name of a secret"):
        secrets.get("key.0123abcd.new")


def test_longest_name_fits_the_disk(tmp_path: Path) -> None:
    secrets = FileSecrets(tmp_path)
    secrets.put("x" * NAME_MAX, b"1")
    assert secrets.get("x" * NAME_MAX) == b"1"
    with pytest.raises(ValueError, match="not the name of a secret"):
        secrets.put("x" * (NAME_MAX + 1), b"1")


def test_private_file_replaces_an_open_one_with_its_own_mode(tmp_path: Path) -> None:
    file = tmp_path / "east.join"
    file.write_text("old")
    file.chmod(0o644)
    write_private(file, b"new")
    assert file.read_bytes() == b"new"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [file]


def test_certificate_stays_over_restarts(tmp_path: Path) -> None:
    first = server_tls(tmp_path, "global", ("global.example",), NOW)
    assert server_tls(tmp_path, "global", ("global.example",), NOW + 1000) == first
    assert stat.S_IMODE((tmp_path / "tls").stat().st_mode) == 0o700
    assert {stat.S_IMODE((tmp_path / "tls" / f).stat().st_mode) for f in FILES} == {0o600}


def test_start_that_was_cut_off_before_it_was_complete_is_begun_again(tmp_path: Path) -> None:
    (tmp_path / "tls.new").mkdir()
    (tmp_path / "tls.new" / "ca.pem").write_text("half")
    server_tls(tmp_path, "global", (), NOW)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["tls"]


@pytest.mark.parametrize("lost", FILES)
def test_lost_part_of_the_certificate_is_an_error_not_a_new_ca(tmp_path: Path, lost: str) -> None:
    """A new CA would cut off every zone and proxy that holds the old one."""
    server_tls(tmp_path, "global", (), NOW)
    (tmp_path / "tls" / lost).unlink()
    with pytest.raises(ValueError, match=f"lacks {lost}: restore it"):
        server_tls(tmp_path, "global", (), NOW)


def test_certificate_for_other_hosts_or_damaged_is_named(tmp_path: Path) -> None:
    server_tls(tmp_path, "global", (), NOW)
    with pytest.raises(ValueError, match=r"is not for new\.example; move the folder away"):
        server_tls(tmp_path, "global", ("new.example",), NOW)
    (tmp_path / "tls" / "cert.pem").write_text("nonsense")
    with pytest.raises(ValueError, match="cannot be read"):
        server_tls(tmp_path, "global", (), NOW)


@pytest.mark.parametrize(
    "address",
    ["", "global:5685", "grpcs://", "grpcs://:5685", "grpcs://h:0", "grpcs://h:x", "grpcs://h:70000",
     "grpcs://[::1", "grpcs://h/path", "grpcs://user@h:1"],
)  # fmt: skip
def test_address_that_cannot_be_dialled_is_refused(address: str) -> None:
    with pytest.raises(JoinError, match="grpcs://host:port"):
        Join("east", address, "", "token")


@pytest.mark.parametrize(
    ("address", "target"),
    [
        ("grpcs://global.example", ("global.example", 5685, True)),
        ("grpcs://[::1]:7", ("::1", 7, True)),
        ("grpc://127.0.0.1:5685/", ("127.0.0.1", 5685, False)),
    ],
)
def test_address_gives_its_parts(address: str, target: tuple[str, int, bool]) -> None:
    assert Join("east", address, "", "token").target == target


@pytest.mark.parametrize("zone", ["", "global", "East", "a_b", "-a", "x" * 64])
def test_zone_of_no_name_is_refused(zone: str) -> None:
    with pytest.raises(JoinError, match="cannot be the name of a zone"):
        Join(zone, "grpcs://h:1", "", "token")


@pytest.mark.parametrize("data", [b"\xff\xfe", b"[" * 100_000, b'{"zone": "e", "global": 1}'])
def test_join_file_of_any_bytes_is_an_error_with_its_path(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "join").write_bytes(data)
    with pytest.raises(JoinError, match=str(tmp_path / "join")):
        read_join(tmp_path / "join")


def test_join_file_that_is_not_there_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(JoinError, match="reconciler token zone NAME"):
        read_join(tmp_path / "east.join")


def test_lost_signing_key_beside_others_is_not_made_anew(tmp_path: Path) -> None:
    """Half of a restore: every zone's token would end without a word."""
    SystemResources(FileSecrets(tmp_path)).prepare(earlier_fleet=None, new_keys=False)
    key = tmp_path / "zone-token-signing-key-1"
    kept = key.read_bytes()
    key.unlink()
    with pytest.raises(KeysMissing, match=r"zone-token-signing-key-1 .*--new-keys"):
        SystemResources(FileSecrets(tmp_path)).prepare(earlier_fleet=None, new_keys=False)
    assert not key.exists()
    SystemResources(FileSecrets(tmp_path)).prepare(earlier_fleet=None, new_keys=True)
    assert key.read_bytes() != kept


def test_first_start_that_was_cut_off_goes_on(tmp_path: Path) -> None:
    SystemResources(FileSecrets(tmp_path)).prepare(earlier_fleet=None, new_keys=False)
    (tmp_path / "made").write_text("zone-token-signing-key-1")
    (tmp_path / "kuma-cluster-id").unlink()  # As if the process had died after its first key.
    SystemResources(FileSecrets(tmp_path)).prepare(earlier_fleet=None, new_keys=False)
    made = ("kuma-cluster-id", "made", "user-token-signing-key-1", "zone-token-signing-key-1")
    assert FileSecrets(tmp_path).names() == made
