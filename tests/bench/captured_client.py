"""A process full of proxies of captured applications: `python -m tests.bench.captured_client`.

As `fleet_client`; what was heard is told as a table of resources, each once, and who heard which:
a thousand first responses are gigabytes.
"""

from __future__ import annotations

import asyncio
from base64 import b64encode
from typing import TYPE_CHECKING, Any

from tests.bench import fleet_client
from tests.bench.captured_proxy import Captured, Entry
from xds.names import DNS_LISTENER
from xds.resource import CLUSTER, ENDPOINT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping


class Table:
    """Resources, each once, as base64; a resource is its number."""

    def __init__(self) -> None:
        self.entries: list[str] = []
        self._numbers: dict[Entry, int] = {}

    def numbers(self, entries: Iterable[Entry]) -> list[int]:
        return [self._number(entry) for entry in entries]

    def _number(self, entry: Entry) -> int:
        found = self._numbers.get(entry)
        if found is None:
            found = self._numbers[entry] = len(self.entries)
            self.entries.append(b64encode(entry.data).decode())
        return found


class CapturedClients(fleet_client.Fleet):
    kind = Captured

    def expect(self, is_done: Callable[[Any], bool], nodes: set[str] | None = None) -> None:
        for each in self.proxies.values():
            each.proxy.came = {}
        super().expect(is_done, nodes)

    def recorded(self, proxy: Any, data: bytes) -> Any:
        """Type and resources."""
        return proxy.heard

    def record(self, on: bool) -> dict[str, Any]:
        self.recording = on
        table = Table()
        heard = {
            node: [(url, table.numbers(entries.values())) for url, entries in each.heard]
            for node, each in self.proxies.items()
            if each.heard and not on
        }
        for each in self.proxies.values():
            each.heard.clear()
        return {"heard": heard, "entries": table.entries}

    async def command(self, said: dict[str, Any]) -> dict[str, Any]:
        if said["do"] != "holding":
            return await super().command(said)
        table = Table()
        heard = {
            node: [(url, table.numbers(held.values())) for url, held in each.proxy.held.items()]
            for node, each in self.proxies.items()
            if each.connection is not None
        }
        return {"heard": heard, "entries": table.entries}


def _whole(said: Mapping[str, Any]) -> Callable[[Captured], bool]:
    """It is served and knows so many services: endpoints and names of all of them."""
    value = said["value"]
    return lambda p: p.served and len(p.held[ENDPOINT]) >= value and p.names >= value


def _service(said: Mapping[str, Any]) -> Callable[[Captured], bool]:
    """It has the name, a listener, the cluster and endpoints of a service that came."""
    service = said["service"]
    name, listed = f"{service}.mesh".encode(), service.encode()

    def has(p: Captured) -> bool:
        if service not in p.held[ENDPOINT] or p.warming or name not in _dns(p):
            return False
        came = (entry for entry in p.came.values() if entry.name != DNS_LISTENER)
        return any(listed in entry.data for entry in came)

    return has


def _dns(proxy: Captured) -> bytes:
    found = proxy.came.get(DNS_LISTENER)
    return found.data if found is not None else b""


def _endpoints(said: Mapping[str, Any]) -> Callable[[Captured], bool]:
    cluster, value = said["cluster"], said["value"]

    def has(p: Captured) -> bool:
        found = p.held[ENDPOINT].get(cluster)
        return found is not None and found.endpoints == value

    return has


def _policy(said: Mapping[str, Any]) -> Callable[[Captured], bool]:
    """The cluster of one service has a connect timeout."""
    cluster, value = said["cluster"], said["value"]

    def has(p: Captured) -> bool:
        found = p.held[CLUSTER].get(cluster)
        return found is not None and found.timeout_ms == value and cluster not in p.warming

    return has


def _outbound(said: Mapping[str, Any]) -> Callable[[Captured], bool]:
    """Every cluster has it."""
    value = said["value"]

    def has(p: Captured) -> bool:
        return not p.warming and all(
            entry.timeout_ms == value for entry in p.held[CLUSTER].values() if entry.eds
        )

    return has


CapturedClients.conditions = {
    "whole": _whole,
    "service": _service,
    "endpoints": _endpoints,
    "policy": _policy,
    "outbound": _outbound,
}


if __name__ == "__main__":
    asyncio.run(fleet_client.run(CapturedClients))
