"""What the operator's folder and variables give to a repository's references, and what they never
give.
"""

from __future__ import annotations

import os
import socket
import stat
from typing import TYPE_CHECKING

import pytest

from reconciler.keys.secret_values import VALUE_MAX, SecretValues
from reconciler.problems import Position
from reconciler.secret_references import SecretReference, secret_key
from tests.support.secrets import MemorySecrets

if TYPE_CHECKING:
    from pathlib import Path

AT = Position("secrets.yaml", 2, 5)


def file(place: str, name: str = "ca-key", mesh: str = "default") -> SecretReference:
    return SecretReference(secret_key(mesh, name), "file", place, AT)


def variable(place: str) -> SecretReference:
    return SecretReference(secret_key("", "zone-token-revocations"), "env", place, AT)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "secrets"
    made.mkdir(mode=0o700)
    return made


def values(folder: Path | None, **environment: str) -> SecretValues:
    return SecretValues(MemorySecrets(), folder, environment=environment)


def write(path: Path, data: bytes, mode: int = 0o600) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    path.chmod(mode)


def why(found: SecretValues, reference: SecretReference) -> str:
    resolved = found.resolve([reference])
    assert resolved.values == {}
    return resolved.missing[reference]


def test_values_come_from_files_and_variables_byte_for_byte(folder: Path) -> None:
    write(folder / "default" / "ca.key", b"\x00key\n")
    found = values(folder, RECONCILER_SECRET_REVOKED="a,b")
    wanted = file("default/ca.key"), variable("RECONCILER_SECRET_REVOKED")
    assert found.resolve(wanted).values == dict(zip(wanted, (b"\x00key\n", b"a,b"), strict=True))


def test_variable_without_the_prefix_is_not_read(folder: Path) -> None:
    found = values(folder, PATH="/bin", RECONCILER_TOKEN="hunter2")
    for name in ("PATH", "RECONCILER_TOKEN"):
        text = why(found, variable(name))
        assert "does not begin with RECONCILER_SECRET_ (--secrets-env-prefix)" in text
        assert "hunter2" not in text


def test_variable_that_is_not_set_or_empty_has_no_value(folder: Path) -> None:
    found = values(folder, RECONCILER_SECRET_EMPTY="")
    for name in ("RECONCILER_SECRET_EMPTY", "RECONCILER_SECRET_NONE"):
        assert f"variable {name} of the global is not set" in why(found, variable(name))


def test_without_a_folder_no_file_is_read() -> None:
    assert "started without --secrets-dir" in why(values(None), file("etc/shadow"))


@pytest.mark.parametrize("place", ["../outside", "/etc/hostname", "a/../../outside", ".", ""])
def test_path_does_not_lead_out_of_the_folder(folder: Path, place: str) -> None:
    """A second lock: the schema and `secret_references` have refused these by their words."""
    write(folder.parent / "outside", b"hunter2")
    assert "leads out of the folder" in why(values(folder), file(place))


def test_link_is_followed_inside_the_folder_only(folder: Path) -> None:
    """Mounted secrets of Kubernetes are links: ca.key -> ..data/ca.key, ..data -> ..2026_11."""
    write(folder / "..2026_11" / "ca.key", b"key")
    (folder / "..data").symlink_to("..2026_11")
    (folder / "ca.key").symlink_to("..data/ca.key")
    reference = file("ca.key")
    assert values(folder).resolve([reference]).values == {reference: b"key"}
    write(folder.parent / "outside", b"hunter2")
    (folder / "out.key").symlink_to("../outside")
    (folder / "etc").symlink_to("/etc")
    (folder / "loop").symlink_to("loop")
    for place in ("out.key", "etc/hostname"):
        assert "leads out of the folder" in why(values(folder), file(place))
    assert why(values(folder), file("loop"))


def test_what_is_no_regular_file_is_not_waited_for(folder: Path) -> None:
    os.mkfifo(folder / "pipe", 0o600)
    (folder / "folder").mkdir()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(folder / "socket"))
        for place in ("pipe", "folder", "socket"):
            assert why(values(folder), file(place))


