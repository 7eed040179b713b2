"""What MeshCircuitBreaker sets in clusters: those of destinations, and those behind inbounds."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from envoy_data_plane.envoy.config.cluster.v3 import (
    CircuitBreakers,
    CircuitBreakersThresholds,
    OutlierDetection,
)
from envoy_data_plane.envoy.type.v3 import Percent

from reconciler.policies.effect import Effect, InboundPlace
from reconciler.policies.mesh_circuit_breaker import POLICY, BreakerConf, Limits, Outliers
from reconciler.rules import Conf, catch_all, rule_entries
from xds.build.clusters import common_lb
from xds.hooks import Hooks
from xds.message import PARTS, new, part

if TYPE_CHECKING:
    from envoy_data_plane.envoy.config.cluster.v3 import Cluster

    from reconciler.match import Selection
    from xds.view import Protocol

ENFORCED, UNENFORCED = 100, 0
UINT32_MAX = 2**32 - 1


def on_cluster(cluster: Cluster, conf: BreakerConf) -> None:
    if conf.limits is not None:
        cluster.circuit_breakers = _limits(conf.limits)
    if conf.outliers is None:
        return
    if cluster.outlier_detection is not None:  # the proxies' own goes as a whole
        cluster.outlier_detection = None
        common_lb(cluster).healthy_panic_threshold = None
    if conf.outliers.disabled:
        return
    cluster.outlier_detection = _detection(conf.outliers)
    if conf.outliers.panic is not None:
        common_lb(cluster).healthy_panic_threshold = new(Percent, value=conf.outliers.panic)


@lru_cache(PARTS)
def _limits(limits: Limits) -> CircuitBreakers:
    thresholds = new(
        CircuitBreakersThresholds,
        max_connections=limits.connections,
        max_pending_requests=limits.pending,
        max_requests=limits.requests,
        max_retries=limits.retries,
        track_remaining=True,
        max_connection_pools=limits.pools,
    )
    return part(new(CircuitBreakers, thresholds=[thresholds]))


@lru_cache(PARTS)
def _detection(conf: Outliers) -> OutlierDetection:
    """Envoy enforces some detectors unasked: each is said, on or off."""
    found = new(
        OutlierDetection,
        interval=conf.interval,
        base_ejection_time=conf.base,
        max_ejection_percent=conf.percent,
        split_external_local_origin_errors=bool(conf.split),
        consecutive_5xx=conf.total,
        enforcing_consecutive_5xx=_enforced(conf.total),
        consecutive_gateway_failure=conf.gateway,
        enforcing_consecutive_gateway_failure=_enforced(conf.gateway),
        consecutive_local_origin_failure=conf.local,
        enforcing_consecutive_local_origin_failure=_enforced(conf.local),
        enforcing_success_rate=_enforced(conf.success_rate),
        enforcing_local_origin_success_rate=_enforced(conf.success_rate),
        enforcing_failure_percentage=_enforced(conf.failure_percentage),
        enforcing_failure_percentage_local_origin=_enforced(conf.failure_percentage),
    )
    rate, percentage = conf.success_rate, conf.failure_percentage
    if rate is not None:
        found.success_rate_minimum_hosts = rate.hosts
        found.success_rate_request_volume = rate.volume
        if rate.factor is not None:
            found.success_rate_stdev_factor = min(int(round(rate.factor * 1000, 6)), UINT32_MAX)
    if percentage is not None:
        found.failure_percentage_minimum_hosts = percentage.hosts
        found.failure_percentage_request_volume = percentage.volume
        found.failure_percentage_threshold = percentage.threshold
    return part(found)


def _enforced(detector: object | None) -> int:
    return UNENFORCED if detector is None else ENFORCED


def inbound_conf(selections: tuple[Selection, ...], inbound: int, _mesh: str) -> Conf | None:
    return catch_all(rule_entries(selections, inbound), POLICY.merge)


def on_inbound(conf: BreakerConf | None, _place: InboundPlace) -> BreakerConf | None:
    return conf


def on_outbound(conf: BreakerConf, _protocol: Protocol) -> BreakerConf:
    return conf


EFFECT = Effect(
    kind=POLICY.kind,
    hooks=Hooks(policy=POLICY.slug, on_cluster=on_cluster),
    inbound_conf=inbound_conf,
    on_inbound=on_inbound,
    on_outbound=on_outbound,
)
