"""One timer for many moments: each is ticked once it has come, whatever the others do."""

from __future__ import annotations

import asyncio
import time

from reconciler.runtime.timer import FARTHEST_S, Timer


async def test_moments_are_ticked_in_their_order_whatever_order_they_were_asked_in() -> None:
    ticks: list[float] = []
    done = asyncio.Event()

    def tick(now: float) -> None:
        ticks.append(now)
        if now >= last:
            done.set()

    timer = Timer(tick)
    now = time.time()
    first, last = now + 0.02, now + 0.05
    for moment in (last, first, first, last):
        timer.at(moment)
    async with asyncio.timeout(10):
        await done.wait()
    assert len(ticks) == 2
    assert first <= ticks[0]
    assert last <= ticks[1]


async def test_fault_in_a_tick_does_not_stop_the_next() -> None:
    done = asyncio.Event()
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)
    faults = [ValueError("a bug")]

    def tick(_: float) -> None:
        if faults:
            raise faults.pop()
        done.set()

    timer = Timer(tick)
    timer.at(time.time())
    timer.at(time.time() + 0.02)
    async with asyncio.timeout(10):
        await done.wait()


async def test_moment_of_next_year_does_not_overflow_the_loop_and_stops() -> None:
    loop, timer = asyncio.get_running_loop(), Timer(lambda _: None)
    for _ in range(2):
        timer.at(time.time() + 1e12)
        handle = timer._handle
        assert handle is not None
        assert handle.when() <= loop.time() + FARTHEST_S
        timer.stop()
        assert handle.cancelled()
