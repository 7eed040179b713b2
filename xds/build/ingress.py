"""The zone ingress: TLS passed on by SNI, never terminated."""

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
from envoy_data_plane.envoy.extensions.filters.network.direct_response.v3 import (
    Config as DirectResponse,
)
from envoy_data_plane.envoy.extensions.filters.network.tcp_proxy.v3 import (
    TcpProxy,
)

from xds.build.chains import (
    TCP_PROXY,
    address_of,
    filter_of,
    tls_inspector,
)
from xds.build.endpoints import LB_METADATA, tags_struct
from xds.message import new, part
from xds.names import stat_prefix

if TYPE_CHECKING:
    from xds.view import (
        SniChain,
        SniListener,
    )


CHAINS = 16_384  # encoded chains that are remembered, those used last


def sni_listener(argument: SniListener) -> Listener:
    """TLS is passed on unread, by SNI.

    Envoy refuses a listener without chains, so an idle one answers by itself.
    """
    chains = [*map(_sni_chain, argument.chains)] or [_idle_chain(argument.idle_body)]
    return new(
        Listener,
        name=argument.name,
        address=address_of(argument.address, argument.port),
        traffic_direction=TrafficDirection.INBOUND,
        enable_reuse_port=argument.reuse_port,
        listener_filters=[tls_inspector()],
        filter_chains=chains,
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


def _idle_chain(body: str) -> FilterChain:
    response = new(DirectResponse, response=new(DataSource, inline_string=body or "no services"))
    return new(FilterChain, filters=[filter_of("envoy.filters.network.direct_response", response)])
