"""A zone with a thousand simulated proxies: real Git, real global and zone, clients over TLS.

The policies are few, as a fresh mesh has them: mTLS by a builtin CA, everyone may call everyone,
and what a bench changes. Every proxy has its own Dataplane, address, token and certificate; a
hundred services, five outbounds each, the first of them to a service that all call.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from base64 import b64encode
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from reconciler.ca.keys import dataplane_signing_key
from reconciler.ca.tokens import dataplane_claims, issue
from reconciler.demo.world import GIT_IDENTITY
from reconciler.keys.secret_store import FileSecrets
from reconciler.keys.token_keys import signing_key
from tests.support.planes import Planes
from xds.bootstrap import BootstrapInput, bootstrap_document
from xds.proto import discovery_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from types import TracebackType

ZONE = "east"
SERVICES, OUTBOUNDS = 100, 5
COMMON = "svc-0"  # everyone calls it
CLIENTS = 2  # processes, one a core
YEAR_S = 365 * 86400.0
OUTBOUND_PORT = 10_000
LINE_MAX = 2**30

MESH = """\
type: Mesh
name: default
mtls:
  enabledBackend: ca
  backends: [{name: ca, type: builtin}]
"""
ALLOW = """\
type: MeshTrafficPermission
mesh: default
name: allow-all
spec:
  targetRef: {kind: Mesh}
  from: [{targetRef: {kind: Mesh}, default: {action: Allow}}]
"""
OUTBOUND = """\
type: MeshTimeout
mesh: default
name: bench-outbound
spec:
  targetRef: {{kind: Mesh}}
  to: [{{targetRef: {{kind: Mesh}}, default: {{connectionTimeout: {value}ms}}}}]
"""
INBOUND = """\
type: MeshTimeout
mesh: default
name: bench-inbound
spec:
  targetRef: {{kind: Mesh}}
  rules: [{{default: {{http: {{requestTimeout: {value}ms}}}}}}]
