"""Clusters, one builder an input, as Kuma 2.14 shapes them. Each may read only its argument."""

from __future__ import annotations

from datetime import timedelta
from functools import cache, lru_cache
from ipaddress import ip_address
from typing import TYPE_CHECKING, assert_never

from envoy_data_plane.envoy.config.cluster.v3 import (
    CircuitBreakers,
    CircuitBreakersThresholds,
    Cluster,
    ClusterCommonLbConfig,
    ClusterDiscoveryType,
    ClusterDnsLookupFamily,
    ClusterEdsClusterConfig,
    ClusterLbPolicy,
    ClusterLbSubsetConfig,
    ClusterLbSubsetConfigLbSubsetFallbackPolicy,
    ClusterLbSubsetConfigLbSubsetSelector,
    ClusterLbSubsetConfigLbSubsetSelectorLbSubsetSelectorFallbackPolicy,
    ClusterTransportSocketMatch,
    OutlierDetection,
)
from envoy_data_plane.envoy.config.core.v3 import (
    Address,
    BindConfig,
    Http1ProtocolOptions,
    Http2ProtocolOptions,
    KeepaliveSettings,
    Pipe,
    SocketAddress,
)
from envoy_data_plane.envoy.config.core.v3 import HttpProtocolOptions as CommonHttpProtocolOptions
from envoy_data_plane.envoy.extensions.upstreams.http.v3 import (
    HttpProtocolOptions,
    HttpProtocolOptionsExplicitHttpConfig,
)
from envoy_data_plane.envoy.type.v3 import Percent

from xds.build.endpoints import (
    external_assignment,
    external_tags,
    only_endpoint,
    socket_address,
    tags_struct,
)
from xds.build.tls import ads, external_socket, upstream_socket
from xds.message import PARTS, Form, any_of, encode, form, framer, new, part
from xds.names import stat_prefix
from xds.resource import CLUSTER, XdsResource
from xds.view import (
    ClusterInput,
    DirectCluster,
    EdsCluster,
    EmptyCluster,
    ExternalCluster,
    HostCluster,
    LocalCluster,
    PassthroughCluster,
    PipeCluster,
    Protocol,
)
from xds.wire import resource

if TYPE_CHECKING:
    from envoy_data_plane.envoy.config.core.v3 import TransportSocket
    from envoy_data_plane.google.protobuf import Any

    from xds.external import ExternalEndpoint
    from xds.hooks import Applied

PROTOCOL_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
CONNECT_TIMEOUT = timedelta(seconds=5)
LOCAL_CONNECT_TIMEOUT = timedelta(seconds=10)
LOCAL_IDLE_TIMEOUT = timedelta(seconds=7200)
NO_TIMEOUT = timedelta(0)

# Our own detection. Whoever is out is tried again after 20 s, then after 30 s: by calls, which wait
# until connecting takes too long. Before, the control plane finds out by itself who is not there.
UNREACHED = 3  # calls in a row that did not get through
EJECTION_LOOK = timedelta(seconds=1)  # how often is looked who may be back
EJECTION_BASE = timedelta(seconds=20)
EJECTION_MAX = timedelta(seconds=30)
PANIC_PERCENT = 1.0  # with less than this share left, which is nobody, all are tried
MERGE_WINDOW = timedelta(milliseconds=100)  # Envoy waits for 1 s with the second that is out
SILENCE = timedelta(seconds=1)
PING_TIMEOUT = timedelta(seconds=1)

_name_field = framer(Cluster, "name")
_stat_name_field = framer(Cluster, "alt_stat_name")
_assignment_field = framer(Cluster, "load_assignment")


def build_cluster(argument: ClusterInput) -> XdsResource:
    match argument:
        case EdsCluster():
            body = encode(_eds(argument))
        case LocalCluster():
            body = _local(argument)
        case ExternalCluster():
            body = encode(_external(argument))
        case PassthroughCluster(name, source):
            body = encode(_original_destination(name, _bound_to(source), None))
        case DirectCluster(name, tls):
            socket = upstream_socket(tls) if tls is not None else None
            body = encode(_original_destination(name, None, socket))
        case EmptyCluster():
            body = encode(_empty(argument))
        case PipeCluster(name, path):
            body = encode(_own_host(name, encode(new(Address, pipe=new(Pipe, path=path)))))
        case HostCluster(name, address, port):
            body = encode(_own_host(name, socket_address(address, port)))
        case _:
            assert_never(argument)
    return resource(CLUSTER, argument.name, body)


