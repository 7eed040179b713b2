"""MeshServices of real control planes: a zone makes one when a proxy connects, the global and the
other zone show it, and both ends of the link agree on its name.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import ssl
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.kds.names import hashed_name
from reconciler.model.resource import Labels
from tests.support.planes import Planes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]
SHOWN_WITHIN_S = 1.0
NAME = hashed_name("default", "backend", Labels.of({"kuma.io/zone": "east"}))
MULTI = """\
type: MeshMultiZoneService
mesh: default
name: backends
spec:
  selector: {meshService: {matchLabels: {kuma.io/display-name: backend}}}
  ports: [{port: 80, appProtocol: http}]
"""


class Shown:
    """What a control plane shows over HTTP, to a user of it."""

    def __init__(self, planes: Planes, role: str) -> None:
        folder = str(planes.state(role))
        self.token = planes.run_once("token", "user", "alice", "--state-dir", folder)
        self.port = planes.api[role][0]
        self.context = ssl.create_default_context(cafile=f"{folder}/tls/ca.pem")

    def get(self, path: str) -> dict[str, Any] | None:
        headers = {"authorization": f"Bearer {self.token}"}
        with closing(
            http.client.HTTPSConnection("127.0.0.1", self.port, timeout=20, context=self.context)
        ) as connection:
            connection.request("GET", f"/meshes/default/{path}", headers=headers)
            answer = connection.getresponse()
            found = json.loads(answer.read())
            return dict(found) if answer.status == 200 else None

    def service(self, name: str = NAME) -> dict[str, Any]:
        return self.get(f"meshservices/{name}") or {}


@pytest.fixture
async def planes(tmp_path: Path) -> AsyncIterator[Planes]:
    """A global and two zones, whose mesh has MeshServices beside services by tag."""
    made = Planes(tmp_path / "world")
    try:
        await asyncio.to_thread(made.seed)
        mesh = made.work / "meshes" / "default.yaml"
        mesh.write_text(f"{mesh.read_text()}meshServices: {{mode: Everywhere}}\n")
        (made.work / "policies" / "multi.yaml").write_text(MULTI)
        made.git(made.work, "add", "--all")
        made.git(made.work, "commit", "--quiet", "--message", "MeshServices")
        made.git(made.work, "push", "--quiet")
        await made.start_global()
        for zone in ("east", "west"):
            await made.start_zone(zone)
        yield made
    finally:
        made.stop()


def hostnames(service: dict[str, Any]) -> list[str]:
    return [each["hostname"] for each in service["status"]["addresses"]]


async def test_a_service_is_shown_everywhere_within_a_second_of_its_first_proxy(
    planes: Planes,
) -> None:
    shown = {
        role: await asyncio.to_thread(Shown, planes, role) for role in ("global", *planes.zones)
    }
    workload = planes.workloads["backend-east-1"]
    planes.run_app(workload)
    planes.run_sidecar(workload)
    east, west = shown["east"], shown["west"]
    await planes.until("the proxy", lambda: bool(east.get(f"dataplanes/{workload.name}")))
    began = time.monotonic()
    await planes.until("the service in west", lambda: bool(west.service()))
    assert time.monotonic() - began < SHOWN_WITHIN_S
    await planes.until(
        "a service that answers",
        lambda: west.service().get("spec", {}).get("state") == "Available",
    )
    whole = {"connected": 1, "healthy": 1, "total": 1}
    await planes.until(
        "its status at the global",
        lambda: (
            {"dataplaneProxies": whole, "tls": {"status": "Ready"}}.items()
            <= shown["global"].service().get("status", {}).items()
        ),
    )
    await planes.until("its address", lambda: bool(shown["global"].service()["status"].get("vips")))
    own, there, here = east.service("backend"), shown["global"].service(), west.service()
    assert own["spec"] == there["spec"] == here["spec"]
    assert own["spec"]["ports"][0]["targetPort"] == workload.inbound_port
    assert own["status"] == there["status"]
    assert hostnames(own) == ["backend.svc.mesh.local"]
    assert here["status"] == {}  # Names and an address of its own, once a proxy there asks.
    origins = [found["labels"]["kuma.io/origin"] for found in (own, there, here)]
    assert origins == ["zone", "zone", "global"]
    assert {found["labels"]["kuma.io/zone"] for found in (own, there, here)} == {"east"}
    assert {found["kri"] for found in (own, there, here)} == {"kri_msvc_default_east__backend_"}
    for role, name in (
        ("global", "backends"),
        ("west", hashed_name("default", "backends", Labels())),
    ):
        multi = shown[role].get(f"meshmultizoneservices/{name}") or {}
        (matched,) = multi["status"]["meshServices"]
        assert matched == {"mesh": "default", "name": "backend", "namespace": "", "zone": "east"}


async def test_a_service_outlives_its_proxy_and_the_restart_of_its_zone(planes: Planes) -> None:
    east = await asyncio.to_thread(Shown, planes, "east")
    west = await asyncio.to_thread(Shown, planes, "west")
    workload = planes.workloads["backend-east-1"]
    planes.run_app(workload)
    planes.run_sidecar(workload)

    def state() -> object:
        return west.service().get("spec", {}).get("state")

    await planes.until("a service that answers", lambda: state() == "Available")
    planes.processes[f"proxy-{workload.name}"].kill_now()
    await planes.until("nobody that answers", lambda: state() == "Unavailable")
    since = "kuma.io/deletion-grace-period-started-at"
    await planes.until("its last proxy gone", lambda: since in east.service("backend")["labels"])
    before = east.service("backend")
    planes.processes["zone-east"].kill_now()
    await planes.start_zone("east")
    after = (await asyncio.to_thread(Shown, planes, "east")).service("backend")
    assert (after["spec"], after["labels"]) == (before["spec"], before["labels"])
    assert since not in west.service()["labels"]
    planes.run_sidecar(workload)
    await planes.until("a service that answers again", lambda: state() == "Available")
