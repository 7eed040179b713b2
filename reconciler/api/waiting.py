"""Waits for an outcome that a control plane's events bring about."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

from reconciler.arrival import Outcome

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

POLL_S = 1.0  # beside the event, so that a missed one costs a second at most


class Changing(Protocol):
    """`changed` is set, and replaced, whenever something happened."""

    changed: asyncio.Event


async def wait_for(
    source: Changing, outcome: Callable[[], Outcome], timeout_s: float
) -> dict[str, object]:
    """Until it is known, or the time is over."""

    async def known() -> Outcome:
        return outcome()

    return await wait_until(source, known, timeout_s)


async def wait_until(
    source: Changing, outcome: Callable[[], Awaitable[Outcome]], timeout_s: float
) -> dict[str, object]:
    """The same, where it takes a look elsewhere to know."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout_s
    while True:
        changed = source.changed
        found = await outcome()
        if found.outcome != "pending":
            return found.document()
        left = deadline - loop.time()
        if left <= 0:
            return Outcome("timeout", found.message, found.details).document()
        with suppress(TimeoutError):
            async with asyncio.timeout(min(left, POLL_S)):
                await changed.wait()
