"""The one retry policy: again until it works, later and later, only for what it is meant for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.runtime.retry import backoff_s, forever

if TYPE_CHECKING:
    from tenacity import RetryCallState


async def test_retried_until_it_succeeds_and_each_wait_is_reported() -> None:
    waits: list[float] = []
    tries = 0

    def before_sleep(state: RetryCallState) -> None:
        waits.append(state.upcoming_sleep)

    async for attempt in forever(OSError, first_s=0.001, max_s=0.002, before_sleep=before_sleep):
        with attempt:
            tries += 1
            if tries < 6:
                raise ConnectionRefusedError
    assert tries == 6
    assert len(waits) == 5
    assert all(0 <= wait <= 0.002 for wait in waits)


async def test_other_errors_pass_at_once() -> None:
    tries = 0

    async def looking() -> None:
        nonlocal tries
        async for attempt in forever(OSError, first_s=1, max_s=1, before_sleep=lambda _: None):
            with attempt:
                tries += 1
                raise KeyError

    with pytest.raises(KeyError):
        await looking()
    assert tries == 1


@given(st.integers(1, 10_000), st.floats(0.001, 10), st.floats(10, 1000))
def test_backoff_doubles_up_to_its_end(attempt: int, first_s: float, max_s: float) -> None:
    wait = backoff_s(attempt, first_s=first_s, max_s=max_s)
    assert first_s <= wait <= max_s
    assert wait <= backoff_s(attempt + 1, first_s=first_s, max_s=max_s)
