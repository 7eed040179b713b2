"""Listeners, one builder an input, as Kuma 2.14 shapes them. Each may read only its argument."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, assert_never

from envoy_data_plane.envoy.config.core.v3 import (
    Address,
    CidrRange,
    DataSource,
    HttpProtocolOptions,
    Metadata,
    SocketAddress,
    TrafficDirection,
)
from envoy_data_plane.envoy.config.listener.v3 import (
    Filter,
    FilterChain,
    FilterChainMatch,
    Listener,
    ListenerFilter,
)
from envoy_data_plane.envoy.config.route.v3 import Route as EnvoyRoute
from envoy_data_plane.envoy.config.route.v3 import (
    RouteAction,
    RouteConfiguration,
    RouteMatch,
    VirtualHost,
)
from envoy_data_plane.envoy.extensions.filters.http.grpc_stats.v3 import FilterConfig as GrpcStats
from envoy_data_plane.envoy.extensions.filters.http.router.v3 import Router
from envoy_data_plane.envoy.extensions.filters.listener.tls_inspector.v3 import TlsInspector
from envoy_data_plane.envoy.extensions.filters.network.direct_response.v3 import (
    Config as DirectResponse,
)
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import (
    HttpConnectionManager,
    HttpConnectionManagerForwardClientCertDetails,
    HttpConnectionManagerInternalAddressConfig,
    HttpConnectionManagerSetCurrentClientCertDetails,
    HttpFilter,
)
from envoy_data_plane.envoy.extensions.filters.network.tcp_proxy.v3 import (
    TcpProxy,
    TcpProxyWeightedCluster,
    TcpProxyWeightedClusterClusterWeight,
)

from xds.build.endpoints import LB_METADATA, tags_struct
from xds.build.routes import envoy_routes
from xds.build.tls import downstream_socket
from xds.names import stat_prefix
from xds.resource import LISTENER, XdsResource
from xds.view import (
    AdminListener,
    Applied,
    InboundListener,
    ListenerInput,
    OutboundListener,
    Pairs,
    PassthroughListener,
    Protocol,
    SniChain,
    SniListener,
    WeightedCluster,
)
from xds.wire import any_of, encode, resource

if TYPE_CHECKING:
    import betterproto2

HCM = "envoy.filters.network.http_connection_manager"
TCP_PROXY = "envoy.filters.network.tcp_proxy"
ROUTER = "envoy.filters.http.router"
GRPC_STATS = "envoy.filters.http.grpc_stats"
TAGS_METADATA = "io.kuma.tags"
TAGS_HEADER = "x-kuma-tags"
MESH_ALPN = "kuma"
NO_TIMEOUT = timedelta(0)
TCP_IDLE_TIMEOUT = timedelta(seconds=7200)
HTTP_IDLE_TIMEOUT = timedelta(seconds=7200)
STREAM_IDLE_TIMEOUT = timedelta(seconds=3600)
INTERNAL_RANGES = (
    ("10.0.0.0", 8),
    ("192.168.0.0", 16),
    ("172.16.0.0", 12),
    ("fc00::", 7),
    ("fd00::", 8),
    ("127.0.0.1", 32),
    ("::1", 128),
)
LOOPBACKS = INTERNAL_RANGES[-2:]


def build_listener(argument: ListenerInput) -> XdsResource:
    match argument:
        case InboundListener():
            listener = _inbound(argument)
        case OutboundListener():
            listener = _outbound(argument)
        case SniListener():
            listener = _sni(argument)
        case PassthroughListener():
            listener = _passthrough(argument)
        case AdminListener():
            listener = _admin(argument)
        case _:
            assert_never(argument)
    return resource(LISTENER, listener.name, encode(listener))


# --- inbound ---


def _inbound(argument: InboundListener) -> Listener:
    listener = Listener(
        name=argument.name,
        address=_address(argument.address, argument.port),
        traffic_direction=TrafficDirection.INBOUND,
        enable_reuse_port=argument.reuse_port,
        metadata=_tags(argument.tags),
    )
    if argument.tls is None:
        listener.filter_chains = [_inbound_chain(argument, argument.applied)]
    elif argument.tls.permissive:
        listener.listener_filters = [_tls_inspector()]
        listener.filter_chains = _permissive_chains(argument)
    else:
        listener.filter_chains = [_mesh_chain(argument)]
    _on_listener(listener, argument.applied)
    return listener


def _permissive_chains(argument: InboundListener) -> list[FilterChain]:
    """Plaintext, foreign TLS, mesh TLS.

    Only the last is terminated, and only there policies can authorise. Foreign TLS is the
    application's: an HTTP connection manager would see nothing but ciphertext.
    """
    open_to_all = tuple(a for a in argument.applied if not _authorises(a))
    plain = _inbound_chain(argument, open_to_all)
    plain.filter_chain_match = FilterChainMatch(transport_protocol="raw_buffer")
    foreign = FilterChain(
        filter_chain_match=FilterChainMatch(transport_protocol="tls"),
        filters=_tcp_filters(argument, open_to_all),
    )
    mesh = _mesh_chain(argument)
    mesh.filter_chain_match = FilterChainMatch(
        transport_protocol="tls", application_protocols=[MESH_ALPN]
    )
    return [plain, foreign, mesh]


def _authorises(applied: Applied) -> bool:
    hooks = applied.hooks
    return hooks.on_http_filters is not None or hooks.on_network_filters is not None


def _mesh_chain(argument: InboundListener) -> FilterChain:
    chain = _inbound_chain(argument, argument.applied)
    assert argument.tls is not None
    chain.transport_socket = downstream_socket(argument.tls)
    return chain


def _inbound_chain(argument: InboundListener, applied: tuple[Applied, ...]) -> FilterChain:
    if argument.protocol.is_http:
        manager = _inbound_hcm(argument, applied)
        return FilterChain(filters=_http_filters(manager, argument.protocol, applied))
    return FilterChain(filters=_tcp_filters(argument, applied))


def _tcp_filters(argument: InboundListener, applied: tuple[Applied, ...]) -> list[Filter]:
    proxy = TcpProxy(
        stat_prefix=stat_prefix(argument.cluster),
        cluster=argument.cluster,
        idle_timeout=TCP_IDLE_TIMEOUT,
    )
    return _with_tcp_proxy(proxy, applied)


def _inbound_hcm(argument: InboundListener, applied: tuple[Applied, ...]) -> HttpConnectionManager:
    route = EnvoyRoute(
        match=RouteMatch(prefix="/"),
        route=RouteAction(cluster=argument.cluster, timeout=NO_TIMEOUT),
    )
    _on_routes([route], applied)
    config = RouteConfiguration(
        name=f"inbound:{argument.service}",
        validate_clusters=False,
        request_headers_to_remove=[TAGS_HEADER],
        virtual_hosts=[VirtualHost(name=argument.service, domains=["*"], routes=[route])],
    )
    details = HttpConnectionManagerForwardClientCertDetails.SANITIZE_SET
    return HttpConnectionManager(
        stat_prefix=stat_prefix(argument.cluster),
        route_config=config,
        forward_client_cert_details=details,
        set_current_client_cert_details=HttpConnectionManagerSetCurrentClientCertDetails(uri=True),
        stream_idle_timeout=STREAM_IDLE_TIMEOUT,
        common_http_protocol_options=HttpProtocolOptions(idle_timeout=HTTP_IDLE_TIMEOUT),
        internal_address_config=_internal(),
        normalize_path=True,
    )


# --- outbound ---


def _outbound(argument: OutboundListener) -> Listener:
    if argument.protocol.is_http:
        filters = _http_filters(_outbound_hcm(argument), argument.protocol, argument.applied)
    else:
        filters = _with_tcp_proxy(_outbound_proxy(argument), argument.applied)
    listener = Listener(
        name=argument.name,
        address=_address(argument.address, argument.port),
        traffic_direction=TrafficDirection.OUTBOUND,
        metadata=_tags(argument.tags),
        filter_chains=[FilterChain(filters=filters)],
    )
    _on_listener(listener, argument.applied)
    return listener


def _outbound_hcm(argument: OutboundListener) -> HttpConnectionManager:
    """Route hooks come with each route: a conf for a MeshHTTPRoute stands against the service's."""
    routes = [found for route in argument.routes for found in envoy_routes(route)]
    config = RouteConfiguration(
        name=f"outbound:{argument.service}",
        validate_clusters=False,
        virtual_hosts=[VirtualHost(name=argument.service, domains=["*"], routes=routes)],
    )
    return HttpConnectionManager(
        stat_prefix=stat_prefix(argument.service),
        route_config=config,
        internal_address_config=_internal(),
        normalize_path=True,
    )


