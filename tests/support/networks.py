"""Networks of their own for the global and two zones, joined by a switch that can be cut: packets
vanish, and nobody is told. Needs root and `ip` (iproute2).
"""

from __future__ import annotations

import os
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.namespaces import ip
from tests.support.two_zones import TwoZones

if TYPE_CHECKING:
    from collections.abc import Iterator

SWITCH = "switch"  # the name of its namespace, too
NUMBERS = {"global": 1, "east": 2, "west": 3}  # the last of address and hardware address


class Networks:
    """One namespace a role, and one for the switch."""

    def __init__(self) -> None:
        self._names = {role: f"reconciler-{os.getpid()}-{role}" for role in (*NUMBERS, SWITCH)}

    def make(self) -> None:
        for role, name in self._names.items():
            ip("netns", "add", name)
            self._in(role, "link", "set", "dev", "lo", "up")
        self._in(SWITCH, "link", "add", "name", SWITCH, "type", "bridge")
        self._in(SWITCH, "link", "set", "dev", SWITCH, "up")
        for role in NUMBERS:
            self._in(
                SWITCH, "link", "add", "name", role, "type", "veth",
                "peer", "name", "eth0", "address", hardware(role), "netns", self._names[role],
            )  # fmt: skip
            self.plug(role)
            self._in(SWITCH, "link", "set", "dev", role, "up")
            self._in(role, "address", "add", f"{address(role)}/24", "dev", "eth0")
            self._in(role, "link", "set", "dev", "eth0", "up")
            for other in NUMBERS.keys() - {role}:  # Whom a router leads to is never found missing.
                self._in(
                    role, "neighbour", "replace", address(other), "lladdr", hardware(other),
                    "nud", "permanent", "dev", "eth0",
                )  # fmt: skip

    def remove(self) -> None:
        for name in self._names.values():
            subprocess.run(["ip", "netns", "delete", name], check=False, stderr=subprocess.DEVNULL)

    def file(self, role: str) -> Path:
        return Path("/run/netns") / self._names[role]

    def inside(self, role: str, arguments: list[str]) -> list[str]:
        return ["ip", "netns", "exec", self._names[role], *arguments]

    def unplug(self, role: str) -> None:
        """From everybody."""
        self._in(SWITCH, "link", "set", "dev", role, "nomaster")

    def plug(self, role: str) -> None:
        self._in(SWITCH, "link", "set", "dev", role, "master", SWITCH)

    def apart(self, *roles: str) -> None:
        """These do not reach each other, everybody else reaches them."""
        for role in NUMBERS:
            state = "on" if role in roles else "off"
            self._in(SWITCH, "link", "set", "dev", role, "type", "bridge_slave", "isolated", state)

    def _in(self, role: str, *arguments: str) -> None:
        ip("-n", self._names[role], *arguments)


class ZonesApart(TwoZones):
    """Each role in its network."""

    def __init__(self, folder: Path, networks: Networks) -> None:
        super().__init__(folder)
        self.networks = networks

    def host(self, role: str) -> str:
        return address(role)

    def placed(self, role: str, arguments: list[str]) -> list[str]:
        return self.networks.inside(role, arguments)


@contextmanager
def networks() -> Iterator[Networks]:
    made = Networks()
    try:
        made.make()
        yield made
    finally:
        made.remove()


def address(role: str) -> str:
    return f"198.18.0.{NUMBERS[role]}"  # of the range for measurements


def hardware(role: str) -> str:
    return f"02:00:00:00:00:0{NUMBERS[role]}"
