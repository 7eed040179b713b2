"""Status commits by real processes: who writes a zone's ref, and what no remote may hold up."""

from __future__ import annotations

import asyncio
import signal
import socket
import time
from typing import TYPE_CHECKING, cast

import pytest

from tests.support.git_repos import git
from tests.support.planes import Planes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = pytest.mark.e2e
STOP_S = 5.0


class StatusPlanes(Planes):
    """Zones with the status options of the test."""

    options: tuple[str, ...] = ()

    def run_zone(self, zone: str, *_: str) -> None:
        ports = self.ports[zone]
        self._reconciler(
            f"zone-{zone}", zone, "zone", "--join", str(self.join_file(zone)),
            "--state-dir", str(self.state(zone)), "--host", "127.0.0.1",
            "--bootstrap-port", str(ports.bootstrap), "--ads-port", str(ports.ads),
            "--diagnostics-port", str(self.diagnostics[zone]), *self.options,
        )  # fmt: skip

    def ref(self, *show: str) -> str:
        """Of zone east, "" when it does not exist."""
        try:
            return git(self.bare, *show)
        except RuntimeError:
            return ""

    @property
    def author(self) -> str:
        return self.ref("log", "-1", "--format=%an", "refs/heads/status/east")

    @property
    def applied(self) -> str:
        return self.ref("show", "refs/heads/status/east:applied.yaml")

    def mode(self) -> object:
        """As the global knows it."""
        (row,) = cast("list[dict[str, object]]", self.status("global")["zones"])
        return row["status_mode"]

    def terminate(self, name: str) -> float:
        """SIGTERM; how long the process then took, in seconds. It ends by itself, with 0."""
        process = self.processes[name].popen
        started = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(STOP_S + 5) == 0
        return time.monotonic() - started


@pytest.fixture
async def planes(tmp_path: Path) -> AsyncIterator[StatusPlanes]:
    made = StatusPlanes(tmp_path / "world")
    try:
        await made.start_global()
        yield made
    finally:
        made.stop()


async def test_a_zone_without_a_credential_has_its_status_committed_by_the_global(
    planes: StatusPlanes,
) -> None:
    """And once it has one it does so itself, on the same history, without a fight."""
    await planes.start_zone("east")
    revision = str(planes.status("global")["revision"])
    await planes.until("the relayed ref", lambda: revision in planes.applied)
    assert planes.author == "mesh-reconciler global"
    assert planes.mode() == "relay"
    await asyncio.to_thread(planes.terminate, "zone-east")
    tip = planes.ref("rev-parse", "refs/heads/status/east")
    planes.options = ("--status-repo", str(planes.bare), "--inventory", "off")
    await planes.start_zone("east")
    await planes.until("the zone's own mode", lambda: planes.mode() == "direct")
    git(planes.work, "commit", "--quiet", "--allow-empty", "-m", "nothing of a policy")
    git(planes.work, "push", "--quiet", "origin", "HEAD:main")
    newest = git(planes.work, "rev-parse", "HEAD")
    await planes.until("the next status", lambda: newest in planes.applied)
    assert planes.author == "mesh-reconciler zone east"
    assert tip in planes.ref("rev-list", "refs/heads/status/east").split()
    for role in ("global", "east"):
        assert planes.status(role)["status_error"] == ""


async def test_a_status_remote_that_hangs_holds_up_neither_the_zone_nor_its_end(
    planes: StatusPlanes,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        planes.options = ("--status-repo", f"git://127.0.0.1:{port}/mesh.git", "--git-timeout", "2")
        await planes.start_zone("east")
        await planes.until("the complaint", lambda: bool(planes.status("east")["status_error"]))
        assert "--git-timeout" in str(planes.status("east")["status_error"])
        assert planes.status("east")["connected"]
        assert await asyncio.to_thread(planes.terminate, "zone-east") < STOP_S
