"""What every SecretStore keeps to, so that another one can take the place of the files."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from reconciler.ca import keys
from reconciler.decode import mesh_resource
from reconciler.keys.secret_store import NAME_MAX, FileSecrets, SecretExists
from reconciler.keys.system_resources import KeysMissing, SystemResources
from reconciler.model.resource import Labels, ResourceKey
from tests.support.secrets import MemorySecrets

if TYPE_CHECKING:
    from pathlib import Path

    from reconciler.keys.secret_store import SecretStore


@pytest.fixture(params=["files", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> SecretStore:
    return FileSecrets(tmp_path / "secrets") if request.param == "files" else MemorySecrets()


def test_what_is_put_is_there_and_is_not_replaced_by_another_put(store: SecretStore) -> None:
    assert store.get("key") is None
    store.put("key", b"1")
    with pytest.raises(SecretExists):
        store.put("key", b"2")
    assert store.get("key") == b"1"


def test_of_many_that_put_one_name_exactly_one_wins(store: SecretStore) -> None:
    def put(value: bytes) -> bytes | None:
        try:
            store.put("key", value)
        except SecretExists:
            return None
        return value

    with ThreadPoolExecutor(8) as threads:
        won = [v for v in threads.map(put, [b"%d" % n for n in range(40)]) if v is not None]
    assert won == [store.get("key")]


def test_what_others_made_is_replaced_and_removed(store: SecretStore) -> None:
    store.replace("value", b"1")
    store.replace("value", b"2")
    assert store.get("value") == b"2"
    store.remove("value")
    store.remove("value")
    assert store.get("value") is None


def test_names_are_all_of_them_in_order(store: SecretStore) -> None:
    for name in ("b", "a.1", "A_2-x"):
        store.put(name, b"")
    assert store.names() == ("A_2-x", "a.1", "b")


def test_values_are_bytes_of_any_kind(store: SecretStore) -> None:
    for name, value in (("empty", b""), ("binary", bytes(range(256))), ("big", b"x" * 2**20)):
        store.put(name, value)
        assert store.get(name) == value


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", "a b", "-x", "x" * (NAME_MAX + 1)])
def test_a_name_that_could_lead_elsewhere_is_none(store: SecretStore, name: str) -> None:
    for attempt in (store.get, store.remove, lambda n: store.put(n, b"")):
        with pytest.raises(ValueError, match="not the name of a secret"):
            attempt(name)
    store.put("x" * NAME_MAX, b"1")


def test_the_systems_keys_live_in_either(store: SecretStore) -> None:
    system = SystemResources(store)
    system.prepare(earlier_fleet=None, new_keys=False)
    made = {r.key: r.body for r in system.resources(())}
    assert {r.key: r.body for r in SystemResources(store).resources(())} == made
    store.remove("zone-token-signing-key-1")
    with pytest.raises(KeysMissing):
        SystemResources(store).prepare(earlier_fleet=None, new_keys=False)


def test_a_store_that_does_not_answer_makes_no_new_keys() -> None:
    """Absent is what the store says; a store that says nothing is an error."""
    store = MemorySecrets()
    SystemResources(store).prepare(earlier_fleet=None, new_keys=False)
    before = dict(store.held)
    store.away = True
    with pytest.raises(OSError, match="does not answer"):
        SystemResources(store).resources(())
    assert store.held == before


def test_key_that_was_made_and_is_lost_is_not_made_again_unasked(store: SecretStore) -> None:
    """One file among many: the others are there, and nothing else shows it."""
    system = SystemResources(store)
    system.prepare(earlier_fleet=None, new_keys=False)
    ca = mesh_resource(
        ResourceKey("Mesh", "", "default"),
        Labels(),
        {"mtls": {"enabledBackend": "ca", "backends": [{"name": "ca", "type": "builtin"}]}},
    )
    system.resources([ca])
    before = store.get("default.ca-builtin-ca")
    store.remove("default.ca-builtin-ca")
    again = SystemResources(store)
    again.prepare(earlier_fleet=None, new_keys=False)
    with pytest.raises(KeysMissing, match=r"default\.ca-builtin-ca was made .* --new-keys"):
        again.resources([ca])
    assert again.takes_over is False
    again.prepare(earlier_fleet=None, new_keys=True)
    again.resources([ca])
    assert store.get("default.ca-builtin-ca") not in (None, before)
    assert SystemResources(store).takes_over  # Zones that come later are taken over, too.


def test_what_is_revoked_while_resources_are_made_is_seen(
    store: SecretStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may come between the reading of a list and the look that says what was read."""
    system = SystemResources(store)
    system.prepare(earlier_fleet=None, new_keys=False)
    system.resources(())
    read = store.get

    def get(name: str) -> bytes | None:
        found = read(name)
        if name == keys.ZONE_REVOCATIONS and found is None:
            store.replace(name, b"id-1")
        return found

    monkeypatch.setattr(store, "get", get)
    made = system.resources(())
    assert any(r.key.name == keys.ZONE_REVOCATIONS for r in made)
    assert system.read_mark == system.mark()


def test_new_keys_that_are_made_with_resources_are_no_change(store: SecretStore) -> None:
    system = SystemResources(store)
    system.prepare(earlier_fleet=None, new_keys=False)
    mesh = mesh_resource(ResourceKey("Mesh", "", "default"), Labels(), {})
    system.resources([mesh])
    assert not system.moved()
    assert system.read_mark == system.mark()