def _outbound_proxy(argument: OutboundListener) -> TcpProxy:
    clusters = argument.routes[0].clusters
    assert clusters, f"{argument.name}: TCP cannot be redirected"
    proxy = TcpProxy(stat_prefix=stat_prefix(argument.service))
    if len(clusters) == 1:
        proxy.cluster = clusters[0].name
    else:
        proxy.weighted_clusters = TcpProxyWeightedCluster(clusters=_weights(clusters))
    return proxy


def _weights(
    clusters: tuple[WeightedCluster, ...],
) -> list[TcpProxyWeightedClusterClusterWeight]:
    return [
        TcpProxyWeightedClusterClusterWeight(name=cluster.name, weight=cluster.weight)
        for cluster in clusters
    ]


# --- zone ingress ---


def _sni(argument: SniListener) -> Listener:
    """TLS is passed on unread, by SNI.

    Envoy refuses a listener without chains, so an idle one answers by itself.
    """
    chains = [_sni_chain(chain) for chain in argument.chains] or [_idle_chain(argument.idle_body)]
    return Listener(
        name=argument.name,
        address=_address(argument.address, argument.port),
        traffic_direction=TrafficDirection.INBOUND,
        enable_reuse_port=argument.reuse_port,
        listener_filters=[_tls_inspector()],
        filter_chains=chains,
    )


