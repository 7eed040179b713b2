import datetime

from google.protobuf import any_pb2 as _any_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class AdminOutputFormat(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TEXT: _ClassVar[AdminOutputFormat]
    JSON: _ClassVar[AdminOutputFormat]
TEXT: AdminOutputFormat
JSON: AdminOutputFormat

class KumaResource(_message.Message):
    __slots__ = ("meta", "spec", "status")
    class Meta(_message.Message):
        __slots__ = ("name", "mesh", "version", "labels")
        class LabelsEntry(_message.Message):
            __slots__ = ("key", "value")
            KEY_FIELD_NUMBER: _ClassVar[int]
            VALUE_FIELD_NUMBER: _ClassVar[int]
            key: str
            value: str
            def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
        NAME_FIELD_NUMBER: _ClassVar[int]
        MESH_FIELD_NUMBER: _ClassVar[int]
        VERSION_FIELD_NUMBER: _ClassVar[int]
        LABELS_FIELD_NUMBER: _ClassVar[int]
        name: str
        mesh: str
        version: str
        labels: _containers.ScalarMap[str, str]
        def __init__(self, name: _Optional[str] = ..., mesh: _Optional[str] = ..., version: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ...) -> None: ...
    META_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    meta: KumaResource.Meta
    spec: _any_pb2.Any
    status: _any_pb2.Any
    def __init__(self, meta: _Optional[_Union[KumaResource.Meta, _Mapping]] = ..., spec: _Optional[_Union[_any_pb2.Any, _Mapping]] = ..., status: _Optional[_Union[_any_pb2.Any, _Mapping]] = ...) -> None: ...

class ZoneHealthCheckRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ZoneHealthCheckResponse(_message.Message):
    __slots__ = ("interval",)
    INTERVAL_FIELD_NUMBER: _ClassVar[int]
    interval: _duration_pb2.Duration
    def __init__(self, interval: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class XDSConfigRequest(_message.Message):
    __slots__ = ("request_id", "resource_type", "resource_name", "resource_mesh", "include_eds")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_TYPE_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_NAME_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_MESH_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_EDS_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    resource_type: str
    resource_name: str
    resource_mesh: str
    include_eds: bool
    def __init__(self, request_id: _Optional[str] = ..., resource_type: _Optional[str] = ..., resource_name: _Optional[str] = ..., resource_mesh: _Optional[str] = ..., include_eds: _Optional[bool] = ...) -> None: ...

class XDSConfigResponse(_message.Message):
    __slots__ = ("request_id", "error", "config")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    error: str
    config: bytes
    def __init__(self, request_id: _Optional[str] = ..., error: _Optional[str] = ..., config: _Optional[bytes] = ...) -> None: ...

class StatsRequest(_message.Message):
    __slots__ = ("request_id", "resource_type", "resource_name", "resource_mesh", "format", "used_only")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_TYPE_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_NAME_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_MESH_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    USED_ONLY_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    resource_type: str
    resource_name: str
    resource_mesh: str
    format: AdminOutputFormat
    used_only: bool
    def __init__(self, request_id: _Optional[str] = ..., resource_type: _Optional[str] = ..., resource_name: _Optional[str] = ..., resource_mesh: _Optional[str] = ..., format: _Optional[_Union[AdminOutputFormat, str]] = ..., used_only: _Optional[bool] = ...) -> None: ...

class StatsResponse(_message.Message):
    __slots__ = ("request_id", "error", "stats")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    STATS_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    error: str
    stats: bytes
    def __init__(self, request_id: _Optional[str] = ..., error: _Optional[str] = ..., stats: _Optional[bytes] = ...) -> None: ...

class ClustersRequest(_message.Message):
    __slots__ = ("request_id", "resource_type", "resource_name", "resource_mesh", "format")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_TYPE_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_NAME_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_MESH_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    resource_type: str
    resource_name: str
    resource_mesh: str
    format: AdminOutputFormat
    def __init__(self, request_id: _Optional[str] = ..., resource_type: _Optional[str] = ..., resource_name: _Optional[str] = ..., resource_mesh: _Optional[str] = ..., format: _Optional[_Union[AdminOutputFormat, str]] = ...) -> None: ...

class ClustersResponse(_message.Message):
    __slots__ = ("request_id", "error", "clusters")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    CLUSTERS_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    error: str
    clusters: bytes
    def __init__(self, request_id: _Optional[str] = ..., error: _Optional[str] = ..., clusters: _Optional[bytes] = ...) -> None: ...
