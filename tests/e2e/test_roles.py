"""Who may do what, tried at the real doors: proxies at the global, zones without proof, policies by
other ways.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import ssl
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING

import grpc
import pytest

from reconciler.ca.server_tls import new_server_tls
from reconciler.keys.join import Join, read_join, write_join
from tests.support.planes import Planes
from xds.discovery import DeltaRequest, Node
from xds.resource import CLUSTER
from xds.wire import delta_request_bytes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]
ADS = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"
SOTW = "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources"
HDS = "/envoy.service.health.v3.HealthDiscoveryService/StreamHealthCheck"
DOWN = "/kuma.mesh.v1alpha1.KDSSyncService/GlobalToZoneSync"


@pytest.fixture
async def planes(tmp_path: Path) -> AsyncIterator[Planes]:
    made = Planes(tmp_path / "world")
    try:
        await made.start_global()
        yield made
    finally:
        made.stop()


async def refusal(
    port: int, ca_pem: bytes, method: str, metadata: tuple[tuple[str, str], ...]
) -> tuple[grpc.StatusCode, str]:
    """How a stream ends that was opened so. Nothing is written: a refusal comes unasked."""
    channel = grpc.aio.secure_channel(f"127.0.0.1:{port}", grpc.ssl_channel_credentials(ca_pem))
    async with channel:
        call: grpc.aio.StreamStreamCall[bytes, bytes] = channel.stream_stream(method)(
            metadata=metadata
        )
        try:
            while isinstance(await call.read(), bytes):
                continue
        except grpc.aio.AioRpcError:
            pass
        return await call.code(), str(await call.details())


def global_ca(planes: Planes) -> bytes:
    return (planes.state("global") / "tls" / "ca.pem").read_bytes()


async def token_for(planes: Planes, kind: str) -> str:
    folder = str(planes.state("global"))
    if kind == "dataplane":
        return await asyncio.to_thread(planes.run_once, "token", "dataplane", "--state-dir", folder)
    if kind == "zone-proxy":
        return await asyncio.to_thread(
            planes.run_once,
            *("token", "zone-proxy", "--zone", "east", "--scope", "ingress"),
            *("--state-dir", folder),
        )
    return kind


@pytest.mark.parametrize("kind", ["", "not-a-token", "dataplane", "zone-proxy"])
async def test_global_refuses_proxies_on_every_port_and_names_the_zone(
    planes: Planes, kind: str
) -> None:
    """ADS of both variants, HDS and the bootstrap. The KDS port speaks HTTP/2 alone and 5680
    HTTP/1.1 alone: what cannot be asked there gets no connection.
    """
    await planes.start_zone("east")
    token = await token_for(planes, kind)
    metadata = (("authorization", token),) if token else ()
    named = 'belongs to zone "east"' if kind == "zone-proxy" else "knows these zones: east"
    for port in (planes.kds_port, planes.refusing_port):
        for method in (ADS, SOTW, HDS):
            code, text = await refusal(port, global_ca(planes), method, metadata)
            assert code is grpc.StatusCode.FAILED_PRECONDITION
            assert "serves zones only" in text
            assert named in text
            assert "--zone-address" in text
    request = {"name": "web-1", "mesh": "default", "dataplaneToken": token}
    for port in (planes.refusing_port, planes.diagnostics["global"]):
        status, text = bootstrap(planes, request, "global", port)
        assert status == 403
        assert named in text
    with pytest.raises((OSError, http.client.HTTPException)):
        bootstrap(planes, request, "global", planes.kds_port)
    for method in (ADS, SOTW, HDS):
        found = await refusal(planes.diagnostics["global"], global_ca(planes), method, metadata)
        assert found[0] is grpc.StatusCode.UNAVAILABLE
    assert planes.status("global")["zones"][0]["proxies"]["total"] == 0  # type: ignore[index]


async def test_a_real_proxy_at_the_global_ends_with_its_words(planes: Planes) -> None:
    token = planes.folder / "web.token"
    token.write_text(await token_for(planes, "dataplane"))
    document = planes.folder / "web.json"
    networking = {
        "address": "127.0.0.1",
        "inbound": [{"port": 1, "tags": {"kuma.io/service": "w"}}],
    }
    document.write_text(
        json.dumps({"type": "Dataplane", "mesh": "default", "name": "w", "networking": networking})
    )
    done = await asyncio.to_thread(
        subprocess.run,
        [
            *(sys.executable, "-m", "reconciler.cli.main", "dataplane", "--file", str(document)),
            *("--zone-address", f"https://127.0.0.1:{planes.refusing_port}"),
            *("--token-file", str(token), "--workdir", str(planes.folder / "w")),
            *("--ca-file", str(planes.state("global") / "tls" / "ca.pem")),
        ],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2
    assert "serves zones only" in done.stderr


async def test_global_refuses_zones_without_proof(planes: Planes) -> None:
    ca = global_ca(planes)
    code, text = await refusal(planes.kds_port, ca, DOWN, ())
    assert (code, text) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        '"client-id" is not present in metadata',
    )
    code, text = await refusal(planes.kds_port, ca, DOWN, (("client-id", "east"),))
    assert code is grpc.StatusCode.UNAUTHENTICATED
    assert "reconciler token zone" in text


async def test_token_of_one_zone_does_not_open_another(planes: Planes) -> None:
    planes.issue_join_file("east")
    token = read_join(planes.join_file("east")).token
    metadata = (("client-id", "west"), ("authorization", token))
    code, text = await refusal(planes.kds_port, global_ca(planes), DOWN, metadata)
    assert code is grpc.StatusCode.UNAUTHENTICATED
    assert 'is of zone "east"' in text


async def test_zone_does_not_follow_a_global_of_another_certificate(
    planes: Planes, tmp_path: Path
) -> None:
    planes.issue_join_file("east")
    join = read_join(planes.join_file("east"))
    other = new_server_tls("other", ("127.0.0.1",), 1_700_000_000.0)
    write_join(
        planes.join_file("east"), Join(join.zone, join.address, other.ca_pem.decode(), join.token)
    )
    planes.run_zone("east")
    await planes.until("its complaint", lambda: bool(planes.status("east").get("global_error")))
    status = planes.status("east")
    assert status["connected"] is False
    assert status["revision"] is None


async def test_bootstrap_answers_as_a_proxy_expects(planes: Planes) -> None:
    """Codes decide whether a proxy tries again: 400 empty, 422 with a text, 404 empty."""
    await planes.start_zone("east")
    assert bootstrap(planes, b"no json") == (400, "")
    assert bootstrap(planes, {"mesh": "default", "name": "web-1"})[0] == 422
    known = {"dataplaneToken": "x", "proxyType": "dataplane", "mesh": "default", "name": "web-1"}
    assert bootstrap(planes, known) == (404, "")
    resource = {"type": "Dataplane", "mesh": "nowhere", "name": "web-1"}
    resource["networking"] = {"address": "10.0.0.1"}  # type: ignore[assignment]
    wrong = {**known, "dataplaneResource": json.dumps(resource)}
    assert bootstrap(planes, wrong) == (422, 'mesh: mesh "nowhere" does not exist')


def bootstrap(
    planes: Planes, body: object, at: str = "east", port: int | None = None
) -> tuple[int, str]:
    context = ssl.create_default_context(cafile=planes.state(at) / "tls" / "ca.pem")
    connection = http.client.HTTPSConnection(
        "127.0.0.1", port or planes.ports[at].bootstrap, context=context, timeout=10
    )
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    with closing(connection):
        connection.request("POST", "/bootstrap", body=data, headers={"accept": "application/json"})
        response = connection.getresponse()
        return response.status, response.read().decode()


async def test_zone_refuses_a_proxy_with_a_wrong_token_and_says_why(planes: Planes) -> None:
    await planes.start_zone("east")
    resource = {"type": "Dataplane", "mesh": "default", "name": "web-1"}
    resource["networking"] = {  # type: ignore[assignment]
        "address": "10.0.0.1",
        "inbound": [{"port": 80, "servicePort": 81, "tags": {"kuma.io/service": "web"}}],
    }
    token = planes.run_once(
        "token", "dataplane", "--name", "other", "--state-dir", str(planes.state("global"))
    )
    ca = (planes.state("east") / "tls" / "ca.pem").read_bytes()
    channel = grpc.aio.secure_channel(
        f"127.0.0.1:{planes.ports['east'].ads}", grpc.ssl_channel_credentials(ca)
    )
    async with channel:
        call: grpc.aio.StreamStreamCall[bytes, bytes] = channel.stream_stream(ADS)(
            metadata=(("authorization", token),)
        )
        node = Node("default.web-1", metadata={"dataplane.resource": json.dumps(resource)})
        await call.write(delta_request_bytes(DeltaRequest(CLUSTER, node)))
        with pytest.raises(grpc.aio.AioRpcError):
            await call.read()
        assert await call.code() is grpc.StatusCode.UNKNOWN
        text = "proxy name from requestor: web-1 is different than in token: other"
        assert str(await call.details()) == f"authentication failed: {text}"
    assert text in str(planes.status("east")["refused"])


async def test_wait_tells_arrived_rejected_and_timeout_apart(planes: Planes) -> None:
    await planes.start_zone("east")
    commit = str(planes.status("global")["revision"])
    assert wait(planes, commit, "30s") == 0
    assert wait(planes, "f" * 40, "100ms") == 4
    (planes.work / "mistake.yaml").write_text("type: MeshTimeout\n")
    planes.git(planes.work, "add", "mistake.yaml")
    planes.git(
        planes.work, "-c", "user.name=T", "-c", "user.email=t@t.invalid", "commit", "-qm", "x"
    )
    planes.git(planes.work, "push", "-q", "origin", "main")
    bad = planes.git(planes.work, "rev-parse", "HEAD").strip()
    assert wait(planes, bad, "30s") == 1
    assert planes.status("global")["revision"] == commit


async def test_wait_for_an_overtaken_commit_ends_with_the_one_that_contains_it(
    planes: Planes,
) -> None:
    """Two commits in one push: the first is never in force itself."""
    commits = []
    for text in ("5s", "6s"):
        file = planes.work / "policies" / "timeouts.yaml"
        file.write_text(file.read_text().replace("15s", text).replace("5s", text))
        planes.git(planes.work, "add", "--all")
        planes.git(
            planes.work, "-c", "user.name=T", "-c", "user.email=t@t.invalid", "commit", "-qm", text
        )
        commits.append(planes.git(planes.work, "rev-parse", "HEAD").strip())
    planes.git(planes.work, "push", "-q", "origin", "main")
    assert wait(planes, commits[1], "30s") == 0
    assert wait(planes, commits[0], "30s") == 0
    assert wait(planes, commits[0][:8], "30s") == 0
    assert wait(planes, "f" * 8, "100ms") == 4


def wait(planes: Planes, commit: str, timeout: str) -> int:
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "reconciler.cli.main",
            "wait",
            "--commit",
            commit,
            "--timeout",
            timeout,
            "--state-dir",
            str(planes.state("global")),
        ],
        capture_output=True,
        check=False,
        timeout=60,
    )
    return done.returncode


async def test_keys_of_an_earlier_fleet_are_never_silently_made_anew(planes: Planes) -> None:
    """The state directory is new, but a status ref shows that a fleet exists."""
    await planes.start_zone("east")
    refs = ("-C", str(planes.bare), "for-each-ref", "--format=%(refname)", "refs/heads/status")
    await planes.until("the status ref", lambda: "status/east" in planes.git(None, *refs))
    planes.processes["global"].kill_now()
    planes.state("global").rename(planes.folder / "lost")
    done = await asyncio.to_thread(
        subprocess.run,
        [
            sys.executable,
            "-m",
            "reconciler.cli.main",
            "global",
            "--repo",
            str(planes.bare),
            "--state-dir",
            str(planes.state("global")),
            "--kds-port",
            "0",
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 2
    assert "--new-keys" in done.stderr
