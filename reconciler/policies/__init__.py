"""The policy kinds: those this control plane computes with, and those whose documents it checks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.policies import (
    mesh_access_log,
    mesh_circuit_breaker,
    mesh_fault_injection,
    mesh_health_check,
    mesh_http_route,
    mesh_load_balancing_strategy,
    mesh_metric,
    mesh_passthrough,
    mesh_proxy_patch,
    mesh_rate_limit,
    mesh_retry,
    mesh_tcp_route,
    mesh_timeout,
    mesh_tls,
    mesh_trace,
    mesh_traffic_permission,
)

if TYPE_CHECKING:
    from reconciler.policies.policy import PolicyRules, PolicyType

# In the order they are applied.
POLICIES: tuple[PolicyType, ...] = (
    mesh_http_route.POLICY,
    mesh_load_balancing_strategy.POLICY,
    mesh_timeout.POLICY,
    mesh_traffic_permission.POLICY,
    mesh_circuit_breaker.POLICY,
    mesh_retry.POLICY,
)
# Carried to zones as they are; their effect on Envoy is not computed here yet.
CARRIED: tuple[PolicyRules, ...] = (
    mesh_access_log.POLICY,
    mesh_fault_injection.POLICY,
    mesh_health_check.POLICY,
    mesh_metric.POLICY,
    mesh_passthrough.POLICY,
    mesh_proxy_patch.POLICY,
    mesh_rate_limit.POLICY,
    mesh_tcp_route.POLICY,
    mesh_tls.POLICY,
    mesh_trace.POLICY,
)
