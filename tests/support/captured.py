"""A mesh of two zones whose applications know nothing of it, each on a host of its own where
`reconciler install transparent-proxy` redirects everything. Needs root.

    east: the control planes, its ingress, client, backend-east, and outside, which is in no mesh
          and has the network's name server
    west: its ingress and backend-west, behind a cable that can be slow (`Switched.relay`)
"""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support import grpc_app, name_server, network_app
from tests.support.planes import Planes
from tests.support.switched import Host, Switched

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from reconciler.demo.world import Workload
    from tests.support.namespaces import Namespace

PROXY_USER = "5678"
HTTP, TCP, GRPC = 8080, 9000, 9001
HIDDEN = 9090  # no inbound says so
EXCLUDED = 9100  # nobody redirects it
PROBES = 9200  # of the probe proxy, not redirected either
NEWCOMER = 9400
VIRTUAL_PROBES = 9300  # of Envoy, at who has no probe proxy
INGRESS_PORT = 10001
ADMIN_PORT = 9901
SEEN_WITHIN_S = 20.0  # on a machine that does much else; what is promised sooner is measured
OUTSIDE = "outside.example"
Json = dict[str, object]


@dataclass(frozen=True, slots=True)
class Service:
    """What one inbound of a workload is: a port of the application by its own number."""

    name: str
    port: int
    protocol: str = "http"
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Application:
    """A workload: one host, one application, one sidecar that is not asked."""

    host: str
    services: tuple[Service, ...]
    probe_proxy: bool = True
    backend: str = "auto"  # of `install`


APPLICATIONS = (
    Application("client", (Service("client", HTTP),)),
    Application(
        "backend-east",
        (
            Service("backend", HTTP, tags={"instance": "backend-0", "listen": str(HTTP)}),
            Service("echo", TCP, "tcp", {"instance": "echo-0", "listen": str(TCP)}),
            Service("rpc", GRPC, "grpc"),
        ),
    ),
    Application(
        "backend-west",
        (
            Service("backend", HTTP, tags={"instance": "backend-1", "listen": str(HTTP)}),
            Service("echo", TCP, "tcp", {"instance": "echo-1", "listen": str(TCP)}),
            Service("rpc", GRPC, "grpc"),
        ),
        probe_proxy=False,
        backend="iptables-legacy",
    ),
)


