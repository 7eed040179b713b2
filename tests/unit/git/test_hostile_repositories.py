"""Repositories, servers and addresses that mean harm.

Items of `facts/anchors.md` 3.3 A to C, and where each is tried. What no design of ours reads at all
(archives, overlays, templates, shared temporary folders) is left out with its reason.

A1 links out of the tree        test_hostile_trees.py test_a1_…
A2 `..` in file references      tests/unit/load/test_revision_secrets.py: the only references
A3 overlays that loop           none are read: a file is a document, never a reference to a file
A4 predictable temporary paths  none are used: test_a4_…
A5 huge files                   test_hostile_trees.py test_a5_…, tests/unit/load/test_limits.py
A6 names that stand twice       test_hostile_trees.py test_a6_…
A7 names and modes              test_hostile_trees.py test_a7_…
A8 refs/ or objects/ as links   test_a8_…
B9 names of refs                test_b9_…
B10 crafted answers             test_b10_…
B11 pack bombs                  test_b11_…
B12 addresses as options        test_b12_…
B13 submodules, redirects       test_hostile_trees.py test_b13_…; test_remote.py test_a_redirect_…
B14 hooks, filters, alternates  test_b14_… here and in test_hostile_trees.py
B15 local clones                test_b15_…
B16 signatures                  none are read yet
C17 to C22                      tests/unit/load/test_hostile_files.py, and with E27 to E32 through
                                `reconciler validate` tests/unit/cli/test_validate_hostile.py
"""

from __future__ import annotations

import hashlib
import shutil
import socket
import stat
import struct
import threading
import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from reconciler.git.address import address
from reconciler.git.errors import GitFailed, Permanent
from reconciler.git.mirror import Mirror, MirrorOptions
from reconciler.git.remote import RemoteLimits, RemoteTransport
from tests.support.git_repos import PolicyRepo, git
from tests.unit.git.test_mirror import MAIN, contents, mirror_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

OID = "1" * 40
CALL_S = 3.0


def pkt(text: bytes) -> bytes:
    return f"{len(text) + 4:04x}".encode() + text


def advertised(*refs: bytes, oid: str = OID) -> bytes:
    first, *more = refs
    lines = [pkt(oid.encode() + b" " + first + b"\0side-band-64k ofs-delta\n")]
    lines += [pkt(oid.encode() + b" " + ref + b"\n") for ref in more]
    return b"".join(lines) + b"0000"


def pack(*objects: bytes, count: int | None = None) -> bytes:
    body = struct.pack(">4sII", b"PACK", 2, len(objects) if count is None else count)
    body += b"".join(objects)
    return body + hashlib.sha1(body).digest()


def header(kind: int, size: int) -> bytes:
    """Type and size of an object in a pack."""
    byte, size = (kind << 4) | (size & 15), size >> 4
    found = bytearray()
    while size:
        found.append(byte | 0x80)
        byte, size = size & 0x7F, size >> 7
    return bytes([*found, byte])


