"""Proxies may have host names where Envoy takes addresses only: the zone looks them up."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from reconciler.offline import rendered
from reconciler.state import from_resources
from reconciler.store import Store
from reconciler.zone_cp.host_names import HostNames
from reconciler.zone_cp.plane import ZoneControlPlane
from tests.support.mesh import a_dataplane, a_mesh, an_inbound, an_ingress, offers
from tests.support.zone import settings

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


async def test_zone_looks_up_its_own_proxies_and_the_ingresses_of_others(tmp_path: Path) -> None:
    """A name that nobody knows costs itself its address, and nobody else."""
    store = Store(tmp_path / "store.sqlite")
    plane = ZoneControlPlane(settings(), store, logging.getLogger("test"))
    here = a_dataplane("web", an_inbound("web", address="localhost"))
    lost = a_dataplane("lost", an_inbound("lost", address="no-such-host.invalid"))
    none = a_dataplane("none", an_inbound("none", address=f"{'a' * 64}.example"))
    there = an_ingress("west", offers("backend", zone="west"), address="LOCALHOST")
    plane.state = replace(
        plane.state, local=from_resources((none, here, lost)), relayed=from_resources((there,))
    )
    await HostNames(plane).resolve()
    assert dict(plane.state.resolved) == {"localhost": "127.0.0.1", "LOCALHOST": "127.0.0.1"}
    plane.stop()
    store.close()


async def test_a_fault_of_ours_costs_one_look_and_not_all_later_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path / "store.sqlite")
    plane = ZoneControlPlane(settings(), store, logging.getLogger("test"))
    names, again, looks, told = HostNames(plane, interval_s=0.0), asyncio.Event(), 0, []

    async def faulty() -> None:
        nonlocal looks
        looks += 1
        if looks > 1:
            again.set()
        raise ValueError("ours")

    monkeypatch.setattr(names, "resolve", faulty)
    asyncio.get_running_loop().set_exception_handler(lambda _, found: told.append(found))
    looking = asyncio.create_task(names.resolve_forever())
    async with asyncio.timeout(10):
        await again.wait()
    looking.cancel()
    assert isinstance(told[0]["exception"], ValueError)
    plane.stop()
    store.close()


async def test_a_new_name_is_looked_up_at_once_and_one_that_is_nowhere_only_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path / "store.sqlite")
    plane = ZoneControlPlane(settings(), store, logging.getLogger("test"))
    asked: asyncio.Queue[str] = asyncio.Queue()

    async def address(name: str) -> str:
        asked.put_nowait(name)
        if name == "nowhere":
            raise OSError
        return "192.0.2.1"

    monkeypatch.setattr("reconciler.zone_cp.host_names._resolved", address)
    names = HostNames(plane, interval_s=3600.0)
    looking = asyncio.create_task(names.resolve_forever())
    hosts = ("nowhere", "b", "c")
    for count in (1, 2, 3):
        proxies = (a_dataplane(host, an_inbound(host, address=host)) for host in hosts[:count])
        plane.state = replace(plane.state, local=from_resources(tuple(proxies)))
        plane.names_wanted.set()
        async with asyncio.timeout(10):
            assert await asked.get() == hosts[count - 1]
    assert dict(plane.state.resolved) == {"b": "192.0.2.1", "c": "192.0.2.1"}
    looking.cancel()
    plane.stop()
    store.close()


def test_render_shows_names_as_they_are_written() -> None:
    """Offline nobody knows their addresses; a listener that is left out would mislead."""
    proxy = a_dataplane(
        "web", an_inbound("web", address="web.example"), to={1: {"kuma.io/service": "backend"}}
    )
    there = an_ingress("west", offers("backend", zone="west"), address="west.example")
    found = rendered((a_mesh(),), (proxy,), (there,), proxy.key, "east").snapshot
    assert "inbound:web.example:8080" in found.listeners
    assert b"west.example" in found.endpoints["backend"].entry
