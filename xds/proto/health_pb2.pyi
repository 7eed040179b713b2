import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import wrappers_pb2 as _wrappers_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class HealthStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    UNKNOWN: _ClassVar[HealthStatus]
    HEALTHY: _ClassVar[HealthStatus]
    UNHEALTHY: _ClassVar[HealthStatus]
    DRAINING: _ClassVar[HealthStatus]
    TIMEOUT: _ClassVar[HealthStatus]
    DEGRADED: _ClassVar[HealthStatus]
UNKNOWN: HealthStatus
HEALTHY: HealthStatus
UNHEALTHY: HealthStatus
DRAINING: HealthStatus
TIMEOUT: HealthStatus
DEGRADED: HealthStatus

class Node(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class SocketAddress(_message.Message):
    __slots__ = ("address", "port_value")
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    PORT_VALUE_FIELD_NUMBER: _ClassVar[int]
    address: str
    port_value: int
    def __init__(self, address: _Optional[str] = ..., port_value: _Optional[int] = ...) -> None: ...

class Pipe(_message.Message):
    __slots__ = ("path",)
    PATH_FIELD_NUMBER: _ClassVar[int]
    path: str
    def __init__(self, path: _Optional[str] = ...) -> None: ...

class Address(_message.Message):
    __slots__ = ("socket_address", "pipe")
    SOCKET_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    PIPE_FIELD_NUMBER: _ClassVar[int]
    socket_address: SocketAddress
    pipe: Pipe
    def __init__(self, socket_address: _Optional[_Union[SocketAddress, _Mapping]] = ..., pipe: _Optional[_Union[Pipe, _Mapping]] = ...) -> None: ...

class Endpoint(_message.Message):
    __slots__ = ("address",)
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    address: Address
    def __init__(self, address: _Optional[_Union[Address, _Mapping]] = ...) -> None: ...

class BindConfig(_message.Message):
    __slots__ = ("source_address",)
    SOURCE_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    source_address: SocketAddress
    def __init__(self, source_address: _Optional[_Union[SocketAddress, _Mapping]] = ...) -> None: ...

class HealthCheck(_message.Message):
    __slots__ = ("timeout", "interval", "unhealthy_threshold", "healthy_threshold", "http_health_check", "tcp_health_check", "no_traffic_interval")
    class HttpHealthCheck(_message.Message):
        __slots__ = ("host", "path")
        HOST_FIELD_NUMBER: _ClassVar[int]
        PATH_FIELD_NUMBER: _ClassVar[int]
        host: str
        path: str
        def __init__(self, host: _Optional[str] = ..., path: _Optional[str] = ...) -> None: ...
    class TcpHealthCheck(_message.Message):
        __slots__ = ()
        def __init__(self) -> None: ...
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    INTERVAL_FIELD_NUMBER: _ClassVar[int]
    UNHEALTHY_THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    HEALTHY_THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    HTTP_HEALTH_CHECK_FIELD_NUMBER: _ClassVar[int]
    TCP_HEALTH_CHECK_FIELD_NUMBER: _ClassVar[int]
    NO_TRAFFIC_INTERVAL_FIELD_NUMBER: _ClassVar[int]
    timeout: _duration_pb2.Duration
    interval: _duration_pb2.Duration
    unhealthy_threshold: _wrappers_pb2.UInt32Value
    healthy_threshold: _wrappers_pb2.UInt32Value
    http_health_check: HealthCheck.HttpHealthCheck
    tcp_health_check: HealthCheck.TcpHealthCheck
    no_traffic_interval: _duration_pb2.Duration
    def __init__(self, timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., interval: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., unhealthy_threshold: _Optional[_Union[_wrappers_pb2.UInt32Value, _Mapping]] = ..., healthy_threshold: _Optional[_Union[_wrappers_pb2.UInt32Value, _Mapping]] = ..., http_health_check: _Optional[_Union[HealthCheck.HttpHealthCheck, _Mapping]] = ..., tcp_health_check: _Optional[_Union[HealthCheck.TcpHealthCheck, _Mapping]] = ..., no_traffic_interval: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class LocalityEndpoints(_message.Message):
    __slots__ = ("endpoints",)
    ENDPOINTS_FIELD_NUMBER: _ClassVar[int]
    endpoints: _containers.RepeatedCompositeFieldContainer[Endpoint]
    def __init__(self, endpoints: _Optional[_Iterable[_Union[Endpoint, _Mapping]]] = ...) -> None: ...

class ClusterHealthCheck(_message.Message):
    __slots__ = ("cluster_name", "health_checks", "locality_endpoints", "upstream_bind_config")
    CLUSTER_NAME_FIELD_NUMBER: _ClassVar[int]
    HEALTH_CHECKS_FIELD_NUMBER: _ClassVar[int]
    LOCALITY_ENDPOINTS_FIELD_NUMBER: _ClassVar[int]
    UPSTREAM_BIND_CONFIG_FIELD_NUMBER: _ClassVar[int]
    cluster_name: str
    health_checks: _containers.RepeatedCompositeFieldContainer[HealthCheck]
    locality_endpoints: _containers.RepeatedCompositeFieldContainer[LocalityEndpoints]
    upstream_bind_config: BindConfig
    def __init__(self, cluster_name: _Optional[str] = ..., health_checks: _Optional[_Iterable[_Union[HealthCheck, _Mapping]]] = ..., locality_endpoints: _Optional[_Iterable[_Union[LocalityEndpoints, _Mapping]]] = ..., upstream_bind_config: _Optional[_Union[BindConfig, _Mapping]] = ...) -> None: ...

class HealthCheckSpecifier(_message.Message):
    __slots__ = ("cluster_health_checks", "interval")
    CLUSTER_HEALTH_CHECKS_FIELD_NUMBER: _ClassVar[int]
    INTERVAL_FIELD_NUMBER: _ClassVar[int]
    cluster_health_checks: _containers.RepeatedCompositeFieldContainer[ClusterHealthCheck]
    interval: _duration_pb2.Duration
    def __init__(self, cluster_health_checks: _Optional[_Iterable[_Union[ClusterHealthCheck, _Mapping]]] = ..., interval: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class HealthCheckRequest(_message.Message):
    __slots__ = ("node",)
    NODE_FIELD_NUMBER: _ClassVar[int]
    node: Node
    def __init__(self, node: _Optional[_Union[Node, _Mapping]] = ...) -> None: ...

class EndpointHealth(_message.Message):
    __slots__ = ("health_status",)
    HEALTH_STATUS_FIELD_NUMBER: _ClassVar[int]
    health_status: HealthStatus
    def __init__(self, health_status: _Optional[_Union[HealthStatus, str]] = ...) -> None: ...

class LocalityEndpointsHealth(_message.Message):
    __slots__ = ("endpoints_health",)
    ENDPOINTS_HEALTH_FIELD_NUMBER: _ClassVar[int]
    endpoints_health: _containers.RepeatedCompositeFieldContainer[EndpointHealth]
    def __init__(self, endpoints_health: _Optional[_Iterable[_Union[EndpointHealth, _Mapping]]] = ...) -> None: ...

class ClusterEndpointsHealth(_message.Message):
    __slots__ = ("cluster_name", "locality_endpoints_health")
    CLUSTER_NAME_FIELD_NUMBER: _ClassVar[int]
    LOCALITY_ENDPOINTS_HEALTH_FIELD_NUMBER: _ClassVar[int]
    cluster_name: str
    locality_endpoints_health: _containers.RepeatedCompositeFieldContainer[LocalityEndpointsHealth]
    def __init__(self, cluster_name: _Optional[str] = ..., locality_endpoints_health: _Optional[_Iterable[_Union[LocalityEndpointsHealth, _Mapping]]] = ...) -> None: ...

class EndpointHealthResponse(_message.Message):
    __slots__ = ("cluster_endpoints_health",)
    CLUSTER_ENDPOINTS_HEALTH_FIELD_NUMBER: _ClassVar[int]
    cluster_endpoints_health: _containers.RepeatedCompositeFieldContainer[ClusterEndpointsHealth]
    def __init__(self, cluster_endpoints_health: _Optional[_Iterable[_Union[ClusterEndpointsHealth, _Mapping]]] = ...) -> None: ...

class HealthCheckRequestOrEndpointHealthResponse(_message.Message):
    __slots__ = ("health_check_request", "endpoint_health_response")
    HEALTH_CHECK_REQUEST_FIELD_NUMBER: _ClassVar[int]
    ENDPOINT_HEALTH_RESPONSE_FIELD_NUMBER: _ClassVar[int]
    health_check_request: HealthCheckRequest
    endpoint_health_response: EndpointHealthResponse
    def __init__(self, health_check_request: _Optional[_Union[HealthCheckRequest, _Mapping]] = ..., endpoint_health_response: _Optional[_Union[EndpointHealthResponse, _Mapping]] = ...) -> None: ...
