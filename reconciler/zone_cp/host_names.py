"""Looks up the host names that proxies have where Envoy takes addresses only."""

from __future__ import annotations

import asyncio
import socket
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from reconciler.steps import zone_names
from reconciler.steps import zone_state as z

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reconciler.zone_cp.plane import ZoneControlPlane

RESOLVE_INTERVAL_S = 10.0


class HostNames:
    def __init__(self, plane: ZoneControlPlane, interval_s: float = RESOLVE_INTERVAL_S) -> None:
        self.plane = plane
        self.interval_s = interval_s
        self._asked: set[str] = set()  # since the last look at all

    async def resolve_forever(self) -> None:
        """All names once an interval, those that come in between at once. A fault of ours costs one
        look, not all later ones.
        """
        loop = asyncio.get_running_loop()
        due = loop.time() + self.interval_s
        while True:
            if await self._wait_until(due):
                look = self.resolve_new
            else:
                look, due = self.resolve, loop.time() + self.interval_s
            try:
                await look()
            except Exception as error:
                loop.call_exception_handler(
                    {"message": "host names could not be looked up", "exception": error}
                )

    async def _wait_until(self, due: float) -> bool:
        """Whether new names came before."""
        wanted = self.plane.names_wanted
        try:
            async with asyncio.timeout_at(due):
                await wanted.wait()
        except TimeoutError:
            return False
        wanted.clear()
        return True

    async def resolve(self) -> None:
        """Look every name up; one that does not resolve keeps its last address."""
        known, names = self.plane.state.resolved, zone_names.host_names(self.plane.state)
        self._asked = set()
        await self._look_up({name: known[name] for name in names if name in known}, names)

    async def resolve_new(self) -> None:
        """Look those up that nobody has asked for; a name that is nowhere waits for the others."""
        known, names = self.plane.state.resolved, zone_names.host_names(self.plane.state)
        new = [name for name in names if name not in known and name not in self._asked]
        await self._look_up(dict(known), new)

    async def _look_up(self, found: dict[str, str], names: Iterable[str]) -> None:
        for name in names:
            self._asked.add(name)
            with suppress(OSError, UnicodeError):  # The second: what no name can be.
                found[name] = await _resolved(name)
            # Each at once: the next one may be slow to answer.
            self.plane.deliver(z.Resolved(dict(found), time.time()))


async def _resolved(name: str) -> str:
    """Of several addresses the first in text order, so that every zone chooses alike."""
    found = await asyncio.get_running_loop().getaddrinfo(name, None, type=socket.SOCK_STREAM)
    return min(str(info[4][0]) for info in found)
