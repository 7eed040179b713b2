"""What one proxy should run, as plain frozen values: the seam between `reconciler` and `xds`.

A `ProxyView` is a tuple of builder arguments. A builder in `xds/build/` receives exactly one of
these values and may read nothing else, so the value is the memo key and equal views need no work.
Nothing here knows Git, zones, KDS or a policy: what a policy does arrives as `Applied`, a set of
plain functions with the conf they take (`xds.hooks`).

Strings are Envoy's: addresses, names, SNIs. `Pairs` are (key, value) tuples sorted by key.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from operator import attrgetter, is_
from typing import TYPE_CHECKING, Any, TypeVar

from xds.memo import Key

if TYPE_CHECKING:
    from xds.external import ExternalEndpoint
    from xds.hooks import Applied
    from xds.route import Route

Pairs = tuple[tuple[str, str], ...]
Part = TypeVar("Part")


class Protocol(StrEnum):
    """Application protocol of an inbound or a service; anything unknown is TCP."""

    TCP = "tcp"
    HTTP = "http"
    HTTP2 = "http2"
    GRPC = "grpc"
    KAFKA = "kafka"

    @property
    def is_http(self) -> bool:
        return self in (Protocol.HTTP, Protocol.HTTP2, Protocol.GRPC)


# --- TLS ---


@dataclass(frozen=True, slots=True)
class UpstreamTls(Key):
    """Client side of mTLS; secrets are SDS names on the ADS stream."""

    sni: str  # "": none is sent
    san_uris: tuple[str, ...]  # exact matches, any of them
    identity_secret: str
    ca_secret: str
    alpn: tuple[str, ...] = ("kuma",)
    san_uri_prefixes: tuple[str, ...] = ()  # where who is reached is known by its mesh alone


@dataclass(frozen=True, slots=True)
class DownstreamTls(Key):
    """Server side of mTLS: requires a client certificate with one of the URI SAN prefixes."""

    san_uri_prefixes: tuple[str, ...]
    identity_secret: str
    ca_secret: str
    # Also plaintext and foreign TLS; only ALPN "kuma" is terminated and authorised.
    permissive: bool = False


# --- clusters and endpoints ---


@dataclass(frozen=True, slots=True)
class EdsCluster(Key):
    """A mesh service as a cluster; endpoints come by EDS under the same name."""

    name: str
    protocol: Protocol
    tls: UpstreamTls | None
    # Sidecars speak HTTP/2 to each other; an ingress passes bytes (False).
    http2_upstream: bool = True
    circuit_breakers: bool = True  # an ingress cluster has no circuit-breaker block
    detection: bool = False  # ejects who cannot be reached, notices connections that are dead
    # Sorted selectors, each a sorted tuple of tag keys.
    subset_keys: tuple[tuple[str, ...], ...] = ()
    applied: tuple[Applied, ...] = ()


@dataclass(frozen=True, slots=True)
class LocalCluster(Key):
    """The application behind an inbound: `localhost:<port>`, STATIC, one endpoint.

    `source`: the address it is connected from, where the rules of redirection know the proxy's own
    connections by it.
    """

    name: str
    address: str
    port: int
    protocol: Protocol
    applied: tuple[Applied, ...] = ()
    source: str = ""


@dataclass(frozen=True, slots=True)
class PassthroughCluster:
    """ORIGINAL_DST: wherever a redirected connection was meant to go; outside of the mesh, or the
    application itself. `source` as of a LocalCluster.
    """

    name: str
    source: str = ""


@dataclass(frozen=True, slots=True)
class DirectCluster:
    """ORIGINAL_DST, by mTLS: instances of the mesh that are called by their own addresses."""

    name: str
    tls: UpstreamTls | None


@dataclass(frozen=True, slots=True)
class EmptyCluster:
    """STATIC, without endpoints: what is sent there is refused."""

    name: str


@dataclass(frozen=True, slots=True)
class PipeCluster:
    """STATIC cluster to a unix socket on the proxy's host, e.g. Envoy's own admin."""

    name: str
    path: str


@dataclass(frozen=True, slots=True)
class HostCluster:
    """STATIC cluster to a port of the proxy's own host that is no application's: Envoy's admin on
    TCP, the readiness reporter.
    """

    name: str
    address: str
    port: int


@dataclass(frozen=True, slots=True)
class ExternalCluster(Key):
    """A service outside of the mesh, with its endpoints: EDS cannot carry names."""

    name: str
    protocol: Protocol
    endpoints: tuple[ExternalEndpoint, ...]
    applied: tuple[Applied, ...] = ()
    detection: bool = False  # as of an EdsCluster


ClusterInput = (
    EdsCluster
    | LocalCluster
    | ExternalCluster
    | PassthroughCluster
    | DirectCluster
    | EmptyCluster
    | PipeCluster
    | HostCluster
)


Locality = tuple[str | None, str]  # zone and subzone, as endpoints have them


@dataclass(frozen=True, slots=True)
class Endpoint(Key):
    address: str  # IP, never a name: EDS cannot carry names
    port: int
    weight: int  # load_balancing_weight, >= 1
    tags: Pairs  # without kuma.io/service: envoy.lb and envoy.transport_socket_match metadata
    zone: str | None = None  # locality.zone; None: no locality
    priority: int = 0
    subzone: str = ""  # locality.sub_zone
    healthy: bool = True  # health_status: one that is not is used when nobody is
    labels: Pairs = ()  # not encoded: those of its proxy that may say which callers it is near
    # Not encoded: the address is that of the own zone's egress, and what it leads to is elsewhere.
    via_egress: bool = False


@dataclass(frozen=True, slots=True)
class Endpoints(Key):
    """One ClusterLoadAssignment. Empty endpoints are meant (the service has none), not unknown."""

    cluster: str
    endpoints: tuple[Endpoint, ...]  # any order; the builder groups and sorts
    # Of the localities that have one, each >= 1; sorted. A cluster must ask for them to count.
    weights: tuple[tuple[Locality, int], ...] = ()
    # Percent: a level is used alone while this share of its healthy endpoints is over 100. None:
    # Envoy's 140.
    overprovisioning: int | None = None


# --- listeners ---


@dataclass(frozen=True, slots=True)
class InboundListener(Key):
    """`inbound:<ip>:<port>`: lets the mesh in, to one local cluster."""

    name: str
    address: str
    port: int
    protocol: Protocol
    service: str  # virtual host and route configuration name
    cluster: str
    tags: Pairs  # listener metadata io.kuma.tags
    tls: DownstreamTls | None
    reuse_port: bool = True
    # False: who is connected by HTTP is asked to connect anew, and finds another instance.
    ready: bool = True
    applied: tuple[Applied, ...] = ()
    captured: bool = False  # not bound: a passthrough listener hands over what is for it


@dataclass(frozen=True, slots=True)
class OutboundListener(Key):
    """`outbound:<ip>:<port>`: the application's way to one service.

    TCP uses the first route's clusters.
    """

    name: str
    address: str
    port: int
    protocol: Protocol
    service: str
    tags: Pairs
    routes: tuple[Route, ...]
    applied: tuple[Applied, ...] = ()
    captured: bool = False  # as of an inbound


@dataclass(frozen=True, slots=True)
class SniChain(Key):
    sni: str
    cluster: str
    subset: Pairs = ()  # envoy.lb metadata match


@dataclass(frozen=True, slots=True)
class EndedChain(Key):
    """The mesh's TLS ends here, and what was in it goes on to a cluster outside of the mesh."""

    name: str
    snis: tuple[str, ...]
    cluster: str
    protocol: Protocol
    service: str  # virtual host and route configuration name
    tls: DownstreamTls
    applied: tuple[Applied, ...] = ()


