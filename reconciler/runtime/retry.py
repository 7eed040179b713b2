"""The one retry policy: tenacity's exponential wait. Steps never sleep, and who waits adds its own
jitter.
"""

from __future__ import annotations

from tenacity import RetryCallState, Retrying, wait_exponential


def backoff_s(attempt: int, *, first_s: float, max_s: float) -> float:
    """Upper end of the wait after this many failures in a row (1 or more), in seconds."""
    state = RetryCallState(Retrying(), None, (), {})
    state.attempt_number = attempt
    return float(wait_exponential(multiplier=first_s, max=max_s)(state))
