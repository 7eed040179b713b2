"""What a policy may do to a message that a builder has just made, before it is packed: plain
functions of Envoy's messages, with the conf they take. Nothing here knows a policy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from xds.memo import Key

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from envoy_data_plane.envoy.config.cluster.v3 import Cluster
    from envoy_data_plane.envoy.config.listener.v3 import Filter, Listener, ListenerFilter
    from envoy_data_plane.envoy.config.route.v3 import Route as EnvoyRoute
    from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import (
        HttpConnectionManager,
        HttpFilter,
    )
    from envoy_data_plane.envoy.extensions.filters.network.tcp_proxy.v3 import TcpProxy
    from envoy_data_plane.envoy.extensions.upstreams.http.v3 import HttpProtocolOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class Hooks:
    """Functions of one policy kind: each gets the fresh message and its conf, and changes it.

    `on_http_filters` and `on_network_filters` get the chain's list (RBAC puts itself first),
    `on_listener_filters` that of an inbound. What many messages share is there as an encoded part
    (`xds.message`): it can be replaced, not read. Many proxies share what a hook makes of a local
    cluster, which therefore has neither name nor address yet. The conf is the one beside these
    hooks in `Applied`; its type is the policy's own, hence Any.

    `of_cluster` and `of_listener` give the conf without what is not read by the functions for
    clusters, or by the others: a change to the one then leaves the other as it is. None: all of it.
    """

    policy: str  # slug, e.g. "mesh_timeout"; for counters and provenance
    on_cluster: Callable[[Cluster, Any], None] | None = None
    on_protocol_options: Callable[[HttpProtocolOptions, Any], None] | None = None
    on_route: Callable[[EnvoyRoute, Any], None] | None = None
    on_hcm: Callable[[HttpConnectionManager, Any], None] | None = None
    on_tcp_proxy: Callable[[TcpProxy, Any], None] | None = None
    on_http_filters: Callable[[list[HttpFilter], Any], None] | None = None
    on_network_filters: Callable[[list[Filter], Any], None] | None = None
    on_listener_filters: Callable[[list[ListenerFilter], Any], None] | None = None
    on_listener: Callable[[Listener, Any], None] | None = None
    of_cluster: Callable[[Any], Hashable] | None = None
    of_listener: Callable[[Any], Hashable] | None = None

    @property
    def shape_clusters(self) -> bool:
        return self.on_cluster is not None or self.on_protocol_options is not None

    @property
    def shape_listeners(self) -> bool:
        """Or their routes."""
        return any(
            each is not None
            for each in (
                self.on_route,
                self.on_hcm,
                self.on_tcp_proxy,
                self.on_http_filters,
                self.on_network_filters,
                self.on_listener_filters,
                self.on_listener,
            )
        )


@dataclass(frozen=True, slots=True)
class Applied(Key):
    """One policy kind's merged conf for one place, with what it does there.

    Tuples of these are in application order.
    """

    hooks: Hooks
    conf: Hashable
