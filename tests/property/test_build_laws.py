"""Laws of the builders: what is assembled of remembered parts is what is built whole and anew."""

from __future__ import annotations

import functools
import sys
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from envoy_data_plane.message_pool import default_message_pool
from hypothesis import given
from hypothesis import strategies as st

from reconciler.destination import cluster_applied, listener_applied
from reconciler.policies.inbound_match import InboundMatch
from reconciler.policies.mesh_timeout import Timeouts
from reconciler.policies.mesh_timeout_hooks import EFFECT as TIMEOUT
from reconciler.policies.mesh_traffic_permission import (
    NamedRule,
    Permission,
    PermissionRule,
    Principal,
    Rbac,
)
from reconciler.policies.mesh_traffic_permission_hooks import EFFECT as PERMISSION
from tests.support import xds_inputs as inputs
from xds.build.clusters import build_cluster
from xds.build.endpoints import build_endpoints
from xds.build.inbound import inbound_listener
from xds.build.listeners import build_listener
from xds.build.outbound import outbound_listener
from xds.hooks import Applied
from xds.message import encode
from xds.resource import LISTENER, XdsResource
from xds.route import Route, RouteMatch
from xds.view import (
    DnsListener,
    DownstreamTls,
    DynamicConfigListener,
    EdsCluster,
    Endpoint,
    Endpoints,
    InboundListener,
    LocalCluster,
    OutboundListener,
    ProbeListener,
    ProbeRoute,
    Protocol,
    SniChain,
    SniListener,
    UpstreamTls,
)
from xds.wire import entry_body, resource

if TYPE_CHECKING:
    from collections.abc import Callable

# --- arguments: few names, so that parts are met again ---

names = st.sampled_from(("a", "b", "backend.mesh", "ä" * 70))
tags = st.dictionaries(st.sampled_from(("kuma.io/service", "version", "x")), names, max_size=3).map(
    lambda found: tuple(sorted(found.items()))
)
spans = st.integers(0, 10**9).map(lambda n: timedelta(microseconds=n))
addresses = st.ip_addresses().map(str)
ports = st.integers(1, 65535)
protocols = st.sampled_from(Protocol)
sockets = st.builds(
    UpstreamTls,
    sni=names,
    san_uris=st.lists(names, max_size=2).map(tuple),
    identity_secret=names,
    ca_secret=names,
    san_uri_prefixes=st.lists(names, max_size=2).map(tuple),
)
servers = st.builds(
    DownstreamTls,
    san_uri_prefixes=st.lists(names, max_size=2).map(tuple),
    identity_secret=names,
    ca_secret=names,
    permissive=st.booleans(),
)


def timeouts(http: bool) -> st.SearchStrategy[Applied]:
    conf = st.builds(Timeouts, spans, spans, spans, spans, spans, spans, spans, st.just(http))
    return conf.map(lambda found: Applied(TIMEOUT.hooks, found))


def permissions(http: bool) -> st.SearchStrategy[Applied]:
    prefix = st.just("") if http else names
    said = st.builds(Permission, principals, principals) | st.lists(rules, max_size=3).map(tuple)
    conf = st.builds(Rbac, st.just(http), prefix, said)
    return conf.map(lambda found: Applied(PERMISSION.hooks, found))


uris = st.lists(names, max_size=2).map(tuple)
principals = st.lists(st.builds(Principal, uris, uris), max_size=3).map(tuple)
matches = st.lists(
    st.builds(InboundMatch, spiffe_exact=names, sni=names)
    | st.builds(InboundMatch, spiffe_prefix=names),
    max_size=2,
).map(tuple)
rules = st.builds(NamedRule, names, st.builds(PermissionRule, matches, matches, matches))

eds = st.builds(
    EdsCluster,
    name=names,
    protocol=protocols,
    tls=st.none() | sockets,
    http2_upstream=st.booleans(),
    circuit_breakers=st.booleans(),
    applied=st.lists(timeouts(True), max_size=1).map(tuple),
)
local = st.builds(
    LocalCluster,
    name=names,
    address=addresses,
    port=ports,
    protocol=protocols,
    applied=st.lists(timeouts(True), max_size=1).map(tuple),
    source=st.just("") | addresses,
)
route = st.builds(
    Route,
    name=names,
    match=st.builds(RouteMatch, path=st.sampled_from((None, inputs.prefix("/v1")))),
    clusters=st.just(inputs.to("a", "b")) | names.map(inputs.to),
    applied=st.lists(timeouts(True), max_size=1).map(tuple),
)


