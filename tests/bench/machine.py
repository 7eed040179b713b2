"""How fast the machine is on this day: what stands beside figures of two days, or two machines."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING

from tests.bench.figures import Figure, Scale

if TYPE_CHECKING:
    from collections.abc import Callable

RUNS = 30
ROUNDS = 200_000
MESSAGES = 2_000
MESSAGE = b"x" * 1024


async def measure(scale: Scale) -> list[Figure]:
    runs = scale.choose(RUNS, 5)
    parts = {"python_ms": _loop, "loopback_ms": _loopback}
    return [
        Figure(key=f"machine.{name}", unit="CPU ms", values=_timed(work, runs))
        for name, work in parts.items()
    ]


def _timed(work: Callable[[], None], runs: int) -> tuple[float, ...]:
    found: list[float] = []
    for _ in range(runs):
        began = time.process_time()
        work()
        found.append((time.process_time() - began) * 1000)
    return tuple(found)


def _loop() -> None:
    """Python alone: calls, attributes, small objects."""
    found: dict[int, tuple[int, str]] = {}
    for number in range(ROUNDS):
        found[number & 1023] = (number, str(number))


def _loopback() -> None:
    """The kernel: 2,000 kilobytes to another socket and back."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        for _ in range(MESSAGES):
            ours.sendall(MESSAGE)
            theirs.sendall(theirs.recv(len(MESSAGE), socket.MSG_WAITALL))
            ours.recv(len(MESSAGE), socket.MSG_WAITALL)
