"""Listeners of transparent proxying: where redirection leads, and instances called by their own
addresses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from envoy_data_plane.envoy.config.core.v3 import TrafficDirection
from envoy_data_plane.envoy.config.listener.v3 import FilterChain, Listener
from envoy_data_plane.envoy.extensions.filters.network.tcp_proxy.v3 import TcpProxy

from xds.build.chains import TCP_PROXY, address_of, filter_of
from xds.message import new
from xds.names import stat_prefix

if TYPE_CHECKING:
    from xds.view import DirectListener, PassthroughListener


def passthrough_listener(argument: PassthroughListener) -> Listener:
    listener = new(
        Listener,
        name=argument.name,
        address=address_of(argument.address, argument.port),
        traffic_direction=TrafficDirection.OUTBOUND,
        use_original_dst=True,
        filter_chains=[_chain(argument.name, argument.cluster)],
    )
    if argument.inbound:
        listener.traffic_direction = TrafficDirection.INBOUND
        listener.enable_reuse_port = argument.reuse_port
    return listener


def direct_listener(argument: DirectListener) -> Listener:
    return new(
        Listener,
        name=argument.name,
        address=address_of(argument.address, argument.port),
        traffic_direction=TrafficDirection.OUTBOUND,
        bind_to_port=False if argument.captured else None,
        filter_chains=[_chain(argument.name, argument.cluster)],
    )


def _chain(listener: str, cluster: str) -> FilterChain:
    proxy = new(TcpProxy, stat_prefix=stat_prefix(listener), cluster=cluster)
    return new(FilterChain, filters=[filter_of(TCP_PROXY, proxy)])
