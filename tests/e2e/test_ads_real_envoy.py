"""A real Envoy with the generated bootstrap, over TLS, against the ADS server."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import grpc
import pytest

from reconciler.api.door import Behind, Door
from reconciler.api.serving import tcp_socket
from tests.support.ads_client import Served, server_certificate
from tests.support.real_envoy import (
    Connection,
    answers,
    application,
    assignment,
    eds_cluster,
    envoy,
    free_port,
    get,
    http_listener,
    snapshot,
)
from xds.ads_stream import Sync
from xds.bootstrap import DELTA, BootstrapInput, bootstrap
from xds.resource import CLUSTER, ENDPOINT, LISTENER

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from xds.snapshot import Snapshot

pytestmark = pytest.mark.e2e

DRAIN_S = 1  # how long Envoy lets connections of a replaced listener go on
CERTIFICATE = server_certificate()
GONE = (grpc.StatusCode.UNAVAILABLE.value[0], "the control plane restarts")


@dataclass(slots=True)
class World:
    served: Served
    port: int  # of the listener
    blue: int  # port of the application that says "blue"
    green: int

    def routed_to(self, cluster: str, *, connect_s: float = 1.0) -> Snapshot:
        """One cluster of that name, its application, and the listener that leads there."""
        return snapshot(
            clusters=[eds_cluster(cluster, connect_s=connect_s)],
            endpoints=[assignment(cluster, self.blue if cluster == "blue" else self.green)],
            listeners=[http_listener("web", self.port, cluster)],
        )

    async def until(self, claim: Callable[[], bool]) -> None:
        """Returns once the claim is true; only what Envoy tells the control plane makes it so."""
        changed = asyncio.Event()
        self.served.on_change = changed.set
        async with asyncio.timeout(20):
            while not claim():
                changed.clear()
                await changed.wait()

    async def in_sync(self, wanted: Snapshot) -> None:
        await self.until(lambda: set(self.syncs(wanted)) == {Sync.IN_SYNC})

    def retiring(self, wanted: Snapshot) -> frozenset[str]:
        (stream,) = self.served.streams.values()
        return stream.retiring(wanted)

    def syncs(self, wanted: Snapshot) -> tuple[Sync, ...]:
        (stream,) = self.served.streams.values()
        return tuple(state.sync for state in stream.acked(wanted).values())


BOTH = pytest.mark.parametrize("world", ["delta", "state of the world"], indirect=True)


def bootstrap_at(host: str, port: int, *, delta: bool = True) -> str:
    return bootstrap(
        BootstrapInput(
            mesh="default",
            name="web-1",
            cluster="web",
            xds_host=host,
            xds_port=port,
            ca_pem=CERTIFICATE.cert_pem.decode(),
            token="raw.token",
            admin_port=free_port(),
            features=(DELTA,) if delta else (),
        )
    )


@pytest.fixture
async def world(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        blue = await stack.enter_async_context(application("blue"))
        green = await stack.enter_async_context(application("green"))
        served = Served(drain_s=DRAIN_S + 0.5)
        world = World(served, free_port(), blue, green)
        served.snapshot = world.routed_to("blue")
        port = await served.server.start("127.0.0.1", 0, CERTIFICATE.cert_pem, CERTIFICATE.key_pem)
        stack.push_async_callback(served.server.stop, 0)
        how = getattr(request, "param", "delta")
        if how == "one port":  # The one that answers the bootstrap, too.
            listening = tcp_socket("127.0.0.1", 0)
            door = Door(listening, Behind(("127.0.0.1", port), tmp_path / "no.sock"), print)
            port = listening.getsockname()[1]
            await door.start()
            stack.push_async_callback(door.stop)
        text = bootstrap_at("127.0.0.1", port, delta=how == "delta")
        await stack.enter_async_context(envoy(text, tmp_path, drain_s=DRAIN_S))
        await answers(world.port, "blue")
        await world.in_sync(served.snapshot)
        yield world


class Seen:
    """What requests got, counted."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._changed = asyncio.Event()

    def add(self, outcome: str) -> None:
        self.counts[outcome] += 1
        self._changed.set()

    async def more(self, outcome: str, count: int = 20) -> None:
        """Returns after `count` more of this outcome."""
        goal = self.counts[outcome] + count
        while self.counts[outcome] < goal:
            self._changed.clear()
            await self._changed.wait()


