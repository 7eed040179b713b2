"""A zone's control plane asks the ingresses of other zones whether they are there."""

from __future__ import annotations

import asyncio
import logging
import socket
import socketserver
import threading
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from reconciler.state import from_resources
from reconciler.steps import zone_reachability
from reconciler.store import Store
from reconciler.zone_cp import ingress_probes
from reconciler.zone_cp.ingress_probes import NOBODY, IngressProbes, answers, client_hello, pause_s
from reconciler.zone_cp.plane import ZoneControlPlane
from tests.support.mesh import a_mesh, an_ingress, offers
from tests.support.zone import settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

HELLO = client_hello()


class Ingress(socketserver.ThreadingTCPServer):
    """One that is well ends what it does not know; one that hangs takes it and is still."""

    allow_reuse_address = True

    def __init__(self, port: int, *, ends: bool) -> None:
        super().__init__(("127.0.0.1", port), _Took)
        self.over = threading.Event()
        if ends:
            self.over.set()

    def end(self) -> None:
        self.over.set()
        self.shutdown()
        self.server_close()  # Waits for those who were served.


class _Took(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        with suppress(OSError):  # The other side may have gone.
            self.request.recv(4096)
        assert isinstance(self.server, Ingress)
        self.server.over.wait()


@asynccontextmanager
async def listening(*, ends: bool, port: int = 0) -> AsyncIterator[tuple[str, int]]:
    server = Ingress(port, ends=ends)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield "127.0.0.1", server.server_address[1]
    finally:
        await asyncio.to_thread(server.end)
        thread.join()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"TIMEOUT_S": 0.05, "AGAIN_S": 0.01, "PER_SECOND": 1000}.items():
        monkeypatch.setattr(ingress_probes, name, value)


@pytest.fixture
def plane(tmp_path: Path) -> Iterator[ZoneControlPlane]:
    store = Store(tmp_path / "store.sqlite")
    made = ZoneControlPlane(settings(), store, logging.getLogger("test"))
    made.state = replace(made.state, policy=from_resources((a_mesh(),)))
    yield made
    made.stop()
    store.close()


def advertised(plane: ZoneControlPlane, *at: tuple[str, int]) -> None:
    found = [
        an_ingress("west", offers("web", zone="west"), address=host, port=port, name=f"i{port}")
        for host, port in at
    ]
    plane.state = replace(plane.state, relayed=from_resources(found))


@asynccontextmanager
async def asking(plane: ZoneControlPlane) -> AsyncIterator[IngressProbes]:
    probes = IngressProbes(plane, interval_s=0.01)
    task = asyncio.create_task(probes.ask_forever())
    yield probes
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def until(plane: ZoneControlPlane, *silent: tuple[str, int]) -> None:
    await seen(lambda: {*plane.state.silent} == {*silent})


async def seen(claim: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not claim():  # noqa: ASYNC110 (nobody tells)
            await asyncio.sleep(0.005)


def test_each_is_asked_once_an_interval_and_many_less_often() -> None:
    assert [pause_s(1.0, count) for count in (0, 1, 10)] == [1.0, 1.0, 0.1]
    assert pause_s(1.0, 200) == 1 / ingress_probes.PER_SECOND


def test_the_question_is_for_a_server_that_nobody_is() -> None:
    assert HELLO[0] == 22  # RFC 8446: a handshake
    assert NOBODY.encode() in HELLO


async def test_the_end_of_the_connection_is_an_answer() -> None:
    async with listening(ends=True) as at:
        assert await answers(at, HELLO) is True


@pytest.mark.usefixtures("quick")
async def test_who_takes_the_connection_and_says_nothing_does_not_answer() -> None:
    async with listening(ends=False) as at:
        assert await answers(at, HELLO) is False


async def test_who_refuses_the_connection_does_not_answer() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # And does not listen.
        assert await answers(taken.getsockname(), HELLO) is False


async def test_a_fault_of_this_host_says_nothing_of_the_ingress(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def full(*_: object) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(asyncio, "open_connection", full)
    assert await answers(("127.0.0.1", 1), HELLO) is None


@pytest.mark.usefixtures("quick")
async def test_one_that_goes_is_silent_and_one_that_is_back_is_not(plane: ZoneControlPlane) -> None:
    async with asking(plane) as probes:
        async with listening(ends=True) as at, listening(ends=True) as stays:
            advertised(plane, at, stays)
            await seen(lambda: probes.answers["answered"] >= 4)
        async with listening(ends=True, port=stays[1]):
            await until(plane, at)
            async with listening(ends=True, port=at[1]):
                await until(plane)
    assert probes.answers["silent"] >= 2


@pytest.mark.usefixtures("quick")
async def test_one_that_is_advertised_no_more_is_forgotten(plane: ZoneControlPlane) -> None:
    async with asking(plane) as probes:
        async with listening(ends=True) as at:
            advertised(plane, at)
            await seen(lambda: probes.answers["answered"] > 0)
        await until(plane, at)
        advertised(plane)
        await until(plane)
        advertised(plane, at)  # It is new, and has never answered.
        before = probes.answers["silent"]
        await seen(lambda: probes.answers["silent"] >= before + 4)
        assert not plane.state.silent


async def test_turned_off_it_asks_nobody(plane: ZoneControlPlane) -> None:
    async with listening(ends=True) as at, asyncio.timeout(10):
        advertised(plane, at)
        probes = IngressProbes(plane, asks=False)
        await probes.ask_forever()  # It ends.
    assert not probes.answers


@pytest.mark.usefixtures("quick")
async def test_a_fault_of_ours_costs_one_round(
    plane: ZoneControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, found: faults.append(found))
    known = zone_reachability.targets

    def faulty(state: object) -> object:
        monkeypatch.setattr(ingress_probes, "targets", known)
        raise ValueError("ours")

    monkeypatch.setattr(ingress_probes, "targets", faulty)
    async with listening(ends=True) as at:
        advertised(plane, at)
        async with asking(plane) as probes:
            await seen(lambda: probes.answers["answered"] > 0)
    assert len(faults) == 1
