"""What a real Envoy serves on its own host: documents for kuma-dp, health checks, and listeners
that lead nowhere.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest

from tests.support.ads_client import server_certificate
from tests.support.ads_envoy import accepted, ads_envoy, snapshot_of
from tests.support.applications import served
from tests.support.real_envoy import application, free_port, get
from xds import names
from xds.build.secrets import ca_secret, identity_secret
from xds.resource import CLUSTER, LISTENER, SECRET
from xds.view import (
    DirectCluster,
    DirectListener,
    DynamicConfigListener,
    EmptyCluster,
    LocalCluster,
    PassthroughCluster,
    PassthroughListener,
    ProbeListener,
    ProbeRoute,
    Protocol,
    UpstreamTls,
)

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.e2e


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: str


async def ask(to: int | str, path: str, method: str = "GET", **headers: str) -> Answer:
    """One request to a port of 127.0.0.1 or to a unix socket."""
    if isinstance(to, int):
        reader, writer = await asyncio.open_connection("127.0.0.1", to)
    else:
        reader, writer = await asyncio.open_unix_connection(to)
    lines = [f"{method} {path} HTTP/1.1", "host: test", "connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    try:
        writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
        async with asyncio.timeout(10):
            first, *rest = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
            found = {name: value for name, _, value in (line.partition(": ") for line in rest)}
            body = await reader.readexactly(int(found.get("content-length", "0")))
    finally:
        writer.close()
    return Answer(int(first.split()[1]), found, body.decode())


async def answering(to: int | str, path: str) -> None:
    async with asyncio.timeout(20):
        while True:
            try:
                if (await ask(to, path)).status < 500:
                    return
            except (OSError, EOFError):
                pass
            await asyncio.sleep(0.02)  # A process that starts has no other signal.


async def taking(port: int) -> None:
    """Returns once somebody takes connections there."""
    async with asyncio.timeout(20):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.02)  # A process that starts has no other signal.
            else:
                return writer.close()


# --- documents ---


async def test_documents_are_served_once_to_who_names_what_it_has(tmp_path: Path) -> None:
    """As kuma-dp asks, each second; of a document that changed the old ETag is worth nothing."""
    path = str(tmp_path / "config.sock")
    first, second = '{"records":[]}', '{"records":[{"name":"é.mesh","ips":["240.0.0.0"]}]}'
    listener = DynamicConfigListener(
        names.DYNAMIC_CONFIG_LISTENER, path, (("/dns", first), ("/meshmetric", "{}"))
    )
    async with ads_envoy(snapshot_of((listener,)), tmp_path) as control_plane:
        await answering(path, "/dns")
        answer = await ask(path, "/dns")
        etag = answer.headers["etag"]
        assert (answer.status, answer.body) == (200, first)
        assert etag == sha256(first.encode()).hexdigest()
        same = await ask(path, "/dns", if_none_match=etag)
        assert (same.status, same.body) == (304, "")
        assert (await ask(path, "/meshmetric", if_none_match=etag)).body == "{}"
        assert (await ask(path, "/otel")).status == 404
        changed = replace(listener, documents=(("/dns", second), ("/meshmetric", "{}")))
        control_plane.publish(snapshot_of((changed,)))
        async with asyncio.timeout(5):
            while (answer := await ask(path, "/dns", if_none_match=etag)).status == 304:
                pass
        assert (answer.status, answer.body) == (200, second)
        assert control_plane.rejections == []


async def test_a_document_may_be_long(tmp_path: Path) -> None:
    """Envoy's own limit is 4 KiB."""
    path = str(tmp_path / "config.sock")
    body = json.dumps({"records": [{"name": f"service-{n}.mesh"} for n in range(10_000)]})
    listener = DynamicConfigListener(names.DYNAMIC_CONFIG_LISTENER, path, (("/dns", body),))
    async with ads_envoy(snapshot_of((listener,)), tmp_path):
        await answering(path, "/dns")
        assert (await ask(path, "/dns")).body == body


