"""The policies that change Envoy's configuration, in the order they are applied (as Kuma's)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.policies import (
    mesh_circuit_breaker_hooks,
    mesh_load_balancing_strategy_hooks,
    mesh_retry_hooks,
    mesh_timeout_hooks,
    mesh_traffic_permission_hooks,
)

if TYPE_CHECKING:
    from reconciler.policies.effect import Effect

# MeshHTTPRoute has none: its conf is the routes themselves, see reconciler.routes.
EFFECTS: tuple[Effect, ...] = (
    mesh_load_balancing_strategy_hooks.EFFECT,
    mesh_timeout_hooks.EFFECT,
    mesh_traffic_permission_hooks.EFFECT,
    mesh_circuit_breaker_hooks.EFFECT,
    mesh_retry_hooks.EFFECT,
)
