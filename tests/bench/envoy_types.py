"""The few fields of Envoy's messages that a simulated proxy reads, as protobuf classes.

Described here from the field numbers of Envoy's API v3, decoded by protobuf's C implementation as a
real Envoy decodes the whole: everything else in a message is skipped as unknown.
"""

from __future__ import annotations

from typing import Any as AnyValue

from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, duration_pb2, message_factory

_F = descriptor_pb2.FieldDescriptorProto
ANY, SPAN = ".google.protobuf.Any", ".google.protobuf.Duration"
REPEATED = {"filter_chains", "filters", "virtual_hosts", "routes", "certificates"}
_MESSAGES: dict[str, dict[str, tuple[int, str]]] = {
    "Cluster": {
        "name": (1, "string"), "type": (2, "int"), "connect_timeout": (4, SPAN),
        "transport_socket": (24, "Socket"),
    },
    "Socket": {"name": (1, "string"), "typed_config": (3, ANY)},
    "Tls": {"common": (1, "CommonTls")},
    "CommonTls": {"certificates": (6, "SdsConfig"), "combined": (8, "Combined")},
    "Combined": {"sds": (2, "SdsConfig")},
    "SdsConfig": {"name": (1, "string")},
    "Listener": {"name": (1, "string"), "filter_chains": (3, "Chain")},
    "Chain": {"filters": (3, "Filter"), "transport_socket": (6, "Socket")},
    "Filter": {"name": (1, "string"), "typed_config": (4, ANY)},
    "Manager": {"route_config": (4, "Routes")},
    "Routes": {"virtual_hosts": (2, "Host")},
    "Host": {"routes": (3, "Route")},
    "Route": {"route": (2, "Action")},
    "Action": {"timeout": (8, SPAN)},
    "Assignment": {"cluster_name": (1, "string"), "groups": (2, "Group")},
    "Group": {"endpoints": (2, "Endpoint")},
    "Endpoint": {"health_status": (2, "int")},
}  # fmt: skip
REPEATED |= {"groups", "endpoints"}
EDS = 3  # Cluster.DiscoveryType
MANAGER = "envoy.filters.network.http_connection_manager"


def _file() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(
        name="bench/envoy.proto", package="bench", syntax="proto3",
        dependency=[any_pb2.DESCRIPTOR.name, duration_pb2.DESCRIPTOR.name],
    )  # fmt: skip
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, (number, kind) in fields.items():
            found = message.field.add(name=field, number=number)
            found.label = _F.LABEL_REPEATED if field in REPEATED else _F.LABEL_OPTIONAL
            if kind in ("string", "int"):
                found.type = _F.TYPE_STRING if kind == "string" else _F.TYPE_INT32
            else:
                found.type = _F.TYPE_MESSAGE
                found.type_name = kind if kind.startswith(".") else f".bench.{kind}"
    return file


_POOL = descriptor_pool.Default()
_POOL.Add(_file())


def _class(name: str) -> AnyValue:
    return message_factory.GetMessageClass(_POOL.FindMessageTypeByName(f"bench.{name}"))


Cluster, Listener, Tls, Manager, Assignment = map(
    _class, ("Cluster", "Listener", "Tls", "Manager", "Assignment")
)
