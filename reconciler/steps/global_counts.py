"""What the global counts of its zones, their streams and services: values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from rpds import HashTrieMap

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.kds.stats import Counts
    from reconciler.kds.zone_node import Announced


@dataclass(frozen=True, slots=True)
class Subscription:
    """One GlobalToZoneSync stream; `ended` is None while it is open."""

    session: str
    began: float
    ended: float | None
    announced: Announced
    counts: Mapping[str, Counts]
    has_token: bool
    updated: float = 0.0  # when the zone last asked or answered; 0: never


@dataclass(frozen=True, slots=True)
class Tally:
    """Proxies of one service in one zone."""

    total: int = 0
    online: int = 0
    gateways: int = 0
    backends: tuple[tuple[str, int], ...] = ()  # that issued their certificates


Tallies: TypeAlias = "HashTrieMap[str, HashTrieMap[tuple[str, str], Tally]]"  # mesh, service, zone


@dataclass(frozen=True, slots=True)
class Services:
    tallies: Tallies = field(default_factory=HashTrieMap)
    dirty: frozenset[str] = frozenset()  # meshes
    due: float | None = None
    last: float | None = None