@contextmanager
def server(first: bytes, then: bytes = b"", *, endless: bytes = b"") -> Iterator[str]:
    """Sends `first` to whoever asks, `then` when it asks for objects, `endless` for ever."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve(connection: socket.socket) -> None:
            with connection:
                connection.settimeout(20)
                try:
                    connection.recv(4096)
                    connection.sendall(first)
                    while endless:
                        connection.sendall(endless)
                    wanted = b""
                    while then and b"done" not in wanted:
                        part = connection.recv(65536)
                        if not part:
                            return
                        wanted += part
                    connection.sendall(then)
                except OSError:
                    pass

        def accept() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                threading.Thread(target=serve, args=(connection,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield f"git://127.0.0.1:{listening.getsockname()[1]}/policy.git"
        listening.shutdown(socket.SHUT_RDWR)


@contextmanager
def mirror_to(url: str, folder: Path, call_s: float = CALL_S) -> Iterator[Mirror]:
    transport = RemoteTransport(address(url), RemoteLimits(call_s=call_s, memory_bytes_max=2**30))
    mirror = Mirror(folder / "mirror.git", transport.address, transport, MirrorOptions())
    try:
        yield mirror
    finally:
        transport.close()


def files_of(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


# --- A: paths and links ---


@pytest.mark.parametrize("name", ["refs", "objects"])
def test_a8_repository_that_is_a_link_into_another_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "secret").mkdir()
    secret = PolicyRepo.create(tmp_path / "secret", {"a.yaml": "hidden"})
    repo = PolicyRepo.create(tmp_path, {"a.yaml": "1"})
    shutil.rmtree(repo.bare / name)
    (repo.bare / name).symlink_to(secret.bare / name)
    with pytest.raises(Permanent, match="link into another repository; name that one with --repo"):
        mirror_of(repo, tmp_path).fetch()


def test_a4_mirror_is_made_beside_itself_and_nowhere_else(tmp_path: Path) -> None:
    """In the state directory, which is private: nobody can guess, or put something in its place."""
    repo = PolicyRepo.create(tmp_path, {"a.yaml": "1"})
    state = tmp_path / "state"
    state.mkdir()
    mirror = mirror_of(repo, state)
    mirror.fetch()
    mirror.rebuild()
    assert [path.name for path in state.iterdir()] == ["mirror.git"]


# --- B: protocol and object store ---


@pytest.mark.parametrize(
    "ref",
    [
        b"refs/heads/../../config", b"refs/heads/status/../../../../evil", b"../../secret",
        b"refs/heads/status/a\x01b", b"refs/heads/status/a b", b"refs/heads/status/-x",
        b"refs/heads/status/.lock", b"refs/heads/status/x.lock", b"refs/heads/status//x",
        b"refs/heads/status/" + b"n" * 60_000, b"refs/heads/status/a\\..\\b", b"HEAD", b"",
        b"refs/heads/status/@{0}", b"refs/heads/status/\xff\xfe",
    ],
    ids=lambda ref: repr(ref[:30]),
)  # fmt: skip
def test_b9_name_of_a_ref_writes_nothing_outside_of_refs(tmp_path: Path, ref: bytes) -> None:
    blob = b"x"
    oid = hashlib.sha1(b"blob 1\0x").hexdigest()
    answer = pkt(b"NAK\n") + pkt(b"\1" + pack(header(3, 1) + zlib.compress(blob))) + b"0000"
    with (
        server(advertised(MAIN.encode(), ref, oid=oid), answer) as url,
        mirror_to(url, tmp_path) as mirror,
    ):
        try:
            tips = mirror.fetch()
        except GitFailed:
            tips = {}
    assert all(name.startswith("refs/heads/") and ".." not in name for name in tips)
    written = files_of(tmp_path)
    assert all(name.startswith("mirror.git/") for name in written)
    assert "mirror.git/evil" not in written
    if "mirror.git/config" in written:
        assert "bare = true" in (tmp_path / "mirror.git" / "config").read_text()


@pytest.mark.parametrize(
    "answer",
    [
        b"", b"0000", b"0001", b"0003", b"-001", b"zzzz", b"ffff", b"fff0" + b"x" * 100,
        b"\0" * 1000, b"HTTP/1.1 200 OK\r\n\r\n", pkt(b"ERR \x1b[31m no\n"), pkt(b"\n") * 1000,
        pkt(b"1 refs/heads/main\n"), pkt(b"g" * 40 + b" refs/heads/main\0\n") + b"0000",
        advertised(b"refs/heads/main") + b"trailing", pkt(OID.encode() + b"\0" + b"cap " * 5000),
    ],
    ids=lambda answer: repr(answer[:20]),
)  # fmt: skip
def test_b10_nonsense_of_a_server_is_a_failed_fetch(tmp_path: Path, answer: bytes) -> None:
    with (
        server(answer) as url,
        mirror_to(url, tmp_path) as mirror,
        pytest.raises(GitFailed) as told,
    ):
        mirror.fetch()
    assert "\x1b" not in str(told.value)


@pytest.mark.parametrize(
    "endless",
    [pkt(OID.encode() + b" refs/heads/" + b"n" * 60_000 + b"\n"), pkt(b"\n"), b"0"],
    ids=["refs", "lines", "digits"],
)
def test_b10_answer_without_end_costs_the_limits_and_no_more(
    tmp_path: Path, endless: bytes
) -> None:
    with (
        server(b"", endless=endless * 16) as url,
        mirror_to(url, tmp_path) as mirror,
        pytest.raises(GitFailed),
    ):
        mirror.fetch()


@pytest.mark.parametrize("scheme", ["git", "http", "https", "ssh"])
def test_b10_server_that_accepts_and_stays_silent_costs_the_limit(
    tmp_path: Path, scheme: str
) -> None:
    """Whatever is spoken: the child is killed from outside."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"{scheme}://127.0.0.1:{silent.getsockname()[1]}/policy.git"
        with mirror_to(url, tmp_path, call_s=0.7) as mirror, pytest.raises(GitFailed):
            mirror.fetch()


