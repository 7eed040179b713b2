"""The clean end of one Envoy: nobody calls it any more before it goes.

The zone is told first; it takes the proxy's endpoints out and answers once the neighbours know.
Then Envoy fails its health check, by which it winds up the connections it has, and ends when no
request is under way, at the latest after the drain time. Without the zone's answer, what it sees
over HDS has to do.
"""

from __future__ import annotations

import http.client
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.api.client import UnixConnection
from xds.bootstrap import admin_socket

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

LEAVE_TIMEOUT_S = 4.0  # the zone itself answers within 3
ADMIN_TIMEOUT_S = 2.0
QUIET_S = 1.0  # without a request under way; other zones hear of it through two control planes
LOOK_S = 0.1
STATS_MAX = 16 * 1024 * 1024
ACTIVE = "/stats?filter=downstream_(rq|cx)_active"


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaving:
    """`zone` is a connection to its bootstrap port, not opened yet; `request` names the proxy and
    shows its token.
    """

    zone: http.client.HTTPConnection
    request: Mapping[str, object]
    workdir: Path
    drain_s: float


def drain(leaving: Leaving, report: Callable[[str], None]) -> None:
    """Returns when Envoy may be ended."""
    told = _tell_zone(leaving, report)
    socket = Path(admin_socket(str(leaving.workdir)))
    failing = _admin(socket, "POST", "/healthcheck/fail") is not None
    if not told and not failing:
        return  # Nobody would learn of it, however long it waited.
    deadline = time.monotonic() + leaving.drain_s
    quiet = time.monotonic()
    while (now := time.monotonic()) < deadline:
        stats = _admin(socket, "GET", ACTIVE)
        if stats is None:
            return  # It has ended by itself.
        if under_way(stats):
            quiet = now
        elif now - quiet >= QUIET_S:
            return
        time.sleep(LOOK_S)


def _tell_zone(leaving: Leaving, report: Callable[[str], None]) -> bool:
    connection = leaving.zone
    connection.timeout = LEAVE_TIMEOUT_S
    try:
        body = json.dumps(leaving.request)
        connection.request("POST", "/leave", body, {"content-type": "application/json"})
        response = connection.getresponse()
        text = response.read(4096).decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        report(f"leaving without the zone, which does not answer: {error}")
        return False
    finally:
        connection.close()
    if response.status != 200:
        report(f"the zone refused to take this proxy out ({response.status}): {text}")
    return response.status == 200


def _admin(socket: Path, method: str, target: str) -> str | None:
    """The answer's body; None when Envoy's admin interface gives none."""
    connection = UnixConnection(socket, ADMIN_TIMEOUT_S)
    try:
        connection.request(method, target)
        response = connection.getresponse()
        body = response.read(STATS_MAX)
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
    return body.decode(errors="replace") if response.status == 200 else None


def under_way(stats: str) -> int:
    """Requests and TCP connections that Envoy serves, its own admin interface's aside."""
    found = 0
    for line in stats.splitlines():
        name, _, value = line.partition(": ")
        kind = name.partition(".")[0]
        wanted = "downstream_rq_active" if kind == "http" else "downstream_cx_active"
        counted = kind in ("http", "tcp") and not name.startswith("http.admin.")
        if counted and name.endswith(wanted) and value.isdecimal():
            found += int(value)
    return found