# --- probes ---


async def test_probes_reach_the_application_by_the_path_it_knows(tmp_path: Path) -> None:
    """Without a local cluster the prober is told where to ask."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")[0]
        head = f"HTTP/1.1 200 OK\r\ncontent-length: {len(asked)}\r\nconnection: close\r\n\r\n"
        writer.write((head + asked).encode())
        await writer.drain()

    async with served(echo) as port:
        listener = ProbeListener(
            names.PROBE_LISTENER,
            "127.0.0.1",
            free_port(),
            (
                ProbeRoute("/8080/healthz", r"/health\1/z", "localhost:8080"),
                ProbeRoute("/8090/ready", "/ready", port=8090),
            ),
            captured=False,
            reuse_port=True,
        )
        local = LocalCluster("localhost:8080", "127.0.0.1", port, Protocol.HTTP)
        async with ads_envoy(snapshot_of((listener,), (local,)), tmp_path):
            await answering(listener.port, "/8080/healthz")
            found = await ask(listener.port, "/8080/healthz?full=1")
            assert (found.status, found.body) == (200, r"GET /health\1/z?full=1 HTTP/1.1")
            sent = await ask(listener.port, "/8090/ready")
            assert (sent.status, sent.headers["location"]) == (301, "http://test:8090/ready")
            for path, method in (("/8080/healthz/x", "GET"), ("/8080/healthz", "POST")):
                assert (await ask(listener.port, path, method)).status == 404


# --- nowhere, and by address ---


async def test_what_leads_nowhere_is_closed_at_once(tmp_path: Path) -> None:
    name = names.OUTBOUND_PASSTHROUGH
    shut = PassthroughListener(name, "127.0.0.1", free_port(), names.NO_DESTINATION_CLUSTER)
    empty = EmptyCluster(names.NO_DESTINATION_CLUSTER)
    async with ads_envoy(snapshot_of((shut,), (empty,)), tmp_path) as control_plane:
        await taking(shut.port)
        reader, writer = await asyncio.open_connection("127.0.0.1", shut.port)
        try:
            async with asyncio.timeout(5):
                assert await reader.read() == b""
        finally:
            writer.close()
        assert control_plane.rejections == []


async def test_an_envoy_takes_all_that_a_captured_proxy_runs(tmp_path: Path) -> None:
    """By ADS, secrets with it; a listener that is not bound takes nobody's port."""
    made = server_certificate()
    identity, ca = names.identity_secret_name("default"), names.ca_secret_name("default")
    tls = UpstreamTls("", (), identity, ca, san_uri_prefixes=("spiffe://default/",))
    inward, outward = names.INBOUND_PASSTHROUGH, names.OUTBOUND_PASSTHROUGH
    async with application("unmoved") as taken:
        listeners = (
            PassthroughListener(outward, "127.0.0.1", free_port(), outward),
            PassthroughListener(inward, "127.0.0.1", free_port(), inward, inbound=True),
            DirectListener("direct_access_x", "127.0.0.1", taken, names.DIRECT_ACCESS_CLUSTER),
        )
        clusters = (
            PassthroughCluster(outward),
            PassthroughCluster(inward, "127.0.0.6"),
            DirectCluster(names.DIRECT_ACCESS_CLUSTER, tls),
            EmptyCluster(names.NO_DESTINATION_CLUSTER),
        )
        secrets = {
            identity: identity_secret(identity, made.cert_pem, made.key_pem),
            ca: ca_secret(ca, made.cert_pem),
        }
        async with ads_envoy(snapshot_of(listeners, clusters, secrets), tmp_path) as control_plane:
            for type_url in (CLUSTER, SECRET, LISTENER):
                await accepted(control_plane, type_url)
            await taking(listeners[0].port)
            assert await get(taken) == (200, "unmoved")
