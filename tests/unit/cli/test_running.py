"""A process that is asked to stop is gone within five seconds, whatever hangs in it."""

from __future__ import annotations

import gc
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from reconciler.cli.running import STOP_WITHIN_S, SWITCH_S, run_until_signal
from reconciler.runtime.collector import (
    FULL_LOOK_EVERY,
    MIDDLE_LOOK_EVERY,
    YOUNG_LOOK_EVERY,
)

if TYPE_CHECKING:
    import asyncio

SHORT_S = 0.3  # in place of STOP_WITHIN_S
HANGS = {
    "an await": "await asyncio.Event().wait()",
    "the loop": "time.sleep(60)",
    "a thread": "await asyncio.to_thread(time.sleep, 60)",
}
PROGRAM = """
import asyncio, sys, time
from reconciler.cli import running
from reconciler.runtime.log import configure

async def main(stop):
    print("up", flush=True)
    await stop.wait()
    {hang}

configure(as_json=True)
running.STOP_WITHIN_S = {after}
running.run_until_signal(main)
"""


def started(hang: str, after: float = SHORT_S) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(hang=hang, after=after)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    return process


@pytest.mark.parametrize("what", HANGS)
def test_what_hangs_at_the_end_is_cut_off_and_told(what: str) -> None:
    with started(HANGS[what]) as process:
        process.send_signal(signal.SIGTERM)
        try:
            _, said = process.communicate(timeout=20)
        finally:
            process.kill()
    assert process.returncode == 1
    assert "process.stop_incomplete" in said


def test_a_second_signal_ends_it_at_once() -> None:
    with started(HANGS["an await"], after=60) as process:
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
        try:
            _, said = process.communicate(timeout=20)
        finally:
            process.kill()
    assert "a second signal" in said


def test_the_limit_is_below_the_promise() -> None:
    assert STOP_WITHIN_S < 5


def test_a_clean_end_leaves_with_zero() -> None:
    with started("pass") as process:
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=20)
    assert process.returncode == 0, said


def test_a_loop_is_seldom_held_by_the_collector_or_by_a_thread() -> None:
    """A look at a thousand proxies holds the loop for 200 ms."""
    before, switch = gc.get_threshold(), sys.getswitchinterval()
    during: list[tuple[object, ...]] = []

    async def main(_stop: asyncio.Event) -> None:
        during.append((*gc.get_threshold(), sys.getswitchinterval()))

    try:
        run_until_signal(main)
    finally:
        gc.set_threshold(*before)
        sys.setswitchinterval(switch)
    assert during == [(YOUNG_LOOK_EVERY, MIDDLE_LOOK_EVERY, FULL_LOOK_EVERY, SWITCH_S)]
