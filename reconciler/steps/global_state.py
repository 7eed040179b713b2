"""What the global control plane knows, what may happen to it, and what it may do: state, events and
effects.

Values only; `global_step` and its rooms hold the transitions.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rpds import HashTrieMap

from reconciler.kds.admission import Proof, ZoneKeys
from reconciler.kds.filters import RelayRules
from reconciler.kds.sizes import KUMA_MAX, OURS_MAX
from reconciler.kds.zone_node import HASH_SUFFIX, kuma_version
from reconciler.repository_settings import RepositorySettings
from reconciler.state import EMPTY as NO_RESOURCES
from reconciler.state import MeshState, ResourceDiff
from reconciler.steps.global_counts import Services
from xds.discovery import DeltaRequest, DeltaResponse, Node

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from reconciler.kds.admin import AdminKind
    from reconciler.kds.slice import Framed
    from reconciler.kds.zone_node import ZoneFeatures
    from reconciler.model.resource import MeshResource, ResourceKey
    from reconciler.problems import Position, Problem
    from reconciler.steps.zone_record import AdminStream, Session, Told, ZoneRecord

HISTORY_MAX = 1000
PROBLEMS_MAX = 1000
GATE_TYPES = ("Zone", "GlobalSecret")  # which zones there are, and with which tokens they come in

# --- settings and state ---


@dataclass(frozen=True, slots=True, kw_only=True)
class GlobalSettings:
    """`message_max` is for zones of ours, `kuma_message_max` for those of a real Kuma: bytes."""

    instance: str
    version: str
    message_max: int = OURS_MAX
    kuma_message_max: int = KUMA_MAX
    takes_over: bool = False  # zones of another cluster: --new-keys was given
    # After a loss of the store, for zones to come back: they dial within 15 s, and may have lost
    # their own stores and be gathering for 45.
    gather_s: float = 65.0


@dataclass(frozen=True, slots=True)
class ReconcileKey:
    """What must move to cause work: the tree of the policy path, the blob of `reconciler.yaml`, and
    the values of the secrets that the commit refers to (`secrets` is equal when they are).
    """

    tree: str
    settings: str
    secrets: str = ""


@dataclass(frozen=True, slots=True)
class Revision:
    """A loaded commit: everything global-owned that it stands for, secrets and defaults
    included.
    """

    commit: str
    key: ReconcileKey
    resources: MeshState
    provenance: Mapping[ResourceKey, Position] = field(default_factory=dict)
    warnings: tuple[Problem, ...] = ()
    settings: RepositorySettings = field(default_factory=RepositorySettings)
    # Made beforehand, and not on the loop: for zones with all features; GATE_TYPES of `resources`.
    framed: Framed | None = None
    gates: MeshState | None = None
    # Resources of the revision before, and what leads from them to these; None: it is looked for.
    since: tuple[MeshState, ResourceDiff] | None = None


@dataclass(frozen=True, slots=True)
class Rejected:
    """The newest commit, which is not in force because of its problems."""

    commit: str
    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class Held:
    """The newest commit, which does not descend from the one in force: a rewritten history, an
    older commit. It waits for `reconciler accept`.
    """

    commit: str
    in_force: str


@dataclass(frozen=True, slots=True)
class GlobalState:
    settings: GlobalSettings
    wanted: str | None = None  # the newest commit seen
    loading: str | None = None
    reload: bool = False  # values of secrets changed while a commit was loaded
    published: Revision | None = None
    rejected: Rejected | None = None
    fetch_error: str | None = None
    load_error: str | None = None  # why the newest commit could not be read
    base: str | None = None  # in force last, here or before this start; others descend from it
    base_due: bool = False  # to be loaded before anything newer
    base_unread: bool = False  # it could not be read; tried again when its time comes
    held: Held | None = None
    accepted: str | None = None  # the commit that need not descend from `base`
    history: tuple[str, ...] = ()  # commits that were in force, oldest first
    sessions: HashTrieMap[str, Session] = field(default_factory=HashTrieMap)
    admin: HashTrieMap[str, AdminStream] = field(default_factory=HashTrieMap)
    zones: HashTrieMap[str, ZoneRecord] = field(default_factory=HashTrieMap)
    framed: HashTrieMap[ZoneFeatures, Framed] = field(default_factory=HashTrieMap)
    rules: RelayRules = field(default_factory=RelayRules)
    keys: ZoneKeys = field(default_factory=ZoneKeys)
    declared: frozenset[str] = frozenset()  # zones with a Zone resource in the revision in force
    gathering: bool = False  # what zones give to each other is not known: nothing is relayed
    gathers_until: float | None = None  # None: until then no zone has come
    services: Services = field(default_factory=Services)
    service_insights: MeshState = NO_RESOURCES
    due: Mapping[str, None] = field(default_factory=dict)  # sessions to offer to, in this order
    told: tuple[Told, ...] = ()  # changes that a session in `due` has yet to be shown
    changes: int = 0  # number of the last of them

    def streams_of(self, zone: str) -> Iterator[Session]:
        """Its open sync streams; a search among those of all zones would cost each of their
        messages.
        """
        record = self.zones.get(zone)
        return (self.sessions[stream] for stream in (record.streams if record else ()))


# --- events ---


@dataclass(frozen=True, slots=True)
class Restored:
    """From this control plane's own disk, at start: what zones had sent to be relayed, the commit
    in force last, and the one that was accepted and is not in force yet. `lost`: what zones had
    sent is not here any more.
    """

    relayed: Mapping[str, tuple[MeshResource, ...]]
    in_force: str | None = None
    accepted: str | None = None
    lost: bool = False


@dataclass(frozen=True, slots=True)
class StatusRefsRead:
    """Ingresses that zones had written to their status refs, read at start."""

    ingresses: Mapping[str, tuple[MeshResource, ...]]


@dataclass(frozen=True, slots=True)
class TipMoved:
    commit: str


@dataclass(frozen=True, slots=True)
class FetchFailed:
    message: str


@dataclass(frozen=True, slots=True)
class FetchRecovered:
    """The repository answers again."""


@dataclass(frozen=True, slots=True)
class SecretsChanged:
    """A file that a commit's `secrets.yaml` refers to is another one."""


