"""What a zone control plane knows, what may happen to it, and what it may do: state, events and
effects.

Values only; `zone_step` holds the transitions. Every event that needs the time carries it (`now`,
seconds since the epoch), so that a simulator can replay a run exactly.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rpds import HashTrieMap

from reconciler.kds.upward import Publication
from reconciler.proxy_health import Pace
from reconciler.state import EMPTY as NO_RESOURCES
from reconciler.state import MeshState
from reconciler.steps.inventory import Listed
from reconciler.steps.link_state import GlobalLink
from reconciler.steps.proxies import Proxies
from reconciler.steps.service_members import Services
from reconciler.steps.tally import Tally
from reconciler.steps.waiting import Waiting
from reconciler.vips.allocation import Allocations

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.context import MeshContext
    from reconciler.instances import Target
    from reconciler.kds.manifest import ConvergenceReport
    from reconciler.mesh_names import MeshNames
    from reconciler.model.resource import MeshResource, ResourceKey
    from reconciler.model.spec import Tags
    from reconciler.state import ResourceDiff
    from reconciler.status.announcement import ZoneStatus
    from reconciler.status.document import StatusInput
    from reconciler.steps.link_state import StagedType
    from reconciler.steps.proxy_state import AdminCertificate, Certificate
    from reconciler.steps.zone_settings import ZoneSettings
    from reconciler.view import Reach
    from xds.discovery import DeltaRequest, DeltaResponse
    from xds.health import HealthReport, Introduction, Specifier
    from xds.resource import XdsResource

# --- state ---


@dataclass(frozen=True, slots=True)
class HealthStream:
    """One HDS stream. `asked` is what its proxy was told to check; None while it waits for that
    proxy's ADS stream, which registers it.
    """

    token: str = field(repr=False)
    since: float
    node_id: str = ""  # until the proxy has introduced itself
    asked: Specifier | None = None


@dataclass(frozen=True, slots=True)
class Gathering:
    """After a loss of the store, until what was lost has come again. `lost` are kinds of rows;
    `since` is when there were policies to admit proxies by, `returned` when a proxy came last that
    had a configuration.
    """

    lost: frozenset[str]
    since: float | None = None
    returned: float = -math.inf
    told: bool = False  # its own proxies are gathered, and published


@dataclass(frozen=True, slots=True, kw_only=True)
class Taking:
    """A whole revision on its way into force, and what will be in force then: what it would be if
    it ended with what is taken so far.
    """

    revision: str | None
    staged: HashTrieMap[str, StagedType]
    refused: HashTrieMap[str, HashTrieMap[str, str]]
    applied: HashTrieMap[str, StagedType]
    types: tuple[str, ...]  # that were not compared with what is in force
    left: ResourceDiff  # of the type before these
    policy: MeshState
    merged: MeshState
    change: ResourceDiff  # so far
    kinds: frozenset[str] = frozenset()  # types of what has changed
    reach: Reach
    ways: HashTrieMap[str, MeshContext] = field(
        default_factory=HashTrieMap
    )  # by mesh, a context on the way


@dataclass(frozen=True, slots=True)
class Round:
    """Proxies whose counters go up, a batch at a time; () before the first. Until `until` builds go
    first.
    """

    until: float
    batches: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class ZoneState:
    settings: ZoneSettings
    loaded: bool = False  # the store was read; nothing is published upward before
    gathering: Gathering | None = None  # nothing is published, nor pushed to proxies
    policy: MeshState = NO_RESOURCES  # global-owned, in force
    revision: str | None = None
    relayed: MeshState = NO_RESOURCES  # owned by other zones
    local: MeshState = NO_RESOURCES  # proxies of this zone, and the MeshServices made of them
    merged: MeshState = NO_RESOURCES  # policy, relayed and local together
    contexts: HashTrieMap[str, MeshContext] = field(
        default_factory=HashTrieMap
    )  # by mesh, as needed
    link: GlobalLink = field(default_factory=GlobalLink)
    taking: Taking | None = None  # the next revision
    proxies: Proxies = field(default_factory=Proxies)
    streams: HashTrieMap[str, str] = field(default_factory=HashTrieMap)  # stream -> node id
    credentials: HashTrieMap[str, str] = field(
        default_factory=HashTrieMap
    )  # stream -> token, until its first request
    health: HashTrieMap[str, HealthStream] = field(default_factory=HashTrieMap)  # by stream
    health_of: HashTrieMap[str, str] = field(default_factory=HashTrieMap)  # node id -> stream
    health_waits: HashTrieMap[str, str] = field(
        default_factory=HashTrieMap
    )  # node id -> stream that waits for its proxy's ADS stream
    health_pace: Pace = field(default_factory=Pace)
    health_due: float | None = None  # the first time at which a stream may have waited too long
    stale: HashTrieMap[str, MeshContext] = field(
        default_factory=HashTrieMap
    )  # before a change: what they computed is reused where its inputs are the same
    reached: frozenset[str] = frozenset()  # meshes that have changed since the last turn
    dirty: Waiting = field(default_factory=Waiting)  # node ids whose view may have changed
    resolved: HashTrieMap[str, str] = field(default_factory=HashTrieMap)  # host name -> IP
    # Ingresses of other zones that answered once and do not now -> since when
    silent: HashTrieMap[Target, float] = field(default_factory=HashTrieMap)
    report_due: float | None = None
    insights_due: float | None = None  # when counters of proxies go up
    counting: Round | None = None  # they go up now
    offered: Tally[tuple[str, Tags]] = field(default_factory=Tally)  # mesh and tags
    listed: Listed = field(default_factory=Listed)  # of Dataplanes, for status
    reported: ConvergenceReport | None = None
    announced: ZoneStatus | None = None
    announcement: XdsResource | None = None  # the same as it travels
    announce_due: float | None = None
    published: Publication = field(default_factory=Publication)  # upward
    unpublished: bool = False  # who is there has changed since; the next turn says so
    untold: Mapping[ResourceKey, None] = field(
        default_factory=dict
    )  # local resources that, or whose streams, have changed since; told with the next report
    telling: bool = False  # now, a few a turn
    unwritten: Mapping[ResourceKey, None] = field(
        default_factory=dict
    )  # local resources whose health has changed; written once everybody was told
    unserved: Mapping[ResourceKey, None] = field(
        default_factory=dict
    )  # local resources that, or whose streams, have changed since their services were looked at
    services: Services = field(default_factory=Services)
    refused: Mapping[str, str] = field(default_factory=dict)  # node id -> why, for status
    egressless: tuple[str, ...] = ()  # meshes that were told to lack an egress here
    incomplete: tuple[str, ...] = ()  # what was told to be missing of services outside of meshes
    now: float = 0.0  # of the newest turn
    vips: Allocations = field(default_factory=Allocations)
    kept_vips: Allocations = field(default_factory=Allocations)  # those that the disk has, or gets
    unnamed: HashTrieMap[str, MeshNames] = field(
        default_factory=HashTrieMap
    )  # by mesh, those of which it was told who lacks a name
    names_of: HashTrieMap[str, MeshContext] = field(
        default_factory=HashTrieMap
    )  # the contexts whose names were looked at last
    renew_due: float | None = None  # some certificate is past four fifths of its life then
    token_due: float | None = None  # the next token of a connected proxy runs out
    mass_loss_at: float | None = None  # the last that was found
    away_due: float | None = None  # somebody who is away may be gone for good then, or held no more


# --- events ---


@dataclass(frozen=True, slots=True)
class Restored:
    """The zone's own disk, read at start. `lost` are kinds that it held and holds no more."""

    now: float
    policy: tuple[MeshResource, ...] = ()
    relayed: tuple[MeshResource, ...] = ()
    local: tuple[MeshResource, ...] = ()
    revision: str | None = None
    lost: frozenset[str] = frozenset()
    vips: Allocations = field(default_factory=Allocations)


