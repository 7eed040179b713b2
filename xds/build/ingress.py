"""Zone ingress and egress: TLS passed on by SNI; it ends only on the way out of the mesh."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from envoy_data_plane.envoy.config.core.v3 import (
    DataSource,
    Metadata,
    TrafficDirection,
)
from envoy_data_plane.envoy.config.listener.v3 import (
    FilterChain,
    FilterChainMatch,
    Listener,
)
from envoy_data_plane.envoy.config.route.v3 import Route as EnvoyRoute
from envoy_data_plane.envoy.config.route.v3 import (
    RouteAction,
    RouteConfiguration,
    RouteMatch,
    VirtualHost,
)
from envoy_data_plane.envoy.extensions.filters.network.direct_response.v3 import (
    Config as DirectResponse,
)
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import (
    HttpConnectionManager,
)
from envoy_data_plane.envoy.extensions.filters.network.tcp_proxy.v3 import (
    TcpProxy,
)

from xds.build.chains import (
    NO_TIMEOUT,
    TCP_PROXY,
    address_of,
    allow_websockets,
    filter_of,
    http_filters,
    internal_addresses,
    tcp_filters,
    tls_inspector,
)
from xds.build.endpoints import LB_METADATA, tags_struct
from xds.build.inbound import TAGS_HEADER
from xds.build.tls import downstream_socket
from xds.message import new, part
from xds.names import stat_prefix

if TYPE_CHECKING:
    from xds.view import (
        EndedChain,
        SniChain,
        SniListener,
    )


CHAINS = 16_384  # encoded chains that are remembered, those used last


def sni_listener(argument: SniListener) -> Listener:
    """TLS is passed on unread, by SNI.

    Envoy refuses a listener without chains, so an idle one answers by itself.
    """
    chains = [*map(_sni_chain, argument.chains), *map(_ended_chain, argument.ended)]
    return new(
        Listener,
        name=argument.name,
        address=address_of(argument.address, argument.port),
        traffic_direction=TrafficDirection.INBOUND,
        enable_reuse_port=argument.reuse_port,
        listener_filters=[tls_inspector()],
        filter_chains=chains or [_idle_chain(argument.idle_body)],
    )


@lru_cache(CHAINS)
def _sni_chain(chain: SniChain) -> FilterChain:
    """A part: one more service, and all others are joined as they are."""
    proxy = new(TcpProxy, stat_prefix=stat_prefix(chain.cluster), cluster=chain.cluster)
    if chain.subset:
        proxy.metadata_match = new(
            Metadata, filter_metadata={LB_METADATA: tags_struct(chain.subset)}
        )
    match = new(FilterChainMatch, transport_protocol="tls", server_names=[chain.sni])
    filters = [filter_of(TCP_PROXY, proxy)]
    return part(new(FilterChain, filter_chain_match=match, filters=filters))


@lru_cache(CHAINS)
def _ended_chain(chain: EndedChain) -> FilterChain:
    if chain.protocol.is_http:
        filters = http_filters(_outside_hcm(chain), chain.protocol, chain.applied)
    else:
        proxy = new(TcpProxy, stat_prefix=stat_prefix(chain.cluster), cluster=chain.cluster)
        filters = tcp_filters(proxy, chain.applied)
    match = new(FilterChainMatch, transport_protocol="tls", server_names=list(chain.snis))
    return part(
        new(
            FilterChain,
            name=chain.name,
            filter_chain_match=match,
            transport_socket=downstream_socket(chain.tls),
            filters=filters,
        )
    )


def _outside_hcm(chain: EndedChain) -> HttpConnectionManager:
    """The host header becomes that of the endpoint. What proxies say of callers stays inside."""
    action = new(RouteAction, cluster=chain.cluster, auto_host_rewrite=True, timeout=NO_TIMEOUT)
    route = new(EnvoyRoute, match=new(RouteMatch, prefix="/"), route=action)
    for each in chain.applied:
        if each.hooks.on_route is not None:
            each.hooks.on_route(route, each.conf)
    config = new(
        RouteConfiguration,
        name=f"outbound:{chain.service}",
        validate_clusters=False,
        request_headers_to_remove=[TAGS_HEADER],
        virtual_hosts=[new(VirtualHost, name=chain.service, domains=["*"], routes=[route])],
    )
    manager = new(
        HttpConnectionManager,
        stat_prefix=stat_prefix(chain.cluster),
        route_config=config,
        internal_address_config=internal_addresses(),
    )
    allow_websockets(manager, chain.protocol)
    return manager


def _idle_chain(body: str) -> FilterChain:
    response = new(DirectResponse, response=new(DataSource, inline_string=body or "no services"))
    return new(FilterChain, filters=[filter_of("envoy.filters.network.direct_response", response)])
