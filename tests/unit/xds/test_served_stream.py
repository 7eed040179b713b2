"""The end of a served stream, as gRPC can bring it about: told once, whatever happens.

A context stands in for gRPC's where the moment of its cancellation must be exact.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import grpc
import grpc.aio
import pytest

from xds.discovery import RemoteProtocolError
from xds.room import LARGE, Room
from xds.served_stream import ServedStream, status_code
from xds.turns import PIECES_A_TURN, Turns

if TYPE_CHECKING:
    from collections.abc import Callable

    from xds.served_stream import Context


def _set() -> asyncio.Event:
    event = asyncio.Event()
    event.set()
    return event


@dataclass(slots=True)
class Peer:
    """What `ServedStream` uses of a context: messages to read, then the end of the stream.

    A write hangs until `takes` is set, and does not go when it is cancelled, as one that is inside
    gRPC may.
    """

    messages: list[bytes] = field(default_factory=list)
    takes: asyncio.Event = field(default_factory=asyncio.Event)
    writing: asyncio.Event = field(default_factory=asyncio.Event)
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    written: list[bytes] = field(default_factory=list)
    greeted: asyncio.Event = field(default_factory=lambda: _set())

    async def send_initial_metadata(self, _metadata: object) -> None:
        """On its way until `greeted`; who stops waiting for it does not call it back."""
        await self.greeted.wait()

    async def read(self) -> object:
        if self.messages:
            return self.messages.pop(0)
        await self.gone.wait()
        return grpc.aio.EOF

    async def write(self, message: bytes) -> None:
        self.writing.set()
        while not self.takes.is_set():
            with suppress(asyncio.CancelledError):
                await self.takes.wait()
        self.written.append(message)


@dataclass(slots=True)
class Owner:
    delivered: list[bytes] = field(default_factory=list)
    closed: int = 0
    on_message: Callable[[bytes], None] = field(default=lambda _message: None)

    def deliver(self, message: bytes) -> None:
        assert self.closed == 0, "delivered after the end"
        self.delivered.append(message)
        self.on_message(message)

    def close(self) -> None:
        self.closed += 1


def running(stream: ServedStream, peer: Peer, owner: Owner) -> asyncio.Task[None]:
    run = stream.run(cast("Context", peer), owner.deliver, owner.close)
    return asyncio.create_task(run)


async def test_a_stream_cancelled_while_it_ends_is_told_to_its_owner() -> None:
    """The connection is gone: the reader sees it first, then gRPC cancels the handler."""
    stream, peer, owner = ServedStream(queue_max=4), Peer(), Owner()
    handler = running(stream, peer, owner)
    stream.send(b"response")
    async with asyncio.timeout(5):
        await peer.writing.wait()
        peer.gone.set()
        await stream.over.wait()
        await asyncio.sleep(0)  # The handler has taken note, and waits for its writer.
        assert not handler.done()
        handler.cancel()
        peer.takes.set()
        with pytest.raises(asyncio.CancelledError):
            await handler
    assert owner.closed == 1


async def test_a_stream_cancelled_while_it_is_open_is_told_to_its_owner() -> None:
    stream, peer, owner = ServedStream(queue_max=4), Peer(messages=[b"a"]), Owner()
    first = asyncio.Event()
    owner.on_message = lambda _message: first.set()
    handler = running(stream, peer, owner)
    async with asyncio.timeout(5):
        await first.wait()
        handler.cancel()
        with pytest.raises(asyncio.CancelledError):
            await handler
    assert (owner.delivered, owner.closed) == ([b"a"], 1)


async def test_nothing_is_delivered_once_the_owner_has_ended_the_stream() -> None:
    stream, peer, owner = ServedStream(queue_max=4), Peer(messages=[b"a", b"b"]), Owner()
    owner.on_message = lambda _message: stream.end(grpc.StatusCode.UNKNOWN, "refused")
    async with asyncio.timeout(5):
        await running(stream, peer, owner)
    assert (owner.delivered, owner.closed) == ([b"a"], 1)
    assert stream.ending == (grpc.StatusCode.UNKNOWN, "refused")


async def test_a_message_that_cannot_be_understood_ends_the_stream() -> None:
    def refuse(_message: bytes) -> None:
        raise RemoteProtocolError("no type_url")

    stream, peer, owner = ServedStream(queue_max=4), Peer(messages=[b"a"]), Owner(on_message=refuse)
    async with asyncio.timeout(5):
        await running(stream, peer, owner)
    assert stream.ending == (grpc.StatusCode.INVALID_ARGUMENT, "no type_url")


async def test_an_end_waits_for_headers_that_are_on_their_way() -> None:
    """gRPC takes no status beside them: the peer would wait for the end of its stream for ever."""
    stream, owner = ServedStream(queue_max=4), Owner()
    peer = Peer(messages=[b"a"], greeted=asyncio.Event())
    owner.on_message = lambda _message: stream.end(grpc.StatusCode.UNKNOWN, "refused")
    handler = running(stream, peer, owner)
    async with asyncio.timeout(5):
        await stream.over.wait()
        for _ in range(5):
            await asyncio.sleep(0)
        assert owner.closed == 1  # Its owner knows at once.
        assert not handler.done()
        peer.greeted.set()
        await handler
    assert owner.closed == 1


async def test_a_fault_of_ours_is_reported_and_not_taken_for_the_peers_doing() -> None:
    """`ending` is set: for a proxy that means its endpoints stay."""
    seen: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: seen.append(context))
    fault = KeyError("a bug")

    def fail(_message: bytes) -> None:
        raise fault

    stream, peer, owner = ServedStream(queue_max=4), Peer(messages=[b"a"]), Owner(on_message=fail)
    async with asyncio.timeout(5):
        await running(stream, peer, owner)
    assert stream.ending is not None
    assert stream.ending[0] is grpc.StatusCode.INTERNAL
    assert "a bug" not in stream.ending[1]
    assert [c["exception"] for c in seen if isinstance(c, dict)] == [fault]
    assert owner.closed == 1


async def test_a_message_over_the_limit_ends_the_stream_and_names_it() -> None:
    stream = ServedStream(queue_max=4, message_max=3)
    stream.send(b"abc")
    stream.send(b"abcd")
    assert stream.ending is not None
    assert stream.ending[0] is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "4 bytes" in stream.ending[1]
    assert list(stream.queue) == [b"abc"]


async def test_a_peer_that_takes_nothing_is_ended_at_the_limit() -> None:
    stream = ServedStream(queue_max=2)
    for message in (b"1", b"2", b"3"):
        stream.send(message)
    assert stream.ending is not None
    assert "2 messages" in stream.ending[1]
    assert list(stream.queue) == [b"1", b"2"]


async def most_in_a_turn(seen: Callable[[], int], everything: int) -> int:
    most, before = 0, seen()
    async with asyncio.timeout(5):
        while before < everything:
            await asyncio.sleep(0)
            now = seen()
            most, before = max(most, now - before), now
    return most


async def test_a_push_to_many_streams_takes_a_few_in_each_turn_of_the_loop() -> None:
    turns, owner = Turns(), Owner()
    peers = [Peer() for _ in range(200)]
    streams = [ServedStream(queue_max=4, turns=turns) for _ in peers]
    handlers = [running(*each, owner) for each in zip(streams, peers, strict=True)]
    for stream, peer in zip(streams, peers, strict=True):
        peer.takes.set()
        stream.send(b"1")
        stream.send(b"2")
    most = await most_in_a_turn(lambda: sum(len(p.written) for p in peers), 400)
    assert 0 < most <= 2 * PIECES_A_TURN  # A look falls between two turns, or beside one.
    assert all(peer.written == [b"1", b"2"] for peer in peers)
    for peer in peers:
        peer.gone.set()
    await asyncio.gather(*handlers)


async def test_requests_that_come_at_once_are_delivered_a_few_in_each_turn_of_the_loop() -> None:
    """One that ends while it waits takes nobody's place."""
    turns, owner = Turns(), Owner()
    peers = [Peer(messages=[b"%d" % number]) for number in range(200)]
    handlers = [running(ServedStream(queue_max=4, turns=turns), p, Owner()) for p in peers[:20]]
    await asyncio.sleep(0)
    for handler in handlers:
        handler.cancel()
    handlers += [running(ServedStream(queue_max=4, turns=turns), p, owner) for p in peers[20:]]
    most = await most_in_a_turn(lambda: len(owner.delivered), 180)
    assert 0 < most <= 2 * PIECES_A_TURN
    assert owner.delivered == [b"%d" % number for number in range(20, 200)]
    for peer in peers:
        peer.gone.set()
    await asyncio.gather(*handlers, return_exceptions=True)


