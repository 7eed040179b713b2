"""The protobuf message of each legacy kind (facts/kds-wire.md 3). MeshInsight has none: it is the
global's own and never travels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.kds.proto import kuma_mesh_pb2, kuma_system_pb2

if TYPE_CHECKING:
    from collections.abc import Mapping

    from google.protobuf.descriptor import Descriptor as Descriptor
    from google.protobuf.descriptor import EnumDescriptor as EnumDescriptor
    from google.protobuf.descriptor import FieldDescriptor as FieldDescriptor
    from google.protobuf.message import Message

_SYSTEM_KINDS = ("Config", "Secret", "Zone", "ZoneInsight")
_MESH_KINDS = (
    "CircuitBreaker",
    "Dataplane",
    "DataplaneInsight",
    "ExternalService",
    "FaultInjection",
    "HealthCheck",
    "Mesh",
    "MeshGateway",
    "MeshGatewayRoute",
    "ProxyTemplate",
    "RateLimit",
    "Retry",
    "ServiceInsight",
    "Timeout",
    "TrafficLog",
    "TrafficPermission",
    "TrafficRoute",
    "TrafficTrace",
    "VirtualOutbound",
    "ZoneEgress",
    "ZoneEgressInsight",
    "ZoneIngress",
    "ZoneIngressInsight",
)
MESSAGES: Mapping[str, type[Message]] = {
    **{kind: getattr(kuma_system_pb2, kind) for kind in _SYSTEM_KINDS},
    **{kind: getattr(kuma_mesh_pb2, kind) for kind in _MESH_KINDS},
    "GlobalSecret": kuma_system_pb2.Secret,
}
# What the `conf` of a Mesh's backends is read as; it travels as a Struct.
_CONFS = (
    "BuiltinCertificateAuthorityConfig",
    "ProvidedCertificateAuthorityConfig",
    "TcpLoggingBackendConfig",
    "FileLoggingBackendConfig",
    "ZipkinTracingBackendConfig",
    "DatadogTracingBackendConfig",
    "PrometheusMetricsBackendConfig",
)
CONFS: Mapping[str, type[Message]] = {name: getattr(kuma_mesh_pb2, name) for name in _CONFS}
