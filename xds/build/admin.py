"""The admin listener: `/ready` in plaintext for all, the rest of Envoy's admin interface for the
control plane alone (facts/dataplane-wire.md 6 and 10.3).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from envoy_data_plane.envoy.config.core.v3 import DataSource, TrafficDirection, TransportSocket
from envoy_data_plane.envoy.config.listener.v3 import (
    Filter,
    FilterChain,
    FilterChainMatch,
    Listener,
)
from envoy_data_plane.envoy.config.route.v3 import (
    Route,
    RouteAction,
    RouteConfiguration,
    RouteMatch,
    VirtualHost,
)
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import (
    HttpConnectionManager,
)
from envoy_data_plane.envoy.extensions.transport_sockets.tls.v3 import (
    CertificateValidationContext,
    CommonTlsContext,
    DownstreamTlsContext,
    SubjectAltNameMatcher,
    SubjectAltNameMatcherSanType,
    TlsCertificate,
)
from envoy_data_plane.envoy.type.matcher.v3 import StringMatcher

from xds.build.chains import LOOPBACKS, http_filters, internal_addresses, tls_inspector
from xds.build.endpoints import socket_address
from xds.build.tls import TLS_SOCKET
from xds.message import any_of, encode, framer, new
from xds.names import READINESS_CLUSTER, stat_prefix
from xds.view import Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from xds.view import AdminListener, AdminTls

READY = "/ready"

_name_field = framer(Listener, "name")
_address_field = framer(Listener, "address")
_chain_field = framer(Listener, "filter_chains")
_socket_field = framer(FilterChain, "transport_socket")


@dataclass(frozen=True, slots=True, weakref_slot=True)
class AdminShape:
    """What the admin listeners of many proxies have in common, encoded: all but name, address and
    certificate.
    """

    plain: bytes  # the chain of /ready
    secure: bytes  # the chain of all else, without its transport socket, its last field
    rest: bytes  # fields after the chains


def admin_shape(argument: AdminListener) -> AdminShape:
    plain = new(FilterChain, filters=_filters(argument, [_ready(argument)]))
    routes = [_ready(argument), _route(new(RouteMatch, prefix="/"), argument.admin_cluster)]
    secure = new(
        FilterChain,
        filter_chain_match=new(FilterChainMatch, transport_protocol="tls"),
        filters=_filters(argument, routes),
    )
    rest = new(
        Listener,
        traffic_direction=TrafficDirection.INBOUND,
        enable_reuse_port=argument.reuse_port,
        listener_filters=[tls_inspector()],
    )
    return AdminShape(encode(plain), encode(secure), encode(rest))


def admin_bytes(argument: AdminListener, shape: Callable[[AdminListener], AdminShape]) -> bytes:
    """The encoded listener; `shape` may remember. Every proxy has its own address and certificate,
    and building two chains for each would cost more than the rest of a sidecar.
    """
    common = shape(replace(argument, address="", port=0, tls=None))
    chains = _chain_field(common.plain)
    if argument.tls is not None:
        socket = encode(_server_socket(argument.tls))
        chains += _chain_field(common.secure + _socket_field(socket))
    address = _address_field(socket_address(argument.address, argument.port))
    return _name_field(argument.name.encode()) + address + chains + common.rest


def _ready(argument: AdminListener) -> Route:
    """By prefix where a readiness reporter listens, which knows nothing else. Envoy's own admin
    interface can be told to quit: there exactly this path.
    """
    if argument.ready_cluster != READINESS_CLUSTER:
        return _route(new(RouteMatch, path=READY), argument.ready_cluster)
    found = _route(new(RouteMatch, prefix=READY), argument.ready_cluster)
    assert found.route is not None
    found.route.prefix_rewrite = READY
    return found


def _route(match: RouteMatch, cluster: str) -> Route:
    return new(Route, match=match, route=new(RouteAction, cluster=cluster))


def _filters(argument: AdminListener, routes: list[Route]) -> list[Filter]:
    host = new(VirtualHost, name=argument.name, domains=["*"], routes=routes)
    manager = new(
        HttpConnectionManager,
        stat_prefix=stat_prefix(argument.name),
        route_config=new(
            RouteConfiguration, name=argument.name, validate_clusters=False, virtual_hosts=[host]
        ),
        internal_address_config=internal_addresses(LOOPBACKS),
        normalize_path=True,
    )
    return http_filters(manager, Protocol.HTTP, ())


def _server_socket(tls: AdminTls) -> TransportSocket:
    """Certificates inline: they are this listener's alone."""
    certificate = new(
        TlsCertificate,
        certificate_chain=new(DataSource, inline_bytes=tls.chain_pem),
        private_key=new(DataSource, inline_bytes=tls.key_pem),
    )
    client = new(
        SubjectAltNameMatcher,
        san_type=SubjectAltNameMatcherSanType.DNS,
        matcher=new(StringMatcher, exact=tls.client),
    )
    context = new(
        DownstreamTlsContext,
        require_client_certificate=True,
        common_tls_context=new(
            CommonTlsContext,
            tls_certificates=[certificate],
            validation_context=new(
                CertificateValidationContext,
                trusted_ca=new(DataSource, inline_bytes=tls.ca_pem),
                match_typed_subject_alt_names=[client],
            ),
        ),
    )
    return new(TransportSocket, name=TLS_SOCKET, typed_config=any_of(context))