def test_a_number_that_is_no_status_is_unknown() -> None:
    assert status_code(14) is grpc.StatusCode.UNAVAILABLE
    assert status_code(99) is grpc.StatusCode.UNKNOWN


async def test_a_large_message_is_made_when_there_is_room_for_it_and_no_sooner() -> None:
    """A thousand first responses are gigabytes: no more of them than there is room for exist."""
    room, made = Room(size=2 * LARGE, held_s=60.0), list[int]()
    streams = [ServedStream(queue_max=4, room=room) for _ in range(5)]
    peers = [Peer() for _ in streams]
    handlers = [running(s, p, Owner()) for s, p in zip(streams, peers, strict=True)]

    def message(number: int) -> Callable[[], bytes]:
        return lambda: made.append(number) or bytes(LARGE)  # type: ignore[func-returns-value]

    for number, stream in enumerate(streams):
        stream.send_later(LARGE, message(number))
    async with asyncio.timeout(5):
        await peers[1].writing.wait()
        for _ in range(5):
            await asyncio.sleep(0)
        assert made == [0, 1]
        streams[3].send(b"small")  # It is behind a large one of its own stream.
        for number, peer in enumerate(peers):
            peer.takes.set()
            await peer.writing.wait()
            if number + 2 < len(peers):
                await peers[number + 2].writing.wait()
        for _ in range(5):
            await asyncio.sleep(0)
        for peer in peers:
            peer.gone.set()
        await asyncio.gather(*handlers)
    assert made == [0, 1, 2, 3, 4]
    assert [len(message) for message in peers[3].written] == [LARGE, 5]
    assert room.taken == 0


