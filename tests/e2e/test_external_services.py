"""Services outside of the mesh: called by each proxy itself, or through an egress: real control
planes, real Envoys, real TLS, observed traffic.
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.demo.ports import free_ports
from tests.support.fleet import ALLOW_ALL, Fleet, a_mesh
from tests.support.outside import Authority, outside
from tests.support.real_envoy import get

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(150)]


def external(name: str, address: str, **tls: Any) -> dict[str, Any]:
    tags = {"kuma.io/service": name, "kuma.io/protocol": "http"}
    networking = {"address": address} | ({"tls": {"enabled": True, **tls}} if tls else {})
    return {
        "type": "ExternalService", "mesh": "default", "name": name,
        "tags": tags, "networking": networking,
    }  # fmt: skip


def inline(pem: bytes) -> dict[str, str]:
    return {"inlineString": pem.decode()}


class East(Fleet):
    """One caller in one zone."""

    async def start_caller(self, *services: str) -> dict[str, int]:
        await self.start_global()
        await self.start_zone("east")
        return self.caller("front", *services)

    def caller(self, name: str, *services: str) -> dict[str, int]:
        """A proxy that only sends."""
        gateway = {"tags": {"kuma.io/service": name}}
        return self.sidecar(name, "east", to=services, gateway=gateway).calls


def permission(name: str, service: str, caller: str) -> dict[str, Any]:
    """Nobody but `caller`."""
    from_ = [
        {"targetRef": {"kind": "Mesh"}, "default": {"action": "Deny"}},
        {
            "targetRef": {"kind": "MeshSubset", "tags": {"kuma.io/service": caller}},
            "default": {"action": "Allow"},
        },
    ]
    spec = {"targetRef": {"kind": "MeshService", "name": service}, "from": from_}
    return {"type": "MeshTrafficPermission", "mesh": "default", "name": name, "spec": spec}


@pytest.fixture
async def east(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[East]:
    made = East(tmp_path_factory.mktemp("z"), mesh=a_mesh(), allow=ALLOW_ALL)
    try:
        yield made
    finally:
        made.stop()


async def test_each_proxy_calls_by_itself(east: East, tmp_path: Path) -> None:
    ca, other = Authority(), Authority("other")
    server, client = ca.issue("pay.localhost", "127.0.0.1"), ca.issue("front")
    async with AsyncExitStack() as stack:
        https = await stack.enter_async_context(
            outside("from https", tls=server, callers=ca.cert, folder=tmp_path)
        )
        plain = await stack.enter_async_context(outside("from http"))
        at = f"127.0.0.1:{https.port}"
        trusted: dict[str, Any] = {"caCert": inline(ca.cert)}
        pair: dict[str, Any] = {"clientCert": inline(client.cert), "clientKey": inline(client.key)}
        named = {**trusted, **pair, "serverName": "pay.localhost"}
        documents = (
            external("plain", f"localhost:{plain.port}"),
            external("good", at, **named),
            external("by-address", at, **trusted, **pair),
            external("by-name", f"localhost:{https.port}", **named),
            external("another-name", at, **trusted, **pair, serverName="other.localhost"),
            external("any-name", at, **trusted, **pair, serverName="other.localhost",
                     skipHostnameVerification=True),
            external("another-ca", at, **named | {"caCert": inline(other.cert)}),
            external("no-client", at, **trusted, serverName="pay.localhost"),
        )  # fmt: skip
        east.documents |= {str(d["name"]): d for d in documents}
        calls = await east.start_caller(*(str(d["name"]) for d in documents))
        await east.all_acked(east=1)
        assert await get(calls["plain"]) == (200, "from http")
        assert plain.hosts == ["localhost"]
        for name in ("good", "by-address", "by-name", "any-name"):
            assert await get(calls[name]) == (200, "from https"), name
        assert https.hosts == ["127.0.0.1", "127.0.0.1", "localhost", "127.0.0.1"]
        assert https.asked == ["pay.localhost", None, "pay.localhost", "other.localhost"]
        for name in ("another-name", "another-ca", "no-client"):
            assert (await get(calls[name]))[0] == 503, name


BY_EGRESS = a_mesh(routing={"zoneEgress": True})


async def test_all_calls_leave_by_the_egress(east: East, tmp_path: Path) -> None:
    ca, other = Authority(), Authority("other")
    server, client = ca.issue("pay.localhost"), ca.issue("egress")
    async with AsyncExitStack() as stack:
        https = await stack.enter_async_context(
            outside("from https", tls=server, callers=ca.cert, folder=tmp_path)
        )
        plain = await stack.enter_async_context(outside("from http"))
        bytes_ = await stack.enter_async_context(outside("from tcp"))
        at = f"127.0.0.1:{https.port}"
        named: dict[str, Any] = {
            "caCert": inline(ca.cert), "clientCert": inline(client.cert),
            "clientKey": inline(client.key), "serverName": "pay.localhost",
        }  # fmt: skip
        documents = (
            external("plain", f"localhost:{plain.port}"),
            external("closed", f"localhost:{plain.port}"),
            external("bytes", f"127.0.0.1:{bytes_.port}"),
            external("good", at, **named),
            external("another-ca", at, **named | {"caCert": inline(other.cert)}),
            external("another-name", at, **named | {"serverName": "other.localhost"}),
        )
        documents[2]["tags"]["kuma.io/protocol"] = "tcp"
        names = tuple(str(d["name"]) for d in documents)
        east.documents |= {"mesh": BY_EGRESS, "closed-to": permission("closed", "closed", "admin")}
        east.documents |= {str(d["name"]): d for d in documents}
        calls = await east.start_caller(*names)
        admin = east.caller("admin", "closed")
        await east.all_acked(east=2)
        assert (await get(calls["plain"]))[0] == 503  # No egress, and no other way out.
        assert plain.connections == 0
        egress = east.egress("out", "east")
        await east.all_acked(east=3)
        await east.until("the egress", lambda: east.endpoints("front")["good"].keys() == {egress})
        for name, body in (("plain", "from http"), ("good", "from https"), ("bytes", "from tcp")):
            assert await get(calls[name]) == (200, body), name
        assert await get(admin["closed"]) == (200, "from http")
        assert (await get(calls["closed"]))[0] == 403
        for name in ("another-ca", "another-name"):
            assert (await get(calls[name]))[0] == 503, name
        assert set(https.asked) == {"pay.localhost", "other.localhost"}  # failures are tried again
        assert len(https.hosts) == 1
        assert plain.hosts == ["localhost", "localhost"]
        assert bytes_.hosts == ["test"]
        inside = [name for headers in plain.headers for name in headers if name.startswith("x-f")]
        assert "x-forwarded-client-cert" not in inside
        assert east.stats("out", "^cluster.default_plain.upstream_rq_total$")
        told = {host for each in east.endpoints("front").values() for host, _ in each}
        assert told == {egress[0]} | ({"127.0.0.1"} & told)


async def test_mesh_external_services_are_called_by_the_egress_alone(
    east: East, tmp_path: Path
) -> None:
    ca = Authority()
    server = ca.issue("pay.localhost")
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(
            outside("first", tls=server, callers=ca.cert, folder=tmp_path)
        )
        second = await stack.enter_async_context(outside("second", tls=server, folder=tmp_path))
        client = ca.issue("egress")
        verification = {
            "caCert": inline(ca.cert), "clientCert": inline(client.cert),
            "clientKey": inline(client.key), "serverName": "pay.localhost",
        }  # fmt: skip
        unused = free_ports(1)[0]

        def resource(name: str, *ports: int, **more: Any) -> dict[str, Any]:
            endpoints = [
                {"address": "127.0.0.1", "port": port, "priority": n}
                for n, port in enumerate(ports)
            ]
            spec = {
                "match": {"type": "HostnameGenerator", "port": 443, "protocol": "http"},
                "endpoints": endpoints,
                "tls": {"enabled": True, "verification": verification | more},
            }
            return {
                "type": "MeshExternalService", "mesh": "default", "name": name, "spec": spec
            }  # fmt: skip

        documents = (
            resource("good", first.port),
            resource("another-name", first.port, serverName="other.localhost"),
            resource("any-name", first.port, mode="SkipSAN"),
            resource("anybody", second.port, mode="SkipAll"),
            resource("fallback", unused, second.port),
        )
        east.documents |= {str(d["name"]): d for d in documents}
        await east.start_global()
        await east.start_zone("east")
        ports = dict(zip((d["name"] for d in documents), free_ports(5), strict=True))
        outbound = [
            {"port": port, "backendRef": {"kind": "MeshExternalService", "name": name}}
            for name, port in ports.items()
        ]
        gateway = {"tags": {"kuma.io/service": "front"}}
        east.sidecar("front", "east", gateway=gateway, outbound=outbound)
        await east.all_acked(east=1)
        assert (await get(ports["good"]))[0] == 503
        await east.until("what is missing", lambda: _warned(east, "MeshExternalServices"))
        egress = east.egress("out", "east")
        await east.all_acked(east=2)
        await east.until("the egress", lambda: egress in _places(east))
        for name, body in (("good", "first"), ("any-name", "first"), ("anybody", "second")):
            assert await get(ports[name]) == (200, body), name
        assert (await get(ports["another-name"]))[0] == 503

        async def fell_back() -> bool:
            return await get(ports["fallback"]) == (200, "second")

        await east.until("the next priority", fell_back)
        await east.commit(mesh=a_mesh(routing={"defaultForbidMeshExternalServiceAccess": True}))

        async def forbidden() -> bool:
            return (await get(ports["good"]))[0] == 403

        await east.until("nobody may", forbidden)  # Connections of before drain.


def _warned(east: East, word: str) -> bool:
    warnings = east.status("east").get("warnings")
    return isinstance(warnings, list) and any(word in str(text) for text in warnings)


def _places(east: East) -> set[tuple[str, int]]:
    return {at for each in east.endpoints("front").values() for at in each}
