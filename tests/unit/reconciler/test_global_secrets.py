"""A value that changes on the operator's disk is in force soon after, without a commit."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from reconciler.ca import keys
from reconciler.global_cp import repository
from reconciler.global_cp.repository import SECRETS_POLL_S, RepositoryFollower
from reconciler.keys.secret_store import write_private
from reconciler.steps import global_state as g
from tests.support.git_repos import PolicyRepo
from tests.unit.reconciler.test_global_cp import (
    FOLLOWING,
    plane_of,
    running,
    state_folder,
    status_of,
    until,
)

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from reconciler.global_cp.plane import GlobalControlPlane

FILES = {
    "mesh.yaml": "type: Mesh\nname: default\n",
    "secrets.yaml": "secrets:\n  - {name: zone-token-revocations, file: revoked}\n",
}


def revoked(plane: GlobalControlPlane) -> frozenset[str]:
    if plane.state.published is None:
        return frozenset()
    resources = plane.state.published.resources
    return keys.revoked(resources, "GlobalSecret", "", keys.ZONE_REVOCATIONS)


async def test_changed_file_is_in_force_within_a_second(tmp_path: Path) -> None:
    repo, state = PolicyRepo.create(tmp_path, FILES), state_folder(tmp_path)
    folder = tmp_path / "values"
    folder.mkdir(mode=0o700)
    async with running(state, repo.bare) as plane:
        plane.loader.values.folder = folder
        following = asyncio.create_task(RepositoryFollower(plane, FOLLOWING).follow_secrets())
        try:
            await until(plane, lambda: plane.state.rejected is not None)
            assert plane.state.published is None
            assert "SEC006" in str(status_of(plane)["problems"])
            write_private(folder / "revoked", b"id-1")
            await until(plane, lambda: revoked(plane) == {"id-1"})
            assert plane.state.rejected is None
            write_private(folder / "revoked", b"id-1,id-2")
            began = time.monotonic()
            await until(plane, lambda: revoked(plane) == {"id-1", "id-2"})
            took = time.monotonic() - began
            (folder / "revoked").unlink()
            await until(
                plane,
                lambda: "SEC007" in str(status_of(plane)["warnings"]),
            )
            assert revoked(plane) == {"id-1", "id-2"}
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
    assert took < SECRETS_POLL_S + 5.0  # The load takes milliseconds; the machine may be busy.
    assert SECRETS_POLL_S <= 0.5
    again = plane_of(state, repo.bare)  # Over a restart without the file, too.
    resolved = again.loader.values.resolve(plane.loader._listed)
    assert list(resolved.values.values()) == [b"id-1,id-2"]
    assert resolved.missing == {}
    again.store.close()


async def test_a_store_that_cannot_be_read_for_a_while_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Too many open files, for example: the process would be gone with it."""
    monkeypatch.setattr(repository, "SECRETS_POLL_S", 0.005)
    repo, state = PolicyRepo.create(tmp_path, FILES), state_folder(tmp_path)
    async with running(state, repo.bare) as plane:
        moved, faults = plane.loader.secrets_moved, [OSError("too many open files")] * 3

        def look() -> bool:
            if faults:
                raise faults.pop()
            plane.deliver(g.FetchRecovered())  # Wakes the test.
            return moved()

        monkeypatch.setattr(plane.loader, "secrets_moved", look)
        following = asyncio.create_task(RepositoryFollower(plane, FOLLOWING).follow_secrets())
        await until(plane, lambda: following.done() or not (faults or plane.secrets_error))
        assert not following.done()
        following.cancel()


async def test_values_of_the_commit_in_force_are_watched_while_a_newer_one_is_rejected(
    tmp_path: Path,
) -> None:
    repo, state = PolicyRepo.create(tmp_path, FILES), state_folder(tmp_path)
    folder = tmp_path / "values"
    folder.mkdir(mode=0o700)
    write_private(folder / "revoked", b"id-1")
    async with running(state, repo.bare) as plane:
        plane.loader.values.folder = folder
        following = asyncio.create_task(RepositoryFollower(plane, FOLLOWING).follow_secrets())
        try:
            await until(plane, lambda: revoked(plane) == {"id-1"} or bool(plane.state.rejected))
            assert revoked(plane) == {"id-1"}
            repo.push({"secrets.yaml": "secrets: []\n", "mesh.yaml": "type: Mesh\nname: [1]\n"})
            await until(plane, lambda: plane.state.rejected is not None)
            write_private(folder / "revoked", b"id-1,id-2")
            await until(plane, lambda: revoked(plane) == {"id-1", "id-2"})
            assert plane.state.rejected is not None
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
