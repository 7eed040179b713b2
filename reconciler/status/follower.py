"""Runs the status step on the event loop: what the zone wants to say, down to its ref in Git.

The latest status wins; nothing queues while Git is away. Reading and committing happen in a thread.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconciler.runtime.log import note
from reconciler.status.document import Inventory, StatusInput, files, files_digest, summary
from reconciler.steps.status_step import (
    Content,
    Effect,
    Event,
    Push,
    ReadTip,
    Report,
    StatusSettings,
    StatusState,
    Tick,
    WakeAt,
    Wanted,
    step,
)

if TYPE_CHECKING:
    import logging

    from reconciler.status.writer import StatusWriter


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowerOptions:
    settings: StatusSettings
    inventory: Inventory = Inventory.CLASSES


class StatusFollower:
    """`want` what the ref shall say; `error` is why it does not get there, "" when all is well."""

    def __init__(self, writer: StatusWriter, options: FollowerOptions, log: logging.Logger) -> None:
        self.writer = writer
        self.options = options
        self.log = log
        self.state = StatusState(options.settings)
        self.error = ""
        self._wanted: StatusInput | None = None
        self._written: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._work: asyncio.Task[None] | None = None
        self._stopped = False

    def want(self, status: StatusInput) -> None:
        """Returns at once; equal to the last one it costs a comparison."""
        if self._stopped or status == self._wanted:
            return
        self._wanted = status
        if self._written is None:
            self._written = asyncio.get_running_loop().create_task(self._write_out())

    async def _write_out(self) -> None:
        """Files of the newest status, in a thread: a thousand services take 25 ms."""
        status: StatusInput | None = None
        while status is not self._wanted:
            status = self._wanted
            assert status is not None
            try:
                content = await asyncio.to_thread(content_of, status, self.options.inventory)
            except Exception as error:  # a fault of ours: the next status may have none
                self.log.exception("status.failed")
                self.error = f"internal error, please report it: {type(error).__name__}: {error}"
                continue
            self.error = self.state.reported
            if not self._stopped:
                self._deliver(Wanted(content, self.writer.clock()))
        self._written = None

    async def stop(self) -> None:
        """Nothing is pushed after this; a call under way to a remote is broken off."""
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()
        await asyncio.to_thread(self.writer.close)
        for task in (self._written, self._work):
            if task is not None:
                await task

    def _deliver(self, event: Event) -> None:
        self.state, effects = step(self.state, event)
        for effect in effects:
            self._carry_out(effect)

    def _carry_out(self, effect: Effect) -> None:
        match effect:
            case ReadTip() | Push():
                self._work = asyncio.get_running_loop().create_task(self._answer(effect))
            case WakeAt(at):
                self._wake_at(at)
            case Report(message):
                self.error = message
                note(self.log, "status.failed" if message else "status.recovered", message=message)

    async def _answer(self, effect: ReadTip | Push) -> None:
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


def content_of(status: StatusInput, inventory: Inventory) -> Content:
    tree = files(status, inventory)
    return Content(files_digest(tree), tree, summary(status))
