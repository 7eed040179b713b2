"""Load assignments: endpoints grouped by locality and priority, tags as metadata.

Endpoints change most, and a service may have thousands: an assignment is joined from encoded
fragments, and what endpoints have in common is encoded once. The bytes are those of the whole
message, encoded.
"""

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
from xds.message import encode, framer, new, number_framer
from xds.wire import resource

if TYPE_CHECKING:
    from xds.view import Endpoint, Endpoints, Pairs

LB_METADATA = "envoy.lb"
SOCKET_METADATA = "envoy.transport_socket_match"

_group_field = framer(ClusterLoadAssignment, "endpoints")
_entry_field = framer(LocalityLbEndpoints, "lb_endpoints")
_endpoint_field = framer(LbEndpoint, "endpoint")
_address_field = framer(EnvoyEndpoint, "address")
_socket_field = framer(Address, "socket_address")
_host_field = framer(SocketAddress, "address")
_port_field = number_framer(SocketAddress, "port_value")


def build_endpoints(argument: Endpoints) -> XdsResource:
    groups: dict[tuple[str | None, int], list[Endpoint]] = {}
    for endpoint in argument.endpoints:
        groups.setdefault((endpoint.zone, endpoint.priority), []).append(endpoint)
    ordered = sorted(groups.items(), key=lambda group: (group[0][0] or "", group[0][1]))
    shared: dict[tuple[int, Pairs], bytes] = {}
    body = encode(new(ClusterLoadAssignment, cluster_name=argument.cluster)) + b"".join(
        _group_field(_group(zone, priority, found, shared)) for (zone, priority), found in ordered
    )
    return resource(ENDPOINT, argument.cluster, body)


def _group(
    zone: str | None,
    priority: int,
    endpoints: list[Endpoint],
    shared: dict[tuple[int, Pairs], bytes],
) -> bytes:
    ordered = sorted(endpoints, key=lambda e: (e.address, e.port, e.tags, e.weight))
    locality = new(Locality, zone=zone) if zone is not None else None
    return b"".join(
        (
            encode(new(LocalityLbEndpoints, locality=locality)),
            *(_entry_field(_endpoint(each, shared)) for each in ordered),
            encode(new(LocalityLbEndpoints, priority=priority)),
        )
    )


def _endpoint(endpoint: Endpoint, shared: dict[tuple[int, Pairs], bytes]) -> bytes:
    """`shared`: weight and metadata by what they are made of."""
    key = endpoint.weight, endpoint.tags
    rest = shared.get(key)
    if rest is None:
        made = new(LbEndpoint, load_balancing_weight=endpoint.weight, metadata=_metadata(endpoint.tags))
        rest = shared[key] = encode(made)
    return _endpoint_field(_address_field(socket_address(endpoint.address, endpoint.port))) + rest


def socket_address(address: str, port: int) -> bytes:
    """An encoded core.v3.Address."""
    return _socket_field(_host_field(address.encode()) + _port_field(port))


def _metadata(tags: Pairs) -> Metadata | None:
    if not tags:
        return None
    found = tags_struct(tags)
    return new(Metadata, filter_metadata={LB_METADATA: found, SOCKET_METADATA: found})


def tags_struct(tags: Pairs) -> Struct:
    return new(Struct, fields={key: new(Value, string_value=value) for key, value in tags})
