"""Whom calls go to: spread over the instances of two zones, kept near, over to other zones in
steps, to the same instance by a hash. Real control planes and Envoys, observed traffic.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from math import comb
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from tests.support.fleet import ALLOW_ALL, App, Fleet, a_mesh
from tests.support.real_envoy import application

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(180),
    pytest.mark.asyncio(loop_scope="module"),
]
CALLS = 1_000
DOUBT = 0.001  # that a fair spread is taken for none
NOWHERE = "127.0.9.9"  # nobody listens there
EAST, WEST, WEST_COUNT = ("e1", "e2"), "west", 3


class World:
    """In east a caller and two instances of `backend` on a node each, the caller on the first's; in
    west three, behind the ingress. Of `shaky` one instance each, and in east another that nobody
    can reach.

    An ingress passes connections on, not requests: which of the west answers is not looked at.
    """

    def __init__(self, fleet: Fleet, applications: dict[str, int]) -> None:
        self.fleet = fleet
        self.applications = applications
        self.at: dict[str, int] = {}

    def start(self, name: str) -> None:
        tags = {"node": name}
        apps = [App("backend", self.applications[name], tags=tags)]
        if name == "e1":
            apps.append(App("shaky", self.applications["s-east"]))
        self.fleet.sidecar(name, "east", *apps)

    async def start_all(self) -> None:
        fleet = self.fleet
        fleet.ingress("gate", "west")
        west = [App("backend", self.applications[WEST])] * WEST_COUNT
        fleet.sidecar("west", "west", *west, App("shaky", self.applications["s-west"]))
        for name in EAST:
            self.start(name)
        lost = App("shaky", self.applications["lost"])
        fleet.sidecar("lost", "east", lost, advertisedAddress=NOWHERE)
        caller = App("web", self.applications["e1"], tags={"node": "e1"})
        self.at = fleet.sidecar("web", "east", caller, to=("backend", "shaky")).calls
        await fleet.all_acked(east=4, west=2)

    async def calls(
        self, count: int, service: str = "backend", headers: Mapping[str, str] | None = None
    ) -> Counter[str]:
        """Who answered, or the status, one call after the other."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.at[service])
        said = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
        found: Counter[str] = Counter()
        try:
            for _ in range(count):
                writer.write(f"GET / HTTP/1.1\r\nhost: test\r\n{said}\r\n".encode())
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                length = int(head.partition("content-length: ")[2].partition("\r\n")[0] or 0)
                body = (await reader.readexactly(length)).decode()
                found[body if head.split()[1] == "200" else head.split()[1]] += 1
        finally:
            writer.close()
        return found

    async def answered_by(self, *wanted: str, service: str = "backend") -> None:
        """Until these answer, all of them and nobody else."""

        async def is_so() -> bool:
            try:
                return set(await self.calls(20, service)) == set(wanted)
            except (OSError, EOFError):
                return False

        await self.fleet.until(f"{wanted} and nobody else", is_so)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        applications = {
            name: await stack.enter_async_context(application(name))
            for name in (*EAST, WEST, "s-east", "s-west", "lost")
        }
        fleet = Fleet(tmp_path_factory.mktemp("lb"), mesh=a_mesh(), allow=ALLOW_ALL)
        made = World(fleet, applications)
        stack.callback(fleet.stop)
        await fleet.start_global()
        await asyncio.gather(*map(fleet.start_zone, fleet.zones))
        await made.start_all()
        await made.answered_by(*EAST, WEST)
        yield made


def strategy(service: str = "backend", **default: Any) -> dict[str, object]:
    to = [{"targetRef": {"kind": "MeshService", "name": service}, "default": default}]
    spec = {"targetRef": {"kind": "Mesh"}, "to": to}
    return {"type": "MeshLoadBalancingStrategy", "mesh": "default", "name": "lb", "spec": spec}


def failover(*steps: Mapping[str, object], threshold: int | None = None) -> dict[str, object]:
    cross: dict[str, object] = {"failover": [{"to": step} for step in steps]}
    if threshold is not None:
        cross["failoverThreshold"] = {"percentage": threshold}
    return {"crossZone": cross}


BY_NODE = {"localZone": {"affinityTags": [{"key": "node"}]}}


