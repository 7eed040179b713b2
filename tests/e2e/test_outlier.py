"""Who cannot be reached is called no more, and what failed is tried again: real control planes and
Envoys, observed traffic.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from reconciler.demo.ports import free_ports
from reconciler.demo.world import Workload
from tests.support.applications import served
from tests.support.planes import Planes
from tests.support.real_envoy import application, get

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(150)]
NOWHERE = "127.0.0.77"  # nobody listens there
PACE_S = 0.01
MESH = """type: Mesh
name: default
mtls: {enabledBackend: ca, backends: [{name: ca, type: builtin}]}
"""
NO_RETRIES = MESH + "skipCreatingInitialPolicies: [MeshRetry]\n"
ALLOW = """type: MeshTrafficPermission
mesh: default
name: all
spec: {from: [{targetRef: {kind: Mesh}, default: {action: Allow}}]}
"""


class East(Planes):
    """One zone: a frontend, and instances of `backend`, some of which are registered at an address
    where nobody listens.
    """

    refusing: tuple[str, ...] = ()
    protocol = "http"

    async def start_fleet(self, mesh: str, apps: Mapping[str, int], *options: str) -> None:
        await asyncio.to_thread(self.seed)
        for file in self.work.rglob("*.yaml"):
            file.unlink()
        self.commit({"mesh.yaml": mesh, "allow.yaml": ALLOW})
        await self.start_global()
        await self.start_zone("east", *options)
        ports = free_ports(2 * len(apps) + 4)
        self.calls = ports.pop()
        front = Workload(
            "frontend", "frontend", "east", "v1", ports.pop(), ports.pop(), ports.pop(),
            {"backend": self.calls},
        )  # fmt: skip
        for name, app in apps.items():
            self.run_sidecar(Workload(name, "backend", "east", "v1", app, ports.pop(), ports.pop()))
        self.run_sidecar(front)
        await self.until("the fleet", lambda: self.acked("east") == len(apps) + 1)

    def commit(self, files: Mapping[str, str]) -> None:
        for name, text in files.items():
            (self.work / name).write_text(text)
        self.git(self.work, "add", "--all")
        self.git(self.work, "commit", "--quiet", "--message", "policies")
        self.git(self.work, "push", "--quiet")

    def _dataplane(
        self, name: str, zone: str, document: Mapping[str, object], token: Sequence[str]
    ) -> None:
        networking = document["networking"]
        assert isinstance(networking, dict)
        networking["inbound"][0]["tags"]["kuma.io/protocol"] = self.protocol
        if name in self.refusing:
            networking["advertisedAddress"] = NOWHERE
        super()._dataplane(name, zone, document, token)

    def envoy_of(self, name: str) -> int:
        pid = self.processes[f"proxy-{name}"].popen.pid
        (child,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return int(child)


@asynccontextmanager
async def fleet(
    folder: Path,
    mesh: str,
    names: Sequence[str],
    *options: str,
    refusing: tuple[str, ...] = (),
    protocol: str = "http",
) -> AsyncIterator[East]:
    """An application each that answers with its name."""
    made = East(folder / "world")
    made.refusing, made.protocol = refusing, protocol
    running = [application(name) for name in names]
    try:
        ports = [await each.__aenter__() for each in running]
        await made.start_fleet(mesh, dict(zip(names, ports, strict=True)), *options)
        yield made
    finally:
        made.stop()
        for each in running:
            await each.__aexit__(None, None, None)


async def called(port: int, times: int) -> list[str]:
    """Who answered each of so many calls, one after the other, each on a connection of its own;
    what an instance did not answer is `failed`.
    """
    found = []
    for _ in range(times):
        try:
            status, body = await get(port)
        except (OSError, EOFError):  # how TCP fails
            status, body = 0, ""
        found.append(body if status == 200 else "failed")
        await asyncio.sleep(PACE_S)
    return found


# --- instances that refuse ---


@pytest.mark.parametrize("protocol", ["http", "tcp"])
async def test_instances_that_refuse_are_called_no_more(tmp_path: Path, protocol: str) -> None:
    """Two of three: with less than half of a service left, Envoy's own threshold would have all of
    them tried again.
    """
    async with fleet(
        tmp_path, NO_RETRIES, ("one", "two", "three"), refusing=("two", "three")
    ) as it:
        found = await called(it.calls, 250)
        failed = [at for at, who in enumerate(found) if who == "failed"]
        # Three in a row each; a few more until every worker of Envoy knows.
        assert 6 <= len(failed) <= 12, found
        assert set(found[max(failed) + 1 :]) == {"one"}
        assert max(failed) < 100


async def test_without_detection_each_call_finds_out_and_retries_hide_it(tmp_path: Path) -> None:
    off = ("--outlier-detection", "off")
    async with fleet(tmp_path, NO_RETRIES, ("one", "two"), *off, refusing=("two",)) as it:
        found = Counter((await called(it.calls, 200))[100:])
        assert set(found) == {"one", "failed"}
        assert found["failed"] > 25  # of 100; half of them on average

        it.commit({"mesh.yaml": MESH})  # the default MeshRetry comes back
        async with asyncio.timeout(20):
            while "failed" in await called(it.calls, 20):
                pass
        assert set(await called(it.calls, 200)) == {"one"}


# --- an instance that is not there, and does not say so ---


@dataclass
class Load:
    """Calls that come however long earlier ones take: when they began, how long they took, who
    answered.
    """

    answers: list[tuple[float, float, str]] = field(default_factory=list)
    calls: set[asyncio.Task[None]] = field(default_factory=set)

    async def run(self, port: int) -> None:
        while True:
            call = asyncio.create_task(self._call(port))
            self.calls.add(call)
            call.add_done_callback(self.calls.discard)
            await asyncio.sleep(PACE_S)

    async def _call(self, port: int) -> None:
        began = time.monotonic()
        try:
            status, body = await get(port)
        except (OSError, EOFError) as error:
            status, body = 0, repr(error)
        answer = body if status == 200 else f"{status} {body}"
        self.answers.append((began, time.monotonic() - began, answer))

    async def sees(self, wanted: set[str], within_s: float) -> float:
        """When, for half a second, exactly these answered, and nobody waited."""
        async with asyncio.timeout(within_s):
            while True:
                moment = time.monotonic() - 0.5
                await asyncio.sleep(0.1)
                since = [(took, who) for at, took, who in self.answers if at >= moment]
                if {who for _, who in since} == wanted and len(since) > 30:
                    return moment


async def test_a_frozen_instance_is_avoided_before_its_zone_knows_and_comes_back(
    tmp_path: Path,
) -> None:
    """Its connections are open, and nothing comes out of them."""
    async with fleet(tmp_path, MESH, ("one", "two")) as it:
        load = Load()
        running = asyncio.create_task(load.run(it.calls))
        try:
            await load.sees({"one", "two"}, 20)
            frozen, envoy = time.monotonic(), it.envoy_of("two")
            os.kill(envoy, signal.SIGSTOP)
            try:
                alone = await load.sees({"one"}, 15)
                assert alone - frozen < 4.0
                assert it.acked("east") == 3  # The zone has noticed nothing.
                assert len(load.calls) < 50  # Nobody waits for the frozen one.
            finally:
                os.kill(envoy, signal.SIGCONT)
            await load.sees({"one", "two"}, 40)
        finally:
            running.cancel()
            await asyncio.gather(running, *load.calls, return_exceptions=True)


# --- an application that fails ---


@asynccontextmanager
async def tired(status: int) -> AsyncIterator[int]:
    """An application that answers every request with this status."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(f"HTTP/1.1 {status} No\r\ncontent-length: 5\r\n\r\ntired".encode())
            await writer.drain()

    async with served(answer) as port:
        yield port


async def test_an_application_that_answers_with_errors_is_called_all_the_same(
    tmp_path: Path,
) -> None:
    async with tired(500) as one, tired(503) as two, application("well") as well:
        made = East(tmp_path / "world")
        try:
            await made.start_fleet(NO_RETRIES, {"one": one, "two": two, "well": well})
            found: Counter[tuple[int, str]] = Counter()
            for _ in range(120):
                found[await get(made.calls)] += 1
            assert set(found) == {(500, "tired"), (503, "tired"), (200, "well")}
            assert min(found.values()) > 20, found
        finally:
            made.stop()
