"""A zone takes policies from its global alone: every other way in, tried on a real process.

docs/roles.md names these tests.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import sqlite3
import ssl
import time
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from reconciler.api.client import UnixConnection
from reconciler.api.read_only import MANAGED
from reconciler.demo.calls import Load
from reconciler.kds.codec import decode_entry, encode_carried
from reconciler.kds.types import GLOBAL_TO_ZONE_TYPES, MANIFEST
from reconciler.keys.join import read_join
from reconciler.model.resource import ORIGIN, ZONE, canonical_json
from tests.support.fake_global import FakeGlobal, overheard
from tests.support.planes import Planes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from xds.resource import XdsResource

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]
POLICY = "/meshes/default/meshtrafficpermissions/allow-all"
DENY = {
    "type": "MeshTrafficPermission",
    "mesh": "default",
    "name": "allow-all",
    "spec": {"from": [{"targetRef": {"kind": "Mesh"}, "default": {"action": "Deny"}}]},
}


@pytest.fixture
async def planes(tmp_path: Path) -> AsyncIterator[Planes]:
    made = Planes(tmp_path / "world")
    try:
        await made.start_global()
        await made.start_zone("east")
        # A revision is in force a moment before it is on disk.
        await made.until("the policies on its disk", lambda: bool(policies(made)))
        yield made
    finally:
        await asyncio.to_thread(made.stop)


def policies(planes: Planes) -> dict[str, bytes]:
    """As the zone keeps them on its disk; the zone may be running."""
    path = planes.state("east") / "store.sqlite"
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        return dict(db.execute("SELECT key, value FROM rows WHERE kind = 'policy'"))


def in_force(planes: Planes) -> tuple[object, object]:
    status = planes.status("east")
    return status["revision"], status["rebuilt"]


# --- HTTP ---


def put(connection: http.client.HTTPConnection, method: str) -> tuple[int, str]:
    with closing(connection):
        headers = {"content-type": "application/json"}
        connection.request(method, POLICY, json.dumps(DENY), headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


async def test_a_policy_by_http_is_refused_on_every_port_and_changes_nothing(
    planes: Planes,
) -> None:
    before, kept = in_force(planes), policies(planes)
    for role in ("east", "global"):
        trusting = ssl.create_default_context(cafile=planes.state(role) / "tls" / "ca.pem")
        ports = [planes.diagnostics[role]]
        if role == "east":
            ports.append(planes.ports[role].bootstrap)
        for method in ("PUT", "POST", "PATCH", "DELETE"):
            for port in ports:
                there = http.client.HTTPSConnection("127.0.0.1", port, context=trusting, timeout=10)
                assert put(there, method) == (405, f"{MANAGED}\n")
            assert put(UnixConnection(planes.control_socket(role), 10), method) == (
                405,
                f"{MANAGED}\n",
            )
    with closing(UnixConnection(planes.control_socket("east"), 10)) as zone:
        zone.request("POST", f"/accept?commit={before[0]}")  # Nor does a zone accept commits.
        assert "a zone has the commits its global gives it" in zone.getresponse().read().decode()
    # The gRPC ports speak HTTP/2 alone: nothing of the request is looked at.
    for port in (planes.ports["east"].ads, planes.kds_port):
        blind = ssl._create_unverified_context()
        with pytest.raises((OSError, http.client.HTTPException)):
            put(http.client.HTTPSConnection("127.0.0.1", port, context=blind, timeout=10), "PUT")
    assert (in_force(planes), policies(planes)) == (before, kept)


# --- KDS ---


def of_another_origin(frames: tuple[XdsResource, ...]) -> tuple[XdsResource, ...]:
    """The true policies turned into denials of another's, and one more under a new name."""
    found = []
    for frame in frames:
        carried = decode_entry("MeshTrafficPermission", frame.entry)
        labels = {**carried.labels, ORIGIN: "zone", ZONE: "west"}
        body = canonical_json(DENY["spec"])
        forged = replace(carried, labels=labels, body=body)
        found += [forged, replace(forged, name=f"{carried.name}-too")]
    return tuple(map(encode_carried, found))


