"""The inbound listener: lets the mesh in, to one local cluster."""

from __future__ import annotations

from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING

from envoy_data_plane.envoy.config.core.v3 import (
    HttpProtocolOptions,
    Metadata,
    TrafficDirection,
)
from envoy_data_plane.envoy.config.listener.v3 import (
    Filter,
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
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import (
    HttpConnectionManager,
    HttpConnectionManagerForwardClientCertDetails,
    HttpConnectionManagerSetCurrentClientCertDetails,
)
from envoy_data_plane.envoy.extensions.filters.network.tcp_proxy.v3 import (
    TcpProxy,
)

from xds.build.chains import (
    NO_TIMEOUT,
    address_of,
    allow_websockets,
    http_filters,
    internal_addresses,
    on_listener,
    on_listener_filters,
    tags_metadata,
    tcp_filters,
    tls_inspector,
)
from xds.build.endpoints import tags_struct
from xds.build.shape import shape_of
from xds.build.tls import downstream_socket
from xds.message import Form, new, part
from xds.names import stat_prefix

if TYPE_CHECKING:
    from xds.hooks import Applied
    from xds.view import InboundListener


TAGS_HEADER = "x-kuma-tags"
READINESS_METADATA = "mesh-reconciler"
MESH_ALPN = "kuma"
TCP_IDLE_TIMEOUT = timedelta(seconds=7200)
HTTP_IDLE_TIMEOUT = timedelta(seconds=7200)
STREAM_IDLE_TIMEOUT = timedelta(seconds=3600)


def inbound_shape(argument: InboundListener) -> Form:
    return shape_of(inbound_listener(argument))


def inbound_listener(argument: InboundListener) -> Listener:
    """Without a name (of a shape) it has no address either."""
    listener = new(
        Listener,
        name=argument.name,
        address=address_of(argument.address, argument.port) if argument.name else None,
        traffic_direction=TrafficDirection.INBOUND,
        enable_reuse_port=argument.reuse_port,
        bind_to_port=False if argument.captured else None,
        metadata=tags_metadata(argument.tags),
    )
    if argument.tls is None:
        listener.filter_chains = [_inbound_chain(argument, argument.applied)]
    elif argument.tls.permissive:
        listener.listener_filters = [tls_inspector()]
        listener.filter_chains = _permissive_chains(argument)
    else:
        listener.filter_chains = [_mesh_chain(argument)]
    on_listener_filters(listener, argument.applied)
    on_listener(listener, argument.applied)
    return listener


def _permissive_chains(argument: InboundListener) -> list[FilterChain]:
    """Plaintext, foreign TLS, mesh TLS.

    Only the last is terminated, and only there policies can authorise. Foreign TLS is the
    application's: an HTTP connection manager would see nothing but ciphertext.
    """
    open_to_all = tuple(a for a in argument.applied if not _authorises(a))
    plain = _inbound_chain(argument, open_to_all)
    plain.filter_chain_match = new(FilterChainMatch, transport_protocol="raw_buffer")
    foreign = new(
        FilterChain,
        filter_chain_match=new(FilterChainMatch, transport_protocol="tls"),
        filters=_tcp_filters(argument, open_to_all),
    )
    mesh = _mesh_chain(argument)
    mesh.filter_chain_match = new(
        FilterChainMatch, transport_protocol="tls", application_protocols=[MESH_ALPN]
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
    """Of another zone somebody is connected through an ingress, which passes a connection on to one
    instance for as long as it stands, also when that is no endpoint any more. A chain that is
    another one has Envoy wind up the connections of the old one, with the next answer of each.
    """
    if argument.protocol.is_http:
        manager = _inbound_hcm(argument, applied)
        filters = http_filters(manager, argument.protocol, applied)
        return new(FilterChain, filters=filters, metadata=None if argument.ready else _unready())
    return new(FilterChain, filters=_tcp_filters(argument, applied))


@cache
def _unready() -> Metadata:
    return part(
        new(Metadata, filter_metadata={READINESS_METADATA: tags_struct((("ready", "no"),))})
    )


def _tcp_filters(argument: InboundListener, applied: tuple[Applied, ...]) -> list[Filter]:
    proxy = new(
        TcpProxy,
        stat_prefix=stat_prefix(argument.cluster),
        cluster=argument.cluster,
        idle_timeout=TCP_IDLE_TIMEOUT,
    )
    return tcp_filters(proxy, applied)


def _inbound_hcm(argument: InboundListener, applied: tuple[Applied, ...]) -> HttpConnectionManager:
    route = new(
        EnvoyRoute,
        match=new(RouteMatch, prefix="/"),
        route=new(RouteAction, cluster=argument.cluster, timeout=NO_TIMEOUT),
    )
    _on_routes([route], applied)
    config = new(
        RouteConfiguration,
        name=f"inbound:{argument.service}",
        validate_clusters=False,
        request_headers_to_remove=[TAGS_HEADER],
        virtual_hosts=[new(VirtualHost, name=argument.service, domains=["*"], routes=[route])],
    )
    details = HttpConnectionManagerForwardClientCertDetails.SANITIZE_SET
    manager = new(
        HttpConnectionManager,
        stat_prefix=stat_prefix(argument.cluster),
        route_config=config,
        forward_client_cert_details=details,
        set_current_client_cert_details=new(
            HttpConnectionManagerSetCurrentClientCertDetails, uri=True
        ),
        stream_idle_timeout=STREAM_IDLE_TIMEOUT,
        common_http_protocol_options=new(HttpProtocolOptions, idle_timeout=HTTP_IDLE_TIMEOUT),
        internal_address_config=internal_addresses(),
        normalize_path=True,
    )
    allow_websockets(manager, argument.protocol)
    return manager


def _on_routes(routes: list[EnvoyRoute], applied: tuple[Applied, ...]) -> None:
    for each in applied:
        if each.hooks.on_route is not None:
            for route in routes:
                each.hooks.on_route(route, each.conf)
