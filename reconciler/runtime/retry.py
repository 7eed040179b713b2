"""The one retry policy: exponential with jitter, by tenacity. Steps never sleep; only shells use
this.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_random_exponential

if TYPE_CHECKING:
    from collections.abc import Callable


def forever(
    on: type[BaseException] | tuple[type[BaseException], ...],
    *,
    first_s: float,
    max_s: float,
    before_sleep: Callable[[RetryCallState], None],
) -> AsyncRetrying:
    """`async for attempt in forever(...)`: again until it succeeds, between 0 and an exponentially
    growing wait.
    """
    return AsyncRetrying(
        retry=retry_if_exception_type(on),
        wait=wait_random_exponential(multiplier=first_s, max=max_s),
        before_sleep=before_sleep,
        reraise=True,
    )


def backoff_s(attempt: int, *, first_s: float, max_s: float) -> float:
    """Upper end of the wait after this many failures in a row (1 or more)."""
    return float(min(max_s, first_s * 2 ** min(attempt - 1, 30)))
