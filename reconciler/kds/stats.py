"""How often a peer was sent something, and what it said to it: the counters of Kuma's insights.
Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True)
class Counts:
    """Responses of one type on one stream."""

    sent: int = 0
    acknowledged: int = 0
    rejected: int = 0

    def __add__(self, more: Counts) -> Counts:
        return Counts(
            self.sent + more.sent,
            self.acknowledged + more.acknowledged,
            self.rejected + more.rejected,
        )


def stats(counts: Iterable[Counts]) -> dict[str, str]:
    """Their sum as KDSServiceStats and DiscoveryServiceStats have it; numbers of 64 bits are texts
    in JSON.
    """
    total = sum(counts, Counts())
    return {
        "responsesSent": str(total.sent),
        "responsesAcknowledged": str(total.acknowledged),
        "responsesRejected": str(total.rejected),
    }
