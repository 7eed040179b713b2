"""One bidirectional gRPC stream, served: bytes in, bytes out, and exactly one end.

ADS and KDS run on the same one. A task reads and hands each message to the owner of the state; a
task writes what `send` queued. The peer, the owner and a fault of ours can each end the stream; the
owner is told once, on the loop, and nothing is delivered afterwards.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import nullcontext
from dataclasses import dataclass, field
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


def _seen(task: asyncio.Task[None]) -> None:
    """A connection that is gone is told where it is read and written."""
    if not task.cancelled():
        task.exception()


async def _greet(context: Context) -> None:
    await context.send_initial_metadata(())


@dataclass(frozen=True, slots=True)
class Later:
    """A message of about `size` bytes that is made when it can be written."""

    size: int
    make: Callable[[], bytes]


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
    queue: deque[bytes | Later] = field(default_factory=deque)
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    over: asyncio.Event = field(default_factory=asyncio.Event)
    ending: tuple[grpc.StatusCode, str] | None = None

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
            self.wake.set()

    def end(self, code: grpc.StatusCode, message: str) -> None:
        if not self.over.is_set():
            self.ending = (code, message)
            self.over.set()

    async def run(self, context: Context, deliver: Deliver, closed: Callable[[], None]) -> None:
        """Until the stream is over; `closed` has then been called, whatever happened. What is too
        much for one turn of the loop `deliver` hands back as something to wait for, before the next
        message is read.
        """
        greeting = asyncio.create_task(_greet(context))
        greeting.add_done_callback(_seen)
        tasks = (
            asyncio.create_task(self._ending_with(lambda: self._read(context, deliver))),
            asyncio.create_task(self._ending_with(lambda: self._write(context, greeting))),
        )
        try:
            await self.over.wait()
        finally:
            # Without an await before it: gRPC cancels this handler wherever it waits once the
            # connection is gone, and the owner would go on believing in a proxy that is dead.
            self.over.set()
            for task in tasks:
                task.cancel()
            closed()
        # Headers that are on their way cannot be called back: an end that overtook them would be no
        # end at all for the peer, for gRPC refuses to send them twice.
        await asyncio.gather(*tasks, greeting, return_exceptions=True)

    async def _ending_with(self, half: Callable[[], Awaitable[None]]) -> None:
        """The stream is over when one of its halves is, and why."""
        try:
            await half()
        except RemoteProtocolError as error:
            self.end(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        except grpc.aio.BaseError:
            pass  # The connection is gone.
        except Exception as error:
            self.our_fault(error)
        finally:
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

    async def _write(self, context: Context, greeting: asyncio.Task[None]) -> None:
        await asyncio.shield(greeting)
        while not self.over.is_set():
            await self.wake.wait()
            self.wake.clear()
            while self.queue:
                size = self.queue[0].size if isinstance(self.queue[0], Later) else 0
                place = await self.room.take(size) if size >= LARGE else nullcontext()
                with place:
                    await self.turns.wait()
                    if self.over.is_set():
                        return
                    await context.write(self._popped())

    def _popped(self) -> bytes:
        """No variable of a stream that waits holds what it wrote."""
        message = self.queue.popleft()
        return message.make() if isinstance(message, Later) else message

    def our_fault(self, error: Exception) -> None:
        """Ends this stream alone; the peer is not to blame, so its endpoints stay."""
        self.end(grpc.StatusCode.INTERNAL, _FAULT)
        asyncio.get_running_loop().call_exception_handler(
            {"message": "a stream ended by a fault of ours", "exception": error}
        )