def _inbound(protocol: Protocol) -> st.SearchStrategy[InboundListener]:
    http = protocol.is_http
    return st.builds(
        InboundListener,
        name=names,
        address=addresses,
        port=ports,
        protocol=st.just(protocol),
        service=names,
        cluster=names,
        tags=tags,
        tls=st.none() | servers,
        reuse_port=st.booleans(),
        applied=st.tuples(timeouts(http), permissions(http)) | st.just(()),
        captured=st.booleans(),
    )


def _outbound(protocol: Protocol) -> st.SearchStrategy[OutboundListener]:
    return st.builds(
        OutboundListener,
        name=names,
        address=addresses,
        port=ports,
        protocol=st.just(protocol),
        service=names,
        tags=tags,
        routes=st.lists(route, min_size=1, max_size=3).map(tuple),
        applied=st.lists(timeouts(protocol.is_http), max_size=1).map(tuple),
        captured=st.booleans(),
    )


inbounds = protocols.flatmap(_inbound)
outbounds = protocols.flatmap(_outbound)
ingress = st.builds(
    SniListener,
    name=names,
    address=addresses,
    port=ports,
    chains=st.lists(st.builds(SniChain, names, names, tags), max_size=4).map(tuple),
)
dns = st.builds(
    DnsListener,
    name=names,
    address=addresses,
    port=ports,
    records=st.dictionaries(names, st.lists(addresses, min_size=1, max_size=9).map(tuple)).map(
        lambda found: tuple(sorted(found.items()))
    ),
    ttl_s=st.integers(30, 2**31),
)
documents = st.builds(
    DynamicConfigListener,
    name=names,
    path=names,
    documents=st.dictionaries(names, names, max_size=3).map(lambda d: tuple(sorted(d.items()))),
)
probes = st.builds(
    ProbeListener,
    name=names,
    address=addresses,
    port=ports,
    routes=st.lists(st.builds(ProbeRoute, names, names, names, ports), max_size=3).map(tuple),
    captured=st.booleans(),
    reuse_port=st.booleans(),
)
endpoints = st.builds(
    Endpoints,
    cluster=names,
    endpoints=st.lists(
        st.builds(
            Endpoint,
            address=addresses,
            port=ports,
            weight=st.integers(1, 2**32 - 1),
            tags=tags,
            zone=st.none() | names,
            priority=st.integers(0, 2),
        ),
        max_size=5,
    ).map(tuple),
)


def _resources(
    build: Callable[[Any], XdsResource], arguments: st.SearchStrategy[Any]
) -> st.SearchStrategy[tuple[Callable[[Any], XdsResource], Any]]:
    return st.tuples(st.just(build), arguments)


anything = st.one_of(
    _resources(build_cluster, eds | local),
    _resources(build_endpoints, endpoints),
    _resources(build_listener, st.one_of(inbounds, outbounds, ingress, dns, documents, probes)),
)


# --- laws ---


@given(anything)
def test_the_library_reads_validates_and_writes_what_is_built(
    made: tuple[Callable[[Any], XdsResource], Any],
) -> None:
    """Every part is in its place, fields are in order, and nothing is there that fits no field."""
    build, argument = made
    type_url, body = entry_body(build(argument).entry)
    message = default_message_pool.url_to_type[type_url]().parse(body)
    assert encode(message) == body
    assert type(message)().parse(bytes(message)) == message  # bytes() validates


@given(st.lists(anything, min_size=1, max_size=3))
def test_what_is_remembered_changes_nothing(
    many: list[tuple[Callable[[Any], XdsResource], Any]],
) -> None:
    """After others were built of the same parts, the bytes are those of a first build."""
    remembered = [build(argument) for build, argument in many]
    for (build, argument), before in zip(many, remembered, strict=True):
        _forget()
        assert build(argument) == before


@given(inbounds | outbounds)
def test_an_assembled_listener_is_the_one_built_whole(
    argument: InboundListener | OutboundListener,
) -> None:
    if isinstance(argument, InboundListener):
        whole = encode(inbound_listener(argument))
    else:
        whole = encode(outbound_listener(argument))
    assert build_listener(argument) == resource(LISTENER, argument.name, whole)