@dataclass(frozen=True, slots=True)
class GlobalConnected:
    session: str
    now: float = 0.0


@dataclass(frozen=True, slots=True)
class GlobalResponse:
    """From GlobalToZoneSync, a response or a part of one: with `more`, the rest is in the next
    events of this kind.
    """

    session: str
    response: DeltaResponse
    now: float
    more: bool = False


@dataclass(frozen=True, slots=True)
class GlobalRequest:
    """From ZoneToGlobalSync: a subscription, an ACK or a NACK of what we published."""

    session: str
    request: DeltaRequest


@dataclass(frozen=True, slots=True)
class GlobalDisconnected:
    session: str
    reason: str
    now: float = 0.0


@dataclass(frozen=True, slots=True)
class ProxyOpened:
    stream: str
    authorization: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class ProxyRequest:
    stream: str
    request: DeltaRequest
    now: float


@dataclass(frozen=True, slots=True)
class ProxyClosed:
    """`by_peer` is False when this control plane ended the stream: no endpoint is taken
    out then.
    """

    stream: str
    by_peer: bool
    now: float


@dataclass(frozen=True, slots=True)
class ProxyLeaves:
    """The proxy says that it is about to end. It was found to be allowed to (`may_leave`)."""

    node_id: str
    now: float


@dataclass(frozen=True, slots=True)
class HealthOpened:
    stream: str
    authorization: str | None = field(repr=False)
    now: float


@dataclass(frozen=True, slots=True)
class HealthSaid:
    stream: str
    message: Introduction | HealthReport
    now: float


@dataclass(frozen=True, slots=True)
class HealthClosed:
    stream: str


