"""Decide, write, send: what waits for the disk, what does not, and what a bad disk may hold up."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from reconciler.runtime import outbox
from reconciler.runtime.outbox import Outbox

if TYPE_CHECKING:
    from collections.abc import Mapping

Rows = dict[tuple[str, str], bytes | None]


@dataclass(slots=True)
class Disk:
    """Writes hang until `turns` has a permit for each; `fails` makes that many fail first."""

    written: list[Rows] = field(default_factory=list)
    fails: int = 0
    failure: Exception = field(default_factory=lambda: OSError("the disk is full"))
    turns: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def write(self, rows: Mapping[tuple[str, str], bytes | None]) -> None:
        assert self.turns.acquire(timeout=10), "nobody let this write go on"
        if self.fails:
            self.fails -= 1
            raise self.failure
        self.written.append(dict(rows))


@dataclass(slots=True)
class Desk:
    """An outbox whose effects are words; a word with "=" is a row to write."""

    disk: Disk = field(default_factory=Disk)
    sent: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def outbox(self) -> Outbox[str, bytes]:
        return Outbox(rows_of, self.disk.write, self._send, self._hear)

    def _send(self, effect: str) -> None:
        if effect == "fault":
            raise RuntimeError("a bug")
        self.sent.append(effect)
        self.news.set()

    def _hear(self, error: str) -> None:
        self.said.append(error)
        self.news.set()

    async def until_sent(self, *effects: str) -> None:
        async with asyncio.timeout(10):
            while self.sent != list(effects):
                self.news.clear()
                await self.news.wait()

    async def until_said(self, count: int) -> None:
        async with asyncio.timeout(10):
            while len(self.said) < count:
                self.news.clear()
                await self.news.wait()


def rows_of(effect: str) -> Rows | None:
    key, separator, value = effect.partition("=")
    return {("row", key): value.encode() or None} if separator else None


def row(key: str, value: bytes | None) -> Rows:
    return {("row", key): value}


async def test_what_was_decided_after_a_write_waits_until_it_is_on_disk() -> None:
    desk = Desk()
    out = desk.outbox()
    out.add(["before", "a=1", "after"])
    assert desk.sent == ["before"]
    desk.disk.turns.release()
    await desk.until_sent("before", "after")
    assert desk.disk.written == [row("a", b"1")]
    await out.close()


async def test_settled_is_what_was_decided_before_and_a_bad_disk_is_not_waited_for() -> None:
    desk = Desk(Disk(fails=1))
    out = desk.outbox()
    await out.settled()
    out.add(["a=1"])
    settling = asyncio.create_task(out.settled())
    await asyncio.sleep(0)
    assert not settling.done()
    desk.disk.turns.release(2)
    async with asyncio.timeout(10):
        await settling
    assert out.error == "the disk is full"
    await out.close()
    assert desk.disk.written == [row("a", b"1")]


async def test_effects_without_a_write_go_out_at_once() -> None:
    desk = Desk()
    out = desk.outbox()
    out.add(["x", "y"])
    out.add(["z"])
    assert desk.sent == ["x", "y", "z"]
    await out.close()


async def test_effects_of_later_events_keep_their_place() -> None:
    desk = Desk()
    out = desk.outbox()
    out.add(["a=1", "first"])
    out.add(["second"])
    assert desk.sent == []
    desk.disk.turns.release()
    await desk.until_sent("first", "second")
    await out.close()


async def test_writes_that_wait_become_one_with_the_newest_value_of_each_row() -> None:
    """The disk is asked twice, however many proxies register meanwhile."""
    desk = Desk()
    out = desk.outbox()
    out.add(["a=1", "one"])
    await asyncio.sleep(0)  # Its write begins.
    for effects in (["b=2", "two"], ["a=3", "three"], ["b=", "four"]):
        out.add(effects)
    desk.disk.turns.release(2)
    await desk.until_sent("one", "two", "three", "four")
    assert desk.disk.written == [row("a", b"1"), row("b", None) | row("a", b"3")]
    await out.close()


async def test_a_slow_disk_does_not_hold_up_the_mesh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "PATIENCE_S", 0.01)
    desk = Desk()
    out = desk.outbox()
    out.add(["a=1", "endpoint is gone"])
    await desk.until_sent("endpoint is gone")
    assert desk.disk.written == []
    assert "takes longer" in out.error
    desk.disk.turns.release()
    await desk.until_said(2)
    assert out.error == ""
    assert desk.disk.written == [row("a", b"1")]
    await out.close()


async def test_a_full_disk_is_reported_and_its_rows_are_written_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Rows of a failed write do not overwrite newer ones."""
    monkeypatch.setattr(outbox, "RETRY_FIRST_S", 0.01)
    desk = Desk(Disk(fails=1))
    out = desk.outbox()
    out.add(["a=1", "b=1", "one"])
    desk.disk.turns.release()
    await desk.until_sent("one")
    assert out.error == "the disk is full"
    out.add(["a=2", "two"])
    desk.disk.turns.release()
    await desk.until_sent("one", "two")
    await desk.until_said(2)
    assert desk.said == ["the disk is full", ""]
    assert desk.disk.written == [row("a", b"2") | row("b", b"1")]
    await out.close()