@asynccontextmanager
async def requests_running(port: int) -> AsyncIterator[Seen]:
    """New connections all the time, and one that is kept; counts what they got."""
    seen = Seen()

    async def fresh() -> None:
        while True:
            try:
                status, body = await get(port)
                seen.add(body if status == 200 else f"{status} {body}")
            except (OSError, EOFError) as error:
                seen.add(f"fresh: {error!r}")

    async def kept() -> None:
        while True:
            connection = await Connection.open(port)
            answered = time.monotonic()
            try:
                while not connection.closed:
                    status, body = await connection.get()
                    seen.add(body if status == 200 else f"kept: {status} {body}")
                    answered = time.monotonic()
                    await asyncio.sleep(0)
            except (OSError, EOFError) as error:
                # One that the machine left without an answer for half of the drain, by a pause of
                # the client or of Envoy, may be closed under a request (RFC 9112, 9.3.1): it was
                # never told to close.
                if time.monotonic() - answered < DRAIN_S / 2:
                    seen.add(f"kept: {error!r}")
            finally:
                connection.close()

    tasks = [asyncio.create_task(fresh()), asyncio.create_task(kept())]
    try:
        yield seen
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.parametrize("world", ["delta", "state of the world", "one port"], indirect=True)
async def test_traffic_reaches_the_application_and_the_node_and_token_are_ours(
    world: World,
) -> None:
    assert await get(world.port) == (200, "blue")
    first = world.served.requests[0][1]
    assert first.node is not None
    assert (first.node.id, first.node.cluster) == ("default.web-1", "web")
    assert world.served.authorizations == ["raw.token"]


async def test_a_control_plane_is_found_by_name_whatever_family_it_listens_on(
    tmp_path: Path,
) -> None:
    """`localhost` is [::1] too, and Envoy left to itself would ask there only."""
    served = Served()
    served.snapshot = snapshot(clusters=[], endpoints=[], listeners=[])
    asked = asyncio.Event()
    served.on_change = asked.set
    port = await served.server.start("127.0.0.1", 0, CERTIFICATE.cert_pem, CERTIFICATE.key_pem)
    try:
        async with envoy(bootstrap_at("localhost", port), tmp_path, drain_s=DRAIN_S):
            async with asyncio.timeout(20):
                await asked.wait()
    finally:
        await served.server.stop(0)


@BOTH
async def test_a_changed_cluster_loses_no_request_and_is_warm_at_once(world: World) -> None:
    """Envoy warms the changed cluster until its endpoints come again, 15 s if nobody sends them."""
    async with requests_running(world.port) as seen, asyncio.timeout(10):
        for connect_s in (2.0, 3.0, 4.0):
            wanted = world.routed_to("blue", connect_s=connect_s)
            world.served.publish(wanted)
            await world.in_sync(wanted)
            await seen.more("blue")
    assert set(seen.counts) == {"blue"}


@BOTH
async def test_a_route_that_moves_to_a_new_cluster_loses_no_request(world: World) -> None:
    """Not on new connections, nor on one that drains on the old listener."""
    async with requests_running(world.port) as seen, asyncio.timeout(20):
        for name in ("green", "blue", "green"):
            wanted = world.routed_to(name)
            world.served.publish(wanted)
            await world.in_sync(wanted)
            await answers(world.port, name)
            await seen.more(name)
        await world.until(lambda: not world.retiring(wanted))
        await seen.more("green")
    assert set(seen.counts) == {"blue", "green"}


@BOTH
async def test_a_rejected_listener_keeps_the_old_one_serving_until_it_is_cured(
    world: World,
) -> None:
    bad = snapshot(
        clusters=[eds_cluster("green")],
        endpoints=[assignment("green", world.green)],
        listeners=[http_listener("web", world.port, "nowhere")],
    )
    world.served.publish(bad)
    await world.until(lambda: Sync.REJECTED in world.syncs(bad))
    (stream,) = world.served.streams.values()
    state = stream.acked(bad)[LISTENER]
    assert "nowhere" in state.message
    assert state.names == {"web"}
    assert world.retiring(bad) == {"blue"}
    assert await get(world.port) == (200, "blue")
    cure = world.routed_to("green")
    world.served.publish(cure)
    await answers(world.port, "green")
    await world.until(lambda: not world.retiring(cure))
    await world.in_sync(cure)


async def test_endpoints_alone_move_traffic(world: World) -> None:
    wanted = world.routed_to("blue")
    moved = snapshot(
        clusters=list(wanted.clusters.values()),
        endpoints=[assignment("blue", world.green)],
        listeners=list(wanted.listeners.values()),
    )
    world.served.sent.clear()
    world.served.publish(moved)
    await answers(world.port, "green")
    await world.in_sync(moved)
    assert [r.type_url for r in world.served.sent] == [ENDPOINT]


async def test_a_proxy_that_reconnects_is_sent_only_what_changed(world: World) -> None:
    wanted = world.routed_to("blue", connect_s=2.0)
    (old,) = world.served.streams
    world.served.sent.clear()
    world.served.snapshot = wanted
    world.served.server.close(old, *GONE)
    await world.until(lambda: old not in world.served.streams)
    await world.until(lambda: bool(world.served.streams))
    await world.in_sync(wanted)
    sent = {(r.type_url, x.name) for r in world.served.sent for x in r.resources}
    assert sent == {(CLUSTER, "blue"), (ENDPOINT, "blue")}
    assert await get(world.port) == (200, "blue")