"""
POLICIES = {"outbound": OUTBOUND, "inbound": INBOUND}


def document(
    number: int, services: int = SERVICES, *, service: int | None = None
) -> dict[str, Any]:
    """The Dataplane of proxy `number`."""
    own = number % services if service is None else service
    called = [0, *(1 + (own * 7 + k) % (services - 1) for k in range(1, OUTBOUNDS))]
    tags = {"kuma.io/service": f"svc-{own}", "kuma.io/protocol": "http", "version": "v1"}
    return {
        "type": "Dataplane",
        "mesh": "default",
        "name": f"proxy-{number}",
        "networking": {
            "address": f"127.1.{number // 250}.{number % 250 + 1}",
            "admin": {"port": 9901},
            "inbound": [{"port": 8080, "servicePort": 8081, "tags": tags}],
            "outbound": [
                {"port": OUTBOUND_PORT + c, "tags": {"kuma.io/service": f"svc-{c}"}} for c in called
            ],
        },
    }


def encoded_node(given: dict[str, Any], **more: Any) -> bytes:
    """What Envoy says of itself with the bootstrap that its zone gives it. `more` of what that
    depends on.
    """
    text = json.dumps(given, sort_keys=True)
    bootstrap = bootstrap_document(
        BootstrapInput(
            mesh=given["mesh"], name=given["name"], cluster="svc", xds_host="localhost",
            xds_port=1, ca_pem="", resource_json=text, admin_port=9901,
            workdir=f"/tmp/{given['name']}", **({"features": ("feature-delta-grpc",)} | more),
        )
    )  # fmt: skip
    said: Any = bootstrap["node"]
    message = pb.Node(id=said["id"], cluster=said["cluster"])
    message.metadata.update(said["metadata"])
    return message.SerializeToString()


class Program:
    """A process of ours that answers each line of JSON with one."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    @classmethod
    async def start(cls, module: str) -> Program:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", module,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=LINE_MAX,
        )  # fmt: skip
        return cls(process)

    async def ask(self, said: dict[str, Any]) -> dict[str, Any]:
        """Raises TimeoutError when proxies do not come to what is waited for."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(said).encode() + b"\n")
        line = await self.process.stdout.readline()
        if not line:
            raise RuntimeError("a process of the bench ended; see its words above")
        answer: dict[str, Any] = json.loads(line)
        if "missing" in answer:
            waiting = f"{answer['count']} proxies wait, such as {answer['missing']}"
            raise TimeoutError(f"{said}: {waiting}")
        return answer

    async def stop(self) -> None:
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()


class Clients:
    """Processes full of proxies, at one server. `program` is what they run."""

    def __init__(self, program: str = "tests.bench.fleet_client") -> None:
        self.program = program
        self.clients: list[Program] = []
        self.homes: dict[str, Program] = {}

    async def start(self, given: dict[str, Any], proxies: Sequence[dict[str, str]]) -> None:
        """Nobody is connected yet. `given` says where the server is."""
        for at in range(CLIENTS):
            part = proxies[at::CLIENTS]
            client = await Program.start(self.program)
            await client.ask({**given, "proxies": part})
            self.clients.append(client)
            self.homes |= {each["id"]: client for each in part}

    async def all(self, **said: Any) -> list[dict[str, Any]]:
        return list(await asyncio.gather(*(client.ask(said) for client in self.clients)))

    async def connect(self, over_s: float, nodes: Sequence[str], **until: Any) -> float:
        """Seconds until the last of them is served, or has come to what is said."""
        began = time.monotonic()
        return _last(await self.each(nodes, do="connect", over_s=over_s, **until)) - began

    async def leave(self, nodes: Sequence[str]) -> None:
        await self.each(nodes, do="leave")

    async def each(self, nodes: Sequence[str], **said: Any) -> list[dict[str, Any]]:
        """Every process is asked for the nodes that are its own."""
        parts = [[n for n in nodes if self.homes[n] is client] for client in self.clients]
        pairs = zip(self.clients, parts, strict=True)
        asked = (client.ask({**said, "nodes": part}) for client, part in pairs)
        return list(await asyncio.gather(*asked))

    async def expect(self, nodes: Sequence[str], what: str, value: int, **more: Any) -> None:
        """Every one of `nodes` is to run `value`."""
        await self.each(nodes, do="expect", what=what, value=value, **more)

    async def last(self) -> float:
        """When the last proxy did what is expected, on the monotonic clock."""
        return _last(await self.all(do="wait"))

    async def expect_again(self) -> None:
        """Everyone is to be served anew, by a server that ends now and comes back."""
        await self.all(do="again")

    async def first_and_last(self) -> tuple[float, float]:
        """When the first and the last proxy did what is expected, on the monotonic clock."""
        answers = await self.all(do="wait")
        return min(float(answer["first"]) for answer in answers), _last(answers)

    async def record(self) -> None:
        await self.all(do="record", on=True)

    async def heard(self) -> dict[str, list[str]]:
        """What each proxy was sent since `record`, base64."""
        found: dict[str, list[str]] = {}
        for answer in await self.all(do="record", on=False):
            found |= answer["heard"]
        return {node: heard for node, heard in found.items() if heard}

    async def cpu_s(self) -> float:
        return sum(float(answer["cpu_s"]) for answer in await self.all(do="stats"))

    async def responses(self) -> int:
        return sum(int(answer["responses"]) for answer in await self.all(do="stats"))

    async def stop(self) -> None:
        for client in self.clients:
            await client.stop()


class Fleet:
    """A global, a zone, and `size` proxies (beside `extra` ones), known to their clients."""

    policies: Mapping[str, str] = POLICIES

    def __init__(self, folder: Path, size: int, extra: Sequence[dict[str, Any]] = ()) -> None:
        self.size = size
        self.world = Planes(folder)
        self.clients = self.their_clients()
        self.documents = [*(self.document(n) for n in range(size)), *extra]
        self.proxies: list[dict[str, str]] = []  # as a client process is told of them
        self.own = [f"default.proxy-{n}" for n in range(size)]

    def their_clients(self) -> Clients:
        return Clients()

    def document(self, number: int) -> dict[str, Any]:
        return document(number)

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self._seed)
        await self.world.start_global()
        await self.world.start_zone(ZONE)
        self.proxies = await asyncio.to_thread(self._introductions)
        ca = (self.world.state(ZONE) / "tls" / "ca.pem").read_text()
        given = {"host": "127.0.0.1", "port": self.world.ports[ZONE].ads, "ca": ca}
        await self.clients.start(given, self.proxies)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.clients.stop()
        await asyncio.to_thread(self.world.stop)

    def _seed(self) -> None:
        repository(self.world)
        (self.world.work / "mesh.yaml").write_text(MESH)
        (self.world.work / "allow.yaml").write_text(ALLOW)
        commit(self.world, "The mesh")
        push(self.world)

    def _introductions(self) -> list[dict[str, str]]:
        store = FileSecrets(self.world.state("global") / "secrets")
        kid, key = signing_key(store, dataplane_signing_key("default"))
        now = time.time()
        return [
            {
                "id": f"default.{each['name']}",
                "node": b64encode(self.node(each)).decode(),
                "token": issue(key, dataplane_claims("default", each["name"]), now, YEAR_S, kid),
            }
            for each in self.documents
        ]

    def node(self, document: dict[str, Any]) -> bytes:
        """What the Envoy of a proxy says of itself."""
        return encoded_node(document)

    async def pushed(self, what: str, value: int, **more: Any) -> float:
        """Milliseconds from the start of `git push` until the last proxy runs the value."""
        (self.world.work / f"{what}.yaml").write_text(self.policies[what].format(value=value))
        await asyncio.to_thread(commit, self.world, f"{what} {value}")
        await self.clients.expect(self.own, what, value, **more)
        began = time.monotonic()
        await asyncio.to_thread(push, self.world)
        return (await self.clients.last() - began) * 1000

    async def settled(self) -> None:
        """Every proxy has acknowledged all it was sent."""
        await self.world.until("all proxies", lambda: self.world.acked(ZONE) >= self.size)

    @property
    def zone_pids(self) -> list[int]:
        return tree(self.world.processes[f"zone-{ZONE}"].popen.pid)

    def stall_ms(self, role: str = ZONE) -> float:
        """The longest turn of a control plane's loop since it started."""
        return float(str(self.world.status(role)["loop_stall_ms_max"]))


