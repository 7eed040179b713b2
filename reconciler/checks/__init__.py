"""What Kuma's API refuses of each kind that is no targetRef policy. Pure.

One kind is one module, named by its slug, which ends in a function
`check(spec, at)`: it yields every violation of the rules that the kind's schema cannot say, and
tolerates documents that the schema has refused. The rules of policies stand in
`reconciler/policies/`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.checks import (
    external_service,
    health_check,
    mesh_gateway,
    mesh_gateway_route,
    proxy_template,
    virtual_outbound,
)
from reconciler.model.mesh_rules import check_mesh

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from reconciler.part import At
    from reconciler.problems import Problem

CHECKS: Mapping[str, Callable[[Mapping[str, object], At], Iterator[Problem]]] = {
    "ExternalService": external_service.check,
    "HealthCheck": health_check.check,
    "Mesh": check_mesh,
    "MeshGateway": mesh_gateway.check,
    "MeshGatewayRoute": mesh_gateway_route.check,
    "ProxyTemplate": proxy_template.check,
    "VirtualOutbound": virtual_outbound.check,
}
