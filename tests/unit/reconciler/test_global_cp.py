"""The global's shell on real repositories: what it serves while Git is away, and what no fault may
stop.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import threading
import time
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pygit2
import pytest

from reconciler.git.address import address
from reconciler.git.errors import CommitRejected
from reconciler.git.mirror import Mirror, MirrorOptions
from reconciler.git.remote import RemoteLimits, transport_to
from reconciler.git.watch import WatchOptions
from reconciler.global_cp.answers import GlobalAnswers
from reconciler.global_cp.plane import GlobalControlPlane
from reconciler.global_cp.repository import Following, RepositoryFollower
from reconciler.keys.secret_store import FileSecrets
from reconciler.keys.system_resources import SystemResources
from reconciler.revision_loader import RevisionLoader
from reconciler.status_ingress import from_status
from reconciler.steps import global_state as g
from reconciler.store import Store
from tests.support.git_repos import PolicyRepo, git
from tests.support.global_link import global_link
from tests.support.status_refs import commit_status
from xds.discovery import DeltaResponse

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from pathlib import Path

MESH = {"mesh.yaml": "type: Mesh\nname: default\n"}
FOLLOWING = Following(
    branch_ref="refs/heads/main",
    status_prefix="refs/heads/status/",
    new_keys=False,
    watch=WatchOptions(retry_first_s=0.05),
)
EAST = "refs/heads/status/east"
INGRESS = b"type: ZoneIngress\nname: zi\nnetworking:\n  address: 10.0.0.1\n  port: 1\n"


def plane_of(state: Path, bare: Path) -> GlobalControlPlane:
    where = address(str(bare))
    mirror = Mirror(
        state / "mirror.git", where, transport_to(where, RemoteLimits()), MirrorOptions()
    )
    loader = RevisionLoader(mirror, "", SystemResources(FileSecrets(state / "secrets")))
    settings = g.GlobalSettings(instance="g", version="0")
    log = logging.getLogger("test")
    return GlobalControlPlane(settings, loader, Store(state / "store.sqlite"), log)


@asynccontextmanager
async def running(
    state: Path, bare: Path, options: Following = FOLLOWING
) -> AsyncIterator[GlobalControlPlane]:
    """Follows the repository until the end of the block."""
    plane = plane_of(state, bare)
    following = asyncio.create_task(RepositoryFollower(plane, options).follow())
    try:
        yield plane
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        await plane.outbox.close()
        plane.store.close()


async def until(plane: GlobalControlPlane, claim: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not claim():
            await plane.changed.wait()


def in_force(plane: GlobalControlPlane) -> str | None:
    return plane.state.published.commit if plane.state.published else None


def status_of(plane: GlobalControlPlane) -> Mapping[str, object]:
    return GlobalAnswers(plane).status(proxies=False)


def state_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "state"
    folder.mkdir()
    return folder


async def test_restart_while_the_repository_is_away_serves_what_was_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo, state = PolicyRepo.create(tmp_path, MESH), state_folder(tmp_path)
    first = repo.tip("main")
    async with running(state, repo.bare) as plane:
        await until(plane, lambda: in_force(plane) == first)
    commit_status(repo.bare, EAST, {"ingress.yaml": INGRESS.replace(b"west", b"east")}, None)
    async with running(state, repo.bare) as plane:
        await until(plane, lambda: in_force(plane) == first)
    away = repo.bare.rename(tmp_path / "away.git")

    def asked(*_: object) -> str:
        raise AssertionError("a repository that hangs is asked once more before zones are served")

    monkeypatch.setattr("reconciler.global_cp.repository.prefix_fault", asked)
    async with running(state, repo.bare) as plane:
        await until(plane, lambda: in_force(plane) == first)
        assert plane.state.zones["east"].remembered
        assert "does not exist" in str(status_of(plane)["repository_error"])
        away.rename(repo.bare)
        second = repo.push({"more.yaml": "type: Mesh\nname: more\n"})
        await until(plane, lambda: in_force(plane) == second)
        await until(plane, lambda: not status_of(plane)["repository_error"])


async def test_restart_while_the_repository_hangs_serves_what_was_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Long before the limit of a call gives it up."""
    repo, state = PolicyRepo.create(tmp_path, MESH), state_folder(tmp_path)
    first = repo.tip("main")
    async with running(state, repo.bare) as plane:
        await until(plane, lambda: in_force(plane) == first)
    second = repo.push({"more.yaml": "type: Mesh\nname: more\n"})
    hangs, fetch = threading.Event(), Mirror.fetch

    def hanging(mirror: Mirror) -> Mapping[str, str]:
        with mirror._writing:
            assert hangs.wait(20)
            return fetch(mirror)

    monkeypatch.setattr(Mirror, "fetch", hanging)
    hasty = replace(FOLLOWING, watch=WatchOptions(first_slow_s=0.05))
    async with running(state, repo.bare, hasty) as plane:
        await until(plane, lambda: in_force(plane) == first)
        assert "still waiting" in str(status_of(plane)["repository_error"])
        hangs.set()
        await until(plane, lambda: in_force(plane) == second)
        await until(plane, lambda: not status_of(plane)["repository_error"])


