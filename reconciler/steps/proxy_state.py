"""What a zone knows of one of its proxies."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rpds import HashTrieMap

from reconciler.kds.proxy_insight import ProxyInsight
from xds.ads_stream import AdsStream
from xds.copying import replace

if TYPE_CHECKING:
    from reconciler.ca.tokens import Claims
    from reconciler.model.resource import ResourceKey
    from reconciler.view import Origins, ProxyTraits
    from xds.resource import XdsResource
    from xds.snapshot import Snapshot
    from xds.view import AdminTls, ProxyView


@dataclass(frozen=True, slots=True)
class Certificate:
    """A workload certificate as the SDS resource it is served as. `uris` are what it was issued
    for.
    """

    identity: XdsResource
    uris: tuple[str, ...]
    backend: str
    ca_digest: str  # of the CA certificate it was signed by
    lifetime_s: int  # that was asked for
    renew_at: float
    expires_at: float


@dataclass(frozen=True, slots=True)
class Failing:
    """A certificate that could not be made `count` times: `wanted` is the CA's digest and the URIs,
    `again` when it is tried again.
    """

    wanted: tuple[str, ...]
    count: int
    again: float
    message: str


@dataclass(frozen=True, slots=True)
class Identity:
    """What a proxy is to others, in one mesh. `trust`: the CAs it verifies others with."""

    certificate: Certificate | None = None
    trust: XdsResource | None = None
    issuing: bool = False
    failing: Failing | None = None

    @property
    def is_whole(self) -> bool:
        return self.certificate is not None and self.trust is not None


NO_IDENTITY = Identity()


@dataclass(frozen=True, slots=True)
class AdminCertificate:
    """Of a proxy's admin listener; `tls` is None when none could be made for these hosts."""

    hosts: tuple[str, ...]
    tls: AdminTls | None


@dataclass(frozen=True, slots=True)
class Proxy:
    """A registered proxy of this zone: its declared resource is in `ZoneState.local` under `key`.

    `lost_at` is set when its stream broke (its endpoints are then out), `held_until` while a loss
    is taken for our
    own failure (its endpoints stay).
    """

    node_id: str
    key: ResourceKey
    traits: ProxyTraits
    stream: str | None = None
    connected_at: float = 0.0
    ads: AdsStream = field(default_factory=AdsStream.open)
    view: ProxyView | None = None
    shaped: tuple[Origins, ...] = ()  # by which policies
    snapshot: Snapshot | None = None

    identities: HashTrieMap[str, Identity] = field(
        default_factory=HashTrieMap
    )  # by mesh: one of a sidecar, as many of an egress as it has ways out of
    failed: bool = False  # what it is to have now could not be built
    admin: AdminCertificate | None = None
    admin_asked: tuple[str, ...] | None = None  # hosts a certificate is being made for
    lost_at: float | None = None
    held_until: float | None = None
    listening: bool = True  # False: new, and not yet told to listen anywhere
    leaving: bool = False  # it ends, or may not stay: its endpoints are out, whatever it serves
    insight: ProxyInsight = field(default_factory=ProxyInsight)  # what is told of its streams
    counted: int = 0  # exchanges of its stream that its insight tells
    claims: Claims | None = None  # of the token that let it in; None: not seen since our start
    retire_at: float | None = None  # clusters that are gone are taken out then
    services: tuple[str, ...] = ()  # of its mesh, that its view depends on

    @property
    def present(self) -> bool:
        """Its endpoints are in: it listens, or they are held because the loss is taken for ours."""
        if self.leaving or not self.listening:
            return False
        return self.lost_at is None or self.held_until is not None

    @property
    def is_awaited(self) -> bool:
        """Its stream broke, or is not there yet since our start."""
        return self.lost_at is not None or self.held_until is not None

    @property
    def is_current(self) -> bool:
        """It acknowledged all that it is to have."""
        snapshot = self.snapshot
        return snapshot is not None and not self.failed and self.ads.is_current(snapshot)

    @property
    def is_coming(self) -> bool:
        """It is being served its first listeners. Who waits for a certificate waits alone."""
        return self.snapshot is not None and not self.ads.listeners.answered

    @property
    def is_watched(self) -> bool:
        """It refuses a type, or a certificate of it is being made or could not be."""
        return self.ads.rejects or any(
            each.issuing or each.failing is not None for each in self.identities.values()
        )

    @property
    def lacks_certificate(self) -> bool:
        """Its first one is awaited (not where mTLS is off), or one failed."""
        held = self.identities.values()
        if any(each.failing is not None for each in held):
            return True
        if not self.key.mesh:
            return any(each.certificate is None for each in held)
        return self.snapshot is None and all(each.certificate is None for each in held)

    @property
    def own(self) -> Identity:
        """That of a sidecar, in its mesh."""
        return self.identities.get(self.key.mesh) or NO_IDENTITY

    def with_identity(self, mesh: str, identity: Identity) -> Proxy:
        if self.identities.get(mesh, NO_IDENTITY) == identity:
            return self
        return replace(self, identities=self.identities.insert(mesh, identity))

    @property
    def has_counted(self) -> bool:
        """Its stream's counters are others than it was told of."""
        return self.ads.exchanges != self.counted and bool(self.insight.subscriptions)
