"""The one retry policy."""

from __future__ import annotations

from reconciler.runtime.retry import backoff_s


def test_waits_double_up_to_their_limit() -> None:
    waits = [backoff_s(attempt, first_s=0.5, max_s=15.0) for attempt in range(1, 8)]
    assert waits == [0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 15.0]


def test_the_wait_after_a_year_of_failures_is_the_limit() -> None:
    assert backoff_s(1_000_000, first_s=1.0, max_s=300.0) == 300.0