async def test_refs_that_no_zone_wrote_are_left_out_and_told(tmp_path: Path) -> None:
    """The zone is unknown then, and not without ingresses; the others are read."""
    repo, state = PolicyRepo.create(tmp_path, MESH), state_folder(tmp_path)
    async with running(state, repo.bare) as plane:
        await until(plane, lambda: in_force(plane) == repo.tip("main"))
    good = INGRESS + b"zone: east\n"
    policy = b"type: MeshTimeout\nname: t\nmesh: default\n"
    found = {
        "east": {"ingress.yaml": good, "policies.yaml": policy},
        "large": {"ingress.yaml": b"#" * (8 * 1024 * 1024 + 1)},
        "malformed": {"ingress.yaml": b"type: [\n"},
        "newer": {"ingress.yaml": b"format: 99\n"},
        "north": {"ingress.yaml": good},
        "policy": {"ingress.yaml": policy},
        "without": {"applied.yaml": b"format: 2\n"},
    }
    for name, files in found.items():
        commit_status(repo.bare, f"refs/heads/status/{name}", files, None)
    async with running(state, repo.bare) as plane:
        await until(plane, lambda: in_force(plane) == repo.tip("main"))
        assert list(plane.state.zones.keys()) == ["east"]
        told = {ref.rpartition("/")[2]: reason for ref, reason in plane.ref_faults.items()}
        assert set(told) == set(found)
        for name, words in {
            "east": "policies.yaml: no status, and read by nobody",
            "large": "over 8388608",
            "newer": "upgrade this control plane",
            "north": 'claims zone "east"',
            "policy": "is a MeshTimeout",
            "without": "has no ingress.yaml",
        }.items():
            assert words in told[name]
            assert words in str(status_of(plane)["status_error"])


async def test_a_branch_in_the_place_of_status_refs_is_told_at_start(tmp_path: Path) -> None:
    repo, state = PolicyRepo.create(tmp_path, MESH), state_folder(tmp_path)
    git(repo.bare, "update-ref", "refs/heads/status", "refs/heads/main")
    async with running(state, repo.bare) as plane:
        await until(plane, lambda: in_force(plane) == repo.tip("main"))
        told = str(status_of(plane)["status_error"])
    assert "the ref refs/heads/status exists" in told
    assert "--status-prefix" in told


async def test_wait_goes_on_while_neither_mirror_nor_repository_can_be_read(tmp_path: Path) -> None:
    repo, state = PolicyRepo.create(tmp_path, MESH), state_folder(tmp_path)
    async with running(state, repo.bare) as plane:
        await until(plane, lambda: in_force(plane) is not None)
        repo.bare.rename(tmp_path / "away.git")
        shutil.rmtree(state / "mirror.git" / "objects")
        found = await GlobalAnswers(plane).wait("f" * 40, 0.1)
        assert found["outcome"] == "timeout"


