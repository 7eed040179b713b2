"""Whether two specs mean the same, where one of them was written out by a client. Pure.

kumactl decodes what it sends, and encodes it again: it fills in defaults, writes durations in full,
and drops what is empty. Nothing else is passed over: an empty object may switch something on.
"""

from __future__ import annotations

from typing import Any

from reconciler.duration import parse_duration
from reconciler.schema_defaults import filled

DURATIONS = frozenset(
    {"baseEjectionTime", "baseInterval", "connectionTimeout", "expiry", "idleTimeout"}
    | {"initialJitter", "interval", "intervalJitter", "maxConnectionDuration", "maxInterval"}
    | {"maxStreamDuration", "noTrafficInterval", "perTryTimeout", "refreshInterval"}
    | {"requestHeadersTimeout", "requestTimeout", "streamIdleTimeout", "timeout", "ttl"}
)
DELAYS = ("delay", "value")  # MeshFaultInjection: the one duration with a name that others have


def means_same(type_: str, one: Any, other: Any) -> bool:
    return bool(_plain(_whole(type_, one), "") == _plain(_whole(type_, other), ""))


def _whole(type_: str, spec: Any) -> Any:
    return filled(type_, spec) if isinstance(spec, dict) else spec


def _plain(value: Any, parent: str) -> Any:
    """Without what is null, and durations as their length."""
    if isinstance(value, dict):
        found: dict[str, Any] = {}
        for key, inner in value.items():
            if inner is not None:
                is_span = key in DURATIONS or (parent, key) == DELAYS
                found[key] = _span(inner) if is_span else _plain(inner, key)
        return found
    if isinstance(value, list):
        return [_plain(inner, parent) for inner in value]
    return _told_apart(value)


def _told_apart(value: object) -> object:
    """For Python True is 1; in a document they are two values."""
    return (type(value).__name__, value) if isinstance(value, bool) else value


def _span(value: object) -> object:
    span = parse_duration(value) if isinstance(value, str) else None
    return ("duration", span) if span is not None else value
