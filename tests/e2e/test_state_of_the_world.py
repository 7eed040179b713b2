"""Real Envoys with the bootstrap that kuma-dp asks for by default: state of the world, one of them
by the port of the bootstrap. Traffic flows, and a policy that changes reaches them.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import ssl
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import pytest

from reconciler.demo.tour import PERMISSION_POLICY
from tests.support.planes import Planes
from tests.support.real_envoy import answers, application, envoy, free_port, get

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]


def bootstrap_of(planes: Planes, document: dict[str, object], token: str, folder: Path) -> str:
    """The bare document, as for a client that accepts anything."""
    context = ssl.create_default_context(cafile=planes.state("east") / "tls" / "ca.pem")
    port = planes.ports["east"].bootstrap
    connection = http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=10)
    request = {
        "proxyType": "dataplane",
        "dataplaneToken": token,
        "dataplaneResource": json.dumps(document),
        "workdir": str(folder),
        "features": ["feature-reuse-port", "feature-strict-inbound-ports"],
    }
    try:
        connection.request("POST", "/bootstrap", json.dumps(request), {"accept": "*/*"})
        response = connection.getresponse()
        text = response.read().decode()
    finally:
        connection.close()
    assert response.status == 200, text
    return text


def by_one_port(text: str, port: int) -> str:
    document = json.loads(text)
    ads = document["staticResources"]["clusters"][0]
    (endpoint,) = ads["loadAssignment"]["endpoints"][0]["lbEndpoints"]
    endpoint["endpoint"]["address"]["socketAddress"]["portValue"] = port
    return json.dumps(document)


def sidecar(name: str, port: int, app: int, outbound: int = 0) -> dict[str, object]:
    tags = {"kuma.io/service": name, "kuma.io/protocol": "http"}
    inbound = {"port": port, "servicePort": app, "serviceAddress": "127.0.0.1", "tags": tags}
    networking: dict[str, object] = {
        "address": "127.0.0.1",
        "inbound": [inbound],
        "admin": {"port": free_port()},
    }
    if outbound:
        networking["outbound"] = [{"port": outbound, "tags": {"kuma.io/service": "backend"}}]
    return {"type": "Dataplane", "mesh": "default", "name": f"{name}-1", "networking": networking}


async def refused(port: int) -> None:
    async with asyncio.timeout(20):
        while (await get(port))[0] != 403:  # noqa: ASYNC110 - only a request shows it
            await asyncio.sleep(0.05)


async def test_traffic_flows_and_a_changed_policy_arrives(tmp_path: Path) -> None:
    planes = Planes(tmp_path / "world")
    try:
        await planes.start_global()
        await planes.start_zone("east")
        token = planes.run_once(
            "token", "dataplane", "--mesh", "default", "--state-dir", str(planes.state("global"))
        )
        async with AsyncExitStack() as stack:
            app = await stack.enter_async_context(application("hello"))
            outbound = free_port()
            for name, document in (
                ("backend", sidecar("backend", free_port(), app)),
                ("frontend", sidecar("frontend", free_port(), app, outbound)),
            ):
                folder = tmp_path / name
                folder.mkdir()
                text = bootstrap_of(planes, document, token, folder)
                assert json.loads(text)["dynamicResources"]["adsConfig"]["apiType"] == "GRPC"
                if name == "frontend":
                    text = by_one_port(text, planes.ports["east"].bootstrap)
                await stack.enter_async_context(envoy(text, folder, drain_s=1))
            await answers(outbound, "hello")
            (planes.work / "policies" / "nobody.yaml").write_text(PERMISSION_POLICY % "Deny")
            planes.git(planes.work, "add", "--all")
            planes.git(planes.work, "commit", "--quiet", "--message", "Nobody may call")
            planes.git(planes.work, "push", "--quiet")
            await refused(outbound)
            proxies = planes.status("east")["proxies"]
            assert isinstance(proxies, dict)
            assert (proxies["total"], proxies["rejected"]) == (2, 0)
    finally:
        planes.stop()