@dataclass(frozen=True, slots=True)
class SniListener(Key):
    """Zone ingress and egress: routes TLS by SNI without terminating it, but for `ended`.

    Without chains it answers with a direct response.
    """

    name: str
    address: str
    port: int
    chains: tuple[SniChain, ...]  # sorted by SNI, distinct; none of those that `ended` has
    ended: tuple[EndedChain, ...] = ()  # sorted by name
    idle_body: str = ""  # the direct response when there is nothing to route
    reuse_port: bool = True


@dataclass(frozen=True, slots=True)
class PassthroughListener:
    """Where redirection leads, `outbound:passthrough:ipv4` and its like. A connection goes on to
    the listener of its original destination, and to `cluster` where there is none.
    """

    name: str
    address: str
    port: int
    cluster: str
    inbound: bool = False
    reuse_port: bool = False  # of an inbound


@dataclass(frozen=True, slots=True)
class DirectListener:
    """`direct_access_<ip>:<port>`: an instance of the mesh, called by its own address."""

    name: str
    address: str
    port: int
    cluster: str
    captured: bool = True


@dataclass(frozen=True, slots=True)
class DnsListener(Key):
    """`kuma:dns`: answers for the names of the mesh, on UDP. To it no other name exists: whoever
    asks it asks others beside it.
    """

    name: str
    address: str
    port: int
    records: tuple[tuple[str, tuple[str, ...]], ...]  # names and their addresses, sorted, distinct
    ttl_s: int = 30


