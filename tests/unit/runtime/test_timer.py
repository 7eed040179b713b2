"""One timer for many moments: each is ticked once it has come, whatever the others do."""

from __future__ import annotations

import asyncio
import math
import time

from hypothesis import given
from hypothesis import strategies as st

from reconciler.runtime.timer import FAR_S, FAR_STEPS, FARTHEST_S, STEP_S, Moments, Timer
from tests.support.step_fleet import step_fleet


async def test_moments_are_ticked_in_their_order_whatever_order_they_were_asked_in() -> None:
    ticks: list[float] = []
    done = asyncio.Event()

    def tick(now: float) -> None:
        ticks.append(now)
        if now >= last:
            done.set()

    timer = Timer(tick)
    now = time.time()
    first, last = now + 0.02, now + 1.0  # a busy machine may wake late, not that late
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


# --- moments close together are one ---

NOW = 1_800_000_000.0
AHEAD = st.floats(0.0, 100.0)


@given(st.lists(st.tuples(AHEAD, st.floats(0.0, 0.2)), max_size=60))
def test_each_is_woken_for_once_it_has_come_and_soon_after(
    asked: list[tuple[float, float]],
) -> None:
    """Beside a list of all that were asked for: none waits over 50 ms longer, none is early."""
    moments, plain, now, first = Moments(), list[tuple[float, float]](), NOW, math.inf
    for ahead, passes in asked:
        moments.add(now + ahead, now)
        plain.append((now + ahead, STEP_S * FAR_STEPS))
        first = min(first, now + ahead)
        now += passes
        came = [each for each in plain if each[0] <= now]
        if moments.take(now):
            assert first <= now, "nothing had come"
            plain = [each for each in plain if each not in came]
        assert all(now <= moment + late + 1e-6 for moment, late in plain)
        assert moments.next is None or moments.next > now
        assert len(moments) or not plain


def test_many_proxies_that_go_one_by_one_are_looked_at_as_often_as_a_clock_would() -> None:
    """300, one a turn; each is deregistered half a minute later, in time."""
    fleet = step_fleet(300, services=100, calls=1, deregister_after_s=30.0, mass_loss_share=1.0)
    began = fleet.now
    for stream in tuple(fleet.envoys):
        fleet.leave(stream)
        fleet.turn()
    going_s = fleet.now - began
    fleet.sleep(28.0)
    assert len(fleet.state.proxies) == 300
    fleet.reset()
    fleet.sleep(3.0)
    assert len(fleet.state.proxies) == 0
    # Every 50 ms while they go, and once more for what is told of it.
    assert going_s < 1.0
    assert len(fleet.costs["Tick"]) <= going_s / 0.05 + 5


def test_what_is_soon_is_hardly_late() -> None:
    moments = Moments()
    moments.add(NOW + 0.1002, NOW)
    assert moments.next is not None
    assert 0.1002 <= moments.next - NOW < 0.1002 + STEP_S + 1e-6
    moments.add(NOW + FAR_S, NOW)
    assert len(moments) == 2


def test_what_is_asked_for_again_and_again_is_kept_once() -> None:
    moments = Moments()
    for _ in range(10_000):
        moments.add(NOW + 30.0, NOW)
    assert len(moments) == 1
