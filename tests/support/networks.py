"""Networks of their own for the global and two zones, on one switch whose ports can be cut: packets
vanish, and nobody is told. Needs root and `ip` (iproute2).
"""

from __future__ import annotations

import os
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.two_zones import TwoZones

if TYPE_CHECKING:
    from collections.abc import Iterator

SWITCH = "switch0"
NUMBERS = {"global": 1, "east": 2, "west": 3}  # the last of address and hardware address


class Networks:
    """One namespace a role. The global's holds the switch."""

    def __init__(self) -> None:
        self._names = {role: f"reconciler-{os.getpid()}-{role}" for role in NUMBERS}

    def make(self) -> None:
        for name in self._names.values():
            ip("netns", "add", name)
            ip("-n", name, "link", "set", "dev", "lo", "up")
        self._in("global", "link", "add", "name", SWITCH, "type", "bridge")
        self._in("global", "link", "set", "dev", SWITCH, "address", hardware("global"))
        for role in ("east", "west"):
            there = self._names[role]
            self._in(
                "global", "link", "add", "name", role, "type", "veth",
                "peer", "name", "eth0", "address", hardware(role), "netns", there,
            )  # fmt: skip
            self._in("global", "link", "set", "dev", role, "master", SWITCH, "up")
        for role in NUMBERS:
            device = SWITCH if role == "global" else "eth0"
            self._in(role, "address", "add", f"{address(role)}/24", "dev", device)
            self._in(role, "link", "set", "dev", device, "up")
            # As a router's neighbours know it: a host that is cut off is not found to be missing.
            for other in NUMBERS.keys() - {role}:
                self._in(
                    role, "neighbour", "replace", address(other), "lladdr", hardware(other),
                    "nud", "permanent", "dev", device,
                )  # fmt: skip

    def remove(self) -> None:
        for name in self._names.values():
            ip("netns", "delete", name)

    def file(self, role: str) -> Path:
        return Path("/run/netns") / self._names[role]

    def inside(self, role: str, arguments: list[str]) -> list[str]:
        return ["ip", "netns", "exec", self._names[role], *arguments]

    def zones_apart(self, cut: bool) -> None:
        """Between the zones; the global reaches both."""
        for role in ("east", "west"):
            state = "on" if cut else "off"
            self._in(
                "global", "link", "set", "dev", role, "type", "bridge_slave", "isolated", state
            )

    def unplug(self, zone: str) -> None:
        self._in("global", "link", "set", "dev", zone, "nomaster")

    def plug(self, zone: str) -> None:
        self._in("global", "link", "set", "dev", zone, "master", SWITCH)

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


def ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"ip {' '.join(arguments)}: {done.stderr.strip()}"
