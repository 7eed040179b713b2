"""A plan comes true: what it says of calls is what real Envoys do once the change is in force."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.demo.calls import call
from tests.support.planes import Planes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]
NOBODY = """type: MeshTrafficPermission
mesh: default
name: allow-all
spec:
  from: [{targetRef: {kind: Mesh}, default: {action: Deny}}]
"""
BY_ID = """type: MeshTrafficPermission
mesh: default
name: allow-all
spec:
  rules:
    - default:
        allow: [{spiffeID: {type: Exact, value: "spiffe://default/frontend"}}]
"""
NOWHERE = """type: MeshHTTPRoute
mesh: default
name: away
spec:
  to:
    - targetRef: {kind: MeshService, name: backend}
      rules:
        - matches: [{path: {type: PathPrefix, value: /}}]
          default:
            backendRefs: [{kind: MeshServiceSubset, name: backend, tags: {version: none}}]
"""
STATUS = {"OPEN": 200, "DENIED": 403, "NO_ENDPOINT": 503}


class Planned(Planes):
    async def proposed(self, files: dict[str, str]) -> str:
        """A commit on main that is not pushed yet; a file without a text goes."""
        for name, text in files.items():
            path = self.work / "policies" / name
            path.write_text(text) if text else path.unlink()
        self.git(self.work, "add", "--all")
        self.git(self.work, "commit", "--quiet", "--message", "change")
        return self.git(self.work, "rev-parse", "HEAD").strip()

    async def plan(self) -> Any:
        """Against what is in force, with what the zone has told of its proxies."""
        fetch = "+refs/heads/status/*:refs/heads/status/*"
        self.git(self.work, "fetch", "--quiet", "origin", fetch)
        command = [sys.executable, "-m", "reconciler.cli.main", "plan", "origin/main..main"]
        command += ["--repo", str(self.work), "--format", "json", "--no-cache"]
        done = await asyncio.to_thread(
            subprocess.run, command, capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    async def merged(self, commit: str) -> None:
        """And in force at every proxy."""
        self.git(self.work, "push", "--quiet")
        folder = str(self.state("global"))
        await asyncio.to_thread(
            self.run_once, "wait", "--commit", commit, "--state-dir", folder, "--timeout", "60s"
        )

    async def until_status(self, status: int) -> None:
        """The Envoys have it a moment after their zone."""
        for _ in range(300):
            answer = await asyncio.to_thread(call, self.frontend.app_port, "/")
            if answer.status == status:
                return
            await asyncio.sleep(0.1)
        raise AssertionError(f"calls never ended with {status}, last with {answer.status}")

    def told(self) -> bool:
        """The zone's status shows both proxies."""
        try:
            text = self.git(self.bare, "show", "status/east:applied.yaml")
            files = self.git(self.bare, "ls-tree", "-r", "--name-only", "status/east")
        except (OSError, subprocess.SubprocessError, RuntimeError):
            return False
        return "total: 2" in text and "proxies/default/frontend.yaml" in files


@pytest.fixture
async def planes(tmp_path: Path) -> AsyncIterator[Planned]:
    made = Planned(tmp_path / "world")
    try:
        await made.start_with_two_proxies()
        await made.until("their place in Git", made.told)
        yield made
    finally:
        await asyncio.to_thread(made.stop)


async def test_predicted_ways_are_those_that_calls_find(planes: Planned) -> None:
    await planes.until_status(200)
    for files, before, after in (
        ({"allow-all.yaml": NOBODY}, "OPEN", "DENIED"),
        ({"allow-all.yaml": BY_ID}, "DENIED", "OPEN"),
        ({"away.yaml": NOWHERE, "backend-hello.yaml": ""}, "OPEN", None),
    ):
        commit = await planes.proposed(files)
        plan = await planes.plan()
        found = {
            (edge["caller"], edge["service"], tuple(edge["tags"].items())): (
                edge["before"],
                edge["after"],
            )
            for edge in plan["edges"]
        }
        if after is None:  # The way to all instances goes, one to none of them comes.
            assert found == {("frontend", "backend", ()): ("OPEN", "NONE")}
            after = "NO_ENDPOINT"
        else:
            assert found == {("frontend", "backend", ()): (before, after)}
        (zone,) = plan["zones"]
        assert (zone["zone"], zone["proxies"]) == ("east", 2)
        await planes.merged(commit)
        await planes.until_status(STATUS[after])
