import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf import wrappers_pb2 as _wrappers_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class HttpRetryOn(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    all_5xx: _ClassVar[HttpRetryOn]
    gateway_error: _ClassVar[HttpRetryOn]
    reset: _ClassVar[HttpRetryOn]
    connect_failure: _ClassVar[HttpRetryOn]
    envoy_ratelimited: _ClassVar[HttpRetryOn]
    retriable_4xx: _ClassVar[HttpRetryOn]
    refused_stream: _ClassVar[HttpRetryOn]
    retriable_status_codes: _ClassVar[HttpRetryOn]
    retriable_headers: _ClassVar[HttpRetryOn]
    http3_post_connect_failure: _ClassVar[HttpRetryOn]

class HttpMethod(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    NONE: _ClassVar[HttpMethod]
    CONNECT: _ClassVar[HttpMethod]
    DELETE: _ClassVar[HttpMethod]
    GET: _ClassVar[HttpMethod]
    HEAD: _ClassVar[HttpMethod]
    OPTIONS: _ClassVar[HttpMethod]
    PATCH: _ClassVar[HttpMethod]
    POST: _ClassVar[HttpMethod]
    PUT: _ClassVar[HttpMethod]
    TRACE: _ClassVar[HttpMethod]
all_5xx: HttpRetryOn
gateway_error: HttpRetryOn
reset: HttpRetryOn
connect_failure: HttpRetryOn
envoy_ratelimited: HttpRetryOn
retriable_4xx: HttpRetryOn
refused_stream: HttpRetryOn
retriable_status_codes: HttpRetryOn
retriable_headers: HttpRetryOn
http3_post_connect_failure: HttpRetryOn
NONE: HttpMethod
CONNECT: HttpMethod
DELETE: HttpMethod
GET: HttpMethod
HEAD: HttpMethod
OPTIONS: HttpMethod
PATCH: HttpMethod
POST: HttpMethod
PUT: HttpMethod
TRACE: HttpMethod

class Mesh(_message.Message):
    __slots__ = ("mtls", "tracing", "logging", "metrics", "networking", "routing", "constraints", "skipCreatingInitialPolicies", "meshServices")
    class Mtls(_message.Message):
        __slots__ = ("enabledBackend", "backends", "skipValidation")
        ENABLEDBACKEND_FIELD_NUMBER: _ClassVar[int]
        BACKENDS_FIELD_NUMBER: _ClassVar[int]
        SKIPVALIDATION_FIELD_NUMBER: _ClassVar[int]
        enabledBackend: str
        backends: _containers.RepeatedCompositeFieldContainer[CertificateAuthorityBackend]
        skipValidation: bool
        def __init__(self, enabledBackend: _Optional[str] = ..., backends: _Optional[_Iterable[_Union[CertificateAuthorityBackend, _Mapping]]] = ..., skipValidation: _Optional[bool] = ...) -> None: ...
    class Constraints(_message.Message):
        __slots__ = ("dataplaneProxy",)
        DATAPLANEPROXY_FIELD_NUMBER: _ClassVar[int]
        dataplaneProxy: Mesh.DataplaneProxyConstraints
        def __init__(self, dataplaneProxy: _Optional[_Union[Mesh.DataplaneProxyConstraints, _Mapping]] = ...) -> None: ...
    class DataplaneProxyConstraints(_message.Message):
        __slots__ = ("requirements", "restrictions")
        class Rules(_message.Message):
            __slots__ = ("tags",)
            class TagsEntry(_message.Message):
                __slots__ = ("key", "value")
                KEY_FIELD_NUMBER: _ClassVar[int]
                VALUE_FIELD_NUMBER: _ClassVar[int]
                key: str
                value: str
                def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
            TAGS_FIELD_NUMBER: _ClassVar[int]
            tags: _containers.ScalarMap[str, str]
            def __init__(self, tags: _Optional[_Mapping[str, str]] = ...) -> None: ...
        REQUIREMENTS_FIELD_NUMBER: _ClassVar[int]
        RESTRICTIONS_FIELD_NUMBER: _ClassVar[int]
        requirements: _containers.RepeatedCompositeFieldContainer[Mesh.DataplaneProxyConstraints.Rules]
        restrictions: _containers.RepeatedCompositeFieldContainer[Mesh.DataplaneProxyConstraints.Rules]
        def __init__(self, requirements: _Optional[_Iterable[_Union[Mesh.DataplaneProxyConstraints.Rules, _Mapping]]] = ..., restrictions: _Optional[_Iterable[_Union[Mesh.DataplaneProxyConstraints.Rules, _Mapping]]] = ...) -> None: ...
    class MeshServices(_message.Message):
        __slots__ = ("mode",)
        class Mode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
            __slots__ = ()
            Disabled: _ClassVar[Mesh.MeshServices.Mode]
            Everywhere: _ClassVar[Mesh.MeshServices.Mode]
            ReachableBackends: _ClassVar[Mesh.MeshServices.Mode]
            Exclusive: _ClassVar[Mesh.MeshServices.Mode]
        Disabled: Mesh.MeshServices.Mode
        Everywhere: Mesh.MeshServices.Mode
        ReachableBackends: Mesh.MeshServices.Mode
        Exclusive: Mesh.MeshServices.Mode
        MODE_FIELD_NUMBER: _ClassVar[int]
        mode: Mesh.MeshServices.Mode
        def __init__(self, mode: _Optional[_Union[Mesh.MeshServices.Mode, str]] = ...) -> None: ...
    MTLS_FIELD_NUMBER: _ClassVar[int]
    TRACING_FIELD_NUMBER: _ClassVar[int]
    LOGGING_FIELD_NUMBER: _ClassVar[int]
    METRICS_FIELD_NUMBER: _ClassVar[int]
    NETWORKING_FIELD_NUMBER: _ClassVar[int]
    ROUTING_FIELD_NUMBER: _ClassVar[int]
    CONSTRAINTS_FIELD_NUMBER: _ClassVar[int]
    SKIPCREATINGINITIALPOLICIES_FIELD_NUMBER: _ClassVar[int]
    MESHSERVICES_FIELD_NUMBER: _ClassVar[int]
    mtls: Mesh.Mtls
    tracing: Tracing
    logging: Logging
    metrics: Metrics
    networking: Networking
    routing: Routing
    constraints: Mesh.Constraints
    skipCreatingInitialPolicies: _containers.RepeatedScalarFieldContainer[str]
    meshServices: Mesh.MeshServices
    def __init__(self, mtls: _Optional[_Union[Mesh.Mtls, _Mapping]] = ..., tracing: _Optional[_Union[Tracing, _Mapping]] = ..., logging: _Optional[_Union[Logging, _Mapping]] = ..., metrics: _Optional[_Union[Metrics, _Mapping]] = ..., networking: _Optional[_Union[Networking, _Mapping]] = ..., routing: _Optional[_Union[Routing, _Mapping]] = ..., constraints: _Optional[_Union[Mesh.Constraints, _Mapping]] = ..., skipCreatingInitialPolicies: _Optional[_Iterable[str]] = ..., meshServices: _Optional[_Union[Mesh.MeshServices, _Mapping]] = ...) -> None: ...

class CertificateAuthorityBackend(_message.Message):
    __slots__ = ("name", "type", "dpCert", "conf", "mode", "rootChain")
    class Mode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STRICT: _ClassVar[CertificateAuthorityBackend.Mode]
        PERMISSIVE: _ClassVar[CertificateAuthorityBackend.Mode]
    STRICT: CertificateAuthorityBackend.Mode
    PERMISSIVE: CertificateAuthorityBackend.Mode
    class DpCert(_message.Message):
        __slots__ = ("rotation", "requestTimeout")
        class Rotation(_message.Message):
            __slots__ = ("expiration",)
            EXPIRATION_FIELD_NUMBER: _ClassVar[int]
            expiration: str
            def __init__(self, expiration: _Optional[str] = ...) -> None: ...
        ROTATION_FIELD_NUMBER: _ClassVar[int]
        REQUESTTIMEOUT_FIELD_NUMBER: _ClassVar[int]
        rotation: CertificateAuthorityBackend.DpCert.Rotation
        requestTimeout: _duration_pb2.Duration
        def __init__(self, rotation: _Optional[_Union[CertificateAuthorityBackend.DpCert.Rotation, _Mapping]] = ..., requestTimeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...
    class RootChain(_message.Message):
        __slots__ = ("requestTimeout",)
        REQUESTTIMEOUT_FIELD_NUMBER: _ClassVar[int]
        requestTimeout: _duration_pb2.Duration
        def __init__(self, requestTimeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    DPCERT_FIELD_NUMBER: _ClassVar[int]
    CONF_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    ROOTCHAIN_FIELD_NUMBER: _ClassVar[int]
    name: str
    type: str
    dpCert: CertificateAuthorityBackend.DpCert
    conf: _struct_pb2.Struct
    mode: CertificateAuthorityBackend.Mode
    rootChain: CertificateAuthorityBackend.RootChain
    def __init__(self, name: _Optional[str] = ..., type: _Optional[str] = ..., dpCert: _Optional[_Union[CertificateAuthorityBackend.DpCert, _Mapping]] = ..., conf: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., mode: _Optional[_Union[CertificateAuthorityBackend.Mode, str]] = ..., rootChain: _Optional[_Union[CertificateAuthorityBackend.RootChain, _Mapping]] = ...) -> None: ...

class Networking(_message.Message):
    __slots__ = ("outbound",)
    class Outbound(_message.Message):
        __slots__ = ("passthrough",)
        PASSTHROUGH_FIELD_NUMBER: _ClassVar[int]
        passthrough: _wrappers_pb2.BoolValue
        def __init__(self, passthrough: _Optional[_Union[_wrappers_pb2.BoolValue, _Mapping]] = ...) -> None: ...
    OUTBOUND_FIELD_NUMBER: _ClassVar[int]
    outbound: Networking.Outbound
    def __init__(self, outbound: _Optional[_Union[Networking.Outbound, _Mapping]] = ...) -> None: ...

class Tracing(_message.Message):
    __slots__ = ("defaultBackend", "backends")
    DEFAULTBACKEND_FIELD_NUMBER: _ClassVar[int]
    BACKENDS_FIELD_NUMBER: _ClassVar[int]
    defaultBackend: str
    backends: _containers.RepeatedCompositeFieldContainer[TracingBackend]
    def __init__(self, defaultBackend: _Optional[str] = ..., backends: _Optional[_Iterable[_Union[TracingBackend, _Mapping]]] = ...) -> None: ...

class TracingBackend(_message.Message):
    __slots__ = ("name", "sampling", "type", "conf")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SAMPLING_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    CONF_FIELD_NUMBER: _ClassVar[int]
    name: str
    sampling: _wrappers_pb2.DoubleValue
    type: str
    conf: _struct_pb2.Struct
    def __init__(self, name: _Optional[str] = ..., sampling: _Optional[_Union[_wrappers_pb2.DoubleValue, _Mapping]] = ..., type: _Optional[str] = ..., conf: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ...) -> None: ...

class Logging(_message.Message):
    __slots__ = ("defaultBackend", "backends")
    DEFAULTBACKEND_FIELD_NUMBER: _ClassVar[int]
    BACKENDS_FIELD_NUMBER: _ClassVar[int]
    defaultBackend: str
    backends: _containers.RepeatedCompositeFieldContainer[LoggingBackend]
    def __init__(self, defaultBackend: _Optional[str] = ..., backends: _Optional[_Iterable[_Union[LoggingBackend, _Mapping]]] = ...) -> None: ...

class LoggingBackend(_message.Message):
    __slots__ = ("name", "format", "type", "conf")
    NAME_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    CONF_FIELD_NUMBER: _ClassVar[int]
    name: str
    format: str
    type: str
    conf: _struct_pb2.Struct
    def __init__(self, name: _Optional[str] = ..., format: _Optional[str] = ..., type: _Optional[str] = ..., conf: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ...) -> None: ...

class Routing(_message.Message):
    __slots__ = ("localityAwareLoadBalancing", "zoneEgress", "defaultForbidMeshExternalServiceAccess")
    LOCALITYAWARELOADBALANCING_FIELD_NUMBER: _ClassVar[int]
    ZONEEGRESS_FIELD_NUMBER: _ClassVar[int]
    DEFAULTFORBIDMESHEXTERNALSERVICEACCESS_FIELD_NUMBER: _ClassVar[int]
    localityAwareLoadBalancing: bool
    zoneEgress: bool
    defaultForbidMeshExternalServiceAccess: bool
    def __init__(self, localityAwareLoadBalancing: _Optional[bool] = ..., zoneEgress: _Optional[bool] = ..., defaultForbidMeshExternalServiceAccess: _Optional[bool] = ...) -> None: ...

class Metrics(_message.Message):
    __slots__ = ("enabledBackend", "backends")
    ENABLEDBACKEND_FIELD_NUMBER: _ClassVar[int]
    BACKENDS_FIELD_NUMBER: _ClassVar[int]
    enabledBackend: str
    backends: _containers.RepeatedCompositeFieldContainer[MetricsBackend]
    def __init__(self, enabledBackend: _Optional[str] = ..., backends: _Optional[_Iterable[_Union[MetricsBackend, _Mapping]]] = ...) -> None: ...

class MetricsBackend(_message.Message):
    __slots__ = ("name", "type", "conf")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    CONF_FIELD_NUMBER: _ClassVar[int]
    name: str
    type: str
    conf: _struct_pb2.Struct
    def __init__(self, name: _Optional[str] = ..., type: _Optional[str] = ..., conf: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ...) -> None: ...

class Dataplane(_message.Message):
    __slots__ = ("networking", "metrics", "probes")
    class Networking(_message.Message):
        __slots__ = ("inbound", "outbound", "gateway", "transparent_proxying", "address", "advertisedAddress", "admin", "listeners")
        class Inbound(_message.Message):
            __slots__ = ("tags", "port", "servicePort", "address", "serviceAddress", "health", "serviceProbe", "state", "name", "protocol")
            class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
                __slots__ = ()
                Ready: _ClassVar[Dataplane.Networking.Inbound.State]
                NotReady: _ClassVar[Dataplane.Networking.Inbound.State]
                Ignored: _ClassVar[Dataplane.Networking.Inbound.State]
            Ready: Dataplane.Networking.Inbound.State
            NotReady: Dataplane.Networking.Inbound.State
            Ignored: Dataplane.Networking.Inbound.State
            class Health(_message.Message):
                __slots__ = ("ready",)
                READY_FIELD_NUMBER: _ClassVar[int]
                ready: bool
                def __init__(self, ready: _Optional[bool] = ...) -> None: ...
            class ServiceProbe(_message.Message):
                __slots__ = ("interval", "timeout", "unhealthy_threshold", "healthy_threshold", "tcp")
                class Tcp(_message.Message):
                    __slots__ = ()
                    def __init__(self) -> None: ...
                INTERVAL_FIELD_NUMBER: _ClassVar[int]
                TIMEOUT_FIELD_NUMBER: _ClassVar[int]
                UNHEALTHY_THRESHOLD_FIELD_NUMBER: _ClassVar[int]
                HEALTHY_THRESHOLD_FIELD_NUMBER: _ClassVar[int]
                TCP_FIELD_NUMBER: _ClassVar[int]
                interval: _duration_pb2.Duration
                timeout: _duration_pb2.Duration
                unhealthy_threshold: _wrappers_pb2.UInt32Value
                healthy_threshold: _wrappers_pb2.UInt32Value
                tcp: Dataplane.Networking.Inbound.ServiceProbe.Tcp
                def __init__(self, interval: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., unhealthy_threshold: _Optional[_Union[_wrappers_pb2.UInt32Value, _Mapping]] = ..., healthy_threshold: _Optional[_Union[_wrappers_pb2.UInt32Value, _Mapping]] = ..., tcp: _Optional[_Union[Dataplane.Networking.Inbound.ServiceProbe.Tcp, _Mapping]] = ...) -> None: ...
            class TagsEntry(_message.Message):
                __slots__ = ("key", "value")
                KEY_FIELD_NUMBER: _ClassVar[int]
                VALUE_FIELD_NUMBER: _ClassVar[int]
                key: str
                value: str
                def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
            TAGS_FIELD_NUMBER: _ClassVar[int]
            PORT_FIELD_NUMBER: _ClassVar[int]
            SERVICEPORT_FIELD_NUMBER: _ClassVar[int]
            ADDRESS_FIELD_NUMBER: _ClassVar[int]
            SERVICEADDRESS_FIELD_NUMBER: _ClassVar[int]
            HEALTH_FIELD_NUMBER: _ClassVar[int]
            SERVICEPROBE_FIELD_NUMBER: _ClassVar[int]
            STATE_FIELD_NUMBER: _ClassVar[int]
            NAME_FIELD_NUMBER: _ClassVar[int]
            PROTOCOL_FIELD_NUMBER: _ClassVar[int]
            tags: _containers.ScalarMap[str, str]
            port: int
            servicePort: int
            address: str
            serviceAddress: str
            health: Dataplane.Networking.Inbound.Health
            serviceProbe: Dataplane.Networking.Inbound.ServiceProbe
            state: Dataplane.Networking.Inbound.State
            name: str
            protocol: str
            def __init__(self, tags: _Optional[_Mapping[str, str]] = ..., port: _Optional[int] = ..., servicePort: _Optional[int] = ..., address: _Optional[str] = ..., serviceAddress: _Optional[str] = ..., health: _Optional[_Union[Dataplane.Networking.Inbound.Health, _Mapping]] = ..., serviceProbe: _Optional[_Union[Dataplane.Networking.Inbound.ServiceProbe, _Mapping]] = ..., state: _Optional[_Union[Dataplane.Networking.Inbound.State, str]] = ..., name: _Optional[str] = ..., protocol: _Optional[str] = ...) -> None: ...
        class Outbound(_message.Message):
            __slots__ = ("address", "port", "tags", "backendRef")
            class BackendRef(_message.Message):
                __slots__ = ("kind", "name", "port", "labels")
                class LabelsEntry(_message.Message):
                    __slots__ = ("key", "value")
                    KEY_FIELD_NUMBER: _ClassVar[int]
                    VALUE_FIELD_NUMBER: _ClassVar[int]
                    key: str
                    value: str
                    def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
                KIND_FIELD_NUMBER: _ClassVar[int]
                NAME_FIELD_NUMBER: _ClassVar[int]
                PORT_FIELD_NUMBER: _ClassVar[int]
                LABELS_FIELD_NUMBER: _ClassVar[int]
                kind: str
                name: str
                port: int
                labels: _containers.ScalarMap[str, str]
                def __init__(self, kind: _Optional[str] = ..., name: _Optional[str] = ..., port: _Optional[int] = ..., labels: _Optional[_Mapping[str, str]] = ...) -> None: ...
            class TagsEntry(_message.Message):
                __slots__ = ("key", "value")
                KEY_FIELD_NUMBER: _ClassVar[int]
                VALUE_FIELD_NUMBER: _ClassVar[int]
                key: str
                value: str
                def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
            ADDRESS_FIELD_NUMBER: _ClassVar[int]
            PORT_FIELD_NUMBER: _ClassVar[int]
            TAGS_FIELD_NUMBER: _ClassVar[int]
            BACKENDREF_FIELD_NUMBER: _ClassVar[int]
            address: str
            port: int
            tags: _containers.ScalarMap[str, str]
            backendRef: Dataplane.Networking.Outbound.BackendRef
            def __init__(self, address: _Optional[str] = ..., port: _Optional[int] = ..., tags: _Optional[_Mapping[str, str]] = ..., backendRef: _Optional[_Union[Dataplane.Networking.Outbound.BackendRef, _Mapping]] = ...) -> None: ...
        class Gateway(_message.Message):
            __slots__ = ("tags", "type")
            class GatewayType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
                __slots__ = ()
                DELEGATED: _ClassVar[Dataplane.Networking.Gateway.GatewayType]
                BUILTIN: _ClassVar[Dataplane.Networking.Gateway.GatewayType]
            DELEGATED: Dataplane.Networking.Gateway.GatewayType
            BUILTIN: Dataplane.Networking.Gateway.GatewayType
            class TagsEntry(_message.Message):
                __slots__ = ("key", "value")
                KEY_FIELD_NUMBER: _ClassVar[int]
                VALUE_FIELD_NUMBER: _ClassVar[int]
                key: str
                value: str
                def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
            TAGS_FIELD_NUMBER: _ClassVar[int]
            TYPE_FIELD_NUMBER: _ClassVar[int]
            tags: _containers.ScalarMap[str, str]
            type: Dataplane.Networking.Gateway.GatewayType
            def __init__(self, tags: _Optional[_Mapping[str, str]] = ..., type: _Optional[_Union[Dataplane.Networking.Gateway.GatewayType, str]] = ...) -> None: ...
        class TransparentProxying(_message.Message):
            __slots__ = ("redirect_port_inbound", "redirect_port_outbound", "direct_access_services", "reachable_services", "ip_family_mode", "reachable_backends")
            class IpFamilyMode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
                __slots__ = ()
                UnSpecified: _ClassVar[Dataplane.Networking.TransparentProxying.IpFamilyMode]
                DualStack: _ClassVar[Dataplane.Networking.TransparentProxying.IpFamilyMode]
                IPv4: _ClassVar[Dataplane.Networking.TransparentProxying.IpFamilyMode]
                IPv6: _ClassVar[Dataplane.Networking.TransparentProxying.IpFamilyMode]
            UnSpecified: Dataplane.Networking.TransparentProxying.IpFamilyMode
            DualStack: Dataplane.Networking.TransparentProxying.IpFamilyMode
            IPv4: Dataplane.Networking.TransparentProxying.IpFamilyMode
            IPv6: Dataplane.Networking.TransparentProxying.IpFamilyMode
            class ReachableBackendRef(_message.Message):
                __slots__ = ("kind", "name", "namespace", "port", "labels")
                class LabelsEntry(_message.Message):
                    __slots__ = ("key", "value")
                    KEY_FIELD_NUMBER: _ClassVar[int]
                    VALUE_FIELD_NUMBER: _ClassVar[int]
                    key: str
                    value: str
                    def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
                KIND_FIELD_NUMBER: _ClassVar[int]
                NAME_FIELD_NUMBER: _ClassVar[int]
                NAMESPACE_FIELD_NUMBER: _ClassVar[int]
                PORT_FIELD_NUMBER: _ClassVar[int]
                LABELS_FIELD_NUMBER: _ClassVar[int]
                kind: str
                name: str
                namespace: str
                port: _wrappers_pb2.UInt32Value
                labels: _containers.ScalarMap[str, str]
                def __init__(self, kind: _Optional[str] = ..., name: _Optional[str] = ..., namespace: _Optional[str] = ..., port: _Optional[_Union[_wrappers_pb2.UInt32Value, _Mapping]] = ..., labels: _Optional[_Mapping[str, str]] = ...) -> None: ...
            class ReachableBackends(_message.Message):
                __slots__ = ("refs",)
                REFS_FIELD_NUMBER: _ClassVar[int]
                refs: _containers.RepeatedCompositeFieldContainer[Dataplane.Networking.TransparentProxying.ReachableBackendRef]
                def __init__(self, refs: _Optional[_Iterable[_Union[Dataplane.Networking.TransparentProxying.ReachableBackendRef, _Mapping]]] = ...) -> None: ...
            REDIRECT_PORT_INBOUND_FIELD_NUMBER: _ClassVar[int]
            REDIRECT_PORT_OUTBOUND_FIELD_NUMBER: _ClassVar[int]
            DIRECT_ACCESS_SERVICES_FIELD_NUMBER: _ClassVar[int]
            REACHABLE_SERVICES_FIELD_NUMBER: _ClassVar[int]
            IP_FAMILY_MODE_FIELD_NUMBER: _ClassVar[int]
            REACHABLE_BACKENDS_FIELD_NUMBER: _ClassVar[int]
            redirect_port_inbound: int
            redirect_port_outbound: int
            direct_access_services: _containers.RepeatedScalarFieldContainer[str]
            reachable_services: _containers.RepeatedScalarFieldContainer[str]
            ip_family_mode: Dataplane.Networking.TransparentProxying.IpFamilyMode
            reachable_backends: Dataplane.Networking.TransparentProxying.ReachableBackends
            def __init__(self, redirect_port_inbound: _Optional[int] = ..., redirect_port_outbound: _Optional[int] = ..., direct_access_services: _Optional[_Iterable[str]] = ..., reachable_services: _Optional[_Iterable[str]] = ..., ip_family_mode: _Optional[_Union[Dataplane.Networking.TransparentProxying.IpFamilyMode, str]] = ..., reachable_backends: _Optional[_Union[Dataplane.Networking.TransparentProxying.ReachableBackends, _Mapping]] = ...) -> None: ...
        class Listener(_message.Message):
            __slots__ = ("type", "address", "port", "name", "state")
            class Type(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
                __slots__ = ()
                Unspecified: _ClassVar[Dataplane.Networking.Listener.Type]
                ZoneIngress: _ClassVar[Dataplane.Networking.Listener.Type]
                ZoneEgress: _ClassVar[Dataplane.Networking.Listener.Type]
            Unspecified: Dataplane.Networking.Listener.Type
            ZoneIngress: Dataplane.Networking.Listener.Type
            ZoneEgress: Dataplane.Networking.Listener.Type
            class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
                __slots__ = ()
                Ready: _ClassVar[Dataplane.Networking.Listener.State]
                NotReady: _ClassVar[Dataplane.Networking.Listener.State]
            Ready: Dataplane.Networking.Listener.State
            NotReady: Dataplane.Networking.Listener.State
            TYPE_FIELD_NUMBER: _ClassVar[int]
            ADDRESS_FIELD_NUMBER: _ClassVar[int]
            PORT_FIELD_NUMBER: _ClassVar[int]
            NAME_FIELD_NUMBER: _ClassVar[int]
            STATE_FIELD_NUMBER: _ClassVar[int]
            type: Dataplane.Networking.Listener.Type
            address: str
            port: int
            name: str
            state: Dataplane.Networking.Listener.State
            def __init__(self, type: _Optional[_Union[Dataplane.Networking.Listener.Type, str]] = ..., address: _Optional[str] = ..., port: _Optional[int] = ..., name: _Optional[str] = ..., state: _Optional[_Union[Dataplane.Networking.Listener.State, str]] = ...) -> None: ...
        INBOUND_FIELD_NUMBER: _ClassVar[int]
        OUTBOUND_FIELD_NUMBER: _ClassVar[int]
        GATEWAY_FIELD_NUMBER: _ClassVar[int]
        TRANSPARENT_PROXYING_FIELD_NUMBER: _ClassVar[int]
        ADDRESS_FIELD_NUMBER: _ClassVar[int]
        ADVERTISEDADDRESS_FIELD_NUMBER: _ClassVar[int]
        ADMIN_FIELD_NUMBER: _ClassVar[int]
        LISTENERS_FIELD_NUMBER: _ClassVar[int]
        inbound: _containers.RepeatedCompositeFieldContainer[Dataplane.Networking.Inbound]
        outbound: _containers.RepeatedCompositeFieldContainer[Dataplane.Networking.Outbound]
        gateway: Dataplane.Networking.Gateway
        transparent_proxying: Dataplane.Networking.TransparentProxying
        address: str
        advertisedAddress: str
        admin: EnvoyAdmin
        listeners: _containers.RepeatedCompositeFieldContainer[Dataplane.Networking.Listener]
        def __init__(self, inbound: _Optional[_Iterable[_Union[Dataplane.Networking.Inbound, _Mapping]]] = ..., outbound: _Optional[_Iterable[_Union[Dataplane.Networking.Outbound, _Mapping]]] = ..., gateway: _Optional[_Union[Dataplane.Networking.Gateway, _Mapping]] = ..., transparent_proxying: _Optional[_Union[Dataplane.Networking.TransparentProxying, _Mapping]] = ..., address: _Optional[str] = ..., advertisedAddress: _Optional[str] = ..., admin: _Optional[_Union[EnvoyAdmin, _Mapping]] = ..., listeners: _Optional[_Iterable[_Union[Dataplane.Networking.Listener, _Mapping]]] = ...) -> None: ...
    class Probes(_message.Message):
        __slots__ = ("port", "endpoints")
        class Endpoint(_message.Message):
            __slots__ = ("inbound_port", "inbound_path", "path")
            INBOUND_PORT_FIELD_NUMBER: _ClassVar[int]
            INBOUND_PATH_FIELD_NUMBER: _ClassVar[int]
            PATH_FIELD_NUMBER: _ClassVar[int]
            inbound_port: int
            inbound_path: str
            path: str
            def __init__(self, inbound_port: _Optional[int] = ..., inbound_path: _Optional[str] = ..., path: _Optional[str] = ...) -> None: ...
        PORT_FIELD_NUMBER: _ClassVar[int]
        ENDPOINTS_FIELD_NUMBER: _ClassVar[int]
        port: int
        endpoints: _containers.RepeatedCompositeFieldContainer[Dataplane.Probes.Endpoint]
        def __init__(self, port: _Optional[int] = ..., endpoints: _Optional[_Iterable[_Union[Dataplane.Probes.Endpoint, _Mapping]]] = ...) -> None: ...
    NETWORKING_FIELD_NUMBER: _ClassVar[int]
    METRICS_FIELD_NUMBER: _ClassVar[int]
    PROBES_FIELD_NUMBER: _ClassVar[int]
    networking: Dataplane.Networking
    metrics: MetricsBackend
    probes: Dataplane.Probes
    def __init__(self, networking: _Optional[_Union[Dataplane.Networking, _Mapping]] = ..., metrics: _Optional[_Union[MetricsBackend, _Mapping]] = ..., probes: _Optional[_Union[Dataplane.Probes, _Mapping]] = ...) -> None: ...

class EnvoyAdmin(_message.Message):
    __slots__ = ("port",)
    PORT_FIELD_NUMBER: _ClassVar[int]
    port: int
    def __init__(self, port: _Optional[int] = ...) -> None: ...

class DataplaneInsight(_message.Message):
    __slots__ = ("subscriptions", "mTLS", "metadata", "openTelemetry")
    class MTLS(_message.Message):
        __slots__ = ("certificate_expiration_time", "last_certificate_regeneration", "certificate_regenerations", "issuedBackend", "supportedBackends")
        CERTIFICATE_EXPIRATION_TIME_FIELD_NUMBER: _ClassVar[int]
        LAST_CERTIFICATE_REGENERATION_FIELD_NUMBER: _ClassVar[int]
        CERTIFICATE_REGENERATIONS_FIELD_NUMBER: _ClassVar[int]
        ISSUEDBACKEND_FIELD_NUMBER: _ClassVar[int]
        SUPPORTEDBACKENDS_FIELD_NUMBER: _ClassVar[int]
        certificate_expiration_time: _timestamp_pb2.Timestamp
        last_certificate_regeneration: _timestamp_pb2.Timestamp
        certificate_regenerations: int
        issuedBackend: str
        supportedBackends: _containers.RepeatedScalarFieldContainer[str]
        def __init__(self, certificate_expiration_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., last_certificate_regeneration: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., certificate_regenerations: _Optional[int] = ..., issuedBackend: _Optional[str] = ..., supportedBackends: _Optional[_Iterable[str]] = ...) -> None: ...
    class OpenTelemetry(_message.Message):
        __slots__ = ("backends",)
        class Backend(_message.Message):
            __slots__ = ("name", "traces", "logs", "metrics")
            NAME_FIELD_NUMBER: _ClassVar[int]
            TRACES_FIELD_NUMBER: _ClassVar[int]
            LOGS_FIELD_NUMBER: _ClassVar[int]
            METRICS_FIELD_NUMBER: _ClassVar[int]
            name: str
            traces: DataplaneInsight.OpenTelemetry.Signal
            logs: DataplaneInsight.OpenTelemetry.Signal
            metrics: DataplaneInsight.OpenTelemetry.Signal
            def __init__(self, name: _Optional[str] = ..., traces: _Optional[_Union[DataplaneInsight.OpenTelemetry.Signal, _Mapping]] = ..., logs: _Optional[_Union[DataplaneInsight.OpenTelemetry.Signal, _Mapping]] = ..., metrics: _Optional[_Union[DataplaneInsight.OpenTelemetry.Signal, _Mapping]] = ...) -> None: ...
        class Signal(_message.Message):
            __slots__ = ("enabled", "envAllowed", "envInputPresent", "state", "overrideKinds", "missingFields", "blockedReasons")
            ENABLED_FIELD_NUMBER: _ClassVar[int]
            ENVALLOWED_FIELD_NUMBER: _ClassVar[int]
            ENVINPUTPRESENT_FIELD_NUMBER: _ClassVar[int]
            STATE_FIELD_NUMBER: _ClassVar[int]
            OVERRIDEKINDS_FIELD_NUMBER: _ClassVar[int]
            MISSINGFIELDS_FIELD_NUMBER: _ClassVar[int]
            BLOCKEDREASONS_FIELD_NUMBER: _ClassVar[int]
            enabled: bool
            envAllowed: bool
            envInputPresent: bool
            state: str
            overrideKinds: _containers.RepeatedScalarFieldContainer[str]
            missingFields: _containers.RepeatedScalarFieldContainer[str]
            blockedReasons: _containers.RepeatedScalarFieldContainer[str]
            def __init__(self, enabled: _Optional[bool] = ..., envAllowed: _Optional[bool] = ..., envInputPresent: _Optional[bool] = ..., state: _Optional[str] = ..., overrideKinds: _Optional[_Iterable[str]] = ..., missingFields: _Optional[_Iterable[str]] = ..., blockedReasons: _Optional[_Iterable[str]] = ...) -> None: ...
        BACKENDS_FIELD_NUMBER: _ClassVar[int]
        backends: _containers.RepeatedCompositeFieldContainer[DataplaneInsight.OpenTelemetry.Backend]
        def __init__(self, backends: _Optional[_Iterable[_Union[DataplaneInsight.OpenTelemetry.Backend, _Mapping]]] = ...) -> None: ...
    SUBSCRIPTIONS_FIELD_NUMBER: _ClassVar[int]
    MTLS_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    OPENTELEMETRY_FIELD_NUMBER: _ClassVar[int]
    subscriptions: _containers.RepeatedCompositeFieldContainer[DiscoverySubscription]
    mTLS: DataplaneInsight.MTLS
    metadata: _struct_pb2.Struct
    openTelemetry: DataplaneInsight.OpenTelemetry
    def __init__(self, subscriptions: _Optional[_Iterable[_Union[DiscoverySubscription, _Mapping]]] = ..., mTLS: _Optional[_Union[DataplaneInsight.MTLS, _Mapping]] = ..., metadata: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., openTelemetry: _Optional[_Union[DataplaneInsight.OpenTelemetry, _Mapping]] = ...) -> None: ...

class DiscoverySubscription(_message.Message):
    __slots__ = ("id", "control_plane_instance_id", "connect_time", "disconnect_time", "status", "version", "generation")
    ID_FIELD_NUMBER: _ClassVar[int]
    CONTROL_PLANE_INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    CONNECT_TIME_FIELD_NUMBER: _ClassVar[int]
    DISCONNECT_TIME_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    id: str
    control_plane_instance_id: str
    connect_time: _timestamp_pb2.Timestamp
    disconnect_time: _timestamp_pb2.Timestamp
    status: DiscoverySubscriptionStatus
    version: Version
    generation: int
    def __init__(self, id: _Optional[str] = ..., control_plane_instance_id: _Optional[str] = ..., connect_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., disconnect_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., status: _Optional[_Union[DiscoverySubscriptionStatus, _Mapping]] = ..., version: _Optional[_Union[Version, _Mapping]] = ..., generation: _Optional[int] = ...) -> None: ...

class DiscoverySubscriptionStatus(_message.Message):
    __slots__ = ("last_update_time", "total", "cds", "eds", "lds", "rds")
    LAST_UPDATE_TIME_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    CDS_FIELD_NUMBER: _ClassVar[int]
    EDS_FIELD_NUMBER: _ClassVar[int]
    LDS_FIELD_NUMBER: _ClassVar[int]
    RDS_FIELD_NUMBER: _ClassVar[int]
    last_update_time: _timestamp_pb2.Timestamp
    total: DiscoveryServiceStats
    cds: DiscoveryServiceStats
    eds: DiscoveryServiceStats
    lds: DiscoveryServiceStats
    rds: DiscoveryServiceStats
    def __init__(self, last_update_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., total: _Optional[_Union[DiscoveryServiceStats, _Mapping]] = ..., cds: _Optional[_Union[DiscoveryServiceStats, _Mapping]] = ..., eds: _Optional[_Union[DiscoveryServiceStats, _Mapping]] = ..., lds: _Optional[_Union[DiscoveryServiceStats, _Mapping]] = ..., rds: _Optional[_Union[DiscoveryServiceStats, _Mapping]] = ...) -> None: ...

class DiscoveryServiceStats(_message.Message):
    __slots__ = ("responses_sent", "responses_acknowledged", "responses_rejected")
    RESPONSES_SENT_FIELD_NUMBER: _ClassVar[int]
    RESPONSES_ACKNOWLEDGED_FIELD_NUMBER: _ClassVar[int]
    RESPONSES_REJECTED_FIELD_NUMBER: _ClassVar[int]
    responses_sent: int
    responses_acknowledged: int
    responses_rejected: int
    def __init__(self, responses_sent: _Optional[int] = ..., responses_acknowledged: _Optional[int] = ..., responses_rejected: _Optional[int] = ...) -> None: ...

class Version(_message.Message):
    __slots__ = ("kumaDp", "envoy", "dependencies")
    class DependenciesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    KUMADP_FIELD_NUMBER: _ClassVar[int]
    ENVOY_FIELD_NUMBER: _ClassVar[int]
    DEPENDENCIES_FIELD_NUMBER: _ClassVar[int]
    kumaDp: KumaDpVersion
    envoy: EnvoyVersion
    dependencies: _containers.ScalarMap[str, str]
    def __init__(self, kumaDp: _Optional[_Union[KumaDpVersion, _Mapping]] = ..., envoy: _Optional[_Union[EnvoyVersion, _Mapping]] = ..., dependencies: _Optional[_Mapping[str, str]] = ...) -> None: ...

class KumaDpVersion(_message.Message):
    __slots__ = ("version", "gitTag", "gitCommit", "buildDate", "kumaCpCompatible")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    GITTAG_FIELD_NUMBER: _ClassVar[int]
    GITCOMMIT_FIELD_NUMBER: _ClassVar[int]
    BUILDDATE_FIELD_NUMBER: _ClassVar[int]
    KUMACPCOMPATIBLE_FIELD_NUMBER: _ClassVar[int]
    version: str
    gitTag: str
    gitCommit: str
    buildDate: str
    kumaCpCompatible: bool
    def __init__(self, version: _Optional[str] = ..., gitTag: _Optional[str] = ..., gitCommit: _Optional[str] = ..., buildDate: _Optional[str] = ..., kumaCpCompatible: _Optional[bool] = ...) -> None: ...

class EnvoyVersion(_message.Message):
    __slots__ = ("version", "build", "kumaDpCompatible")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    BUILD_FIELD_NUMBER: _ClassVar[int]
    KUMADPCOMPATIBLE_FIELD_NUMBER: _ClassVar[int]
    version: str
    build: str
    kumaDpCompatible: bool
    def __init__(self, version: _Optional[str] = ..., build: _Optional[str] = ..., kumaDpCompatible: _Optional[bool] = ...) -> None: ...

class ZoneIngress(_message.Message):
    __slots__ = ("zone", "networking", "availableServices")
    class Networking(_message.Message):
        __slots__ = ("address", "advertisedAddress", "port", "advertisedPort", "admin")
        ADDRESS_FIELD_NUMBER: _ClassVar[int]
        ADVERTISEDADDRESS_FIELD_NUMBER: _ClassVar[int]
        PORT_FIELD_NUMBER: _ClassVar[int]
        ADVERTISEDPORT_FIELD_NUMBER: _ClassVar[int]
        ADMIN_FIELD_NUMBER: _ClassVar[int]
        address: str
        advertisedAddress: str
        port: int
        advertisedPort: int
        admin: EnvoyAdmin
        def __init__(self, address: _Optional[str] = ..., advertisedAddress: _Optional[str] = ..., port: _Optional[int] = ..., advertisedPort: _Optional[int] = ..., admin: _Optional[_Union[EnvoyAdmin, _Mapping]] = ...) -> None: ...
    class AvailableService(_message.Message):
        __slots__ = ("tags", "instances", "mesh", "externalService")
        class TagsEntry(_message.Message):
            __slots__ = ("key", "value")
            KEY_FIELD_NUMBER: _ClassVar[int]
            VALUE_FIELD_NUMBER: _ClassVar[int]
            key: str
            value: str
            def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
        TAGS_FIELD_NUMBER: _ClassVar[int]
        INSTANCES_FIELD_NUMBER: _ClassVar[int]
        MESH_FIELD_NUMBER: _ClassVar[int]
        EXTERNALSERVICE_FIELD_NUMBER: _ClassVar[int]
        tags: _containers.ScalarMap[str, str]
        instances: int
        mesh: str
        externalService: bool
        def __init__(self, tags: _Optional[_Mapping[str, str]] = ..., instances: _Optional[int] = ..., mesh: _Optional[str] = ..., externalService: _Optional[bool] = ...) -> None: ...
    ZONE_FIELD_NUMBER: _ClassVar[int]
    NETWORKING_FIELD_NUMBER: _ClassVar[int]
    AVAILABLESERVICES_FIELD_NUMBER: _ClassVar[int]
    zone: str
    networking: ZoneIngress.Networking
    availableServices: _containers.RepeatedCompositeFieldContainer[ZoneIngress.AvailableService]
    def __init__(self, zone: _Optional[str] = ..., networking: _Optional[_Union[ZoneIngress.Networking, _Mapping]] = ..., availableServices: _Optional[_Iterable[_Union[ZoneIngress.AvailableService, _Mapping]]] = ...) -> None: ...

class ZoneIngressInsight(_message.Message):
    __slots__ = ("subscriptions", "metadata")
    SUBSCRIPTIONS_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    subscriptions: _containers.RepeatedCompositeFieldContainer[DiscoverySubscription]
    metadata: _struct_pb2.Struct
    def __init__(self, subscriptions: _Optional[_Iterable[_Union[DiscoverySubscription, _Mapping]]] = ..., metadata: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ...) -> None: ...

class ZoneEgress(_message.Message):
    __slots__ = ("zone", "networking")
    class Networking(_message.Message):
        __slots__ = ("address", "port", "admin")
        ADDRESS_FIELD_NUMBER: _ClassVar[int]
        PORT_FIELD_NUMBER: _ClassVar[int]
        ADMIN_FIELD_NUMBER: _ClassVar[int]
        address: str
        port: int
        admin: EnvoyAdmin
        def __init__(self, address: _Optional[str] = ..., port: _Optional[int] = ..., admin: _Optional[_Union[EnvoyAdmin, _Mapping]] = ...) -> None: ...
    ZONE_FIELD_NUMBER: _ClassVar[int]
    NETWORKING_FIELD_NUMBER: _ClassVar[int]
    zone: str
    networking: ZoneEgress.Networking
    def __init__(self, zone: _Optional[str] = ..., networking: _Optional[_Union[ZoneEgress.Networking, _Mapping]] = ...) -> None: ...

class ZoneEgressInsight(_message.Message):
    __slots__ = ("subscriptions", "metadata")
    SUBSCRIPTIONS_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    subscriptions: _containers.RepeatedCompositeFieldContainer[DiscoverySubscription]
    metadata: _struct_pb2.Struct
    def __init__(self, subscriptions: _Optional[_Iterable[_Union[DiscoverySubscription, _Mapping]]] = ..., metadata: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ...) -> None: ...

class ServiceInsight(_message.Message):
    __slots__ = ("services",)
    class Service(_message.Message):
        __slots__ = ("status", "dataplanes", "issuedBackends", "serviceType", "addressPort", "zones")
        class Status(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
            __slots__ = ()
            none: _ClassVar[ServiceInsight.Service.Status]
            offline: _ClassVar[ServiceInsight.Service.Status]
            partially_degraded: _ClassVar[ServiceInsight.Service.Status]
            online: _ClassVar[ServiceInsight.Service.Status]
            not_available: _ClassVar[ServiceInsight.Service.Status]
        none: ServiceInsight.Service.Status
        offline: ServiceInsight.Service.Status
        partially_degraded: ServiceInsight.Service.Status
        online: ServiceInsight.Service.Status
        not_available: ServiceInsight.Service.Status
        class Type(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
            __slots__ = ()
            internal: _ClassVar[ServiceInsight.Service.Type]
            external: _ClassVar[ServiceInsight.Service.Type]
            gateway_delegated: _ClassVar[ServiceInsight.Service.Type]
            gateway_builtin: _ClassVar[ServiceInsight.Service.Type]
        internal: ServiceInsight.Service.Type
        external: ServiceInsight.Service.Type
        gateway_delegated: ServiceInsight.Service.Type
        gateway_builtin: ServiceInsight.Service.Type
        class DataplaneStat(_message.Message):
            __slots__ = ("total", "online", "offline")
            TOTAL_FIELD_NUMBER: _ClassVar[int]
            ONLINE_FIELD_NUMBER: _ClassVar[int]
            OFFLINE_FIELD_NUMBER: _ClassVar[int]
            total: int
            online: int
            offline: int
            def __init__(self, total: _Optional[int] = ..., online: _Optional[int] = ..., offline: _Optional[int] = ...) -> None: ...
        class IssuedBackendsEntry(_message.Message):
            __slots__ = ("key", "value")
            KEY_FIELD_NUMBER: _ClassVar[int]
            VALUE_FIELD_NUMBER: _ClassVar[int]
            key: str
            value: int
            def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
        STATUS_FIELD_NUMBER: _ClassVar[int]
        DATAPLANES_FIELD_NUMBER: _ClassVar[int]
        ISSUEDBACKENDS_FIELD_NUMBER: _ClassVar[int]
        SERVICETYPE_FIELD_NUMBER: _ClassVar[int]
        ADDRESSPORT_FIELD_NUMBER: _ClassVar[int]
        ZONES_FIELD_NUMBER: _ClassVar[int]
        status: ServiceInsight.Service.Status
        dataplanes: ServiceInsight.Service.DataplaneStat
        issuedBackends: _containers.ScalarMap[str, int]
        serviceType: ServiceInsight.Service.Type
        addressPort: str
        zones: _containers.RepeatedScalarFieldContainer[str]
        def __init__(self, status: _Optional[_Union[ServiceInsight.Service.Status, str]] = ..., dataplanes: _Optional[_Union[ServiceInsight.Service.DataplaneStat, _Mapping]] = ..., issuedBackends: _Optional[_Mapping[str, int]] = ..., serviceType: _Optional[_Union[ServiceInsight.Service.Type, str]] = ..., addressPort: _Optional[str] = ..., zones: _Optional[_Iterable[str]] = ...) -> None: ...
    class ServicesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: ServiceInsight.Service
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[ServiceInsight.Service, _Mapping]] = ...) -> None: ...
    SERVICES_FIELD_NUMBER: _ClassVar[int]
    services: _containers.MessageMap[str, ServiceInsight.Service]
    def __init__(self, services: _Optional[_Mapping[str, ServiceInsight.Service]] = ...) -> None: ...

class Selector(_message.Message):
    __slots__ = ("match",)
    class MatchEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    MATCH_FIELD_NUMBER: _ClassVar[int]
    match: _containers.ScalarMap[str, str]
    def __init__(self, match: _Optional[_Mapping[str, str]] = ...) -> None: ...

class DataSource(_message.Message):
    __slots__ = ("secret", "file", "inline", "inlineString")
    SECRET_FIELD_NUMBER: _ClassVar[int]
    FILE_FIELD_NUMBER: _ClassVar[int]
    INLINE_FIELD_NUMBER: _ClassVar[int]
    INLINESTRING_FIELD_NUMBER: _ClassVar[int]
    secret: str
    file: str
    inline: _wrappers_pb2.BytesValue
    inlineString: str
    def __init__(self, secret: _Optional[str] = ..., file: _Optional[str] = ..., inline: _Optional[_Union[_wrappers_pb2.BytesValue, _Mapping]] = ..., inlineString: _Optional[str] = ...) -> None: ...

class BuiltinCertificateAuthorityConfig(_message.Message):
    __slots__ = ("caCert",)
    class CaCert(_message.Message):
        __slots__ = ("RSAbits", "expiration")
        RSABITS_FIELD_NUMBER: _ClassVar[int]
        EXPIRATION_FIELD_NUMBER: _ClassVar[int]
        RSAbits: _wrappers_pb2.UInt32Value
        expiration: str
        def __init__(self, RSAbits: _Optional[_Union[_wrappers_pb2.UInt32Value, _Mapping]] = ..., expiration: _Optional[str] = ...) -> None: ...
    CACERT_FIELD_NUMBER: _ClassVar[int]
    caCert: BuiltinCertificateAuthorityConfig.CaCert
    def __init__(self, caCert: _Optional[_Union[BuiltinCertificateAuthorityConfig.CaCert, _Mapping]] = ...) -> None: ...

class ProvidedCertificateAuthorityConfig(_message.Message):
    __slots__ = ("cert", "key")
    CERT_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    cert: DataSource
    key: DataSource
    def __init__(self, cert: _Optional[_Union[DataSource, _Mapping]] = ..., key: _Optional[_Union[DataSource, _Mapping]] = ...) -> None: ...

class DatadogTracingBackendConfig(_message.Message):
    __slots__ = ("address", "port", "splitService")
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    PORT_FIELD_NUMBER: _ClassVar[int]
    SPLITSERVICE_FIELD_NUMBER: _ClassVar[int]
    address: str
    port: int
    splitService: bool
    def __init__(self, address: _Optional[str] = ..., port: _Optional[int] = ..., splitService: _Optional[bool] = ...) -> None: ...

class ZipkinTracingBackendConfig(_message.Message):
    __slots__ = ("url", "traceId128bit", "apiVersion", "sharedSpanContext")
    URL_FIELD_NUMBER: _ClassVar[int]
    TRACEID128BIT_FIELD_NUMBER: _ClassVar[int]
    APIVERSION_FIELD_NUMBER: _ClassVar[int]
    SHAREDSPANCONTEXT_FIELD_NUMBER: _ClassVar[int]
    url: str
    traceId128bit: bool
    apiVersion: str
    sharedSpanContext: _wrappers_pb2.BoolValue
    def __init__(self, url: _Optional[str] = ..., traceId128bit: _Optional[bool] = ..., apiVersion: _Optional[str] = ..., sharedSpanContext: _Optional[_Union[_wrappers_pb2.BoolValue, _Mapping]] = ...) -> None: ...

class FileLoggingBackendConfig(_message.Message):
    __slots__ = ("path",)
    PATH_FIELD_NUMBER: _ClassVar[int]
    path: str
    def __init__(self, path: _Optional[str] = ...) -> None: ...

class TcpLoggingBackendConfig(_message.Message):
    __slots__ = ("address",)
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    address: str
    def __init__(self, address: _Optional[str] = ...) -> None: ...

class PrometheusMetricsBackendConfig(_message.Message):
    __slots__ = ("port", "path", "tags", "skipMTLS", "aggregate", "envoy", "tls")
    class TagsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    PORT_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    SKIPMTLS_FIELD_NUMBER: _ClassVar[int]
    AGGREGATE_FIELD_NUMBER: _ClassVar[int]
    ENVOY_FIELD_NUMBER: _ClassVar[int]
    TLS_FIELD_NUMBER: _ClassVar[int]
    port: int
    path: str
    tags: _containers.ScalarMap[str, str]
    skipMTLS: _wrappers_pb2.BoolValue
    aggregate: _containers.RepeatedCompositeFieldContainer[PrometheusAggregateMetricsConfig]
    envoy: PrometheusEnvoyConfig
    tls: PrometheusTlsConfig
    def __init__(self, port: _Optional[int] = ..., path: _Optional[str] = ..., tags: _Optional[_Mapping[str, str]] = ..., skipMTLS: _Optional[_Union[_wrappers_pb2.BoolValue, _Mapping]] = ..., aggregate: _Optional[_Iterable[_Union[PrometheusAggregateMetricsConfig, _Mapping]]] = ..., envoy: _Optional[_Union[PrometheusEnvoyConfig, _Mapping]] = ..., tls: _Optional[_Union[PrometheusTlsConfig, _Mapping]] = ...) -> None: ...

class PrometheusAggregateMetricsConfig(_message.Message):
    __slots__ = ("name", "port", "path", "enabled", "address")
    NAME_FIELD_NUMBER: _ClassVar[int]
    PORT_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    ENABLED_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    name: str
    port: int
    path: str
    enabled: _wrappers_pb2.BoolValue
    address: str
    def __init__(self, name: _Optional[str] = ..., port: _Optional[int] = ..., path: _Optional[str] = ..., enabled: _Optional[_Union[_wrappers_pb2.BoolValue, _Mapping]] = ..., address: _Optional[str] = ...) -> None: ...

class PrometheusEnvoyConfig(_message.Message):
    __slots__ = ("filterRegex", "usedOnly")
    FILTERREGEX_FIELD_NUMBER: _ClassVar[int]
    USEDONLY_FIELD_NUMBER: _ClassVar[int]
    filterRegex: str
    usedOnly: _wrappers_pb2.BoolValue
    def __init__(self, filterRegex: _Optional[str] = ..., usedOnly: _Optional[_Union[_wrappers_pb2.BoolValue, _Mapping]] = ...) -> None: ...

class PrometheusTlsConfig(_message.Message):
    __slots__ = ("mode",)
    class Mode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        activeMTLSBackend: _ClassVar[PrometheusTlsConfig.Mode]
        providedTLS: _ClassVar[PrometheusTlsConfig.Mode]
        disabled: _ClassVar[PrometheusTlsConfig.Mode]
    activeMTLSBackend: PrometheusTlsConfig.Mode
    providedTLS: PrometheusTlsConfig.Mode
    disabled: PrometheusTlsConfig.Mode
    MODE_FIELD_NUMBER: _ClassVar[int]
    mode: PrometheusTlsConfig.Mode
    def __init__(self, mode: _Optional[_Union[PrometheusTlsConfig.Mode, str]] = ...) -> None: ...

class MeshGateway(_message.Message):
    __slots__ = ("selectors", "tags", "conf")
    class TLS(_message.Message):
        __slots__ = ()
        class Mode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
            __slots__ = ()
            NONE: _ClassVar[MeshGateway.TLS.Mode]
            TERMINATE: _ClassVar[MeshGateway.TLS.Mode]
            PASSTHROUGH: _ClassVar[MeshGateway.TLS.Mode]
        NONE: MeshGateway.TLS.Mode
        TERMINATE: MeshGateway.TLS.Mode
        PASSTHROUGH: MeshGateway.TLS.Mode
        class Options(_message.Message):
            __slots__ = ()
            def __init__(self) -> None: ...
        class Conf(_message.Message):
            __slots__ = ("mode", "certificates", "options")
            MODE_FIELD_NUMBER: _ClassVar[int]
            CERTIFICATES_FIELD_NUMBER: _ClassVar[int]
            OPTIONS_FIELD_NUMBER: _ClassVar[int]
            mode: MeshGateway.TLS.Mode
            certificates: _containers.RepeatedCompositeFieldContainer[DataSource]
            options: MeshGateway.TLS.Options
            def __init__(self, mode: _Optional[_Union[MeshGateway.TLS.Mode, str]] = ..., certificates: _Optional[_Iterable[_Union[DataSource, _Mapping]]] = ..., options: _Optional[_Union[MeshGateway.TLS.Options, _Mapping]] = ...) -> None: ...
        def __init__(self) -> None: ...
    class Listener(_message.Message):
        __slots__ = ("hostname", "port", "protocol", "tls", "tags", "crossMesh", "resources")
        class Protocol(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
            __slots__ = ()
            NONE: _ClassVar[MeshGateway.Listener.Protocol]
            TCP: _ClassVar[MeshGateway.Listener.Protocol]
            TLS: _ClassVar[MeshGateway.Listener.Protocol]
            HTTP: _ClassVar[MeshGateway.Listener.Protocol]
            HTTPS: _ClassVar[MeshGateway.Listener.Protocol]
        NONE: MeshGateway.Listener.Protocol
        TCP: MeshGateway.Listener.Protocol
        TLS: MeshGateway.Listener.Protocol
        HTTP: MeshGateway.Listener.Protocol
        HTTPS: MeshGateway.Listener.Protocol
        class Resources(_message.Message):
            __slots__ = ("connection_limit",)
            CONNECTION_LIMIT_FIELD_NUMBER: _ClassVar[int]
            connection_limit: int
            def __init__(self, connection_limit: _Optional[int] = ...) -> None: ...
        class TagsEntry(_message.Message):
            __slots__ = ("key", "value")
            KEY_FIELD_NUMBER: _ClassVar[int]
            VALUE_FIELD_NUMBER: _ClassVar[int]
            key: str
            value: str
            def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
        HOSTNAME_FIELD_NUMBER: _ClassVar[int]
        PORT_FIELD_NUMBER: _ClassVar[int]
        PROTOCOL_FIELD_NUMBER: _ClassVar[int]
        TLS_FIELD_NUMBER: _ClassVar[int]
        TAGS_FIELD_NUMBER: _ClassVar[int]
        CROSSMESH_FIELD_NUMBER: _ClassVar[int]
        RESOURCES_FIELD_NUMBER: _ClassVar[int]
        hostname: str
        port: int
        protocol: MeshGateway.Listener.Protocol
        tls: MeshGateway.TLS.Conf
        tags: _containers.ScalarMap[str, str]
        crossMesh: bool
        resources: MeshGateway.Listener.Resources
        def __init__(self, hostname: _Optional[str] = ..., port: _Optional[int] = ..., protocol: _Optional[_Union[MeshGateway.Listener.Protocol, str]] = ..., tls: _Optional[_Union[MeshGateway.TLS.Conf, _Mapping]] = ..., tags: _Optional[_Mapping[str, str]] = ..., crossMesh: _Optional[bool] = ..., resources: _Optional[_Union[MeshGateway.Listener.Resources, _Mapping]] = ...) -> None: ...
    class Conf(_message.Message):
        __slots__ = ("listeners",)
        LISTENERS_FIELD_NUMBER: _ClassVar[int]
        listeners: _containers.RepeatedCompositeFieldContainer[MeshGateway.Listener]
        def __init__(self, listeners: _Optional[_Iterable[_Union[MeshGateway.Listener, _Mapping]]] = ...) -> None: ...
    class TagsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    SELECTORS_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    CONF_FIELD_NUMBER: _ClassVar[int]
    selectors: _containers.RepeatedCompositeFieldContainer[Selector]
    tags: _containers.ScalarMap[str, str]
    conf: MeshGateway.Conf
    def __init__(self, selectors: _Optional[_Iterable[_Union[Selector, _Mapping]]] = ..., tags: _Optional[_Mapping[str, str]] = ..., conf: _Optional[_Union[MeshGateway.Conf, _Mapping]] = ...) -> None: ...

class HealthCheck(_message.Message):
    __slots__ = ("sources", "destinations", "conf")
    class Conf(_message.Message):
        __slots__ = ("interval", "timeout", "unhealthy_threshold", "healthy_threshold", "tcp", "http", "initial_jitter", "interval_jitter", "interval_jitter_percent", "healthy_panic_threshold", "fail_traffic_on_panic", "event_log_path", "always_log_health_check_failures", "no_traffic_interval", "reuse_connection")
        class Tcp(_message.Message):
            __slots__ = ("send", "receive")
            SEND_FIELD_NUMBER: _ClassVar[int]
            RECEIVE_FIELD_NUMBER: _ClassVar[int]
            send: _wrappers_pb2.BytesValue
            receive: _containers.RepeatedCompositeFieldContainer[_wrappers_pb2.BytesValue]
            def __init__(self, send: _Optional[_Union[_wrappers_pb2.BytesValue, _Mapping]] = ..., receive: _Optional[_Iterable[_Union[_wrappers_pb2.BytesValue, _Mapping]]] = ...) -> None: ...
        class Http(_message.Message):
            __slots__ = ("path", "request_headers_to_add", "expected_statuses")
            class HeaderValue(_message.Message):
                __slots__ = ("key", "value")
                KEY_FIELD_NUMBER: _ClassVar[int]
                VALUE_FIELD_NUMBER: _ClassVar[int]
                key: str
                value: str
                def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
            class HeaderValueOption(_message.Message):
                __slots__ = ("header", "append")
                HEADER_FIELD_NUMBER: _ClassVar[int]
                APPEND_FIELD_NUMBER: _ClassVar[int]
                header: HealthCheck.Conf.Http.HeaderValue
                append: _wrappers_pb2.BoolValue
                def __init__(self, header: _Optional[_Union[HealthCheck.Conf.Http.HeaderValue, _Mapping]] = ..., append: _Optional[_Union[_wrappers_pb2.BoolValue, _Mapping]] = ...) -> None: ...
            PATH_FIELD_NUMBER: _ClassVar[int]
            REQUEST_HEADERS_TO_ADD_FIELD_NUMBER: _ClassVar[int]
            EXPECTED_STATUSES_FIELD_NUMBER: _ClassVar[int]
            path: str
            request_headers_to_add: _containers.RepeatedCompositeFieldContainer[HealthCheck.Conf.Http.HeaderValueOption]
            expected_statuses: _containers.RepeatedCompositeFieldContainer[_wrappers_pb2.UInt32Value]
            def __init__(self, path: _Optional[str] = ..., request_headers_to_add: _Optional[_Iterable[_Union[HealthCheck.Conf.Http.HeaderValueOption, _Mapping]]] = ..., expected_statuses: _Optional[_Iterable[_Union[_wrappers_pb2.UInt32Value, _Mapping]]] = ...) -> None: ...
        INTERVAL_FIELD_NUMBER: _ClassVar[int]
        TIMEOUT_FIELD_NUMBER: _ClassVar[int]
        UNHEALTHY_THRESHOLD_FIELD_NUMBER: _ClassVar[int]
        HEALTHY_THRESHOLD_FIELD_NUMBER: _ClassVar[int]
        TCP_FIELD_NUMBER: _ClassVar[int]
        HTTP_FIELD_NUMBER: _ClassVar[int]
        INITIAL_JITTER_FIELD_NUMBER: _ClassVar[int]
        INTERVAL_JITTER_FIELD_NUMBER: _ClassVar[int]
        INTERVAL_JITTER_PERCENT_FIELD_NUMBER: _ClassVar[int]
        HEALTHY_PANIC_THRESHOLD_FIELD_NUMBER: _ClassVar[int]
        FAIL_TRAFFIC_ON_PANIC_FIELD_NUMBER: _ClassVar[int]
        EVENT_LOG_PATH_FIELD_NUMBER: _ClassVar[int]
        ALWAYS_LOG_HEALTH_CHECK_FAILURES_FIELD_NUMBER: _ClassVar[int]
        NO_TRAFFIC_INTERVAL_FIELD_NUMBER: _ClassVar[int]
        REUSE_CONNECTION_FIELD_NUMBER: _ClassVar[int]
        interval: _duration_pb2.Duration
        timeout: _duration_pb2.Duration
        unhealthy_threshold: int
        healthy_threshold: int
        tcp: HealthCheck.Conf.Tcp
        http: HealthCheck.Conf.Http
        initial_jitter: _duration_pb2.Duration
        interval_jitter: _duration_pb2.Duration
        interval_jitter_percent: int
        healthy_panic_threshold: _wrappers_pb2.FloatValue
        fail_traffic_on_panic: _wrappers_pb2.BoolValue
        event_log_path: str
        always_log_health_check_failures: _wrappers_pb2.BoolValue
        no_traffic_interval: _duration_pb2.Duration
        reuse_connection: _wrappers_pb2.BoolValue
        def __init__(self, interval: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., unhealthy_threshold: _Optional[int] = ..., healthy_threshold: _Optional[int] = ..., tcp: _Optional[_Union[HealthCheck.Conf.Tcp, _Mapping]] = ..., http: _Optional[_Union[HealthCheck.Conf.Http, _Mapping]] = ..., initial_jitter: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., interval_jitter: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., interval_jitter_percent: _Optional[int] = ..., healthy_panic_threshold: _Optional[_Union[_wrappers_pb2.FloatValue, _Mapping]] = ..., fail_traffic_on_panic: _Optional[_Union[_wrappers_pb2.BoolValue, _Mapping]] = ..., event_log_path: _Optional[str] = ..., always_log_health_check_failures: _Optional[_Union[_wrappers_pb2.BoolValue, _Mapping]] = ..., no_traffic_interval: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., reuse_connection: _Optional[_Union[_wrappers_pb2.BoolValue, _Mapping]] = ...) -> None: ...
    SOURCES_FIELD_NUMBER: _ClassVar[int]
    DESTINATIONS_FIELD_NUMBER: _ClassVar[int]
    CONF_FIELD_NUMBER: _ClassVar[int]
    sources: _containers.RepeatedCompositeFieldContainer[Selector]
    destinations: _containers.RepeatedCompositeFieldContainer[Selector]
    conf: HealthCheck.Conf
    def __init__(self, sources: _Optional[_Iterable[_Union[Selector, _Mapping]]] = ..., destinations: _Optional[_Iterable[_Union[Selector, _Mapping]]] = ..., conf: _Optional[_Union[HealthCheck.Conf, _Mapping]] = ...) -> None: ...

class TrafficRoute(_message.Message):
    __slots__ = ("sources", "destinations", "conf")
    class Split(_message.Message):
        __slots__ = ("weight", "destination")
        class DestinationEntry(_message.Message):
            __slots__ = ("key", "value")
            KEY_FIELD_NUMBER: _ClassVar[int]
            VALUE_FIELD_NUMBER: _ClassVar[int]
            key: str
            value: str
            def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
        WEIGHT_FIELD_NUMBER: _ClassVar[int]
        DESTINATION_FIELD_NUMBER: _ClassVar[int]
        weight: _wrappers_pb2.UInt32Value
        destination: _containers.ScalarMap[str, str]
        def __init__(self, weight: _Optional[_Union[_wrappers_pb2.UInt32Value, _Mapping]] = ..., destination: _Optional[_Mapping[str, str]] = ...) -> None: ...
    class LoadBalancer(_message.Message):
        __slots__ = ("round_robin", "least_request", "ring_hash", "random", "maglev")
        class RoundRobin(_message.Message):
            __slots__ = ()
            def __init__(self) -> None: ...
        class LeastRequest(_message.Message):
            __slots__ = ("choice_count",)
            CHOICE_COUNT_FIELD_NUMBER: _ClassVar[int]
            choice_count: int
            def __init__(self, choice_count: _Optional[int] = ...) -> None: ...
        class RingHash(_message.Message):
            __slots__ = ("hash_function", "min_ring_size", "max_ring_size")
            HASH_FUNCTION_FIELD_NUMBER: _ClassVar[int]
            MIN_RING_SIZE_FIELD_NUMBER: _ClassVar[int]
            MAX_RING_SIZE_FIELD_NUMBER: _ClassVar[int]
            hash_function: str
            min_ring_size: int
            max_ring_size: int
            def __init__(self, hash_function: _Optional[str] = ..., min_ring_size: _Optional[int] = ..., max_ring_size: _Optional[int] = ...) -> None: ...
        class Random(_message.Message):
            __slots__ = ()
            def __init__(self) -> None: ...
        class Maglev(_message.Message):
            __slots__ = ()
            def __init__(self) -> None: ...
        ROUND_ROBIN_FIELD_NUMBER: _ClassVar[int]
        LEAST_REQUEST_FIELD_NUMBER: _ClassVar[int]
        RING_HASH_FIELD_NUMBER: _ClassVar[int]
        RANDOM_FIELD_NUMBER: _ClassVar[int]
        MAGLEV_FIELD_NUMBER: _ClassVar[int]
        round_robin: TrafficRoute.LoadBalancer.RoundRobin
        least_request: TrafficRoute.LoadBalancer.LeastRequest
        ring_hash: TrafficRoute.LoadBalancer.RingHash
        random: TrafficRoute.LoadBalancer.Random
        maglev: TrafficRoute.LoadBalancer.Maglev
        def __init__(self, round_robin: _Optional[_Union[TrafficRoute.LoadBalancer.RoundRobin, _Mapping]] = ..., least_request: _Optional[_Union[TrafficRoute.LoadBalancer.LeastRequest, _Mapping]] = ..., ring_hash: _Optional[_Union[TrafficRoute.LoadBalancer.RingHash, _Mapping]] = ..., random: _Optional[_Union[TrafficRoute.LoadBalancer.Random, _Mapping]] = ..., maglev: _Optional[_Union[TrafficRoute.LoadBalancer.Maglev, _Mapping]] = ...) -> None: ...
    class Conf(_message.Message):
        __slots__ = ("split", "load_balancer", "destination", "http")
        class DestinationEntry(_message.Message):
            __slots__ = ("key", "value")
            KEY_FIELD_NUMBER: _ClassVar[int]
            VALUE_FIELD_NUMBER: _ClassVar[int]
            key: str
            value: str
            def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
        SPLIT_FIELD_NUMBER: _ClassVar[int]
        LOAD_BALANCER_FIELD_NUMBER: _ClassVar[int]
        DESTINATION_FIELD_NUMBER: _ClassVar[int]
        HTTP_FIELD_NUMBER: _ClassVar[int]
        split: _containers.RepeatedCompositeFieldContainer[TrafficRoute.Split]
        load_balancer: TrafficRoute.LoadBalancer
        destination: _containers.ScalarMap[str, str]
        http: _containers.RepeatedCompositeFieldContainer[TrafficRoute.Http]
        def __init__(self, split: _Optional[_Iterable[_Union[TrafficRoute.Split, _Mapping]]] = ..., load_balancer: _Optional[_Union[TrafficRoute.LoadBalancer, _Mapping]] = ..., destination: _Optional[_Mapping[str, str]] = ..., http: _Optional[_Iterable[_Union[TrafficRoute.Http, _Mapping]]] = ...) -> None: ...
    class Http(_message.Message):
        __slots__ = ("match", "modify", "split", "destination")
        class Match(_message.Message):
            __slots__ = ("method", "path", "headers")
            class StringMatcher(_message.Message):
                __slots__ = ("prefix", "exact", "regex")
                PREFIX_FIELD_NUMBER: _ClassVar[int]
                EXACT_FIELD_NUMBER: _ClassVar[int]
                REGEX_FIELD_NUMBER: _ClassVar[int]
                prefix: str
                exact: str
                regex: str
                def __init__(self, prefix: _Optional[str] = ..., exact: _Optional[str] = ..., regex: _Optional[str] = ...) -> None: ...
            class HeadersEntry(_message.Message):
                __slots__ = ("key", "value")
                KEY_FIELD_NUMBER: _ClassVar[int]
                VALUE_FIELD_NUMBER: _ClassVar[int]
                key: str
                value: TrafficRoute.Http.Match.StringMatcher
                def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[TrafficRoute.Http.Match.StringMatcher, _Mapping]] = ...) -> None: ...
            METHOD_FIELD_NUMBER: _ClassVar[int]
            PATH_FIELD_NUMBER: _ClassVar[int]
            HEADERS_FIELD_NUMBER: _ClassVar[int]
            method: TrafficRoute.Http.Match.StringMatcher
            path: TrafficRoute.Http.Match.StringMatcher
            headers: _containers.MessageMap[str, TrafficRoute.Http.Match.StringMatcher]
            def __init__(self, method: _Optional[_Union[TrafficRoute.Http.Match.StringMatcher, _Mapping]] = ..., path: _Optional[_Union[TrafficRoute.Http.Match.StringMatcher, _Mapping]] = ..., headers: _Optional[_Mapping[str, TrafficRoute.Http.Match.StringMatcher]] = ...) -> None: ...
        class Modify(_message.Message):
            __slots__ = ("path", "host", "requestHeaders", "responseHeaders")
            class RegexReplace(_message.Message):
                __slots__ = ("pattern", "substitution")
                PATTERN_FIELD_NUMBER: _ClassVar[int]
                SUBSTITUTION_FIELD_NUMBER: _ClassVar[int]
                pattern: str
                substitution: str
                def __init__(self, pattern: _Optional[str] = ..., substitution: _Optional[str] = ...) -> None: ...
            class Path(_message.Message):
                __slots__ = ("rewritePrefix", "regex")
                REWRITEPREFIX_FIELD_NUMBER: _ClassVar[int]
                REGEX_FIELD_NUMBER: _ClassVar[int]
                rewritePrefix: str
                regex: TrafficRoute.Http.Modify.RegexReplace
                def __init__(self, rewritePrefix: _Optional[str] = ..., regex: _Optional[_Union[TrafficRoute.Http.Modify.RegexReplace, _Mapping]] = ...) -> None: ...
            class Host(_message.Message):
                __slots__ = ("value", "fromPath")
                VALUE_FIELD_NUMBER: _ClassVar[int]
                FROMPATH_FIELD_NUMBER: _ClassVar[int]
                value: str
                fromPath: TrafficRoute.Http.Modify.RegexReplace
                def __init__(self, value: _Optional[str] = ..., fromPath: _Optional[_Union[TrafficRoute.Http.Modify.RegexReplace, _Mapping]] = ...) -> None: ...
            class Headers(_message.Message):
                __slots__ = ("add", "remove")
                class Add(_message.Message):
                    __slots__ = ("name", "value", "append")
                    NAME_FIELD_NUMBER: _ClassVar[int]
                    VALUE_FIELD_NUMBER: _ClassVar[int]
                    APPEND_FIELD_NUMBER: _ClassVar[int]
                    name: str
                    value: str
                    append: bool
                    def __init__(self, name: _Optional[str] = ..., value: _Optional[str] = ..., append: _Optional[bool] = ...) -> None: ...
                class Remove(_message.Message):
                    __slots__ = ("name",)
                    NAME_FIELD_NUMBER: _ClassVar[int]
                    name: str
                    def __init__(self, name: _Optional[str] = ...) -> None: ...
                ADD_FIELD_NUMBER: _ClassVar[int]
                REMOVE_FIELD_NUMBER: _ClassVar[int]
                add: _containers.RepeatedCompositeFieldContainer[TrafficRoute.Http.Modify.Headers.Add]
                remove: _containers.RepeatedCompositeFieldContainer[TrafficRoute.Http.Modify.Headers.Remove]
                def __init__(self, add: _Optional[_Iterable[_Union[TrafficRoute.Http.Modify.Headers.Add, _Mapping]]] = ..., remove: _Optional[_Iterable[_Union[TrafficRoute.Http.Modify.Headers.Remove, _Mapping]]] = ...) -> None: ...
            PATH_FIELD_NUMBER: _ClassVar[int]
            HOST_FIELD_NUMBER: _ClassVar[int]
            REQUESTHEADERS_FIELD_NUMBER: _ClassVar[int]
            RESPONSEHEADERS_FIELD_NUMBER: _ClassVar[int]
            path: TrafficRoute.Http.Modify.Path
            host: TrafficRoute.Http.Modify.Host
            requestHeaders: TrafficRoute.Http.Modify.Headers
            responseHeaders: TrafficRoute.Http.Modify.Headers
            def __init__(self, path: _Optional[_Union[TrafficRoute.Http.Modify.Path, _Mapping]] = ..., host: _Optional[_Union[TrafficRoute.Http.Modify.Host, _Mapping]] = ..., requestHeaders: _Optional[_Union[TrafficRoute.Http.Modify.Headers, _Mapping]] = ..., responseHeaders: _Optional[_Union[TrafficRoute.Http.Modify.Headers, _Mapping]] = ...) -> None: ...
        class DestinationEntry(_message.Message):
            __slots__ = ("key", "value")
            KEY_FIELD_NUMBER: _ClassVar[int]
            VALUE_FIELD_NUMBER: _ClassVar[int]
            key: str
            value: str
            def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
        MATCH_FIELD_NUMBER: _ClassVar[int]
        MODIFY_FIELD_NUMBER: _ClassVar[int]
        SPLIT_FIELD_NUMBER: _ClassVar[int]
        DESTINATION_FIELD_NUMBER: _ClassVar[int]
        match: TrafficRoute.Http.Match
        modify: TrafficRoute.Http.Modify
        split: _containers.RepeatedCompositeFieldContainer[TrafficRoute.Split]
        destination: _containers.ScalarMap[str, str]
        def __init__(self, match: _Optional[_Union[TrafficRoute.Http.Match, _Mapping]] = ..., modify: _Optional[_Union[TrafficRoute.Http.Modify, _Mapping]] = ..., split: _Optional[_Iterable[_Union[TrafficRoute.Split, _Mapping]]] = ..., destination: _Optional[_Mapping[str, str]] = ...) -> None: ...
    SOURCES_FIELD_NUMBER: _ClassVar[int]
    DESTINATIONS_FIELD_NUMBER: _ClassVar[int]
    CONF_FIELD_NUMBER: _ClassVar[int]
    sources: _containers.RepeatedCompositeFieldContainer[Selector]
    destinations: _containers.RepeatedCompositeFieldContainer[Selector]
    conf: TrafficRoute.Conf
    def __init__(self, sources: _Optional[_Iterable[_Union[Selector, _Mapping]]] = ..., destinations: _Optional[_Iterable[_Union[Selector, _Mapping]]] = ..., conf: _Optional[_Union[TrafficRoute.Conf, _Mapping]] = ...) -> None: ...

class TrafficPermission(_message.Message):
    __slots__ = ("sources", "destinations")
    SOURCES_FIELD_NUMBER: _ClassVar[int]
    DESTINATIONS_FIELD_NUMBER: _ClassVar[int]
    sources: _containers.RepeatedCompositeFieldContainer[Selector]
    destinations: _containers.RepeatedCompositeFieldContainer[Selector]
    def __init__(self, sources: _Optional[_Iterable[_Union[Selector, _Mapping]]] = ..., destinations: _Optional[_Iterable[_Union[Selector, _Mapping]]] = ...) -> None: ...

class TrafficLog(_message.Message):
    __slots__ = ("sources", "destinations", "conf")
    class Conf(_message.Message):
        __slots__ = ("backend",)
        BACKEND_FIELD_NUMBER: _ClassVar[int]
        backend: str
        def __init__(self, backend: _Optional[str] = ...) -> None: ...
    SOURCES_FIELD_NUMBER: _ClassVar[int]
    DESTINATIONS_FIELD_NUMBER: _ClassVar[int]
    CONF_FIELD_NUMBER: _ClassVar[int]
    sources: _containers.RepeatedCompositeFieldContainer[Selector]
    destinations: _containers.RepeatedCompositeFieldContainer[Selector]
    conf: TrafficLog.Conf
    def __init__(self, sources: _Optional[_Iterable[_Union[Selector, _Mapping]]] = ..., destinations: _Optional[_Iterable[_Union[Selector, _Mapping]]] = ..., conf: _Optional[_Union[TrafficLog.Conf, _Mapping]] = ...) -> None: ...

class TrafficTrace(_message.Message):
    __slots__ = ("selectors", "conf")
    class Conf(_message.Message):
        __slots__ = ("backend",)
        BACKEND_FIELD_NUMBER: _ClassVar[int]
        backend: str
        def __init__(self, backend: _Optional[str] = ...) -> None: ...
    SELECTORS_FIELD_NUMBER: _ClassVar[int]
    CONF_FIELD_NUMBER: _ClassVar[int]
    selectors: _containers.RepeatedCompositeFieldContainer[Selector]
    conf: TrafficTrace.Conf
    def __init__(self, selectors: _Optional[_Iterable[_Union[Selector, _Mapping]]] = ..., conf: _Optional[_Union[TrafficTrace.Conf, _Mapping]] = ...) -> None: ...

class CircuitBreaker(_message.Message):
    __slots__ = ("sources", "destinations", "conf")
    class Conf(_message.Message):
        __slots__ = ("interval", "baseEjectionTime", "maxEjectionPercent", "splitExternalAndLocalErrors", "detectors", "thresholds")
        class Detectors(_message.Message):
            __slots__ = ("totalErrors", "gatewayErrors", "localErrors", "standardDeviation", "failure")
            class Errors(_message.Message):
                __slots__ = ("consecutive",)
                CONSECUTIVE_FIELD_NUMBER: _ClassVar[int]
                consecutive: _wrappers_pb2.UInt32Value
                def __init__(self, consecutive: _Optional[_Union[_wrappers_pb2.UInt32Value, _Mapping]] = ...) -> None: ...
            class StandardDeviation(_message.Message):
                __slots__ = ("requestVolume", "minimumHosts", "factor")
                REQUESTVOLUME_FIELD_NUMBER: _ClassVar[int]
                MINIMUMHOSTS_FIELD_NUMBER: _ClassVar[int]
                FACTOR_FIELD_NUMBER: _ClassVar[int]
                requestVolume: _wrappers_pb2.UInt32Value
                minimumHosts: _wrappers_pb2.UInt32Value
                factor: _wrappers_pb2.DoubleValue
                def __init__(self, requestVolume: _Optional[_Union[_wrappers_pb2.UInt32Value, _Mapping]] = ..., minimumHosts: _Optional[_Union[_wrappers_pb2.UInt32Value, _Mapping]] = ..., factor: _Optional[_Union[_wrappers_pb2.DoubleValue, _Mapping]] = ...) -> None: ...
            class Failure(_message.Message):
                __slots__ = ("requestVolume", "minimumHosts", "threshold")
                REQUESTVOLUME_FIELD_NUMBER: _ClassVar[int]
                MINIMUMHOSTS_FIELD_NUMBER: _ClassVar[int]
                THRESHOLD_FIELD_NUMBER: _ClassVar[int]
                requestVolume: _wrappers_pb2.UInt32Value
                minimumHosts: _wrappers_pb2.UInt32Value
                threshold: _wrappers_pb2.UInt32Value
                def __init__(self, requestVolume: _Optional[_Union[_wrappers_pb2.UInt32Value, _Mapping]] = ..., minimumHosts: _Optional[_Union[_wrappers_pb2.UInt32Value, _Mapping]] = ..., threshold: _Optional[_Union[_wrappers_pb2.UInt32Value, _Mapping]] = ...) -> None: ...
            TOTALERRORS_FIELD_NUMBER: _ClassVar[int]
            GATEWAYERRORS_FIELD_NUMBER: _ClassVar[int]
            LOCALERRORS_FIELD_NUMBER: _ClassVar[int]
            STANDARDDEVIATION_FIELD_NUMBER: _ClassVar[int]
            FAILURE_FIELD_NUMBER: _ClassVar[int]
            totalErrors: CircuitBreaker.Conf.Detectors.Errors
            gatewayErrors: CircuitBreaker.Conf.Detectors.Errors
            localErrors: CircuitBreaker.Conf.Detectors.Errors
            standardDeviation: CircuitBreaker.Conf.Detectors.StandardDeviation
            failure: CircuitBreaker.Conf.Detectors.Failure
            def __init__(self, totalErrors: _Optional[_Union[CircuitBreaker.Conf.Detectors.Errors, _Mapping]] = ..., gatewayErrors: _Optional[_Union[CircuitBreaker.Conf.Detectors.Errors, _Mapping]] = ..., localErrors: _Optional[_Union[CircuitBreaker.Conf.Detectors.Errors, _Mapping]] = ..., standardDeviation: _Optional[_Union[CircuitBreaker.Conf.Detectors.StandardDeviation, _Mapping]] = ..., failure: _Optional[_Union[CircuitBreaker.Conf.Detectors.Failure, _Mapping]] = ...) -> None: ...
        class Thresholds(_message.Message):
            __slots__ = ("maxConnections", "maxPendingRequests", "maxRetries", "maxRequests")
            MAXCONNECTIONS_FIELD_NUMBER: _ClassVar[int]
            MAXPENDINGREQUESTS_FIELD_NUMBER: _ClassVar[int]
            MAXRETRIES_FIELD_NUMBER: _ClassVar[int]
            MAXREQUESTS_FIELD_NUMBER: _ClassVar[int]
            maxConnections: _wrappers_pb2.UInt32Value
            maxPendingRequests: _wrappers_pb2.UInt32Value
            maxRetries: _wrappers_pb2.UInt32Value
            maxRequests: _wrappers_pb2.UInt32Value
            def __init__(self, maxConnections: _Optional[_Union[_wrappers_pb2.UInt32Value, _Mapping]] = ..., maxPendingRequests: _Optional[_Union[_wrappers_pb2.UInt32Value, _Mapping]] = ..., maxRetries: _Optional[_Union[_wrappers_pb2.UInt32Value, _Mapping]] = ..., maxRequests: _Optional[_Union[_wrappers_pb2.UInt32Value, _Mapping]] = ...) -> None: ...
        INTERVAL_FIELD_NUMBER: _ClassVar[int]
        BASEEJECTIONTIME_FIELD_NUMBER: _ClassVar[int]
        MAXEJECTIONPERCENT_FIELD_NUMBER: _ClassVar[int]
        SPLITEXTERNALANDLOCALERRORS_FIELD_NUMBER: _ClassVar[int]
        DETECTORS_FIELD_NUMBER: _ClassVar[int]
        THRESHOLDS_FIELD_NUMBER: _ClassVar[int]
        interval: _duration_pb2.Duration
        baseEjectionTime: _duration_pb2.Duration
        maxEjectionPercent: _wrappers_pb2.UInt32Value
        splitExternalAndLocalErrors: bool
        detectors: CircuitBreaker.Conf.Detectors
        thresholds: CircuitBreaker.Conf.Thresholds
        def __init__(self, interval: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., baseEjectionTime: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., maxEjectionPercent: _Optional[_Union[_wrappers_pb2.UInt32Value, _Mapping]] = ..., splitExternalAndLocalErrors: _Optional[bool] = ..., detectors: _Optional[_Union[CircuitBreaker.Conf.Detectors, _Mapping]] = ..., thresholds: _Optional[_Union[CircuitBreaker.Conf.Thresholds, _Mapping]] = ...) -> None: ...
    SOURCES_FIELD_NUMBER: _ClassVar[int]
    DESTINATIONS_FIELD_NUMBER: _ClassVar[int]
    CONF_FIELD_NUMBER: _ClassVar[int]
    sources: _containers.RepeatedCompositeFieldContainer[Selector]
    destinations: _containers.RepeatedCompositeFieldContainer[Selector]
    conf: CircuitBreaker.Conf
    def __init__(self, sources: _Optional[_Iterable[_Union[Selector, _Mapping]]] = ..., destinations: _Optional[_Iterable[_Union[Selector, _Mapping]]] = ..., conf: _Optional[_Union[CircuitBreaker.Conf, _Mapping]] = ...) -> None: ...

class Retry(_message.Message):
    __slots__ = ("sources", "destinations", "conf")
    class Conf(_message.Message):
        __slots__ = ("http", "tcp", "grpc")
        class BackOff(_message.Message):
            __slots__ = ("base_interval", "max_interval")
            BASE_INTERVAL_FIELD_NUMBER: _ClassVar[int]
            MAX_INTERVAL_FIELD_NUMBER: _ClassVar[int]
            base_interval: _duration_pb2.Duration
            max_interval: _duration_pb2.Duration
            def __init__(self, base_interval: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., max_interval: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...
        class Http(_message.Message):
            __slots__ = ("num_retries", "per_try_timeout", "back_off", "retriable_status_codes", "retriable_methods", "retry_on")
            NUM_RETRIES_FIELD_NUMBER: _ClassVar[int]
            PER_TRY_TIMEOUT_FIELD_NUMBER: _ClassVar[int]
            BACK_OFF_FIELD_NUMBER: _ClassVar[int]
            RETRIABLE_STATUS_CODES_FIELD_NUMBER: _ClassVar[int]
            RETRIABLE_METHODS_FIELD_NUMBER: _ClassVar[int]
            RETRY_ON_FIELD_NUMBER: _ClassVar[int]
            num_retries: _wrappers_pb2.UInt32Value
            per_try_timeout: _duration_pb2.Duration
            back_off: Retry.Conf.BackOff
            retriable_status_codes: _containers.RepeatedScalarFieldContainer[int]
            retriable_methods: _containers.RepeatedScalarFieldContainer[HttpMethod]
            retry_on: _containers.RepeatedScalarFieldContainer[HttpRetryOn]
            def __init__(self, num_retries: _Optional[_Union[_wrappers_pb2.UInt32Value, _Mapping]] = ..., per_try_timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., back_off: _Optional[_Union[Retry.Conf.BackOff, _Mapping]] = ..., retriable_status_codes: _Optional[_Iterable[int]] = ..., retriable_methods: _Optional[_Iterable[_Union[HttpMethod, str]]] = ..., retry_on: _Optional[_Iterable[_Union[HttpRetryOn, str]]] = ...) -> None: ...
        class Tcp(_message.Message):
            __slots__ = ("max_connect_attempts",)
            MAX_CONNECT_ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
            max_connect_attempts: int
            def __init__(self, max_connect_attempts: _Optional[int] = ...) -> None: ...
        class Grpc(_message.Message):
            __slots__ = ("retry_on", "num_retries", "per_try_timeout", "back_off")
            class RetryOn(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
                __slots__ = ()
                cancelled: _ClassVar[Retry.Conf.Grpc.RetryOn]
                deadline_exceeded: _ClassVar[Retry.Conf.Grpc.RetryOn]
                internal: _ClassVar[Retry.Conf.Grpc.RetryOn]
                resource_exhausted: _ClassVar[Retry.Conf.Grpc.RetryOn]
                unavailable: _ClassVar[Retry.Conf.Grpc.RetryOn]
            cancelled: Retry.Conf.Grpc.RetryOn
            deadline_exceeded: Retry.Conf.Grpc.RetryOn
            internal: Retry.Conf.Grpc.RetryOn
            resource_exhausted: Retry.Conf.Grpc.RetryOn
            unavailable: Retry.Conf.Grpc.RetryOn
            RETRY_ON_FIELD_NUMBER: _ClassVar[int]
            NUM_RETRIES_FIELD_NUMBER: _ClassVar[int]
            PER_TRY_TIMEOUT_FIELD_NUMBER: _ClassVar[int]
            BACK_OFF_FIELD_NUMBER: _ClassVar[int]
            retry_on: _containers.RepeatedScalarFieldContainer[Retry.Conf.Grpc.RetryOn]
            num_retries: _wrappers_pb2.UInt32Value
            per_try_timeout: _duration_pb2.Duration
            back_off: Retry.Conf.BackOff
            def __init__(self, retry_on: _Optional[_Iterable[_Union[Retry.Conf.Grpc.RetryOn, str]]] = ..., num_retries: _Optional[_Union[_wrappers_pb2.UInt32Value, _Mapping]] = ..., per_try_timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., back_off: _Optional[_Union[Retry.Conf.BackOff, _Mapping]] = ...) -> None: ...
        HTTP_FIELD_NUMBER: _ClassVar[int]
        TCP_FIELD_NUMBER: _ClassVar[int]
        GRPC_FIELD_NUMBER: _ClassVar[int]
        http: Retry.Conf.Http
        tcp: Retry.Conf.Tcp
        grpc: Retry.Conf.Grpc
        def __init__(self, http: _Optional[_Union[Retry.Conf.Http, _Mapping]] = ..., tcp: _Optional[_Union[Retry.Conf.Tcp, _Mapping]] = ..., grpc: _Optional[_Union[Retry.Conf.Grpc, _Mapping]] = ...) -> None: ...
    SOURCES_FIELD_NUMBER: _ClassVar[int]
    DESTINATIONS_FIELD_NUMBER: _ClassVar[int]
    CONF_FIELD_NUMBER: _ClassVar[int]
    sources: _containers.RepeatedCompositeFieldContainer[Selector]
    destinations: _containers.RepeatedCompositeFieldContainer[Selector]
    conf: Retry.Conf
    def __init__(self, sources: _Optional[_Iterable[_Union[Selector, _Mapping]]] = ..., destinations: _Optional[_Iterable[_Union[Selector, _Mapping]]] = ..., conf: _Optional[_Union[Retry.Conf, _Mapping]] = ...) -> None: ...

class Timeout(_message.Message):
    __slots__ = ("sources", "destinations", "conf")
    class Conf(_message.Message):
        __slots__ = ("connect_timeout", "tcp", "http", "grpc")
        class Tcp(_message.Message):
            __slots__ = ("idle_timeout",)
            IDLE_TIMEOUT_FIELD_NUMBER: _ClassVar[int]
            idle_timeout: _duration_pb2.Duration
            def __init__(self, idle_timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...
        class Http(_message.Message):
            __slots__ = ("request_timeout", "idle_timeout", "stream_idle_timeout", "max_stream_duration")
            REQUEST_TIMEOUT_FIELD_NUMBER: _ClassVar[int]
            IDLE_TIMEOUT_FIELD_NUMBER: _ClassVar[int]
            STREAM_IDLE_TIMEOUT_FIELD_NUMBER: _ClassVar[int]
            MAX_STREAM_DURATION_FIELD_NUMBER: _ClassVar[int]
            request_timeout: _duration_pb2.Duration
            idle_timeout: _duration_pb2.Duration
            stream_idle_timeout: _duration_pb2.Duration
            max_stream_duration: _duration_pb2.Duration
            def __init__(self, request_timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., idle_timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., stream_idle_timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., max_stream_duration: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...
        class Grpc(_message.Message):
            __slots__ = ("stream_idle_timeout", "max_stream_duration")
            STREAM_IDLE_TIMEOUT_FIELD_NUMBER: _ClassVar[int]
            MAX_STREAM_DURATION_FIELD_NUMBER: _ClassVar[int]
            stream_idle_timeout: _duration_pb2.Duration
            max_stream_duration: _duration_pb2.Duration
            def __init__(self, stream_idle_timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., max_stream_duration: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...
        CONNECT_TIMEOUT_FIELD_NUMBER: _ClassVar[int]
        TCP_FIELD_NUMBER: _ClassVar[int]
        HTTP_FIELD_NUMBER: _ClassVar[int]
        GRPC_FIELD_NUMBER: _ClassVar[int]
        connect_timeout: _duration_pb2.Duration
        tcp: Timeout.Conf.Tcp
        http: Timeout.Conf.Http
        grpc: Timeout.Conf.Grpc
        def __init__(self, connect_timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., tcp: _Optional[_Union[Timeout.Conf.Tcp, _Mapping]] = ..., http: _Optional[_Union[Timeout.Conf.Http, _Mapping]] = ..., grpc: _Optional[_Union[Timeout.Conf.Grpc, _Mapping]] = ...) -> None: ...
    SOURCES_FIELD_NUMBER: _ClassVar[int]
    DESTINATIONS_FIELD_NUMBER: _ClassVar[int]
    CONF_FIELD_NUMBER: _ClassVar[int]
    sources: _containers.RepeatedCompositeFieldContainer[Selector]
    destinations: _containers.RepeatedCompositeFieldContainer[Selector]
    conf: Timeout.Conf
    def __init__(self, sources: _Optional[_Iterable[_Union[Selector, _Mapping]]] = ..., destinations: _Optional[_Iterable[_Union[Selector, _Mapping]]] = ..., conf: _Optional[_Union[Timeout.Conf, _Mapping]] = ...) -> None: ...

class RateLimit(_message.Message):
    __slots__ = ("sources", "destinations", "conf")
    class Conf(_message.Message):
        __slots__ = ("http",)
        class Http(_message.Message):
            __slots__ = ("requests", "interval", "onRateLimit")
            class OnRateLimit(_message.Message):
                __slots__ = ("status", "headers")
                class HeaderValue(_message.Message):
                    __slots__ = ("key", "value", "append")
                    KEY_FIELD_NUMBER: _ClassVar[int]
                    VALUE_FIELD_NUMBER: _ClassVar[int]
                    APPEND_FIELD_NUMBER: _ClassVar[int]
                    key: str
                    value: str
                    append: _wrappers_pb2.BoolValue
                    def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ..., append: _Optional[_Union[_wrappers_pb2.BoolValue, _Mapping]] = ...) -> None: ...
                STATUS_FIELD_NUMBER: _ClassVar[int]
                HEADERS_FIELD_NUMBER: _ClassVar[int]
                status: _wrappers_pb2.UInt32Value
                headers: _containers.RepeatedCompositeFieldContainer[RateLimit.Conf.Http.OnRateLimit.HeaderValue]
                def __init__(self, status: _Optional[_Union[_wrappers_pb2.UInt32Value, _Mapping]] = ..., headers: _Optional[_Iterable[_Union[RateLimit.Conf.Http.OnRateLimit.HeaderValue, _Mapping]]] = ...) -> None: ...
            REQUESTS_FIELD_NUMBER: _ClassVar[int]
            INTERVAL_FIELD_NUMBER: _ClassVar[int]
            ONRATELIMIT_FIELD_NUMBER: _ClassVar[int]
            requests: int
            interval: _duration_pb2.Duration
            onRateLimit: RateLimit.Conf.Http.OnRateLimit
            def __init__(self, requests: _Optional[int] = ..., interval: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., onRateLimit: _Optional[_Union[RateLimit.Conf.Http.OnRateLimit, _Mapping]] = ...) -> None: ...
        HTTP_FIELD_NUMBER: _ClassVar[int]
        http: RateLimit.Conf.Http
        def __init__(self, http: _Optional[_Union[RateLimit.Conf.Http, _Mapping]] = ...) -> None: ...
    SOURCES_FIELD_NUMBER: _ClassVar[int]
    DESTINATIONS_FIELD_NUMBER: _ClassVar[int]
    CONF_FIELD_NUMBER: _ClassVar[int]
    sources: _containers.RepeatedCompositeFieldContainer[Selector]
    destinations: _containers.RepeatedCompositeFieldContainer[Selector]
    conf: RateLimit.Conf
    def __init__(self, sources: _Optional[_Iterable[_Union[Selector, _Mapping]]] = ..., destinations: _Optional[_Iterable[_Union[Selector, _Mapping]]] = ..., conf: _Optional[_Union[RateLimit.Conf, _Mapping]] = ...) -> None: ...

class FaultInjection(_message.Message):
    __slots__ = ("sources", "destinations", "conf")
    class Conf(_message.Message):
        __slots__ = ("delay", "abort", "response_bandwidth")
        class Delay(_message.Message):
            __slots__ = ("percentage", "value")
            PERCENTAGE_FIELD_NUMBER: _ClassVar[int]
            VALUE_FIELD_NUMBER: _ClassVar[int]
            percentage: _wrappers_pb2.DoubleValue
            value: _duration_pb2.Duration
            def __init__(self, percentage: _Optional[_Union[_wrappers_pb2.DoubleValue, _Mapping]] = ..., value: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...
        class Abort(_message.Message):
            __slots__ = ("percentage", "httpStatus")
            PERCENTAGE_FIELD_NUMBER: _ClassVar[int]
            HTTPSTATUS_FIELD_NUMBER: _ClassVar[int]
            percentage: _wrappers_pb2.DoubleValue
            httpStatus: _wrappers_pb2.UInt32Value
            def __init__(self, percentage: _Optional[_Union[_wrappers_pb2.DoubleValue, _Mapping]] = ..., httpStatus: _Optional[_Union[_wrappers_pb2.UInt32Value, _Mapping]] = ...) -> None: ...
        class ResponseBandwidth(_message.Message):
            __slots__ = ("percentage", "limit")
            PERCENTAGE_FIELD_NUMBER: _ClassVar[int]
            LIMIT_FIELD_NUMBER: _ClassVar[int]
            percentage: _wrappers_pb2.DoubleValue
            limit: _wrappers_pb2.StringValue
            def __init__(self, percentage: _Optional[_Union[_wrappers_pb2.DoubleValue, _Mapping]] = ..., limit: _Optional[_Union[_wrappers_pb2.StringValue, _Mapping]] = ...) -> None: ...
        DELAY_FIELD_NUMBER: _ClassVar[int]
        ABORT_FIELD_NUMBER: _ClassVar[int]
        RESPONSE_BANDWIDTH_FIELD_NUMBER: _ClassVar[int]
        delay: FaultInjection.Conf.Delay
        abort: FaultInjection.Conf.Abort
        response_bandwidth: FaultInjection.Conf.ResponseBandwidth
        def __init__(self, delay: _Optional[_Union[FaultInjection.Conf.Delay, _Mapping]] = ..., abort: _Optional[_Union[FaultInjection.Conf.Abort, _Mapping]] = ..., response_bandwidth: _Optional[_Union[FaultInjection.Conf.ResponseBandwidth, _Mapping]] = ...) -> None: ...
    SOURCES_FIELD_NUMBER: _ClassVar[int]
    DESTINATIONS_FIELD_NUMBER: _ClassVar[int]
    CONF_FIELD_NUMBER: _ClassVar[int]
    sources: _containers.RepeatedCompositeFieldContainer[Selector]
    destinations: _containers.RepeatedCompositeFieldContainer[Selector]
    conf: FaultInjection.Conf
    def __init__(self, sources: _Optional[_Iterable[_Union[Selector, _Mapping]]] = ..., destinations: _Optional[_Iterable[_Union[Selector, _Mapping]]] = ..., conf: _Optional[_Union[FaultInjection.Conf, _Mapping]] = ...) -> None: ...

class VirtualOutbound(_message.Message):
    __slots__ = ("selectors", "conf")
    class Conf(_message.Message):
        __slots__ = ("host", "port", "parameters")
        class TemplateParameter(_message.Message):
            __slots__ = ("name", "tag_key")
            NAME_FIELD_NUMBER: _ClassVar[int]
            TAG_KEY_FIELD_NUMBER: _ClassVar[int]
            name: str
            tag_key: str
            def __init__(self, name: _Optional[str] = ..., tag_key: _Optional[str] = ...) -> None: ...
        HOST_FIELD_NUMBER: _ClassVar[int]
        PORT_FIELD_NUMBER: _ClassVar[int]
        PARAMETERS_FIELD_NUMBER: _ClassVar[int]
        host: str
        port: str
        parameters: _containers.RepeatedCompositeFieldContainer[VirtualOutbound.Conf.TemplateParameter]
        def __init__(self, host: _Optional[str] = ..., port: _Optional[str] = ..., parameters: _Optional[_Iterable[_Union[VirtualOutbound.Conf.TemplateParameter, _Mapping]]] = ...) -> None: ...
    SELECTORS_FIELD_NUMBER: _ClassVar[int]
    CONF_FIELD_NUMBER: _ClassVar[int]
    selectors: _containers.RepeatedCompositeFieldContainer[Selector]
    conf: VirtualOutbound.Conf
    def __init__(self, selectors: _Optional[_Iterable[_Union[Selector, _Mapping]]] = ..., conf: _Optional[_Union[VirtualOutbound.Conf, _Mapping]] = ...) -> None: ...

class ExternalService(_message.Message):
    __slots__ = ("networking", "tags")
    class Networking(_message.Message):
        __slots__ = ("address", "tls", "disableHostDNSEntry")
        class TLS(_message.Message):
            __slots__ = ("enabled", "ca_cert", "client_cert", "client_key", "allowRenegotiation", "server_name", "skipHostnameVerification")
            ENABLED_FIELD_NUMBER: _ClassVar[int]
            CA_CERT_FIELD_NUMBER: _ClassVar[int]
            CLIENT_CERT_FIELD_NUMBER: _ClassVar[int]
            CLIENT_KEY_FIELD_NUMBER: _ClassVar[int]
            ALLOWRENEGOTIATION_FIELD_NUMBER: _ClassVar[int]
            SERVER_NAME_FIELD_NUMBER: _ClassVar[int]
            SKIPHOSTNAMEVERIFICATION_FIELD_NUMBER: _ClassVar[int]
            enabled: bool
            ca_cert: DataSource
            client_cert: DataSource
            client_key: DataSource
            allowRenegotiation: _wrappers_pb2.BoolValue
            server_name: _wrappers_pb2.StringValue
            skipHostnameVerification: _wrappers_pb2.BoolValue
            def __init__(self, enabled: _Optional[bool] = ..., ca_cert: _Optional[_Union[DataSource, _Mapping]] = ..., client_cert: _Optional[_Union[DataSource, _Mapping]] = ..., client_key: _Optional[_Union[DataSource, _Mapping]] = ..., allowRenegotiation: _Optional[_Union[_wrappers_pb2.BoolValue, _Mapping]] = ..., server_name: _Optional[_Union[_wrappers_pb2.StringValue, _Mapping]] = ..., skipHostnameVerification: _Optional[_Union[_wrappers_pb2.BoolValue, _Mapping]] = ...) -> None: ...
        ADDRESS_FIELD_NUMBER: _ClassVar[int]
        TLS_FIELD_NUMBER: _ClassVar[int]
        DISABLEHOSTDNSENTRY_FIELD_NUMBER: _ClassVar[int]
        address: str
        tls: ExternalService.Networking.TLS
        disableHostDNSEntry: bool
        def __init__(self, address: _Optional[str] = ..., tls: _Optional[_Union[ExternalService.Networking.TLS, _Mapping]] = ..., disableHostDNSEntry: _Optional[bool] = ...) -> None: ...
    class TagsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NETWORKING_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    networking: ExternalService.Networking
    tags: _containers.ScalarMap[str, str]
    def __init__(self, networking: _Optional[_Union[ExternalService.Networking, _Mapping]] = ..., tags: _Optional[_Mapping[str, str]] = ...) -> None: ...

class ProxyTemplate(_message.Message):
    __slots__ = ("selectors", "conf")
    class Conf(_message.Message):
        __slots__ = ("imports", "resources", "modifications")
        IMPORTS_FIELD_NUMBER: _ClassVar[int]
        RESOURCES_FIELD_NUMBER: _ClassVar[int]
        MODIFICATIONS_FIELD_NUMBER: _ClassVar[int]
        imports: _containers.RepeatedScalarFieldContainer[str]
        resources: _containers.RepeatedCompositeFieldContainer[ProxyTemplateRawResource]
        modifications: _containers.RepeatedCompositeFieldContainer[ProxyTemplate.Modifications]
        def __init__(self, imports: _Optional[_Iterable[str]] = ..., resources: _Optional[_Iterable[_Union[ProxyTemplateRawResource, _Mapping]]] = ..., modifications: _Optional[_Iterable[_Union[ProxyTemplate.Modifications, _Mapping]]] = ...) -> None: ...
    class Modifications(_message.Message):
        __slots__ = ("cluster", "listener", "networkFilter", "httpFilter", "virtualHost")
        class Cluster(_message.Message):
            __slots__ = ("match", "operation", "value")
            class Match(_message.Message):
                __slots__ = ("origin", "name")
                ORIGIN_FIELD_NUMBER: _ClassVar[int]
                NAME_FIELD_NUMBER: _ClassVar[int]
                origin: str
                name: str
                def __init__(self, origin: _Optional[str] = ..., name: _Optional[str] = ...) -> None: ...
            MATCH_FIELD_NUMBER: _ClassVar[int]
            OPERATION_FIELD_NUMBER: _ClassVar[int]
            VALUE_FIELD_NUMBER: _ClassVar[int]
            match: ProxyTemplate.Modifications.Cluster.Match
            operation: str
            value: str
            def __init__(self, match: _Optional[_Union[ProxyTemplate.Modifications.Cluster.Match, _Mapping]] = ..., operation: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
        class Listener(_message.Message):
            __slots__ = ("match", "operation", "value")
            class Match(_message.Message):
                __slots__ = ("origin", "name", "tags")
                class TagsEntry(_message.Message):
                    __slots__ = ("key", "value")
                    KEY_FIELD_NUMBER: _ClassVar[int]
                    VALUE_FIELD_NUMBER: _ClassVar[int]
                    key: str
                    value: str
                    def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
                ORIGIN_FIELD_NUMBER: _ClassVar[int]
                NAME_FIELD_NUMBER: _ClassVar[int]
                TAGS_FIELD_NUMBER: _ClassVar[int]
                origin: str
                name: str
                tags: _containers.ScalarMap[str, str]
                def __init__(self, origin: _Optional[str] = ..., name: _Optional[str] = ..., tags: _Optional[_Mapping[str, str]] = ...) -> None: ...
            MATCH_FIELD_NUMBER: _ClassVar[int]
            OPERATION_FIELD_NUMBER: _ClassVar[int]
            VALUE_FIELD_NUMBER: _ClassVar[int]
            match: ProxyTemplate.Modifications.Listener.Match
            operation: str
            value: str
            def __init__(self, match: _Optional[_Union[ProxyTemplate.Modifications.Listener.Match, _Mapping]] = ..., operation: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
        class NetworkFilter(_message.Message):
            __slots__ = ("match", "operation", "value")
            class Match(_message.Message):
                __slots__ = ("origin", "name", "listenerName", "listenerTags")
                class ListenerTagsEntry(_message.Message):
                    __slots__ = ("key", "value")
                    KEY_FIELD_NUMBER: _ClassVar[int]
                    VALUE_FIELD_NUMBER: _ClassVar[int]
                    key: str
                    value: str
                    def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
                ORIGIN_FIELD_NUMBER: _ClassVar[int]
                NAME_FIELD_NUMBER: _ClassVar[int]
                LISTENERNAME_FIELD_NUMBER: _ClassVar[int]
                LISTENERTAGS_FIELD_NUMBER: _ClassVar[int]
                origin: str
                name: str
                listenerName: str
                listenerTags: _containers.ScalarMap[str, str]
                def __init__(self, origin: _Optional[str] = ..., name: _Optional[str] = ..., listenerName: _Optional[str] = ..., listenerTags: _Optional[_Mapping[str, str]] = ...) -> None: ...
            MATCH_FIELD_NUMBER: _ClassVar[int]
            OPERATION_FIELD_NUMBER: _ClassVar[int]
            VALUE_FIELD_NUMBER: _ClassVar[int]
            match: ProxyTemplate.Modifications.NetworkFilter.Match
            operation: str
            value: str
            def __init__(self, match: _Optional[_Union[ProxyTemplate.Modifications.NetworkFilter.Match, _Mapping]] = ..., operation: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
        class HttpFilter(_message.Message):
            __slots__ = ("match", "operation", "value")
            class Match(_message.Message):
                __slots__ = ("origin", "name", "listenerName", "listenerTags")
                class ListenerTagsEntry(_message.Message):
                    __slots__ = ("key", "value")
                    KEY_FIELD_NUMBER: _ClassVar[int]
                    VALUE_FIELD_NUMBER: _ClassVar[int]
                    key: str
                    value: str
                    def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
                ORIGIN_FIELD_NUMBER: _ClassVar[int]
                NAME_FIELD_NUMBER: _ClassVar[int]
                LISTENERNAME_FIELD_NUMBER: _ClassVar[int]
                LISTENERTAGS_FIELD_NUMBER: _ClassVar[int]
                origin: str
                name: str
                listenerName: str
                listenerTags: _containers.ScalarMap[str, str]
                def __init__(self, origin: _Optional[str] = ..., name: _Optional[str] = ..., listenerName: _Optional[str] = ..., listenerTags: _Optional[_Mapping[str, str]] = ...) -> None: ...
            MATCH_FIELD_NUMBER: _ClassVar[int]
            OPERATION_FIELD_NUMBER: _ClassVar[int]
            VALUE_FIELD_NUMBER: _ClassVar[int]
            match: ProxyTemplate.Modifications.HttpFilter.Match
            operation: str
            value: str
            def __init__(self, match: _Optional[_Union[ProxyTemplate.Modifications.HttpFilter.Match, _Mapping]] = ..., operation: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
        class VirtualHost(_message.Message):
            __slots__ = ("match", "operation", "value")
            class Match(_message.Message):
                __slots__ = ("origin", "name", "routeConfigurationName")
                ORIGIN_FIELD_NUMBER: _ClassVar[int]
                NAME_FIELD_NUMBER: _ClassVar[int]
                ROUTECONFIGURATIONNAME_FIELD_NUMBER: _ClassVar[int]
                origin: str
                name: str
                routeConfigurationName: str
                def __init__(self, origin: _Optional[str] = ..., name: _Optional[str] = ..., routeConfigurationName: _Optional[str] = ...) -> None: ...
            MATCH_FIELD_NUMBER: _ClassVar[int]
            OPERATION_FIELD_NUMBER: _ClassVar[int]
            VALUE_FIELD_NUMBER: _ClassVar[int]
            match: ProxyTemplate.Modifications.VirtualHost.Match
            operation: str
            value: str
            def __init__(self, match: _Optional[_Union[ProxyTemplate.Modifications.VirtualHost.Match, _Mapping]] = ..., operation: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
        CLUSTER_FIELD_NUMBER: _ClassVar[int]
        LISTENER_FIELD_NUMBER: _ClassVar[int]
        NETWORKFILTER_FIELD_NUMBER: _ClassVar[int]
        HTTPFILTER_FIELD_NUMBER: _ClassVar[int]
        VIRTUALHOST_FIELD_NUMBER: _ClassVar[int]
        cluster: ProxyTemplate.Modifications.Cluster
        listener: ProxyTemplate.Modifications.Listener
        networkFilter: ProxyTemplate.Modifications.NetworkFilter
        httpFilter: ProxyTemplate.Modifications.HttpFilter
        virtualHost: ProxyTemplate.Modifications.VirtualHost
        def __init__(self, cluster: _Optional[_Union[ProxyTemplate.Modifications.Cluster, _Mapping]] = ..., listener: _Optional[_Union[ProxyTemplate.Modifications.Listener, _Mapping]] = ..., networkFilter: _Optional[_Union[ProxyTemplate.Modifications.NetworkFilter, _Mapping]] = ..., httpFilter: _Optional[_Union[ProxyTemplate.Modifications.HttpFilter, _Mapping]] = ..., virtualHost: _Optional[_Union[ProxyTemplate.Modifications.VirtualHost, _Mapping]] = ...) -> None: ...
    SELECTORS_FIELD_NUMBER: _ClassVar[int]
    CONF_FIELD_NUMBER: _ClassVar[int]
    selectors: _containers.RepeatedCompositeFieldContainer[Selector]
    conf: ProxyTemplate.Conf
    def __init__(self, selectors: _Optional[_Iterable[_Union[Selector, _Mapping]]] = ..., conf: _Optional[_Union[ProxyTemplate.Conf, _Mapping]] = ...) -> None: ...

class ProxyTemplateSource(_message.Message):
    __slots__ = ("name", "profile", "raw")
    NAME_FIELD_NUMBER: _ClassVar[int]
    PROFILE_FIELD_NUMBER: _ClassVar[int]
    RAW_FIELD_NUMBER: _ClassVar[int]
    name: str
    profile: ProxyTemplateProfileSource
    raw: ProxyTemplateRawSource
    def __init__(self, name: _Optional[str] = ..., profile: _Optional[_Union[ProxyTemplateProfileSource, _Mapping]] = ..., raw: _Optional[_Union[ProxyTemplateRawSource, _Mapping]] = ...) -> None: ...

class ProxyTemplateProfileSource(_message.Message):
    __slots__ = ("name", "params")
    class ParamsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    PARAMS_FIELD_NUMBER: _ClassVar[int]
    name: str
    params: _containers.ScalarMap[str, str]
    def __init__(self, name: _Optional[str] = ..., params: _Optional[_Mapping[str, str]] = ...) -> None: ...

class ProxyTemplateRawSource(_message.Message):
    __slots__ = ("resources",)
    RESOURCES_FIELD_NUMBER: _ClassVar[int]
    resources: _containers.RepeatedCompositeFieldContainer[ProxyTemplateRawResource]
    def __init__(self, resources: _Optional[_Iterable[_Union[ProxyTemplateRawResource, _Mapping]]] = ...) -> None: ...

class ProxyTemplateRawResource(_message.Message):
    __slots__ = ("name", "version", "resource")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_FIELD_NUMBER: _ClassVar[int]
    name: str
    version: str
    resource: str
    def __init__(self, name: _Optional[str] = ..., version: _Optional[str] = ..., resource: _Optional[str] = ...) -> None: ...

class MeshGatewayRoute(_message.Message):
    __slots__ = ("selectors", "conf")
    class Backend(_message.Message):
        __slots__ = ("weight", "destination")
        class DestinationEntry(_message.Message):
            __slots__ = ("key", "value")
            KEY_FIELD_NUMBER: _ClassVar[int]
            VALUE_FIELD_NUMBER: _ClassVar[int]
            key: str
            value: str
            def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
        WEIGHT_FIELD_NUMBER: _ClassVar[int]
        DESTINATION_FIELD_NUMBER: _ClassVar[int]
        weight: int
        destination: _containers.ScalarMap[str, str]
        def __init__(self, weight: _Optional[int] = ..., destination: _Optional[_Mapping[str, str]] = ...) -> None: ...
    class TcpRoute(_message.Message):
        __slots__ = ("rules",)
        class Rule(_message.Message):
            __slots__ = ("backends",)
            BACKENDS_FIELD_NUMBER: _ClassVar[int]
            backends: _containers.RepeatedCompositeFieldContainer[MeshGatewayRoute.Backend]
            def __init__(self, backends: _Optional[_Iterable[_Union[MeshGatewayRoute.Backend, _Mapping]]] = ...) -> None: ...
        RULES_FIELD_NUMBER: _ClassVar[int]
        rules: _containers.RepeatedCompositeFieldContainer[MeshGatewayRoute.TcpRoute.Rule]
        def __init__(self, rules: _Optional[_Iterable[_Union[MeshGatewayRoute.TcpRoute.Rule, _Mapping]]] = ...) -> None: ...
    class HttpRoute(_message.Message):
        __slots__ = ("hostnames", "rules")
        class Match(_message.Message):
            __slots__ = ("path", "method", "headers", "query_parameters")
            class Path(_message.Message):
                __slots__ = ("match", "value")
                class MatchType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
                    __slots__ = ()
                    EXACT: _ClassVar[MeshGatewayRoute.HttpRoute.Match.Path.MatchType]
                    PREFIX: _ClassVar[MeshGatewayRoute.HttpRoute.Match.Path.MatchType]
                    REGEX: _ClassVar[MeshGatewayRoute.HttpRoute.Match.Path.MatchType]
                EXACT: MeshGatewayRoute.HttpRoute.Match.Path.MatchType
                PREFIX: MeshGatewayRoute.HttpRoute.Match.Path.MatchType
                REGEX: MeshGatewayRoute.HttpRoute.Match.Path.MatchType
                MATCH_FIELD_NUMBER: _ClassVar[int]
                VALUE_FIELD_NUMBER: _ClassVar[int]
                match: MeshGatewayRoute.HttpRoute.Match.Path.MatchType
                value: str
                def __init__(self, match: _Optional[_Union[MeshGatewayRoute.HttpRoute.Match.Path.MatchType, str]] = ..., value: _Optional[str] = ...) -> None: ...
            class Header(_message.Message):
                __slots__ = ("match", "name", "value")
                class MatchType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
                    __slots__ = ()
                    EXACT: _ClassVar[MeshGatewayRoute.HttpRoute.Match.Header.MatchType]
                    REGEX: _ClassVar[MeshGatewayRoute.HttpRoute.Match.Header.MatchType]
                    ABSENT: _ClassVar[MeshGatewayRoute.HttpRoute.Match.Header.MatchType]
                    PRESENT: _ClassVar[MeshGatewayRoute.HttpRoute.Match.Header.MatchType]
                EXACT: MeshGatewayRoute.HttpRoute.Match.Header.MatchType
                REGEX: MeshGatewayRoute.HttpRoute.Match.Header.MatchType
                ABSENT: MeshGatewayRoute.HttpRoute.Match.Header.MatchType
                PRESENT: MeshGatewayRoute.HttpRoute.Match.Header.MatchType
                MATCH_FIELD_NUMBER: _ClassVar[int]
                NAME_FIELD_NUMBER: _ClassVar[int]
                VALUE_FIELD_NUMBER: _ClassVar[int]
                match: MeshGatewayRoute.HttpRoute.Match.Header.MatchType
                name: str
                value: str
                def __init__(self, match: _Optional[_Union[MeshGatewayRoute.HttpRoute.Match.Header.MatchType, str]] = ..., name: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
            class Query(_message.Message):
                __slots__ = ("match", "name", "value")
                class MatchType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
                    __slots__ = ()
                    EXACT: _ClassVar[MeshGatewayRoute.HttpRoute.Match.Query.MatchType]
                    REGEX: _ClassVar[MeshGatewayRoute.HttpRoute.Match.Query.MatchType]
                EXACT: MeshGatewayRoute.HttpRoute.Match.Query.MatchType
                REGEX: MeshGatewayRoute.HttpRoute.Match.Query.MatchType
                MATCH_FIELD_NUMBER: _ClassVar[int]
                NAME_FIELD_NUMBER: _ClassVar[int]
                VALUE_FIELD_NUMBER: _ClassVar[int]
                match: MeshGatewayRoute.HttpRoute.Match.Query.MatchType
                name: str
                value: str
                def __init__(self, match: _Optional[_Union[MeshGatewayRoute.HttpRoute.Match.Query.MatchType, str]] = ..., name: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
            PATH_FIELD_NUMBER: _ClassVar[int]
            METHOD_FIELD_NUMBER: _ClassVar[int]
            HEADERS_FIELD_NUMBER: _ClassVar[int]
            QUERY_PARAMETERS_FIELD_NUMBER: _ClassVar[int]
            path: MeshGatewayRoute.HttpRoute.Match.Path
            method: HttpMethod
            headers: _containers.RepeatedCompositeFieldContainer[MeshGatewayRoute.HttpRoute.Match.Header]
            query_parameters: _containers.RepeatedCompositeFieldContainer[MeshGatewayRoute.HttpRoute.Match.Query]
            def __init__(self, path: _Optional[_Union[MeshGatewayRoute.HttpRoute.Match.Path, _Mapping]] = ..., method: _Optional[_Union[HttpMethod, str]] = ..., headers: _Optional[_Iterable[_Union[MeshGatewayRoute.HttpRoute.Match.Header, _Mapping]]] = ..., query_parameters: _Optional[_Iterable[_Union[MeshGatewayRoute.HttpRoute.Match.Query, _Mapping]]] = ...) -> None: ...
        class Filter(_message.Message):
            __slots__ = ("request_header", "mirror", "redirect", "rewrite", "response_header")
            class HeaderFilter(_message.Message):
                __slots__ = ("set", "add", "remove")
                class Header(_message.Message):
                    __slots__ = ("name", "value")
                    NAME_FIELD_NUMBER: _ClassVar[int]
                    VALUE_FIELD_NUMBER: _ClassVar[int]
                    name: str
                    value: str
                    def __init__(self, name: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
                SET_FIELD_NUMBER: _ClassVar[int]
                ADD_FIELD_NUMBER: _ClassVar[int]
                REMOVE_FIELD_NUMBER: _ClassVar[int]
                set: _containers.RepeatedCompositeFieldContainer[MeshGatewayRoute.HttpRoute.Filter.HeaderFilter.Header]
                add: _containers.RepeatedCompositeFieldContainer[MeshGatewayRoute.HttpRoute.Filter.HeaderFilter.Header]
                remove: _containers.RepeatedScalarFieldContainer[str]
                def __init__(self, set: _Optional[_Iterable[_Union[MeshGatewayRoute.HttpRoute.Filter.HeaderFilter.Header, _Mapping]]] = ..., add: _Optional[_Iterable[_Union[MeshGatewayRoute.HttpRoute.Filter.HeaderFilter.Header, _Mapping]]] = ..., remove: _Optional[_Iterable[str]] = ...) -> None: ...
            class Mirror(_message.Message):
                __slots__ = ("backend", "percentage")
                BACKEND_FIELD_NUMBER: _ClassVar[int]
                PERCENTAGE_FIELD_NUMBER: _ClassVar[int]
                backend: MeshGatewayRoute.Backend
                percentage: _wrappers_pb2.DoubleValue
                def __init__(self, backend: _Optional[_Union[MeshGatewayRoute.Backend, _Mapping]] = ..., percentage: _Optional[_Union[_wrappers_pb2.DoubleValue, _Mapping]] = ...) -> None: ...
            class Rewrite(_message.Message):
                __slots__ = ("replace_full", "replace_prefix_match", "host_to_backend_hostname")
                REPLACE_FULL_FIELD_NUMBER: _ClassVar[int]
                REPLACE_PREFIX_MATCH_FIELD_NUMBER: _ClassVar[int]
                HOST_TO_BACKEND_HOSTNAME_FIELD_NUMBER: _ClassVar[int]
                replace_full: str
                replace_prefix_match: str
                host_to_backend_hostname: bool
                def __init__(self, replace_full: _Optional[str] = ..., replace_prefix_match: _Optional[str] = ..., host_to_backend_hostname: _Optional[bool] = ...) -> None: ...
            class Redirect(_message.Message):
                __slots__ = ("scheme", "hostname", "port", "status_code", "path")
                SCHEME_FIELD_NUMBER: _ClassVar[int]
                HOSTNAME_FIELD_NUMBER: _ClassVar[int]
                PORT_FIELD_NUMBER: _ClassVar[int]
                STATUS_CODE_FIELD_NUMBER: _ClassVar[int]
                PATH_FIELD_NUMBER: _ClassVar[int]
                scheme: str
                hostname: str
                port: int
                status_code: int
                path: MeshGatewayRoute.HttpRoute.Filter.Rewrite
                def __init__(self, scheme: _Optional[str] = ..., hostname: _Optional[str] = ..., port: _Optional[int] = ..., status_code: _Optional[int] = ..., path: _Optional[_Union[MeshGatewayRoute.HttpRoute.Filter.Rewrite, _Mapping]] = ...) -> None: ...
            REQUEST_HEADER_FIELD_NUMBER: _ClassVar[int]
            MIRROR_FIELD_NUMBER: _ClassVar[int]
            REDIRECT_FIELD_NUMBER: _ClassVar[int]
            REWRITE_FIELD_NUMBER: _ClassVar[int]
            RESPONSE_HEADER_FIELD_NUMBER: _ClassVar[int]
            request_header: MeshGatewayRoute.HttpRoute.Filter.HeaderFilter
            mirror: MeshGatewayRoute.HttpRoute.Filter.Mirror
            redirect: MeshGatewayRoute.HttpRoute.Filter.Redirect
            rewrite: MeshGatewayRoute.HttpRoute.Filter.Rewrite
            response_header: MeshGatewayRoute.HttpRoute.Filter.HeaderFilter
            def __init__(self, request_header: _Optional[_Union[MeshGatewayRoute.HttpRoute.Filter.HeaderFilter, _Mapping]] = ..., mirror: _Optional[_Union[MeshGatewayRoute.HttpRoute.Filter.Mirror, _Mapping]] = ..., redirect: _Optional[_Union[MeshGatewayRoute.HttpRoute.Filter.Redirect, _Mapping]] = ..., rewrite: _Optional[_Union[MeshGatewayRoute.HttpRoute.Filter.Rewrite, _Mapping]] = ..., response_header: _Optional[_Union[MeshGatewayRoute.HttpRoute.Filter.HeaderFilter, _Mapping]] = ...) -> None: ...
        class Rule(_message.Message):
            __slots__ = ("matches", "filters", "backends")
            MATCHES_FIELD_NUMBER: _ClassVar[int]
            FILTERS_FIELD_NUMBER: _ClassVar[int]
            BACKENDS_FIELD_NUMBER: _ClassVar[int]
            matches: _containers.RepeatedCompositeFieldContainer[MeshGatewayRoute.HttpRoute.Match]
            filters: _containers.RepeatedCompositeFieldContainer[MeshGatewayRoute.HttpRoute.Filter]
            backends: _containers.RepeatedCompositeFieldContainer[MeshGatewayRoute.Backend]
            def __init__(self, matches: _Optional[_Iterable[_Union[MeshGatewayRoute.HttpRoute.Match, _Mapping]]] = ..., filters: _Optional[_Iterable[_Union[MeshGatewayRoute.HttpRoute.Filter, _Mapping]]] = ..., backends: _Optional[_Iterable[_Union[MeshGatewayRoute.Backend, _Mapping]]] = ...) -> None: ...
        HOSTNAMES_FIELD_NUMBER: _ClassVar[int]
        RULES_FIELD_NUMBER: _ClassVar[int]
        hostnames: _containers.RepeatedScalarFieldContainer[str]
        rules: _containers.RepeatedCompositeFieldContainer[MeshGatewayRoute.HttpRoute.Rule]
        def __init__(self, hostnames: _Optional[_Iterable[str]] = ..., rules: _Optional[_Iterable[_Union[MeshGatewayRoute.HttpRoute.Rule, _Mapping]]] = ...) -> None: ...
    class Conf(_message.Message):
        __slots__ = ("tcp", "http")
        TCP_FIELD_NUMBER: _ClassVar[int]
        HTTP_FIELD_NUMBER: _ClassVar[int]
        tcp: MeshGatewayRoute.TcpRoute
        http: MeshGatewayRoute.HttpRoute
        def __init__(self, tcp: _Optional[_Union[MeshGatewayRoute.TcpRoute, _Mapping]] = ..., http: _Optional[_Union[MeshGatewayRoute.HttpRoute, _Mapping]] = ...) -> None: ...
    SELECTORS_FIELD_NUMBER: _ClassVar[int]
    CONF_FIELD_NUMBER: _ClassVar[int]
    selectors: _containers.RepeatedCompositeFieldContainer[Selector]
    conf: MeshGatewayRoute.Conf
    def __init__(self, selectors: _Optional[_Iterable[_Union[Selector, _Mapping]]] = ..., conf: _Optional[_Union[MeshGatewayRoute.Conf, _Mapping]] = ...) -> None: ...
