"""With `routing.zoneEgress` calls leave a zone through its egresses and not otherwise: real control
planes, real Envoys, observed traffic.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import pytest

from tests.support.fleet import ALLOW_ALL, HOSTS, App, Fleet, a_mesh
from tests.support.outside import outside
from tests.support.real_envoy import application, get

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(150)]

BY_EGRESS = a_mesh(routing={"zoneEgress": True})
CALLS = 20


class Zones(Fleet):
    """East calls, west answers; what west has is behind its ingress."""

    async def start_zones(self) -> None:
        await self.start_global()
        await asyncio.gather(self.start_zone("east"), self.start_zone("west"))

    def connections(self, name: str) -> int:
        """That came in at the port of a zone proxy."""
        found = self.stats(name, r"^listener\..*downstream_cx_total$")
        return sum(value for stat, value in found.items() if "admin" not in stat)

    def lacking(self, zone: str) -> object:
        return self.status(zone).get("without_egress")

    def told(self, zone: str) -> list[str]:
        """Events of its log about egresses."""
        log = (self.folder / "logs" / f"zone-{zone}.log").read_text().splitlines()
        events = [json.loads(line)["event"] for line in log if line.startswith("{")]
        return [event for event in events if event.startswith("egress.")]

    async def answers(self, port: int, *wanted: str) -> None:
        """Until all of these have answered, and nobody else does."""
        seen: set[str] = set()

        async def asked() -> bool:
            status, body = await get(port)
            seen.add(body if status == 200 else str(status))
            return status == 200 and set(wanted) <= seen

        await self.until(f"{wanted}, after {seen}", asked)

    async def answer(self, port: int) -> str:
        try:
            return (await get(port))[1]
        except (OSError, EOFError):
            return "nothing"

    async def answers_in_the_end(self, port: int, wanted: str) -> set[str]:
        """Of many calls, each by a connection of its own, once this was the answer of many."""

        async def alone() -> bool:
            return {await self.answer(port) for _ in range(CALLS)} == {wanted}

        await self.until(wanted, alone)
        return {await self.answer(port) for _ in range(CALLS)}


@pytest.fixture
async def zones(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Zones]:
    """In a folder with a short name: paths of sockets are."""
    made = Zones(tmp_path_factory.mktemp("z"), mesh=BY_EGRESS, allow=ALLOW_ALL)
    try:
        await made.start_zones()
        yield made
    finally:
        made.stop()


async def test_calls_to_another_zone_leave_through_the_egresses_of_the_own_one(
    zones: Zones,
) -> None:
    async with AsyncExitStack() as apps:
        here = await apps.enter_async_context(application("front"))
        there = await apps.enter_async_context(application("from west"))
        ingress = zones.ingress("gate-west", "west")
        zones.sidecar("backend-west", "west", App("backend", there))
        caller = zones.sidecar("front", "east", App("front", here), to=("backend",))
        port = caller.calls["backend"]
        await zones.all_acked(east=1, west=2)
        await zones.until("what is missing", lambda: zones.lacking("east") == ["default"])
        assert (await get(port))[0] == 503  # There is a way, and it is not taken.
        text = await asyncio.to_thread(
            zones.run_once, "status", "--state-dir", str(zones.state("east"))
        )
        assert "mesh default has routing.zoneEgress, and zone east has no egress" in text

        first = zones.egress("out-1", "east")
        await zones.answers(port, "from west")
        assert zones.lacking("east") == []
        second = zones.egress("out-2", "east")
        await zones.until(
            "both egresses",
            lambda: zones.endpoints("front").get("backend", {}).keys() == {first, second},
        )
        for _ in range(CALLS):
            assert await get(port) == (200, "from west")
        assert all(zones.connections(name) > 0 for name in ("out-1", "out-2"))
        assert ingress[0] == HOSTS["west"]
        for name in ("out-1", "out-2"):
            assert set(zones.endpoints(name)["default:backend"]) == {ingress}
        told = {host for found in zones.endpoints("front").values() for host, _ in found}
        assert HOSTS["west"] not in told

        zones.processes.pop("proxy-out-1").kill_now()
        await zones.until(
            "the other one alone",
            lambda: zones.endpoints("front")["backend"].keys() == {second},
        )
        for _ in range(CALLS):
            assert await get(port) == (200, "from west")
        assert zones.lacking("east") == []

        zones.processes.pop("proxy-out-2").kill_now()
        await zones.until("the hole", lambda: zones.lacking("east") == ["default"])
        zones.egress("out-1", "east")  # Started again, it needs nothing from before.
        await zones.answers(port, "from west")
        wanted = ["egress.missing", "egress.found"] * 2
        await zones.until("a line for each", lambda: zones.told("east") == wanted)


async def test_what_one_zone_alone_reaches_is_called_through_its_ingress_and_egress(
    zones: Zones,
) -> None:
    async with AsyncExitStack() as apps:
        there = await apps.enter_async_context(outside("from outside"))
        networking = {"address": f"127.0.0.1:{there.port}"}
        tags = {"kuma.io/service": "pay", "kuma.io/protocol": "http", "kuma.io/zone": "west"}
        await asyncio.to_thread(
            zones.push,
            {
                "pay": {
                    "type": "ExternalService", "mesh": "default", "name": "pay",
                    "tags": tags, "networking": networking,
                }
            },
        )  # fmt: skip
        own, other = zones.egress("out-east", "east"), zones.egress("out-west", "west")
        ingress = zones.ingress("gate-west", "west")
        gateway = {"tags": {"kuma.io/service": "front"}}
        port = zones.sidecar("front", "east", to=("pay",), gateway=gateway).calls["pay"]
        near = zones.sidecar("near", "west", to=("pay",), gateway=gateway).calls["pay"]
        await zones.all_acked(east=2, west=3)
        await zones.answers(port, "from outside")
        await zones.answers(near, "from outside")
        assert zones.endpoints("front")["pay"].keys() == {own}
        assert zones.endpoints("near")["pay"].keys() == {other}
        assert zones.endpoints("out-east")["default:pay"].keys() == {ingress}
        assert zones.endpoints("gate-west")["default:pay"].keys() == {other}
        for name in ("out-east", "gate-west", "out-west"):
            assert zones.connections(name) > 0, name

        zones.processes.pop("proxy-out-west").kill_now()
        await zones.until("no way", lambda: not zones.endpoints("front").get("pay"))
        status, _ = await get(port)
        assert status == 503


class ThreeZones(Zones):
    zones = ("east", "west", "north")


def in_order(*first: str) -> dict[str, object]:
    """These zones one after the other, and no other one."""
    steps = [{"to": {"type": "Only", "zones": [zone]}} for zone in first]
    item = {
        "targetRef": {"kind": "MeshService", "name": "backend"},
        "default": {"localityAwareness": {"crossZone": {"failover": steps}}},
    }
    spec = {"targetRef": {"kind": "Mesh"}, "to": [item]}
    return {"type": "MeshLoadBalancingStrategy", "mesh": "default", "name": "order", "spec": spec}


async def test_an_egress_calls_other_zones_in_the_order_of_a_policy(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    made = ThreeZones(tmp_path_factory.mktemp("z"), mesh=BY_EGRESS, allow=ALLOW_ALL)
    async with AsyncExitStack() as stack:
        stack.callback(made.stop)
        await made.start_global()
        await asyncio.gather(*map(made.start_zone, made.zones))
        for zone in ("west", "north"):
            there = await stack.enter_async_context(application(zone))
            made.ingress(f"gate-{zone}", zone)
            made.sidecar(f"backend-{zone}", zone, App("backend", there, protocol="tcp"))
        made.egress("out", "east")
        gateway = {"tags": {"kuma.io/service": "front"}}
        port = made.sidecar("front", "east", to=("backend",), gateway=gateway).calls["backend"]
        await made.all_acked(east=2, west=2, north=2)
        await made.answers(port, "west", "north")

        for first, second in (("north", "west"), ("west", "north")):
            await made.commit(order=in_order(first, second))
            assert await made.answers_in_the_end(port, first) == {first}
        made.processes.pop("proxy-gate-west").kill_now()
        assert await made.answers_in_the_end(port, "north") == {"north"}
        await made.commit(order=in_order("west"))
        assert await made.answers_in_the_end(port, "nothing") == {"nothing"}