@pytest.mark.parametrize("kuma", [False, True], ids=["with-manifest", "type-by-type"])
async def test_a_frame_that_is_not_the_globals_own_is_refused_and_changes_nothing(
    planes: Planes, kuma: bool
) -> None:
    """From a server with the global's own certificate, which says all the rest as the global does:
    with the manifest of the true revision, or without any, as a real Kuma global.
    """
    token = read_join(planes.join_file("east")).token
    tls = planes.state("global") / "tls"
    types = [*GLOBAL_TO_ZONE_TYPES, MANIFEST]
    said = await overheard(planes.kds_port, (tls / "ca.pem").read_bytes(), "east", token, types)
    (permission,) = said["MeshTrafficPermission"]
    said["MeshTrafficPermission"] = of_another_origin((permission,))
    if kuma:
        said[MANIFEST] = ()
    before, kept = in_force(planes), policies(planes)
    planes.processes["global"].kill_now()
    fake = FakeGlobal(said)
    await fake.start(planes.kds_port, tls)
    try:
        await planes.until("every type", lambda: len(fake.taken | fake.refusals.keys()) > 45)
        words = "kuma.io/origin is 'zone': only the global's own are taken"
        assert fake.refusals.keys() == {"MeshTrafficPermission"}
        assert fake.refusals["MeshTrafficPermission"].count(words) == 2
        status = planes.status("east")
        assert words in str(status["refused_resources"])
        assert status["rebuilt"] == before[1]
        assert status["revision"] == (None if kuma else before[0])
        assert policies(planes) == kept
    finally:
        await fake.stop()
    planes.run_global()
    await planes.until("the true one", lambda: not planes.status("east").get("refused_resources"))
    await planes.until("the revision", lambda: in_force(planes) == before)
    await planes.until("the policies on its disk", lambda: policies(planes) == kept)


# --- the disk, and Git ---


@asynccontextmanager
async def calls(planes: Planes) -> AsyncIterator[Load]:
    """A steady stream of them from `frontend` to `backend`, through real Envoys, that succeed."""
    frontend = planes.frontend
    for workload in (frontend, planes.workloads["backend-east-1"]):
        planes.run_app(workload)
        planes.run_sidecar(workload)
    await planes.until("both proxies", lambda: planes.acked("east") == 2)
    async with Load(frontend.app_port, "/", per_second=40.0) as load:
        await planes.until("a call", lambda: any(answer.ok for answer in load.since(0)))
        yield load


def failed(load: Load, since: float) -> list[int]:
    answers = load.since(since)
    assert answers
    return [answer.status for answer in answers if not answer.ok]


async def test_an_edited_state_file_is_not_served_and_is_fetched_again(planes: Planes) -> None:
    """Real Envoys serve on meanwhile: what they have is taken from nobody."""
    async with calls(planes) as load:
        kept, revision = policies(planes), planes.status("east")["revision"]
        for name in ("global", "zone-east"):
            planes.processes[name].kill_now()
        since = time.time()
        with closing(sqlite3.connect(planes.state("east") / "store.sqlite")) as db, db:
            (key,) = [k for k in kept if "MeshTrafficPermission" in k and "allow" in k]
            changed = kept[key].replace(b'"Allow"', b'"Deny"')
            assert changed != kept[key]
            db.execute("UPDATE rows SET value = ? WHERE key = ?", (changed, key))
        planes.run_zone("east")
        await planes.until("what it lacks", lambda: "store_error" in planes.status("east"))
        status = planes.status("east")
        assert status["revision"] is None
        assert "whole and kept: local" in str(status["store_error"])
        await asyncio.sleep(1.0)  # Its Envoys dial again, and are told nothing.
        assert set(dict(planes.status("east")["rebuilt"]).values()) == {0}  # type: ignore[call-overload]
        planes.run_global()
        await planes.until("the revision", lambda: planes.status("east")["revision"] == revision)
        await planes.until("both proxies again", lambda: planes.acked("east") == 2)
        assert policies(planes) == kept
        assert failed(load, since) == []


async def test_a_force_push_is_held_while_real_envoys_serve_on(planes: Planes) -> None:
    """Unrelated history that denies everything: nothing of it is applied until it is accepted."""
    async with calls(planes) as load:
        since, before = time.time(), in_force(planes)
        file = planes.work / "policies" / "allow-all.yaml"
        planes.git(planes.work, "checkout", "--quiet", "--orphan", "rewritten")
        file.write_text(file.read_text().replace("action: Allow", "action: Deny"))
        planes.git(planes.work, "add", "--all")
        planes.git(planes.work, "commit", "--quiet", "--message", "Other history")
        planes.git(planes.work, "push", "--quiet", "--force", "origin", "rewritten:main")
        commit = planes.git(planes.work, "rev-parse", "HEAD").strip()
        await planes.until("the hold", lambda: commit in str(planes.status("global").get("held")))
        await asyncio.sleep(1.0)  # What was sent all the same would have arrived.
        assert in_force(planes) == before
        assert planes.status("global")["revision"] == before[0]
        assert failed(load, since) == []
        planes.run_once("accept", commit, "--state-dir", str(planes.state("global")))
        await planes.until("the commit", lambda: planes.status("east")["revision"] == commit)
        await planes.until("a denied call", lambda: failed(load, since) != [])
