"""Ways between zones: several ingresses of a zone, the addresses they advertise, and that nothing
else of another zone is ever known to a sidecar. Real Envoys, observed traffic.
"""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from reconciler.demo.ports import free_ports
from reconciler.demo.tap import Tap
from tests.support.fleet import ALLOW_ALL, HOSTS, App, Fleet, a_mesh
from tests.support.real_envoy import answers, application, get

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(150),
    pytest.mark.asyncio(loop_scope="module"),
]
OTHER = "other"  # a mesh with services of the same names
WEST = {"west-1", "west-2"}  # an ingress passes connections on: each leads to one of them
NEWCOMERS = 3
REACHED_MAX_S = 1.0
Place = tuple[str, int]


@dataclass
class World:
    fleet: Fleet
    egress: Place  # of east
    apps: dict[str, int]  # ports of the applications, by what they answer
    relays: dict[str, Tap] = field(default_factory=dict)  # in front of ingresses, by name
    advertised: dict[str, Place] = field(default_factory=dict)  # of every ingress that runs

    def known(self, name: str = "near", service: str = "backend") -> dict[Place, int]:
        return self.fleet.endpoints(name).get(service, {})

    async def sees(self, expected: dict[Place, int]) -> None:
        """East's caller has these endpoints with these weights, beside its own zone's."""

        def away() -> dict[Place, int]:
            return {at: w for at, w in self.known().items() if at[0] != HOSTS["east"]}

        await self.fleet.until(f"{expected} in east", lambda: away() == expected)

    async def ingress(
        self, name: str, *, address: str = "", relay: str = "", at: str = ""
    ) -> Place:
        """`relay`: it advertises a relay of this name, under the host `at`, and not itself."""
        if not relay:
            self.advertised[name] = self.fleet.ingress(name, "west", address=address)
            return self.advertised[name]
        if relay not in self.relays:
            (port,) = free_ports(1)
            self.relays[relay] = Tap(port, ("", 0))
            await self.relays[relay].start()
        tap = self.relays[relay]
        tap.target = self.fleet.ingress(name, "west", advertised=(at, tap.port))
        self.advertised[name] = ("127.0.0.1", tap.port)
        return self.advertised[name]

    def kill(self, name: str) -> None:
        self.fleet.processes[f"proxy-{name}"].kill_now()
        del self.advertised[name]

    async def answers(self, calls: int = 12) -> set[str]:
        """Who answers east's caller. Every call must be answered."""
        port = self.fleet.peers["near"].calls["backend"]
        found = [await get(port) for _ in range(calls)]
        assert all(status == 200 for status, _ in found), found
        return {body for _, body in found}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    fleet = Fleet(
        tmp_path_factory.mktemp("ways") / "f",
        mesh=a_mesh(),
        allow=ALLOW_ALL,
        other=a_mesh(OTHER, routing={"zoneEgress": True}),
        allow_other={**ALLOW_ALL, "mesh": OTHER},
    )
    async with AsyncExitStack() as stack:
        stack.callback(fleet.stop)
        names = ("west-1", "west-2", "east-1", "other-1", "fresh")
        apps = {name: await stack.enter_async_context(application(name)) for name in names}
        await fleet.start_global()
        await asyncio.gather(*map(fleet.start_zone, fleet.zones))
        made = World(fleet, fleet.egress("egress", "east"), apps)
        await made.ingress("w1")
        made.advertised["e1"] = fleet.ingress("e1", "east")
        for name in ("west-1", "west-2"):
            fleet.sidecar(name, "west", App("backend", apps[name]), to=("backend",))
        fleet.sidecar("other-1", "west", App("backend", apps["other-1"]), mesh=OTHER)
        fleet.sidecar("other-near", "east", App("near", 1), to=("backend",), mesh=OTHER)
        fresh = tuple(f"fresh-{number}" for number in range(NEWCOMERS))
        near = App("near", 1)
        fleet.sidecar("near", "east", near, to=("backend", *fresh))
        await fleet.all_acked(east=4, west=4)
        await made.sees({made.advertised["w1"]: 2})
        try:
            yield made
        finally:
            for relay in made.relays.values():
                await relay.stop()


