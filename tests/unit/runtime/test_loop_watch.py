"""A loop that is held is found out, whenever it is held; one that waits is not accused."""

from __future__ import annotations

import asyncio
import time

import pytest

from reconciler.runtime.loop_watch import LoopWatch


@pytest.mark.parametrize("calm_ms", [0, 7, 23, 41])
async def test_stall_is_measured_whole_whenever_it_comes(calm_ms: int) -> None:
    watch = LoopWatch()
    watch.start()
    await asyncio.sleep(calm_ms / 1000)
    asyncio.get_running_loop().call_soon(time.sleep, 0.03)
    await asyncio.sleep(0.01)
    watch.stop()
    assert watch.longest_ms >= 30
    assert watch.stalls >= 1


async def test_waiting_is_no_stall() -> None:
    watch = LoopWatch()
    watch.start()
    await asyncio.sleep(0.2)
    watch.stop()
    assert watch.longest_ms < 150


async def test_after_stop_nothing_is_measured_and_the_loop_is_as_before() -> None:
    loop = asyncio.get_running_loop()
    before = loop._selector.select  # type: ignore[attr-defined]
    watch = LoopWatch()
    watch.start()
    watch.start()
    watch.stop()
    watch.stop()
    assert loop._selector.select == before  # type: ignore[attr-defined]
    found = watch.longest_ms
    loop.call_soon(time.sleep, 0.02)
    await asyncio.sleep(0.001)
    assert watch.longest_ms == found
