"""The zone's shell without its step, in a process of its own: ADS over TLS, with or without the
door before it, and an owner that gives everybody the same 2 kB. Told by lines on stdin, answers in
JSON.
"""

from __future__ import annotations

import asyncio
import json
import resource as rusage
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.api.door import Behind, Door
from reconciler.api.serving import tcp_socket
from reconciler.ca.server_tls import new_server_tls
from reconciler.runtime.loop_watch import LoopWatch
from xds.discovery import DeltaResponse
from xds.resource import CLUSTER
from xds.server import AdsServer
from xds.wire import resource

if TYPE_CHECKING:
    from xds.discovery import DeltaRequest

RESOURCE_BYTES = 2048


class Owner:
    """Answers a first request, counts ACKs; `push` gives every stream the next response."""

    def __init__(self) -> None:
        self.server = AdsServer(self)
        self.streams: dict[str, int] = {}
        self.acked = 0
        self.wanted = 0
        self.reached = asyncio.Event()
        self.entry = resource(CLUSTER, "backend", b"x" * RESOURCE_BYTES)

    def opened(self, stream: str, authorization: str | None) -> None:
        self.streams[stream] = 0

    def request(self, stream: str, request: DeltaRequest) -> None:
        if not request.nonce:
            self._send(stream)
            return
        self.acked += 1
        if self.acked == self.wanted:
            self.reached.set()

    def closed(self, stream: str, by_peer: bool) -> None:
        del self.streams[stream]

    def _send(self, stream: str) -> None:
        self.streams[stream] += 1
        response = DeltaResponse(CLUSTER, str(self.streams[stream]), (self.entry,))
        self.server.send(stream, response)

    async def acks(self, count: int) -> None:
        """Until this many came since the last call."""
        self.wanted = count
        if self.acked < count:
            await self.reached.wait()
        self.reached.clear()
        self.acked = 0

    async def push(self, count: int) -> None:
        self.wanted = count
        for stream in self.streams:
            self._send(stream)
        await self.acks(count)


def memory_kb() -> int:
    """What this process holds, shared pages in part."""
    for line in Path("/proc/self/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    raise AssertionError("no Pss in smaps_rollup")


def cpu_s() -> float:
    used = rusage.getrusage(rusage.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def serve(*, through_door: bool) -> None:
    owner, watch = Owner(), LoopWatch()
    watch.start()
    tls = new_server_tls("bench", ("127.0.0.1",), time.time())
    port = await owner.server.start("127.0.0.1", 0, tls.cert_pem, tls.key_pem)
    door = None
    with tempfile.TemporaryDirectory() as folder:
        if through_door:
            listening = tcp_socket("127.0.0.1", 0)
            behind = Behind(("127.0.0.1", port), Path(folder) / "none.sock")
            door = Door(listening, behind, lambda _why: None)
            await door.start()
            port = listening.getsockname()[1]
        say({"port": port, "ca": tls.ca_pem.decode()})
        lines = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(lines), sys.stdin
        )
        async for line in lines:
            what, number = line.decode().split()
            began, held = cpu_s(), memory_kb()
            watch.longest_ms = 0.0
            await carry_out(owner, what, int(number))
            say(
                {
                    "cpu_ms": (cpu_s() - began) * 1000,
                    "grown_kb": memory_kb() - held,
                    "pss_kb": memory_kb(),
                    "turn_ms": watch.longest_ms,
                }
            )
        await owner.server.stop(0)
        if door is not None:
            await door.stop()


async def carry_out(owner: Owner, what: str, number: int) -> None:
    match what:
        case "connect":
            await owner.acks(number)
        case "push":
            await owner.push(number)
        case "idle":
            await asyncio.sleep(number)


def say(found: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(found) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(serve(through_door=sys.argv[1] == "door"))
