"""Real control planes of this checkout as processes on loopback: their doors for tests."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from reconciler.demo.world import World

if TYPE_CHECKING:
    from pathlib import Path


class Planes(World):
    """The demo's world without proxies and applications, started step by step."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        for name in ("logs", "proxies", "zones"):
            (folder / name).mkdir(parents=True, exist_ok=True)

    async def start_global(self, *options: str) -> None:
        if not self.bare.exists():
            await asyncio.to_thread(self.seed)
        self.run_global(*options)
        await self.until("the global", lambda: bool(self.status("global").get("revision")))

    async def start_zone(self, zone: str, *options: str) -> None:
        if not self.join_file(zone).exists():
            self.issue_join_file(zone)
        self.run_zone(zone, *options)
        await self.until(f"zone {zone}", lambda: bool(self.status(zone).get("revision")))

    async def start_with_two_proxies(self) -> None:
        """A global, zone east, and in it the frontend and a backend that have what is theirs."""
        await self.start_global()
        await self.start_zone("east")
        for workload in (self.frontend, self.workloads["backend-east-1"]):
            self.run_app(workload)
            self.run_sidecar(workload)
        await self.until("both proxies", lambda: self.acked("east") == 2)
