"""Programs that everybody has, asked from a network of a test: curl, dig, a line of text by TCP."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.support import grpc_app

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.support.namespaces import Namespace

PATIENCE_S = 5
USER = 1000  # of applications: neither root nor the proxy's


@dataclass(frozen=True, slots=True)
class Page:
    """`status` 0: no answer, and `error` is what curl said."""

    status: int
    body: Mapping[str, object] = field(default_factory=dict)
    error: str = ""

    @property
    def says(self) -> str:
        return str(self.body.get("says", ""))

    @property
    def caller(self) -> str:
        return str(self.body.get("caller", ""))

    @property
    def headers(self) -> Mapping[str, str]:
        found = self.body.get("headers")
        return found if isinstance(found, dict) else {}


def page(where: Namespace, url: str, *options: str) -> Page:
    """What plain curl gets."""
    done = where.run(
        "curl", "--silent", "--show-error", "--globoff", "--max-time", str(PATIENCE_S),
        "--write-out", "\n%{http_code}", *options, url, uid=USER,
    )  # fmt: skip
    text, _, status = done.stdout.rpartition("\n")
    try:
        body = json.loads(text)
    except ValueError:
        body = {"text": text}
    return Page(int(status or 0), body, done.stderr.strip())


def pages(where: Namespace, url: str, count: int) -> list[Page]:
    return [page(where, url) for _ in range(count)]


LINE = """
import socket, sys
host, port, line = sys.argv[1:]
with socket.create_connection((host, int(port)), timeout=5) as sock:
    sock.sendall(line.encode() + b"\\n")
    with sock.makefile() as answers:
        print(answers.readline().strip())
"""


def said(where: Namespace, host: str, port: int, line: str) -> str:
    """What answers to a line by TCP. Raises OSError, also when it is closed without an answer.

    A process of its own: only such a one has the name servers of its network.
    """
    done = where.run(sys.executable, "-c", LINE, host, str(port), line)
    answer = done.stdout.strip()
    if done.returncode != 0 or not answer:
        raise ConnectionError(done.stderr.strip().rpartition("\n")[2] or "closed without an answer")
    return answer


def told(where: Namespace, target: str, text: str) -> str:
    """What answers by gRPC. Raises OSError."""
    done = where.run(sys.executable, grpc_app.__file__, "call", target, text)
    if done.returncode != 0:
        raise ConnectionError(done.stderr.strip())
    return done.stdout.strip()


@dataclass(frozen=True, slots=True)
class Dug:
    """`status`: NOERROR, NXDOMAIN, and so on; "" when nobody answered. `ttl`: of the first."""

    status: str
    addresses: tuple[str, ...] = ()
    ttl: int = 0


def dig(where: Namespace, name: str, kind: str = "A", *options: str) -> Dug:
    done = where.run("dig", "+time=2", "+tries=1", *options, name, kind, uid=USER)
    status = re.search(r"status: (\w+)", done.stdout)
    rows = re.findall(rf"^\S+\s+(\d+)\s+IN\s+{kind}\s+(\S+)$", done.stdout, re.MULTILINE)
    ttl = int(rows[0][0]) if rows else 0
    return Dug(status[1] if status else "", tuple(sorted(row[1] for row in rows)), ttl)
