"""Remote repositories over git:// on loopback: limits, restarts, and compare-and-swap pushes."""

from __future__ import annotations

import http.server
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from reconciler.git import remote_child
from reconciler.git.address import address
from reconciler.git.errors import Permanent, RefMoved, Transient
from reconciler.git.frames import encode_frame
from reconciler.git.mirror import Mirror, MirrorOptions
from reconciler.git.remote import RemoteLimits, RemoteTransport
from reconciler.git.status_ref import NewCommit, RemoteStatusRefs
from reconciler.git.transport import Callbacks, Move, failure
from tests.support.git_repos import PolicyRepo, git, git_daemon

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MAIN = "refs/heads/main"
EAST = "refs/heads/status/east"


@contextmanager
def transport(url: str, *, call_s: float = 20) -> Iterator[RemoteTransport]:
    opened = RemoteTransport(address(url), RemoteLimits(call_s=call_s))
    try:
        yield opened
    finally:
        opened.close()


def mirror_over(opened: RemoteTransport, folder: Path) -> Mirror:
    return Mirror(folder / "mirror.git", opened.address, opened, MirrorOptions())


class EastRef:
    """The one ref of a zone, on a server."""

    def __init__(self, folder: Path, opened: RemoteTransport) -> None:
        self.refs = RemoteStatusRefs(folder, opened, (EAST,))

    def read(self) -> tuple[str | None, dict[str, bytes]]:
        found = self.refs.read((EAST,))[EAST]
        if isinstance(found, Exception):
            raise found
        return (None, {}) if found is None else (found.oid, dict(found.files))

    def write(self, commit: NewCommit) -> str:
        oid = self.refs.prepare(commit)
        failed = self.refs.move((Move(EAST, commit.parent, oid),))
        if failed:
            raise failed[EAST]
        return oid


def commit_of(text: bytes, parent: str | None) -> NewCommit:
    return NewCommit(
        {"ingress.yaml": text}, parent, "status(east): test\n", "Zone <z@invalid>", 1e9
    )


def test_fetches_through_the_child_and_survives_its_death(tmp_path: Path) -> None:
    repo = PolicyRepo.create(tmp_path, {"a.yaml": "0"})
    with git_daemon(tmp_path) as url, transport(f"{url}/policy.git") as opened:
        mirror = mirror_over(opened, tmp_path)
        assert mirror.fetch() == {MAIN: repo.tip("main")}
        child = opened._child
        assert child is not None
        os.kill(child.pid, signal.SIGKILL)
        child.wait(10)
        commit = repo.push({"a.yaml": "1"})
        assert mirror.fetch() == {MAIN: commit}


def test_a_server_that_never_answers_costs_the_limit_and_no_more(tmp_path: Path) -> None:
    """Accepts, then says nothing: the child is killed, and the next call starts a new one."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"git://127.0.0.1:{silent.getsockname()[1]}/policy.git"
        with transport(url, call_s=1.0) as opened:
            mirror = mirror_over(opened, tmp_path)
            for _ in range(2):
                started = time.monotonic()
                with pytest.raises(Transient, match=r"--git-timeout|timed out"):
                    mirror.fetch()
                assert time.monotonic() - started < 5


def test_a_server_that_answers_drop_by_drop_is_killed(tmp_path: Path) -> None:
    """Each byte resets libgit2's own timeout; the wall clock does not care."""
    with socket.create_server(("127.0.0.1", 0)) as slow:
        threading.Thread(target=_drip, args=(slow,), daemon=True).start()
        url = f"git://127.0.0.1:{slow.getsockname()[1]}/policy.git"
        with (
            transport(url, call_s=1.5) as opened,
            pytest.raises(Transient, match=r"--git-timeout"),
        ):
            mirror_over(opened, tmp_path).fetch()


def _drip(server: socket.socket) -> None:
    try:
        connection, _ = server.accept()
        with connection:
            connection.sendall(b"1000")  # a line of 4096 bytes is announced
            while True:
                connection.sendall(b"x")
                time.sleep(0.2)
    except OSError:
        return


def test_closing_breaks_off_a_call(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"git://127.0.0.1:{silent.getsockname()[1]}/policy.git"
        opened = RemoteTransport(address(url), RemoteLimits(call_s=60))
        closing = threading.Timer(1.0, opened.close)
        closing.start()
        with pytest.raises(Transient):
            mirror_over(opened, tmp_path).fetch()
        closing.join()


def test_the_child_of_a_parent_that_was_killed_ends_without_a_word(tmp_path: Path) -> None:
    """It was asking a server when nobody was left to hear the answer."""
    git(tmp_path, "init", "--quiet", "--bare", "mirror.git")
    said = tmp_path / "stderr"
    command = [sys.executable, "-m", remote_child.__name__, str(2**31), "20"]
    with socket.create_server(("127.0.0.1", 0)) as server, said.open("wb") as stderr:
        url = f"git://127.0.0.1:{server.getsockname()[1]}/policy.git"
        child = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr
        )
        assert child.stdin is not None
        assert child.stdout is not None
        request = {"do": "list_refs", "mirror": str(tmp_path / "mirror.git"), "url": url}
        child.stdin.write(encode_frame(request))
        child.stdin.flush()
        asking, _ = server.accept()
        child.stdout.close()
        child.stdin.close()
        asking.close()
        assert child.wait(10) == 0
    assert said.read_bytes() == b""


