"""A zone, and the server under it that computes nothing, with proxies that call everything: of
applications whose traffic is captured. One service each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reconciler.dataplane import FEATURES
from reconciler.redirected import FEATURE, Redirected, announced
from tests.bench.fleet import OUTBOUND, Clients, Fleet, encoded_node
from tests.bench.floor_fleet import FloorFleet

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

CLIENT, FLOOR = "tests.bench.captured_client", "tests.bench.captured_floor"
REACHED = 5  # services, where a proxy says which it calls
ONE = """\
type: MeshTimeout
mesh: default
name: bench-policy
spec:
  targetRef: {{kind: Mesh}}
  to:
    - targetRef: {{kind: MeshService, name: svc-0}}
      default: {{connectionTimeout: {value}ms}}
"""
NEAR, FAR = 1, 2  # second byte of addresses: of the fleet, and of who comes beside it


class Table:
    """Resources of several processes in one table: entries, and node -> (type, numbers)."""

    def __init__(self, answers: Sequence[Mapping[str, Any]]) -> None:
        self.entries: list[str] = []
        self.heard: dict[str, list[tuple[str, list[int]]]] = {}
        for answer in answers:
            after = len(self.entries)
            self.entries += answer["entries"]
            for node, heard in answer["heard"].items():
                self.heard[node] = [(url, [after + n for n in numbers]) for url, numbers in heard]

    def of(self, nodes: Collection[str]) -> Table:
        self.heard = {node: heard for node, heard in self.heard.items() if node in nodes}
        return self

    @property
    def sent_mb(self) -> float:
        """Megabytes of resources, to all of them."""
        sizes = [3 * len(entry) / 4 / 1e6 for entry in self.entries]
        return sum(sizes[n] for each in self.heard.values() for _, ns in each for n in ns)


class CapturedClients(Clients):
    def __init__(self) -> None:
        super().__init__(CLIENT)

    async def holding(self) -> Table:
        return Table(await self.all(do="holding"))

    async def table(self) -> Table:
        """What each proxy was sent since `record`."""
        return Table(await self.all(do="record", on=False))


class CapturedFleet(Fleet):
    """`reaches`: each proxy says which five services it calls, the first of them `svc-0`."""

    clients: CapturedClients
    policies = {"outbound": OUTBOUND, "policy": ONE}

    def __init__(
        self, folder: Path, size: int, extra: Sequence[dict[str, Any]], *, reaches: bool
    ) -> None:
        self.reaches = reaches
        super().__init__(folder, size, extra)

    def their_clients(self) -> Clients:
        return CapturedClients()

    def document(self, number: int) -> dict[str, Any]:
        found = newcomer(number, number, NEAR)
        if self.reaches:
            others = ((number * 7 + 31 * k) % (self.size - 1) + 1 for k in range(1, REACHED))
            reached = [f"svc-{service}" for service in (0, *others)]
            found["networking"]["transparentProxying"] = {"reachableServices": reached}
        return found

    def node(self, document: dict[str, Any]) -> bytes:
        told = announced(Redirected())
        return encoded_node(
            document,
            features=(*FEATURES, FEATURE),
            metadata={"transparentProxy": told["dataplaneConfig"]},
            dns_port=told["dnsPort"],
            ipv6=told["ipv6Enabled"],
        )

    @property
    def known(self) -> int:
        """Services that each of them is told of."""
        return REACHED if self.reaches else self.size


def newcomer(number: int, service: int, second: int = FAR) -> dict[str, Any]:
    """A Dataplane without outbounds; the node's metadata tells that its traffic is captured."""
    tags = {"kuma.io/service": f"svc-{service}", "kuma.io/protocol": "http", "version": "v1"}
    return {
        "type": "Dataplane",
        "mesh": "default",
        "name": f"proxy-{number}",
        "networking": {
            "address": f"127.{second}.{number // 250}.{number % 250 + 1}",
            "admin": {"port": 9901},
            "inbound": [{"port": 8080, "servicePort": 8081, "tags": tags}],
        },
    }


class CapturedFloorFleet(FloorFleet):
    """`tables`: "first" is what each proxy held, the others are pushes."""

    def __init__(
        self, folder: Path, tables: Mapping[str, Table], proxies: Sequence[dict[str, str]]
    ) -> None:
        self.tables = tables
        recorded: dict[str, dict[str, Any]] = {name: {} for name in tables}
        super().__init__(folder, recorded, proxies, FLOOR, CapturedClients())

    def told(self, name: str) -> dict[str, Any]:
        table = self.tables[name]
        return {"heard": table.heard, "entries": table.entries}

    def told_first(self) -> dict[str, Any]:
        first = self.tables["first"]
        return {"first": first.heard, "entries": first.entries}

    def those(self, name: str) -> list[str]:
        return list(self.tables[name].heard)
