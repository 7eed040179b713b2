"""Loopback ports for servers that are started a moment later, by another process.

A port that was free when it was looked at can be taken before its server binds it. So no port is
one of those that the kernel gives to connections, no process looks where another does, and none
hands out a port twice before it has handed out all of its own.
"""

from __future__ import annotations

import socket
from contextlib import suppress
from itertools import cycle
from random import SystemRandom
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

PORTS = range(20_000, 32_000)  # below Linux's ip_local_port_range, 32768 to 60999
BLOCK = 1_000


def free_ports(count: int) -> list[int]:
    """Distinct ports of 127.0.0.1, of this process' block, that nobody listens on.

    OSError: so many are not free.
    """
    found: list[int] = []
    if not _MINE:
        _MINE.append(_block())
    for _ in range(BLOCK):
        if len(found) == count:
            return found
        port = next(_MINE[0])
        with suppress(OSError), socket.socket() as sock:
            sock.bind(("127.0.0.1", port))
            found.append(port)
    raise OSError(f"not {count} of {BLOCK} ports of 127.0.0.1 from {min(PORTS)} on are free")


_MINE: list[Iterator[int]] = []  # of this process, once it has asked


def _block() -> Iterator[int]:
    """What is this process' to hand out, round and round. It holds a block by being bound to its
    first port, until it ends; whoever finds none left looks everywhere.
    """
    starts = list(PORTS[::BLOCK])
    SystemRandom().shuffle(starts)
    for start in starts:
        held = socket.socket()
        try:
            held.bind(("127.0.0.1", start))
        except OSError:
            held.close()
            continue
        held.detach()  # Open to the end, whatever becomes of the object.
        return _shuffled(range(start + 1, start + BLOCK))
    return _shuffled(PORTS)


def _shuffled(ports: Iterable[int]) -> Iterator[int]:
    mixed = list(ports)
    SystemRandom().shuffle(mixed)
    return cycle(mixed)