def _sni_chain(chain: SniChain) -> FilterChain:
    proxy = TcpProxy(stat_prefix=stat_prefix(chain.cluster), cluster=chain.cluster)
    if chain.subset:
        proxy.metadata_match = Metadata(filter_metadata={LB_METADATA: tags_struct(chain.subset)})
    match = FilterChainMatch(transport_protocol="tls", server_names=[chain.sni])
    return FilterChain(filter_chain_match=match, filters=[_filter(TCP_PROXY, proxy)])


def _idle_chain(body: str) -> FilterChain:
    response = DirectResponse(response=DataSource(inline_string=body or "no services"))
    return FilterChain(filters=[_filter("envoy.filters.network.direct_response", response)])


# --- passthrough and admin ---


def _passthrough(argument: PassthroughListener) -> Listener:
    proxy = TcpProxy(stat_prefix=stat_prefix(argument.cluster), cluster=argument.cluster)
    return Listener(
        name=argument.name,
        address=_address(argument.address, argument.port),
        traffic_direction=TrafficDirection.OUTBOUND,
        use_original_dst=True,
        filter_chains=[FilterChain(filters=[_filter(TCP_PROXY, proxy)])],
    )


def _admin(argument: AdminListener) -> Listener:
    """Exactly `/ready`: the rest of the admin interface must not be reachable from outside."""
    route = EnvoyRoute(match=RouteMatch(path="/ready"), route=RouteAction(cluster=argument.cluster))
    host = VirtualHost(name=argument.cluster, domains=["*"], routes=[route])
    manager = HttpConnectionManager(
        stat_prefix=stat_prefix(argument.name),
        route_config=RouteConfiguration(
            name=argument.name, validate_clusters=False, virtual_hosts=[host]
        ),
        internal_address_config=_internal(LOOPBACKS),
        normalize_path=True,
    )
    return Listener(
        name=argument.name,
        address=_address(argument.address, argument.port),
        traffic_direction=TrafficDirection.INBOUND,
        filter_chains=[FilterChain(filters=_http_filters(manager, Protocol.HTTP, ()))],
    )


# --- parts ---


def _http_filters(
    manager: HttpConnectionManager, protocol: Protocol, applied: tuple[Applied, ...]
) -> list[Filter]:
    """The chain of an HTTP listener; policies add HTTP filters before the router."""
    filters = [HttpFilter(name=ROUTER, typed_config=any_of(Router()))]
    if protocol is Protocol.GRPC:
        stats = any_of(GrpcStats(emit_filter_state=True))
        filters.insert(0, HttpFilter(name=GRPC_STATS, typed_config=stats))
    for each in applied:
        if each.hooks.on_hcm is not None:
            each.hooks.on_hcm(manager, each.conf)
        if each.hooks.on_http_filters is not None:
            each.hooks.on_http_filters(filters, each.conf)
    assert filters[-1].name == ROUTER, "a policy put a filter behind the router; Envoy refuses that"
    manager.http_filters = filters
    return _network_filters(_filter(HCM, manager), applied)


def _with_tcp_proxy(proxy: TcpProxy, applied: tuple[Applied, ...]) -> list[Filter]:
    for each in applied:
        if each.hooks.on_tcp_proxy is not None:
            each.hooks.on_tcp_proxy(proxy, each.conf)
    return _network_filters(_filter(TCP_PROXY, proxy), applied)


def _network_filters(terminal: Filter, applied: tuple[Applied, ...]) -> list[Filter]:
    filters = [terminal]
    for each in applied:
        if each.hooks.on_network_filters is not None:
            each.hooks.on_network_filters(filters, each.conf)
    return filters


def _on_routes(routes: list[EnvoyRoute], applied: tuple[Applied, ...]) -> None:
    for each in applied:
        if each.hooks.on_route is not None:
            for route in routes:
                each.hooks.on_route(route, each.conf)


def _on_listener(listener: Listener, applied: tuple[Applied, ...]) -> None:
    for each in applied:
        if each.hooks.on_listener is not None:
            each.hooks.on_listener(listener, each.conf)


def _filter(name: str, message: betterproto2.Message) -> Filter:
    return Filter(name=name, typed_config=any_of(message))


def _tls_inspector() -> ListenerFilter:
    name = "envoy.filters.listener.tls_inspector"
    return ListenerFilter(name=name, typed_config=any_of(TlsInspector()))


def _address(address: str, port: int) -> Address:
    return Address(socket_address=SocketAddress(address=address, port_value=port))


def _tags(tags: Pairs) -> Metadata | None:
    return Metadata(filter_metadata={TAGS_METADATA: tags_struct(tags)}) if tags else None


def _internal(
    ranges: tuple[tuple[str, int], ...] = INTERNAL_RANGES,
) -> HttpConnectionManagerInternalAddressConfig:
    """Callers whose `x-envoy-` headers are believed."""
    found = [CidrRange(address_prefix=prefix, prefix_len=length) for prefix, length in ranges]
    return HttpConnectionManagerInternalAddressConfig(cidr_ranges=found)
