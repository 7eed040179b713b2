"""An independent writer of protobuf bytes, by hand: what a peer of another make sends.

Field numbers are those of facts/kds-wire.md 1.1, 1.6 and 2.1 and facts/dataplane-wire.md 1.8; the
reader is `protobuf_wire`. Nothing of the product is used here, so that an error in its codec cannot
hide in its tests.
"""

from __future__ import annotations

import json
from struct import pack
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

KUMA_RESOURCE = "type.googleapis.com/kuma.mesh.v1alpha1.KumaResource"
CDS, EDS, SDS, LDS = (
    f"type.googleapis.com/envoy.{name}"
    for name in (
        "config.cluster.v3.Cluster",
        "config.endpoint.v3.ClusterLoadAssignment",
        "extensions.transport_sockets.tls.v3.Secret",
        "config.listener.v3.Listener",
    )
)
# What a zone of 2.14 tells of itself; its configuration has about 10 kB.
KUMA_VERSION = {"kumaCp": {"version": "2.14.3", "gitTag": "v2.14.3", "gitCommit": "0c7aaec"}}
KUMA_FEATURES = (
    "zone-token",
    "hash-suffix",
    "hg-mz-selector",
    "producer-policy-flow",
    "optional-top-level-target-ref",
)

# What a zone asks for, and what a global asks a zone for, by the table of section 3.
_DOWN = """
CircuitBreaker Config ExternalService FaultInjection GlobalSecret HealthCheck Mesh MeshGateway
MeshGatewayRoute ProxyTemplate RateLimit Retry Secret ServiceInsight Timeout TrafficLog
TrafficPermission TrafficRoute TrafficTrace VirtualOutbound ZoneIngress HostnameGenerator
MeshExternalService MeshIdentity MeshMultiZoneService MeshOpenTelemetryBackend MeshService MeshTrust
MeshZoneAddress MeshAccessLog MeshCircuitBreaker MeshFaultInjection MeshHTTPRoute MeshHealthCheck
MeshLoadBalancingStrategy MeshMetric MeshPassthrough MeshProxyPatch MeshRateLimit MeshRetry
MeshTCPRoute MeshTLS MeshTimeout MeshTrace MeshTrafficPermission
"""
_UP = """
Dataplane DataplaneInsight MeshGateway ZoneEgress ZoneEgressInsight ZoneIngress ZoneIngressInsight
HostnameGenerator MeshExternalService MeshIdentity MeshOpenTelemetryBackend MeshService MeshTrust
MeshZoneAddress Workload MeshAccessLog MeshCircuitBreaker MeshFaultInjection MeshHTTPRoute
MeshHealthCheck MeshLoadBalancingStrategy MeshMetric MeshPassthrough MeshProxyPatch MeshRateLimit
MeshRetry MeshTCPRoute MeshTLS MeshTimeout MeshTrace MeshTrafficPermission
"""
GLOBAL_TO_ZONE, ZONE_TO_GLOBAL = tuple(_DOWN.split()), tuple(_UP.split())


def varint(value: int) -> bytes:
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    found.append(value)
    return bytes(found)


def number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value)


def part(field: int, value: bytes | str) -> bytes:
    """A text, bytes or message; present also when it is empty."""
    data = value.encode() if isinstance(value, str) else value
    return varint(field << 3 | 2) + varint(len(data)) + data


def parts(field: int, values: Iterable[bytes | str]) -> bytes:
    return b"".join(part(field, value) for value in values)


def texts(field: int, values: Mapping[str, str]) -> bytes:
    """A map of texts."""
    return parts(field, (part(1, key) + part(2, value) for key, value in values.items()))


def struct(data: Mapping[str, object]) -> bytes:
    """google.protobuf.Struct."""
    return parts(1, (part(1, key) + part(2, _value(value)) for key, value in data.items()))


def _value(value: object) -> bytes:
    match value:
        case bool():
            return number(4, int(value))
        case str():
            return part(3, value)
        case int() | float():
            return pack("<Bd", 0x11, value)  # field 2, fixed 64 bits
        case dict():
            return part(5, struct(value))
        case list() | tuple():
            return part(6, parts(1, map(_value, value)))
        case _:
            raise TypeError(f"no peer of ours sends {value!r}")


def any_of(type_url: str, value: bytes) -> bytes:
    """google.protobuf.Any; an empty type URL is left out, as its peers write it."""
    return (part(1, type_url) if type_url else b"") + part(2, value)


# --- discovery ---


def node(name: str, metadata: Mapping[str, object] | None = None, cluster: str = "") -> bytes:
    found = part(1, name) + (part(2, cluster) if cluster else b"")
    return found if metadata is None else found + part(3, struct(metadata))


def kuma_metadata(instance: str, config: str, *features: str) -> dict[str, object]:
    """Of either role; the global's configuration is an empty text."""
    return {
        "version": KUMA_VERSION,
        "config": config,
        "control-plane-id": instance,
        "features": list(features or KUMA_FEATURES),
    }


def zone_config() -> str:
    return json.dumps({"mode": "zone", "store": {"type": "memory"}, "rest": "x" * 10_000})


def delta_request(
    type_url: str,
    *,
    of: bytes | None = None,
    subscribe: tuple[str, ...] = (),
    unsubscribe: tuple[str, ...] = (),
    initial: Mapping[str, str] | None = None,
    nonce: str = "",
    error: str | None = None,
) -> bytes:
    found = part(1, of) if of is not None else b""
    found += part(2, type_url) + parts(3, subscribe) + parts(4, unsubscribe)
    found += texts(5, initial or {})
    found += part(6, nonce) if nonce else b""
    return found if error is None else found + part(7, part(2, error))


def sotw_request(
    type_url: str,
    *names: str,
    of: bytes | None = None,
    version: str = "",
    nonce: str = "",
    error: str | None = None,
) -> bytes:
    found = (part(1, version) if version else b"") + (part(2, of) if of is not None else b"")
    found += parts(3, names) + part(4, type_url) + (part(5, nonce) if nonce else b"")
    return found if error is None else found + part(6, number(1, 13) + part(2, error))


def delta_response(
    type_: str,
    nonce: str,
    resources: Iterable[bytes] = (),
    removed: Iterable[str] = (),
    identifier: str = "",
) -> bytes:
    found = parts(2, resources) + part(4, type_) + part(5, nonce) + parts(6, removed)
    return found + (part(7, part(1, identifier)) if identifier else b"")


# --- KDS ---


def kuma_entry(
    name: str,
    mesh: str,
    labels: Mapping[str, str],
    spec: bytes | None,
    status: bytes | None = None,
    *,
    any_url: str = KUMA_RESOURCE,
) -> bytes:
    """discovery.v3.Resource around a KumaResource; `spec` and `status` are Anys."""
    meta = part(1, name) + (part(2, mesh) if mesh else b"") + texts(6, labels)
    body = part(1, meta) + (part(2, spec) if spec is not None else b"")
    body += part(3, status) if status is not None else b""
    return part(1, "v1") + part(2, any_of(any_url, body)) + part(3, f"{name}.{mesh}")


def legacy(message: str, value: bytes, package: str = "mesh") -> bytes:
    return any_of(f"type.googleapis.com/kuma.{package}.v1alpha1.{message}", value)


def plugin(spec: object) -> bytes:
    return any_of("", json.dumps(spec).encode())
