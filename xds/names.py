"""Names of xDS resources, SNIs and identities, as Kuma 2.14 has them. Built here only, and parsed
nowhere.

Client and ingress must produce the same SNI, and mixed zones the same names, so these are part of
the wire format.
"""

from __future__ import annotations

import hashlib
import re

Tags = tuple[tuple[str, str], ...]

SERVICE_TAG = "kuma.io/service"
ADMIN_LISTENER = "kuma:envoy:admin"
ADMIN_CLUSTER = "kuma:envoy:admin"
READINESS_CLUSTER = "kuma:readiness"
ADS_CLUSTER = "ads_cluster"
ACCESS_LOG_CLUSTER = "access_log_sink"
OUTBOUND_PASSTHROUGH = "outbound:passthrough:ipv4"
OUTBOUND_PASSTHROUGH_V6 = "outbound:passthrough:ipv6"
INBOUND_PASSTHROUGH = "inbound:passthrough:ipv4"
INBOUND_PASSTHROUGH_V6 = "inbound:passthrough:ipv6"
NO_DESTINATION_CLUSTER = "self_transparentproxy_no_destination_inbound"
DIRECT_ACCESS_CLUSTER = "direct_access"
DNS_LISTENER = "kuma:dns"
DYNAMIC_CONFIG_LISTENER = "_kuma:dynamicconfig"
PROBE_LISTENER = "probe:listener"
_LOCAL = "localhost:"
_OWN_CLUSTERS = frozenset(
    (
        ADMIN_CLUSTER,
        READINESS_CLUSTER,
        ADS_CLUSTER,
        ACCESS_LOG_CLUSTER,
        OUTBOUND_PASSTHROUGH,
        OUTBOUND_PASSTHROUGH_V6,
        INBOUND_PASSTHROUGH,
        INBOUND_PASSTHROUGH_V6,
        NO_DESTINATION_CLUSTER,
        DIRECT_ACCESS_CLUSTER,
    )
)
LABEL_MAX, HOST_MAX = 63, 253  # characters of a DNS label and of a host name
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_FNV_OFFSET, _FNV_PRIME, _FNV_MASK = 0xCBF29CE484222325, 0x100000001B3, (1 << 64) - 1
_UNSAFE = re.compile(r"[^a-zA-Z0-9_-]")


def authority(address: str, port: int) -> str:
    """As URLs and gRPC write it: an IPv6 address in brackets."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def inbound_listener_name(address: str, port: int) -> str:
    return f"inbound:{authority(address, port)}"


def outbound_listener_name(address: str, port: int) -> str:
    return f"outbound:{authority(address, port)}"


def direct_access_listener_name(address: str, port: int) -> str:
    """An IPv6 address has no brackets here."""
    return f"{DIRECT_ACCESS_CLUSTER}_{address}:{port}"


def local_cluster_name(port: int) -> str:
    """The application behind an inbound."""
    return f"{_LOCAL}{port}"


def other_local_cluster_name(port: int, address: str, inbound_port: int) -> str:
    """The application behind the inbound at that address, where another one has the plain name."""
    return f"{_LOCAL}{port}:{authority(address, inbound_port)}"


def is_own_cluster(name: str) -> bool:
    """Whether a proxy may have a cluster of this name that is no service of the mesh: its
    application, its admin interface, its control plane. A service of that name would take its place
    or lead there.
    """
    return name in _OWN_CLUSTERS or name.startswith(_LOCAL)


def cluster_name(tags: Tags) -> str:
    """`<service>`, or `<service>-<16 hex>` when further tags narrow it.

    The hex is the start of SHA-256 over key and value bytes of all tags in key order, the service's
    included.
    """
    found = dict(tags)
    service = found[SERVICE_TAG]
    if len(found) == 1:
        return service
    hasher = hashlib.sha256()
    for key, value in sorted(found.items()):
        hasher.update(key.encode())
        hasher.update(value.encode())
    return f"{service}-{hasher.digest()[:8].hex()}"


def ingress_cluster_name(mesh: str, service: str) -> str:
    return f"{mesh}:{service}"


def stat_prefix(name: str) -> str:
    """Every character outside [a-zA-Z0-9_-] becomes `_`."""
    return _UNSAFE.sub("_", name)


def tag_sni(tags: Tags, mesh: str) -> str:
    """`<service>{k=v,…}`: the service first, then the other tags and `mesh`, sorted by key."""
    found = {**dict(tags), "mesh": mesh}
    service = found.pop(SERVICE_TAG)
    inner = ",".join(f"{key}={value}" for key, value in sorted(found.items()))
    return f"{service}{{{inner}}}"


def hash_sni(name: str, port: int, mesh: str, kind: str) -> str:
    """`a<16 hex>.<name>.<port>.<mesh>.<ms|mes|mzms>` of a resource's port. The hex is FNV-1a of
    name and mesh in full; both are cut where a DNS label ends.
    """
    digest = fnv1a_64(f"{name};{mesh};".encode())
    return f"a{digest:016x}.{_cut(name)}.{port}.{_cut(mesh)}.{kind}"


def _cut(text: str) -> str:
    return text if len(text) < LABEL_MAX else f"{text[: LABEL_MAX - 1]}x"


def kri_sni(kind: str, place: tuple[str, str, str], name: str, section: str) -> str | None:
    """`sni.<kind>.<mesh>[.<zone>[.<namespace>]].<name>.<section>`; `place` is mesh, zone and
    namespace. None where that is no host name.
    """
    mesh, zone, namespace = place
    labels = [mesh, *([zone, *([namespace] if namespace else [])] if zone else []), name, section]
    found = ".".join(("sni", kind, *labels))
    fits = len(found) <= HOST_MAX and all(map(_LABEL.fullmatch, labels))
    return found if fits else None


def fnv1a_64(data: bytes) -> int:
    value = _FNV_OFFSET
    for byte in data:
        value = ((value ^ byte) * _FNV_PRIME) & _FNV_MASK
    return value


def spiffe_id(mesh: str, service: str) -> str:
    return f"spiffe://{mesh}/{service}"


def spiffe_prefix(mesh: str) -> str:
    """Prefix of every identity of the mesh."""
    return f"spiffe://{mesh}/"


def tag_id(tag: str, value: str) -> str:
    return f"kuma://{tag}/{value}"


IDENTITY = "identity_cert:secret:"


def identity_secret_name(mesh: str) -> str:
    return f"{IDENTITY}{mesh}"


def ca_secret_name(mesh: str) -> str:
    return f"mesh_ca:secret:{mesh}"


EXTERNAL_IDENTITY = "external_identity:secret:"


def external_identity_secret_name(mesh: str, resource: str) -> str:
    """What a service outside of the mesh, described by that resource, knows its callers by."""
    return f"{EXTERNAL_IDENTITY}{mesh}:{resource}"


def external_ca_secret_name(mesh: str, resource: str) -> str:
    """The CA that a service outside of the mesh is known by."""
    return f"external_ca:secret:{mesh}:{resource}"


EGRESS_SERVICE = "zone-egress"
EXTERNAL_SERVICE_TAG = "kuma.io/external-service-name"


def egress_chain_name(service: str, mesh: str) -> str:
    """Of an egress's way to a service outside of the mesh."""
    return f"{service}_{mesh}"
