"""Listeners, one builder an input, as Kuma 2.14 shapes them. Each may read only its argument."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from envoy_data_plane.envoy.config.core.v3 import (
    TrafficDirection,
)
from envoy_data_plane.envoy.config.listener.v3 import (
    FilterChain,
    Listener,
)
from envoy_data_plane.envoy.config.route.v3 import RouteConfiguration, VirtualHost
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import (
    HttpConnectionManager,
)
from envoy_data_plane.envoy.extensions.filters.network.tcp_proxy.v3 import (
    TcpProxy,
    TcpProxyWeightedCluster,
    TcpProxyWeightedClusterClusterWeight,
)

from xds.build.admin import AdminShape, admin_bytes, admin_shape
from xds.build.chains import (
    TCP_PROXY,
    address_of,
    filter_of,
    http_filters,
    internal_addresses,
    on_listener,
    tags_metadata,
    tcp_filters,
)
from xds.build.inbound import InboundShape, inbound_bytes, inbound_shape
from xds.build.ingress import sni_listener
from xds.build.routes import envoy_routes
from xds.names import stat_prefix
from xds.resource import LISTENER, XdsResource
from xds.view import (
    AdminListener,
    InboundListener,
    ListenerInput,
    OutboundListener,
    PassthroughListener,
    SniListener,
    WeightedCluster,
)
from xds.message import encode, new
from xds.wire import resource

if TYPE_CHECKING:
    from collections.abc import Callable


def build_listener(
    argument: ListenerInput,
    shape: Callable[[InboundListener], InboundShape] = inbound_shape,
    admin: Callable[[AdminListener], AdminShape] = admin_shape,
) -> XdsResource:
    """`shape` and `admin` may remember what inbound and admin listeners have in common."""
    match argument:
        case InboundListener():
            body = inbound_bytes(argument, shape)
        case OutboundListener():
            body = encode(_outbound(argument))
        case SniListener():
            body = encode(sni_listener(argument))
        case PassthroughListener():
            body = encode(_passthrough(argument))
        case AdminListener():
            body = admin_bytes(argument, admin)
        case _:
            assert_never(argument)
    return resource(LISTENER, argument.name, body)


# --- outbound ---


def _outbound(argument: OutboundListener) -> Listener:
    if argument.protocol.is_http:
        filters = http_filters(_outbound_hcm(argument), argument.protocol, argument.applied)
    else:
        filters = tcp_filters(_outbound_proxy(argument), argument.applied)
    listener = new(Listener, 
        name=argument.name,
        address=address_of(argument.address, argument.port),
        traffic_direction=TrafficDirection.OUTBOUND,
        metadata=tags_metadata(argument.tags),
        filter_chains=[new(FilterChain, filters=filters)],
    )
    on_listener(listener, argument.applied)
    return listener


def _outbound_hcm(argument: OutboundListener) -> HttpConnectionManager:
    """Route hooks come with each route: a conf for a MeshHTTPRoute stands against the service's."""
    routes = [found for route in argument.routes for found in envoy_routes(route)]
    config = new(RouteConfiguration, 
        name=f"outbound:{argument.service}",
        validate_clusters=False,
        virtual_hosts=[new(VirtualHost, name=argument.service, domains=["*"], routes=routes)],
    )
    return new(HttpConnectionManager, 
        stat_prefix=stat_prefix(argument.service),
        route_config=config,
        internal_address_config=internal_addresses(),
        normalize_path=True,
    )


def _outbound_proxy(argument: OutboundListener) -> TcpProxy:
    clusters = argument.routes[0].clusters
    assert clusters, f"{argument.name}: TCP cannot be redirected"
    proxy = new(TcpProxy, stat_prefix=stat_prefix(argument.service))
    if len(clusters) == 1:
        proxy.cluster = clusters[0].name
    else:
        proxy.weighted_clusters = new(TcpProxyWeightedCluster, clusters=_weights(clusters))
    return proxy


def _weights(
    clusters: tuple[WeightedCluster, ...],
) -> list[TcpProxyWeightedClusterClusterWeight]:
    return [
        new(TcpProxyWeightedClusterClusterWeight, name=cluster.name, weight=cluster.weight)
        for cluster in clusters
    ]


# --- passthrough ---


def _passthrough(argument: PassthroughListener) -> Listener:
    proxy = new(TcpProxy, stat_prefix=stat_prefix(argument.cluster), cluster=argument.cluster)
    return new(Listener, 
        name=argument.name,
        address=address_of(argument.address, argument.port),
        traffic_direction=TrafficDirection.OUTBOUND,
        use_original_dst=True,
        filter_chains=[new(FilterChain, filters=[filter_of(TCP_PROXY, proxy)])],
    )
