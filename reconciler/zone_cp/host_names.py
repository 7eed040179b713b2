"""Looks up the host names that proxies have where Envoy takes addresses only."""

from __future__ import annotations

import asyncio
import socket
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from reconciler.model.proxy_rules import is_ip
from reconciler.model.spec import DataplaneSpec, ZoneIngressSpec, ZoneProxySpec
from reconciler.steps import zone_state as z

if TYPE_CHECKING:
    from reconciler.zone_cp.plane import ZoneControlPlane

RESOLVE_INTERVAL_S = 10.0
PROXIES = ("Dataplane", "ZoneIngress", "ZoneEgress")


class HostNames:
    def __init__(self, plane: ZoneControlPlane, interval_s: float = RESOLVE_INTERVAL_S) -> None:
        self.plane = plane
        self.interval_s = interval_s

    async def resolve_forever(self) -> None:
        """A fault of ours costs one look, not all later ones."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self.interval_s)
            try:
                await self.resolve()
            except Exception as error:
                loop.call_exception_handler(
                    {"message": "host names could not be looked up", "exception": error}
                )

    async def resolve(self) -> None:
        """Look every name up; one that does not resolve keeps its last address."""
        known, names = self.plane.state.resolved, self._host_names()
        found = {name: known[name] for name in names if name in known}
        for name in names:
            with suppress(OSError, UnicodeError):  # The second: what no name can be.
                found[name] = await _resolved(name)
            # Each at once: the next one may be slow to answer.
            self.plane.deliver(z.Resolved(dict(found), time.time()))

    def _host_names(self) -> list[str]:
        """Those of other zones' ingresses, then those of this zone's proxies."""
        there = [r.spec for r in self.plane.state.relayed.of("ZoneIngress")]
        here = [r.spec for type_ in PROXIES for r in self.plane.state.local.of(type_)]
        hosts = [s.advertised_address for s in there if isinstance(s, ZoneIngressSpec)]
        hosts += [s.address for s in here if isinstance(s, DataplaneSpec | ZoneProxySpec)]
        hosts += [s.advertised_address for s in here if isinstance(s, DataplaneSpec)]
        return [host for host in dict.fromkeys(hosts) if host and not is_ip(host)]


async def _resolved(name: str) -> str:
    """Of several addresses the first in text order, so that every zone chooses alike."""
    found = await asyncio.get_running_loop().getaddrinfo(name, None, type=socket.SOCK_STREAM)
    return min(str(info[4][0]) for info in found)
