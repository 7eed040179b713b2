"""Status commits in a real local repository: compare-and-swap, one writer per ref, nothing lost."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
import tracemalloc
from typing import TYPE_CHECKING

import pytest

from reconciler.git.address import address
from reconciler.git.errors import Permanent, RefMoved
from reconciler.git.status_journal import MemoryJournal
from reconciler.git.status_ref import (
    LocalStatusRefs,
    NewCommit,
    check_prefix,
    ref_of_zone,
    zone_of_ref,
)
from reconciler.git.transport import Move
from reconciler.status import follower as follower_module
from reconciler.status.document import Inventory, Rendering, StatusInput
from reconciler.status.follower import FollowerOptions, Made, StatusFollower, content_of
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
from reconciler.steps.status_step import behind
from tests.support.git_repos import PolicyRepo, git, git_daemon

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

EAST = "refs/heads/status/east"
CONTENT = Content("d", {"ingress.yaml": b"x\n", "proxies/default/web.yaml": b"y\n"}, "first")
LOG = logging.getLogger("test")


def writer_in(repo: PolicyRepo, zone: str = "east") -> StatusWriter:
    return status_writer(zone, address(str(repo.bare)), repo.bare.parent, lambda: 1_700_000_000.0)


def push(writer: StatusWriter, parent: str | None, content: Content = CONTENT) -> str | Refused:
    zone = writer.zone or "east"
    answer = writer.carry_out(Push({zone: Change(content, parent, 1, 1e9)}))
    assert isinstance(answer, Pushed), answer
    return answer.results[zone]


def pushed(writer: StatusWriter, parent: str | None, content: Content = CONTENT) -> str:
    oid = push(writer, parent, content)
    assert isinstance(oid, str), oid
    return oid


def refused(writer: StatusWriter, parent: str | None) -> Refused:
    why = push(writer, parent)
    assert isinstance(why, Refused), why
    return why


def read(writer: StatusWriter) -> Tip | Refused:
    zone = writer.zone or "east"
    answer = writer.carry_out(ReadTips((zone,)))
    assert isinstance(answer, TipsRead), answer
    return answer.tips[zone]


def tip(writer: StatusWriter) -> Tip:
    found = read(writer)
    assert isinstance(found, Tip), found
    return found


def failed(writer: StatusWriter) -> Refused:
    answer = writer.carry_out(ReadTips((writer.zone or "east",)))
    assert isinstance(answer, Failed), answer
    return answer.refused


def test_the_first_commit_is_a_root_with_the_zones_name_and_time(tmp_path: Path) -> None:
    repo = PolicyRepo.create(tmp_path, {"a.yaml": "0"})
    writer = writer_in(repo)
    assert tip(writer) == Tip(None, None)
    oid = pushed(writer, None)
    assert repo.tip(EAST) == oid
    assert git(repo.bare, "show", "-s", "--format=%an|%at|%P|%s", oid) == (
        "mesh-reconciler zone east|1700000000||status(east): first"
    )
    assert git(repo.bare, "ls-tree", "-r", "--name-only", oid).split() == [
        "ingress.yaml",
        "proxies/default/web.yaml",
    ]
    assert git(repo.bare, "fsck", "--strict") == ""


def test_a_moved_ref_is_not_overwritten(tmp_path: Path) -> None:
    repo = PolicyRepo.create(tmp_path, {"a.yaml": "0"})
    writer = writer_in(repo)
    first = pushed(writer, None)
    rival = git(repo.bare, "commit-tree", f"{first}^{{tree}}", "-p", first, "-m", "rival")
    git(repo.bare, "update-ref", EAST, rival)
    answer = refused(writer, first)
    assert answer.kind is Refusal.MOVED
    assert repo.tip(EAST) == rival


def test_a_ref_locked_by_git_counts_as_moved(tmp_path: Path) -> None:
    repo = PolicyRepo.create(tmp_path, {"a.yaml": "0"})
    writer = writer_in(repo)
    first = pushed(writer, None)
    (repo.bare / f"{EAST}.lock").touch()
    answer = refused(writer, first)
    assert answer.kind is Refusal.MOVED
    assert "being written" in answer.message
    assert "remove that lock" in answer.message


def test_a_tree_no_zone_could_write_is_written_over(tmp_path: Path) -> None:
    """Whoever pushed it must not silence the zone: its next commit goes on top."""
    repo = PolicyRepo.create(tmp_path, {"/".join("d" * 70) + "/x": "0"})
    git(repo.bare, "update-ref", EAST, "refs/heads/main")
    writer = writer_in(repo)
    pushed(writer, tip(writer).oid)
    assert git(repo.bare, "show", f"{EAST}:ingress.yaml") == "x"
    assert git(repo.bare, "rev-parse", f"{EAST}^") == repo.tip("main")


def test_a_tree_beyond_all_room_is_not_read(tmp_path: Path) -> None:
    """One blob of zeros under many names: next to nothing in Git, gigabytes when read."""
    repo = PolicyRepo.create(tmp_path, {"a.yaml": "0"})
    blob = git(repo.bare, "hash-object", "-w", "--stdin", stdin=bytes(8 * 1024 * 1024))
    rows = "".join(f"100644 blob {blob}\t{n:04}\n" for n in range(2_000))
    tree = git(repo.bare, "mktree", stdin=rows.encode())
    git(repo.bare, "update-ref", EAST, git(repo.bare, "commit-tree", tree, "-m", "bomb"))
    tracemalloc.start()
    writer = writer_in(repo)
    pushed(writer, tip(writer).oid)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100 * 1024 * 1024
    assert git(repo.bare, "show", f"{EAST}:ingress.yaml") == "x"


def test_a_history_that_is_cut_off_is_written_upon_and_holds_up_no_other(tmp_path: Path) -> None:
    repo = PolicyRepo.create(tmp_path, {"a.yaml": "0"})
    whole = git(repo.bare, "cat-file", "commit", "main")
    cut = whole.replace("\nauthor", f"\nparent {'1' * 40}\nauthor", 1)
    oid = git(repo.bare, "hash-object", "-w", "-t", "commit", "--stdin", stdin=f"{cut}\n".encode())
    git(repo.bare, "update-ref", EAST, oid)
    writer = status_writer(None, address(str(repo.bare)), tmp_path, lambda: 1_700_000_000.0)
    answer = writer.carry_out(ReadTips(("east", "west")))
    assert isinstance(answer, TipsRead), answer
    east = answer.tips["east"]
    assert isinstance(east, Tip)
    assert (east.oid, answer.tips["west"]) == (oid, Tip(None, None))
    rollover = Change(CONTENT, oid, 1, 1e9, rollover=True)
    done = writer.carry_out(Push({"east": rollover, "west": Change(CONTENT, None, 1, 1e9)}))
    assert isinstance(done, Pushed), done
    assert isinstance(done.results["east"], Refused)
    assert done.results["west"] == repo.tip("refs/heads/status/west")
    done = writer.carry_out(Push({"east": Change(CONTENT, oid, 2, 1e9)}))
    assert isinstance(done, Pushed)
    assert done.results["east"] == repo.tip(EAST)


def test_racing_writers_both_land_and_nothing_is_lost(tmp_path: Path) -> None:
    """Two processes' worth of writers on one ref, twenty commits each, without any agreement."""
    repo = PolicyRepo.create(tmp_path, {"a.yaml": "0"})
    written: list[str] = []

    def write(name: str) -> None:
        refs = LocalStatusRefs(repo.bare)
        for number in range(20):
            while True:
                found = refs.read((EAST,))[EAST]
                assert not isinstance(found, Exception)
                parent = found.oid if found is not None else None
                body = f"{name} {number}".encode()
                commit = NewCommit({"f": body}, parent, body.decode(), "T <t@invalid>", 1e9)
                oid = refs.prepare(commit)
                lost = refs.move((Move(EAST, parent, oid),))
                if not lost:
                    written.append(oid)
                    break
                assert isinstance(lost[EAST], RefMoved)

    threads = [threading.Thread(target=write, args=(name,)) for name in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(git(repo.bare, "rev-list", EAST).split()) == sorted(written)
    assert len(written) == 40


def test_a_zone_never_writes_anothers_ref(tmp_path: Path) -> None:
    repo = PolicyRepo.create(tmp_path, {"a.yaml": "0"})
    pushed(writer_in(repo, "west"), None)
    before = git(repo.bare, "for-each-ref")
    pushed(writer_in(repo, "east"), None)
    after = set(git(repo.bare, "for-each-ref").splitlines())
    assert {line.split()[2] for line in after - set(before.splitlines())} == {EAST}
    foreign = StatusWriter("west", LocalStatusRefs(repo.bare), MemoryJournal(), time.time)
    with pytest.raises(AssertionError, match="own ref"):
        foreign.carry_out(Push({"east": Change(CONTENT, None)}))


def test_names_that_make_no_ref_are_refused() -> None:
    for zone in ("global", "a/b", "..", "", "Zone", "x" * 64):
        with pytest.raises(Permanent, match="zone name"):
            ref_of_zone(zone)
    for prefix in ("heads/status/", "refs/heads/status", "refs/a b/"):
        with pytest.raises(Permanent, match="--status-prefix"):
            ref_of_zone("east", prefix)
    for prefix in ("refs/", "refs/heads/", "refs/tags/"):
        with pytest.raises(Permanent, match="name a folder of its own"):
            ref_of_zone("main", prefix)
    with pytest.raises(Permanent, match="lies among the status refs"):
        check_prefix("refs/heads/team/", "refs/heads/team/main")
    with pytest.raises(Permanent, match="--status-prefix"):
        check_prefix("refs/heads/status/", "refs/heads/status")
    check_prefix("refs/heads/status/", "refs/heads/main")
    assert ref_of_zone("east", "refs/mesh/status/") == "refs/mesh/status/east"
    assert zone_of_ref("refs/heads/status/east") == "east"
    assert zone_of_ref("refs/heads/main") is None
    assert zone_of_ref("refs/heads/status/global") is None


@pytest.mark.parametrize("branch", ["refs/heads/status", f"{EAST}/old"])
def test_a_branch_in_the_place_of_the_ref_is_reported_with_the_setting(
    tmp_path: Path, branch: str
) -> None:
    repo = PolicyRepo.create(tmp_path, {"a.yaml": "0"})
    git(repo.bare, "update-ref", branch, "refs/heads/main")
    answer = read(writer_in(repo))
    assert isinstance(answer, Refused)
    assert answer.kind is Refusal.REJECTED
    assert "--status-prefix" in answer.message
    elsewhere = status_writer(
        "east", address(str(repo.bare)), tmp_path, time.time, prefix="refs/mesh/status/"
    )
    assert tip(elsewhere).oid is None
    pushed(elsewhere, None)


def test_a_missing_repository_is_an_answer_not_a_crash(tmp_path: Path) -> None:
    repo = PolicyRepo(tmp_path / "missing.git", tmp_path)
    assert "does not exist" in failed(writer_in(repo)).message


def follower_of(writer: StatusWriter, coalesce_s: float = 0.0) -> StatusFollower:
    settings = StatusSettings(backoff=lambda _: 0.05, coalesce_s=coalesce_s, pushes_per_minute=0)
    return StatusFollower(writer, FollowerOptions(settings=settings), LOG)


async def eventually(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not await asyncio.to_thread(holds):  # noqa: ASYNC110 - Git is another process
            await asyncio.sleep(0.01)


def says(repo: PolicyRepo, text: str) -> bool:
    try:
        return text in git(repo.bare, "show", f"{EAST}:applied.yaml")
    except RuntimeError:
        return False


def commits(repo: PolicyRepo) -> int:
    return len(git(repo.bare, "rev-list", EAST).split())


async def test_what_the_zone_wants_to_say_arrives_in_git(tmp_path: Path) -> None:
    repo = PolicyRepo.create(tmp_path, {"a.yaml": "0"})
    follower = follower_of(status_writer("east", address(str(repo.bare)), tmp_path, time.time))
    follower.want(StatusInput(zone="east", revision="one"))
    await eventually(lambda: says(repo, "revision: one"))
    follower.want(StatusInput(zone="east", revision="one"))
    follower.want(StatusInput(zone="east", revision="two"))
    await eventually(lambda: says(repo, "revision: two"))
    await follower.stop()
    assert commits(repo) == 2


async def test_the_end_waits_for_no_gap_between_two_looks(tmp_path: Path) -> None:
    repo = PolicyRepo.create(tmp_path, {"a.yaml": "0"})
    settings = StatusSettings(backoff=lambda _: 0.05, coalesce_s=0.0, pushes_per_minute=0)
    options = FollowerOptions(settings=settings, make_gap_s=60.0)
    writer = status_writer("east", address(str(repo.bare)), tmp_path, time.time)
    follower = StatusFollower(writer, options, LOG)
    follower.want(StatusInput(zone="east", revision="one"))
    await eventually(lambda: says(repo, "revision: one"))
    follower.want(StatusInput(zone="east", revision="two"))
    await follower.stop()
    assert says(repo, "revision: two")


async def test_a_restart_with_nothing_new_makes_no_commit(tmp_path: Path) -> None:
    repo = PolicyRepo.create(tmp_path, {"a.yaml": "0"})
    for _ in range(2):
        follower = follower_of(status_writer("east", address(str(repo.bare)), tmp_path, time.time))
        follower.want(StatusInput(zone="east", revision="one"))
        await eventually(lambda f=follower: "east" in f.state.refs and not behind(f.state))  # type: ignore[misc]
        await follower.stop()
    assert commits(repo) == 1


async def test_an_absent_repository_is_caught_up_with_one_commit(tmp_path: Path) -> None:
    repo = PolicyRepo.create(tmp_path, {"a.yaml": "0"})
    repo.bare.rename(tmp_path / "away.git")
    follower = follower_of(status_writer("east", address(str(repo.bare)), tmp_path, time.time))
    for revision in ("one", "two", "three"):
        follower.want(StatusInput(zone="east", revision=revision))
        await eventually(lambda: bool(follower.error))
    assert "does not exist" in follower.error
    (tmp_path / "away.git").rename(repo.bare)
    await eventually(lambda: says(repo, "revision: three"))
    await eventually(lambda: not follower.error)
    await follower.stop()
    assert commits(repo) == 1


async def test_a_status_that_cannot_be_written_out_does_not_stop_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo = PolicyRepo.create(tmp_path, {"a.yaml": "0"})

    def faulty(status: StatusInput, inventory: Inventory, before: Rendering) -> Made:
        if status.revision == "bad":
            raise RecursionError("too deep")
        return content_of(status, inventory, before)

    monkeypatch.setattr(follower_module, "content_of", faulty)
    follower = follower_of(status_writer("east", address(str(repo.bare)), tmp_path, time.time))
    follower.want(StatusInput(zone="east", revision="bad"))
    await eventually(lambda: "internal error" in follower.error)
    follower.want(StatusInput(zone="east", revision="good"))
    await eventually(lambda: says(repo, "revision: good"))
    assert follower.error == ""
    await follower.stop()


def test_a_fault_of_ours_is_an_answer_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The step waits for one: without it the zone would never commit again."""
    repo = PolicyRepo.create(tmp_path, {"a.yaml": "0"})
    writer = status_writer("east", address(str(repo.bare)), tmp_path, time.time)

    def faulty(_: object) -> None:
        raise KeyError("nothing")

    monkeypatch.setattr(writer.refs, "read", faulty)
    assert "internal error" in failed(writer).message


async def test_a_remote_repository_is_pushed_to(tmp_path: Path) -> None:
    repo = PolicyRepo.create(tmp_path, {"a.yaml": "0"})
    with git_daemon(tmp_path) as url:
        where = address(f"{url}/policy.git")
        follower = follower_of(status_writer("east", where, tmp_path / "state", time.time))
        follower.want(StatusInput(zone="east", revision="one"))
        await eventually(lambda: says(repo, "revision: one"))
        await follower.stop()
    assert follower.error == ""
    assert git(repo.bare, "log", "--format=%an", EAST).split("\n")[0].endswith("zone east")
