"""Parts of listeners that every builder uses: filters in their order, and small messages."""

from __future__ import annotations

from datetime import timedelta
from functools import cache, lru_cache
from typing import TYPE_CHECKING

from envoy_data_plane.envoy.config.core.v3 import (
    Address,
    CidrRange,
    Http2ProtocolOptions,
    Metadata,
    SocketAddress,
)
from envoy_data_plane.envoy.config.listener.v3 import (
    Filter,
    Listener,
    ListenerFilter,
)
from envoy_data_plane.envoy.extensions.filters.http.grpc_stats.v3 import FilterConfig as GrpcStats
from envoy_data_plane.envoy.extensions.filters.http.router.v3 import Router
from envoy_data_plane.envoy.extensions.filters.listener.tls_inspector.v3 import TlsInspector
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import (
    HttpConnectionManager,
    HttpConnectionManagerInternalAddressConfig,
    HttpConnectionManagerUpgradeConfig,
    HttpFilter,
)

from xds.build.endpoints import tags_struct
from xds.message import PARTS, any_of, new, part
from xds.view import Pairs, Protocol

if TYPE_CHECKING:
    import betterproto2
    from envoy_data_plane.envoy.extensions.filters.network.tcp_proxy.v3 import (
        TcpProxy,
    )
    from envoy_data_plane.google.protobuf import Any

    from xds.hooks import Applied


HCM = "envoy.filters.network.http_connection_manager"
TCP_PROXY = "envoy.filters.network.tcp_proxy"
ROUTER = "envoy.filters.http.router"
GRPC_STATS = "envoy.filters.http.grpc_stats"
TLS_INSPECTOR = "envoy.filters.listener.tls_inspector"
TAGS_METADATA = "io.kuma.tags"
NO_TIMEOUT = timedelta(0)
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


def http_filters(
    manager: HttpConnectionManager, protocol: Protocol, applied: tuple[Applied, ...]
) -> list[Filter]:
    """The chain of an HTTP listener; policies add HTTP filters before the router."""
    filters = [new(HttpFilter, name=ROUTER, typed_config=_router())]
    if protocol is Protocol.GRPC:
        filters.insert(0, new(HttpFilter, name=GRPC_STATS, typed_config=_grpc_stats()))
    for each in applied:
        if each.hooks.on_hcm is not None:
            each.hooks.on_hcm(manager, each.conf)
        if each.hooks.on_http_filters is not None:
            each.hooks.on_http_filters(filters, each.conf)
    assert filters[-1].name == ROUTER, "a policy put a filter behind the router; Envoy refuses that"
    manager.http_filters = filters
    return _network_filters(filter_of(HCM, manager), applied)


def allow_websockets(manager: HttpConnectionManager, protocol: Protocol) -> None:
    """WebSockets pass. Between sidecars one is a CONNECT request of HTTP/2 (RFC 8441), as it
    may be from an application; any other CONNECT matches no route. gRPC has no use for it.
    """
    if protocol is not Protocol.GRPC:
        manager.upgrade_configs = [_websocket()]
        manager.http2_protocol_options = _connect()


def tcp_filters(proxy: TcpProxy, applied: tuple[Applied, ...]) -> list[Filter]:
    for each in applied:
        if each.hooks.on_tcp_proxy is not None:
            each.hooks.on_tcp_proxy(proxy, each.conf)
    return _network_filters(filter_of(TCP_PROXY, proxy), applied)


def _network_filters(terminal: Filter, applied: tuple[Applied, ...]) -> list[Filter]:
    filters = [terminal]
    for each in applied:
        if each.hooks.on_network_filters is not None:
            each.hooks.on_network_filters(filters, each.conf)
    return filters


def on_listener(listener: Listener, applied: tuple[Applied, ...]) -> None:
    for each in applied:
        if each.hooks.on_listener is not None:
            each.hooks.on_listener(listener, each.conf)


def on_listener_filters(listener: Listener, applied: tuple[Applied, ...]) -> None:
    for each in applied:
        if each.hooks.on_listener_filters is not None:
            each.hooks.on_listener_filters(listener.listener_filters, each.conf)


def filter_of(name: str, message: betterproto2.Message) -> Filter:
    return new(Filter, name=name, typed_config=any_of(message))


def tls_inspector() -> ListenerFilter:
    return new(ListenerFilter, name=TLS_INSPECTOR, typed_config=_tls_inspector())


# --- parts that many messages share ---


@cache
def _router() -> Any:
    return any_of(new(Router))


@cache
def _grpc_stats() -> Any:
    return any_of(new(GrpcStats, emit_filter_state=True))


@cache
def _websocket() -> HttpConnectionManagerUpgradeConfig:
    return part(new(HttpConnectionManagerUpgradeConfig, upgrade_type="websocket"))


@cache
def _connect() -> Http2ProtocolOptions:
    return part(new(Http2ProtocolOptions, allow_connect=True))


@cache
def _tls_inspector() -> Any:
    return any_of(new(TlsInspector))


def address_of(address: str, port: int) -> Address:
    return new(Address, socket_address=new(SocketAddress, address=address, port_value=port))


@lru_cache(PARTS)
def tags_metadata(tags: Pairs) -> Metadata | None:
    if not tags:
        return None
    return part(new(Metadata, filter_metadata={TAGS_METADATA: tags_struct(tags)}))


@lru_cache(PARTS)
def internal_addresses(
    ranges: tuple[tuple[str, int], ...] = INTERNAL_RANGES,
) -> HttpConnectionManagerInternalAddressConfig:
    """Callers whose `x-envoy-` headers are believed."""
    found = [new(CidrRange, address_prefix=prefix, prefix_len=length) for prefix, length in ranges]
    return part(new(HttpConnectionManagerInternalAddressConfig, cidr_ranges=found))