@dataclass(frozen=True, slots=True)
class DynamicConfigListener(Key):
    """`_kuma:dynamicconfig`: documents for kuma-dp, on a unix socket, each with an ETag."""

    name: str
    path: str  # of the socket
    documents: tuple[tuple[str, str], ...]  # paths and bodies, sorted by path


@dataclass(frozen=True, slots=True)
class ProbeRoute(Key):
    """GET `path` asks the application of `cluster` for `to_path`. Without a cluster the answer is
    a redirect there, on `port` of the same host.
    """

    path: str
    to_path: str
    cluster: str = ""
    port: int = 0


@dataclass(frozen=True, slots=True)
class ProbeListener(Key):
    """`probe:listener`: health checks of the applications, without mTLS and without policies."""

    name: str
    address: str
    port: int
    routes: tuple[ProbeRoute, ...]
    captured: bool
    reuse_port: bool


@dataclass(frozen=True, slots=True)
class AdminTls(Key):
    """The control plane's own way in: PEM, inline in the listener. `client` is the DNS SAN that
    its certificate must have.
    """

    ca_pem: bytes
    chain_pem: bytes
    key_pem: bytes = field(repr=False)
    client: str


@dataclass(frozen=True, slots=True)
class AdminListener:
    """`kuma:envoy:admin`: `/ready` in plaintext for all who reach the proxy's address; all else of
    `admin_cluster` for the control plane alone, by mTLS (None: for nobody).
    """

    name: str
    address: str
    port: int
    ready_cluster: str
    admin_cluster: str = ""
    tls: AdminTls | None = None
    reuse_port: bool = True


ListenerInput = (
    InboundListener
    | OutboundListener
    | SniListener
    | PassthroughListener
    | DirectListener
    | DnsListener
    | DynamicConfigListener
    | ProbeListener
    | AdminListener
)


def tcp_place(listener: ListenerInput) -> tuple[str, int] | None:
    """Where it takes TCP connections: of two at the same place Envoy refuses one."""
    if isinstance(listener, DnsListener | DynamicConfigListener):
        return None
    return listener.address, listener.port


class _Remembering(Key):
    """Beside what a `Half` says: what was built of it last, and by whom. No field: it is neither
    compared nor copied, and it goes with the half.
    """

    __slots__ = ("_built",)

    @property
    def built(self) -> Any:
        """What was put here, or None."""
        return getattr(self, "_built", None)

    def remember(self, built: Any) -> None:
        object.__setattr__(self, "_built", built)


@dataclass(frozen=True, slots=True)
class Half(_Remembering):
    """A part of a view, each tuple sorted by name. One that many proxies share is the same object
    in all of their views, and built for the first of them.
    """

    clusters: tuple[ClusterInput, ...] = ()
    endpoints: tuple[Endpoints, ...] = ()  # one for every EdsCluster of the half, by name
    listeners: tuple[ListenerInput, ...] = ()

    def after(self, before: Half) -> Half:
        """This one, with all that is equal in the one before it as the same objects."""
        clusters = _same(self.clusters, before.clusters)
        endpoints = _same(self.endpoints, before.endpoints)
        listeners = _same(self.listeners, before.listeners)
        if (
            clusters is before.clusters
            and endpoints is before.endpoints
            and listeners is before.listeners
        ):
            return before
        return Half(clusters, endpoints, listeners)


def _same(parts: tuple[Part, ...], before: tuple[Part, ...]) -> tuple[Part, ...]:
    if len(parts) != len(before):
        return parts
    pairs = zip(before, parts, strict=True)
    found = tuple([was if was is now or was == now else now for was, now in pairs])
    return before if all(map(is_, found, before)) else found


NOTHING = Half()


@dataclass(frozen=True, slots=True)
class ProxyView:
    """All that one proxy runs. Equal views mean: nothing to build, nothing to send.

    `own` and `shared` have no name in common.
    """

    node_id: str
    own: Half
    secrets: tuple[str, ...]  # SDS names this proxy may be served; bodies come beside the view
    shared: Half = NOTHING  # with other proxies: its way out

    def equals(self, other: ProxyView) -> bool:
        return (
            self.node_id == other.node_id
            and self.secrets == other.secrets
            and self.own.equals(other.own)
            and self.shared.equals(other.shared)
        )

    @property
    def clusters(self) -> tuple[ClusterInput, ...]:
        return tuple(sorted((*self.own.clusters, *self.shared.clusters), key=_name))

    @property
    def endpoints(self) -> tuple[Endpoints, ...]:
        found = (*self.own.endpoints, *self.shared.endpoints)
        return tuple(sorted(found, key=attrgetter("cluster")))

    @property
    def listeners(self) -> tuple[ListenerInput, ...]:
        return tuple(sorted((*self.own.listeners, *self.shared.listeners), key=_name))


_name = attrgetter("name")
