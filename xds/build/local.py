"""Listeners of plain HTTP for who is on the proxy's own host or looks after it: documents for
kuma-dp, health checks of the applications.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import TYPE_CHECKING

from envoy_data_plane.envoy.config.core.v3 import (
    Address,
    DataSource,
    HeaderValue,
    HeaderValueOption,
    Pipe,
    TrafficDirection,
)
from envoy_data_plane.envoy.config.listener.v3 import FilterChain, Listener
from envoy_data_plane.envoy.config.route.v3 import (
    DirectResponseAction,
    HeaderMatcher,
    RedirectAction,
    Route,
    RouteAction,
    RouteConfiguration,
    RouteMatch,
    VirtualHost,
)
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import (
    HttpConnectionManager,
)
from envoy_data_plane.envoy.type.matcher.v3 import StringMatcher

from xds.build.chains import LOOPBACKS, address_of, http_filters, internal_addresses
from xds.build.routes import whole_path
from xds.message import new, part
from xds.names import stat_prefix
from xds.view import Protocol

if TYPE_CHECKING:
    from xds.view import DynamicConfigListener, ProbeListener, ProbeRoute

CHAINS = 64  # sets of documents that are remembered, those used last: each may be of 1 MB


def dynamic_config_listener(argument: DynamicConfigListener) -> Listener:
    """The socket is the proxy's own, the documents are those of many."""
    return new(
        Listener,
        name=argument.name,
        address=new(Address, pipe=new(Pipe, path=argument.path)),
        filter_chains=[_documents(argument.name, argument.documents)],
    )


@lru_cache(CHAINS)
def _documents(name: str, documents: tuple[tuple[str, str], ...]) -> FilterChain:
    routes = [route for path, body in documents for route in _document(name, path, body)]
    config = new(
        RouteConfiguration,
        virtual_hosts=[new(VirtualHost, name=name, domains=["*"], routes=routes)],
        max_direct_response_body_size_bytes=max(
            (len(body.encode()) for _, body in documents), default=0
        ),
    )
    return part(_chain(name, config))


def _document(name: str, path: str, body: str) -> list[Route]:
    """Who has it already is told so: the first route that matches counts."""
    etag = hashlib.sha256(body.encode()).hexdigest()
    has_it = new(HeaderMatcher, name="If-None-Match", string_match=new(StringMatcher, exact=etag))
    same = new(
        Route,
        match=new(RouteMatch, path=path, headers=[has_it]),
        direct_response=new(DirectResponseAction, status=304),
    )
    whole = new(
        Route,
        name=f"{name}:{path}",
        match=new(RouteMatch, path=path),
        direct_response=new(
            DirectResponseAction, status=200, body=new(DataSource, inline_string=body)
        ),
        response_headers_to_add=[
            new(HeaderValueOption, header=new(HeaderValue, key="Etag", value=etag))
        ],
    )
    return [same, whole]


def probe_listener(argument: ProbeListener) -> Listener:
    host = new(
        VirtualHost, name="probe", domains=["*"], routes=[_probe(each) for each in argument.routes]
    )
    config = new(RouteConfiguration, name="probe:route_configuration", virtual_hosts=[host])
    return new(
        Listener,
        name=argument.name,
        address=address_of(argument.address, argument.port),
        traffic_direction=TrafficDirection.INBOUND,
        enable_reuse_port=argument.reuse_port,
        bind_to_port=False if argument.captured else None,
        filter_chains=[_chain(argument.name, config)],
    )


def _probe(argument: ProbeRoute) -> Route:
    get = new(HeaderMatcher, name=":method", string_match=new(StringMatcher, exact="GET"))
    found = new(Route, match=new(RouteMatch, path=argument.path, headers=[get]))
    if argument.cluster:
        found.route = new(
            RouteAction, cluster=argument.cluster, regex_rewrite=whole_path(argument.to_path)
        )
    else:
        found.redirect = new(
            RedirectAction, path_redirect=argument.to_path, port_redirect=argument.port
        )
    return found


def _chain(name: str, config: RouteConfiguration) -> FilterChain:
    manager = new(
        HttpConnectionManager,
        stat_prefix=stat_prefix(name),
        route_config=config,
        internal_address_config=internal_addresses(LOOPBACKS),
    )
    return new(FilterChain, filters=http_filters(manager, Protocol.HTTP, ()))