def fair(count: int, share: float) -> range:
    """How often something of this share happens in so many calls: two-sided, binomial."""
    odds = [comb(count, k) * share**k * (1 - share) ** (count - k) for k in range(count + 1)]
    least = next(k for k in range(count) if sum(odds[: k + 1]) > DOUBT / 2)
    most = next(k for k in range(count, 0, -1) if sum(odds[k:]) > DOUBT / 2)
    return range(least, most + 1)


async def test_without_locality_every_instance_of_both_zones_is_called_as_often(
    world: World,
) -> None:
    found = await world.calls(CALLS)
    assert set(found) == {*EAST, WEST}
    assert found[WEST] in fair(CALLS, 3 / 5), found
    assert all(found[name] in fair(CALLS, 1 / 5) for name in EAST), found


async def test_a_mesh_that_is_aware_of_locality_calls_its_own_zone(world: World) -> None:
    await world.fleet.commit(mesh=a_mesh(routing={"localityAwareLoadBalancing": True}))
    await world.answered_by(*EAST)
    found = await world.calls(CALLS)
    assert set(found) == set(EAST)
    assert found["e1"] in fair(CALLS, 1 / 2), found
    await world.fleet.commit(mesh=a_mesh())
    await world.answered_by(*EAST, WEST)


async def test_a_policy_keeps_calls_near_and_turns_that_off_for_all(world: World) -> None:
    await world.fleet.commit(lb=strategy(loadBalancer={"type": "Random"}))
    await world.answered_by(*EAST)
    assert (await world.calls(CALLS))["e1"] in fair(CALLS, 1 / 2)
    await world.fleet.commit(lb=strategy(localityAwareness={"disabled": True}))
    await world.answered_by(*EAST, WEST)
    await world.fleet.commit(lb=None)


async def test_callers_prefer_whoever_has_their_tag(world: World) -> None:
    """Nine in ten, and the rest of the zone the tenth."""
    await world.fleet.commit(lb=strategy(localityAwareness=BY_NODE))
    await world.answered_by(*EAST)
    found = await world.calls(CALLS)
    assert set(found) == set(EAST)
    assert found["e1"] in fair(CALLS, 9 / 10), found
    await world.fleet.commit(lb=None)


async def test_a_header_leads_to_the_same_instance(world: World) -> None:
    hashed = [{"type": "Header", "header": {"name": "x-user"}}]
    await world.fleet.commit(lb=strategy(loadBalancer={"type": "RingHash"}, hashPolicies=hashed))
    users = [await world.calls(20, headers={"x-user": f"user-{n}"}) for n in range(20)]
    assert all(len(found) == 1 for found in users), users
    assert {name for found in users for name in found} == set(EAST)
    await world.fleet.commit(lb=None)


async def test_when_a_zone_has_nobody_left_the_policy_says_who_is_called(world: World) -> None:
    """Also by a hash among weighted localities, where nobody would be found without a weight."""
    nowhere, west, everywhere = (
        {"type": "None"},
        {"type": "Only", "zones": ["west"]},
        {"type": "Any"},
    )
    await world.fleet.commit(lb=strategy(localityAwareness=failover(nowhere, everywhere)))
    await world.answered_by(*EAST)
    for name in EAST:
        world.fleet.processes[f"proxy-{name}"].kill_now()
    await world.answered_by("503")
    await world.fleet.commit(lb=strategy(localityAwareness=failover(west)))
    await world.answered_by(WEST)
    weighted = {**BY_NODE, **failover(west)}
    hashed = [{"type": "Header", "header": {"name": "x-user"}}]
    ring = {"type": "RingHash"}
    await world.fleet.commit(
        lb=strategy(localityAwareness=weighted, loadBalancer=ring, hashPolicies=hashed)
    )
    await world.answered_by(WEST)
    for name in EAST:
        world.start(name)
    await world.answered_by(*EAST)
    await world.fleet.commit(lb=None)


async def test_the_threshold_says_when_other_zones_are_called_too(world: World) -> None:
    """One of two is left out, for nobody can reach it: half is healthy."""
    anywhere = {"type": "Any"}
    await world.fleet.commit(lb=strategy("shaky", localityAwareness=failover(anywhere)))
    found = await world.calls(200, "shaky")
    assert set(found) <= {"s-east", "503"}, found
    half = strategy("shaky", localityAwareness=failover(anywhere, threshold=90))
    await world.fleet.commit(lb=half)
    found = await world.calls(CALLS, "shaky")
    share = found["s-west"] / (found["s-east"] + found["s-west"])
    assert 0.3 < share < 0.5, found  # 44 % while it is out
    await world.fleet.commit(lb=None)
