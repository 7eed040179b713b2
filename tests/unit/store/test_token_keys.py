"""Keys of tokens that are rotated, tokens that are revoked: as a running global gives them out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from reconciler.ca import keys, tokens
from reconciler.cli.main import main
from reconciler.keys.secret_store import FileSecrets
from reconciler.keys.system_resources import KeysMissing, SystemResources
from reconciler.state import MeshState, from_resources
from tests.support.mesh import a_mesh

if TYPE_CHECKING:
    from pathlib import Path


class Global:
    """What a global holds that ran once with the mesh `default`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = FileSecrets(folder / "secrets")
        self.system = SystemResources(self.store)
        self.system.prepare(earlier_fleet=None, new_keys=False)
        self.given()

    def given(self) -> MeshState:
        return from_resources(self.system.resources([a_mesh()]))

    def kids(self) -> tuple[set[str], set[str]]:
        state = self.given()
        prefix = keys.dataplane_signing_key("default")
        dataplanes = keys.keys_of(state, "Secret", "default", prefix)
        zones = keys.keys_of(state, "GlobalSecret", "", keys.ZONE_PUBLIC_KEY)
        return set(dataplanes), set(zones)

    def restarted(self) -> None:
        self.system = SystemResources(self.store)
        self.system.prepare(earlier_fleet="a zone", new_keys=False)

    def __call__(self, *arguments: str) -> int:
        return main(["token", *arguments, "--state-dir", str(self.folder)])

    def issued(self, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
        capsys.readouterr()
        assert self(*arguments) == 0
        return capsys.readouterr().out.strip()


@pytest.fixture
def made(tmp_path: Path) -> Global:
    return Global(tmp_path / "state")


def verdict(made: Global, token: str) -> tokens.Verdict:
    state, prefix = made.given(), keys.dataplane_signing_key("default")
    known = keys.keys_of(state, "Secret", "default", prefix)
    revoked = keys.revoked(state, "Secret", "default", keys.dataplane_revocations("default"))
    return tokens.verify(token, known, 1_900_000_000.0, revoked)


def test_highest_key_signs_and_older_ones_verify_until_they_are_removed(
    made: Global, capsys: pytest.CaptureFixture[str]
) -> None:
    long = ("dataplane", "--mesh", "default", "--valid-for", "876000h")
    old = made.issued(capsys, *long)
    assert made("new-key", "--mesh", "default") == 0
    assert made.kids() == ({"1", "2"}, {"1"})
    new = made.issued(capsys, *long)
    found = verdict(made, new)
    assert isinstance(found, tokens.Claims), found
    assert found.kid == "2"
    assert isinstance(verdict(made, old), tokens.Claims)
    assert made("remove-key", "--mesh", "default", "--kid", "1") == 0
    made.restarted()
    assert made.kids() == ({"2"}, {"1"})
    assert isinstance(verdict(made, old), tokens.Refused)
    assert isinstance(verdict(made, new), tokens.Claims)
    assert made("new-key", "--mesh", "default") == 0
    assert made.kids() == ({"2", "3"}, {"1"})


def test_keys_of_zones_rotate_by_themselves(made: Global) -> None:
    assert made("new-key") == 0
    assert made.kids() == ({"1"}, {"1", "2"})
    assert made("remove-key", "--kid", "1") == 0
    made.restarted()
    assert made.kids() == ({"1"}, {"2"})


def test_key_that_vanished_unasked_stops_the_global(made: Global) -> None:
    made("new-key")
    made.given()
    made.store.remove(f"{keys.ZONE_SIGNING_KEY}2")
    with pytest.raises(KeysMissing, match="zone-token-signing-key-2 was made"):
        made.given()
    with pytest.raises(KeysMissing):
        made.restarted()


@pytest.mark.parametrize(
    ("arguments", "cure"),
    [
        (("remove-key", "--kid", "1"), "make another with `token new-key` first"),
        (("remove-key", "--kid", "9"), "there is no key 9; there are 1"),
        (("new-key", "--mesh", "none-such"), "makes it with the mesh"),
        (("revoke",), "give --token-file, or --id"),
        (("revoke", "--id", "a,b"), "is not the id of a token"),
    ],
)
def test_what_cannot_be_done_says_the_cure(
    made: Global, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], cure: str
) -> None:
    assert made(*arguments) == 2
    assert cure in capsys.readouterr().err


def test_revoked_token_is_listed_by_its_id(
    made: Global, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "web.token"
    file.write_text(made.issued(capsys, "dataplane", "--valid-for", "876000h"))
    assert isinstance(verdict(made, file.read_text().strip()), tokens.Claims)
    revoke = ("revoke", "--mesh", "default", "--token-file", str(file))
    assert made(*revoke) == 0
    assert made(*revoke) == 0
    assert verdict(made, file.read_text().strip()) == tokens.Refused("the token is revoked")
    assert made("revoke", "--token-file", str(file)) == 2
    assert "zones and zone proxies" in capsys.readouterr().err


def test_list_of_the_repository_counts_as_well(made: Global) -> None:
    assert made("revoke", "--id", "here") == 0
    key = next(k for k in made.given().by_key if k.name == keys.ZONE_REVOCATIONS)
    state = from_resources(made.system.resources([a_mesh()], {key: b"there\n"}))
    revoked = keys.revoked(state, "GlobalSecret", "", keys.ZONE_REVOCATIONS)
    assert revoked == {"here", "there"}


def test_running_global_sees_what_changed_and_looks_once(made: Global) -> None:
    before = made.system.mark()
    assert not made.system.moved()
    made("revoke", "--id", "x")
    assert made.system.moved()
    assert not made.system.moved()
    assert made.system.mark() != before
    made("new-key")
    assert made.system.moved()
    made("remove-key", "--kid", "1")
    assert made.system.moved()
