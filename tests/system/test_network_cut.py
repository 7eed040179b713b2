"""The network between two zones vanishes, in network namespaces: no connection is reset, no address
is unreachable, packets just do not arrive. Needs root.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from tests.support.networks import ZonesApart, networks
from tests.support.outages import calm
from tests.support.steady import Steady, failed, gap, versions
from tests.support.two_zones import EAST, EVERYONE, WEST

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.two_zones import TwoZones

pytestmark = [pytest.mark.system, pytest.mark.timeout(240)]
SETTLED_S = 3.0  # a connection that is silent for 1 s is asked, and given up after one more
WATCHED_S = 28.0  # who is out would be tried again after 20 s, if nobody knew
BACK_S = 5.0  # its ingress is asked once a second
NOTICED_S = 40.0  # a keep-alive of 15 s and as long for its answer, twice at the most


async def test_a_zone_that_is_cut_off_is_avoided_and_keeps_its_endpoints(tmp_path: Path) -> None:
    with networks() as net:
        world = ZonesApart(tmp_path / "world", net)
        try:
            await world.start_all()
            with Steady(world.outbound, namespace=net.file("east")) as load:
                await calm(world, load, EVERYONE)
                cut = time.monotonic()
                net.unplug("west")
                await asyncio.sleep(WATCHED_S)
                await the_other_zone_is_avoided(load, cut)

                # Its ingress is there again, and still nobody can tell the global so.
                net.plug("west")
                net.apart("west", "global")
                await answered_by(load, frozenset(WEST), BACK_S)
                back = time.monotonic()
                await world.until("west away", lambda: connected(world) == {"east"}, NOTICED_S)
                at = time.monotonic()
                await asyncio.sleep(1.0)
                assert versions(load.since(at)) & {*WEST}

                net.apart()
                await world.until("both zones", lambda: connected(world) == {"east", "west"})
                await calm(world, load, EVERYONE)
                assert failed(load.since(back)) == []
        finally:
            await asyncio.to_thread(world.stop)


async def the_other_zone_is_avoided(load: Steady, cut: float) -> None:
    until = time.monotonic()
    await load.came_to_something(until)
    calls = load.between(cut, until)
    assert gap(calls, cut, until) < 1.0  # The own zone answers all the while.
    lost = [call.started - cut for call in failed(calls)]
    assert max(lost, default=0.0) < SETTLED_S, lost[-1]
    assert versions(load.between(cut + SETTLED_S, until)) == {*EAST}


async def answered_by(load: Steady, some: frozenset[str], within_s: float) -> None:
    since = time.monotonic()
    while not versions(load.since(since)) & some:
        assert time.monotonic() < since + within_s
        await asyncio.sleep(0.05)


def connected(world: TwoZones) -> set[object]:
    """As the global shows it."""
    zones = world.inventory().get("zones")
    return {z["zone"] for z in zones if z["connected"]} if isinstance(zones, list) else set()
