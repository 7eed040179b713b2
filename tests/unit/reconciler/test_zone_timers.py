"""The zone's one timer for all moments that the step asked for."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING

from reconciler.store import Store
from reconciler.zone_cp import ZoneControlPlane
from tests.support.zone import settings

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from reconciler.steps import zone_state as z


async def test_fault_of_ours_at_one_moment_does_not_lose_the_later_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dead proxies would stay registered and certificates run out until a restart."""
    store = Store(tmp_path / "store.sqlite")
    plane = ZoneControlPlane(settings(), store, logging.getLogger("test"))
    ticks = asyncio.Event()
    faults = [ValueError("a bug")]

    def deliver(_event: z.Event) -> None:
        if faults:
            raise faults.pop()
        ticks.set()

    monkeypatch.setattr(plane, "deliver", deliver)
    reported: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
    plane._wake_at(time.time())
    plane._wake_at(time.time() + 0.05)
    async with asyncio.timeout(10):
        await ticks.wait()
    assert [str(context["exception"]) for context in reported] == ["a bug"]
    plane.stop()
    store.close()
