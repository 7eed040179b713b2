"""Whether two specs mean the same, where one of them was written out by a client. Pure.

kumactl decodes what it sends, and encodes it again: it fills in defaults, writes durations in full,
and drops what is empty. Nothing else is passed over: an empty object may switch something on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reconciler.policies.duration import parse_duration

if TYPE_CHECKING:
    from collections.abc import Mapping

# Of every kind: (the object's key, the field) -> what its absence means.
SHARED: Mapping[tuple[str, str], object] = {
    ("headers", "type"): "Exact",
    ("retriableRequestHeaders", "type"): "Exact",
    ("retriableResponseHeaders", "type"): "Exact",
    ("backendRefs", "weight"): 1,
    ("backendRef", "weight"): 1,
    ("tlsVersion", "min"): "TLSAuto",
    ("tlsVersion", "max"): "TLSAuto",
    ("version", "min"): "TLSAuto",
    ("version", "max"): "TLSAuto",
}
DEFAULTS: Mapping[str, Mapping[tuple[str, str], object]] = {
    "MeshAccessLog": {("format", "omitEmptyValues"): False, ("openTelemetry", "endpoint"): ""},
    "MeshExternalService": {
        ("match", "type"): "HostnameGenerator",
        ("match", "protocol"): "tcp",
        ("tls", "enabled"): False,
        ("tls", "allowRenegotiation"): False,
        ("verification", "mode"): "Secured",
        ("subjectAltNames", "type"): "Exact",
    },
    "MeshHTTPRoute": {("requestRedirect", "statusCode"): 302},
    "MeshMetric": {
        ("applications", "path"): "/metrics",
        ("prometheus", "port"): 5670,
        ("prometheus", "path"): "/metrics",
        ("tls", "mode"): "Disabled",
        ("openTelemetry", "endpoint"): "",
    },
    "MeshMultiZoneService": {("ports", "appProtocol"): "tcp"},
    "MeshOpenTelemetryBackend": {("env", "mode"): "Optional", ("env", "precedence"): "EnvFirst"},
    "MeshPassthrough": {("appendMatch", "protocol"): "tcp"},
    "MeshRetry": {("hostSelection", "updateFrequency"): 2},
    "MeshService": {("ports", "appProtocol"): "tcp", ("", "state"): "Unavailable"},
    "MeshTrace": {
        ("openTelemetry", "endpoint"): "",
        ("zipkin", "traceId128bit"): False,
        ("zipkin", "apiVersion"): "httpJson",
        ("zipkin", "sharedSpanContext"): True,
        ("datadog", "splitService"): False,
    },
}
DURATIONS = frozenset(
    {"baseEjectionTime", "baseInterval", "connectionTimeout", "expiry", "idleTimeout"}
    | {"initialJitter", "interval", "intervalJitter", "maxConnectionDuration", "maxInterval"}
    | {"maxStreamDuration", "noTrafficInterval", "perTryTimeout", "refreshInterval"}
    | {"requestHeadersTimeout", "requestTimeout", "streamIdleTimeout", "timeout", "ttl"}
)
DELAYS = ("delay", "value")  # MeshFaultInjection: the one duration with a name that others have


def means_same(type_: str, one: object, other: object) -> bool:
    defaults = {**SHARED, **DEFAULTS.get(type_, {})}
    return bool(_plain(one, "", defaults) == _plain(other, "", defaults))


def _plain(value: Any, parent: str, defaults: Mapping[tuple[str, str], object]) -> Any:
    """Without what its absence says as well."""
    if isinstance(value, dict):
        found: dict[str, Any] = {}
        for key, inner in value.items():
            if inner is None or _is(inner, defaults.get((parent, key), None)):
                continue
            is_span = key in DURATIONS or (parent, key) == DELAYS
            found[key] = _span(inner) if is_span else _plain(inner, key, defaults)
        return found
    if isinstance(value, list):
        return [_plain(inner, parent, defaults) for inner in value]
    return _told_apart(value)


def _is(value: object, default: object) -> bool:
    return _told_apart(value) == _told_apart(default)


def _told_apart(value: object) -> object:
    """For Python True is 1; in a document they are two values."""
    return (type(value).__name__, value) if isinstance(value, bool) else value


def _span(value: object) -> object:
    span = parse_duration(value) if isinstance(value, str) else None
    return ("duration", span) if span is not None else value
