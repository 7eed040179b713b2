"""What the global knows of one zone, connected or not, and of the streams it has open."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from rpds import HashTrieMap, HashTrieSet

from reconciler.kds.stats import Counts
from reconciler.state import EMPTY as NO_RESOURCES
from reconciler.state import MeshState

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from reconciler.kds.admin import AdminKind
    from reconciler.kds.admission import Proof
    from reconciler.kds.filters import RelayRules
    from reconciler.kds.manifest import ConvergenceReport
    from reconciler.kds.slice import Pair, Relayed, Slice
    from reconciler.kds.zone_node import Announced
    from reconciler.model.resource import MeshResource, ResourceKey
    from reconciler.status.announcement import ZoneStatus
    from reconciler.steps.global_counts import Subscription
    from xds.delta_receiver import DeltaReceiver
    from xds.delta_sender import DeltaSender


@dataclass(frozen=True, slots=True)
class Told:
    """What changed with one zone's resources, on its way to the others. An owner of "" is the
    global itself.
    """

    number: int
    owner: str
    pairs: tuple[Pair, ...]


@dataclass(frozen=True, slots=True)
class Sifting:
    """What zones relay, looked through for one that has no slice under these rules yet: `at` of
    `waiting` are done.
    """

    rules: RelayRules
    waiting: tuple[MeshResource, ...]
    at: int = 0
    found: Relayed = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Taken:
    """What of a zone's response was taken so far, by mesh and name as the global knows it (`keys`),
    and by `names` as the zone calls it. `errors` by name, `claims` among them of another zone's.
    """

    keys: HashTrieSet[tuple[str, str]] = field(default_factory=HashTrieSet)
    names: HashTrieSet[str] = field(default_factory=HashTrieSet)
    errors: Mapping[str, str] = field(default_factory=dict)
    claims: frozenset[str] = frozenset()

    def and_then(
        self,
        keys: Iterable[tuple[str, str]],
        names: Iterable[str],
        errors: Mapping[str, str],
        claims: Iterable[str],
    ) -> Taken:
        """With the next part of it, which costs as much as that part."""
        return Taken(
            self.keys.update(keys),
            self.names.update(names),
            {**self.errors, **errors} if errors else self.errors,
            self.claims.union(claims) if claims else self.claims,
        )


@dataclass(frozen=True, slots=True)
class Session:
    """One sync stream of a zone; `downward` is GlobalToZoneSync, the other has receivers.

    `shown` is what a downward stream should hold, from its first request on. `held` are types whose
    response is over the peer's limit, `large` those whose first response nearly is: in bytes.
    """

    id: str
    zone: str
    downward: bool
    hashes: bool = True  # the names it sends carry the zone's hash
    proof: Proof | None = None
    opened_at: float = 0.0
    updated_at: float = 0.0  # when the zone last asked or answered, downward
    reack_at: float | None = None  # a real Kuma zone is told its last answers again
    announced: Announced | None = None
    shown: Slice | None = None
    senders: HashTrieMap[str, DeltaSender] = field(default_factory=HashTrieMap)
    receivers: HashTrieMap[str, DeltaReceiver] = field(default_factory=HashTrieMap)
    taken: Taken = field(default_factory=Taken)  # of a response of which more is to come
    nonces: int = 0
    counts: HashTrieMap[str, Counts] = field(default_factory=HashTrieMap)
    held: HashTrieMap[str, int] = field(default_factory=HashTrieMap)
    large: HashTrieMap[str, int] = field(default_factory=HashTrieMap)
    sifting: Sifting | None = None
    seen: int = 0  # number of the last change of other zones that `shown` has
    owes: tuple[str, ...] = ()  # types to offer, and then the manifest

    def counted(self, type_: str, more: Counts) -> HashTrieMap[str, Counts]:
        """`counts` with more."""
        return self.counts.insert(type_, self.counts.get(type_, Counts()) + more)


@dataclass(frozen=True, slots=True)
class AdminStream:
    """A stream on which a zone answers what is asked of its proxies."""

    id: str
    zone: str
    kind: AdminKind
    opened_at: float
    proof: Proof


Refusals: TypeAlias = "HashTrieMap[str, HashTrieMap[str, str]]"  # type -> name -> why


@dataclass(frozen=True, slots=True)
class ZoneRecord:
    """What is known of a zone, connected or not."""

    name: str
    identity: str = ""  # proven identity of whoever holds its streams
    streams: tuple[str, ...] = ()  # sessions of its open sync streams, oldest first
    owned: MeshState = NO_RESOURCES  # its Dataplanes, ingresses, insights
    relayed: MeshState = NO_RESOURCES  # of these, what goes on to the other zones
    remembered: bool = False  # what it relays is from before this start, nothing live yet
    report: ConvergenceReport | None = None
    took: str = ""  # revision that a zone of Kuma, which reports none, acknowledged whole last
    announced: ZoneStatus | None = None  # who writes its status ref; None: not told yet
    heard: frozenset[str] = frozenset()  # types it has told in full on its streams of now
    connected_at: float | None = None
    disconnected_at: float | None = None
    rejected: HashTrieMap[str, str] = field(default_factory=HashTrieMap)  # type -> its NACK
    refused: Refusals = field(default_factory=HashTrieMap)
    past: tuple[Subscription, ...] = ()  # streams that ended, oldest first
    health_at: float | None = None  # when it last said that it lives
    times: HashTrieMap[ResourceKey, tuple[float, float]] = field(
        default_factory=HashTrieMap
    )  # when what it owns came here, and when it last changed; not of insights, which say so
    claims: int = 0  # of another zone's name, refused since this start
