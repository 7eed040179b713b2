"""Parts of two zones are lost while a caller in east asks `backend` 200 times a second, with no
policy written. `make bench-failover` prints the same losses as figures (docs/performance.md).
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.support.outages import OUTAGES, calm, local_first, measured, spread
from tests.support.steady import Steady, failed
from tests.support.two_zones import EAST, EVERYONE, TwoZones

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.outages import Outcome

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]
WITHIN_S = 1.0  # 0.1 at most on a quiet machine; Kuma fails calls for 11
SILENT_S = 3.0  # a connection is silent for 1 s, and has 1 s more to answer a ping
WATCHED_S = 2.0
NAMED = {outage.name: outage for outage in OUTAGES}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoZones]:
    """One for all: each test leaves it whole, and begins by waiting until it is."""
    made = TwoZones(tmp_path_factory.mktemp("failover") / "world")
    try:
        asyncio.run(made.start_all())
        yield made
    finally:
        made.stop()


@pytest.fixture
def load(world: TwoZones) -> Iterator[Steady]:
    with Steady(world.outbound) as made:
        yield made


async def lost(world: TwoZones, load: Steady, name: str, watch_s: float = WATCHED_S) -> Outcome:
    outcome = await measured(world, load, replace(NAMED[name], watch_s=watch_s, quiet_s=1.0))
    assert outcome.quiet_failed == 0, outcome
    assert outcome.calls > 100 * watch_s, outcome
    return outcome


def said(world: TwoZones) -> list[str]:
    """What east's control plane tells of other zones' ingresses."""
    lines = (world.folder / "logs" / "zone-east.log").read_text().splitlines()
    events = [json.loads(line)["event"] for line in lines if line.startswith("{")]
    return [event for event in events if event.startswith("ingress.")]


@pytest.mark.parametrize("name", ["leave", "leave_remote"])
async def test_an_instance_that_leaves_fails_no_call(
    world: TwoZones, load: Steady, name: str
) -> None:
    outcome = await lost(world, load, name)
    assert (outcome.failed, outcome.failed_back) == (0, 0), outcome
    assert outcome.settled < WITHIN_S, outcome  # who left is not asked any more


@pytest.mark.parametrize(
    "name",
    ["kill_instance", "kill_remote", "kill_service", "kill_local", "local_first"],
)
async def test_instances_that_are_killed_fail_calls_for_less_than_a_second(
    world: TwoZones, load: Steady, name: str
) -> None:
    outcome = await lost(world, load, name)
    assert outcome.settled < WITHIN_S, outcome
    assert outcome.failed_back == 0, outcome


async def test_an_ingress_that_is_killed_fails_calls_for_less_than_a_second(
    world: TwoZones, load: Steady
) -> None:
    outcome = await lost(world, load, "kill_ingress")
    assert outcome.settled < WITHIN_S, outcome
    assert outcome.failed_back == 0, outcome


async def test_a_zone_of_which_all_is_killed_is_avoided_though_its_endpoints_stay(
    world: TwoZones, load: Steady
) -> None:
    """Nobody is left in it to take them out."""
    outcome = await lost(world, load, "kill_zone", 8.0)
    assert outcome.settled < WITHIN_S, outcome
    assert outcome.failed_back == 0, outcome


@pytest.mark.parametrize("name", ["freeze_instance", "freeze_remote", "freeze_ingress"])
async def test_who_says_nothing_more_is_left_out_before_a_control_plane_knows(
    world: TwoZones, load: Steady, name: str
) -> None:
    told = said(world)
    outcome = await lost(world, load, name, 25.0)
    assert outcome.settled < SILENT_S, outcome
    assert outcome.gap < WITHIN_S, outcome
    # Its own zone takes it out before it answers again.
    expected = ["ingress.silent"] if name == "freeze_ingress" else []
    assert said(world)[len(told) :] == expected


@pytest.mark.parametrize("name", ["kill_own_zone", "kill_other_zone", "kill_global"])
async def test_control_planes_that_are_killed_fail_no_call_and_bring_what_is_new_when_back(
    world: TwoZones, load: Steady, name: str
) -> None:
    outcome = await lost(world, load, name)
    assert (outcome.failed, outcome.failed_back) == (0, 0), outcome
    assert outcome.missing < WITHIN_S, outcome  # nobody was taken out meanwhile
    await local_first(world)
    await calm(world, load, frozenset(EAST))
    await spread(world)
    back = await calm(world, load, EVERYONE)
    assert failed(load.since(back - 2.0)) == []