@pytest.mark.parametrize(
    ("mode", "fault"),
    [
        (0o620, "may be written by others"),
        (0o602, "may be written by others"),
        (0o604, "may be read by everybody"),
        (0o644, "may be read by everybody"),
        (0o640, None),
        (0o600, None),
        (0o400, None),
    ],
)
def test_file_of_everybody_is_refused(folder: Path, mode: int, fault: str | None) -> None:
    folder.chmod(0o755)
    write(folder / "ca.key", b"key", mode)
    reference = file("ca.key")
    found = values(folder).resolve([reference])
    assert (fault or "") in found.missing.get(reference, "")
    assert (reference in found.values) is (fault is None)


def test_file_that_everybody_could_read_is_private_in_a_private_folder(folder: Path) -> None:
    write(folder / "ca.key", b"key", 0o644)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    reference = file("ca.key")
    assert reference in values(folder).resolve([reference]).values


def test_file_of_another_user_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only root gives files away: who is not takes the place of the other user."""
    write(folder / "ca.key", b"key")
    if os.geteuid() == 0:
        os.chown(folder / "ca.key", 12345, -1)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: 12345)
    assert "belongs to another user" in why(values(folder), file("ca.key"))


def test_sizes_at_and_beyond_the_limit(folder: Path) -> None:
    write(folder / "most", b"x" * VALUE_MAX)
    write(folder / "more", b"x" * (VALUE_MAX + 1))
    write(folder / "empty", b"")
    found, most = values(folder), file("most")
    assert len(found.resolve([most]).values[most]) == VALUE_MAX
    assert "over the limit of 1 MiB" in why(found, file("more"))
    assert "is empty" in why(found, file("empty"))


def test_value_that_vanishes_keeps_its_last_also_over_a_restart(folder: Path) -> None:
    write(folder / "ca.key", b"key")
    found, reference = values(folder), file("ca.key")
    found.keep(found.resolve([reference]))
    (folder / "ca.key").unlink()
    later = SecretValues(found.kept, folder, environment={}).resolve([reference])
    assert later.values == {reference: b"key"}
    assert later.gone == {reference: "file ca.key of --secrets-dir: No such file or directory"}
    assert later.missing == {}


def test_last_value_stands_for_the_same_source_only_and_is_forgotten_with_it(
    folder: Path,
) -> None:
    write(folder / "ca.key", b"key")
    found = values(folder)
    found.keep(found.resolve([file("ca.key")]))
    (folder / "ca.key").unlink()
    assert file("other.key") in found.resolve([file("other.key")]).missing
    found.keep(found.resolve([]))
    assert found.kept.names() == ()
    assert file("ca.key") in found.resolve([file("ca.key")]).missing


def test_mark_tells_a_change_and_nothing_else(folder: Path) -> None:
    write(folder / "ca.key", b"key")
    found, reference = values(folder), file("ca.key")
    first = found.resolve([reference])
    found.keep(first)
    assert found.resolve([reference]).mark == first.mark
    write(folder / "ca.key", b"other")
    assert found.resolve([reference]).mark != first.mark
    (folder / "ca.key").unlink()
    assert found.resolve([reference]).mark != first.mark  # The same value, but somebody is told.
    assert values(folder).resolve([]).mark != found.resolve([]).mark  # Under a key of the process.


def test_a_change_of_a_file_is_told_once(folder: Path) -> None:
    write(folder / "ca.key", b"key")
    found, reference = values(folder), file("ca.key")
    found.resolve([reference, file("not-yet"), variable("RECONCILER_SECRET_X")])
    assert not found.moved()
    (folder / "new").write_bytes(b"other")
    (folder / "new").chmod(0o600)
    (folder / "new").replace(folder / "ca.key")
    assert found.moved()
    assert not found.moved()
    write(folder / "not-yet", b"here")
    assert found.moved()
    (folder / "ca.key").unlink()
    assert found.moved()
    assert not found.moved()


def test_what_else_is_in_force_is_looked_at_too(folder: Path) -> None:
    """A newer commit that is rejected may not list what the one in force needs."""
    write(folder / "old", b"1")
    write(folder / "new", b"1")
    found = values(folder)
    found.resolve([file("new")], also=[file("old")])
    assert not found.moved()
    write(folder / "old", b"22")
    assert found.moved()


def test_no_text_of_these_objects_holds_a_value(folder: Path) -> None:
    write(folder / "ca", b"canary-1")
    found = values(folder, RECONCILER_SECRET_X="canary-2")
    assert "canary" not in repr(found.resolve([file("ca"), variable("RECONCILER_SECRET_X")]))
    assert "canary" not in repr(found)