async def test_a_stream_that_ends_while_it_waits_for_room_makes_nothing() -> None:
    room = Room(size=LARGE, held_s=60.0)
    place = await room.take(LARGE)
    stream, peer = ServedStream(queue_max=4, room=room), Peer()
    stream.send_later(LARGE, lambda: pytest.fail("made for nobody"))
    handler = running(stream, peer, Owner())
    for _ in range(5):
        await asyncio.sleep(0)
    peer.gone.set()
    async with asyncio.timeout(5):
        await handler
    place.leave()
    assert (room.taken, list(room.waiting)) == (0, [])


async def test_who_takes_nothing_is_ended_at_the_limit_whatever_is_made_later() -> None:
    stream = ServedStream(queue_max=2)
    for _ in range(3):
        stream.send_later(1, lambda: b"")
    assert stream.ending is not None
    assert "2 messages" in stream.ending[1]


async def test_a_quiet_stream_keeps_no_task_that_writes() -> None:
    """Thousands are quiet: what waits for something to write would be two kilobytes of each."""
    stream, peer, owner = ServedStream(queue_max=4), Peer(), Owner()
    peer.takes.set()
    before = asyncio.all_tasks()
    handler = running(stream, peer, owner)
    async with asyncio.timeout(5):
        for round_ in (1, 2):
            for _ in range(3):
                stream.send(b"response")
            for _ in range(20):
                await asyncio.sleep(0)
            assert len(peer.written) == 3 * round_
            assert len(asyncio.all_tasks() - before) == 2, "the handler, and who reads"
        peer.gone.set()
        await handler
    assert owner.closed == 1


async def test_what_is_sent_before_a_stream_runs_is_written_when_it_does() -> None:
    stream, peer, owner = ServedStream(queue_max=4), Peer(), Owner()
    stream.send(b"early")
    peer.takes.set()
    handler = running(stream, peer, owner)
    async with asyncio.timeout(5):
        for _ in range(20):
            await asyncio.sleep(0)
        peer.gone.set()
        await handler
    assert peer.written == [b"early"]


async def test_who_waits_for_the_end_no_more_disturbs_nobody_else_who_does() -> None:
    stream = ServedStream(queue_max=4)
    first, second = (asyncio.create_task(stream.over.wait()) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.sleep(0)
    assert not second.done()
    stream.end(grpc.StatusCode.OK, "")
    async with asyncio.timeout(5):
        await second
        await stream.over.wait()
    assert first.cancelled()


@pytest.mark.parametrize("half", ["read", "write"])
async def test_a_half_that_is_cancelled_inside_grpc_ends_the_stream(half: str) -> None:
    """As gRPC does when the peer has reset the stream."""
    stream, owner = ServedStream(queue_max=4), Owner()

    async def cancelled(*_: object) -> object:
        raise asyncio.CancelledError

    class Reset(Peer):
        pass

    setattr(Reset, half, cancelled)
    stream.send(b"response")
    async with asyncio.timeout(5):
        await running(stream, Reset(), owner)
    assert owner.closed == 1
