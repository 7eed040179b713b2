"""Who waits to be built anew: a queue, and who is gathered for the next round. Pure.

Of one change after the other, each reaches many proxies: a thousand that arrive reach each of the
others, again and again. So whom a change of services reaches is built in rounds. What comes during
a round is gathered for the next. While rounds follow each other the pauses between them grow, up to
three times what a round took: rounds have a quarter of the time, new proxies and policies the rest,
and what comes faster than it can be built is built together. A change that comes when nobody waits
is built at once. Times are those of events (seconds since the epoch).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rpds import HashTrieMap, HashTrieSet

from xds.copying import replace

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

PAUSE = 3  # times what the round took, at most
PAUSE_MAX_S = 0.5  # after which whoever was gathered is built, however long the last round took

NOBODY: HashTrieSet[str] = HashTrieSet()
NO_QUEUE: HashTrieMap[int, str] = HashTrieMap()


@dataclass(frozen=True, slots=True)
class Waiting:
    """Node ids. Nobody is in twice. `due` is when the next round begins at the latest, known once
    somebody is gathered and a turn has come.
    """

    queue: HashTrieMap[int, str] = NO_QUEUE  # by number, from `first` on
    first: int = 0
    queued: HashTrieSet[str] = NOBODY  # the same ones
    gathered: HashTrieSet[str] = NOBODY  # for the next round
    due: float | None = None
    left: int = 0  # of the queue, until the round is over; 0: none is being built
    began: float = 0.0  # the round
    streak: int = 0  # rounds before it for whose end somebody waited
    free_at: float = 0.0  # the next may begin

    def __len__(self) -> int:
        return len(self.queued) + len(self.gathered)

    def __contains__(self, node: str) -> bool:
        return node in self.queued or node in self.gathered

    def __iter__(self) -> Iterator[str]:
        yield from self.queue.values()
        yield from self.gathered

    def with_queued(self, nodes: Iterable[str]) -> Waiting:
        """At the end of the queue, in order; itself when all are in it."""
        fresh = sorted({node for node in nodes if node not in self.queued})
        if not fresh:
            return self
        gathered = self.gathered
        for node in fresh:
            if node in gathered:
                gathered = gathered.discard(node)  # It is built before the round.
        due = self.due if gathered else None
        queue = self.queue.update(dict(enumerate(fresh, self.first + len(self.queue))))
        queued = self.queued.update(fresh)
        return replace(self, queue=queue, queued=queued, gathered=gathered, due=due)

    def with_gathered(self, nodes: Iterable[str]) -> Waiting:
        """For the next round, but who is queued already; itself when there is nobody new."""
        fresh = [n for n in nodes if n not in self.queued and n not in self.gathered]
        return replace(self, gathered=self.gathered.update(fresh)) if fresh else self

    def without(self, nodes: Iterable[str]) -> Waiting:
        """They are gone for good; itself when none of them waits."""
        gone = {node for node in nodes if node in self}
        if not gone:
            return self
        order = [self.queue[number] for number in sorted(self.queue)]
        kept = [node for node in order if node not in gone]
        left = sum(1 for node in order[: self.left] if node not in gone)
        gathered = HashTrieSet(node for node in self.gathered if node not in gone)
        return replace(
            self,
            queue=HashTrieMap(dict(enumerate(kept, self.first))),
            queued=HashTrieSet(kept),
            gathered=gathered,
            due=self.due if gathered else None,
            left=left,
        )

    def at(self, now: float) -> Waiting:
        """With the next round begun, or with the time when it does."""
        if not self.gathered:
            return self
        latest = now + PAUSE_MAX_S if self.due is None else self.due
        due = latest if self.left else min(self.free_at, latest)
        if now < due:
            return self if due == self.due else replace(self, due=due)
        begun = replace(self, gathered=NOBODY, due=None).with_queued(self.gathered)
        streak = 0 if self.due is None else self.streak + 1
        return replace(begun, left=len(begun.queued), began=now, streak=streak)

    def upcoming(self, count: int) -> tuple[str, ...]:
        """Those that `taken` would take."""
        return tuple([self.queue[self.first + n] for n in range(min(count, len(self.queue)))])

    def taken(self, count: int, now: float) -> tuple[tuple[str, ...], Waiting]:
        """The longest waiting few, and who waits still."""
        queue, queued = self.queue, self.queued
        numbers = range(self.first, self.first + min(count, len(queue)))
        batch = tuple(queue[number] for number in numbers)
        for number, node in zip(numbers, batch, strict=True):
            queue, queued = queue.remove(number), queued.remove(node)
        left, free_at = max(0, self.left - len(batch)), self.free_at
        if self.left and not left:
            pause = min(PAUSE, self.streak) * max(0.0, now - self.began)
            free_at = now + min(pause, PAUSE_MAX_S)
        first = self.first + len(batch)
        rest = replace(self, queue=queue, first=first, queued=queued, left=left, free_at=free_at)
        return batch, rest
