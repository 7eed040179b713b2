"""Two zones with an ingress and two instances of `backend` each, and in east a caller without an
application: its outbound is asked by the test itself. No tap stands between the zones.
"""

from __future__ import annotations

import asyncio
import os
import signal
from dataclasses import replace
from typing import TYPE_CHECKING

from reconciler.demo.world import Workload
from tests.support.planes import Planes

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

EAST, WEST = ("e1", "e2"), ("w1", "w2")  # instances, by the version each says it is
EVERYONE = frozenset((*EAST, *WEST))


class TwoZones(Planes):
    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.ports = {z: replace(ports, tap=ports.ingress) for z, ports in self.ports.items()}

    def seed(self) -> None:
        """The mesh, and who may call: no policy that says how."""
        super().seed()
        folder = self.work / "policies"
        names = sorted(file.name for file in folder.iterdir() if file.name != "allow-all.yaml")
        self.git(folder, "rm", "--quiet", *names)
        self.git(self.work, "commit", "--quiet", "--message", "No policies but who may call")
        self.git(self.work, "push", "--quiet")

    @staticmethod
    def _workloads(ports: list[int]) -> dict[str, Workload]:
        outbound = {"backend": ports.pop()}
        rows: list[tuple[str, str, str, str, dict[str, int]]] = [
            ("frontend", "frontend", "east", "v1", outbound)
        ]
        for zone, names in (("east", EAST), ("west", WEST)):
            rows += [(f"backend-{zone}-{name}", "backend", zone, name, {}) for name in names]
        return {
            name: Workload(name, service, zone, version, ports.pop(), ports.pop(), ports.pop(), out)
            for name, service, zone, version, out in rows
        }

    @property
    def outbound(self) -> int:
        return self.frontend.outbounds["backend"]

    def instance(self, version: str) -> Workload:
        return next(w for w in self.workloads.values() if w.version == version)

    async def start_all(self) -> None:
        """Returns when every proxy has what is its own."""
        await self.start_global()
        for zone in self.zones:
            await self.start_zone(zone)
            await asyncio.to_thread(self.run_ingress, zone)
        await asyncio.to_thread(self.run_sidecar, self.frontend)
        for version in (*EAST, *WEST):
            await asyncio.to_thread(self.start_instance, version)
        await self.until("all proxies", self.whole)

    def whole(self) -> bool:
        """Both zones are connected, and every proxy has acknowledged what is in force."""
        wanted = {"east": 4, "west": 3}
        return all(
            self.acked(zone) >= count and self.status(zone).get("connected") is True
            for zone, count in wanted.items()
        )

    def start_instance(self, version: str) -> None:
        workload = self.instance(version)
        self.run_app(workload)
        self.run_sidecar(workload)

    def parts_of(self, version: str) -> tuple[str, str]:
        name = self.instance(version).name
        return f"app-{name}", f"proxy-{name}"

    def killed(self, names: Iterable[str]) -> None:
        """-9, all of them at once, each with its Envoy."""
        found = [self.processes[name] for name in names]
        for process in found:
            os.killpg(process.popen.pid, signal.SIGKILL)
        for process in found:
            process.popen.wait(5)

    def signalled(self, name: str, number: signal.Signals) -> None:
        """To the program and its Envoy: SIGSTOP makes of it a machine that says nothing more."""
        os.killpg(self.processes[name].popen.pid, number)
