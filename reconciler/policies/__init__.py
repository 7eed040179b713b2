"""The policy kinds this control plane computes with, in the order they are applied."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.policies import mesh_http_route, mesh_timeout, mesh_traffic_permission

if TYPE_CHECKING:
    from reconciler.policies.policy import PolicyType

POLICIES: tuple[PolicyType, ...] = (
    mesh_http_route.POLICY,
    mesh_timeout.POLICY,
    mesh_traffic_permission.POLICY,
)
