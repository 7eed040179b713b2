"""What MeshTimeout sets in Envoy's messages; the same on inbounds and outbounds."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from envoy_data_plane.envoy.config.core.v3 import HttpProtocolOptions as CommonOptions

from reconciler.policies.effect import Effect, InboundPlace
from reconciler.policies.mesh_timeout import POLICY, TimeoutConf, Timeouts, timeouts
from reconciler.rules import Conf, catch_all, rule_entries
from xds.copying import replace
from xds.hooks import Hooks
from xds.message import new

if TYPE_CHECKING:
    from envoy_data_plane.envoy.config.cluster.v3 import Cluster
    from envoy_data_plane.envoy.config.route.v3 import Route
    from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import (
        HttpConnectionManager,
    )
    from envoy_data_plane.envoy.extensions.filters.network.tcp_proxy.v3 import TcpProxy
    from envoy_data_plane.envoy.extensions.upstreams.http.v3 import HttpProtocolOptions

    from reconciler.match import Selection
    from xds.view import Protocol

_OFF = timedelta()


def on_cluster(cluster: Cluster, conf: Timeouts) -> None:
    cluster.connect_timeout = conf.connection


def on_protocol_options(options: HttpProtocolOptions, conf: Timeouts) -> None:
    """For http, http2 and grpc alike; a TCP service has these options, but no requests."""
    if not conf.http:
        return
    common = _common(options)
    common.idle_timeout = conf.idle
    common.max_connection_duration = conf.max_connection or None
    common.max_stream_duration = conf.max_stream or None


def _common(of: HttpProtocolOptions | HttpConnectionManager) -> CommonOptions:
    """Asked for its presence alone: the truth of a message compares all of its fields."""
    if of.common_http_protocol_options is None:
        of.common_http_protocol_options = new(CommonOptions)
    return of.common_http_protocol_options


def on_route(route: Route, conf: Timeouts) -> None:
    if route.route is not None:
        route.route.timeout = conf.request
        route.route.idle_timeout = conf.stream_idle


def on_hcm(hcm: HttpConnectionManager, conf: Timeouts) -> None:
    """Idle connections are the clusters' affair, and idle streams the routes'."""
    common = _common(hcm)
    common.idle_timeout = _OFF
    hcm.request_headers_timeout = conf.request_headers


def on_tcp_proxy(proxy: TcpProxy, conf: Timeouts) -> None:
    proxy.idle_timeout = conf.idle


def of_cluster(conf: Timeouts) -> Timeouts:
    return replace(conf, request=_OFF, stream_idle=_OFF, request_headers=_OFF)


def of_listener(conf: Timeouts) -> Timeouts:
    return replace(conf, connection=_OFF, max_stream=_OFF, max_connection=_OFF)


def inbound_conf(selections: tuple[Selection, ...], inbound: int, _mesh: str) -> Conf | None:
    return catch_all(rule_entries(selections, inbound), POLICY.merge)


def on_inbound(conf: TimeoutConf | None, place: InboundPlace) -> Timeouts | None:
    return timeouts(conf, http=place.http) if conf is not None else None


def on_outbound(conf: TimeoutConf, protocol: Protocol) -> Timeouts:
    return timeouts(conf, http=protocol.is_http)


EFFECT = Effect(
    kind=POLICY.kind,
    hooks=Hooks(
        policy=POLICY.slug,
        on_cluster=on_cluster,
        on_protocol_options=on_protocol_options,
        on_route=on_route,
        on_hcm=on_hcm,
        on_tcp_proxy=on_tcp_proxy,
        of_cluster=of_cluster,
        of_listener=of_listener,
    ),
    inbound_conf=inbound_conf,
    on_inbound=on_inbound,
    on_outbound=on_outbound,
)
