"""HDS streams: what of an Envoy's reports reaches the owner."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

import grpc.aio

from xds.health import HealthReport, Introduction, Specifier
from xds.health_server import HealthServer
from xds.health_wire import introduction_bytes, report_bytes

if TYPE_CHECKING:
    from xds.served_stream import Context

WELL = report_bytes(HealthReport({"a": True}))
ASK = Specifier((), 5.0)


class Owner:
    """Fails when a stream opens if told to."""

    def __init__(self, *, fails: bool = False) -> None:
        self.said: list[Introduction | HealthReport] = []
        self.closed: list[str] = []
        self.fails = fails

    def health_opened(self, stream: str, authorization: str | None) -> None:
        if self.fails:
            raise RuntimeError("ours")

    def health_said(self, stream: str, message: Introduction | HealthReport) -> None:
        self.said.append(message)

    def health_closed(self, stream: str) -> None:
        self.closed.append(stream)


class Peer:
    """The stream of an Envoy; None ends it."""

    def __init__(self) -> None:
        self.messages: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.aborted: tuple[Any, ...] = ()

    async def read(self) -> object:
        message = await self.messages.get()
        return grpc.aio.EOF if message is None else message

    async def write(self, data: bytes) -> None: ...

    async def send_initial_metadata(self, _metadata: object) -> None: ...

    def invocation_metadata(self) -> tuple[()]:
        return ()

    async def abort(self, *why: Any) -> None:
        self.aborted = why

    async def says(self, *messages: bytes) -> None:
        for message in messages:
            self.messages.put_nowait(message)
        for _ in range(10):  # Turns of the loop; more than it takes.
            await asyncio.sleep(0)


async def test_report_that_says_nothing_new_is_not_handed_on_unless_it_answers_a_question() -> None:
    owner, peer = Owner(), Peer()
    server = HealthServer(owner)
    serving = asyncio.create_task(server._serve(None, cast("Context", peer)))
    await peer.says(introduction_bytes(Introduction("default.web")), WELL, WELL)
    assert len(owner.said) == 2
    server.send("hds-1", ASK)
    await peer.says(WELL, WELL)
    assert len(owner.said) == 3
    await peer.says(report_bytes(HealthReport({"a": False})))
    assert len(owner.said) == 4
    peer.messages.put_nowait(None)
    await serving
    assert owner.closed == ["hds-1"]
    assert (server._streams, server._last) == ({}, {})


async def test_fault_at_the_opening_leaves_no_stream_in_the_books() -> None:
    owner, peer = Owner(fails=True), Peer()
    told: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, found: told.append(found))
    server = HealthServer(owner)
    await server._serve(None, cast("Context", peer))
    assert peer.aborted[0] is grpc.StatusCode.INTERNAL
    assert (server._streams, owner.closed, len(told)) == ({}, [], 1)
