"""This machine, as capture needs it: privileges, programs, and the one address that it adds. Shell.

Raises `Refused` before anything was changed, `Failed` when the kernel said no to what seemed
possible, `TookTooLong` when a program did not end.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import socket
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.capture.rules import LOOPBACK, Family

if TYPE_CHECKING:
    from collections.abc import Sequence

NUMBERS = {"NET_ADMIN": 12, "NET_RAW": 13}  # of the capabilities, include/uapi/linux/capability.h
SEARCHED = ("/usr/sbin", "/sbin", "/usr/bin", "/bin")  # root's programs are not on every PATH
XTABLES_LOCK = "/run/xtables.lock"
NAMES_OF_TABLES = {
    Family.IPV4: Path("/proc/net/ip_tables_names"),
    Family.IPV6: Path("/proc/net/ip6_tables_names"),
}
ADDRESSES_V6 = Path("/proc/net/if_inet6")
ADD_ADDRESS, REMOVE_ADDRESS = 0x8916, 0x8936  # SIOCSIFADDR, SIOCDIFADDR
HOST_V6 = 128


class Refused(Exception):
    """Not possible here, and nothing was changed; the text says what is missing and the cure."""


class Failed(Exception):
    """The kernel or a program refused while the rules were changed; the text says what is left."""


class TookTooLong(Exception):
    """A program did not end in its time; the text names it and what it may have waited for."""


@dataclass(frozen=True, slots=True)
class Done:
    """A program that ended."""

    code: int
    output: str
    error: str

    @property
    def said(self) -> str:
        """On one line, for a message."""
        lines = [line.strip() for line in (self.error or self.output).splitlines() if line.strip()]
        return " / ".join(lines[:3]) or f"it ended with {self.code}"


def call(argv: Sequence[str], timeout_s: float, stdin: str = "") -> Done:
    """Run it in the C locale: some of what it says is recognised."""
    try:
        done = subprocess.run(  # noqa: S603 - a program that `find` found, and options of ours
            argv,
            input=stdin,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=timeout_s,
            env={**os.environ, "LC_ALL": "C"},
        )
    except subprocess.TimeoutExpired:
        raise TookTooLong(f"{argv[0]} did not end within {timeout_s:g} s") from None
    except OSError as error:
        raise Refused(f"{argv[0]} cannot be run: {error.strerror}") from error
    return Done(done.returncode, done.stdout, done.stderr)


def find(*names: str) -> str | None:
    """The first of these programs that there is, by its path."""
    path = os.pathsep.join((os.environ.get("PATH", ""), *SEARCHED))
    for name in names:
        found = shutil.which(name, path=path)
        if found is not None:
            return found
    return None


def lacking(needed: Sequence[str]) -> tuple[str, ...]:
    """Which of these capabilities this process does not have, in this order."""
    effective = 0
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            effective = int(line.split()[1], 16)
    return tuple(name for name in needed if not effective >> NUMBERS[name] & 1)


def unwritable_lock() -> str | None:
    """The lock of iptables-legacy if this user may not write it: its programs would not start."""
    lock = Path(os.environ.get("XTABLES_LOCKFILE") or XTABLES_LOCK)
    place = lock if lock.exists() else lock.parent
    return None if os.access(place, os.W_OK, effective_ids=True) else str(lock)


def legacy_tables(family: Family) -> bool | None:
    """Whether iptables-legacy was ever used in this network; None if this user may not know."""
    try:
        return bool(NAMES_OF_TABLES[family].read_text().strip())
    except FileNotFoundError:
        return False
    except OSError:
        return None


def families_here() -> tuple[Family, ...]:
    """IPv6 is not everywhere: kernels without it, and networks in which it is switched off."""
    return (Family.IPV4, Family.IPV6) if _addresses_v6() else (Family.IPV4,)


def has_source(family: Family) -> bool:
    """Whether the proxy can speak from its address: all of 127.0.0.0/8 is there, `::6` must be
    added.
    """
    return family is Family.IPV4 or _packed(family) in _addresses_v6()


def add_source(family: Family) -> None:
    _change_source(family, ADD_ADDRESS, errno.EEXIST)


def remove_source(family: Family) -> None:
    _change_source(family, REMOVE_ADDRESS, errno.EADDRNOTAVAIL)


def _change_source(family: Family, request: int, done_already: int) -> None:
    """By the call that `ifconfig` uses: an image with rules need not have `ip` as well."""
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as asked:
        data = struct.pack("=16sIi", _packed(family), HOST_V6, socket.if_nametoindex(LOOPBACK))
        try:
            fcntl.ioctl(asked, request, data)
        except OSError as error:
            if error.errno != done_already:
                address = family.proxy_source
                raise Failed(
                    f"{address} on {LOOPBACK}, from which the proxy speaks to its application, "
                    f"cannot be changed: {error.strerror}"
                ) from error


def _packed(family: Family) -> bytes:
    return family.proxy_source.packed


def _addresses_v6() -> frozenset[bytes]:
    with contextlib.suppress(OSError):
        lines = ADDRESSES_V6.read_text().splitlines()
        return frozenset(bytes.fromhex(line.split()[0]) for line in lines)
    return frozenset()
