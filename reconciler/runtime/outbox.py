"""Decide, write, send: carries out effects in order, while writes to disk run in a thread.

An effect waits for the writes that were decided before it, and for nothing else; all writes that
wait are one transaction. The disk may not hold up the mesh, though: when a write fails, or takes
longer than `PATIENCE_S`, the reason is reported and nothing waits for the disk any more, until it
has taken a write again. A write that failed is tried again together with whatever came after it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Generic, TypeVar

from reconciler.runtime.log import fault_of_ours
from reconciler.runtime.retry import backoff_s

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from reconciler.stored import Row

PATIENCE_S = 1.0
RETRY_FIRST_S = 1.0
RETRY_MAX_S = 30.0
WAITING_MAX = 50_000  # effects; beyond, the disk is not waited for

EffectT = TypeVar("EffectT")
ValueT = TypeVar("ValueT")


class Outbox(Generic[EffectT, ValueT]):
    """`rows_of` gives what an effect wants written, None for one that writes nothing.

    `write` puts rows on disk in one transaction (a value of None: the row goes); it runs in a
    thread of its own, one call at a time, and raises OSError. `report` is told why the disk is not
    up to date, and "" once it is again.
    """

    def __init__(
        self,
        rows_of: Callable[[EffectT], Mapping[Row, ValueT | None] | None],
        write: Callable[[Mapping[Row, ValueT | None]], None],
        carry_out: Callable[[EffectT], None],
        report: Callable[[str], None],
    ) -> None:
        self._rows_of = rows_of
        self._write = write
        self._carry_out = carry_out
        self._report = report
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="store")
        self._waiting: deque[tuple[int, EffectT]] = deque()  # with the write each waits for
        self._rows: dict[Row, ValueT | None] = {}  # to be written; the newest value of each
        self._asked = 0  # writes decided
        self._past = 0  # of these, no longer waited for
        self._passed = asyncio.Event()  # replaced whenever `_past` may have moved
        self._writing: asyncio.Task[None] | None = None
        self._retry: asyncio.TimerHandle | None = None
        self._failures = 0
        self.error = ""

    @property
    def waiting(self) -> int:
        """Effects that wait for a write."""
        return len(self._waiting)

    def add(self, effects: Iterable[EffectT]) -> None:
        """Carries out at once what waits for no write."""
        for effect in effects:
            rows = self._rows_of(effect)
            if rows is None:
                self._waiting.append((self._asked, effect))
            elif rows:
                self._rows |= rows
                self._asked += 1
        if self.error or len(self._waiting) > WAITING_MAX:
            self._past = self._asked
        self._write_soon()
        self._release()

    async def settled(self) -> None:
        """What was decided before is on disk, or no longer waited for: `error` says why."""
        asked = self._asked
        while self._past < asked:
            passed = self._passed
            await passed.wait()

    async def close(self) -> None:
        """What was decided is written and carried out, as far as the disk takes it."""
        self._forget_retry()
        self._write_soon()
        while self._writing is not None:  # A write that fails starts no other.
            await self._writing
        self._forget_retry()
        self._thread.shutdown()

    def _forget_retry(self) -> None:
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None

    def _release(self) -> None:
        while self._waiting and self._waiting[0][0] <= self._past:
            effect = self._waiting.popleft()[1]
            try:
                self._carry_out(effect)
            except Exception:  # what is behind it does not wait for the next event
                asyncio.get_running_loop().call_soon(self._release)
                raise

    def _pass(self, upto: int) -> None:
        self._past = max(self._past, upto)
        self._passed.set()
        self._passed = asyncio.Event()
        self._release()

    def _write_soon(self) -> None:
        if self._rows and self._writing is None and self._retry is None:
            self._writing = asyncio.get_running_loop().create_task(self._write_out())

    async def _write_out(self) -> None:
        """Begins at the next turn of the loop: with it goes all that is decided in this one. A
        commit costs as much as ten rows.
        """
        loop = asyncio.get_running_loop()
        rows, self._rows, upto = self._rows, {}, self._asked
        patience = loop.call_later(PATIENCE_S, self._too_slow)
        try:
            await loop.run_in_executor(self._thread, self._write, rows)
        except Exception as error:  # for a fault of ours neither rows nor effects are lost
            self._failed(rows, error)
            upto = self._asked
        else:
            self._failures = 0
            self._tell("")
        finally:
            patience.cancel()
            self._writing = None
        self._write_soon()
        self._pass(upto)

    def _failed(self, rows: dict[Row, ValueT | None], error: Exception) -> None:
        self._rows = rows | self._rows
        self._failures += 1
        wait_s = backoff_s(self._failures, first_s=RETRY_FIRST_S, max_s=RETRY_MAX_S)
        self._retry = asyncio.get_running_loop().call_later(wait_s, self._again)
        ours = fault_of_ours(error)
        self._tell(str(error) if isinstance(error, OSError) else ours)

    def _again(self) -> None:
        self._retry = None
        self._write_soon()

    def _too_slow(self) -> None:
        self._tell(f"writing takes longer than {PATIENCE_S:.0f} s; what waits for it goes on")
        self._pass(self._asked)

    def _tell(self, error: str) -> None:
        if error != self.error:
            self.error = error
            self._report(error)
