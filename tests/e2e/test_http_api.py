"""The HTTP API of real control planes: a client with a token and the CA reads, compares and is
refused; what is issued over HTTP is worth something, and what is revoked is not.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import ssl
from contextlib import closing
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from tests.support.planes import Planes
from xds.discovery import DeltaRequest, Node
from xds.resource import CLUSTER
from xds.wire import delta_request_bytes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]
TIMEOUT = "/meshes/default/meshtimeouts/defaults"
ADS = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"
ISSUING = ("--api-issue-tokens", "on")


@pytest.fixture
async def planes(tmp_path: Path) -> AsyncIterator[Planes]:
    """A global and zone east that issue tokens over HTTP."""
    made = Planes(tmp_path / "world")
    try:
        await made.start_global(*ISSUING)
        await made.start_zone("east", *ISSUING)
        yield made
    finally:
        made.stop()


def ask(
    planes: Planes, role: str, path: str, method: str = "GET", token: str = "", body: Any = None
) -> tuple[int, Any]:
    """Status and body, over TLS."""
    context = ssl.create_default_context(cafile=str(planes.state(role) / "tls" / "ca.pem"))
    port = planes.api[role][0]
    data = json.dumps(body).encode() if body is not None else None
    headers = {"authorization": f"Bearer {token}"} if token else {}
    with closing(
        http.client.HTTPSConnection("127.0.0.1", port, timeout=20, context=context)
    ) as connection:
        connection.request(method, path, data, headers)
        answer = connection.getresponse()
        text = answer.read().decode()
        is_json = answer.headers["content-type"] == "application/json"
        return answer.status, json.loads(text) if is_json else text


async def user(planes: Planes, role: str, name: str, *groups: str) -> str:
    options = [option for group in groups for option in ("--group", group)]
    folder = str(planes.state(role))
    return await asyncio.to_thread(
        planes.run_once, "token", "user", name, *options, "--state-dir", folder
    )


async def test_a_file_is_compared_with_git_and_changes_nothing(planes: Planes) -> None:
    """What `kumactl apply` does: GET, then PUT."""
    before = planes.status("global")["revision"]
    for role in ("global", "east"):
        token = await user(planes, role, "alice")
        (shown,) = ask(planes, role, "/meshes/default/meshtimeouts?name=defaults", token=token)[1][
            "items"
        ]
        path = f"/meshes/default/meshtimeouts/{shown['name']}"
        assert ask(planes, role, path, "PUT", token, shown) == (200, {})
        shown["spec"]["to"][0]["default"]["idleTimeout"] = "2h"
        status, refused = ask(planes, role, path, "PUT", token, shown)
        assert (status, refused["title"]) == (405, "Read only")
        status, refused = ask(planes, role, path, "DELETE", token)
        assert status == 405
        if role == "global":
            place = f"{planes.bare}, branch main, policies/timeouts.yaml:1:1"
            assert refused["detail"] == f"change it in Git: {place}"
    assert planes.status("global")["revision"] == before


async def test_tokens_that_were_issued_over_http_admit_users_and_proxies(planes: Planes) -> None:
    roles = ("global", "east")
    admin = {role: await user(planes, role, "boss", "mesh-system:admin") for role in roles}
    for role, token in admin.items():
        body: dict[str, Any] = {"name": "carol", "groups": ["ops"], "validFor": "1h"}
        status, carol = ask(planes, role, "/tokens/user", "POST", token, body)
        assert status == 200
        assert ask(planes, role, "/who-am-i", token=carol)[1]["name"] == "carol"
        assert ask(planes, role, "/tokens/user", "POST", carol, body)[0] == 403
        body = {"mesh": "default", "name": f"web-{role}", "validFor": "1h"}
        status, web = ask(planes, role, "/tokens/dataplane", "POST", token, body)
        assert status == 200
        assert await refusal(planes, f"web-{role}", web) == ""
        assert "different than in token" in await refusal(planes, "another", web)
    body = {"zone": "east", "scope": ["ingress"], "validFor": "1h"}
    assert ask(planes, "global", "/tokens/zone", "POST", admin["global"], body)[0] == 200
    assert ask(planes, "east", "/tokens/zone", "POST", admin["east"], body)[0] == 404


async def refusal(planes: Planes, name: str, token: str) -> str:
    """Why zone east does not take a proxy of that name with the token; nothing where it does."""
    tags = {"kuma.io/service": "web"}
    document = {
        "type": "Dataplane",
        "mesh": "default",
        "name": name,
        "networking": {"address": "127.0.0.1", "inbound": [{"port": 7080, "tags": tags}]},
    }
    ca_pem = (planes.state("east") / "tls" / "ca.pem").read_bytes()
    target = f"127.0.0.1:{planes.ports['east'].ads}"
    async with grpc.aio.secure_channel(target, grpc.ssl_channel_credentials(ca_pem)) as channel:
        call: grpc.aio.StreamStreamCall[bytes, bytes] = channel.stream_stream(ADS)(
            metadata=(("authorization", token),)
        )
        node = Node(f"default.{name}", metadata={"dataplane.resource": json.dumps(document)})
        await call.write(delta_request_bytes(DeltaRequest(CLUSTER, node)))
        try:
            return "" if isinstance(await call.read(), bytes) else "the stream ended"
        except grpc.aio.AioRpcError:
            return str(await call.details())


async def test_a_revoked_user_is_out_within_seconds_and_secrets_are_in_no_answer(
    planes: Planes,
) -> None:
    alice, bob = await user(planes, "global", "alice"), await user(planes, "global", "bob")
    file = planes.folder / "alice.token"
    file.write_text(alice)
    for path in ("/meshes/default/secrets", "/globalsecrets"):
        assert ask(planes, "global", path, token=alice)[1]["items"] == []
    assert ask(planes, "east", "/meshes", token=alice)[0] == 401  # a user of the global's
    folder = str(planes.state("global"))
    await asyncio.to_thread(
        planes.run_once,
        *("token", "revoke", "--users", "--token-file", str(file), "--state-dir", folder),
    )
    await planes.until(
        "the revocation", lambda: ask(planes, "global", "/meshes", token=alice)[0] == 401
    )
    assert ask(planes, "global", "/meshes", token=bob)[0] == 200
    figures = await asyncio.to_thread(metrics, planes)
    assert 'reconciler_api_denied_total{reason="unauthenticated"}' in figures


def metrics(planes: Planes) -> str:
    context = ssl.create_default_context(cafile=str(planes.state("global") / "tls" / "ca.pem"))
    port = planes.diagnostics["global"]
    with closing(
        http.client.HTTPSConnection("127.0.0.1", port, timeout=20, context=context)
    ) as connection:
        connection.request("GET", "/metrics")
        return connection.getresponse().read().decode()
