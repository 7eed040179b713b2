"""The floor under `push_to_envoy`: a server that computes nothing.

The same push into the same kind of repository, noticed by the same watcher; then one of two
responses, encoded beforehand, goes to a real Envoy of the same kind.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import time
from datetime import timedelta
from typing import TYPE_CHECKING

from reconciler.ca.server_tls import new_server_tls
from reconciler.dataplane import find_envoy
from reconciler.demo.world import GIT_IDENTITY, World
from reconciler.git.watch import hints_of
from tests.bench.admin import Admin, until
from xds.bootstrap import BootstrapInput, bootstrap
from xds.discovery import DeltaRequest, DeltaResponse
from xds.message import encode
from xds.resource import CLUSTER, LISTENER, XdsResource
from xds.server import AdsServer
from xds.wire import resource

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

VALUES_MS = (100, 200)


def cluster(timeout_ms: int) -> XdsResource:
    from envoy_data_plane.envoy.config.cluster.v3 import Cluster, ClusterDiscoveryType

    message = Cluster(
        name="backend",
        type=ClusterDiscoveryType.STATIC,
        connect_timeout=timedelta(milliseconds=timeout_ms),
    )
    return resource(CLUSTER, "backend", encode(message))


class Floor:
    """Owns its repository, server and Envoy."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.world = World(folder)  # for its Git commands only; nothing of it is started
        self.server = AdsServer(self)
        self.stream = ""
        self.nonce = 0
        self.ready: asyncio.Event | None = None
        self.envoy: subprocess.Popen[bytes] | None = None
        self.entries = [cluster(value) for value in VALUES_MS]

    # AdsEvents

    def opened(self, stream: str, authorization: str | None) -> None:
        self.stream = stream

    def request(self, stream: str, request: DeltaRequest) -> None:
        if request.nonce or request.type_url not in (CLUSTER, LISTENER):
            return
        entries = (self.entries[0],) if request.type_url == CLUSTER else ()
        self._send(request.type_url, entries)
        if request.type_url == LISTENER and self.ready is not None:
            self.ready.set()

    def closed(self, stream: str, by_peer: bool) -> None:
        """Nothing is kept."""

    def _send(self, type_url: str, entries: tuple[XdsResource, ...]) -> None:
        self.nonce += 1
        self.server.send(self.stream, DeltaResponse(type_url, str(self.nonce), entries))

    # --- life ---

    async def __aenter__(self) -> Floor:
        self.ready = asyncio.Event()
        self.folder.mkdir()
        (self.folder / "logs").mkdir()
        await asyncio.to_thread(self.world.seed)
        tls = new_server_tls("floor", ("127.0.0.1",), time.time())
        port = await self.server.start("127.0.0.1", 0, tls.cert_pem, tls.key_pem)
        text = bootstrap(
            BootstrapInput(
                mesh="default",
                name="floor",
                cluster="floor",
                xds_host="127.0.0.1",
                xds_port=port,
                ca_pem=tls.ca_pem.decode(),
                workdir=str(self.folder),
                features=("feature-delta-grpc",),
                resource_json=json.dumps({"type": "Dataplane"}),
            )
        )
        config = self.folder / "bootstrap.yaml"
        config.write_text(text)
        with (self.folder / "logs" / "envoy.log").open("wb") as log:
            self.envoy = subprocess.Popen(  # noqa: ASYNC220 - once, before anything is measured
                [str(find_envoy()), "--config-path", str(config), "--disable-hot-restart",
                 "--concurrency", "1", "--log-level", "error"],
                stdout=log, stderr=log,
            )  # fmt: skip
        async with asyncio.timeout(20):
            await self.ready.wait()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.envoy is not None:
            self.envoy.terminate()
            await asyncio.to_thread(self.envoy.wait, 10)
        await self.server.stop(0)

    # --- measuring ---

    async def runs(self, count: int) -> list[float]:
        """Milliseconds from the start of `git push` until Envoy shows the value."""
        admin = Admin(self.folder / "kuma-envoy-admin.sock")
        async with hints_of(self.world.bare) as hint:
            sending = asyncio.create_task(self._answer_pushes(hint))
            try:
                return [await asyncio.to_thread(self._run, admin, n) for n in range(count)]
            finally:
                sending.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await sending

    async def _answer_pushes(self, hint: asyncio.Event) -> None:
        """Send the other cluster whenever the branch has moved."""
        branch = self.world.bare / "refs" / "heads" / "main"
        seen = branch.read_text()
        sent = 0
        while True:
            await hint.wait()
            hint.clear()
            tip = branch.read_text()
            if tip != seen:
                seen, sent = tip, 1 - sent
                self._send(CLUSTER, (self.entries[sent],))

    def _run(self, admin: Admin, number: int) -> float:
        world = self.world
        (world.work / "bench.yaml").write_text(f"# {number}\n")
        world.git(world.work, "add", "bench.yaml")
        world.git(world.work, *GIT_IDENTITY, "commit", "--quiet", "--message", f"bench {number}")
        wanted = VALUES_MS[(number + 1) % 2]
        started = time.perf_counter()
        world.git(world.work, "push", "--quiet", "origin", "main")
        until(lambda: admin.connect_timeout_ms() == wanted, f"connect timeout {wanted} ms")
        return (time.perf_counter() - started) * 1000
