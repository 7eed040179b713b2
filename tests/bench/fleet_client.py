"""A process full of simulated proxies: `python -m tests.bench.fleet_client`.

Reads one JSON command a line, answers each with one JSON line. The first names the zone and the
proxies; the clock is the monotonic one that all processes of a machine share.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import random
import ssl
import sys
import time
from base64 import b64decode, b64encode
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from reconciler.proxy_health import ADMIN
from tests.bench import h2
from tests.bench.simulated import Proxy
from xds.health import HealthReport, Introduction
from xds.health_server import SERVICE as HEALTH_SERVICE
from xds.health_wire import introduction_bytes, report_bytes
from xds.proto import health_pb2 as pb
from xds.server import SERVICE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import timedelta

PATH = f"/{SERVICE}/DeltaAggregatedResources"
HEALTH_PATH = f"/{HEALTH_SERVICE}/StreamHealthCheck"
READY = report_bytes(HealthReport({ADMIN: True}))
TIMEOUT_S = 300.0
RECONNECT_S = 0.5  # on average: who is refused comes again, not all at one moment


@dataclass(slots=True)
class Connected:
    """One proxy and its connection, over all its reconnects."""

    proxy: Any
    token: str
    connection: h2.Connection | None = None
    stream: int = 0
    health: int = 0  # its HDS stream, 0: none
    reporting: asyncio.TimerHandle | None = None
    wanted: bool = True  # it is to be connected
    heard: list[Any] = field(default_factory=list)  # responses, while they are recorded


class Fleet:
    """`kind` makes the proxies; `conditions` are what can be waited for."""

    kind: Callable[[str, bytes], Any] = Proxy
    conditions: Mapping[str, Callable[[dict[str, Any]], Callable[[Any], bool]]]

    def __init__(self, given: dict[str, Any]) -> None:
        self.address: tuple[str, int] = (given["host"], given["port"])
        self.tls = ssl.create_default_context(cadata=given["ca"])
        self.tls.set_alpn_protocols(["h2"])
        self.proxies = {
            each["id"]: Connected(
                type(self).kind(each["id"], b64decode(each["node"])), each["token"]
            )
            for each in given["proxies"]
        }
        self.recording = False
        self.over = 0
        self.reports = 0
        self.pending: set[str] = set()
        self.is_done: Callable[[Any], bool] = _served
        self.first = self.last = 0.0
        self.finished = asyncio.Event()
        self.tasks: set[asyncio.Task[None]] = set()

    def new(self, proxy: Any) -> Any:
        """The same one, that has not seen anything."""
        return type(self).kind(proxy.node_id, proxy.node)

    # --- connections ---

    async def connect(self, each: Connected) -> None:
        proxy = each.proxy
        each.proxy = self.new(proxy)
        while each.wanted:
            with contextlib.suppress(OSError):
                each.connection = await h2.connect(
                    self.address,
                    self.tls,
                    lambda stream, data: self.heard(each, stream, data),
                    lambda stream, why: self.ended(each, stream, why),
                )
                each.stream = each.connection.open(PATH, each.token)
                each.connection.send(each.stream, each.proxy.first())
                return
            await asyncio.sleep(RECONNECT_S * (0.5 + random.random()))

    def heard(self, each: Connected, stream: int, data: bytes) -> None:
        if stream == each.health:
            self.asked(each, pb.HealthCheckSpecifier.FromString(data).interval.ToTimedelta())
            return
        answers = each.proxy.on_response(data)
        if self.recording:
            each.heard.append(self.recorded(each.proxy, data))
        assert each.connection is not None
        each.connection.send(each.stream, *answers)
        if each.proxy.node_id in self.pending and self.is_done(each.proxy):
            self.done(each.proxy.node_id)

    def done(self, node: str) -> None:
        self.pending.discard(node)
        self.last = time.monotonic()
        self.first = self.first or self.last
        if not self.pending:
            self.finished.set()

    def ended(self, each: Connected, _stream: int, _why: str) -> None:
        connection, each.connection, each.health = each.connection, None, 0
        if each.reporting is not None:
            each.reporting.cancel()
        if connection is None or not each.wanted:
            return
        self.over += 1
        connection.abort()
        self.soon(self.connect(each))

    def soon(self, what: Any) -> None:
        task = asyncio.get_running_loop().create_task(what)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    # --- health: what Envoy reports of itself, once an interval ---

    def open_health(self) -> None:
        for node, each in self.proxies.items():
            if each.connection is not None:
                each.health = each.connection.open(HEALTH_PATH, each.token)
                each.connection.send(each.health, introduction_bytes(Introduction(node)))

    def asked(self, each: Connected, interval: timedelta) -> None:
        loop = asyncio.get_running_loop()

        def report() -> None:
            if each.connection is not None and each.health:
                each.connection.send(each.health, READY)
                self.reports += 1
                each.reporting = loop.call_later(interval.total_seconds(), report)

        # Spread as those of Envoys are that started at different times.
        each.reporting = loop.call_later(interval.total_seconds() * random.random(), report)

    # --- commands ---

    def condition(self, said: dict[str, Any]) -> Callable[[Any], bool]:
        """That is served, where nothing is said."""
        return self.conditions[said["what"]](said) if "what" in said else _served

    def expect(self, is_done: Callable[[Any], bool], nodes: set[str] | None = None) -> None:
        self.is_done, self.first, self.last = is_done, 0.0, 0.0
        self.finished.clear()
        self.pending = set(self.proxies if nodes is None else nodes)
        for node in tuple(self.pending):
            if is_done(self.proxies[node].proxy):
                self.done(node)
        if not self.pending:
            self.finished.set()

    async def wait(self) -> dict[str, Any]:
        try:
            async with asyncio.timeout(TIMEOUT_S):
                await self.finished.wait()
        except TimeoutError:
            return {"missing": sorted(self.pending)[:5], "count": len(self.pending)}
        return {"first": self.first, "last": self.last}

    async def spread(self, nodes: list[str], over_s: float) -> None:
        """Evenly, whatever the answers take."""
        began = time.monotonic()
        for number, node in enumerate(nodes):
            wait_s = began + number * over_s / max(1, len(nodes)) - time.monotonic()
            if wait_s > 0:
                await asyncio.sleep(wait_s)
            self.proxies[node].wanted = True
            self.soon(self.connect(self.proxies[node]))

    async def command(self, said: dict[str, Any]) -> dict[str, Any]:
        match said["do"]:
            case "connect":
                nodes = said["nodes"] if "nodes" in said else list(self.proxies)
                for node in nodes:
                    self.proxies[node].proxy = self.new(self.proxies[node].proxy)
                self.expect(self.condition(said), set(nodes))
                await self.spread(nodes, said["over_s"])
                return await self.wait()
            case "again":  # Everyone is to be served by a server that comes back.
                for each in self.proxies.values():
                    each.proxy = self.new(each.proxy)
                self.expect(_served)
                return {}
            case "join":  # Beside what is expected.
                await self.spread(said["nodes"], 0.0)
                return {}
            case "leave":
                self.leave(said["nodes"])
                return {}
            case "expect":
                self.expect(self.condition(said), set(said["nodes"]) if "nodes" in said else None)
                return {"expecting": len(self.pending)}
            case "wait":
                return await self.wait()
            case "health":
                self.open_health()
                return {}
            case "record":
                return self.record(said["on"])
            case "stats":
                return self.stats()
        raise ValueError(said["do"])

    def leave(self, nodes: list[str]) -> None:
        for node in nodes:
            each = self.proxies[node]
            each.wanted = False
            if each.connection is not None:
                each.connection.abort()

    def recorded(self, _proxy: Any, data: bytes) -> Any:
        """What is kept of a response."""
        return data

    def record(self, on: bool) -> dict[str, Any]:
        self.recording = on
        heard = {n: [b64encode(m).decode() for m in e.heard] for n, e in self.proxies.items()}
        for each in self.proxies.values():
            each.heard.clear()
        return {"heard": heard if not on else {}}

    def stats(self) -> dict[str, Any]:
        return {
            "cpu_s": time.process_time(),
            "responses": sum(e.proxy.responses for e in self.proxies.values()),
            "received": sum(e.proxy.received for e in self.proxies.values()),
            "ended": self.over,
            "reports": self.reports,
        }


def _served(proxy: Any) -> bool:
    return bool(proxy.served)


def _outbound(said: dict[str, Any]) -> Callable[[Proxy], bool]:
    value = said["value"]
    return lambda p: not p.warming and bool(p.timeouts_ms) and {*p.timeouts_ms.values()} == {value}


def _inbound(said: dict[str, Any]) -> Callable[[Proxy], bool]:
    value = said["value"]
    return lambda p: bool(p.inbound_ms) and {*p.inbound_ms.values()} == {value}


def _endpoints(said: dict[str, Any]) -> Callable[[Proxy], bool]:
    cluster, value = said["cluster"], said["value"]
    return lambda p: p.endpoints.get(cluster) == value


Fleet.conditions = {"outbound": _outbound, "inbound": _inbound, "endpoints": _endpoints}


async def run(kind: type[Fleet]) -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=2**30)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    fleet: Fleet | None = None
    while line := await reader.readline():
        said = json.loads(line)
        if fleet is None:
            fleet, answer = kind(said), {"proxies": len(said["proxies"])}
            gc.freeze()
        else:
            answer = await fleet.command(said)
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(run(Fleet))