async def test_what_zones_relay_is_read_back_from_disk(tmp_path: Path) -> None:
    repo, state = PolicyRepo.create(tmp_path, MESH), state_folder(tmp_path)
    (ingress,) = from_status("west", INGRESS)
    async with running(state, repo.bare) as plane:
        await until(plane, lambda: in_force(plane) is not None)
        plane.outbox.add([g.KeepRelayed("west", (ingress,), ())])
    async with running(state, repo.bare) as plane:
        await until(plane, lambda: "west" in plane.state.zones)
        assert dict(plane.state.zones["west"].relayed.by_key.items()) == {ingress.key: ingress}
        assert plane.state.zones["west"].remembered


async def test_policies_of_another_repository_are_not_served_in_its_place(tmp_path: Path) -> None:
    repo, state = PolicyRepo.create(tmp_path, MESH), state_folder(tmp_path)
    async with running(state, repo.bare) as plane:
        await until(plane, lambda: in_force(plane) is not None)
    async with running(state, tmp_path / "elsewhere.git") as plane:
        await until(plane, lambda: plane.state.fetch_error is not None)
        async with asyncio.timeout(20):
            await plane.changed.wait()  # what it did then is done before the next look fails
        assert plane.state.wanted is None
        assert in_force(plane) is None


async def test_fault_of_ours_in_one_commit_does_not_stop_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo, state = PolicyRepo.create(tmp_path, MESH), state_folder(tmp_path)
    poison = repo.tip("main")
    async with running(state, repo.bare) as plane:
        load = plane.loader.load

        def faulty(wanted: g.Load) -> g.Event:
            if wanted.commit == poison:
                raise RecursionError("too deep")
            return load(wanted)

        monkeypatch.setattr(plane.loader, "load", faulty)
        await until(plane, lambda: plane.state.load_error is not None)
        assert "internal error" in str(status_of(plane)["repository_error"])
        cure = repo.push({"mesh.yaml": "type: Mesh\nname: other\n"})
        await until(plane, lambda: in_force(plane) == cure)
        assert status_of(plane)["repository_error"] == ""


async def test_of_several_commits_that_could_not_be_read_the_newest_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo, state = PolicyRepo.create(tmp_path, MESH), state_folder(tmp_path)
    monkeypatch.setattr("reconciler.global_cp.plane.LOAD_RETRY_S", 1.0)
    async with running(state, repo.bare) as plane:
        load, failed = plane.loader.load, set[str]()

        def once_unreadable(wanted: g.Load) -> g.Event:
            if wanted.commit in failed:
                return load(wanted)
            failed.add(wanted.commit)
            return g.LoadFailed(wanted.commit, "disk")

        monkeypatch.setattr(plane.loader, "load", once_unreadable)
        await until(plane, lambda: plane.state.load_error is not None)
        newest = repo.push({"mesh.yaml": "type: Mesh\nname: other\n"})
        await until(plane, lambda: in_force(plane) == newest)


async def test_revision_that_cannot_be_kept_is_in_force_and_the_disk_is_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo, state = PolicyRepo.create(tmp_path, MESH), state_folder(tmp_path)

    def full(*_: object) -> None:
        raise OSError("no space left")

    async with running(state, repo.bare) as plane:
        await until(plane, lambda: in_force(plane) == repo.tip("main"))
        await plane.outbox.settled()  # What was written before is no failure.
        monkeypatch.setattr(plane.store, "write", full)
        first = repo.push({"first.yaml": "type: Mesh\nname: first\n"})
        await until(plane, lambda: in_force(plane) == first)
        await until(
            plane,
            lambda: status_of(plane)["store_error"] == "no space left",
        )
        monkeypatch.undo()
        second = repo.push({"more.yaml": "type: Mesh\nname: more\n"})
        await until(plane, lambda: in_force(plane) == second)
        await until(plane, lambda: status_of(plane)["store_error"] == "")
        assert plane.store.load_all("meta")["revision"] == second.encode()


