"""A word to the service manager that started this process (systemd's sd_notify protocol): ready,
alive, stopping. Nothing happens where there is none.
"""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

PINGS_PER_LIMIT = 2  # a ping may be late by half of the limit


class ServiceManager:
    """`environment` has NOTIFY_SOCKET, and WATCHDOG_USEC when pings are wanted."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        address = environment.get("NOTIFY_SOCKET", "")
        # An abstract socket's name begins with a zero byte, written as @.
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        limit_us = environment.get("WATCHDOG_USEC", "")
        self._ping_s = int(limit_us) / 1e6 / PINGS_PER_LIMIT if limit_us.isdecimal() else 0.0
        self._timer: asyncio.TimerHandle | None = None

    def ready(self) -> None:
        """Listening; from here on pings say that the event loop turns."""
        self._say("READY=1")
        self._ping()

    def stopping(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._say("STOPPING=1")

    def _ping(self) -> None:
        if self._ping_s > 0 and self._address:
            self._say("WATCHDOG=1")
            self._timer = asyncio.get_running_loop().call_later(self._ping_s, self._ping)

    def _say(self, text: str) -> None:
        """Never waits, and a manager that does not listen is not ours to mend."""
        if not self._address:
            return
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            sock.sendto(text.encode(), self._address)