def _eds(argument: EdsCluster) -> Cluster:
    prefix = stat_prefix(argument.name)
    cluster = new(
        Cluster,
        name=argument.name,
        alt_stat_name=prefix if prefix != argument.name else "",
        type=ClusterDiscoveryType.EDS,
        eds_cluster_config=_eds_config(),
        connect_timeout=CONNECT_TIMEOUT,
        transport_socket=upstream_socket(argument.tls) if argument.tls is not None else None,
        lb_subset_config=_subsets(argument.subset_keys),
    )
    if argument.circuit_breakers:
        cluster.circuit_breakers = _track_remaining()
    if argument.detection:
        cluster.outlier_detection = _detection()
        common = common_lb(cluster)
        common.healthy_panic_threshold = new(Percent, value=PANIC_PERCENT)
        common.update_merge_window = MERGE_WINDOW
    on_cluster(cluster, argument.applied)
    if argument.http2_upstream:
        options = _upstream_options(argument.applied, argument.detection)
        cluster.typed_extension_protocol_options[PROTOCOL_OPTIONS] = options
    return cluster


@cache
def _eds_config() -> ClusterEdsClusterConfig:
    return part(new(ClusterEdsClusterConfig, eds_config=ads()))


@cache
def _detection() -> OutlierDetection:
    """What an application answers, 503 as well, ejects nobody: only who is not reached is out."""
    found = new(
        OutlierDetection,
        split_external_local_origin_errors=True,
        consecutive_local_origin_failure=UNREACHED,
        interval=EJECTION_LOOK,
        base_ejection_time=EJECTION_BASE,
        max_ejection_time=EJECTION_MAX,
        max_ejection_percent=100,
        enforcing_consecutive_5xx=0,
        enforcing_success_rate=0,
        enforcing_local_origin_success_rate=0,
    )
    return part(found)


def common_lb(cluster: Cluster) -> ClusterCommonLbConfig:
    """Of the cluster alone: policies write into it."""
    if cluster.common_lb_config is None:
        cluster.common_lb_config = new(ClusterCommonLbConfig)
    return cluster.common_lb_config


@lru_cache(PARTS)
def _upstream_options(applied: tuple[Applied, ...], detection: bool) -> Any:
    """Sidecars speak HTTP/2 with each other, whatever the service speaks."""
    http2 = new(Http2ProtocolOptions)
    if detection:
        # No interval: a connection without calls costs no ping. It goes ahead of a call on one that
        # was silent, and whatever arrives meanwhile counts as its answer.
        http2.connection_keepalive = new(
            KeepaliveSettings, connection_idle_interval=SILENCE, timeout=PING_TIMEOUT
        )
    explicit = new(HttpProtocolOptionsExplicitHttpConfig, http2_protocol_options=http2)
    options = new(HttpProtocolOptions, explicit_http_config=explicit)
    on_protocol_options(options, applied)
    return any_of(options)


def _subsets(keys: tuple[tuple[str, ...], ...]) -> ClusterLbSubsetConfig | None:
    if not keys:
        return None
    no_fallback = ClusterLbSubsetConfigLbSubsetSelectorLbSubsetSelectorFallbackPolicy.NO_FALLBACK
    return new(
        ClusterLbSubsetConfig,
        fallback_policy=ClusterLbSubsetConfigLbSubsetFallbackPolicy.ANY_ENDPOINT,
        subset_selectors=[
            new(
                ClusterLbSubsetConfigLbSubsetSelector, keys=list(names), fallback_policy=no_fallback
            )
            for names in keys
        ],
    )


def _external(argument: ExternalCluster) -> Cluster:
    """Addresses alone are taken as they are; names are looked up by the proxy, IPv4 first."""
    prefix, names = stat_prefix(argument.name), any(map(_has_name, argument.endpoints))
    cluster = new(
        Cluster,
        name=argument.name,
        alt_stat_name=prefix if prefix != argument.name else "",
        type=ClusterDiscoveryType.STRICT_DNS if names else ClusterDiscoveryType.STATIC,
        connect_timeout=CONNECT_TIMEOUT,
        load_assignment=external_assignment(argument.name, argument.endpoints),
        transport_socket_matches=[
            new(
                ClusterTransportSocketMatch,
                name=each.name or each.address,
                match=tags_struct(external_tags(each)),
                transport_socket=external_socket(each.tls),
            )
            for each in argument.endpoints
            if each.tls is not None
        ],
        circuit_breakers=_track_remaining(),
    )
    if names:
        cluster.dns_lookup_family = ClusterDnsLookupFamily.V4_PREFERRED
    if argument.detection:
        cluster.outlier_detection = _detection()
        common_lb(cluster).healthy_panic_threshold = new(Percent, value=PANIC_PERCENT)
    on_cluster(cluster, argument.applied)
    if argument.protocol.is_http:
        options = _local_options(argument.protocol)
        on_protocol_options(options, argument.applied)
        cluster.typed_extension_protocol_options[PROTOCOL_OPTIONS] = any_of(options)
    return cluster


