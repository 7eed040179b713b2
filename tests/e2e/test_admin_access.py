"""What real Envoys of two zones run and count, asked from the global; and who is refused at their
admin listeners.
"""

from __future__ import annotations

import asyncio
import base64
import http.client
import json
import os
import re
import signal
import ssl
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.admin import AdminTarget
from reconciler.admin_client import AdminClient, AdminFailed, AdminLimits
from reconciler.ca.admin import issue_admin_client, issue_admin_server, new_admin_ca
from tests.e2e.test_envoy_accepts import _answers, ask, echo, static
from tests.support.planes import Planes
from tests.support.real_envoy import envoy, free_port
from xds.names import ADMIN_CLUSTER, ADMIN_LISTENER, READINESS_CLUSTER
from xds.view import AdminListener, HostCluster

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]
ADDRESS = "127.0.0.3"


@pytest.fixture
async def planes(tmp_path: Path) -> AsyncIterator[Planes]:
    made = Planes(tmp_path / "w")
    try:
        await made.start_global()
        await made.start_zone("east")
        await made.start_zone("west")
        yield made
    finally:
        made.stop()


def run_web(planes: Planes, zone: str, admin_port: int) -> None:
    networking = {
        "address": ADDRESS,
        "admin": {"port": admin_port},
        "inbound": [
            {
                "port": free_port(),
                "servicePort": free_port(),
                "serviceAddress": "127.0.0.1",
                "tags": {"kuma.io/service": "web", "kuma.io/protocol": "http"},
            }
        ],
    }
    document = {"type": "Dataplane", "mesh": "default", "name": "web-1", "networking": networking}
    token = ("token", "dataplane", "--mesh", "default", "--name", "web-1")
    planes._dataplane("web-1", zone, document, token)


def run_egress(planes: Planes, zone: str) -> None:
    networking = {"address": ADDRESS, "port": free_port(), "admin": {"port": free_port()}}
    document = {"type": "ZoneEgress", "name": f"egress-{zone}", "networking": networking}
    token = ("token", "zone-proxy", "--zone", zone, "--scope", "egress")
    planes._dataplane(f"egress-{zone}", zone, document, token)


