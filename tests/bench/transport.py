"""What it costs to carry configuration to proxies, without computing any: CPU time, memory and the
longest turn of the loop of a process that serves ADS over TLS, dialled directly and through the
door. The step, the disk and certificates of workloads are not part of it.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench.figures import Figure, Scale

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import AsyncIterator

IDLE_S = 30
WAYS = ("direct", "door")


async def measure(scale: Scale) -> list[Figure]:
    size, runs = scale.size(1000, 50), scale.choose(20, 3)
    found: list[Figure] = []
    for way in WAYS:
        found += await _measured(way, size, runs, idle_s=scale.size(IDLE_S, 0))
    return found


async def _measured(way: str, size: int, runs: int, idle_s: int) -> list[Figure]:
    async with _server(way) as (server, port, ca), _clients(port, ca, size):
        connect = await _asked(server, f"connect {size}")
        pushes = [await _asked(server, f"push {size}") for _ in range(runs)]
        idle = await _asked(server, f"idle {idle_s}") if idle_s else None
    each, key = 1000 / size, f"transport.{way}"
    found = [
        Figure(key=f"{key}.connect_us", values=(connect["cpu_ms"] * each,), unit="CPU us"),
        Figure(key=f"{key}.kb", values=(connect["grown_kb"] / size,), unit="KB a proxy"),
        Figure(key=f"{key}.connect_turn_ms", values=(connect["turn_ms"],), unit="ms"),
        Figure(
            key=f"{key}.push_us",
            values=tuple(push["cpu_ms"] * each for push in pushes),
            unit="CPU us",
            goal=200.0,
        ),
        Figure(
            key=f"{key}.push_turn_ms", values=tuple(push["turn_ms"] for push in pushes), unit="ms"
        ),
    ]
    if idle is not None:
        cores = idle["cpu_ms"] / 1000 / idle_s * 1000 / size
        found.append(Figure(key=f"{key}.idle_1000", values=(cores,), unit="cores"))
    return found


@asynccontextmanager
async def _server(way: str) -> AsyncIterator[tuple[Process, int, str]]:
    async with _process("tests.bench.transport_server", way) as process:
        said = await _answer(process)
        yield process, int(said["port"]), str(said["ca"])


@asynccontextmanager
async def _clients(port: int, ca: str, size: int) -> AsyncIterator[None]:
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
        file.write(ca)
        file.flush()
        args = (str(port), file.name, str(size))
        async with _process("tests.bench.transport_clients", *args):
            yield


@asynccontextmanager
async def _process(module: str, *args: str) -> AsyncIterator[Process]:
    """Ends with its stdin."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        module,
        *args,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    try:
        yield process
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()


async def _asked(process: Process, command: str) -> dict[str, float]:
    assert process.stdin is not None
    process.stdin.write(command.encode() + b"\n")
    return await _answer(process)


async def _answer(process: Process) -> dict[str, float]:
    assert process.stdout is not None
    async with asyncio.timeout(120):
        line = await process.stdout.readline()
    found: dict[str, float] = json.loads(line)
    return found
