"""How many bytes of large responses are on their way to peers at a time.

Who calls a thousand services is answered with megabytes, and a thousand of those may come within
seconds: encoded as they come, their responses would be gigabytes that wait for sockets. So a large
one is encoded when there is room for it, in the order they came, and leaves it when gRPC has passed
it on. A peer that reads nothing keeps others waiting for `held_s` at most.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType

LARGE = 16_384  # bytes of one; smaller ones need no room
ROOM = 16 * 1024 * 1024
HELD_S = 1.0


@dataclass(slots=True)
class Room:
    """Of one process. One that is larger than all of it has it alone."""

    size: int = ROOM
    held_s: float = HELD_S
    taken: int = 0
    waiting: deque[tuple[int, asyncio.Future[None]]] = field(default_factory=deque)

    async def take(self, size: int) -> Place:
        """Waits for its turn and for room. The place is to be left."""
        if self.waiting or not self._fits(size):
            mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self.waiting.append((size, mine))
            try:
                await mine
            except asyncio.CancelledError:
                if mine.done() and not mine.cancelled():
                    self._leave(size)
                else:
                    mine.cancel()
                    self._next()
                raise
        else:
            self.taken += size
        return Place(self, size)

    def _fits(self, size: int) -> bool:
        return not self.taken or self.taken + size <= self.size

    def _leave(self, size: int) -> None:
        self.taken -= size
        self._next()

    def _next(self) -> None:
        while self.waiting:
            size, other = self.waiting[0]
            if not other.done():  # Else it was cancelled with its stream.
                if not self._fits(size):
                    return
                self.taken += size
                other.set_result(None)
            self.waiting.popleft()


class Place:
    """Left at its end, or after `held_s`: then a slow peer has no more than its own response."""

    __slots__ = ("_late", "_room", "_size")

    def __init__(self, room: Room, size: int) -> None:
        self._room, self._size = room, size
        self._late = asyncio.get_running_loop().call_later(room.held_s, self.leave)

    def leave(self) -> None:
        """A second time it does nothing."""
        size, self._size = self._size, 0
        self._late.cancel()
        if size:
            self._room._leave(size)

    def __enter__(self) -> None:
        """It is taken already."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.leave()