BOMB = zlib.compress(b"\0" * 50_000_000)
PACKS: dict[str, Callable[[], bytes]] = {
    "expands beyond its size": lambda: pack(header(3, 10) + BOMB),
    "says a terabyte": lambda: pack(header(3, 2**40) + zlib.compress(b"x")),
    "delta upon itself": lambda: pack(header(6, 4) + b"\0" + zlib.compress(b"\x01\x01\x90\x01")),
    "delta before the pack": lambda: pack(header(6, 4) + b"\xff\x7f" + zlib.compress(b"1")),
    "delta of nothing": lambda: pack(header(7, 4) + b"\x11" * 20 + zlib.compress(b"\1\1\1x")),
    "four thousand million objects": lambda: pack(count=2**32 - 1),
    "no type": lambda: pack(header(0, 1) + zlib.compress(b"x")),
    "another version": lambda: b"PACK\0\0\0\x09\0\0\0\0" + b"\0" * 20,
    "no zlib": lambda: pack(header(3, 100) + b"\xff" * 100),
    "wrong sum": lambda: pack(header(3, 1) + zlib.compress(b"x"))[:-20] + b"\0" * 20,
    "cut short": lambda: pack(header(3, 1) + zlib.compress(b"x"))[:-30],
    "nothing": lambda: b"",
}


@pytest.mark.parametrize("name", PACKS)
def test_b11_pack_that_is_a_trap_is_a_failed_fetch(tmp_path: Path, name: str) -> None:
    trap = PACKS[name]()
    parts = b"".join(pkt(b"\1" + trap[i : i + 60_000]) for i in range(0, len(trap), 60_000))
    with (
        server(advertised(MAIN.encode()), pkt(b"NAK\n") + parts + b"0000") as url,
        mirror_to(url, tmp_path) as mirror,
    ):
        with pytest.raises(GitFailed):
            mirror.fetch()
        assert mirror.held() == {}


@pytest.mark.parametrize(
    "text",
    [
        "ext::sh -c touch% evil", "fd::17", "ssh://-oProxyCommand=touch/evil", "git://-oX/evil",
        "-oX@host:repo", "ssh://-l@host/x", "https:///host/evil.git",
        "git://host/a\nb", "git://host/\r\nHost: other", "git://host/a\0b", "ssh://host:port/x",
        "javascript://x", "ftp://host/x", "https://[::1/x", "ssh://@/x", "git:///x", "a\x1b[31m",
    ],
)  # fmt: skip
def test_b12_address_that_is_more_than_one_is_refused_with_its_cure(text: str) -> None:
    with pytest.raises(Permanent) as told:
        address(text)
    assert str(told.value).isprintable()


