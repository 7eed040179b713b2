"""A shadow policy changes no traffic until its label goes: real control planes, real Envoys."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.demo.calls import Answer, call
from tests.support.planes import Planes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]
DENY = """type: MeshTrafficPermission
mesh: default
name: a-deny
labels: {kuma.io/effect: shadow}
spec:
  targetRef: {kind: MeshService, name: backend}
  from: [{targetRef: {kind: Mesh}, default: {action: Deny}}]
"""
ROUTE = """type: MeshHTTPRoute
mesh: default
name: a-route
labels: {kuma.io/effect: shadow}
spec:
  targetRef: {kind: Mesh}
  to:
    - targetRef: {kind: MeshService, name: backend}
      rules:
        - matches: [{path: {type: PathPrefix, value: /new}}]
          default:
            filters:
              - type: RequestRedirect
                requestRedirect: {hostname: elsewhere.example, statusCode: 302}
"""
LABEL = "labels: {kuma.io/effect: shadow}\n"


class Shadowed(Planes):
    async def commit(self, files: dict[str, str]) -> None:
        """And wait until the zone has given it to its proxies."""
        for name, text in files.items():
            (self.work / "policies" / name).write_text(text)
        self.git(self.work, "add", "--all")
        self.git(self.work, "commit", "--quiet", "--message", "change")
        self.git(self.work, "push", "--quiet")
        commit = self.git(self.work, "rev-parse", "HEAD").strip()
        folder = str(self.state("global"))
        await asyncio.to_thread(
            self.run_once, "wait", "--commit", commit, "--state-dir", folder, "--timeout", "60s"
        )

    async def asked(self, path: str) -> Answer:
        return await asyncio.to_thread(call, self.frontend.app_port, path)

    async def until_status(self, path: str, status: int) -> None:
        """The Envoys have it a moment after their zone."""
        for _ in range(300):
            if (await self.asked(path)).status == status:
                return
            await asyncio.sleep(0.1)
        raise AssertionError(f"{path} never answered {status}")

    def config(self, proxy: str) -> Any:
        """What the zone's inspect API says the shadow policies would do."""
        at = f"http://127.0.0.1:{self.api['east'][1]}/meshes/default/dataplanes/{proxy}/_config"
        request = urllib.request.Request(f"{at}?shadow=true&include=diff")
        request.add_header("authorization", f"Bearer {self.user_token('east').read_text().strip()}")
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.load(answer)


@pytest.fixture
async def planes(tmp_path: Path) -> AsyncIterator[Shadowed]:
    made = Shadowed(tmp_path / "world")
    try:
        await made.start_with_two_proxies()
        yield made
    finally:
        await asyncio.to_thread(made.stop)


async def test_shadow_policies_change_nothing_until_the_label_goes(planes: Shadowed) -> None:
    await planes.until_status("/", 200)
    await planes.commit({"deny.yaml": DENY, "route.yaml": ROUTE})
    assert [(await planes.asked(path)).status for path in ("/", "/new") * 5] == [200] * 10
    # They are in the zone all the same, which knows what they would do.
    would = await asyncio.to_thread(planes.config, "backend-east-1")
    assert "rules/policies" in json.dumps(would["diff"])
    would = await asyncio.to_thread(planes.config, "frontend")
    assert "elsewhere.example" in json.dumps(would["diff"])
    assert [(await planes.asked(path)).status for path in ("/", "/new")] == [200] * 2

    await planes.commit({"route.yaml": ROUTE.replace(LABEL, "")})
    await planes.until_status("/new", 302)
    assert (await planes.asked("/")).status == 200
    await planes.commit({"deny.yaml": DENY.replace(LABEL, "")})
    await planes.until_status("/", 403)
    await planes.commit({"deny.yaml": DENY, "route.yaml": ROUTE})
    await planes.until_status("/", 200)
    await planes.until_status("/new", 200)
