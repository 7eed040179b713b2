"""Asks a real Envoy's admin interface what it runs, and waits for something to be seen."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from reconciler.api.client import UnixConnection

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

POLL_S = 0.001
TIMEOUT_S = 20.0


class Admin:
    """Envoy's own word on which connect timeout its cluster `backend` has."""

    def __init__(self, path: Path) -> None:
        self.connection = UnixConnection(path, timeout_s=5)

    def connect_timeout_ms(self) -> int:
        """Of the cluster in use; 0 when there is none."""
        self.connection.request(
            "GET", "/config_dump?resource=dynamic_active_clusters&name_regex=^backend$"
        )
        data = json.loads(self.connection.getresponse().read())
        found = [c["cluster"].get("connect_timeout", "") for c in data.get("configs", ())]
        return round(float(str(found[0]).removesuffix("s")) * 1000) if found else 0


def until(seen: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while not seen():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} not seen within {TIMEOUT_S:.0f} s")
        time.sleep(POLL_S)