async def test_several_ingresses_of_a_zone_share_its_traffic_and_one_that_dies_is_out(
    world: World,
) -> None:
    """The second is behind a relay: its public address and port are not where it listens. The third
    advertises the same pair and counts no second time.
    """
    first = world.advertised["w1"]
    second = await world.ingress("w2", relay="public", at="127.0.0.1")
    await world.sees({first: 2, second: 2})
    assert await world.answers() <= WEST
    assert world.relays["public"].connections > 0
    assert world.fleet.stats("w1", r"^tcp\.default_backend\.downstream_cx_total$").popitem()[1] > 0
    await world.ingress("w3", relay="public", at="127.0.0.1")
    await world.fleet.all_acked(west=6)
    assert world.known() == {first: 2, second: 2}
    world.kill("w2")  # The third serves its address.
    world.kill("w1")
    await world.sees({second: 2})
    assert await world.answers() <= WEST


@pytest.mark.parametrize(
    ("name", "address", "at"), [("w4", "::1", ""), ("w5", "", "localhost"), ("w6", "", "127.0.0.1")]
)
async def test_an_ingress_is_reached_by_every_kind_of_address(
    world: World, name: str, address: str, at: str
) -> None:
    """IPv6, a DNS name, and IPv4, each as the only way into the zone."""
    before = [each for each in world.advertised if each.startswith("w")]
    place = await world.ingress(name, address=address, relay=name if at else "", at=at)
    for each in before:
        await world.fleet.leaves(each)
        del world.advertised[each]
    await world.sees({place: 2})
    assert await world.answers() <= WEST


async def test_a_new_service_is_reached_from_another_zone_within_a_second_of_its_proxy(
    world: World,
) -> None:
    """From the moment at which the proxy connects to its zone to the first answer in the other."""
    took = []
    for number in range(NEWCOMERS):
        service = f"fresh-{number}"
        world.fleet.sidecar(service, "west", App(service, world.apps["fresh"]))
        await answers(world.fleet.peers["near"].calls[service], "fresh")
        took.append(time.time() - _connected_at(world.fleet, "west", f"default.{service}"))
    assert min(took) < REACHED_MAX_S, took


def _connected_at(fleet: Fleet, zone: str, node: str) -> float:
    """By the zone's log."""
    for line in (fleet.folder / "logs" / f"zone-{zone}.log").read_text().splitlines():
        event = json.loads(line)
        if event.get("event") == "proxy.connected" and event["proxy"] == node:
            return datetime.fromisoformat(event["time"]).timestamp()
    raise AssertionError(f"{node} never connected")


async def test_no_proxy_knows_an_address_of_another_zone_but_an_advertised_ingress(
    world: World,
) -> None:
    """Every endpoint of every Envoy of both zones, in two meshes, while both have the service; an
    ingress itself leads to its own zone alone, and who is to use an egress knows that alone.
    """
    fleet = world.fleet
    fleet.sidecar("east-1", "east", App("backend", world.apps["east-1"]))
    await fleet.until("east's own", lambda: "127.0.1.1" in {at for at, _ in world.known()})
    zones = {"e1": "east", "near": "east", "east-1": "east", "other-near": "east"}
    zones["egress"] = "east"
    zones |= dict.fromkeys(("west-1", "west-2", "other-1"), "west")
    zones |= {name: "west" for name in world.advertised if name.startswith("w")}
    ingresses = {at: "east" if name == "e1" else "west" for name, at in world.advertised.items()}
    looked_at = 0
    for name, zone in zones.items():
        is_ingress = name in world.advertised
        for cluster, places in fleet.endpoints(name).items():
            for at in places:
                looked_at += 1
                own = at[0] in (HOSTS[zone], "127.0.0.1") and at not in ingresses
                away = ingresses.get(at, zone) != zone
                assert own or (away and not is_ingress), (name, cluster, at)
    assert looked_at > 10
    backends = {at for cluster in fleet.endpoints("e1").values() for at in cluster}
    assert fleet.peers["east-1"].inbounds["backend"] in backends
    assert set(fleet.endpoints("other-near")["backend"]) == {world.egress}
    west = set(fleet.endpoints("west-1")["backend"])
    assert world.advertised["e1"] in west
    assert {at for at, _ in west} == {HOSTS["west"], HOSTS["east"]}
    found = await world.answers(30)
    assert "east-1" in found
    assert found & WEST
