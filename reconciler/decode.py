"""A mesh resource from its key, labels and plain spec: the one way in, from Git, from the wire and
from disk. Pure.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from ipaddress import ip_address
from typing import TYPE_CHECKING

from reconciler.model.decode import (
    DecodeError,
    Fields,
    decode_dataplane,
    decode_mesh,
    decode_zone,
    decode_zone_ingress,
    fields_of,
    list_of,
)
from reconciler.model.resource import (
    PROTOCOL,
    SERVICE,
    Labels,
    MeshResource,
    ResourceKey,
    canonical_json,
)
from reconciler.model.spec import OpaqueSpec, Spec
from reconciler.policies import POLICIES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_DECODERS: Mapping[str, Callable[[Fields], Spec]] = {
    "Mesh": decode_mesh,
    "Zone": decode_zone,
    "Dataplane": decode_dataplane,
    "ZoneIngress": decode_zone_ingress,
    **{policy.kind: policy.decode for policy in POLICIES},
}
_OPAQUE = OpaqueSpec()
SPECS_KEPT = 50_000


def decode_resource(type_: str, data: Fields) -> Spec:
    """Raises DecodeError. A kind that is only carried has an OpaqueSpec."""
    decoder = _DECODERS.get(type_)
    return _OPAQUE if decoder is None else decoder(data)


def mesh_resource(key: ResourceKey, labels: Labels, data: Fields) -> MeshResource:
    """Raises DecodeError."""
    body = canonical_json(data)
    return MeshResource(key, labels, body, _spec(key.type, body))


@lru_cache(maxsize=SPECS_KEPT)
def _spec(type_: str, body: str) -> Spec:
    """Equal bodies share one spec; decoding is pure, so this is only memory traded for time."""
    return decode_resource(type_, json.loads(body))


# --- what a proxy says of itself ---

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_HOST = re.compile(
    r"[a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?(\.[a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?)*\.?"
)
_TAG_KEY = re.compile(r"[a-zA-Z0-9.\-_:/]+")
_TAG_VALUE = re.compile(r"[a-zA-Z0-9.\-_:]+")
PROTOCOLS = ("http", "http2", "grpc", "tcp", "kafka", "tls", "mysql")
NAME_MAX = 253
LIST_MAX = 1000


def check_proxy_resource(data: Mapping[str, object]) -> list[str]:
    """Every rule a Dataplane, ZoneIngress or ZoneEgress breaks, as `path: what; cure`
    (facts/dataplane-wire.md 2.2).
    """
    try:
        found = list(_problems(data))
    except DecodeError as error:
        found = [str(error)]
    return found


def _problems(data: Mapping[str, object]) -> list[str]:
    found = []
    name = data.get("name")
    if not isinstance(name, str) or len(name) > NAME_MAX or not _NAME.fullmatch(name):
        found.append("name: must be lower-case letters, digits, '-' and '.', such as web-1")
    networking = fields_of(data.get("networking"), "networking")
    if not networking:
        return [*found, "networking: must be present"]
    address = networking.get("address")
    if data.get("type") == "Dataplane":
        found += _address("networking.address", address, needed=True)
        found += _inbounds(networking)
        found += _outbounds(networking)
    else:
        found += _address("networking.address", address, needed=False)
        found += _port("networking.port", networking.get("port"))
        found += _advertised(networking)
    return found


def _address(path: str, value: object, *, needed: bool) -> list[str]:
    if value in (None, ""):
        return [f"{path}: address can't be empty"] if needed else []
    if not isinstance(value, str):
        return [f"{path}: must be a string"]
    if value in ("0.0.0.0", "::"):  # noqa: S104 - refused, not bound
        return [f"{path}: must be an address others can reach, not {value}"]
    return (
        [] if _is_ip(value) or _HOST.fullmatch(value) else [f"{path}: must be an IP or a DNS name"]
    )


def _is_ip(value: str) -> bool:
    try:
        ip_address(value)
    except ValueError:
        return False
    return True


def _port(path: str, value: object, *, zero: bool = False) -> list[str]:
    if zero and value in (None, 0):
        return []
    good = isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 65535
    return [] if good else [f"{path}: must be a port, 1 to 65535"]


def _advertised(networking: Fields) -> list[str]:
    address, port = networking.get("advertisedAddress"), networking.get("advertisedPort")
    found = _address("networking.advertisedAddress", address, needed=False)
    if bool(address) != bool(port):
        found.append("networking: advertisedAddress and advertisedPort go together; set both")
    return found + _port("networking.advertisedPort", port, zero=True)


def _inbounds(networking: Fields) -> list[str]:
    found: list[str] = []
    inbounds = list_of(networking.get("inbound"), "networking.inbound")
    if len(inbounds) > LIST_MAX:
        return [f"networking.inbound: has {len(inbounds)} entries; at most {LIST_MAX} are allowed"]
    for index, item in enumerate(inbounds):
        path = f"networking.inbound[{index}]"
        inbound = fields_of(item, path)
        found += _port(f"{path}.port", inbound.get("port"))
        found += _port(f"{path}.servicePort", inbound.get("servicePort"), zero=True)
        for name in ("address", "serviceAddress"):
            if inbound.get(name) and not _is_ip(str(inbound[name])):
                found.append(f"{path}.{name}: must be an IP")
        found += _tags(f"{path}.tags", fields_of(inbound.get("tags"), f"{path}.tags"))
        found += _own_listener(path, inbound, networking)
    return found


def _own_listener(path: str, inbound: Fields, networking: Fields) -> list[str]:
    """The application must not be where the sidecar listens, or the proxy would call itself."""
    listens = (inbound.get("address") or networking.get("address"), inbound.get("port"))
    serves = (
        inbound.get("serviceAddress") or listens[0],
        inbound.get("servicePort") or inbound.get("port"),
    )
    if inbound.get("serviceAddress") and serves == listens:
        return [f"{path}.serviceAddress: with servicePort it is the inbound's own address and port"]
    return []


def _tags(path: str, tags: Fields) -> list[str]:
    found = []
    for key, value in tags.items():
        if not _TAG_KEY.fullmatch(key):
            found.append(f'{path}["{key}"]: tag names have letters, digits and . - _ : / only')
        if not isinstance(value, str) or not _TAG_VALUE.fullmatch(value):
            found.append(f'{path}["{key}"]: tag values have letters, digits and . - _ : only')
    if tags and SERVICE not in tags:
        found.append(f'{path}["{SERVICE}"]: tag has to exist')
    protocol = tags.get(PROTOCOL)
    if protocol is not None and protocol not in PROTOCOLS:
        found.append(f'{path}["{PROTOCOL}"]: must be one of {", ".join(PROTOCOLS)}')
    return found


def _outbounds(networking: Fields) -> list[str]:
    found: list[str] = []
    outbounds = list_of(networking.get("outbound"), "networking.outbound")
    if len(outbounds) > LIST_MAX:
        return [
            f"networking.outbound: has {len(outbounds)} entries; at most {LIST_MAX} are allowed"
        ]
    for index, item in enumerate(outbounds):
        path = f"networking.outbound[{index}]"
        outbound = fields_of(item, path)
        found += _port(f"{path}.port", outbound.get("port"))
        if outbound.get("address") and not _is_ip(str(outbound["address"])):
            found.append(f"{path}.address: must be an IP")
        tags = fields_of(outbound.get("tags"), f"{path}.tags")
        if outbound.get("backendRef") is None and SERVICE not in tags:
            found.append(f'{path}.tags["{SERVICE}"]: tag has to exist, or give a backendRef')
    return found
