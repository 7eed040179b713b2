"""What MeshLoadBalancingStrategy sets in Envoy's messages: how a cluster chooses, and what a
request's hash is made of. Where endpoints stand is `reconciler.locality`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from envoy_data_plane.envoy.config.cluster.v3 import (
    ClusterCommonLbConfigLocalityWeightedLbConfig,
    ClusterLbPolicy,
    ClusterLeastRequestLbConfig,
    ClusterMaglevLbConfig,
    ClusterRingHashLbConfig,
    ClusterRingHashLbConfigHashFunction,
)
from envoy_data_plane.envoy.config.core.v3 import RuntimeDouble
from envoy_data_plane.envoy.config.route.v3 import (
    RouteActionHashPolicy,
    RouteActionHashPolicyConnectionProperties,
    RouteActionHashPolicyCookie,
    RouteActionHashPolicyFilterState,
    RouteActionHashPolicyHeader,
    RouteActionHashPolicyQueryParameter,
)
from envoy_data_plane.envoy.type.v3 import HashPolicy as ConnectionHash
from envoy_data_plane.envoy.type.v3 import HashPolicyFilterState, HashPolicySourceIp

from reconciler.policies.effect import Effect
from reconciler.policies.mesh_load_balancing_strategy import (
    CONNECTION,
    FILTER_STATE,
    POLICY,
    Balancer,
    HashPolicy,
    Strategy,
    StrategyConf,
    locality,
    strategy,
)
from xds.build.clusters import common_lb
from xds.copying import replace
from xds.hooks import Hooks
from xds.message import new

if TYPE_CHECKING:
    from envoy_data_plane.envoy.config.cluster.v3 import Cluster
    from envoy_data_plane.envoy.config.route.v3 import Route
    from envoy_data_plane.envoy.extensions.filters.network.tcp_proxy.v3 import TcpProxy

    from xds.view import Protocol

_POLICIES = {
    "RoundRobin": ClusterLbPolicy.ROUND_ROBIN,
    "LeastRequest": ClusterLbPolicy.LEAST_REQUEST,
    "RingHash": ClusterLbPolicy.RING_HASH,
    "Random": ClusterLbPolicy.RANDOM,
    "Maglev": ClusterLbPolicy.MAGLEV,
}
_FUNCTIONS = {
    "XXHash": ClusterRingHashLbConfigHashFunction.XX_HASH,
    "MurmurHash2": ClusterRingHashLbConfigHashFunction.MURMUR_HASH_2,
}
_BIAS_KEY = "upstream.least_request.active_request_bias"  # Envoy takes no such number without


def on_cluster(cluster: Cluster, conf: Strategy) -> None:
    if conf.weighted:
        weighted = new(ClusterCommonLbConfigLocalityWeightedLbConfig)
        common_lb(cluster).locality_weighted_lb_config = weighted
    if conf.balancer is not None:
        _balance(cluster, conf.balancer)


def _balance(cluster: Cluster, balancer: Balancer) -> None:
    cluster.lb_policy = _POLICIES.get(balancer.kind, ClusterLbPolicy.ROUND_ROBIN)
    match balancer.kind:
        case "LeastRequest":
            bias = balancer.active_request_bias
            cluster.least_request_lb_config = new(
                ClusterLeastRequestLbConfig,
                choice_count=balancer.choice_count,
                active_request_bias=new(RuntimeDouble, default_value=bias, runtime_key=_BIAS_KEY)
                if bias is not None
                else None,
            )
        case "RingHash":
            cluster.ring_hash_lb_config = new(
                ClusterRingHashLbConfig,
                hash_function=_FUNCTIONS.get(
                    balancer.hash_function or "", ClusterRingHashLbConfigHashFunction.XX_HASH
                ),
                minimum_ring_size=balancer.min_ring_size,
                maximum_ring_size=balancer.max_ring_size,
            )
        case "Maglev":
            cluster.maglev_lb_config = new(ClusterMaglevLbConfig, table_size=balancer.table_size)


def on_route(route: Route, conf: Strategy) -> None:
    if route.route is not None:
        route.route.hash_policy = [_hash_policy(each) for each in conf.hash_policies]


def _hash_policy(policy: HashPolicy) -> RouteActionHashPolicy:
    found = new(RouteActionHashPolicy, terminal=policy.terminal)
    match policy.kind:
        case "Header":
            found.header = new(RouteActionHashPolicyHeader, header_name=policy.name)
        case "Cookie":
            found.cookie = new(
                RouteActionHashPolicyCookie, name=policy.name, ttl=policy.ttl, path=policy.path
            )
        case "QueryParameter":
            found.query_parameter = new(RouteActionHashPolicyQueryParameter, name=policy.name)
        case "FilterState":
            found.filter_state = new(RouteActionHashPolicyFilterState, key=policy.name)
        case _:
            found.connection_properties = new(
                RouteActionHashPolicyConnectionProperties, source_ip=True
            )
    return found


def on_tcp_proxy(proxy: TcpProxy, conf: Strategy) -> None:
    """A connection has an address and filter state, and Envoy takes one of them."""
    for policy in conf.hash_policies:
        if policy.kind == CONNECTION:
            proxy.hash_policy = [new(ConnectionHash, source_ip=new(HashPolicySourceIp))]
            return
        if policy.kind == FILTER_STATE:
            state = new(HashPolicyFilterState, key=policy.name)
            proxy.hash_policy = [new(ConnectionHash, filter_state=state)]
            return


def of_cluster(conf: Strategy) -> Strategy:
    return replace(conf, hash_policies=())


def of_listener(conf: Strategy) -> Strategy:
    return replace(conf, balancer=None, weighted=False)


def on_outbound(conf: StrategyConf, _protocol: Protocol) -> Strategy:
    return strategy(conf)


EFFECT = Effect(
    kind=POLICY.kind,
    hooks=Hooks(
        policy=POLICY.slug,
        on_cluster=on_cluster,
        on_route=on_route,
        on_tcp_proxy=on_tcp_proxy,
        of_cluster=of_cluster,
        of_listener=of_listener,
    ),
    on_outbound=on_outbound,
    locality=locality,
)
