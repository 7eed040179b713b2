"""Remote repositories, spoken to through a child process that is killed when it hangs. Blocking.

A server that never answers, or answers without end, costs a child: the wall-clock limit kills it
and the next call starts a new one. Its memory is limited as well.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from reconciler.git import errors, remote_child
from reconciler.git.errors import Transient
from reconciler.git.frames import LENGTH_BYTES, encode_frame, frame_length
from reconciler.git.transport import LocalTransport

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from reconciler.git.address import Address
    from reconciler.git.errors import GitFailed
    from reconciler.git.transport import Move, Transport

FAULTS = (
    "Transient", "Throttled", "Permanent", "CommitRejected", "RefMoved", "RewriteRefused",
)  # fmt: skip
READ_BYTES = 65536
KILLED_WAIT_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteLimits:
    """`call_s` is wall-clock time of one listing, fetch or push."""

    call_s: float = 60.0
    memory_bytes_max: int = 2 * 1024**3  # address space


class RemoteTransport:
    """One remote repository; one child, started when needed, one call at a time."""

    def __init__(self, address: Address, limits: RemoteLimits) -> None:
        self.address = address
        self.limits = limits
        self._child: subprocess.Popen[bytes] | None = None
        self._calling = threading.Lock()
        self._closed = False

    def list_refs(self, mirror: Path) -> dict[str, str]:
        return cast("dict[str, str]", self._call(mirror, do="list_refs"))

    def fetch(self, mirror: Path, refspecs: Sequence[str]) -> None:
        self._call(mirror, do="fetch", refspecs=list(refspecs))

    def push(self, mirror: Path, moves: Sequence[Move]) -> dict[str, GitFailed]:
        """All in one push; why, for those that did not move. Raises when it is not known."""
        answer = self._call(mirror, do="push", moves=[list(move) for move in moves])
        found = cast("dict[str, tuple[str, str]]", answer)
        return {ref: _fault(kind, message) for ref, (kind, message) in found.items()}

    def close(self) -> None:
        """End the child, also in the middle of a call, which then fails."""
        self._closed = True
        child = self._child
        if child is not None:
            child.kill()
        with self._calling:
            self._end()

    def _call(self, mirror: Path, **request: object) -> object:
        message = request | {
            "mirror": str(mirror),
            "url": self.address.url,
            "token": self.address.token,
            "ssh_key": self.address.ssh_key,
        }
        with self._calling:
            try:
                answer = self._exchange(encode_frame(message))
            except (OSError, ValueError) as error:
                self._end()
                raise Transient(f"{self.address}: {error}") from error
        if "error" in answer:
            raise _fault(str(answer["error"]), str(answer["message"]))
        return answer["result"]

    def _exchange(self, frame: bytes) -> dict[str, object]:
        """Send and wait for the answer. Raises OSError when the child hangs or ends."""
        deadline = time.monotonic() + self.limits.call_s
        child = self._running()
        assert child.stdin is not None
        child.stdin.write(frame)
        child.stdin.flush()
        length = frame_length(self._read(child, LENGTH_BYTES, deadline))
        body = self._read(child, length, deadline)
        return cast("dict[str, object]", json.loads(body))

    def _read(self, child: subprocess.Popen[bytes], count: int, deadline: float) -> bytes:
        assert child.stdout is not None
        pipe = child.stdout.fileno()
        readable = select.poll()  # select() takes no descriptor above 1023: a zone has more
        readable.register(pipe, select.POLLIN)
        received = bytearray()
        while len(received) < count:
            left = deadline - time.monotonic()
            if left <= 0 or not readable.poll(left * 1000):
                raise TimeoutError(
                    f"no answer within {self.limits.call_s:g} s; the server hangs or is too slow, "
                    "raise --git-timeout if it needs longer"
                )
            part = os.read(pipe, min(READ_BYTES, count - len(received)))
            if not part:
                raise ChildProcessError(
                    "the process that speaks to it ended; if the repository is very large, "
                    "raise --git-memory; if the ssh key is an RSA one, use one of ed25519"
                )
            received += part
        return bytes(received)

    def _running(self) -> subprocess.Popen[bytes]:
        if self._closed:
            raise ChildProcessError("closed")
        if self._child is not None and self._child.poll() is not None:
            self._end()
        if self._child is None:
            limits = (str(self.limits.memory_bytes_max), str(self.limits.call_s))
            self._child = subprocess.Popen(  # noqa: S603 - our own program
                [sys.executable, "-m", remote_child.__name__, *limits],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={k: v for k, v in os.environ.items() if not k.startswith("GIT_")},
            )
        return self._child

    def _end(self) -> None:
        child, self._child = self._child, None
        if child is None:
            return
        child.kill()
        with suppress(subprocess.TimeoutExpired):  # it hangs in the kernel, on a disk for example
            child.wait(KILLED_WAIT_S)
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                pipe.close()


def _fault(kind: str, message: str) -> GitFailed:
    made: type[GitFailed] = getattr(errors, kind) if kind in FAULTS else Transient
    return made(message)


def transport_to(address: Address, limits: RemoteLimits) -> Transport:
    """In this process for a path, through a child for a server."""
    if address.path is not None:
        return LocalTransport(address, address.path)
    return RemoteTransport(address, limits)
