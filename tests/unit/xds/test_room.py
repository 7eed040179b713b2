"""Room for large responses: what is on its way is bounded, in order, and nobody blocks the rest."""

from __future__ import annotations

import asyncio

import pytest

from xds.room import Place, Room


async def _settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_what_fits_is_let_in_and_the_rest_waits_in_order() -> None:
    room, came = Room(size=100, held_s=60.0), list[str]()
    first = await room.take(60)

    async def take(name: str, size: int) -> Place:
        place = await room.take(size)
        came.append(name)
        return place

    second, third = asyncio.create_task(take("b", 60)), asyncio.create_task(take("c", 10))
    await _settled()
    assert (came, room.taken) == ([], 60)  # The small one does not pass by who came before it.
    first.leave()
    await _settled()
    assert (came, room.taken) == (["b", "c"], 70)
    for task in (second, third):
        (await task).leave()
    assert room.taken == 0


async def test_one_larger_than_all_of_it_has_it_alone() -> None:
    room = Room(size=100, held_s=60.0)
    large = await room.take(1000)
    waiting = asyncio.create_task(room.take(1))
    await _settled()
    assert not waiting.done()
    large.leave()
    (await waiting).leave()
    assert room.taken == 0


async def test_who_takes_nothing_keeps_others_waiting_for_a_while_only() -> None:
    room = Room(size=100, held_s=0.0)
    stuck = await room.take(100)
    async with asyncio.timeout(10):
        (await room.take(100)).leave()
    stuck.leave()  # What was given back is not given back again.
    assert room.taken == 0


@pytest.mark.parametrize("when", ["waiting", "let in"])
async def test_a_stream_that_ends_while_it_waits_leaves_no_hole(when: str) -> None:
    room = Room(size=100, held_s=60.0)
    first = await room.take(100)
    gone, next_ = asyncio.create_task(room.take(100)), asyncio.create_task(room.take(100))
    await _settled()
    if when == "waiting":
        gone.cancel()
        await _settled()
        first.leave()
    else:
        first.leave()  # `gone` is let in, and is cancelled before it runs.
        gone.cancel()
    async with asyncio.timeout(10):
        (await next_).leave()
    assert (room.taken, gone.cancelled(), list(room.waiting)) == (0, True, [])


async def test_a_place_is_left_at_its_end() -> None:
    room = Room(size=100, held_s=60.0)
    with await room.take(70):
        assert room.taken == 70
    assert room.taken == 0