async def inspect(planes: Planes, role: str, *argv: str) -> tuple[int, str]:
    """Exit code, and what is printed."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "reconciler.cli.main", "inspect", *argv),
        *("--socket", str(planes.control_socket(role))),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    out, _ = await process.communicate()
    return process.returncode or 0, out.decode()


async def test_what_any_envoy_runs_is_asked_from_the_global(planes: Planes) -> None:
    port = free_port()
    run_web(planes, "west", port)
    planes.run_ingress("west")
    planes.run_ingress("east")
    run_egress(planes, "east")
    await planes.until("west's proxies", lambda: acked(planes, "west") == 2)
    await planes.until("east's proxies", lambda: acked(planes, "east") == 2)
    await planes.until("the inventory", lambda: len(inventory(planes)) >= 3)

    await every_part_of_a_sidecar(planes, "global")
    await every_part_of_a_sidecar(planes, "west")
    await ingresses_too(planes)
    await egress_too(planes)
    await names_nobody_has(planes)
    await only_the_zone_gets_in(planes, port)
    await one_that_hangs(planes)
    kept = (planes.state("west") / "secrets" / "envoy-admin-ca").read_bytes()
    planes.processes["zone-west"].kill_now()
    await planes.until("west is gone", lambda: not connected(planes, "west"))
    code, text = await inspect(planes, "global", "web-1", "--stats")
    assert (code, "offline" in text) == (1, True)
    code, text = await inspect(planes, "global", "ingress-east", "--type", "zone-ingress")
    assert code == 0
    planes.run_zone("west")
    await planes.until("west is back", lambda: acked(planes, "west") == 2)
    await planes.until("its streams", lambda: connected(planes, "west"))
    await planes.until("an answer", lambda: answered(planes))
    assert (planes.state("west") / "secrets" / "envoy-admin-ca").read_bytes() == kept


def answered(planes: Planes) -> bool:
    socket = str(planes.control_socket("global"))
    argv = [sys.executable, "-m", "reconciler.cli.main", "inspect", "web-1", "--socket", socket]
    return subprocess.run(argv, capture_output=True, check=False).returncode == 0


def acked(planes: Planes, zone: str) -> object:
    proxies: Any = planes.status(zone).get("proxies") or {}
    return proxies.get("acked")


def inventory(planes: Planes) -> list[str]:
    found = planes.run_once(
        "status", "--proxies", "--format", "json", "--socket", str(planes.control_socket("global"))
    )
    listed: list[str] = json.loads(found)["inventory"]
    return listed


def connected(planes: Planes, zone: str) -> bool:
    rows: Any = planes.status("global").get("zones", [])
    return any(row["zone"] == zone and row["connected"] for row in rows)


async def every_part_of_a_sidecar(planes: Planes, role: str) -> None:
    code, text = await inspect(planes, role, "web-1", "--eds")
    assert code == 0, text
    dump = json.loads(text)
    assert dump["configs"][0]["bootstrap"]["node"]["id"] == "default.web-1"
    kinds = {config["@type"].rpartition(".")[2] for config in dump["configs"]}
    assert {"ListenersConfigDump", "ClustersConfigDump", "EndpointsConfigDump"} <= kinds
    token = (planes.folder / "proxies" / "web-1" / "token").read_text().strip()
    assert token not in text
    assert "PRIVATE KEY" not in text
    assert b"PRIVATE KEY" not in base64_opened(text.encode())
    assert "[redacted]" in text
    code, text = await inspect(planes, role, "web-1", "--stats")
    assert (code, "server.live: 1" in text) == (0, True), text
    code, text = await inspect(planes, role, "web-1", "--stats", "--format", "json")
    assert "server.live" in {s.get("name") for s in json.loads(text)["stats"]}
    code, text = await inspect(planes, role, "web-1", "--clusters")
    assert (code, "kuma:envoy:admin::" in text) == (0, True), text
    code, text = await inspect(planes, role, "web-1", "--clusters", "--format", "json")
    assert "kuma:envoy:admin" in {c["name"] for c in json.loads(text)["cluster_statuses"]}


async def ingresses_too(planes: Planes) -> None:
    for zone in planes.zones:
        name = f"ingress-{zone}"
        code, text = await inspect(planes, "global", name, "--type", "zone-ingress")
        assert code == 0, text
        assert json.loads(text)["configs"][0]["bootstrap"]["node"]["id"] == f".{name}"


async def egress_too(planes: Planes) -> None:
    """Its Envoy is live: it listens, though there is nothing that it passes on."""
    for role in ("global", "east"):
        code, text = await inspect(planes, role, "egress-east", "--type", "zone-egress")
        assert code == 0, text
        configs = json.loads(text)["configs"]
        assert configs[0]["bootstrap"]["node"]["cluster"] == "egress"
        (listeners,) = [c for c in configs if c["@type"].endswith("ListenersConfigDump")]
        first, *others = sorted(x["name"] for x in listeners["dynamic_listeners"])
        assert (first.startswith(f"inbound:{ADDRESS}:"), others) == (True, [ADMIN_LISTENER])
    code, text = await inspect(planes, "east", "egress-east", "--type", "zone-egress", "--stats")
    assert (code, "server.state: 0" in text) == (0, True), text


async def names_nobody_has(planes: Planes) -> None:
    code, text = await inspect(planes, "global", "nobody")
    assert (code, text.startswith('no zone has reported a Dataplane "nobody"')) == (1, True)
    code, text = await inspect(planes, "global", "nobody", "--zone", "west")
    assert code == 1
    assert text == 'resource not found: type="Dataplane" name="nobody" mesh="default"\n'
    code, text = await inspect(planes, "global", "web-1", "--zone", "north")
    assert (code, 'zone "north" is not known' in text) == (1, True)
    code, text = await inspect(planes, "west", "web-1", "--zone", "east")
    assert (code, 'this is zone "west"' in text) == (1, True)


async def only_the_zone_gets_in(planes: Planes, port: int) -> None:
    """In plaintext `/ready` alone; by TLS nobody but who has a certificate of this zone's CA, for
    `kuma-cp`.
    """
    assert plain(port, "/ready") == (200, "LIVE")
    assert plain(port, "/config_dump")[0] == 404
    ca = (planes.state("west") / "secrets" / "envoy-admin-ca").read_bytes()
    now = time.time()
    proxy = issue_admin_server(ca, (ADDRESS,), "default.web-1", now)
    own = issue_admin_client(ca, now)
    foreign = issue_admin_client(new_admin_ca(now), now)
    east = (planes.state("east") / "secrets" / "envoy-admin-ca").read_bytes()
    other_zone = issue_admin_client(east, now)
    tls = asyncio.to_thread
    assert await tls(by_tls, port, ca, own.chain_pem + own.key_pem, planes.folder)
    for pem in (
        b"",
        foreign.chain_pem + foreign.key_pem,
        other_zone.chain_pem + other_zone.key_pem,
        proxy.chain_pem + proxy.key_pem,  # of the same CA, but it is a proxy's
    ):
        assert not await tls(by_tls, port, ca, pem, planes.folder)


def plain(port: int, path: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection(ADDRESS, port, timeout=10)
    connection.request("GET", path)
    response = connection.getresponse()
    try:
        return response.status, response.read().decode().strip()
    finally:
        connection.close()


def by_tls(port: int, ca: bytes, client_pem: bytes, folder: Path) -> bool:
    """Whether the configuration is shown."""
    context = ssl.create_default_context(cadata=ca.partition(b"-----BEGIN PRIVATE")[0].decode())
    if client_pem:
        file = folder / "client.pem"
        file.write_bytes(client_pem)
        context.load_cert_chain(file)
    connection = http.client.HTTPSConnection(ADDRESS, port, timeout=10, context=context)
    try:
        connection.request("GET", "/config_dump")
        return b"configs" in connection.getresponse().read()
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


async def one_that_hangs(planes: Planes) -> None:
    """Its asker waits for a bounded time; questions about others are answered meanwhile."""
    stopped = envoy_of(planes, "web-1")
    os.kill(stopped, signal.SIGSTOP)
    try:
        began = time.monotonic()
        hanging = asyncio.create_task(inspect(planes, "global", "web-1"))
        code, text = await inspect(planes, "global", "ingress-west", "--type", "zone-ingress")
        assert (code, hanging.done()) == (0, False), text
        code, text = await hanging
        assert (code, "timed out" in text) == (4, True), text
        assert time.monotonic() - began < 15
    finally:
        os.kill(stopped, signal.SIGCONT)


def envoy_of(planes: Planes, name: str) -> int:
    """The process id of a proxy's Envoy: the child of `reconciler dataplane`."""
    parent = planes.processes[f"proxy-{name}"].popen.pid
    with open(f"/proc/{parent}/task/{parent}/children") as file:
        (child,) = map(int, file.read().split())
    return child