@given(eds | local | inbounds | outbounds)
def test_what_a_policy_leaves_out_of_a_conf_is_not_read(argument: Any) -> None:
    """A conf for clusters, or for listeners and their routes, builds what the whole one does."""
    build: Callable[[Any], XdsResource] = build_listener
    narrow: Any
    if isinstance(argument, EdsCluster | LocalCluster):
        build = build_cluster
        narrow = replace(argument, applied=cluster_applied(argument.applied))
    else:
        narrow = replace(argument, applied=listener_applied(argument.applied))
        if isinstance(narrow, OutboundListener):
            routes = [replace(r, applied=listener_applied(r.applied)) for r in narrow.routes]
            narrow = replace(narrow, routes=tuple(routes))
    assert build(narrow) == build(argument)


def _forget() -> None:
    """All parts that builders and hooks remember."""
    for cached in _remembering():
        cached.cache_clear()


@functools.cache
def _remembering() -> list[Any]:
    modules = [m for n, m in sys.modules.items() if n.startswith(("xds.build.", "reconciler."))]
    found = [each for module in modules for each in vars(module).values()]
    return [f for f in found if hasattr(f, "cache_clear") and f is not _remembering]


# --- what a change builds anew ---


def _misses() -> dict[str, int]:
    return {f"{f.__module__}.{f.__name__}": f.cache_info().misses for f in _remembering()}


def _built_parts(before: Any, after: Any, build: Callable[[Any], XdsResource]) -> set[str]:
    _forget()
    build(before)
    counted = _misses()
    build(after)
    return {name.rpartition(".")[2] for name, count in _misses().items() if count > counted[name]}


def _timeouts(seconds: int) -> Applied:
    span = timedelta(seconds=seconds)
    return Applied(TIMEOUT.hooks, Timeouts(span, span, span, span, span, span, span, True))


def _permission(*uris: str, http: bool = True) -> Applied:
    allow = tuple(Principal((uri,), ()) for uri in uris)
    return Applied(PERMISSION.hooks, Rbac(http, "" if http else "p.", Permission(allow, ())))


def test_other_timeouts_leave_the_rest_of_a_cluster_alone() -> None:
    cluster = inputs.EVERY_CLUSTER[0]
    assert isinstance(cluster, EdsCluster)
    before, after = (replace(cluster, applied=(_timeouts(n),)) for n in (1, 2))
    assert _built_parts(before, after, build_cluster) == {"_upstream_options"}


def test_a_thousand_clusters_share_their_options() -> None:
    first, second = (LocalCluster(n, n, 1, Protocol.HTTP, (_timeouts(1),)) for n in "ab")
    assert _built_parts(first, second, build_cluster) == set()


@pytest.mark.parametrize("protocol", [Protocol.HTTP, Protocol.TCP])
def test_another_permission_leaves_the_rest_of_an_inbound_alone(protocol: Protocol) -> None:
    http = protocol.is_http
    before, after = (
        inputs.inbound(protocol, inputs.STRICT, _timeouts(1), _permission(uri, http=http))
        for uri in "ab"
    )
    assert _built_parts(before, after, build_listener) == {"_rules"}


def test_other_timeouts_leave_the_rest_of_a_listener_alone() -> None:
    for before, after in (
        [
            inputs.inbound(Protocol.HTTP, inputs.STRICT, _timeouts(n), _permission("a"))
            for n in (1, 2)
        ],
        [inputs.outbound(Protocol.HTTP, (inputs.route(),), _timeouts(n)) for n in (1, 2)],
    ):
        assert _built_parts(before, after, build_listener) == set()


def test_one_endpoint_more_encodes_one_endpoint() -> None:
    many = tuple(Endpoint(f"10.0.0.{n}", 1, 1, ()) for n in range(100))
    _forget()
    build_endpoints(Endpoints("a", many[1:]))
    counted = _misses()["xds.build.endpoints._entry"]
    build_endpoints(Endpoints("b", many))
    assert (counted, _misses()["xds.build.endpoints._entry"]) == (99, 100)


def test_one_service_more_encodes_one_chain_of_an_ingress() -> None:
    chains = tuple(SniChain(str(n), str(n)) for n in range(100))
    _forget()
    build_listener(replace(inputs.SNI_LISTENER, chains=chains[1:]))
    counted = _misses()["xds.build.ingress._sni_chain"]
    build_listener(replace(inputs.SNI_LISTENER, chains=chains))
    assert (counted, _misses()["xds.build.ingress._sni_chain"]) == (99, 100)
