"""Who waits to be built anew: who is new, a queue, and who is gathered for the next round. Pure.

Of one change after the other, each reaches many proxies: a thousand that arrive reach each of the
others, again and again. So whom a change of services reaches is built in rounds, and a round is
over when nearly all have answered: their messages and answers cost more than what was built. Who
says nothing for a whole round is not waited for; who is slow is, however often. What comes during a
round is gathered for the next. While rounds follow each other the pauses between them grow, up to
three times what a round took: rounds have a quarter of the time, new proxies and policies the rest,
and what comes faster than it can be built is built together. Where a round takes long they have
half of it, and while many proxies come there is one in ten seconds. A change that comes when nobody
waits is built at once. Who is new and has nothing yet does not stand behind a thousand that have
all but the news: it is every other one that is built.
Times are those of events (seconds since the epoch).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from rpds import HashTrieSet

from xds.copying import replace

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

PAUSE = 3  # times what the round took, at most
PAUSE_MAX_S = 0.5  # or as long as the round took
ROUND_MAX_S = 10.0  # who has not answered by then is waited for no more

NOBODY: HashTrieSet[str] = HashTrieSet()


@dataclass(frozen=True, slots=True)
class Line:
    """First come, first served. To join copies the line: 8 bytes for each that waits."""

    nodes: tuple[str, ...] = ()
    first: int = 0  # of them; those before it were served

    def __len__(self) -> int:
        return len(self.nodes) - self.first

    def __iter__(self) -> Iterator[str]:
        return map(self.nodes.__getitem__, range(self.first, len(self.nodes)))

    def joined(self, nodes: Iterable[str]) -> Line:
        return Line((*self.nodes[self.first :], *nodes))

    def without_first(self, count: int) -> Line:
        return Line(self.nodes, self.first + count) if count < len(self) else Line()


class Heads(NamedTuple):
    """Of those that wait. `passed`: places of the queue, some of which nobody has any more."""

    new: tuple[str, ...]
    queued: tuple[str, ...]
    passed: int

    @property
    def nodes(self) -> tuple[str, ...]:
        return (*self.new, *self.queued)


@dataclass(frozen=True, slots=True)
class Waiting:
    """Node ids. Nobody is in twice. `due` is when the next round begins at the latest, known once
    somebody is gathered and a turn has come.
    """

    new: Line = field(default_factory=Line)
    fresh: HashTrieSet[str] = NOBODY  # the same ones
    queue: Line = field(default_factory=Line)
    queued: HashTrieSet[str] = NOBODY  # of the queue, without those that became new meanwhile
    gathered: HashTrieSet[str] = NOBODY  # for the next round
    due: float | None = None
    left: int = 0  # of the queue, until the round is built; 0: none is being built
    answering: bool = False  # it is built, and answers to it are on their way
    # Of whom answers were awaited when it began -> the answers that each had given
    awaited: Mapping[str, int] = field(default_factory=dict)
    behind: int = 0  # of those, who gave none during the whole round before: they may never
    began: float = 0.0  # the round
    streak: int = 0  # rounds before it for whose end somebody waited
    free_at: float = 0.0  # the next may begin
    took_s: float = 0.0  # the last round, until it was answered

    def __len__(self) -> int:
        return len(self.fresh) + len(self.queued) + len(self.gathered)

    def __contains__(self, node: str) -> bool:
        return node in self.fresh or node in self.queued or node in self.gathered

    def __iter__(self) -> Iterator[str]:
        yield from self.fresh
        yield from self.queued
        yield from self.gathered

    @property
    def is_ready(self) -> bool:
        """Somebody is to be built now."""
        return bool(self.fresh or self.queued)

    @property
    def wait_max_s(self) -> float:
        """From a change to the round that it is built in: such a round, and a pause as long."""
        return max(PAUSE_MAX_S, min(ROUND_MAX_S, 2 * self.took_s))

    def with_new(self, node: str) -> Waiting:
        """It has nothing yet; itself when that is known."""
        if node in self.fresh:
            return self
        gathered, queued = self.gathered.discard(node), self.queued.discard(node)
        due, queue, left = self.due if gathered else None, self.queue, self.left
        if not queued:
            queue, left = Line(), 0
        return replace(
            self,
            new=self.new.joined((node,)),
            fresh=self.fresh.insert(node),
            queue=queue,
            queued=queued,
            gathered=gathered,
            due=due,
            left=left,
        )

    def with_queued(self, nodes: Iterable[str]) -> Waiting:
        """At the end of the queue, in order; itself when all are to be built already."""
        more = sorted({n for n in nodes if n not in self.queued and n not in self.fresh})
        if not more:
            return self
        gathered = self.gathered
        for node in more:
            if node in gathered:
                gathered = gathered.discard(node)  # It is built before the round.
        due = self.due if gathered else None
        queue, queued = self.queue.joined(more), self.queued.update(more)
        return replace(self, queue=queue, queued=queued, gathered=gathered, due=due)

    def with_gathered(self, nodes: Iterable[str]) -> Waiting:
        """For the next round, but who is to be built already; itself when there is nobody new."""
        more = [n for n in nodes if n not in self]
        return replace(self, gathered=self.gathered.update(more)) if more else self

    def without(self, nodes: Iterable[str]) -> Waiting:
        """They are gone for good; itself when none of them waits."""
        gone = {node for node in nodes if node in self}
        if not gone:
            return self
        order = list(self.queue)
        left = len({node for node in order[: self.left] if node in self.queued} - gone)
        kept = [n for n in dict.fromkeys(order) if n in self.queued and n not in gone]
        new = [node for node in self.new if node not in gone]
        gathered = HashTrieSet(node for node in self.gathered if node not in gone)
        return replace(
            self,
            new=Line().joined(new),
            fresh=HashTrieSet(new),
            queue=Line().joined(kept),
            queued=HashTrieSet(kept),
            gathered=gathered,
            due=self.due if gathered else None,
            left=left,
        )

    def at(self, now: float, least_s: float = 0.0) -> Waiting:
        """With the next round begun (nobody is gathered then), or with the time when it does: so
        long after the one before at least.
        """
        if not self.gathered:
            return self
        latest = now + self.wait_max_s if self.due is None else self.due
        if self.answering:
            latest = min(latest, self.began + ROUND_MAX_S)
        due = latest if self.left or self.answering else min(self.free_at, latest)
        due = max(due, self.began + least_s)
        if now < due:
            return self if due == self.due else replace(self, due=due)
        begun = replace(self, gathered=NOBODY, due=None).with_queued(self.gathered)
        streak = 0 if self.due is None else self.streak + 1
        # Whom one waited for in vain may only be slow: the next time it is twice as long.
        took_s = self.wait_max_s if self.answering else self.took_s
        return replace(
            begun,
            left=len(begun.queue),
            began=now,
            streak=streak,
            answering=False,
            took_s=took_s,
        )

    def awaiting(self, answers: Mapping[str, int]) -> Waiting:
        """Told as a round begins: of whom answers are awaited, and how many each has given."""
        silent = sum(self.awaited.get(node) == given for node, given in answers.items())
        return replace(self, awaited=answers, behind=silent)

    def answered(self, now: float) -> Waiting:
        """Nearly all have answered the round."""
        took_s = max(0.0, now - self.began)
        if took_s > ROUND_MAX_S:
            return replace(self, answering=False)
        return replace(self, answering=False, took_s=took_s, free_at=self._free_at(now, took_s))

    def _free_at(self, now: float, took_s: float) -> float:
        return now + min(min(PAUSE, self.streak) * took_s, max(PAUSE_MAX_S, took_s))

    def heads(self, count: int) -> Heads:
        """The longest waiting few."""
        new = list(islice(self.new, count - min(count // 2, len(self.queued))))
        found: list[str] = []
        passed = 0
        for node in self.queue:
            if len(new) + len(found) == count:
                break
            passed += 1
            if node in self.queued and node not in found:
                found.append(node)
        return Heads(tuple(new), tuple(found), passed)

    def without_heads(self, heads: Heads, now: float) -> Waiting:
        """Who waits still when these are built."""
        new, found, passed = heads
        fresh, queued = self.fresh, self.queued
        for node in new:
            fresh = fresh.remove(node)
        for node in found:
            queued = queued.remove(node)
        queue = self.queue.without_first(passed) if queued else Line()
        left, free_at, took_s = max(0, self.left - passed), self.free_at, self.took_s
        left = left if queued else 0
        is_built = bool(self.left and not left)
        if is_built:
            took_s = max(took_s, now - self.began)  # at least, until it is answered
            free_at = self._free_at(now, took_s)
        return replace(
            self,
            new=self.new.without_first(len(new)),
            fresh=fresh,
            queue=queue,
            queued=queued,
            left=left,
            answering=self.answering or is_built,
            free_at=free_at,
            took_s=took_s,
        )
