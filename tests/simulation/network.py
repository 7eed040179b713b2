"""Streams between simulated parts: ordered within one, not between them; cut at any moment, losing
what is under way.

That is what gRPC gives: a lost or reordered message shows as a broken stream, and two streams
overtake each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from tests.simulation.clock import SimClock

DELAY_MAX_S = 0.05
SLOW_SHARE = 0.02  # of messages; a clogged link
SLOW_MAX_S = 3.0


@dataclass
class Stream:
    """Both directions of one stream between a client and a server.

    `alive` goes False for good when it is cut; each end learns of it by itself, in any order, so
    that a client may be back while the server still counts on the old stream.
    """

    clock: SimClock
    random: Random
    client_learns: Callable[[], None]
    server_learns: Callable[[], None]
    alive: bool = True
    clear_at: tuple[float, float] = (0.0, 0.0)

    def carry(self, direction: int, deliver: Callable[[], None]) -> None:
        """Deliver after a random delay, never before what was sent earlier in the same
        direction.
        """
        slow = self.random.random() < SLOW_SHARE
        delay = self.random.uniform(0.0001, SLOW_MAX_S if slow else DELAY_MAX_S)
        moment = max(self.clock.now + delay, self.clear_at[direction])
        self.clear_at = (moment, self.clear_at[1]) if direction == 0 else (self.clear_at[0], moment)

        def arrive() -> None:
            if self.alive:
                deliver()

        self.clock.at(moment, arrive)

    def cut(self) -> None:
        """Both ends learn of it a little later."""
        if self.alive:
            self.alive = False
            self.clock.after(self.random.uniform(0.0, 0.5), self.client_learns)
            self.clock.after(self.random.uniform(0.0, 2.0), self.server_learns)