class Captured(Planes):
    """`start` and `end`; between them, `committed` changes policies."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.network = Switched(
            [
                Host("outside", 2, "east"),
                Host("planes", 10, "east"),
                Host("ingress-east", 11, "east"),
                Host("client", 20, "east"),
                Host("backend-east", 21, "east"),
                Host("ingress-west", 30, "west"),
                Host("backend-west", 31, "west"),
            ],
            name_server="198.18.0.2",
        )
        # Open to the proxies' user, unlike a folder of pytest's; and short, for sockets.
        self.open = Path(tempfile.mkdtemp(prefix="captured-"))
        self.open.chmod(0o711)
        self.documents: dict[str, Json] = {}

    @staticmethod
    def _workloads(_ports: list[int]) -> dict[str, Workload]:
        return {}

    def of(self, role: str) -> Host:
        return self.network.hosts[role]

    def inside(self, role: str) -> Namespace:
        return self.network.hosts[role].namespace

    @property
    def client(self) -> Namespace:
        return self.inside("client")

    def host(self, role: str) -> str:  # all control planes are on one
        return self.of("planes").v4

    def placed(self, role: str, arguments: list[str]) -> list[str]:
        """Control planes on theirs; what is started on a host is named by it."""
        where = role if role in self.network.hosts else "planes"
        return self.inside(where).inside(arguments)

    # --- starting and ending ---

    async def start_all(self) -> None:
        """Returns when every proxy has what is its own."""
        self.network.make()
        self._start_outside()
        for each in APPLICATIONS:
            self._start_application(each)
        installed = [
            asyncio.to_thread(self.install, each.host, "--backend", each.backend)
            for each in APPLICATIONS
        ]
        await asyncio.gather(self.start_global(), *installed)
        await asyncio.gather(*(self.start_zone(zone) for zone in self.zones))
        ingresses = [asyncio.to_thread(self.run_ingress, zone) for zone in self.zones]
        sidecars = [
            asyncio.to_thread(self.run_captured, each.host, self.document(each))
            for each in APPLICATIONS
        ]
        await asyncio.gather(*ingresses, *sidecars)
        await self.until("all proxies", self._whole)

    def _whole(self) -> bool:
        return self.acked("east") >= 3 and self.acked("west") >= 2

    def end(self) -> None:
        self.stop()
        self.network.remove()
        shutil.rmtree(self.open, ignore_errors=True)

    def seed(self) -> None:
        """The mesh, and who may call: no policy that says how."""
        super().seed()
        folder = self.work / "policies"
        names = sorted(file.name for file in folder.iterdir() if file.name != "allow-all.yaml")
        self.git(folder, "rm", "--quiet", *names)
        self.git(self.work, "commit", "--quiet", "--message", "No policies but who may call")
        self.git(self.work, "push", "--quiet")

    def _start_outside(self) -> None:
        host = self.of("outside")
        names = f"{OUTSIDE}={host.v4},{host.v6}"
        server = [sys.executable, name_server.__file__, host.v4, names]
        self.run_program("names", "outside", server)
        self._application("outside", [HTTP], [TCP])

    def _start_application(self, each: Application) -> None:
        ports: dict[str, list[int]] = {"http": [HIDDEN, EXCLUDED], "tcp": [], "grpc": []}
        for service in each.services:
            ports[service.protocol].append(service.port)
        self._application(each.host, ports["http"], ports["tcp"])
        for port in ports["grpc"]:
            serving = [sys.executable, grpc_app.__file__, "serve", str(port), each.host]
            self.run_program(f"grpc-{each.host}", each.host, serving)

    def _application(self, role: str, http: Sequence[int], tcp: Sequence[int]) -> None:
        listening = [f"--http={port}" for port in http] + [f"--tcp={port}" for port in tcp]
        self.run_program(
            f"app-{role}", role, [sys.executable, network_app.__file__, "--says", role, *listening]
        )

    def install(self, role: str, *options: str) -> str:
        return self.inside(role).says(
            sys.executable, "-m", "reconciler.cli.main", "install", "transparent-proxy",
            "--exclude-inbound-ports", f"{EXCLUDED},{PROBES}", *options,
        )  # fmt: skip

    def document(self, each: Application, **networking: object) -> Json:
        inbounds = [
            {
                "port": service.port,
                "tags": {
                    "kuma.io/service": service.name,
                    "kuma.io/protocol": service.protocol,
                    **service.tags,
                },
            }
            for service in each.services
        ]
        virtual = {"inboundPort": HTTP, "inboundPath": "/health", "path": f"/{HTTP}/health"}
        probes = {"probes": {"port": VIRTUAL_PROBES, "endpoints": [virtual]}}
        return {
            "type": "Dataplane",
            "mesh": "default",
            "name": each.host,
            **({} if each.probe_proxy else probes),
            "networking": {
                "address": self.of(each.host).v4,
                "admin": {"port": ADMIN_PORT},
                "inbound": inbounds,
                **networking,
            },
        }

    def run_captured(self, role: str, document: Json) -> None:
        zone = self.of(role).site
        token = ("token", "dataplane", "--mesh", "default", "--name", str(document["name"]))
        self.documents[role] = document
        probing = () if "probes" in document else ("--application-probe-proxy-port", str(PROBES))
        options = ("--transparent-proxy", "--run-as", PROXY_USER, *probing)
        self._proxy(role, zone, document, token, *options)

    def run_ingress(self, zone: str) -> None:
        host = self.of(f"ingress-{zone}")
        networking: Json = {
            "address": host.v4,
            "port": INGRESS_PORT,
            "advertisedAddress": host.v4,
            "advertisedPort": INGRESS_PORT,
            "admin": {"port": ADMIN_PORT},
        }
        document: Json = {"type": "ZoneIngress", "name": host.role, "networking": networking}
        token = ("token", "zone-proxy", "--zone", zone, "--scope", "ingress")
        self._proxy(host.role, zone, document, token)

    def _proxy(
        self, role: str, zone: str, document: Json, token: Sequence[str], *options: str
    ) -> None:
        file, token_file = self.open / f"{role}.yaml", self.open / f"{role}.token"
        file.write_text(json.dumps(document))
        if not token_file.exists():
            issued = self.run_once(*token, "--state-dir", str(self.state("global")))
            token_file.touch(mode=0o600)
            token_file.write_text(issued)
        self._reconciler(
            f"proxy-{role}", role,
            "dataplane", "--file", str(file), "--token-file", str(token_file),
            "--zone-address", f"https://{self.host(zone)}:{self.ports[zone].bootstrap}",
            "--ca-file", str(self.state(zone) / "tls" / "ca.pem"),
            "--workdir", str(self.open / role), "--drain-time", "1s", *options,
        )  # fmt: skip

    def stop_proxy(self, role: str) -> None:
        process = self.processes.pop(f"proxy-{role}")
        process.popen.terminate()
        process.popen.wait(SEEN_WITHIN_S)

    @contextmanager
    def instead(self, role: str, document: Json) -> Iterator[None]:
        """The sidecar of a host is another Dataplane as long as the block lasts."""
        before = self.documents[role]
        self.stop_proxy(role)
        self.run_captured(role, document)
        try:
            yield
        finally:
            self.stop_proxy(role)
            self.run_captured(role, before)

    # --- changing and looking ---

    @contextmanager
    def committed(self, *documents: Json) -> Iterator[None]:
        """These resources, a Mesh in place of its own, are in force as long as the block lasts."""
        with self.pushed(*documents):
            self._wait()
            yield
        self._wait()

    @contextmanager
    def pushed(self, *documents: Json) -> Iterator[None]:
        """As `committed`, and nobody is waited for."""
        before = self.git(self.work, "rev-parse", "HEAD").strip()
        for number, document in enumerate(documents):
            is_mesh = document["type"] == "Mesh"
            file = self.work / ("meshes/default.yaml" if is_mesh else f"policies/{number}.yaml")
            file.write_text(json.dumps(document))
        self._push("A test's policies")
        try:
            yield
        finally:
            self.git(self.work, "read-tree", "--reset", "-u", before)
            self._push("Before the test")

    def _push(self, message: str) -> None:
        self.git(self.work, "add", "--all")
        self.git(self.work, "commit", "--quiet", "--allow-empty", "--message", message)
        self.git(self.work, "push", "--quiet")

    def _wait(self) -> None:
        commit = self.git(self.work, "rev-parse", "HEAD").strip()
        at = ("--state-dir", str(self.state("global")))
        self.run_once("wait", "--commit", commit, *at, "--timeout", "60s")

    @contextmanager
    def joined(self, role: str, service: str) -> Iterator[None]:
        """A sidecar of a service of this name on a host that redirects nothing."""
        tags = {"kuma.io/service": service, "kuma.io/protocol": "http"}
        inbound = {"port": NEWCOMER, "servicePort": HTTP, "serviceAddress": "127.0.0.1"}
        networking = {
            "address": self.of(role).v4,
            "admin": {"port": ADMIN_PORT},
            "inbound": [{**inbound, "tags": tags}],
        }
        document: Json = {"type": "Dataplane", "mesh": "default", "name": service}
        token = ("token", "dataplane", "--mesh", "default", "--name", service)
        self._proxy(role, self.of(role).site, {**document, "networking": networking}, token)
        try:
            yield
        finally:
            self.stop_proxy(role)

    def restart(self) -> None:
        """The global and zone east, after both were killed; returns when all is as it was."""

        async def again() -> None:
            await self.start_global()
            await self.start_zone("east")
            await self.until("all proxies", self._whole)

        asyncio.run(again())

    def connected_at(self, zone: str, proxy: str) -> float:
        """When a proxy, such as `default.web`, last came to its zone; seconds since the epoch."""
        lines = self.processes[f"zone-{zone}"].log.read_text().splitlines()
        events = [json.loads(line) for line in lines if '"proxy.connected"' in line]
        last = [event["time"] for event in events if event["proxy"] == proxy][-1]
        return datetime.fromisoformat(last).timestamp()


def mesh(**changed: object) -> Json:
    """The Mesh with mTLS, and with what a test says of it."""
    backend = {"name": "ca-1", "type": "builtin", "mode": changed.pop("mode", "STRICT")}
    mtls = {"enabledBackend": "ca-1", "backends": [backend]}
    return {"type": "Mesh", "name": "default", "mtls": mtls, **changed}


def eventually(seen: Callable[[], object], what: str, *, within_s: float = SEEN_WITHIN_S) -> float:
    """Seconds until it was seen, from now; AssertionError when it was not."""
    began = time.monotonic()
    last = ""
    while True:
        try:
            if found := seen():
                return time.monotonic() - began
            last = repr(found)
        except (AssertionError, OSError, ValueError) as error:
            last = str(error)
        passed = time.monotonic() - began
        assert passed < within_s, f"not within {within_s} s: {what}; last: {last}"
        time.sleep(0.02)


@contextmanager
def running() -> Iterator[Captured]:
    """A world of its own, which ends with the block."""
    folder = Path(tempfile.mkdtemp())
    made = started(folder)
    try:
        yield made
    finally:
        made.end()
        shutil.rmtree(folder)


def started(folder: Path) -> Captured:
    world = Captured(folder)
    try:
        asyncio.run(world.start_all())
    except BaseException:
        world.end()
        raise
    return world
