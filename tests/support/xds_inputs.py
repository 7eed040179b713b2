"""One builder argument of every shape, shared by the tests of builders, encoder and real Envoy."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from envoy_data_plane.envoy.config.rbac.v3 import Rbac as RbacRules
from envoy_data_plane.envoy.extensions.filters.http.rbac.v3 import Rbac as HttpRbac
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import HttpFilter
from envoy_data_plane.envoy.extensions.filters.network.rbac.v3 import Rbac as NetworkRbac

from reconciler.ca.admin import issue_admin_server, new_admin_ca
from xds import names
from xds.external import EXACT, PREFIX, ExternalEndpoint, ExternalTls
from xds.hooks import Applied, Hooks
from xds.message import any_of, new
from xds.route import (
    HeaderModifier,
    MatchKind,
    Mirror,
    PathMatch,
    PathRewrite,
    Redirect,
    Rewrite,
    Route,
    RouteMatch,
    ValueMatch,
    WeightedCluster,
)
from xds.view import (
    AdminListener,
    ClusterInput,
    DirectCluster,
    DirectListener,
    DnsListener,
    DownstreamTls,
    DynamicConfigListener,
    EdsCluster,
    EmptyCluster,
    EndedChain,
    Endpoint,
    Endpoints,
    ExternalCluster,
    HostCluster,
    InboundListener,
    ListenerInput,
    LocalCluster,
    OutboundListener,
    PassthroughCluster,
    PassthroughListener,
    PipeCluster,
    ProbeListener,
    ProbeRoute,
    Protocol,
    SniChain,
    SniListener,
    UpstreamTls,
)

if TYPE_CHECKING:
    from envoy_data_plane.envoy.config.cluster.v3 import Cluster
    from envoy_data_plane.envoy.config.listener.v3 import Filter, Listener
    from envoy_data_plane.envoy.config.route.v3 import Route as EnvoyRoute
    from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import (
        HttpConnectionManager,
    )
    from envoy_data_plane.envoy.extensions.filters.network.tcp_proxy.v3 import TcpProxy

IDENTITY = names.identity_secret_name("default")
CA = names.ca_secret_name("default")
BACKEND = (("kuma.io/service", "backend"),)
TAGS = (("kuma.io/protocol", "http"), ("kuma.io/zone", "east"), ("version", "v1"))

UPSTREAM = UpstreamTls("backend{mesh=default}", ("spiffe://default/backend",), IDENTITY, CA)
ANY_OF_MESH = UpstreamTls("", (), IDENTITY, CA, san_uri_prefixes=("spiffe://default/",))
STRICT = DownstreamTls(("spiffe://default/",), IDENTITY, CA)
PERMISSIVE = replace(STRICT, permissive=True)


# --- a policy of each kind of hook ---


def _connect(cluster: Cluster, conf: timedelta) -> None:
    cluster.connect_timeout = conf


def _timeout(route: EnvoyRoute, conf: timedelta) -> None:
    if route.route is not None:
        route.route.timeout = conf


def _idle_stream(hcm: HttpConnectionManager, conf: timedelta) -> None:
    hcm.stream_idle_timeout = conf


def _idle(proxy: TcpProxy, conf: timedelta) -> None:
    proxy.idle_timeout = conf


def _backlog(listener: Listener, conf: timedelta) -> None:
    listener.tcp_backlog_size = int(conf.total_seconds())


TIMEOUT = Hooks(
    policy="timeout",
    on_cluster=_connect,
    on_route=_timeout,
    on_hcm=_idle_stream,
    on_tcp_proxy=_idle,
    on_listener=_backlog,
)


def _http_rbac(filters: list[HttpFilter], conf: str) -> None:
    rbac = new(HttpRbac, rules=new(RbacRules))
    filters.insert(0, new(HttpFilter, name="envoy.filters.http.rbac", typed_config=any_of(rbac)))


def _network_rbac(filters: list[Filter], conf: str) -> None:
    from envoy_data_plane.envoy.config.listener.v3 import Filter

    rbac = new(NetworkRbac, stat_prefix=conf, rules=new(RbacRules))
    filters.insert(0, new(Filter, name="envoy.filters.network.rbac", typed_config=any_of(rbac)))


HTTP_RBAC = Applied(Hooks(policy="http_rbac", on_http_filters=_http_rbac), "unused")
NETWORK_RBAC = Applied(Hooks(policy="network_rbac", on_network_filters=_network_rbac), "inbound.")


def timeout(seconds: int) -> Applied:
    return Applied(TIMEOUT, timedelta(seconds=seconds))


# --- routes ---


def to(*clusters: str) -> tuple[WeightedCluster, ...]:
    return tuple(WeightedCluster(name, 1) for name in clusters)


def route(path: PathMatch | None = None, **fields: object) -> Route:
    """A route to `backend`, with the fields of `Route` replaced."""
    made = Route(name="r", match=RouteMatch(path=path), clusters=to("backend"))
    return replace(made, **fields)  # type: ignore[arg-type]


def prefix(value: str) -> PathMatch:
    return PathMatch(MatchKind.PREFIX, value)


def exact(value: str) -> PathMatch:
    return PathMatch(MatchKind.EXACT, value)


def regex(value: str) -> PathMatch:
    return PathMatch(MatchKind.REGEX, value)


EVERY_ROUTE = (
    Route(
        "everything that can be matched",
        RouteMatch(
            path=exact("/exact"),
            method="GET",
            headers=(
                ValueMatch(MatchKind.EXACT, "x-exact", "1"),
                ValueMatch(MatchKind.PREFIX, "x-prefix", "a"),
                ValueMatch(MatchKind.REGEX, "x-regex", "[a-z]+"),
                ValueMatch(MatchKind.PRESENT, "x-present"),
                ValueMatch(MatchKind.ABSENT, "x-absent"),
            ),
            query=(
                ValueMatch(MatchKind.EXACT, "exact", "1"),
                ValueMatch(MatchKind.REGEX, "regex", "[0-9]+"),
            ),
        ),
        (WeightedCluster("backend", 9), WeightedCluster("default:backend", 1)),
        (
            HeaderModifier(True, (("x-set", "1"),), (("x-add", "2"),), ("x-gone",)),
            HeaderModifier(False, (("x-set", "1"),), (("x-add", "2"),), ("x-gone",)),
            Mirror("backend", "33.3"),
        ),
        (timeout(15),),
    ),
    route(prefix("/v1"), filters=(Rewrite("other.example", PathRewrite(prefix="/v2")),)),
    route(prefix("/gone"), filters=(Rewrite(None, PathRewrite(prefix="/")),)),
    route(regex("/item/[0-9]+"), filters=(Rewrite(None, PathRewrite(full="/items")),)),
    route(
        prefix("/moved"),
        clusters=(),
        filters=(Redirect("https", "other.example", 8443, PathRewrite(prefix="/new"), 308),),
    ),
    route(exact("/old"), clusters=(), filters=(Redirect(None, None, None, None, 302),)),
    route(None),
)


# --- outside of the mesh ---

OUTSIDE_CA = names.external_ca_secret_name("default", "pay")
OUTSIDE_IDENTITY = names.external_identity_secret_name("default", "pay")
VERIFIED = ExternalTls(
    sni="pay.example",
    ca_secret=OUTSIDE_CA,
    sans=((EXACT, "pay.example"), (PREFIX, "pay.")),
    identity_secret=OUTSIDE_IDENTITY,
    allow_renegotiation=True,
    least="TLSv1_2",
    most="TLSv1_3",
)
OUTSIDE = (
    ExternalEndpoint("pay.example", 443, TAGS, VERIFIED, "pay", "west", priority=1),
    ExternalEndpoint("pay.example", 8443, TAGS, ExternalTls("pay.example"), "pay-2", "east"),
    ExternalEndpoint("192.0.2.1", 80),
)

# --- every argument ---

EVERY_CLUSTER: tuple[ClusterInput, ...] = (
    EdsCluster("backend", Protocol.HTTP, UPSTREAM, applied=(timeout(3),)),
    EdsCluster("plain", Protocol.TCP, None),
    EdsCluster("detecting", Protocol.HTTP, UPSTREAM, detection=True),
    EdsCluster(
        "default:backend",
        Protocol.TCP,
        None,
        http2_upstream=False,
        circuit_breakers=False,
        subset_keys=(("version",), ("kuma.io/zone", "version")),
    ),
    # By names alone: over an address with TLS by SDS in its own bootstrap Envoy 1.40 crashes, over
    # one that comes by ADS it does not.
    ExternalCluster("outside", Protocol.HTTP, OUTSIDE[:2], (timeout(3),)),
    ExternalCluster("outside-grpc", Protocol.GRPC, OUTSIDE[2:]),
    ExternalCluster("outside-nothing", Protocol.TCP, ()),
    LocalCluster("localhost:8080", "127.0.0.1", 8080, Protocol.HTTP),
    LocalCluster("localhost:8081", "127.0.0.1", 8081, Protocol.GRPC),
    LocalCluster("localhost:8082", "127.0.0.1", 8082, Protocol.TCP),
    LocalCluster("localhost:8083", "10.0.0.1", 8083, Protocol.HTTP, source="127.0.0.6"),
    PassthroughCluster(names.OUTBOUND_PASSTHROUGH),
    PassthroughCluster(names.INBOUND_PASSTHROUGH_V6, "::6"),
    DirectCluster(names.DIRECT_ACCESS_CLUSTER, ANY_OF_MESH),
    EmptyCluster(names.NO_DESTINATION_CLUSTER),
    PipeCluster(names.ADMIN_CLUSTER, "/run/envoy-admin.sock"),
    HostCluster(names.READINESS_CLUSTER, "127.0.0.1", 9902),
)

EVERY_ENDPOINTS = (
    Endpoints("plain", ()),
    Endpoints(
        "backend",
        (
            Endpoint("10.0.0.2", 8080, 3, TAGS, "west", 1),
            Endpoint("10.0.0.1", 8080, 1, TAGS, "east"),
            Endpoint("fd00::1", 8080, 1, (), None),
        ),
    ),
)


def inbound(protocol: Protocol, tls: DownstreamTls | None, *applied: Applied) -> InboundListener:
    return InboundListener(
        name="inbound:127.0.0.1:18080",
        address="127.0.0.1",
        port=18080,
        protocol=protocol,
        service="backend",
        cluster="localhost:8080",
        tags=(("kuma.io/service", "backend"), *TAGS),
        tls=tls,
        applied=applied,
    )


def outbound(protocol: Protocol, routes: tuple[Route, ...], *applied: Applied) -> OutboundListener:
    return OutboundListener(
        name="outbound:127.0.0.1:10001",
        address="127.0.0.1",
        port=10001,
        protocol=protocol,
        service="backend",
        tags=BACKEND,
        routes=routes,
        applied=applied,
    )


CHAINS = (
    SniChain("backend{mesh=default,version=v1}", "default:backend", (("version", "v1"),)),
    SniChain("backend{mesh=default}", "default:backend"),
)
ENDED = tuple(
    EndedChain(f"{p}_default", (f"{p}{{mesh=default}}",), "outside", p, p, STRICT, (rbac,))
    for p, rbac in (
        (Protocol.GRPC, HTTP_RBAC), (Protocol.HTTP, HTTP_RBAC), (Protocol.TCP, NETWORK_RBAC),
    )
)  # fmt: skip
SNI_LISTENER = SniListener("inbound:127.0.0.1:10000", "127.0.0.1", 10000, CHAINS)

RECORDS = (
    ("backend.mesh", ("240.0.0.0", "::ffff:f000:0")),
    ("web.mesh", ("240.0.0.1", "::ffff:f000:1")),
)
DNS = DnsListener(names.DNS_LISTENER, "127.0.0.1", 15054, RECORDS)
DOCUMENTS = (("/dns", '{"records":[],"ttl":30}'), ("/meshmetric", "{}"))
PROBES = (
    ProbeRoute("/8080/healthz", "/healthz", "localhost:8080"),
    ProbeRoute("/8090/ready", "/ready", port=8090),
)

EVERY_LISTENER: tuple[ListenerInput, ...] = (
    *(inbound(Protocol.HTTP, tls, timeout(5), HTTP_RBAC) for tls in (None, STRICT, PERMISSIVE)),
    *(inbound(Protocol.TCP, tls, timeout(5), NETWORK_RBAC) for tls in (None, STRICT, PERMISSIVE)),
    inbound(Protocol.GRPC, STRICT, HTTP_RBAC),
    inbound(Protocol.HTTP, PERMISSIVE, HTTP_RBAC),
    inbound(Protocol.TCP, STRICT, NETWORK_RBAC),
    outbound(Protocol.HTTP, EVERY_ROUTE, timeout(5)),
    outbound(Protocol.GRPC, (route(),)),
    outbound(Protocol.TCP, (route(),), timeout(5)),
    outbound(Protocol.TCP, (route(clusters=to("backend", "plain")),)),
    SNI_LISTENER,
    replace(SNI_LISTENER, ended=ENDED),
    replace(SNI_LISTENER, chains=(), idle_body='{"proxy":".ingress","zone":"east"}'),
    replace(inbound(Protocol.HTTP, STRICT), captured=True),
    replace(outbound(Protocol.HTTP, (route(),)), captured=True),
    PassthroughListener(names.OUTBOUND_PASSTHROUGH, "127.0.0.1", 15001, names.OUTBOUND_PASSTHROUGH),
    PassthroughListener(
        names.INBOUND_PASSTHROUGH_V6,
        "127.0.0.1",
        15006,
        names.INBOUND_PASSTHROUGH_V6,
        inbound=True,
    ),
    DirectListener("direct_access_10.0.0.2:80", "10.0.0.2", 80, names.DIRECT_ACCESS_CLUSTER),
    DNS,
    DynamicConfigListener(names.DYNAMIC_CONFIG_LISTENER, "/tmp/config.sock", DOCUMENTS),
    ProbeListener(names.PROBE_LISTENER, "127.0.0.1", 9000, PROBES, captured=True, reuse_port=True),
    AdminListener(names.ADMIN_LISTENER, "127.0.0.1", 9901, names.ADMIN_CLUSTER),
    AdminListener(
        names.ADMIN_LISTENER,
        "127.0.0.1",
        9902,
        names.READINESS_CLUSTER,
        names.ADMIN_CLUSTER,
        issue_admin_server(new_admin_ca(1_800_000_000.0), ("127.0.0.1",), ".i", 1_800_000_000.0),
    ),
)