async def test_a_hung_disk_holds_up_nothing_that_is_decided_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also what is decided after a second write, which cannot begin before the first has ended."""
    monkeypatch.setattr(outbox, "PATIENCE_S", 0.01)
    desk = Desk()
    out = desk.outbox()
    out.add(["a=1", "one"])
    await asyncio.sleep(0)
    out.add(["b=2", "two"])
    await desk.until_sent("one", "two")
    out.add(["c=3", "three"])
    assert desk.sent == ["one", "two", "three"]
    desk.disk.turns.release(2)
    await out.close()
    assert desk.disk.written == [row("a", b"1"), row("b", b"2") | row("c", b"3")]


async def test_a_full_disk_holds_up_nothing_until_it_is_tried_again() -> None:
    """The next try may be half a minute away. Once the disk works, it is waited for again."""
    desk = Desk(Disk(fails=1))
    out = desk.outbox()
    out.add(["a=1", "one"])
    desk.disk.turns.release()
    await desk.until_said(1)
    out.add(["b=2", "two"])
    assert desk.sent == ["one", "two"]
    desk.disk.turns.release()
    await desk.until_said(2)
    out.add(["c=3", "three"])
    assert desk.sent == ["one", "two"]
    desk.disk.turns.release()
    await desk.until_sent("one", "two", "three")
    await out.close()


async def test_a_fault_of_ours_while_writing_loses_neither_rows_nor_effects(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(outbox, "RETRY_FIRST_S", 0.01)
    desk = Desk(Disk(fails=1, failure=ValueError("no such type")))
    out = desk.outbox()
    out.add(["a=1", "one"])
    desk.disk.turns.release(2)
    await desk.until_said(2)
    assert desk.said == ["internal error, please report it: ValueError: no such type", ""]
    assert desk.sent == ["one"]
    assert desk.disk.written == [row("a", b"1")]
    await out.close()


async def test_closing_writes_and_sends_what_was_decided() -> None:
    desk = Desk()
    out = desk.outbox()
    out.add(["a=1", "one"])
    await asyncio.sleep(0)
    out.add(["b=2", "two"])
    desk.disk.turns.release(2)
    await out.close()
    assert desk.sent == ["one", "two"]
    assert desk.disk.written == [row("a", b"1"), row("b", b"2")]


async def test_closing_ends_although_the_disk_stays_full() -> None:
    desk = Desk(Disk(fails=5))
    out = desk.outbox()
    out.add(["a=1", "one"])
    desk.disk.turns.release(5)
    async with asyncio.timeout(5):
        await out.close()
    assert desk.sent == ["one"]
    assert desk.said == ["the disk is full"]


async def test_effect_that_fails_is_told_and_holds_up_no_other() -> None:
    desk = Desk()
    out = desk.outbox()
    with pytest.raises(RuntimeError, match="a bug"):
        out.add(["one", "fault", "two", "a=1", "three"])
    await desk.until_sent("one", "two")
    desk.disk.turns.release()
    await desk.until_sent("one", "two", "three")
    await out.close()


async def test_too_much_waiting_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "WAITING_MAX", 3)
    desk = Desk()
    out = desk.outbox()
    out.add(["a=1", "1", "2", "3"])
    assert desk.sent == []
    out.add(["4"])
    assert desk.sent == ["1", "2", "3", "4"]
    desk.disk.turns.release()
    await out.close()


async def test_what_is_decided_in_one_turn_of_the_loop_is_one_transaction() -> None:
    """Also the first of it; nothing is sent before it is written."""
    desk = Desk()
    box = desk.outbox()
    for number in range(100):
        box.add([f"row-{number}=x", f"told-{number}"])
    assert desk.sent == []
    desk.disk.turns.release()
    await desk.until_sent(*(f"told-{number}" for number in range(100)))
    assert [len(rows) for rows in desk.disk.written] == [100]
    await box.close()