async def test_fault_while_a_revision_is_put_in_force_ends_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its zones would otherwise wait for what was put in force and never sent."""
    repo, state = PolicyRepo.create(tmp_path, MESH), state_folder(tmp_path)

    async with running(state, repo.bare) as plane:
        add = plane.outbox.add

        def faulty(effects: tuple[g.Effect, ...]) -> None:
            if any(isinstance(effect, g.RevisionInForce) for effect in effects):
                raise RuntimeError("a bug")
            add(effects)

        monkeypatch.setattr(plane.outbox, "add", faulty)
        async with asyncio.timeout(20):
            await asyncio.wait({plane.crash})
        assert str(plane.crash.exception()) == "a bug"


def ten_thousand_status_commits(bare: Path) -> None:
    """On the refs of four zones, as fast as they can be made."""
    repository = pygit2.Repository(str(bare))
    author = pygit2.Signature("Z", "z@invalid", 1, 0)
    trees = []
    for body in (b"one", b"two"):
        builder = repository.TreeBuilder()
        builder.insert("ingress.yaml", repository.create_blob(body), pygit2.enums.FileMode.BLOB)
        trees.append(builder.write())
    tips: list[list[pygit2.Oid]] = [[], [], [], []]
    for number in range(10_000):
        ref, parents = f"refs/heads/status/zone-{number % 4}", tips[number % 4]
        tip = repository.create_commit(None, author, author, "s", trees[number // 4 % 2], parents)
        repository.references.create(ref, tip, force=True)
        tips[number % 4] = [tip]


async def test_ten_thousand_status_commits_cause_no_reconcile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No load, and not even a look at the repository beyond the one that comes with time."""
    repo, state = PolicyRepo.create(tmp_path, MESH), state_folder(tmp_path)
    async with running(state, repo.bare) as plane:
        await until(plane, lambda: in_force(plane) == repo.tip("main"))
        loads: list[str] = []
        looks: list[float] = []
        load, fetch = plane.loader.load, plane.loader.mirror.fetch

        def counted(wanted: g.Load) -> g.Event:
            loads.append(wanted.commit)
            return load(wanted)

        def looked() -> Mapping[str, str]:
            looks.append(time.monotonic())
            return fetch()

        monkeypatch.setattr(plane.loader, "load", counted)
        monkeypatch.setattr(plane.loader.mirror, "fetch", looked)
        started = time.monotonic()
        await asyncio.to_thread(ten_thousand_status_commits, repo.bare)
        took_s = time.monotonic() - started
        assert len(looks) <= 2 + took_s / 5, "the safety poll is every 10 s, less its jitter"
        assert loads == []
        commit = repo.push({"mesh.yaml": "type: Mesh\nname: other\n"})
        await until(plane, lambda: in_force(plane) == commit)
        assert loads == [commit]
        assert plane.loader.mirror.held() == {"refs/heads/main": commit}


def test_links_and_folders_are_no_status_file(tmp_path: Path) -> None:
    repo = PolicyRepo.create(tmp_path, MESH)
    (repo.work / "ingress.yaml").symlink_to("/etc/passwd")
    commit = repo.push({"sub/ingress.yaml": "x"})
    where = address(str(repo.bare))
    transport = transport_to(where, RemoteLimits())
    mirror = Mirror(tmp_path / "mirror.git", where, transport, MirrorOptions())
    mirror.fetch()
    for path in ("ingress.yaml", "sub"):
        with pytest.raises(CommitRejected, match="no regular file"):
            mirror.read_file(commit, path)
    assert mirror.read_file(commit, "absent.yaml") is None
    assert mirror.read_file(commit, "mesh.yaml") == b"type: Mesh\nname: default\n"


async def test_fault_in_what_one_stream_is_sent_begins_that_stream_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would otherwise lack what was decided for it, with nobody the wiser."""
    async with global_link(tmp_path) as link:
        plane, closed = link.plane, list[tuple[str, int]]()
        assert plane.kds is not None

        def faulty(*_: object) -> None:
            raise ValueError("a bug")

        monkeypatch.setattr(plane.kds, "send_response", faulty)
        monkeypatch.setattr(plane.kds, "close", lambda s, code, _: closed.append((s, code)))
        plane.outbox.add([g.SendResponse("east-1", DeltaResponse("Mesh", "1"))])
        assert closed == [("east-1", 13)]
        assert not plane.crash.done()
        monkeypatch.setattr(plane._timer, "at", faulty)
        plane.outbox.add([g.WakeAt(1.0)])
        assert str(plane.crash.exception()) == "a bug"
