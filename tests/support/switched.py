"""A small internet for tests: sites, each a bridge with hosts on it, and between two sites a cable
in user space, which can delay frames, lose some, and keeps what passed. Needs root and `ip`.

Every host has an IPv4 and an IPv6 address, a default route, and a resolv.conf of its own. What
passes on the bridges can be listened to (`Tap`).
"""

from __future__ import annotations

import ctypes
import fcntl
import heapq
import select
import shutil
import socket
import struct
import threading
import time
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from tests.support.namespaces import Namespace

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

NETNS = Path("/etc/netns")  # `ip netns exec` puts what is there over /etc
EVERYTHING = 3  # ETH_P_ALL
FRAME_MAX = 70_000
QUIET_S = 0.05
KEPT_MAX = 16 * 1024 * 1024
SIOCETHTOOL = 0x8946
CHECKSUMS = 0x17  # ETHTOOL_STXCSUM: with them off, segments are made by the sender as well
PACKET_OUTGOING = 4
GATEWAY = 1  # last number of the address, of nobody: what has no way is sent there and lost


class Host:
    """One network with an address, as a machine on its site has it."""

    def __init__(self, role: str, number: int, site: str) -> None:
        self.role, self.number, self.site = role, number, site
        self.namespace = Namespace(f"mesh-{role}")
        self.v4 = f"198.18.0.{number}"  # of the range for measurements
        self.v6 = f"fd00:198::{number:x}"

    @property
    def etc(self) -> Path:
        return NETNS / self.namespace.name


class Switched:
    """All hosts of some sites. `make` and `remove`."""

    def __init__(self, hosts: Sequence[Host], name_server: str) -> None:
        self.hosts = {host.role: host for host in hosts}
        self.sites = sorted({host.site for host in hosts})
        self.switch = Namespace("mesh-switch")
        self.relay: Relay | None = None
        self._name_server = name_server

    def make(self) -> None:
        self.switch.make()
        for site in self.sites:
            self.switch.ip("link", "add", "name", site, "type", "bridge")
            self.switch.ip("link", "set", "dev", site, "up")
        for host in self.hosts.values():
            self._plug(host)
        if len(self.sites) > 1:
            self._join(*self.sites)

    def remove(self) -> None:
        if self.relay is not None:
            self.relay.stop()
        for host in self.hosts.values():
            host.namespace.remove()
            shutil.rmtree(host.etc, ignore_errors=True)
        self.switch.remove()
        with suppress(OSError):
            NETNS.rmdir()

    def _plug(self, host: Host) -> None:
        namespace, port = host.namespace, f"p{host.number}"
        namespace.make()
        host.etc.mkdir(parents=True, exist_ok=True)
        resolver = f"nameserver {self._name_server}\noptions timeout:2 attempts:2\n"
        (host.etc / "resolv.conf").write_text(resolver)
        self.switch.ip(
            "link", "add", "name", port, "type", "veth",
            "peer", "name", "eth0", "netns", namespace.name,
        )  # fmt: skip
        self.switch.ip("link", "set", "dev", port, "master", host.site)
        self.switch.ip("link", "set", "dev", port, "up")
        namespace.ip("address", "add", f"{host.v4}/24", "dev", "eth0")
        namespace.ip("address", "add", f"{host.v6}/64", "dev", "eth0", "nodad")
        namespace.ip("link", "set", "dev", "eth0", "up")
        namespace.within(lambda: without_offload("eth0"))
        namespace.ip("route", "add", "default", "via", f"198.18.0.{GATEWAY}")
        namespace.ip("-6", "route", "add", "default", "via", f"fd00:198::{GATEWAY}")

    def _join(self, one: str, other: str) -> None:
        for site in (one, other):
            end = f"{site}-end"
            self.switch.ip("link", "add", "name", end, "type", "veth", "peer", "name", f"{site}-in")
            self.switch.ip("link", "set", "dev", f"{site}-in", "master", site)
            for device in (end, f"{site}-in"):
                self.switch.ip("link", "set", "dev", device, "up")
        self.relay = Relay(self._raw(f"{one}-end"), self._raw(f"{other}-end"))
        self.relay.start()

    def tap(self, *numbers: int) -> Tap:
        """Of what hosts of these numbers say and hear."""
        return Tap([self._raw(f"p{number}") for number in numbers])

    def _raw(self, device: str) -> socket.socket:
        return self.switch.within(lambda: raw(device))


