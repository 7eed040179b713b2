"""The zone ingress: TLS passed on by SNI, never terminated."""

from __future__ import annotations

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
from envoy_data_plane.envoy.extensions.filters.network.direct_response.v3 import (
    Config as DirectResponse,
)
from envoy_data_plane.envoy.extensions.filters.network.tcp_proxy.v3 import (
    TcpProxy,
)

from xds.message import new
from xds.build.chains import (
    TCP_PROXY,
    address_of,
    filter_of,
    tls_inspector,
)
from xds.build.endpoints import LB_METADATA, tags_struct
from xds.names import stat_prefix

if TYPE_CHECKING:
    from xds.view import (
        SniChain,
        SniListener,
    )


def sni_listener(argument: SniListener) -> Listener:
    """TLS is passed on unread, by SNI.

    Envoy refuses a listener without chains, so an idle one answers by itself.
    """
    chains = [_sni_chain(chain) for chain in argument.chains] or [_idle_chain(argument.idle_body)]
    return new(Listener, 
        name=argument.name,
        address=address_of(argument.address, argument.port),
        traffic_direction=TrafficDirection.INBOUND,
        enable_reuse_port=argument.reuse_port,
        listener_filters=[tls_inspector()],
        filter_chains=chains,
    )


def _sni_chain(chain: SniChain) -> FilterChain:
    proxy = new(TcpProxy, stat_prefix=stat_prefix(chain.cluster), cluster=chain.cluster)
    if chain.subset:
        proxy.metadata_match = new(Metadata, filter_metadata={LB_METADATA: tags_struct(chain.subset)})
    match = new(FilterChainMatch, transport_protocol="tls", server_names=[chain.sni])
    return new(FilterChain, filter_chain_match=match, filters=[filter_of(TCP_PROXY, proxy)])


def _idle_chain(body: str) -> FilterChain:
    response = new(DirectResponse, response=new(DataSource, inline_string=body or "no services"))
    return new(FilterChain, filters=[filter_of("envoy.filters.network.direct_response", response)])
