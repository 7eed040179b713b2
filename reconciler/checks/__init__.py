"""What Kuma's API refuses of each kind that is no targetRef policy. Pure.

One kind is one module, named by its slug, which ends in a function
`check(spec, at)`: it yields every violation of the rules that the kind's schema cannot say, and
tolerates documents that the schema has refused. The rules of policies stand in
`reconciler/policies/`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.checks import (
    circuit_breaker,
    external_service,
    fault_injection,
    health_check,
    hostname_generator,
    mesh,
    mesh_external_service,
    mesh_gateway,
    mesh_gateway_route,
    mesh_identity,
    mesh_multi_zone_service,
    mesh_open_telemetry_backend,
    mesh_trust,
    proxy_template,
    rate_limit,
    retry,
    timeout,
    traffic_log,
    traffic_permission,
    traffic_route,
    traffic_trace,
    virtual_outbound,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from reconciler.part import At
    from reconciler.problems import Problem

CHECKS: Mapping[str, Callable[[Mapping[str, object], At], Iterator[Problem]]] = {
    "CircuitBreaker": circuit_breaker.check,
    "ExternalService": external_service.check,
    "FaultInjection": fault_injection.check,
    "HealthCheck": health_check.check,
    "HostnameGenerator": hostname_generator.check,
    "Mesh": mesh.check,
    "MeshExternalService": mesh_external_service.check,
    "MeshGateway": mesh_gateway.check,
    "MeshGatewayRoute": mesh_gateway_route.check,
    "MeshMultiZoneService": mesh_multi_zone_service.check,
    "MeshIdentity": mesh_identity.check,
    "MeshTrust": mesh_trust.check,
    "MeshOpenTelemetryBackend": mesh_open_telemetry_backend.check,
    "ProxyTemplate": proxy_template.check,
    "RateLimit": rate_limit.check,
    "Retry": retry.check,
    "Timeout": timeout.check,
    "TrafficLog": traffic_log.check,
    "TrafficPermission": traffic_permission.check,
    "TrafficRoute": traffic_route.check,
    "TrafficTrace": traffic_trace.check,
    "VirtualOutbound": virtual_outbound.check,
}
