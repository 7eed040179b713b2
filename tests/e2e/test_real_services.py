"""MeshServices and MeshMultiZoneServices under traffic: zones make them, proxies call them by
reference, policies name them, and a zone that is lost is left out.
"""

from __future__ import annotations

import asyncio
import http.client
from collections import Counter
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from reconciler.demo.ports import free_ports
from tests.support.applications import served
from tests.support.fleet import ALLOW_ALL, HOSTS, App, Fleet, a_mesh

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(150),
    pytest.mark.asyncio(loop_scope="module"),
]
HEADER = {"name": "x-by", "value": "route"}


def multi_zone(port: int) -> dict[str, object]:
    labels = {"kuma.io/display-name": "backend"}
    spec = {
        "selector": {"meshService": {"matchLabels": labels}},
        "ports": [{"port": port, "appProtocol": "http"}],
    }
    return {"type": "MeshMultiZoneService", "mesh": "default", "name": "all", "spec": spec}


async def answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, name: str) -> None:
    while await reader.readuntil(b"\r\n\r\n"):
        writer.write(f"HTTP/1.1 200 OK\r\ncontent-length: {len(name)}\r\n\r\n{name}".encode())
        await writer.drain()


def called(port: int) -> str:
    """Who answers, or the status."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", "/")
        answer = connection.getresponse()
        body = answer.read().decode()
        return body if answer.status == 200 else str(answer.status)
    finally:
        connection.close()


def header_of(port: int, name: str) -> str | None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", "/")
        return connection.getresponse().getheader(name)
    finally:
        connection.close()


async def who_answers(port: int, count: int = 30) -> Counter[str]:
    return Counter([await asyncio.to_thread(called, port) for _ in range(count)])


class World:
    """In each zone one instance of `backend`, which says its zone's name; a caller in east."""

    def __init__(self, fleet: Fleet, at: int) -> None:
        self.fleet, self.at = fleet, at
        self.ingress = ("", 0)
        self.applications: dict[str, int] = {}
        self.outbounds = dict(zip(("ours", "theirs", "all"), free_ports(3), strict=True))

    def backend(self, zone: str) -> None:
        inbound = {
            "port": self.at, "servicePort": self.applications[zone], "serviceAddress": "127.0.0.1",
            "tags": {"kuma.io/service": "backend", "kuma.io/protocol": "http"},
        }  # fmt: skip
        self.fleet.sidecar(f"backend-{zone}", zone, inbound=[inbound])

    def web(self) -> None:
        theirs = {"kuma.io/display-name": "backend", "kuma.io/zone": "west"}
        refs: dict[str, dict[str, object]] = {
            "ours": {"kind": "MeshService", "name": "backend"},
            "theirs": {"kind": "MeshService", "labels": theirs},
            "all": {"kind": "MeshMultiZoneService", "name": "all"},
        }
        outbounds = [
            {"port": port, "backendRef": {**refs[name], "port": self.at}}
            for name, port in self.outbounds.items()
        ]
        self.fleet.sidecar("web", "east", App("web", 1), outbound=outbounds)

    async def answer(self, outbound: str, expected: str) -> None:
        """Until the outbound is there and leads where it should."""
        port = self.outbounds[outbound]

        async def is_there() -> bool:
            try:
                return await asyncio.to_thread(called, port) == expected
            except OSError:
                return False

        await self.fleet.until(f"{expected} at {outbound}", is_there)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    (at,) = free_ports(1)
    fleet = Fleet(
        tmp_path_factory.mktemp("real"),
        mesh=a_mesh(meshServices={"mode": "Everywhere"}),
        allow=ALLOW_ALL,
        all=multi_zone(at),
    )
    made = World(fleet, at)
    async with AsyncExitStack() as stack:
        stack.callback(fleet.stop)
        for zone in fleet.zones:
            answering = served(partial(answers, name=zone))
            made.applications[zone] = await stack.enter_async_context(answering)
        await fleet.start_global()
        await asyncio.gather(*map(fleet.start_zone, fleet.zones))
        made.ingress = fleet.ingress("ingress", "west")
        made.web()
        for zone in fleet.zones:
            made.backend(zone)
        await made.answer("ours", "east")
        await made.answer("theirs", "west")
        yield made


async def test_each_zones_service_is_called_by_its_own_name(world: World) -> None:
    assert await who_answers(world.outbounds["ours"]) == {"east": 30}
    assert await who_answers(world.outbounds["theirs"]) == {"west": 30}
    held = {at for found in world.fleet.endpoints("web").values() for at in found}
    assert {at for at in held if at[0] == HOSTS["west"]} == {world.ingress}


async def test_one_name_for_all_zones_stays_near_and_fails_over_and_back(world: World) -> None:
    await world.answer("all", "east")
    assert await who_answers(world.outbounds["all"]) == {"east": 30}
    world.fleet.processes["proxy-backend-east"].kill_now()
    await world.answer("all", "west")
    assert await who_answers(world.outbounds["all"]) == {"west": 30}
    world.backend("east")
    await world.answer("all", "east")
    assert await who_answers(world.outbounds["all"]) == {"east": 30}


async def test_a_policy_and_a_route_name_the_resource(world: World) -> None:
    labels = {"kuma.io/display-name": "backend", "kuma.io/zone": "west"}
    backend = {"kind": "MeshMultiZoneService", "name": "all", "port": world.at}
    path = {"path": {"type": "PathPrefix", "value": "/"}}
    headers = {"type": "ResponseHeaderModifier", "responseHeaderModifier": {"set": [HEADER]}}
    rule = {"matches": [path], "default": {"backendRefs": [backend], "filters": [headers]}}
    to = [{"targetRef": {"kind": "MeshService", "labels": labels}, "rules": [rule]}]
    spec = {"targetRef": {"kind": "Mesh"}, "to": to}
    route = {"type": "MeshHTTPRoute", "mesh": "default", "name": "r", "spec": spec}
    await world.fleet.commit(route=route)
    port = world.outbounds["theirs"]
    assert await asyncio.to_thread(header_of, port, str(HEADER["name"])) == HEADER["value"]
    await world.fleet.commit(route=None)


async def test_where_calls_leave_by_an_egress_the_other_zone_is_reached_by_it_alone(
    world: World,
) -> None:
    fleet = world.fleet
    egress = fleet.egress("egress", "east")
    leaving = a_mesh(meshServices={"mode": "Everywhere"}, routing={"zoneEgress": True})
    await fleet.commit(mesh=leaving)
    name = f"default_backend__west_msvc_{world.at}"
    await fleet.until(
        "the egress as the way", lambda: set(fleet.endpoints("web")[name]) == {egress}
    )
    assert await who_answers(world.outbounds["theirs"]) == {"west": 30}
    assert HOSTS["west"] not in {at[0] for each in fleet.endpoints("web").values() for at in each}
    passed = fleet.stats("egress", f"cluster.{name}.upstream_cx_total")
    assert sum(passed.values()) > 0
