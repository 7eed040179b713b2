"""Clusters, one builder an input, as Kuma 2.14 shapes them. Each may read only its argument."""

from __future__ import annotations

from datetime import timedelta
from typing import assert_never

from envoy_data_plane.envoy.config.cluster.v3 import (
    CircuitBreakers,
    CircuitBreakersThresholds,
    Cluster,
    ClusterDiscoveryType,
    ClusterEdsClusterConfig,
    ClusterLbPolicy,
    ClusterLbSubsetConfig,
    ClusterLbSubsetConfigLbSubsetFallbackPolicy,
    ClusterLbSubsetConfigLbSubsetSelector,
    ClusterLbSubsetConfigLbSubsetSelectorLbSubsetSelectorFallbackPolicy,
)
from envoy_data_plane.envoy.config.core.v3 import (
    Address,
    Http1ProtocolOptions,
    Http2ProtocolOptions,
    Pipe,
    SocketAddress,
)
from envoy_data_plane.envoy.config.core.v3 import HttpProtocolOptions as CommonHttpProtocolOptions
from envoy_data_plane.envoy.config.endpoint.v3 import (
    ClusterLoadAssignment,
    Endpoint,
    LbEndpoint,
    LocalityLbEndpoints,
)
from envoy_data_plane.envoy.extensions.upstreams.http.v3 import (
    HttpProtocolOptions,
    HttpProtocolOptionsExplicitHttpConfig,
)

from xds.build.tls import ads, upstream_socket
from xds.names import stat_prefix
from xds.resource import CLUSTER, XdsResource
from xds.view import (
    Applied,
    ClusterInput,
    EdsCluster,
    HostCluster,
    LocalCluster,
    PassthroughCluster,
    PipeCluster,
    Protocol,
)
from xds.message import any_of, encode, new
from xds.wire import resource

PROTOCOL_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
CONNECT_TIMEOUT = timedelta(seconds=5)
LOCAL_CONNECT_TIMEOUT = timedelta(seconds=10)
LOCAL_IDLE_TIMEOUT = timedelta(seconds=7200)
NO_TIMEOUT = timedelta(0)


def build_cluster(argument: ClusterInput) -> XdsResource:
    match argument:
        case EdsCluster():
            cluster = _eds(argument)
        case LocalCluster():
            cluster = _local(argument)
        case PassthroughCluster():
            cluster = _passthrough(argument)
        case PipeCluster(name, path):
            cluster = _own_host(name, new(Address, pipe=new(Pipe, path=path)))
        case HostCluster(name, address, port):
            cluster = _own_host(name, _socket_address(address, port))
        case _:
            assert_never(argument)
    return resource(CLUSTER, cluster.name, encode(cluster))


def _eds(argument: EdsCluster) -> Cluster:
    prefix = stat_prefix(argument.name)
    cluster = new(Cluster, 
        name=argument.name,
        alt_stat_name=prefix if prefix != argument.name else "",
        type=ClusterDiscoveryType.EDS,
        eds_cluster_config=new(ClusterEdsClusterConfig, eds_config=ads()),
        connect_timeout=CONNECT_TIMEOUT,
        transport_socket=upstream_socket(argument.tls) if argument.tls is not None else None,
        lb_subset_config=_subsets(argument.subset_keys),
    )
    if argument.circuit_breakers:
        cluster.circuit_breakers = _track_remaining()
    if argument.http2_upstream:
        options = new(HttpProtocolOptions, 
            explicit_http_config=new(HttpProtocolOptionsExplicitHttpConfig, 
                http2_protocol_options=new(Http2ProtocolOptions)
            )
        )
        _finish(cluster, argument.applied, options)
    else:
        _finish(cluster, argument.applied, None)
    return cluster


def _subsets(keys: tuple[tuple[str, ...], ...]) -> ClusterLbSubsetConfig | None:
    if not keys:
        return None
    no_fallback = ClusterLbSubsetConfigLbSubsetSelectorLbSubsetSelectorFallbackPolicy.NO_FALLBACK
    return new(ClusterLbSubsetConfig, 
        fallback_policy=ClusterLbSubsetConfigLbSubsetFallbackPolicy.ANY_ENDPOINT,
        subset_selectors=[
            new(ClusterLbSubsetConfigLbSubsetSelector, keys=list(names), fallback_policy=no_fallback)
            for names in keys
        ],
    )


def _local(argument: LocalCluster) -> Cluster:
    endpoint = _socket_address(argument.address, argument.port)
    cluster = new(Cluster, 
        name=argument.name,
        alt_stat_name=stat_prefix(argument.name),
        type=ClusterDiscoveryType.STATIC,
        connect_timeout=LOCAL_CONNECT_TIMEOUT,
        load_assignment=_assignment(argument.name, endpoint),
        circuit_breakers=_track_remaining(),
    )
    _finish(cluster, argument.applied, _local_options(argument.protocol))
    return cluster


def _local_options(protocol: Protocol) -> HttpProtocolOptions | None:
    if not protocol.is_http:
        return None
    if protocol is Protocol.HTTP:
        explicit = new(HttpProtocolOptionsExplicitHttpConfig, 
            http_protocol_options=new(Http1ProtocolOptions)
        )
    else:
        explicit = new(HttpProtocolOptionsExplicitHttpConfig, 
            http2_protocol_options=new(Http2ProtocolOptions)
        )
    return new(HttpProtocolOptions, 
        common_http_protocol_options=new(CommonHttpProtocolOptions, 
            idle_timeout=LOCAL_IDLE_TIMEOUT,
            max_connection_duration=NO_TIMEOUT,
            max_stream_duration=NO_TIMEOUT,
        ),
        explicit_http_config=explicit,
    )


def _passthrough(argument: PassthroughCluster) -> Cluster:
    return new(Cluster, 
        name=argument.name,
        alt_stat_name=stat_prefix(argument.name),
        type=ClusterDiscoveryType.ORIGINAL_DST,
        lb_policy=ClusterLbPolicy.CLUSTER_PROVIDED,
        connect_timeout=CONNECT_TIMEOUT,
    )


def _own_host(name: str, address: Address) -> Cluster:
    """Admin and readiness: no policy shapes them."""
    return new(Cluster, 
        name=name,
        alt_stat_name=stat_prefix(name),
        type=ClusterDiscoveryType.STATIC,
        connect_timeout=CONNECT_TIMEOUT,
        load_assignment=_assignment(name, address),
    )


def _finish(
    cluster: Cluster, applied: tuple[Applied, ...], options: HttpProtocolOptions | None
) -> None:
    """Let the policies at the fresh messages, then pack the options."""
    for each in applied:
        if each.hooks.on_cluster is not None:
            each.hooks.on_cluster(cluster, each.conf)
        if options is not None and each.hooks.on_protocol_options is not None:
            each.hooks.on_protocol_options(options, each.conf)
    if options is not None:
        cluster.typed_extension_protocol_options[PROTOCOL_OPTIONS] = any_of(options)


def _track_remaining() -> CircuitBreakers:
    return new(CircuitBreakers, thresholds=[new(CircuitBreakersThresholds, track_remaining=True)])


def _socket_address(address: str, port: int) -> Address:
    return new(Address, socket_address=new(SocketAddress, address=address, port_value=port))


def _assignment(name: str, address: Address) -> ClusterLoadAssignment:
    return new(ClusterLoadAssignment, 
        cluster_name=name,
        endpoints=[
            new(LocalityLbEndpoints, lb_endpoints=[new(LbEndpoint, endpoint=new(Endpoint, address=address))])
        ],
    )