def _has_name(endpoint: ExternalEndpoint) -> bool:
    try:
        ip_address(endpoint.address)
    except ValueError:
        return True
    return False


def _local(argument: LocalCluster) -> bytes:
    """Every proxy has its own: those of many differ in name and address only."""
    assignment = only_endpoint(argument.name, socket_address(argument.address, argument.port))
    return _local_form(argument.protocol, argument.applied, argument.source).filled(
        _name_field(argument.name.encode()),
        _stat_name_field(stat_prefix(argument.name).encode()),
        _assignment_field(encode(assignment)),
    )


@lru_cache(PARTS)
def _local_form(protocol: Protocol, applied: tuple[Applied, ...], source: str) -> Form:
    cluster = new(
        Cluster,
        type=ClusterDiscoveryType.STATIC,
        connect_timeout=LOCAL_CONNECT_TIMEOUT,
        circuit_breakers=_track_remaining(),
        upstream_bind_config=_bound_to(source),
    )
    on_cluster(cluster, applied)
    if protocol.is_http:
        options = _local_options(protocol)
        on_protocol_options(options, applied)
        cluster.typed_extension_protocol_options[PROTOCOL_OPTIONS] = any_of(options)
    return form(cluster, "name", "alt_stat_name", "load_assignment")


def _local_options(protocol: Protocol) -> HttpProtocolOptions:
    if protocol is Protocol.HTTP:
        explicit = new(
            HttpProtocolOptionsExplicitHttpConfig, http_protocol_options=new(Http1ProtocolOptions)
        )
    else:
        explicit = new(
            HttpProtocolOptionsExplicitHttpConfig, http2_protocol_options=new(Http2ProtocolOptions)
        )
    return new(
        HttpProtocolOptions,
        common_http_protocol_options=new(
            CommonHttpProtocolOptions,
            idle_timeout=LOCAL_IDLE_TIMEOUT,
            max_connection_duration=NO_TIMEOUT,
            max_stream_duration=NO_TIMEOUT,
        ),
        explicit_http_config=explicit,
    )


def _original_destination(
    name: str, bound: BindConfig | None, socket: TransportSocket | None
) -> Cluster:
    prefix = stat_prefix(name)
    return new(
        Cluster,
        name=name,
        alt_stat_name=prefix if prefix != name else "",
        type=ClusterDiscoveryType.ORIGINAL_DST,
        lb_policy=ClusterLbPolicy.CLUSTER_PROVIDED,
        connect_timeout=CONNECT_TIMEOUT,
        upstream_bind_config=bound,
        transport_socket=socket,
        circuit_breakers=_track_remaining(),
    )


@lru_cache(PARTS)
def _bound_to(source: str) -> BindConfig | None:
    """Any port of that address."""
    if not source:
        return None
    address = new(SocketAddress, address=source, port_value=0)
    return part(new(BindConfig, source_address=address))


def _empty(argument: EmptyCluster) -> Cluster:
    return new(
        Cluster,
        name=argument.name,
        alt_stat_name=stat_prefix(argument.name),
        type=ClusterDiscoveryType.STATIC,
        connect_timeout=CONNECT_TIMEOUT,
        circuit_breakers=_track_remaining(),
    )


def _own_host(name: str, address: bytes) -> Cluster:
    """Admin and readiness: no policy shapes them."""
    return new(
        Cluster,
        name=name,
        alt_stat_name=stat_prefix(name),
        type=ClusterDiscoveryType.STATIC,
        connect_timeout=CONNECT_TIMEOUT,
        load_assignment=only_endpoint(name, address),
    )


def on_cluster(cluster: Cluster, applied: tuple[Applied, ...]) -> None:
    for each in applied:
        if each.hooks.on_cluster is not None:
            each.hooks.on_cluster(cluster, each.conf)


def on_protocol_options(options: HttpProtocolOptions, applied: tuple[Applied, ...]) -> None:
    for each in applied:
        if each.hooks.on_protocol_options is not None:
            each.hooks.on_protocol_options(options, each.conf)


@cache
def _track_remaining() -> CircuitBreakers:
    thresholds = new(CircuitBreakersThresholds, track_remaining=True)
    return part(new(CircuitBreakers, thresholds=[thresholds]))