async def test_a_reporter_says_ready_and_admin_on_tcp_is_behind_the_listener(
    tmp_path: Path,
) -> None:
    """As for a kuma-dp without a workdir: readiness has a port of its own, and so has admin."""
    now, admin_port, port = time.time(), free_port(), free_port()
    ca = new_admin_ca(now)
    tls = issue_admin_server(ca, ("127.0.0.1",), ".in", now)
    listener = AdminListener(
        ADMIN_LISTENER, "127.0.0.1", port, READINESS_CLUSTER, ADMIN_CLUSTER, tls
    )
    async with echo() as reporter:
        clusters = (
            HostCluster(READINESS_CLUSTER, "127.0.0.1", reporter),
            HostCluster(ADMIN_CLUSTER, "127.0.0.1", admin_port),
        )
        document = json.loads(static(tmp_path, clusters=clusters, listeners=(listener,)))
        address = {"address": "127.0.0.1", "port_value": admin_port}
        document["admin"] = {"address": {"socket_address": address}}
        async with envoy(json.dumps(document), tmp_path, drain_s=1):
            await _answers(port, "/ready")
            assert json.loads((await ask(port, "/ready")).body)["path"] == "/ready"
            assert (await ask(port, "/config_dump")).status == 404
            client = AdminClient(ca, tmp_path, now, AdminLimits())
            target = AdminTarget(".in", "127.0.0.1", port)
            dump = await client.get(target, "/config_dump", is_config=True, limit=1_000_000)
            assert {"bootstrap", "static_listeners"} <= {
                k for c in json.loads(dump)["configs"] for k in c
            }
            assert b"PRIVATE KEY" not in base64_opened(dump)
            other = AdminClient(new_admin_ca(now), tmp_path, now, AdminLimits())
            with pytest.raises(AdminFailed, match="cannot connect"):
                await other.get(target, "/config_dump", is_config=True, limit=1_000_000)


def base64_opened(dump: bytes) -> bytes:
    """With everything that may be base64 in it decoded, too."""
    found = re.findall(rb'"([A-Za-z0-9+/=]{40,})"', dump)
    return dump + b"".join(base64.b64decode(text + b"===") for text in found)
