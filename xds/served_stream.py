"""One bidirectional gRPC stream, served: bytes in, bytes out, and exactly one end.

ADS and KDS run on the same one. A task reads and hands each message to the owner of the state;
another is there while it writes what `send` queued. The peer, the owner and a fault of ours can
each end the stream; the owner is told once, on the loop, and nothing is delivered afterwards.

Thousands are open and quiet: what each of them keeps is counted in bytes.
"""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import grpc
import grpc.aio

from xds.discovery import RemoteProtocolError
from xds.room import LARGE, Room
from xds.turns import Turns

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Context = grpc.aio.ServicerContext[bytes, bytes]
    Deliver = Callable[[bytes], Awaitable[None] | None]

_CODES = {code.value[0]: code for code in grpc.StatusCode}
_FAULT = "an internal error of this control plane; its log says more"


def status_code(number: int) -> grpc.StatusCode:
    """UNKNOWN for a number that is none: it is what a refused authentication ends with, too."""
    return _CODES.get(number, grpc.StatusCode.UNKNOWN)


def transport_max(received_max: int) -> int:
    """What gRPC itself lets through: a quarter more, so that the refusal can be in our words."""
    return received_max + received_max // 4


async def _greet(context: Context) -> None:
    await context.send_initial_metadata(())


@dataclass(frozen=True, slots=True)
class Later:
    """A message of about `size` bytes that is made when it can be written."""

    size: int
    make: Callable[[], bytes]


@dataclass(slots=True)
class Latch:
    """As an `asyncio.Event` that is set once, without a queue of its own (700 bytes)."""

    _is_set: bool = False
    _waiting: asyncio.Future[None] | None = None

    def is_set(self) -> bool:
        return self._is_set

    def set(self) -> None:
        self._is_set = True
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    async def wait(self) -> None:
        if self._is_set:
            return
        if self._waiting is None:
            self._waiting = asyncio.get_running_loop().create_future()
        await asyncio.shield(self._waiting)


@dataclass(slots=True)
class ServedStream:
    """`ending` is set when this side ends the stream, `over` whichever side does.

    `queue_max` messages may wait, of `message_max` bytes each (0: any size); a peer that takes no
    more is ended rather than buffered for. What it sends has `received_max` bytes, and
    `received_setting` is how more is allowed. All streams of a process share `turns`, and `room`.
    The headers go out at once: a peer that waits for them is sure to be let in before it writes.
    """

    queue_max: int
    message_max: int = 0
    received_max: int = 0
    received_setting: str = ""
    turns: Turns = field(default_factory=Turns)
    room: Room = field(default_factory=Room)
    queue: list[bytes | Later] = field(default_factory=list)
    over: Latch = field(default_factory=Latch)
    ending: tuple[grpc.StatusCode, str] | None = None
    _context: Context | None = None  # known while it runs
    _greeting: asyncio.Task[None] | None = None
    _writing: asyncio.Task[None] | None = None

    def send(self, data: bytes) -> None:
        """Queues one message; a stream that is over takes nothing."""
        if self.over.is_set():
            return
        if self.message_max and len(data) > self.message_max:
            text = f"a message of {len(data)} bytes is over the limit of {self.message_max}"
            self.end(grpc.StatusCode.RESOURCE_EXHAUSTED, text)
        else:
            self._queue(data)

    def send_later(self, size: int, make: Callable[[], bytes]) -> None:
        """Queues a message of about so many bytes that is made when it can be written."""
        if not self.over.is_set():
            self._queue(Later(size, make))

    def _queue(self, message: bytes | Later) -> None:
        if len(self.queue) >= self.queue_max:
            text = f"{self.queue_max} messages wait to be read; reconnect to continue"
            self.end(grpc.StatusCode.RESOURCE_EXHAUSTED, text)
        else:
            self.queue.append(message)
            self._begin_writing()

    def _begin_writing(self) -> None:
        if self.queue and self._context is not None and self._writing is None:
            write = partial(self._write, self._context)
            self._writing = asyncio.create_task(self._half(write, lasts=False))

    def end(self, code: grpc.StatusCode, message: str) -> None:
        if not self.over.is_set():
            self.ending = (code, message)
            self.over.set()

    async def run(self, context: Context, deliver: Deliver, closed: Callable[[], None]) -> None:
        """Until the stream is over; `closed` has then been called, whatever happened. What is too
        much for one turn of the loop `deliver` hands back as something to wait for, before the next
        message is read.
        """
        greeting = self._greeting = asyncio.create_task(_greet(context))
        greeting.add_done_callback(self._greeted)
        read = partial(self._read, context, deliver)
        reading = asyncio.create_task(self._half(read, lasts=True))
        self._context = context
        self._begin_writing()
        try:
            await self.over.wait()
        finally:
            # Without an await before it: gRPC cancels this handler wherever it waits once the
            # connection is gone, and the owner would go on believing in a proxy that is dead.
            self.over.set()
            tasks = [task for task in (reading, self._writing) if task is not None]
            for task in tasks:
                task.cancel()
            closed()
        # Headers that are on their way cannot be called back: an end that overtook them would be no
        # end at all for the peer, for gRPC refuses to send them twice.
        await asyncio.gather(*tasks, greeting, return_exceptions=True)

    def _greeted(self, task: asyncio.Task[None]) -> None:
        """A connection that is gone is told where it is read and written."""
        self._greeting = None
        if not task.cancelled():
            task.exception()

    async def _half(self, half: Callable[[], Awaitable[None]], *, lasts: bool) -> None:
        """The stream is over when one of its halves fails, and why; or one that `lasts` ends."""
        goes_on = False
        try:
            await half()
            goes_on = not lasts
        except RemoteProtocolError as error:
            self.end(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        except grpc.aio.BaseError:
            pass  # The connection is gone.
        except Exception as error:
            self.our_fault(error)
        finally:  # Also when it is cancelled from outside, as gRPC may.
            if not goes_on:
                self.over.set()

    async def _read(self, context: Context, deliver: Deliver) -> None:
        """Until the peer closes its side."""
        while isinstance(message := await context.read(), bytes):  # until EOF
            await self.turns.wait()
            if self.over.is_set():
                return
            if self.received_max and len(message) > self.received_max:
                text = f"{len(message)} bytes in one message are over the limit of"
                text = f"{text} {self.received_max}; {self.received_setting}"
                self.end(grpc.StatusCode.RESOURCE_EXHAUSTED, text)
                return
            rest = deliver(message)
            if rest is not None:
                await rest

    async def _write(self, context: Context) -> None:
        """Until nothing waits."""
        if self._greeting is not None:
            await asyncio.shield(self._greeting)
        while self.queue:
            size = self.queue[0].size if isinstance(self.queue[0], Later) else 0
            place = await self.room.take(size) if size >= LARGE else nullcontext()
            with place:
                await self.turns.wait()
                if self.over.is_set():
                    return
                await context.write(self._popped())
        self._writing = None

    def _popped(self) -> bytes:
        """No variable of a stream that waits holds what it wrote."""
        message = self.queue.pop(0)
        return message.make() if isinstance(message, Later) else message

    def our_fault(self, error: Exception) -> None:
        """Ends this stream alone; the peer is not to blame, so its endpoints stay."""
        self.end(grpc.StatusCode.INTERNAL, _FAULT)
        asyncio.get_running_loop().call_exception_handler(
            {"message": "a stream ended by a fault of ours", "exception": error}
        )
