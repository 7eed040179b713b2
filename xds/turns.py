"""Shares the turns of the event loop among all that waits for it.

A turn is everything between two looks at the sockets. A push wakes every stream at once, and so do
the ACKs that come back; a thousand proxies that come ask for a thousand views and certificates.
Done as they came they would be one turn, and everything else would wait for its end.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    _Piece: TypeAlias = asyncio.Future[None] | Callable[[], None]  # who waits, or what is called

PIECES_A_TURN = 16  # some 50 us each for gRPC, which no clock here sees
TURN_S = 0.004  # for what their owner does with them


class Turns:
    """Of one process: `pieces` of work begin in a turn at most, and none once the turn has taken
    `within_s` seconds. The others follow in the order they came.
    """

    def __init__(
        self,
        pieces: int = PIECES_A_TURN,
        within_s: float = TURN_S,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._pieces = pieces
        self._within_s = within_s
        self._clock = clock
        self._begun = 0  # pieces, in this turn
        self._began = 0.0
        self._asked = False  # `_next` is on its way
        self._called = False  # those whose turn this is have not all begun
        self._waiting: deque[_Piece] = deque()
        self._late: deque[_Piece] = deque()  # called, when the time was up

    async def wait(self) -> None:
        """Until one more piece of work may begin: it is what follows, up to the next await."""
        if self._called or self._waiting or not self._takes():
            await self._in(self._waiting)
            while not self._takes():
                await self._in(self._late)

    def soon(self, work: Callable[[], None]) -> None:
        """Calls it in a later turn."""
        self._waiting.append(work)
        self._ask()

    def _work(self, work: Callable[[], None]) -> None:
        if self._takes():
            work()
        else:
            self._late.append(work)
            self._ask()

    def _in(self, queue: deque[_Piece]) -> asyncio.Future[None]:
        mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        queue.append(mine)
        self._ask()
        return mine

    def _takes(self) -> bool:
        """Whether a piece begins in this turn: the first one always does."""
        if not self._begun:
            self._began = self._clock()
        elif self._begun >= self._pieces or self._clock() - self._began >= self._within_s:
            return False
        self._begun += 1
        self._ask()
        return True

    def _ask(self) -> None:
        if not self._asked:
            self._asked = True
            asyncio.get_running_loop().call_soon(self._next)

    def _next(self) -> None:
        """A turn later; what it calls begins in the turn after this one, before its `_next`."""
        self._asked, self._begun = False, 0
        self._waiting.extendleft(reversed(self._late))
        self._late.clear()
        called = 0
        while self._waiting and called < self._pieces:
            mine = self._waiting.popleft()
            if not isinstance(mine, asyncio.Future):
                asyncio.get_running_loop().call_soon(self._work, mine)
                called += 1
            elif not mine.done():  # cancelled with its stream
                mine.set_result(None)
                called += 1
        self._called = called > 0
        if self._called:
            self._ask()