class _Stuck(subprocess.Popen[bytes]):
    """A killed process that hangs in the kernel: it has not ended when the wait for it has."""

    def wait(self, timeout: float | None = None) -> int:
        super().wait()
        raise subprocess.TimeoutExpired(self.args, timeout or 0)


def test_a_child_that_outlives_its_kill_is_a_fault_of_the_world(tmp_path: Path) -> None:
    """Any other exception would end the control plane."""
    with transport("git://127.0.0.1:1/policy.git", call_s=0.1) as opened:
        opened._child = _Stuck(["sleep", "60"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        with pytest.raises(Transient, match="--git-timeout"):
            opened.list_refs(tmp_path)


def test_faults_of_the_server_name_their_cure(tmp_path: Path) -> None:
    PolicyRepo.create(tmp_path, {"a.yaml": "0"})
    with (
        git_daemon(tmp_path) as url,
        transport(f"{url}/other.git") as opened,
        pytest.raises(Permanent, match="check the address"),
    ):
        mirror_over(opened, tmp_path).fetch()
    with transport(f"{url}/policy.git") as opened, pytest.raises(Transient, match="refused"):
        mirror_over(opened, tmp_path).fetch()


def test_a_process_with_thousands_of_open_connections_still_fetches(tmp_path: Path) -> None:
    """As a zone with a thousand proxies has them: descriptors above 1023."""
    repo = PolicyRepo.create(tmp_path, {"a.yaml": "0"})
    opened_files = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
    try:
        with git_daemon(tmp_path) as url, transport(f"{url}/policy.git") as opened:
            assert mirror_over(opened, tmp_path).fetch() == {MAIN: repo.tip("main")}
    finally:
        for descriptor in opened_files:
            os.close(descriptor)


class _Answers(http.server.BaseHTTPRequestHandler):
    """401 with a request for a password; under /moved/ a redirect to the other name of this host.

    Keeps (host asked for, Authorization) of each request on the server.
    """

    def do_GET(self) -> None:
        self.server.seen.append((self.headers["Host"].split(":")[0], self.headers["Authorization"]))  # type: ignore[attr-defined]
        moved = self.path.startswith("/moved/")
        self.send_response(302 if moved else 401)
        if moved:
            self.send_header("Location", f"http://localhost:{self.server.server_port}/there.git")  # type: ignore[attr-defined]
        self.send_header("WWW-Authenticate", "Basic realm=git")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing on the terminal."""


@contextmanager
def http_server() -> Iterator[tuple[str, list[tuple[str, str | None]]]]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Answers)
    server.seen = []  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", server.seen  # type: ignore[attr-defined]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_redirect_takes_the_token_to_no_other_host(tmp_path: Path) -> None:
    with http_server() as (url, seen):
        where = address(f"{url}/here.git", token="secret")
        opened = RemoteTransport(where, RemoteLimits(call_s=20))
        with pytest.raises(Permanent, match="refuses access"):
            mirror_over(opened, tmp_path).fetch()
        assert any(authorization for _, authorization in seen)  # it is the token that is looked for
        opened.close()
        seen.clear()
        moved = RemoteTransport(address(f"{url}/moved/x.git", token="secret"), RemoteLimits())
        with pytest.raises(Permanent, match="give the address it now has"):
            mirror_over(moved, tmp_path).fetch()
        moved.close()
        assert {host for host, _ in seen} == {"127.0.0.1"}


@pytest.mark.parametrize(
    ("url", "cure"), [("ssh://git@h/x.git", "known_hosts"), ("https://h/x.git", "SSL_CERT_FILE")]
)
def test_a_server_that_cannot_prove_who_it_is_is_refused(url: str, cure: str) -> None:
    """`valid` is libgit2's verdict: on an ssh host key it is whether known_hosts has it."""
    callbacks = Callbacks(address(url))
    assert callbacks.certificate_check(None, True, b"h")
    with pytest.raises(Permanent, match=cure):
        callbacks.certificate_check(None, False, b"h")


@pytest.mark.parametrize(
    "said",
    [
        "object not found - no match for id (4036051ca2b02b04ef92d5150c9ef600404cb401)",
        "failed to resolve address for git403.example: Name or service not known",
    ],
)
def test_digits_and_names_are_no_verdict_of_a_server(said: str) -> None:
    assert isinstance(failure(ValueError(said), address("https://h/x.git")), Transient)


def test_a_password_in_the_url_is_never_shown() -> None:
    assert str(address("https://user:p@ss@host/x.git")) == "https://host/x.git"
    with pytest.raises(Permanent) as raised:
        address("foo://user:secret@host/x")
    assert "secret" not in str(raised.value)
    where = address("https://user:secret@127.0.0.1:1/x", token="secret")
    assert "secret" not in f"{where} {where.token and ''}"
    answer = remote_child.answer({"mirror": "/nonexistent", "url": where.url, "do": "list_refs"})
    assert "secret" not in str(answer)


def test_the_first_status_commit_is_a_root_and_later_ones_grow_on_it(tmp_path: Path) -> None:
    repo = PolicyRepo.create(tmp_path, {"a.yaml": "0"})
    with git_daemon(tmp_path) as url, transport(f"{url}/policy.git") as opened:
        ref = EastRef(tmp_path / "status.git", opened)
        assert ref.read() == (None, {})
        first = ref.write(commit_of(b"one", None))
        second = ref.write(commit_of(b"two", first))
        assert ref.read() == (second, {"ingress.yaml": b"two"})
    assert repo.tip(EAST) == second
    assert git(repo.bare, "rev-list", EAST).split() == [second, first]


def test_a_push_that_lost_the_race_writes_nothing(tmp_path: Path) -> None:
    repo = PolicyRepo.create(tmp_path, {"a.yaml": "0"})
    with (
        git_daemon(tmp_path) as url,
        transport(f"{url}/policy.git") as opened,
        transport(f"{url}/policy.git") as rival_opened,
    ):
        ref = EastRef(tmp_path / "one.git", opened)
        rival = EastRef(tmp_path / "two.git", rival_opened)
        assert ref.read() == rival.read() == (None, {})
        first = rival.write(commit_of(b"rival", None))
        with pytest.raises(RefMoved):
            ref.write(commit_of(b"late", None))
        assert repo.tip(EAST) == first
        tip, files = ref.read()
        assert (tip, files) == (first, {"ingress.yaml": b"rival"})
        second = ref.write(commit_of(b"rebuilt", tip))
        with pytest.raises(RefMoved):
            rival.write(commit_of(b"late", first))
        assert git(repo.bare, "rev-list", EAST).split() == [second, first]


def test_a_server_that_refuses_the_ref_says_so(tmp_path: Path) -> None:
    repo = PolicyRepo.create(tmp_path, {"a.yaml": "0"})
    hook = repo.bare / "hooks" / "update"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    with git_daemon(tmp_path) as url, transport(f"{url}/policy.git") as opened:
        ref = EastRef(tmp_path / "status.git", opened)
        ref.read()
        with pytest.raises(Permanent, match="refuses writes to refs/heads/status/east"):
            ref.write(commit_of(b"one", None))


def test_a_branch_named_status_is_reported_with_the_setting(tmp_path: Path) -> None:
    repo = PolicyRepo.create(tmp_path, {"a.yaml": "0"})
    git(repo.bare, "update-ref", "refs/heads/status", MAIN)
    with git_daemon(tmp_path) as url, transport(f"{url}/policy.git") as opened:
        ref = EastRef(tmp_path / "status.git", opened)
        with pytest.raises(Permanent, match="--status-prefix"):
            ref.read()


def test_a_zone_that_writes_for_days_keeps_few_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A commit is four loose objects or more in the zone's own mirror."""
    monkeypatch.setattr("reconciler.git.packing.LOOSE_MAX", 255)
    repo = PolicyRepo.create(tmp_path, {"a.yaml": "0"})
    with git_daemon(tmp_path) as url, transport(f"{url}/policy.git") as opened:
        ref = EastRef(tmp_path / "status.git", opened)
        tip, _ = ref.read()
        most = 0
        for number in range(200):
            tip = ref.write(commit_of(str(number).encode(), tip))
            loose = list((tmp_path / "status.git" / "objects").glob("[0-9a-f][0-9a-f]/*"))
            most = max(most, len(loose))
            if len(loose) < most:
                break
        assert len(loose) < most
        tip = ref.write(commit_of(b"last", tip))
        assert ref.read() == (tip, {"ingress.yaml": b"last"})
        assert repo.tip("status/east") == tip


def test_a_child_out_of_memory_is_a_fault_with_a_cure(tmp_path: Path) -> None:
    repo = PolicyRepo.create(tmp_path, {"a.yaml": "0"})
    with git_daemon(tmp_path) as url:
        where = address(f"{url}/{repo.bare.name}")
        opened = RemoteTransport(where, RemoteLimits(call_s=20, memory_bytes_max=1024 * 1024))
        with pytest.raises(Transient):
            mirror_over(opened, tmp_path).fetch()
        opened.close()
