"""Starts the demo's real parts in one directory, and stops every process it started.

    policy.git   bare repository, seeded from examples-repo/     work/   a clone to push from
    global/      state of the global control plane               zones/<zone>/   state of each zone
    proxies/     Dataplane files, tokens, Envoy's working folders logs/  one file a process

Everything listens on loopback. A proxy is `reconciler dataplane` with its Envoy; an application is
`reconciler.demo.app`; a tap stands before each zone's ingress and keeps the bytes between the
zones.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from reconciler.api.client import ControlError, ask
from reconciler.api.serving import UNIX_PATH_MAX
from reconciler.demo.ports import free_ports
from reconciler.demo.tap import Tap
from reconciler.packaged import examples_folder

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from pathlib import Path

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 5.0
GIT_IDENTITY = ("-c", "user.name=Demo", "-c", "user.email=demo@example.invalid")


class DemoError(Exception):
    """The demo cannot go on; the text says where to look."""


@dataclass(frozen=True, slots=True)
class Workload:
    """One application instance with its sidecar."""

    name: str  # Dataplane name, unique in the mesh
    service: str
    zone: str
    version: str
    app_port: int
    inbound_port: int
    admin_port: int
    outbounds: Mapping[str, int] = field(default_factory=dict)  # service -> port


@dataclass(frozen=True, slots=True)
class ZonePorts:
    bootstrap: int
    ads: int
    ingress: int
    ingress_admin: int
    egress: int
    egress_admin: int
    tap: int


@dataclass(slots=True)
class Process:
    name: str
    popen: subprocess.Popen[bytes]
    log: Path

    def kill_now(self) -> None:
        """-9 for the whole group: the program and its Envoy."""
        if self.popen.poll() is None:
            os.killpg(self.popen.pid, signal.SIGKILL)
        self.popen.wait(STOP_TIMEOUT_S)


class World:
    """All parts of one demo. `start` brings them up in order; `stop` ends whatever was started."""

    zones: tuple[str, ...] = ("east", "west")

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bare = folder / "policy.git"
        self.work = folder / "work"
        self.processes: dict[str, Process] = {}
        self.taps: dict[str, Tap] = {}
        ports = free_ports(24 + 10 * len(self.zones))
        self.kds_port = ports.pop()
        self.refusing_port = ports.pop()
        self.diagnostics = {role: ports.pop() for role in ("global", *self.zones)}
        self.api = {role: (ports.pop(), ports.pop()) for role in ("global", *self.zones)}
        self.ports = {z: ZonePorts(*(ports.pop() for _ in range(7))) for z in self.zones}
        self.workloads = self._workloads(ports)
        self.newcomer = Workload(
            "backend-east-2", "backend", "east", "v3", ports.pop(), ports.pop(), ports.pop()
        )  # not there at first: the tour starts it while the global is away

    @staticmethod
    def _workloads(ports: list[int]) -> dict[str, Workload]:
        front_outbound = ports.pop()
        rows: tuple[tuple[str, str, str, str, dict[str, int]], ...] = (
            ("frontend", "frontend", "east", "v1", {"backend": front_outbound}),
            ("backend-east-1", "backend", "east", "v1", {}),
            ("backend-west-1", "backend", "west", "v1", {}),
            ("backend-west-2", "backend", "west", "v2", {}),
        )
        return {
            name: Workload(
                name, service, zone, version, ports.pop(), ports.pop(), ports.pop(), outbounds
            )
            for name, service, zone, version, outbounds in rows
        }

    @property
    def frontend(self) -> Workload:
        return self.workloads["frontend"]

    def state(self, role: str) -> Path:
        return self.folder / "global" if role == "global" else self.folder / "zones" / role

    def control_socket(self, role: str) -> Path:
        return self.state(role) / "control.sock"

    def host(self, role: str) -> str:  # noqa: ARG002 - for who places roles apart
        """Where the parts of a zone, or the global, listen."""
        return "127.0.0.1"

    def placed(self, role: str, arguments: list[str]) -> list[str]:  # noqa: ARG002 - as `host`
        """The command that runs this program where the role is."""
        return arguments

    # --- starting ---

    async def start(self, progress: Callable[[str], None]) -> None:
        self._check_sockets()
        for name in ("logs", "proxies", "zones"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        progress("repository: a bare Git repository, seeded from examples-repo/")
        await asyncio.to_thread(self.seed)
        progress("global control plane")
        self.run_global()
        await self.until("the global control plane", lambda: self._answers("global", "revision"))
        for zone in self.zones:
            progress(f"zone {zone}: control plane")
            self.issue_join_file(zone)
            self.run_zone(zone)
        for zone in self.zones:
            await self.until(f"zone {zone}", lambda zone=zone: self._answers(zone, "revision"))
            await self._tap(zone)
            progress(f"zone {zone}: ingress and applications with their sidecars, real Envoys")
            self.run_ingress(zone)
        for workload in self.workloads.values():
            self.run_app(workload)
            self.run_sidecar(workload)
        progress("waiting until every proxy has its configuration")
        await self.until("all proxies", self._all_acked)
        await self.until("the status commits", self._status_committed)

    def _check_sockets(self) -> None:
        sockets = [self.control_socket(role) for role in ("global", *self.zones)]
        over = max(len(os.fsencode(path)) for path in sockets) - UNIX_PATH_MAX
        if over > 0:
            raise DemoError(
                f"{self.folder} is {over} bytes too long for the unix sockets in it; "
                "choose a shorter --dir"
            )

    def seed(self) -> None:
        """A clone that a person can commit in and push from, without any settings of their own."""
        self.git(None, "init", "--quiet", "--bare", "--initial-branch=main", str(self.bare))
        shutil.copytree(examples_folder(), self.work)
        self.git(self.work, "init", "--quiet", "--initial-branch=main")
        self.git(self.work, "remote", "add", "origin", str(self.bare))
        for setting in GIT_IDENTITY[1::2]:
            self.git(self.work, "config", *setting.split("=", 1))
        self.git(self.work, "add", "--all")
        self.git(self.work, "commit", "--quiet", "--message", "The example policies")
        self.git(self.work, "push", "--quiet", "--set-upstream", "origin", "main")

    def run_global(self, *options: str) -> None:
        self._reconciler(
            "global", "global",
            "global", "--repo", str(self.bare), "--state-dir", str(self.state("global")),
            "--host", self.host("global"), "--kds-port", str(self.kds_port),
            "--proxy-port", str(self.refusing_port), *self._api_ports("global"),
            "--diagnostics-port", str(self.diagnostics["global"]), *options,
        )  # fmt: skip

    def issue_join_file(self, zone: str) -> None:
        kds = f"grpcs://{self.host('global')}:{self.kds_port}"
        self.run_once(
            "token", "zone", zone, "--state-dir", str(self.state("global")),
            "--global", kds, "--out", str(self.join_file(zone)),
        )  # fmt: skip

    def join_file(self, zone: str) -> Path:
        return self.folder / "zones" / f"{zone}.join"

    def run_zone(self, zone: str, *options: str) -> None:
        ports = self.ports[zone]
        self._reconciler(
            f"zone-{zone}", zone, "zone", "--join", str(self.join_file(zone)),
            "--state-dir", str(self.state(zone)), "--host", self.host(zone),
            "--bootstrap-port", str(ports.bootstrap), "--ads-port", str(ports.ads),
            "--status-repo", str(self.bare), "--status-coalesce", "1",
            "--diagnostics-port", str(self.diagnostics[zone]), *self._api_ports(zone), *options,
        )  # fmt: skip

    def _api_ports(self, role: str) -> tuple[str, ...]:
        tls, plain = self.api[role]
        return ("--api-port", str(tls), "--api-plain-port", str(plain))

    def user_token(self, role: str) -> Path:
        """A file with the token of a user who reads the HTTP API of the global or a zone."""
        file = self.state(role) / "reader.token"
        if not file.exists():
            folder = str(self.state(role))
            self.run_once("token", "user", "reader", "--state-dir", folder, "--out", str(file))
        return file

    def how_to_read(self) -> str:
        """The HTTP API, with curl and with kumactl."""
        lines = [
            f"  {role:7} http://127.0.0.1:{self.api[role][1]}  {self.user_token(role)}"
            for role in ("global", *self.zones)
        ]
        token, at = (
            f"$(cat {self.user_token('global')})",
            f"http://127.0.0.1:{self.api['global'][1]}",
        )
        return "\n".join(
            (
                "to read the HTTP API, with the token of each control plane:",
                *lines,
                f'  curl -H "Authorization: Bearer {token}" {at}/meshes',
                f"  kumactl config control-planes add --name demo --address {at} "
                f'--auth-type=tokens --auth-conf token="{token}"',
            )
        )

    async def _tap(self, zone: str) -> None:
        ports = self.ports[zone]
        self.taps[zone] = Tap(ports.tap, ("127.0.0.1", ports.ingress))
        await self.taps[zone].start()

    def run_ingress(self, zone: str) -> None:
        ports = self.ports[zone]
        document = {
            "type": "ZoneIngress",
            "name": f"ingress-{zone}",
            "networking": {
                "address": self.host(zone),
                "port": ports.ingress,
                "advertisedAddress": self.host(zone),
                "advertisedPort": ports.tap,
                "admin": {"port": ports.ingress_admin},
            },
        }
        token = ("token", "zone-proxy", "--zone", zone, "--scope", "ingress")
        self._dataplane(f"ingress-{zone}", zone, document, token)

    def run_egress(self, zone: str) -> None:
        ports = self.ports[zone]
        networking = {
            "address": self.host(zone),
            "port": ports.egress,
            "admin": {"port": ports.egress_admin},
        }
        document = {"type": "ZoneEgress", "name": f"egress-{zone}", "networking": networking}
        token = ("token", "zone-proxy", "--zone", zone, "--scope", "egress")
        self._dataplane(f"egress-{zone}", zone, document, token)

    def run_sidecar(self, workload: Workload) -> None:
        tags = {
            "kuma.io/service": workload.service,
            "kuma.io/protocol": "http",
            "version": workload.version,
        }
        document = {
            "type": "Dataplane",
            "mesh": "default",
            "name": workload.name,
            "networking": {
                "address": self.host(workload.zone),
                "admin": {"port": workload.admin_port},
                "inbound": [
                    {
                        "port": workload.inbound_port,
                        "servicePort": workload.app_port,
                        "serviceAddress": "127.0.0.1",
                        "tags": tags,
                    }
                ],
                "outbound": [
                    {"port": port, "tags": {"kuma.io/service": service}}
                    for service, port in workload.outbounds.items()
                ],
            },
        }
        token = ("token", "dataplane", "--mesh", "default", "--name", workload.name)
        self._dataplane(workload.name, workload.zone, document, token)

    def _dataplane(
        self, name: str, zone: str, document: Mapping[str, object], token: Sequence[str]
    ) -> None:
        folder = self.folder / "proxies" / name
        folder.mkdir(parents=True, exist_ok=True)
        file, token_file = folder / "dataplane.yaml", folder / "token"
        file.write_text(json.dumps(document, indent=2))  # JSON is YAML
        if not token_file.exists():
            issued = self.run_once(*token, "--state-dir", str(self.state("global")))
            token_file.touch(mode=0o600)
            token_file.write_text(issued)
        self._reconciler(
            f"proxy-{name}", zone,
            "dataplane", "--file", str(file), "--token-file", str(token_file),
            "--zone-address", f"https://{self.host(zone)}:{self.ports[zone].bootstrap}",
            "--ca-file", str(self.state(zone) / "tls" / "ca.pem"), "--workdir", str(folder),
        )  # fmt: skip

    def run_app(self, workload: Workload) -> None:
        upstream = next(iter(workload.outbounds.values()), None)
        arguments = [
            sys.executable, "-m", "reconciler.demo.app", "--service", workload.service,
            "--zone", workload.zone, "--version", workload.version,
            "--port", str(workload.app_port),
        ]  # fmt: skip
        if upstream is not None:
            arguments += ["--upstream", f"127.0.0.1:{upstream}"]
        self.run_program(f"app-{workload.name}", workload.zone, arguments)

    # --- processes ---

    def _reconciler(self, name: str, role: str, *arguments: str) -> None:
        self.run_program(name, role, [sys.executable, "-m", "reconciler.cli.main", *arguments])

    def run_program(self, name: str, role: str, arguments: list[str]) -> None:
        log = self.folder / "logs" / f"{name}.log"
        with log.open("ab") as out:
            popen = subprocess.Popen(
                self.placed(role, arguments), stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                start_new_session=True, env=clean_environment("RECONCILER_"),
            )  # fmt: skip
        self.processes[name] = Process(name, popen, log)

    def run_once(self, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "reconciler.cli.main", *arguments],
            capture_output=True, text=True, check=False, timeout=START_TIMEOUT_S,
            env=clean_environment("RECONCILER_"),
            start_new_session=True,  # Ctrl-C is the demo's, not of what it asks along the way.
        )  # fmt: skip
        if done.returncode != 0:
            raise DemoError(f"reconciler {' '.join(arguments[:2])}: {done.stderr.strip()}")
        return done.stdout.strip()

    def git(self, folder: Path | None, *arguments: str) -> str:
        """Plain git, without the machine's own configuration."""
        environment = {
            **clean_environment("GIT_"),
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_SYSTEM": os.devnull,
        }
        try:
            done = subprocess.run(
                ["git", *arguments],
                cwd=folder, env=environment, capture_output=True, text=True, check=False,
                start_new_session=True,
            )  # fmt: skip
        except FileNotFoundError as error:
            raise DemoError("the demo needs git on PATH") from error
        if done.returncode != 0:
            raise DemoError(f"git {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def stop(self) -> None:
        """Proxies first, then the control planes; -9 for who does not go."""
        names = sorted(self.processes, key=lambda n: (n == "global", n.startswith("zone-"), n))
        for name in names:
            popen = self.processes[name].popen
            if popen.poll() is None:
                popen.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + STOP_TIMEOUT_S
        for process in self.processes.values():
            try:
                process.popen.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill_now()

    # --- looking ---

    async def until(
        self,
        what: str,
        seen: Callable[[], bool] | Callable[[], Awaitable[bool]],
        timeout_s: float = START_TIMEOUT_S,
    ) -> None:
        """Wait until it is seen; says which log to read when it is not."""
        deadline = time.monotonic() + timeout_s
        while True:
            found = seen()
            if found if isinstance(found, bool) else await found:
                return
            for process in self.processes.values():
                if process.popen.poll() not in (None, -signal.SIGKILL):
                    raise DemoError(
                        f"{process.name} ended by itself; see {process.log}\n{tail(process.log)}"
                    )
            if time.monotonic() > deadline:
                raise DemoError(
                    f"{what} not ready after {timeout_s:.0f} s; see {self.folder / 'logs'}"
                )
            await asyncio.sleep(0.05)

    def status(self, role: str) -> dict[str, object]:
        """The control plane's own status; empty while it does not answer."""
        try:
            return ask(self.control_socket(role), "/status", timeout_s=2.0)
        except ControlError:
            return {}

    def inventory(self) -> dict[str, object]:
        """The global's status with every proxy it knows; empty while it does not answer."""
        try:
            return ask(self.control_socket("global"), "/status?proxies=1", timeout_s=2.0)
        except ControlError:
            return {}

    def _answers(self, role: str, key: str) -> bool:
        return bool(self.status(role).get(key))

    def _status_committed(self) -> bool:
        """What somebody is told to look at is there: the second commit follows the first by the
        coalescing interval.
        """
        where = ("-C", str(self.bare), "show")
        try:
            shown = [self.git(None, *where, f"status/{z}:ingress.yaml") for z in self.zones]
        except DemoError:
            return False  # A ref that is not there yet.
        return all("availableServices" in text for text in shown)

    def _all_acked(self) -> bool:
        wanted = {"east": 3, "west": 3}
        return all(self.acked(zone) >= count for zone, count in wanted.items())

    def acked(self, zone: str) -> int:
        """Proxies of a zone that acknowledged everything of the revision in force."""
        proxies = self.status(zone).get("proxies")
        return int(proxies.get("acked", 0)) if isinstance(proxies, dict) else 0


def clean_environment(prefix: str) -> dict[str, str]:
    """This process's, without what would change what the demo's parts do."""
    return {key: value for key, value in os.environ.items() if not key.startswith(prefix)}


def tail(log: Path, lines: int = 12) -> str:
    text = log.read_text(errors="replace") if log.exists() else ""
    return "\n".join(text.splitlines()[-lines:])
