"""What waits for the loop, by its turns. The clock is the work itself: nothing here takes time."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from functools import partial

import pytest

from xds.turns import PIECES_A_TURN, TURN_S, Turns


@dataclass(slots=True)
class Desk:
    now: float = 0.0
    done: list[int] = field(default_factory=list)
    turns: Turns = field(init=False)

    def __post_init__(self) -> None:
        self.turns = Turns(clock=lambda: self.now)

    def work(self, number: int, seconds: float) -> None:
        self.now += seconds
        self.done.append(number)

    async def waits(self, number: int, seconds: float) -> None:
        await self.turns.wait()
        self.work(number, seconds)

    async def until(self, everything: int) -> list[list[int]]:
        """What was done in each turn of the loop in which something was."""
        found: list[list[int]] = []
        before = 0
        async with asyncio.timeout(5):
            while before < everything:
                await asyncio.sleep(0)
                found += [self.done[before:]] if len(self.done) > before else []
                before = len(self.done)
        return found


async def test_a_turn_takes_no_more_once_its_time_is_used() -> None:
    desk = Desk()
    tasks = [asyncio.create_task(desk.waits(number, TURN_S / 4)) for number in range(50)]
    found = await desk.until(50)
    assert {len(part) for part in found[:-1]} == {4}
    assert desk.done == list(range(50))
    await asyncio.gather(*tasks)


async def test_what_costs_nothing_is_taken_by_number() -> None:
    desk = Desk()
    tasks = [asyncio.create_task(desk.waits(number, 0)) for number in range(100)]
    found = await desk.until(100)
    assert max(map(len, found)) == PIECES_A_TURN
    assert len(found) == -(-100 // PIECES_A_TURN)  # no turn is left out either
    assert desk.done == list(range(100))
    await asyncio.gather(*tasks)


async def test_a_piece_that_is_over_the_time_has_a_turn_of_its_own() -> None:
    desk = Desk()
    tasks = [asyncio.create_task(desk.waits(number, 2 * TURN_S)) for number in range(5)]
    assert await desk.until(5) == [[0], [1], [2], [3], [4]]
    await asyncio.gather(*tasks)


async def test_calls_and_messages_share_one_queue() -> None:
    """A certificate takes 0.6 ms: those of a thousand proxies are asked for in one turn."""
    desk = Desk()
    tasks = []
    for number in range(0, 40, 2):
        desk.turns.soon(partial(desk.work, number, TURN_S / 2))
        tasks.append(asyncio.create_task(desk.waits(number + 1, TURN_S / 2)))
    assert desk.done == [], "not while it is asked for"
    found = await desk.until(40)
    assert {len(part) for part in found[:-1]} == {2}
    calls = [number for number in desk.done if number % 2 == 0]
    assert calls == sorted(calls)
    assert sorted(desk.done) == list(range(40))
    await asyncio.gather(*tasks)


async def test_one_that_ends_while_it_waits_takes_nobodys_place() -> None:
    desk = Desk()
    tasks = [asyncio.create_task(desk.waits(number, TURN_S / 2)) for number in range(30)]
    await asyncio.sleep(0)
    for task in tasks[2:20]:
        task.cancel()
    await desk.until(12)
    assert desk.done == [0, 1, *range(20, 30)]
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_call_that_fails_is_told_and_holds_up_nobody() -> None:
    seen: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, c: seen.append(c["exception"]))
    desk, fault = Desk(), KeyError("a bug")

    def fail() -> None:
        raise fault

    desk.turns.soon(fail)
    desk.turns.soon(partial(desk.work, 1, 0))
    await desk.until(1)
    assert seen == [fault]


@pytest.mark.parametrize("seconds", [0, TURN_S / 3])
async def test_an_idle_loop_has_nothing_on_its_way(seconds: float) -> None:
    desk = Desk()
    await asyncio.gather(*(desk.waits(number, seconds) for number in range(20)))
    for _ in range(3):
        await asyncio.sleep(0)
    assert not desk.turns._asked
    assert not desk.turns._called