@dataclass(frozen=True, slots=True)
class Unchanged:
    """A loaded commit that moves neither part of the reconcile key."""

    commit: str


@dataclass(frozen=True, slots=True)
class Loaded:
    revision: Revision


@dataclass(frozen=True, slots=True)
class LoadRejected:
    commit: str
    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class LoadFailed:
    """The commit could not be read: the world's fault, tried again when the tip or the time moves
    on.
    """

    commit: str
    message: str


@dataclass(frozen=True, slots=True)
class LoadHeld:
    """The commit does not descend from `in_force`."""

    commit: str
    in_force: str


@dataclass(frozen=True, slots=True)
class Accepted:
    """An operator takes responsibility for the commit that is held."""

    commit: str


@dataclass(frozen=True, slots=True)
class RetryDue:
    """Some time after a LoadFailed. `tip` is where the branch is now."""

    tip: str | None


@dataclass(frozen=True, slots=True)
class ZoneOpened:
    session: str
    zone: str
    downward: bool
    identity: str
    now: float
    features: tuple[str, ...] = (HASH_SUFFIX,)  # of the call's headers
    proof: Proof | None = None


@dataclass(frozen=True, slots=True)
class ZoneSubscribed:
    """A request on GlobalToZoneSync."""

    session: str
    request: DeltaRequest
    now: float = 0.0


@dataclass(frozen=True, slots=True)
class ZonePublished:
    """A response on ZoneToGlobalSync, or a part of one: with `more`, the rest is in the events of
    this session that follow.
    """

    session: str
    response: DeltaResponse
    now: float = 0.0
    more: bool = False


