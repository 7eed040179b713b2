"""Runs the status step on the event loop: what zones want to say, down to their refs in Git.

A zone has one for its own ref; the global has one for the refs of all zones it relays. The latest
status wins; nothing queues while Git is away. Reading and committing happen in a thread.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING

from reconciler.runtime.log import fault_of_ours, note
from reconciler.status.document import (
    Inventory,
    Rendering,
    StatusInput,
    files_digest,
    reach,
    summary,
)
from reconciler.steps.status_state import (
    Content,
    Effect,
    Event,
    Flush,
    Push,
    ReadTips,
    Released,
    Report,
    StatusSettings,
    StatusState,
    Tick,
    WakeAt,
    Wanted,
)
from reconciler.steps.status_step import behind, step, window_s

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Mapping

    from reconciler.status.writer import StatusWriter

FLUSH_S = 2.5  # of the 5 s that a control plane has to end
CLOSE_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowerOptions:
    """`make_gap_s`: between two looks at what changed; real zones send insights all the time."""

    settings: StatusSettings
    inventory: Inventory = Inventory.CLASSES
    make_gap_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Wish:
    """What a zone's ref shall say: made in a thread from `source`, a frozen value."""

    source: object
    make: Callable[[Rendering], Made]


@dataclass(frozen=True, slots=True)
class Made:
    """`rendering`: for the next status of the zone, most of which will be the same."""

    content: Content
    rendering: Rendering


class StatusFollower:
    """`want` what a ref shall say; `error` is why it does not get there, "" when all is well."""

    def __init__(self, writer: StatusWriter, options: FollowerOptions, log: logging.Logger) -> None:
        self.writer = writer
        self.options = options
        self.log = log
        self.state = StatusState(options.settings)
        self.errors: dict[str, str] = {}  # by zone; "" is the remote, "rollover" why there is none
        self._wishes: dict[str, Wish] = {}
        self._new: dict[str, Wish] = {}
        self._rendered: dict[str, Rendering] = {}
        self._written: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._work: asyncio.Task[None] | None = None
        self._moved = asyncio.Event()
        self._stopping = asyncio.Event()
        self._stopped = False

    @property
    def error(self) -> str:
        return "; ".join(text for _, text in sorted(self.errors.items()))

    def facts(self) -> Mapping[str, object]:
        """Counters and what holds commits up, for `status` and metrics."""
        state = self.state
        return {
            **asdict(state.counters),
            "refs": len(state.refs),
            "behind": len(behind(state)),
            "window_s": window_s(state),
            "failures": state.failures,
            "rollover_off": state.no_rollover,
        }

    def want(self, status: StatusInput) -> None:
        """Returns at once; equal to the last one it costs a comparison."""
        make = partial(content_of, status, self.options.inventory)
        self.want_made(status.zone, Wish(status, make))

    def want_made(self, zone: str, wish: Wish) -> None:
        known = self._wishes.get(zone)
        if self._stopped or (known is not None and wish.source == known.source):
            return
        self._wishes[zone] = self._new[zone] = wish
        if self._written is None:
            self._written = asyncio.get_running_loop().create_task(self._write_out())

    def release(self, zone: str) -> None:
        """The zone writes its ref itself."""
        self._new.pop(zone, None)
        self._rendered.pop(zone, None)
        self.errors.pop(zone, None)
        if self._wishes.pop(zone, None) is not None:
            self.writer.release(zone)
            self._deliver(Released(zone))

    async def _write_out(self) -> None:
        """Files of the newest status, in a thread: a thousand services take 25 ms at first."""
        while self._new:
            batch, self._new = self._new, {}
            for zone, wish in batch.items():
                await self._write_one(zone, wish)
            with suppress(TimeoutError):
                async with asyncio.timeout(self.options.make_gap_s):
                    await self._stopping.wait()
        self._written = None

    async def _write_one(self, zone: str, wish: Wish) -> None:
        try:
            made = await asyncio.to_thread(wish.make, self._rendered.get(zone) or Rendering())
        except Exception as error:  # a fault of ours: the next status may have none
            self.log.exception("status.failed")
            self.errors[zone] = fault_of_ours(error)
            return
        if self._stopped or zone not in self._wishes:
            return
        self._rendered[zone] = made.rendering
        known = self.state.refs.get(zone)
        self._tell(zone, known.reported if known is not None else "")
        self._deliver(Wanted(zone, made.content, self.writer.clock()))

    async def stop(self) -> None:
        """What waits is pushed if that works within a few seconds; nothing is pushed after this. A
        call under way to a remote is broken off.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(FLUSH_S):
                await self._flush()
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()
        work = [task for task in (self._written, self._work) if task is not None]
        with suppress(TimeoutError):  # A local disk that hangs holds a thread, and nothing else.
            async with asyncio.timeout(CLOSE_S):
                await asyncio.to_thread(self.writer.close)
                await asyncio.gather(*work)
        if left := sorted(behind(self.state)):
            note(self.log, "status.flush_failed", zones=left)

    async def _flush(self) -> None:
        self._stopping.set()
        while self._written is not None:
            await asyncio.shield(self._written)
        if not self._stopped:
            self._deliver(Flush(self.writer.clock()))
        while self.state.reading or self.state.pushing:
            moved = self._moved
            await moved.wait()

    def _deliver(self, event: Event) -> None:
        self.state, effects = step(self.state, event)
        for effect in effects:
            self._carry_out(effect)
        self._moved.set()
        self._moved = asyncio.Event()

    def _carry_out(self, effect: Effect) -> None:
        match effect:
            case ReadTips() | Push():
                self._work = asyncio.get_running_loop().create_task(self._answer(effect))
            case WakeAt(at):
                self._wake_at(at)
            case Report(zone, message):
                self._tell(zone, message)
                note(
                    self.log,
                    "status.failed" if message else "status.recovered",
                    zone=zone,
                    message=message,
                )

    def _tell(self, zone: str, message: str) -> None:
        if message:
            self.errors[zone] = message
        else:
            self.errors.pop(zone, None)

    async def _answer(self, effect: ReadTips | Push) -> None:
        event = await asyncio.to_thread(self.writer.carry_out, effect)
        if not self._stopped:
            self._deliver(event)

    def _wake_at(self, at: float) -> None:
        """The step asks again after each tick, so one timer is enough."""
        if self._timer is not None:
            self._timer.cancel()
        delay = max(at - self.writer.clock(), 0.0)
        self._timer = asyncio.get_running_loop().call_later(delay, self._tick)

    def _tick(self) -> None:
        self._timer = None
        if not self._stopped:
            self._deliver(Tick(self.writer.clock()))


def content_of(status: StatusInput, inventory: Inventory, before: Rendering) -> Made:
    found = before.after(status, inventory)
    tree = found.files
    content = Content(files_digest(tree), tree, summary(status), reach(status))
    return Made(content, found)
