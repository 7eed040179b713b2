"""Load assignments: endpoints grouped by locality and priority, tags as metadata.

Endpoints change most, and a service may have thousands: an endpoint is encoded once for all
assignments it stands in, and they are joined. The bytes are those of the whole
message, encoded.
"""

from __future__ import annotations

from collections import defaultdict
from functools import lru_cache
from typing import TYPE_CHECKING

from envoy_data_plane.envoy.config.core.v3 import Address, HealthStatus, Metadata, SocketAddress
from envoy_data_plane.envoy.config.core.v3 import Locality as EnvoyLocality
from envoy_data_plane.envoy.config.endpoint.v3 import (
    ClusterLoadAssignment,
    ClusterLoadAssignmentPolicy,
    LbEndpoint,
    LocalityLbEndpoints,
)
from envoy_data_plane.envoy.config.endpoint.v3 import Endpoint as EnvoyEndpoint
from envoy_data_plane.google.protobuf import Struct, Value

from xds.message import PARTS, encode, framer, joined, new, number_framer
from xds.names import EXTERNAL_SERVICE_TAG
from xds.resource import ENDPOINT, XdsResource
from xds.wire import resource

if TYPE_CHECKING:
    from xds.external import ExternalEndpoint
    from xds.view import Endpoint, Endpoints, Locality, Pairs

LB_METADATA = "envoy.lb"
SOCKET_METADATA = "envoy.transport_socket_match"

ENTRIES = 16_384  # encoded endpoints that are remembered, those used last: at most 10 MB

_name_field = framer(ClusterLoadAssignment, "cluster_name")
_group_field = framer(ClusterLoadAssignment, "endpoints")
_entry_field = framer(LocalityLbEndpoints, "lb_endpoints")
_endpoint_field = framer(LbEndpoint, "endpoint")
_address_field = framer(EnvoyEndpoint, "address")
_socket_field = framer(Address, "socket_address")
_host_field = framer(SocketAddress, "address")
_port_field = number_framer(SocketAddress, "port_value")


def build_endpoints(argument: Endpoints) -> XdsResource:
    groups: defaultdict[tuple[Locality, int], list[bytes]] = defaultdict(list)
    for group, entry in map(_entry, argument.endpoints):
        groups[group].append(entry)
    weights = dict(argument.weights)
    ordered = sorted(groups.items(), key=_group_order)
    body = b"".join(
        (
            encode(new(ClusterLoadAssignment, cluster_name=argument.cluster)),
            *[
                _group_field(_group(locality, priority, weights.get(locality), found))
                for (locality, priority), found in ordered
            ],
            _policy(argument.overprovisioning),
        )
    )
    return resource(ENDPOINT, argument.cluster, body)


def _group_order(group: tuple[tuple[Locality, int], list[bytes]]) -> tuple[str, str, int]:
    (zone, subzone), priority = group[0]
    return zone or "", subzone, priority


def _group(locality: Locality, priority: int, weight: int | None, entries: list[bytes]) -> bytes:
    """`entries` are put in order: any order will do that is the same for the same endpoints."""
    entries.sort()
    rest = new(LocalityLbEndpoints, load_balancing_weight=weight, priority=priority)
    return b"".join((_locality(locality), *entries, encode(rest)))


@lru_cache(PARTS)
def _locality(locality: Locality) -> bytes:
    zone, subzone = locality
    if zone is None and not subzone:
        return b""
    found = new(EnvoyLocality, zone=zone or "", sub_zone=subzone)
    return encode(new(LocalityLbEndpoints, locality=found))


@lru_cache(PARTS)
def _policy(overprovisioning: int | None) -> bytes:
    if overprovisioning is None:
        return b""
    policy = new(ClusterLoadAssignmentPolicy, overprovisioning_factor=overprovisioning)
    return encode(new(ClusterLoadAssignment, policy=policy))


@lru_cache(ENTRIES)
def _entry(endpoint: Endpoint) -> tuple[tuple[Locality, int], bytes]:
    """What an endpoint is in every assignment it stands in: its group, and its bytes, framed."""
    address = _address_field(socket_address(endpoint.address, endpoint.port))
    rest = _rest(endpoint.weight, endpoint.tags, endpoint.healthy)
    entry = _entry_field(_endpoint_field(address) + rest)
    return ((endpoint.zone, endpoint.subzone), endpoint.priority), entry


@lru_cache(PARTS)
def _rest(weight: int, tags: Pairs, healthy: bool) -> bytes:
    """All of an endpoint but its address: the same for most endpoints of a service."""
    rest = new(LbEndpoint, load_balancing_weight=weight, metadata=_metadata(tags))
    if not healthy:
        rest.health_status = HealthStatus.UNHEALTHY
    return encode(rest)


def only_endpoint(cluster: str, address: bytes) -> ClusterLoadAssignment:
    """The assignment of a static cluster; `address` is encoded."""
    entry = _entry_field(_endpoint_field(_address_field(address)))
    return joined(ClusterLoadAssignment, _name_field(cluster.encode()), _group_field(entry))


def external_assignment(
    cluster: str, endpoints: tuple[ExternalEndpoint, ...]
) -> ClusterLoadAssignment:
    """Of a cluster that has its endpoints with it: names may be among them."""
    groups: defaultdict[tuple[Locality, int], list[bytes]] = defaultdict(list)
    for each in endpoints:
        host = encode(new(EnvoyEndpoint, hostname=each.address))
        address = _address_field(socket_address(each.address, each.port))
        entry = _endpoint_field(address + host) + _rest(1, external_tags(each), True)
        groups[(each.zone, each.subzone), each.priority].append(_entry_field(entry))
    return joined(
        ClusterLoadAssignment,
        _name_field(cluster.encode()),
        *[
            _group_field(_group(locality, priority, None, found))
            for (locality, priority), found in sorted(groups.items(), key=_group_order)
        ],
    )


def external_tags(endpoint: ExternalEndpoint) -> Pairs:
    """By which its TLS is found."""
    if endpoint.tls is None:
        return endpoint.tags
    return tuple(sorted((*endpoint.tags, (EXTERNAL_SERVICE_TAG, endpoint.name))))


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