def raw(device: str) -> socket.socket:
    """Whole frames of a device, of this thread's network."""
    found = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(EVERYTHING))
    found.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 * 1024 * 1024)
    found.bind((device, EVERYTHING))
    return found


def without_offload(device: str) -> None:
    """Frames are whole on the wire: sums computed, and none longer than others take."""
    value = ctypes.create_string_buffer(struct.pack("=II", CHECKSUMS, 0))
    request = struct.pack("16sP", device.encode(), ctypes.addressof(value))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, SIOCETHTOOL, request)


class _Thread:
    """Works until `stop`."""

    def __init__(self, name: str, sockets: Sequence[socket.socket]) -> None:
        self.sockets = list(sockets)
        self._ending = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._ending = True
        self._thread.join()
        for each in self.sockets:
            each.close()

    def _run(self) -> None:
        while not self._ending:
            self._turn()

    def _turn(self) -> None:
        raise NotImplementedError


class Relay(_Thread):
    """Between two raw sockets. `delay_s` each way; of every frame, `loss` is the chance to be lost,
    drawn from `seed`.
    """

    def __init__(self, one: socket.socket, other: socket.socket) -> None:
        super().__init__("relay", (one, other))
        self._other = {one: other, other: one}
        self._due: list[tuple[float, int, socket.socket, bytes]] = []
        self._count = 0
        self._random = Random(0)
        self.delay_s = 0.0
        self.loss = 0.0
        self.lost = 0
        self.seen = bytearray()

    def slow(self, *, delay_s: float = 0.0, loss: float = 0.0, seed: int = 0) -> None:
        self._random = Random(seed)
        self.delay_s, self.loss, self.lost = delay_s, loss, 0

    def _turn(self) -> None:
        wait = max(0.0, self._due[0][0] - time.monotonic()) if self._due else QUIET_S
        for ready in select.select(self.sockets, [], [], min(wait, QUIET_S))[0]:
            frame, where = ready.recvfrom(FRAME_MAX)
            if where[2] != PACKET_OUTGOING:
                self._take(ready, frame)
        while self._due and self._due[0][0] <= time.monotonic():
            _, _, target, frame = heapq.heappop(self._due)
            with suppress(OSError):
                target.send(frame)

    def _take(self, came: socket.socket, frame: bytes) -> None:
        if self.loss and self._random.random() < self.loss:
            self.lost += 1
            return
        if len(self.seen) < KEPT_MAX:
            self.seen += frame
        self._count += 1
        due = time.monotonic() + self.delay_s
        heapq.heappush(self._due, (due, self._count, self._other[came], frame))


class Tap(_Thread):
    """Keeps the frames of some devices as long as the block lasts."""

    def __init__(self, sockets: Sequence[socket.socket]) -> None:
        super().__init__("tap", sockets)
        self.frames: list[bytes] = []

    def __enter__(self) -> Tap:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _turn(self) -> None:
        for ready in select.select(self.sockets, [], [], QUIET_S)[0]:
            self.frames.append(ready.recv(FRAME_MAX))

    def segments(self) -> Iterator[Segment]:
        """Of TCP over IPv4, so far."""
        return (found for frame in self.frames[:] if (found := segment(frame)) is not None)

    def bytes_between(self, one: str, other: str) -> bytes:
        """What these hosts said to each other by TCP, in the order it was seen, both ways."""
        ends = {one, other}
        return b"".join(s.data for s in self.segments() if {s.source, s.target} == ends)


class Segment:
    __slots__ = ("data", "source", "target", "target_port")

    def __init__(self, source: str, target: str, target_port: int, data: bytes) -> None:
        self.source, self.target, self.target_port, self.data = source, target, target_port, data


def segment(frame: bytes) -> Segment | None:
    """None for what is no TCP over IPv4."""
    if frame[12:14] != b"\x08\x00" or frame[23] != socket.IPPROTO_TCP:
        return None
    ip_end = 14 + (frame[14] & 0xF) * 4
    total = 14 + int.from_bytes(frame[16:18], "big")
    data = ip_end + (frame[ip_end + 12] >> 4) * 4
    port = int.from_bytes(frame[ip_end + 2 : ip_end + 4], "big")
    source, target = (socket.inet_ntoa(frame[at : at + 4]) for at in (26, 30))
    return Segment(source, target, port, frame[data:total])
