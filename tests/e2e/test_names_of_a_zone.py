"""From services that come and go to what an application hears of their names: control planes, an
agent and its Envoy as they are run, without the rules that redirect.
"""

from __future__ import annotations

import asyncio
import time
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING

import pytest

from tests.support.dns import AAAA, HTTPS, NOERROR, A, ask
from tests.support.fleet import App, Fleet
from tests.support.real_envoy import free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.support.dns import Answer

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]
POOL = ip_network("240.0.0.0/4")
WITHIN_S = 1.0


class Captured(Fleet):
    """Its proxy `web` is told that its host redirects traffic."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.dns, *others = [free_port() for _ in range(4)]
        ways = ("--redirect-outbound-port", "--redirect-inbound-port", "--envoy-dns-port")
        self.told = ["--transparent-proxy", "--redirect-dns-port", str(self.dns)]
        for way, port in zip(ways, others, strict=True):
            self.told += [way, str(port)]

    def placed(self, role: str, arguments: list[str]) -> list[str]:
        is_web = "dataplane" in arguments and any(each.endswith("/web") for each in arguments)
        return super().placed(role, [*arguments, *(self.told if is_web else ())])

    async def heard(self, name: str, kind: int = A) -> Answer | None:
        """None while nobody answers."""
        try:
            return await ask(self.dns, name, kind, timeout_s=3)
        except (OSError, TimeoutError):
            return None

    async def knows(self, name: str) -> str:
        """The address, once there is one."""

        async def is_so() -> bool:
            answer = await self.heard(name)
            return answer is not None and bool(answer.found)

        await self.until(f"{name} resolves", is_so)
        answer = await self.heard(name)
        assert answer is not None
        (address,) = answer.addresses
        return address


@pytest.fixture
async def fleet(tmp_path: Path) -> AsyncIterator[Captured]:
    made = Captured(tmp_path / "world")
    try:
        await made.start_global()
        await made.start_zone("east")
        made.sidecar("backend-1", "east", App("backend", 1))
        made.sidecar("web", "east", App("web", 2))
        await made.all_acked(east=2)
        yield made
    finally:
        await asyncio.to_thread(made.stop)


async def test_a_service_is_heard_of_by_name_as_soon_as_it_is_there(fleet: Captured) -> None:
    """A second one is known within a second of its proxy; the first keeps its address."""
    backend = await fleet.knows("backend.mesh")
    assert ip_address(backend) in POOL
    for name in ("BACKEND.mesh", "backend.mesh"):
        mapped = await fleet.heard(name, AAAA)
        assert mapped is not None
        assert mapped.addresses == [str(ip_address(f"::ffff:{backend}"))]
    other = await fleet.heard("backend.mesh", HTTPS)
    assert other is not None
    assert (other.rcode, other.found) == (NOERROR, ())
    fleet.sidecar("stock-1", "east", App("stock", 3))
    await fleet.all_acked(east=3)
    since = time.monotonic()
    stock = await fleet.knows("stock.mesh")
    assert time.monotonic() - since < WITHIN_S
    assert stock != backend
    assert await fleet.knows("backend.mesh") == backend