# --- the repository ---


def repository(world: Planes) -> None:
    """An empty bare one, and a clone to push from."""
    world.git(None, "init", "--quiet", "--bare", "--initial-branch=main", str(world.bare))
    world.git(None, "clone", "--quiet", str(world.bare), str(world.work))
    for setting in GIT_IDENTITY[1::2]:
        world.git(world.work, "config", *setting.split("=", 1))


def commit(world: Planes, message: str) -> None:
    world.git(world.work, "add", "--all")
    world.git(world.work, "commit", "--quiet", "--message", message)


def push(world: Planes) -> None:
    world.git(world.work, "push", "--quiet", "origin", "HEAD:main")


def _last(answers: list[dict[str, Any]]) -> float:
    return max(float(answer["last"]) for answer in answers)


# --- what processes cost ---


def tree(pid: int) -> list[int]:
    """A process and all its descendants."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += tree(int(child))
    return found


def cpu_s(pids: Iterable[int]) -> float:
    """User and system time so far, of these processes and their children that have ended."""
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += sum(map(int, fields[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


def memory_mb(pids: Iterable[int]) -> dict[str, float]:
    """`rss` and `pss`, summed."""
    found = {"Rss": 0, "Pss": 0}
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            name, _, rest = line.partition(":")
            if name in found:
                found[name] += int(rest.split()[0])
    return {name.lower(): kb / 1024 for name, kb in found.items()}


def forget_peak(pids: Iterable[int]) -> None:
    """The greatest resident size is counted anew from here (proc(5), clear_refs)."""
    for pid in pids:
        Path(f"/proc/{pid}/clear_refs").write_text("5")


def peak_mb(pids: Iterable[int]) -> float:
    """The greatest resident size of each, summed."""
    found = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                found += int(line.split()[1])
    return found / 1024