@dataclass(frozen=True, slots=True)
class ZoneHealthy:
    """A zone's health check."""

    zone: str
    now: float


@dataclass(frozen=True, slots=True)
class ZoneClosed:
    session: str
    now: float


@dataclass(frozen=True, slots=True)
class AdminOpened:
    session: str
    zone: str
    kind: AdminKind
    now: float
    proof: Proof


@dataclass(frozen=True, slots=True)
class AdminClosed:
    session: str


@dataclass(frozen=True, slots=True)
class OfferDue:
    """Time to offer to the next few zones; answers `OfferSoon`."""


@dataclass(frozen=True, slots=True)
class Tick:
    """A moment that a `WakeAt` asked for."""

    now: float


Event = (
    Restored
    | StatusRefsRead
    | TipMoved
    | FetchFailed
    | FetchRecovered
    | SecretsChanged
    | Unchanged
    | Loaded
    | LoadRejected
    | LoadFailed
    | LoadHeld
    | Accepted
    | RetryDue
    | ZoneOpened
    | ZoneSubscribed
    | ZonePublished
    | ZoneClosed
    | ZoneHealthy
    | AdminOpened
    | AdminClosed
    | OfferDue
    | Tick
)

# --- effects ---


@dataclass(frozen=True, slots=True)
class Load:
    """Read, decode and check a commit; Loaded, Unchanged, LoadRejected, LoadFailed or LoadHeld
    answers. It must be or descend from `after`; None: it may be any. `behind` are zones where not
    every proxy has the revision in force.
    """

    commit: str
    published: ReconcileKey | None
    after: str | None = None
    behind: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SendResponse:
    session: str
    response: DeltaResponse


@dataclass(frozen=True, slots=True)
class SendRequest:
    session: str
    request: DeltaRequest


@dataclass(frozen=True, slots=True)
class CloseSession:
    """`code` is a gRPC status number, never 0 (a real zone takes OK for a graceful end and stays
    silent).
    """

    session: str
    code: int
    message: str


@dataclass(frozen=True, slots=True)
class KeepRelayed:
    """To disk: what a zone gives to the others outlives this process."""

    zone: str
    put: tuple[MeshResource, ...]
    drop: tuple[ResourceKey, ...]


@dataclass(frozen=True, slots=True)
class KeepMadeGood:
    """To disk: what was lost has come again."""


@dataclass(frozen=True, slots=True)
class RevisionInForce:
    """Keep and announce: the published revision has changed."""

    commit: str


@dataclass(frozen=True, slots=True)
class KeepAccepted:
    """To disk: what was accepted counts over a restart, until it is in force. None: it no longer
    does.
    """

    commit: str | None


@dataclass(frozen=True, slots=True)
class OfferSoon:
    """`OfferDue` is wanted once everything else had its turn."""


@dataclass(frozen=True, slots=True)
class WakeAt:
    """`Tick` is wanted at this moment: seconds since the epoch."""

    at: float


@dataclass(frozen=True, slots=True)
class Note:
    event: str
    fields: Mapping[str, object]


Effect = (
    Load
    | SendResponse
    | SendRequest
    | CloseSession
    | KeepRelayed
    | KeepMadeGood
    | RevisionInForce
    | KeepAccepted
    | OfferSoon
    | WakeAt
    | Note
)
Effects = tuple[Effect, ...]
Outcome = tuple[GlobalState, Effects]


def global_node(settings: GlobalSettings, zone: str) -> Node:
    """How the global introduces itself on ZoneToGlobalSync: Node.id is the zone's name (facts: kds-
    wire 1.7).
    """
    metadata = {
        "version": kuma_version(settings.version),
        "config": "",
        "control-plane-id": settings.instance,
        "features": [
            "zone-token",
            "hash-suffix",
            "hg-mz-selector",
            "producer-policy-flow",
            "optional-top-level-target-ref",
        ],
    }
    return Node(zone, metadata=metadata)
