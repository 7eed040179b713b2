"""The outbound listener: the application's way to one service."""

from __future__ import annotations

from typing import TYPE_CHECKING

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

from xds.build.chains import (
    address_of,
    allow_websockets,
    http_filters,
    internal_addresses,
    on_listener,
    tags_metadata,
    tcp_filters,
)
from xds.build.routes import envoy_routes
from xds.build.shape import shape_of
from xds.message import Form, new
from xds.names import stat_prefix

if TYPE_CHECKING:
    from xds.route import WeightedCluster
    from xds.view import OutboundListener


def outbound_shape(argument: OutboundListener) -> Form:
    return shape_of(outbound_listener(argument))


def outbound_listener(argument: OutboundListener) -> Listener:
    """Without a name (of a shape) it has no address either."""
    if argument.protocol.is_http:
        filters = http_filters(_outbound_hcm(argument), argument.protocol, argument.applied)
    else:
        filters = tcp_filters(_outbound_proxy(argument), argument.applied)
    listener = new(
        Listener,
        name=argument.name,
        address=address_of(argument.address, argument.port) if argument.name else None,
        traffic_direction=TrafficDirection.OUTBOUND,
        bind_to_port=False if argument.captured else None,
        metadata=tags_metadata(argument.tags),
        filter_chains=[new(FilterChain, filters=filters)],
    )
    on_listener(listener, argument.applied)
    return listener


def _outbound_hcm(argument: OutboundListener) -> HttpConnectionManager:
    """Route hooks come with each route: a conf for a MeshHTTPRoute stands against the service's."""
    routes = [found for route in argument.routes for found in envoy_routes(route)]
    config = new(
        RouteConfiguration,
        name=f"outbound:{argument.service}",
        validate_clusters=False,
        virtual_hosts=[new(VirtualHost, name=argument.service, domains=["*"], routes=routes)],
    )
    manager = new(
        HttpConnectionManager,
        stat_prefix=stat_prefix(argument.service),
        route_config=config,
        internal_address_config=internal_addresses(),
        normalize_path=True,
    )
    allow_websockets(manager, argument.protocol)
    return manager


def _outbound_proxy(argument: OutboundListener) -> TcpProxy:
    clusters = argument.routes[0].clusters
    assert clusters, f"{argument.service}: TCP cannot be redirected"
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
