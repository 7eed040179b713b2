"""Asks the ingresses of other zones whether they are there: with the first words of TLS for a
server that nobody is. An ingress that is well ends the connection at once.
"""

from __future__ import annotations

import asyncio
import errno
import ssl
import time
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING

from reconciler.reachability import NEVER, after
from reconciler.steps import zone_state as z
from reconciler.steps.zone_reachability import targets

if TYPE_CHECKING:
    from reconciler.instances import Target
    from reconciler.reachability import Asked
    from reconciler.zone_cp.plane import ZoneControlPlane

INTERVAL_S = 1.0
PER_SECOND = 50  # more ingresses are each asked less often
TIMEOUT_S = 2.0  # for two round trips and one lost packet
AGAIN_S = 0.5  # after the first time without an answer
NOBODY = "probe.invalid"  # RFC 2606: no service's server name
# What says something of the other side; all else, such as too many open files, is ours.
THEIRS = {
    errno.ECONNREFUSED,
    errno.ECONNRESET,
    errno.ECONNABORTED,
    errno.EHOSTUNREACH,
    errno.ENETUNREACH,
    errno.ETIMEDOUT,
}


class IngressProbes:
    def __init__(
        self, plane: ZoneControlPlane, interval_s: float = INTERVAL_S, *, asks: bool = True
    ) -> None:
        self.plane = plane
        self.asks = asks
        self.interval_s = interval_s
        self.answers: Counter[str] = Counter()  # by what came of it
        self._asked: dict[Target, Asked] = {}
        self._asking: dict[Target, asyncio.Task[None]] = {}
        self._hello = client_hello()

    async def ask_forever(self) -> None:
        """Each once an interval, one after the other, if any at all. A fault of ours costs one
        round.
        """
        if not self.asks:
            return
        loop = asyncio.get_running_loop()
        try:
            while True:
                try:
                    await self._round()
                except Exception as error:
                    text = "ingresses could not be asked"
                    loop.call_exception_handler({"message": text, "exception": error})
                    await asyncio.sleep(self.interval_s)
        finally:
            for task in self._asking.values():
                task.cancel()

    async def _round(self) -> None:
        wanted = targets(self.plane.state)
        gone = self._asked.keys() - wanted.keys()
        for at in gone:
            del self._asked[at]
        if gone:
            self._tell()
        pause = pause_s(self.interval_s, len(wanted))
        if not wanted:
            await asyncio.sleep(pause)
        for at in wanted:
            if at not in self._asking:
                self._asking[at] = asyncio.create_task(self._ask(at))
            await asyncio.sleep(pause)

    async def _ask(self, at: Target) -> None:
        """Once more when it does not answer, so that one lost packet says nothing."""
        try:
            known = self._heard(at, await answers(at, self._hello))
            if known.failed == 1 and known.answered:
                await asyncio.sleep(AGAIN_S)
                self._heard(at, await answers(at, self._hello))
        finally:
            del self._asking[at]

    def _heard(self, at: Target, answered: bool | None) -> Asked:
        known = self._asked.get(at, NEVER)
        self.answers[{True: "answered", False: "silent", None: "error"}[answered]] += 1
        if answered is not None:
            found = self._asked[at] = after(known, answered, time.time())
            if found.since != known.since:
                self._tell()
            return found
        return known

    def _tell(self) -> None:
        silent = {at: found.since for at, found in self._asked.items() if found.since is not None}
        self.plane.deliver(z.IngressesAsked(silent, time.time()))


def pause_s(interval_s: float, count: int) -> float:
    """From one question to the next, of so many."""
    return max(interval_s / max(1, count), 1 / PER_SECOND)


async def answers(at: Target, hello: bytes) -> bool | None:
    """Anything that comes back is an answer, the end of the connection too. None: the fault is
    ours.
    """
    try:
        async with asyncio.timeout(TIMEOUT_S):
            reader, writer = await asyncio.open_connection(*at)
            try:
                with suppress(OSError):
                    writer.write(hello)
                    await reader.read(1)
                return True
            finally:
                writer.transport.abort()
    except TimeoutError:
        return False
    except OSError as error:
        return False if error.errno in THEIRS else None


def client_hello() -> bytes:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    said, heard = ssl.MemoryBIO(), ssl.MemoryBIO()
    with suppress(ssl.SSLWantReadError):
        context.wrap_bio(heard, said, server_hostname=NOBODY).do_handshake()
    return said.read()
