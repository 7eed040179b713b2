"""Load assignments: endpoints grouped by locality and priority, tags as metadata."""

from __future__ import annotations

from typing import TYPE_CHECKING

from envoy_data_plane.envoy.config.core.v3 import Address, Locality, Metadata, SocketAddress
from envoy_data_plane.envoy.config.endpoint.v3 import (
    ClusterLoadAssignment,
    LbEndpoint,
    LocalityLbEndpoints,
)
from envoy_data_plane.envoy.config.endpoint.v3 import Endpoint as EnvoyEndpoint
from envoy_data_plane.google.protobuf import Struct, Value

from xds.resource import ENDPOINT, XdsResource
from xds.wire import encode, resource

if TYPE_CHECKING:
    from xds.view import Endpoint, Endpoints, Pairs

LB_METADATA = "envoy.lb"
SOCKET_METADATA = "envoy.transport_socket_match"


def build_endpoints(argument: Endpoints) -> XdsResource:
    groups: dict[tuple[str | None, int], list[Endpoint]] = {}
    for endpoint in argument.endpoints:
        groups.setdefault((endpoint.zone, endpoint.priority), []).append(endpoint)
    ordered = sorted(groups.items(), key=lambda group: (group[0][0] or "", group[0][1]))
    assignment = ClusterLoadAssignment(
        cluster_name=argument.cluster,
        endpoints=[_group(zone, priority, found) for (zone, priority), found in ordered],
    )
    return resource(ENDPOINT, argument.cluster, encode(assignment))


def _group(zone: str | None, priority: int, endpoints: list[Endpoint]) -> LocalityLbEndpoints:
    ordered = sorted(endpoints, key=lambda e: (e.address, e.port, e.tags))
    return LocalityLbEndpoints(
        locality=Locality(zone=zone) if zone is not None else None,
        priority=priority,
        lb_endpoints=[_endpoint(endpoint) for endpoint in ordered],
    )


def _endpoint(endpoint: Endpoint) -> LbEndpoint:
    address = SocketAddress(address=endpoint.address, port_value=endpoint.port)
    return LbEndpoint(
        endpoint=EnvoyEndpoint(address=Address(socket_address=address)),
        load_balancing_weight=endpoint.weight,
        metadata=_metadata(endpoint.tags),
    )


def _metadata(tags: Pairs) -> Metadata | None:
    if not tags:
        return None
    found = tags_struct(tags)
    return Metadata(filter_metadata={LB_METADATA: found, SOCKET_METADATA: found})


def tags_struct(tags: Pairs) -> Struct:
    return Struct(fields={key: Value(string_value=value) for key, value in tags})
