"""sd_notify as systemd reads it: datagrams on the socket it names."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

from reconciler.runtime.service_manager import ServiceManager

if TYPE_CHECKING:
    from pathlib import Path


def received(listener: socket.socket) -> str:
    return listener.recv(100).decode()


async def test_readiness_pings_and_the_end_are_told(tmp_path: Path) -> None:
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(path)
        listener.settimeout(10)
        manager = ServiceManager({"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "20000"})
        manager.ready()
        assert received(listener) == "READY=1"
        assert received(listener) == "WATCHDOG=1"
        assert await asyncio.to_thread(received, listener) == "WATCHDOG=1"  # the loop turns
        manager.stopping()
        said = [received(listener)]
        while said[-1] == "WATCHDOG=1":
            said.append(received(listener))
        assert said[-1] == "STOPPING=1"


async def test_an_abstract_socket_is_named_with_an_at_sign() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind("\0mesh-reconciler-test-notify")
        listener.settimeout(10)
        ServiceManager({"NOTIFY_SOCKET": "@mesh-reconciler-test-notify"}).ready()
        assert received(listener) == "READY=1"


async def test_nobody_listens_and_nothing_happens(tmp_path: Path) -> None:
    """Neither an error nor a timer that would wake the loop for nobody."""
    gone = str(tmp_path / "gone")
    for environment in (
        {},
        {"WATCHDOG_USEC": "20000"},
        {"NOTIFY_SOCKET": gone, "WATCHDOG_USEC": "x"},
    ):
        manager = ServiceManager(environment)
        manager.ready()
        assert manager._timer is None