@dataclass(frozen=True, slots=True)
class CertificateIssued:
    node_id: str
    mesh: str
    certificate: Certificate
    now: float


@dataclass(frozen=True, slots=True)
class IssueFailed:
    node_id: str
    mesh: str
    message: str
    now: float


@dataclass(frozen=True, slots=True)
class AdminCertificateIssued:
    """Or not: then with `tls` None and why."""

    node_id: str
    certificate: AdminCertificate
    message: str = ""


@dataclass(frozen=True, slots=True)
class Resolved:
    """Addresses of host names that other zones' ingresses advertise."""

    addresses: Mapping[str, str]
    now: float


@dataclass(frozen=True, slots=True)
class IngressesAsked:
    """Of other zones' ingresses all that do not answer any more, and since when."""

    silent: Mapping[Target, float]
    now: float


@dataclass(frozen=True, slots=True)
class BuildDue:
    """Time to say who is there and to build the next few dirty proxies; answers `BuildSoon`."""

    now: float


@dataclass(frozen=True, slots=True)
class Tick:
    now: float


Event = (
    Restored
    | GlobalConnected
    | GlobalResponse
    | GlobalRequest
    | GlobalDisconnected
    | ProxyOpened
    | ProxyRequest
    | ProxyClosed
    | ProxyLeaves
    | HealthOpened
    | HealthSaid
    | HealthClosed
    | CertificateIssued
    | IssueFailed
    | AdminCertificateIssued
    | Resolved
    | IngressesAsked
    | BuildDue
    | Tick
)


# --- effects ---


@dataclass(frozen=True, slots=True)
class Persist:
    """One transaction. `kind` is "policy", "relayed" or "local"; `revision` is written with it when
    given.
    """

    kind: str
    put: tuple[MeshResource, ...] = ()
    drop: tuple[ResourceKey, ...] = ()
    revision: str | None = None


@dataclass(frozen=True, slots=True)
class PersistVips:
    """All addresses of names, in one row: as text they are made off the loop."""

    allocations: Allocations


@dataclass(frozen=True, slots=True)
class PersistMadeGood:
    """To disk: what was lost has come again."""


@dataclass(frozen=True, slots=True)
class ToGlobalRequest:
    session: str
    request: DeltaRequest


@dataclass(frozen=True, slots=True)
class ToGlobalResponse:
    session: str
    response: DeltaResponse


@dataclass(frozen=True, slots=True)
class LeaveGlobal:
    """End the session: what the peer sent cannot be understood."""

    session: str
    reason: str


@dataclass(frozen=True, slots=True)
class ToProxy:
    stream: str
    response: DeltaResponse


@dataclass(frozen=True, slots=True)
class CloseStream:
    """`code` is a gRPC status number (2 UNKNOWN for a refused authentication, as Kuma's)."""

    stream: str
    code: int
    message: str


@dataclass(frozen=True, slots=True)
class AskHealth:
    """Tell an Envoy on its HDS stream what to check."""

    stream: str
    specifier: Specifier


@dataclass(frozen=True, slots=True)
class CloseHealth:
    stream: str
    code: int
    message: str


@dataclass(frozen=True, slots=True)
class IssueCertificate:
    """Sign a workload certificate with the mesh's CA; answered by `CertificateIssued` or
    `IssueFailed`.
    """

    node_id: str
    mesh: str
    backend: str
    uris: tuple[str, ...]
    ca_cert_pem: bytes
    ca_key_pem: bytes = field(repr=False)
    lifetime_s: int
    identity_secret: str


@dataclass(frozen=True, slots=True)
class IssueAdminCertificate:
    """For a proxy's admin listener; answered by `AdminCertificateIssued`."""

    node_id: str
    hosts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StatusWanted:
    """What the status ref should say; the status step coalesces and pushes."""

    status: StatusInput


@dataclass(frozen=True, slots=True)
class BuildSoon:
    """There are dirty proxies, or news for the global: deliver `BuildDue` at the next turn."""


@dataclass(frozen=True, slots=True)
class LookUp:
    """There are host names without an address: deliver `Resolved` soon."""


@dataclass(frozen=True, slots=True)
class WakeAt:
    """Deliver `Tick` at this time, or earlier."""

    at: float


@dataclass(frozen=True, slots=True)
class Note:
    """Something worth a log line: an event name and its fields."""

    event: str
    fields: Mapping[str, object]


Effect = (
    Persist
    | PersistVips
    | PersistMadeGood
    | ToGlobalRequest
    | ToGlobalResponse
    | LeaveGlobal
    | ToProxy
    | CloseStream
    | AskHealth
    | CloseHealth
    | IssueCertificate
    | IssueAdminCertificate
    | StatusWanted
    | BuildSoon
    | LookUp
    | WakeAt
    | Note
)
Effects = tuple[Effect, ...]
Outcome = tuple[ZoneState, Effects]
