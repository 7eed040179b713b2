"""The global's process as a bench sees it: started, ready, asked, started again."""

from __future__ import annotations

import shutil
import time
from typing import TYPE_CHECKING, cast

from reconciler.cli.main import main as reconciler
from reconciler.demo.world import World
from tests.bench.fleet import cpu_s, memory_mb

if TYPE_CHECKING:
    from pathlib import Path

READY_S = 120.0
POLL_S = 0.002
STOP_S = 20.0
WATCHED_AFTER_S = 1.0  # for what the start leaves to do, before anything else is measured


class BenchGlobal:
    """Of the repository `policy.git` in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.world = World(folder)
        self.log = folder / "logs" / "global.log"
        self.log.parent.mkdir(exist_ok=True)
        (folder / "zones").mkdir(exist_ok=True)
        self._read = 0

    @property
    def pid(self) -> int:
        return self.world.processes["global"].popen.pid

    @property
    def cpu_s(self) -> float:
        return cpu_s([self.pid])

    @property
    def rss_mb(self) -> float:
        return memory_mb([self.pid])["rss"]

    @property
    def stall_ms(self) -> float:
        """The longest turn of its loop since it began."""
        return float(cast("float", self.world.status("global")["loop_stall_ms_max"]))

    def start(self) -> float:
        """Seconds until a revision is in force. Nothing is asked meanwhile: it says so in its
        log.
        """
        self._read = self.log.stat().st_size if self.log.exists() else 0
        began = time.perf_counter()
        self.world.run_global()
        while "revision.published" not in self._said():
            if time.perf_counter() - began > READY_S:
                raise TimeoutError(f"no revision in force; see {self.log}")
            time.sleep(POLL_S)
        return time.perf_counter() - began

    def _said(self) -> str:
        with self.log.open("rb") as file:
            file.seek(self._read)
            return file.read().decode()

    def stop(self) -> None:
        popen = self.world.processes["global"].popen
        popen.terminate()
        popen.wait(STOP_S)

    def forget(self) -> None:
        """Its disk, so that the next start is the first."""
        shutil.rmtree(self.world.state("global"))

    def joins(self, names: list[str]) -> dict[str, Path]:
        """A join file for each zone, as `reconciler token` makes it."""
        for name in names:
            arguments = ["token", "zone", name, "--state-dir", str(self.world.state("global"))]
            address = f"grpcs://127.0.0.1:{self.world.kds_port}"
            file = self.world.join_file(name)
            if reconciler([*arguments, "--global", address, "--out", str(file)]) != 0:
                raise RuntimeError(f"no join file for {name}")
        return {name: self.world.join_file(name) for name in names}
