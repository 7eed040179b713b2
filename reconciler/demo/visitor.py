"""An application that knows nothing of the mesh, on a machine of its own as far as it can see: a
network namespace in which everything is redirected to a sidecar (`demo --transparent`).

The sidecar dials the demo's parts on its own loopback; what listens there is relayed to the demo's.
Needs root: the sidecar has to be another user than the application, or its own traffic would come
back to it.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.demo import holder
from reconciler.demo.seen import EFFECT_TIMEOUT_S, NotSeen, Seen
from reconciler.demo.tap import Tap
from reconciler.demo.world import STOP_TIMEOUT_S, DemoError, tail
from reconciler.redirected import PROXY_UID

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from reconciler.demo.tour import Tour
    from reconciler.demo.world import World

STEP = "9 a program that knows nothing"
NAME = "visitor"
ZONE = "east"
ZONES = {"east", "west"}
CALLS = 12
URL = "http://backend.mesh"
PROGRAMS = ("unshare", "nsenter", "ip", "mount")
CALL_TIMEOUT_S = 10
INBOUND_PORT = 8080  # of nobody: it only calls
ADMIN_PORT = 9901


def missing() -> str:
    """What keeps this machine from having a visitor; "" where nothing does."""
    if sys.platform != "linux":
        return "it needs Linux: namespaces and netfilter are Linux's"
    if os.geteuid() != 0:
        return "it needs root: the sidecar must be another user than the application"
    absent = [program for program in PROGRAMS if shutil.which(program) is None]
    return f"it needs {', '.join(absent)} on PATH (util-linux, iproute2)" if absent else ""


async def visited(tour: Tour, visitor: Visitor) -> None:
    """A step of the tour: it says what anybody would, and both zones answer."""
    began = time.monotonic()
    await visitor.start()
    deadline = time.monotonic() + EFFECT_TIMEOUT_S
    counts: Counter[str] = Counter()
    while not counts.keys() >= ZONES or counts.total() < CALLS:
        if time.monotonic() > deadline:
            raise NotSeen(f"{URL} is answered by {dict(counts)}, not by both zones")
        answer = await asyncio.to_thread(visitor.call)
        counts[str(answer.get("zone", "nobody"))] += 1
    address = await asyncio.to_thread(visitor.address)
    text = f"{program()[0]} {URL} ({address}): " + ", ".join(
        f"{zone} {count}" for zone, count in sorted(counts.items())
    )
    tour.report(Seen(STEP, text, f"{time.monotonic() - began:.1f} s with its start"))


class Visitor:
    """`start` when the world is up; `stop` before its end. Raises DemoError."""

    def __init__(self, world: World) -> None:
        self.world = world
        # Open to the sidecar's user, unlike the demo's folder; its name is short.
        self.folder = Path(tempfile.mkdtemp(prefix="mesh-visitor-"))
        self.relays: list[Tap] = []
        self._holder: subprocess.Popen[bytes] | None = None
        self._connection: socket.socket | None = None

    @property
    def log(self) -> Path:
        return self.world.folder / "logs" / f"{NAME}.log"

    def inside(self, arguments: Sequence[str]) -> list[str]:
        assert self._holder is not None
        return ["nsenter", f"--target={self._holder.pid}", "--net", "--mount", "--", *arguments]

    async def start(self) -> None:
        self.folder.chmod(0o711)
        ports = self._ports()
        for sock, port in zip(await asyncio.to_thread(self._separate, ports), ports, strict=True):
            relay = Tap(port, ("127.0.0.1", port))
            await relay.start(sock)
            self.relays.append(relay)
        await asyncio.to_thread(self._install)
        await asyncio.to_thread(self._run_sidecar)
        await self.world.until(f"{URL} for the visitor", self._ready)

    async def stop(self) -> None:
        """The sidecar is a process of the world, which ends it."""
        for relay in self.relays:
            await relay.stop()
        if self._connection is not None:
            self._connection.close()
        if self._holder is not None:
            self._holder.terminate()
            await asyncio.to_thread(self._holder.wait, STOP_TIMEOUT_S)
        shutil.rmtree(self.folder, ignore_errors=True)

    def call(self) -> dict[str, object]:
        """What plain curl is answered, or Python where there is no curl. Raises DemoError."""
        done = subprocess.run(self.inside(program()), capture_output=True, text=True, check=False)
        try:
            found = json.loads(done.stdout)
        except ValueError as error:
            said = (done.stderr or done.stdout).strip()
            raise DemoError(f"{URL} is not answered in the visitor's network: {said}") from error
        return found if isinstance(found, dict) else {}

    def address(self) -> str:
        """What the name comes to there."""
        host = URL.removeprefix("http://")
        done = subprocess.run(
            self.inside(["getent", "ahostsv4", host]), capture_output=True, text=True, check=False
        )
        return (done.stdout.split() or ["unknown"])[0]

    # --- starting ---

    def _ports(self) -> list[int]:
        """Where the sidecar dials: its zone, instances of its zone, and the tap of the other."""
        world = self.world
        zone = world.ports[ZONE]
        near = [
            w.inbound_port for w in (*world.workloads.values(), world.newcomer) if w.zone == ZONE
        ]
        far = [ports.tap for name, ports in world.ports.items() if name != ZONE]
        return [zone.bootstrap, zone.ads, *near, *far]

    def _separate(self, ports: list[int]) -> list[socket.socket]:
        """The sockets that listen on these ports in the network of its own."""
        resolv_conf, path = self.folder / "resolv.conf", self.folder / "holder.sock"
        resolv_conf.write_text(f"nameserver {holder.NAME_SERVER}\n")
        given = [str(resolv_conf), str(path), *map(str, ports)]
        held = [sys.executable, "-m", holder.__name__, *given]
        with self.log.open("ab") as log, socket.socket(socket.AF_UNIX) as waiting:
            waiting.bind(str(path))
            waiting.listen(1)
            self._holder = subprocess.Popen(
                ["unshare", "--net", "--mount", "--", *held],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
            self._connection = self._accepted(waiting)
        _, fds, _, _ = socket.recv_fds(self._connection, 16, len(ports))
        return [socket.socket(fileno=fd) for fd in fds]

    def _accepted(self, waiting: socket.socket) -> socket.socket:
        assert self._holder is not None
        waiting.settimeout(0.05)
        for _ in self._while_it_lives():
            try:
                return waiting.accept()[0]
            except TimeoutError:
                continue
        raise DemoError(f"no network of its own for the visitor: {tail(self.log, 3)}")

    def _while_it_lives(self) -> Iterator[None]:
        assert self._holder is not None
        while self._holder.poll() is None:
            yield

    def _install(self) -> None:
        reconciler = [sys.executable, "-m", "reconciler.cli.main"]
        done = subprocess.run(
            self.inside([*reconciler, "install", "transparent-proxy"]),
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            raise DemoError(f"the visitor's traffic cannot be redirected: {done.stderr.strip()}")

    def _run_sidecar(self) -> None:
        world = self.world
        tags = {"kuma.io/service": NAME, "kuma.io/protocol": "http"}
        document = {
            "type": "Dataplane",
            "mesh": "default",
            "name": NAME,
            "networking": {
                "address": holder.ADDRESS,
                "admin": {"port": ADMIN_PORT},
                "inbound": [{"port": INBOUND_PORT, "tags": tags}],
            },
        }
        issued = ("token", "dataplane", "--mesh", "default", "--name", NAME)
        token = world.run_once(*issued, "--state-dir", str(world.state("global")))
        file, token_file = self.folder / "dataplane.yaml", self.folder / "token"
        file.write_text(json.dumps(document))
        token_file.touch(mode=0o600)
        token_file.write_text(token)
        command = [
            sys.executable, "-m", "reconciler.cli.main", "dataplane", "--file", str(file),
            "--token-file", str(token_file), "--ca-file", str(world.state(ZONE) / "tls" / "ca.pem"),
            "--zone-address", f"https://127.0.0.1:{world.ports[ZONE].bootstrap}",
            "--workdir", str(self.folder / "proxy"), "--drain-time", "1s",
            "--transparent-proxy", "--run-as", str(PROXY_UID),
        ]  # fmt: skip
        world.run_program(f"proxy-{NAME}", ZONE, self.inside(command))

    async def _ready(self) -> bool:
        try:
            return bool(await asyncio.to_thread(self.call))
        except DemoError:
            return False


def program() -> list[str]:
    """What asks, as it stands on the machine."""
    if shutil.which("curl") is not None:
        return ["curl", "--silent", "--show-error", "--max-time", str(CALL_TIMEOUT_S), URL]
    opened = f"urllib.request.urlopen('{URL}', timeout={CALL_TIMEOUT_S})"
    return [sys.executable, "-c", f"import urllib.request; print({opened}.read().decode())"]
