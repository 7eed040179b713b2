"""The status commits of one simulated zone: the real step and writer, and a Git that fails."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.git.status_journal import MemoryJournal
from reconciler.status.document import Inventory, Rendering
from reconciler.status.follower import content_of
from reconciler.status.writer import StatusWriter
from reconciler.steps import status_state as s
from reconciler.steps.status_step import step
from tests.simulation.invariants import InvariantBroken, check_status_kept
from tests.simulation.repository import SimStatusRefs

if TYPE_CHECKING:
    from collections.abc import Callable

    from reconciler.status.document import StatusInput
    from tests.simulation.world import World

GIT_FAILS = 0.1  # share of status reads and pushes, until healed
SETTINGS = s.StatusSettings(backoff=lambda failures: min(60.0, 2.0**failures), coalesce_s=2.0)


class SimStatus:
    def __init__(self, world: World, zone: str) -> None:
        self.world = world
        self.zone = zone
        refs = SimStatusRefs(world.git, self._trouble)
        self.writer = StatusWriter(zone, refs, MemoryJournal(), lambda: world.clock.now)
        self.restart()

    def restart(self) -> None:
        """With its zone's process; nothing of its memory remains."""
        self.runs = object()
        self.state = s.StatusState(SETTINGS)
        self.wanted: StatusInput | None = None
        self.rendering = Rendering()

    def want(self, status: StatusInput) -> None:
        if status != self.wanted:  # As the follower does.
            self.wanted = status
            made = content_of(status, Inventory.CLASSES, self.rendering)
            self.rendering = made.rendering
            self.deliver(s.Wanted(self.zone, made.content, self.world.clock.now))

    def deliver(self, event: s.Event) -> None:
        self.state, effects = step(self.state, event)
        for effect in effects:
            self._do(effect)

    def _do(self, effect: s.Effect) -> None:
        match effect:
            case s.ReadTips():
                self._later(lambda: self.writer.carry_out(effect))
            case s.Push(changes):
                contents = [change.content.files.values() for change in changes.values()]
                if any(self.zone not in text.decode() for found in contents for text in found):
                    raise InvariantBroken(f"{self.zone} pushes what is not its own")
                self._later(lambda: self._push(effect))
            case s.WakeAt(at):
                now = self.world.clock.now
                self._later(lambda: s.Tick(self.world.clock.now), at - now)
            case _:
                pass

    def _push(self, push: s.Push) -> s.Event:
        before = self.world.status_commits()
        check_status_kept(self.world, self.zone, push)
        event = self.writer.carry_out(push)
        after = self.world.status_commits()
        written = {ref for ref in after if after[ref] != before.get(ref)}
        if written - {f"refs/heads/status/{self.zone}"}:
            raise InvariantBroken(f"{self.zone} wrote {written}")
        return event

    def _trouble(self) -> str:
        """How Git fails a call, if it does."""
        if self.world.remote.status in ("away", "refusing"):
            return "before" if self.world.remote.status == "away" else "refused"
        if self.world.calm or self.world.random.random() >= GIT_FAILS:
            return ""
        return self.world.random.choice(["before", "after"])

    def _later(self, event: Callable[[], s.Event], delay_s: float | None = None) -> None:
        """Git answers a little later, unless the process that asked is gone."""
        world, runs = self.world, self.runs

        def fire() -> None:
            if world.zones[self.zone].up and self.runs is runs:
                self.deliver(event())

        slowest = 30.0 if world.remote.status == "slow" else 0.5
        delay = world.random.uniform(0.001, slowest) if delay_s is None else max(delay_s, 0.0)
        world.clock.after(delay, fire)