@pytest.mark.parametrize(
    "text", ["--upload-pack=touch evil", "-c", "~nobody/x", "$(touch evil)", "`touch evil`", ";x"]
)
def test_b12_text_that_is_no_address_is_a_path(
    tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    where = address(text)
    assert where.path is not None
    assert where.path.is_absolute()
    assert files_of(tmp_path) == set()


def test_b14_what_a_local_repository_would_run_is_not_run(tmp_path: Path) -> None:
    repo = PolicyRepo.create(tmp_path, {"a.yaml": "1"})
    evil = tmp_path / "evil"
    script = f"#!/bin/sh\ntouch {evil}\n"
    for name in (
        "post-update",
        "pre-receive",
        "post-checkout",
        "fsmonitor-watchman",
        "proc-receive",
    ):
        hook = repo.bare / "hooks" / name
        hook.write_text(script)
        hook.chmod(0o755)
    command = f"touch {evil}"
    for key in (
        "core.fsmonitor", "core.sshCommand", "core.gitProxy", "uploadpack.packObjectsHook",
        "filter.x.smudge", "credential.helper", "core.hooksPath", "core.alternateRefsCommand",
    ):  # fmt: skip
        git(repo.bare, "config", key, command)
    commit = repo.tip("main")
    mirror = mirror_of(repo, tmp_path)
    assert mirror.fetch() == {MAIN: commit}
    assert contents(mirror, commit) == {"a.yaml": b"1"}
    assert not evil.exists()


def test_b14_configuration_that_includes_a_file_shows_nothing_of_it(tmp_path: Path) -> None:
    repo = PolicyRepo.create(tmp_path, {"a.yaml": "1"})
    secret = tmp_path / "secret"
    secret.write_text("password = hunter2 [\n")
    git(repo.bare, "config", "include.path", str(secret))
    mirror = mirror_of(repo, tmp_path)
    said = ""
    try:
        mirror.fetch()
    except GitFailed as error:
        said = str(error)
    assert "hunter2" not in said


def test_b14_replacements_and_grafts_of_a_repository_change_no_history(tmp_path: Path) -> None:
    """With them a rewritten branch would look like a descendant, and one file like another."""
    repo = PolicyRepo.create(tmp_path, {"a.yaml": "1"})
    old = repo.tip("main")
    git(repo.work, "checkout", "--quiet", "--orphan", "other")
    new = repo.commit({"a.yaml": "evil"})
    git(repo.work, "push", "--quiet", "--force", "origin", "other:main")
    git(repo.bare, "update-ref", "refs/heads/old", old)
    blob = git(repo.bare, "rev-parse", f"{new}:a.yaml")
    other = git(repo.bare, "hash-object", "-w", "--stdin", stdin=b"replaced")
    git(repo.bare, "replace", blob, other)
    (repo.bare / "info").mkdir(exist_ok=True)
    (repo.bare / "info" / "grafts").write_text(f"{new} {old}\n")
    (repo.bare / "shallow").write_text("")
    mirror = mirror_of(repo, tmp_path, MirrorOptions(also=("refs/heads/old",)))
    mirror.fetch()
    assert not mirror.descends(new, old)
    assert contents(mirror, new) == {"a.yaml": b"evil"}
    assert not (mirror.folder / "refs" / "replace").exists()


def test_b14_mirror_never_looks_into_another_repository(tmp_path: Path) -> None:
    """A repository with alternates is read; the mirror holds objects of its own."""
    (tmp_path / "shared").mkdir()
    shared = PolicyRepo.create(tmp_path / "shared", {"a.yaml": "1"})
    git(tmp_path, "clone", "--quiet", "--bare", "--shared", str(shared.bare), "policy.git")
    repo = PolicyRepo(tmp_path / "policy.git", tmp_path / "work")
    mirror = mirror_of(repo, tmp_path)
    commit = mirror.fetch()[MAIN]
    shutil.rmtree(tmp_path / "shared")
    assert contents(mirror, commit) == {"a.yaml": b"1"}
    assert not (mirror.folder / "objects" / "info" / "alternates").exists()


def test_b15_mirror_of_a_local_repository_shares_no_file_with_it(tmp_path: Path) -> None:
    repo = PolicyRepo.create(tmp_path, {"a.yaml": "1"})
    (repo.bare / "objects" / "11").mkdir()
    (repo.bare / "objects" / "11" / ("1" * 38)).symlink_to("/etc/passwd")
    mirror = mirror_of(repo, tmp_path)
    mirror.fetch()
    for file in mirror.folder.rglob("*"):
        if file.is_file():
            assert file.lstat().st_nlink == 1
            assert not stat.S_ISLNK(file.lstat().st_mode)


# --- the mirror itself ---


@pytest.mark.parametrize(
    "spoil",
    ["packed-refs", "config", "HEAD", "refs", "objects", "pack cut", "index gone", "one byte"],
)
def test_mirror_that_is_damaged_anywhere_heals_itself(tmp_path: Path, spoil: str) -> None:
    repo = PolicyRepo.create(tmp_path, {"a.yaml": "1", "b/c.yaml": "2"})
    mirror = mirror_of(repo, tmp_path)
    commit = mirror.fetch()[MAIN]
    folder = mirror.folder
    files = [path for path in (folder / "objects").rglob("*") if path.is_file()]
    for path in files:
        path.chmod(0o600)
    match spoil:
        case "packed-refs" | "config" | "HEAD":
            (folder / spoil).write_bytes(b"\0garbage [[[\n" * 10)
        case "refs" | "objects":
            shutil.rmtree(folder / spoil)
            (folder / spoil).write_bytes(b"a file")
        case "pack cut":
            for path in files:
                path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        case "index gone":
            for path in files:
                if path.suffix in {".idx", ""}:
                    path.unlink()
        case "one byte":
            for path in files:
                body = bytearray(path.read_bytes())
                body[len(body) // 2] ^= 0x10
                path.write_bytes(body)
    assert mirror.fetch() == {MAIN: commit}
    assert contents(mirror, commit) == {"a.yaml": b"1", "b/c.yaml": b"2"}
    again = repo.push({"a.yaml": "3"})
    assert mirror.fetch()[MAIN] == again


@pytest.mark.parametrize("left", ["config.lock", "packed-refs.lock", "HEAD.lock", f"{MAIN}.lock"])
def test_lock_that_a_killed_process_left_stops_nothing(tmp_path: Path, left: str) -> None:
    repo = PolicyRepo.create(tmp_path, {"a.yaml": "1"})
    mirror_of(repo, tmp_path).rebuild()
    lock = tmp_path / "mirror.git" / left
    lock.parent.mkdir(parents=True, exist_ok=True)
    lock.touch()
    commit = repo.push({"a.yaml": "2"})
    assert mirror_of(repo, tmp_path).fetch() == {MAIN: commit}


def test_config_lock_of_a_first_use_stops_no_remote(tmp_path: Path) -> None:
    """The child writes a setting into a new mirror: killed there, it left the lock for good."""
    with server(advertised(MAIN.encode())) as url, mirror_to(url, tmp_path) as mirror:
        for _ in range(2):
            with pytest.raises(GitFailed) as told:
                mirror.fetch()
            assert "lock" not in str(told.value)
            (mirror.folder / "config").write_text("[core]\n\tbare = true\n")
            (mirror.folder / "config.lock").touch()
