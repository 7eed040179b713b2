"""What a status remote may do to a writer, each with real Git: a repository of this machine, and a
server over git:// with its hooks.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from reconciler.demo.ports import free_ports
from reconciler.git.address import address
from reconciler.git.errors import RefMoved, Throttled
from reconciler.git.remote import RemoteLimits
from reconciler.git.status_journal import FileJournal
from reconciler.git.transport import Move, failure
from reconciler.status.document import StatusInput
from reconciler.status.follower import FollowerOptions, StatusFollower
from reconciler.status.writer import StatusWriter, status_writer
from reconciler.steps.status_state import (
    Change,
    Content,
    Failed,
    Push,
    Pushed,
    ReadTips,
    Refusal,
    Refused,
    StatusSettings,
    Tip,
    TipsRead,
)
from tests.support.git_repos import PolicyRepo, git, git_daemon
from xds.resource import digest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

EAST = "refs/heads/status/east"
LOG = logging.getLogger("test")
ONE, TWO = (Content(name, {"ingress.yaml": name.encode()}, name) for name in ("one", "two"))


def writer_to(url: str, state: Path, zone: str | None = "east") -> StatusWriter:
    state.mkdir(exist_ok=True)
    limits = RemoteLimits(call_s=20)
    return status_writer(zone, address(url), state, time.time, limits=limits)


@contextmanager
def remote(kind: str, folder: Path) -> Iterator[tuple[PolicyRepo, str]]:
    repo = PolicyRepo.create(folder, {"a.yaml": "0"})
    if kind == "file":
        yield repo, f"file://{repo.bare}"
    else:
        with git_daemon(folder) as url:
            yield repo, f"{url}/policy.git"


def push(writer: StatusWriter, **changes: Change) -> dict[str, str | Refused]:
    answer = writer.carry_out(Push(changes))
    assert isinstance(answer, Pushed), answer
    return dict(answer.results)


def tip(writer: StatusWriter) -> Tip:
    answer = writer.carry_out(ReadTips(("east",)))
    assert isinstance(answer, TipsRead), answer
    found = answer.tips["east"]
    assert isinstance(found, Tip), found
    return found


def chain_of(writer: StatusWriter, count: int) -> str:
    oid = tip(writer).oid
    for number in range(count):
        content = Content(str(number), {"ingress.yaml": str(number).encode()})
        found = push(writer, east=Change(content, oid, number + 1, 1e9))["east"]
        assert isinstance(found, str)
        oid = found
    assert oid is not None
    return oid


def hook(repo: PolicyRepo, name: str, script: str) -> None:
    path = repo.bare / "hooks" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


# --- rollover ---


@pytest.mark.parametrize("kind", ["file", "daemon"])
def test_a_rollover_is_a_new_root_that_says_what_it_replaces(tmp_path: Path, kind: str) -> None:
    with remote(kind, tmp_path) as (repo, url):
        writer = writer_to(url, tmp_path / "state")
        old = chain_of(writer, 3)
        dropped = git(repo.bare, "rev-list", "--reverse", EAST).split()
        new = push(writer, east=Change(ONE, old, 1, 2e9, rollover=True))["east"]
        assert repo.tip(EAST) == new
        assert git(repo.bare, "rev-list", EAST).split() == [new]
        said = git(repo.bare, "show", "-s", "--format=%(trailers)", EAST)
        assert f"Replaces: {old}\n" in said
        assert "Replaced-Commits: 3\n" in said
        assert f"Replaced-Chain: sha256:{digest(oid.encode() for oid in dropped)}" in said
        found = tip(writer)
        assert (found.number, found.began_at, found.foreign) == (1, 2e9, "")
        assert isinstance(push(writer, east=Change(TWO, found.oid, 2, 2e9))["east"], str)
        writer.close()


@pytest.mark.parametrize("kind", ["file", "daemon"])
def test_a_rollover_that_meets_another_writer_writes_nothing(tmp_path: Path, kind: str) -> None:
    with remote(kind, tmp_path) as (repo, url):
        writer = writer_to(url, tmp_path / "state")
        old = chain_of(writer, 2)
        rival = git(repo.bare, "commit-tree", f"{old}^{{tree}}", "-p", old, "-m", "rival")
        git(repo.bare, "update-ref", EAST, rival)
        why = push(writer, east=Change(ONE, old, 1, 2e9, rollover=True))["east"]
        assert isinstance(why, Refused)
        assert why.kind is Refusal.MOVED
        assert repo.tip(EAST) == rival
        found = tip(writer)
        assert "is also written by 'Tester'" in found.foreign
        assert rival[:12] in found.foreign
        assert "'rival'" in found.foreign
        writer.close()


@pytest.mark.parametrize("kind", ["file", "daemon"])
def test_a_repository_that_lets_refs_grow_only_refuses_it(tmp_path: Path, kind: str) -> None:
    with remote(kind, tmp_path) as (repo, url):
        git(repo.bare, "config", "receive.denyNonFastForwards", "true")
        writer = writer_to(url, tmp_path / "state")
        old = chain_of(writer, 2)
        why = push(writer, east=Change(ONE, old, 1, 2e9, rollover=True))["east"]
        assert isinstance(why, Refused)
        assert why.kind is Refusal.NO_REWRITE
        assert repo.tip(EAST) == old
        assert isinstance(push(writer, east=Change(ONE, old, 3, 1e9))["east"], str)
        assert git(repo.bare, "rev-list", "--count", EAST) == "3", "on top of its history"
        writer.close()


# --- several refs in one push ---


def test_one_push_carries_all_refs_and_one_that_moved_holds_up_no_other(tmp_path: Path) -> None:
    with remote("daemon", tmp_path) as (repo, url):
        received = tmp_path / "received"
        hook(repo, "post-receive", f"wc -l >> {received}")
        writer = writer_to(url, tmp_path / "state", None)
        writer.carry_out(ReadTips(("east", "west", "north")))
        first = push(writer, **{z: Change(ONE, None, 1, 1e9) for z in ("east", "west", "north")})
        assert all(isinstance(oid, str) for oid in first.values())
        assert received.read_text().split() == ["3"]
        rival = git(repo.bare, "commit-tree", f"{EAST}^{{tree}}", "-m", "rival")
        git(repo.bare, "update-ref", EAST, rival)
        second = push(writer, **{z: Change(TWO, str(oid), 2, 1e9) for z, oid in first.items()})
        assert isinstance(second["east"], Refused)
        assert second["east"].kind is Refusal.MOVED
        assert received.read_text().split() == ["3", "2"]
        assert repo.tip(EAST) == rival
        assert repo.tip("refs/heads/status/west") == second["west"]
        writer.close()


def test_a_hook_that_refuses_one_ref_is_told_in_its_words_and_lets_the_others_pass(
    tmp_path: Path,
) -> None:
    with remote("daemon", tmp_path) as (repo, url):
        hook(repo, "update", 'test "$1" != refs/heads/status/west')
        writer = writer_to(url, tmp_path / "state", None)
        writer.carry_out(ReadTips(("east", "west")))
        found = push(writer, east=Change(ONE, None), west=Change(ONE, None))
        assert repo.tip(EAST) == found["east"]
        assert isinstance(found["west"], Refused)
        assert found["west"].kind is Refusal.REJECTED
        assert "refuses writes to refs/heads/status/west" in found["west"].message
        assert "--status-prefix" in found["west"].message
        writer.close()


def test_a_push_that_the_server_lost_is_found_by_reading_back(tmp_path: Path) -> None:
    """Servers were seen that report success and drop one of two pushes."""
    with remote("daemon", tmp_path) as (repo, url):
        writer = writer_to(url, tmp_path / "state")
        old = chain_of(writer, 1)
        hook(repo, "post-receive", f"git update-ref {EAST} {old}")
        why = push(writer, east=Change(ONE, old, 2, 1e9))["east"]
        assert isinstance(why, Refused)
        assert why.kind is Refusal.MOVED
        assert "reported" in why.message
        writer.close()


# --- crashes ---


@pytest.mark.parametrize("kind", ["file", "daemon"])
def test_a_push_whose_answer_was_lost_with_the_process_is_repeated_as_the_same_commit(
    tmp_path: Path, kind: str
) -> None:
    with remote(kind, tmp_path) as (repo, url):
        first = writer_to(url, tmp_path / "state")
        old = chain_of(first, 1)
        moved: list[Move] = []

        def crash(moves: tuple[Move, ...]) -> None:
            moved.extend(moves)
            raise OSError("the process ends here")

        first.refs.move = crash  # type: ignore[method-assign,assignment]
        assert isinstance(first.carry_out(Push({"east": Change(ONE, old, 2, 1e9)})), Failed)
        first.close()
        (intended,) = moved
        written = FileJournal(tmp_path / "state" / "status-refs.json").intents[EAST]
        assert (written.old, written.new) == (old, intended.oid)
        second = writer_to(url, tmp_path / "state")
        assert tip(second).foreign == ""
        assert push(second, east=Change(ONE, old, 2, 1e9))["east"] == intended.oid
        assert repo.tip(EAST) == intended.oid
        second.close()


def test_what_a_killed_push_left_in_the_mirror_goes_with_the_next(tmp_path: Path) -> None:
    with remote("daemon", tmp_path) as (_, url):
        writer = writer_to(url, tmp_path / "state")
        mirror, old = tmp_path / "state" / "status.git", chain_of(writer, 1)
        git(mirror, "update-ref", f"refs/outgoing/{old}", old)
        assert isinstance(push(writer, east=Change(ONE, old, 2, 1e9))["east"], str)
        assert git(mirror, "for-each-ref", "refs/outgoing") == ""
        writer.close()


def test_a_push_that_had_arrived_before_the_crash_is_known_as_ours(tmp_path: Path) -> None:
    repo = PolicyRepo.create(tmp_path, {"a.yaml": "0"})
    first = writer_to(str(repo.bare), tmp_path / "state")
    chain_of(first, 2)
    found = tip(writer_to(str(repo.bare), tmp_path / "state"))
    assert found.oid == repo.tip(EAST)
    assert found.foreign == ""


@pytest.mark.parametrize("text", ["", "{", '{"format": 9}', "[]"])
def test_a_journal_that_cannot_be_read_says_nothing(tmp_path: Path, text: str) -> None:
    path = tmp_path / "status-refs.json"
    path.write_text(text)
    assert FileJournal(path).intents == {}


def test_nothing_is_pushed_that_could_not_be_written_down(tmp_path: Path) -> None:
    repo = PolicyRepo.create(tmp_path, {"a.yaml": "0"})
    state = tmp_path / "state"
    writer = writer_to(str(repo.bare), state)
    tip(writer)
    state.rmdir()
    answer = writer.carry_out(Push({"east": Change(ONE, None)}))
    assert isinstance(answer, Failed)
    with pytest.raises(RuntimeError):
        repo.tip(f"{EAST}^{{commit}}")


# --- away, slow, at the end ---


def follower_of(writer: StatusWriter, coalesce_s: float = 0.0) -> StatusFollower:
    settings = StatusSettings(backoff=lambda _: 0.05, coalesce_s=coalesce_s, pushes_per_minute=0)
    return StatusFollower(writer, FollowerOptions(settings=settings), LOG)


async def eventually(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not await asyncio.to_thread(holds):  # noqa: ASYNC110 - Git is another process
            await asyncio.sleep(0.01)


async def test_a_server_that_was_away_is_caught_up_with_one_commit(tmp_path: Path) -> None:
    repo = PolicyRepo.create(tmp_path, {"a.yaml": "0"})
    (port,) = free_ports(1)
    follower = follower_of(writer_to(f"git://127.0.0.1:{port}/policy.git", tmp_path / "state"))
    for number in range(5):
        follower.want(StatusInput(zone="east", revision=f"r{number}"))
    await eventually(lambda: "refused" in follower.error or "connect" in follower.error)
    assert follower.facts()["behind"] == 1
    with git_daemon(tmp_path, port):
        await eventually(lambda: follower.state.counters.commits == 1 and not follower.error)
    await follower.stop()
    assert git(repo.bare, "rev-list", "--count", EAST) == "1"
    assert "revision: r4\n" in git(repo.bare, "show", f"{EAST}:applied.yaml") + "\n"


async def test_at_the_end_what_waits_is_pushed_and_a_server_that_hangs_is_not_waited_for(
    tmp_path: Path,
) -> None:
    repo = PolicyRepo.create(tmp_path, {"a.yaml": "0"})
    follower = follower_of(writer_to(str(repo.bare), tmp_path / "one"), coalesce_s=3600)
    follower.want(StatusInput(zone="east", revision="r1"))
    await eventually(lambda: follower.state.counters.commits == 1)
    follower.want(StatusInput(zone="east", revision="r2"))
    await follower.stop()
    assert follower.state.counters.commits == 2
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"git://127.0.0.1:{silent.getsockname()[1]}/policy.git"
        hung = follower_of(writer_to(url, tmp_path / "two"))
        hung.want(StatusInput(zone="east", revision="r1"))
        await eventually(lambda: bool(hung.state.reading))
        started = time.monotonic()
        await hung.stop()
        assert time.monotonic() - started < 4.5, "of the 5 s that a control plane has to end"


def test_a_server_that_asks_for_fewer_calls_is_understood() -> None:
    where = address("https://forge.example/x.git")
    for text in ("unexpected http status code: 429", "remote: You have exceeded a rate limit"):
        assert isinstance(failure(ValueError(text), where), Throttled)
    assert isinstance(failure(ValueError("cannot push non-fast-forward"), where), RefMoved)
