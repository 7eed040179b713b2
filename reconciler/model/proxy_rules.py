"""What a Dataplane, ZoneIngress or ZoneEgress must be like. Pure. See facts/dataplane-wire.md 2.2.

These documents come from proxies, not from Git: whoever runs the proxy is answered, in the words
`path: what; cure`.
"""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import ip_address
from typing import TYPE_CHECKING

from reconciler.model.decode import DecodeError, Fields, fields_of, list_of
from reconciler.model.resource import PROTOCOL, SERVICE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_MESH = re.compile(r"[0-9a-z.\-_]+")
_HOST = re.compile(
    r"[a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?(\.[a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?)*\.?"
)
_TAG_KEY = re.compile(r"[a-zA-Z0-9.\-_:/]+")
_TAG_VALUE = re.compile(r"[a-zA-Z0-9.\-_:]+")
PROTOCOLS = ("http", "http2", "grpc", "tcp", "kafka")
UNADVERTISED = ("tls", "mysql")  # which Kuma takes as well, whatever their case, and passes as TCP
REF_KINDS = ("MeshExternalService", "MeshMultiZoneService", "MeshService")
LISTENER_TYPES = ("ZoneIngress", "ZoneEgress")
LOOPBACK = "127.0.0.1"
NAME_MAX = 253
ADDRESSES_KEPT = 50_000
MESH_MAX = 253
LIST_MAX = 1000
PROBLEMS_MAX = 20  # shown to one proxy


def check_proxy_resource(data: Mapping[str, object]) -> list[str]:
    """Every rule the document breaks, the first 20 of them."""
    found: list[str] = []
    try:
        for problem in _problems(data):
            found.append(problem)
            if len(found) >= PROBLEMS_MAX:
                break
    except DecodeError as error:
        found.append(str(error))
    return found


def _problems(data: Fields) -> Iterator[str]:
    yield from _envelope(data)
    networking = fields_of(data.get("networking"), "networking")
    if not networking:
        yield "networking: must be present"
    elif data.get("type") == "Dataplane":
        yield from _dataplane(data, networking)
    else:
        yield from _zone_proxy(networking)


def _envelope(data: Fields) -> Iterator[str]:
    name, mesh = data.get("name"), data.get("mesh")
    if not isinstance(name, str) or len(name) > NAME_MAX or not _NAME.fullmatch(name):
        yield "name: must be lower-case letters, digits, '-' and '.', such as web-1"
    if mesh is not None and not (isinstance(mesh, str) and _fits(_MESH, mesh, MESH_MAX)):
        yield "mesh: must be the name of a Mesh"
    for key, value in fields_of(data.get("labels"), "labels").items():
        if not isinstance(value, str):
            yield f'labels["{key}"]: must be text; put it in quotes'


def _fits(pattern: re.Pattern[str], text: str, limit: int) -> bool:
    return len(text) <= limit and pattern.fullmatch(text) is not None


# --- parts ---


def _address(path: str, value: object, *, needed: bool) -> Iterator[str]:
    if value in (None, ""):
        if needed:
            yield f"{path}: address can't be empty"
    elif not isinstance(value, str):
        yield f"{path}: must be a string"
    elif value in ("0.0.0.0", "::"):  # noqa: S104 - refused, not bound
        yield f"{path}: must be an address others can reach, not {value}"
    elif not is_ip(value) and not _fits(_HOST, value, NAME_MAX):
        yield f"{path}: must be an IP or a DNS name"


@lru_cache(maxsize=ADDRESSES_KEPT)
def is_ip(text: str) -> bool:
    """Asked of every endpoint at every change; parsing took a tenth of a view."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _ip(path: str, value: object) -> Iterator[str]:
    if value not in (None, "") and not (isinstance(value, str) and is_ip(value)):
        yield f"{path}: must be an IP"


def _port(path: str, value: object, *, zero: bool = False) -> Iterator[str]:
    if zero and (value is None or (value == 0 and value is not False)):
        return
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 65535:
        yield f"{path}: must be a port, 1 to 65535"


def _each(fields: Fields, name: str, path: str) -> Iterator[tuple[str, Fields]]:
    """(path, entry) of a list of objects. Raises DecodeError for what is none."""
    entries = list_of(fields.get(name), f"{path}.{name}")
    if len(entries) > LIST_MAX:
        text = f"has {len(entries)} entries; at most {LIST_MAX} are allowed"
        raise DecodeError(f"{path}.{name}", text)
    for index, item in enumerate(entries):
        place = f"{path}.{name}[{index}]"
        yield place, fields_of(item, place)


def _tags(path: str, value: object, *, needed: bool = False) -> Iterator[str]:
    tags = fields_of(value, path)
    for key, text in tags.items():
        if not _TAG_KEY.fullmatch(key):
            yield f'{path}["{key}"]: tag names have letters, digits and . - _ : / only'
        if not isinstance(text, str) or not _TAG_VALUE.fullmatch(text):
            yield f'{path}["{key}"]: tag values have letters, digits and . - _ : only'
    if (tags or needed) and SERVICE not in tags:
        yield f'{path}["{SERVICE}"]: tag has to exist'


def _protocol(path: str, value: object, allowed: tuple[str, ...] = PROTOCOLS) -> Iterator[str]:
    if value in (None, "") or (isinstance(value, str) and value.lower() in allowed):
        return
    if allowed is PROTOCOLS and isinstance(value, str) and value.lower() in UNADVERTISED:
        return
    yield f"{path}: must be {'one of ' if allowed[1:] else ''}{', '.join(allowed)}"


# --- Dataplane ---


def _dataplane(data: Fields, networking: Fields) -> Iterator[str]:
    yield from _address("networking.address", networking.get("address"), needed=True)
    advertised = networking.get("advertisedAddress")
    yield from _address("networking.advertisedAddress", advertised, needed=False)
    gateway = networking.get("gateway")
    if gateway is not None:
        yield from _gateway(data, networking, fields_of(gateway, "networking.gateway"))
    for path, inbound in _each(networking, "inbound", "networking"):
        yield from _inbound(path, inbound, networking)
    for path, outbound in _each(networking, "outbound", "networking"):
        yield from _outbound(path, outbound)
    yield from _listeners(networking)
    yield from _admin(networking)
    yield from _reachable(networking)
    yield from _probes(data)


def _gateway(data: Fields, networking: Fields, gateway: Fields) -> Iterator[str]:
    builtin = gateway.get("type") == "BUILTIN"
    if gateway.get("type") not in (None, "DELEGATED", "BUILTIN"):
        yield "networking.gateway.type: must be DELEGATED or BUILTIN"
    barred = ("inbound", "listeners", *(("outbound",) if builtin else ()))
    for name in barred:
        if networking.get(name):
            yield f"networking.{name}: a gateway has none; remove it or the gateway"
    if builtin and data.get("probes") is not None:
        yield "probes: a builtin gateway has none; remove them"
    path = "networking.gateway.tags"
    tags = fields_of(gateway.get("tags"), path)
    yield from _tags(path, tags, needed=True)
    if not builtin:
        yield from _protocol(f'{path}["{PROTOCOL}"]', tags.get(PROTOCOL), ("tcp",))


def _inbound(path: str, inbound: Fields, networking: Fields) -> Iterator[str]:
    yield from _port(f"{path}.port", inbound.get("port"))
    yield from _port(f"{path}.servicePort", inbound.get("servicePort"), zero=True)
    for name in ("address", "serviceAddress"):
        yield from _ip(f"{path}.{name}", inbound.get(name))
    tags = fields_of(inbound.get("tags"), f"{path}.tags")
    yield from _tags(f"{path}.tags", tags)
    yield from _protocol(f'{path}.tags["{PROTOCOL}"]', tags.get(PROTOCOL))
    yield from _protocol(f"{path}.protocol", inbound.get("protocol"))
    if inbound.get("state") not in (None, "Ready", "NotReady", "Ignored"):
        yield f"{path}.state: must be Ready, NotReady or Ignored"
    yield from _own_listener(path, inbound, networking)
    probe = fields_of(inbound.get("serviceProbe"), f"{path}.serviceProbe")
    for name in ("unhealthyThreshold", "healthyThreshold"):
        value = probe.get(name)
        if value is not None and not (isinstance(value, int) and value > 0):
            yield f"{path}.serviceProbe.{name}: must be greater than 0"


def _own_listener(path: str, inbound: Fields, networking: Fields) -> Iterator[str]:
    """The application must not be where the sidecar listens, or the proxy would call itself."""
    listens = (inbound.get("address") or networking.get("address"), inbound.get("port"))
    serves = (inbound.get("serviceAddress"), inbound.get("servicePort") or inbound.get("port"))
    if serves == listens:
        yield f"{path}.serviceAddress: with servicePort it is the inbound's own address and port"


def _outbound(path: str, outbound: Fields) -> Iterator[str]:
    yield from _port(f"{path}.port", outbound.get("port"))
    yield from _ip(f"{path}.address", outbound.get("address"))
    tags = fields_of(outbound.get("tags"), f"{path}.tags")
    if outbound.get("backendRef") is None:
        if SERVICE not in tags:
            yield f'{path}.tags["{SERVICE}"]: tag has to exist, or give a backendRef'
        yield from _tags(f"{path}.tags", {SERVICE: "given", **tags})
        return
    if tags:
        yield f"{path}.tags: excludes backendRef; remove one"
    ref = fields_of(outbound["backendRef"], f"{path}.backendRef")
    yield from _ref(f"{path}.backendRef", ref, port_needed=True)


def _ref(path: str, ref: Fields, *, port_needed: bool) -> Iterator[str]:
    if ref.get("kind") not in REF_KINDS:
        yield f"{path}.kind: must be one of {', '.join(REF_KINDS)}"
    if not ref.get("name") and not ref.get("labels"):
        yield f"{path}: needs a name or labels"
    if ref.get("name") and ref.get("labels"):
        yield f"{path}.labels: excludes name; remove one"
    if ref.get("namespace") and not ref.get("name"):
        yield f"{path}.namespace: goes with a name only; remove it"
    if port_needed and ref.get("kind") != "MeshExternalService":
        yield from _port(f"{path}.port", ref.get("port"))


def _listeners(networking: Fields) -> Iterator[str]:
    names = {str(i.get("name")) for _, i in _each(networking, "inbound", "networking")} - {"None"}
    places = {
        (i.get("address") or networking.get("address"), i.get("port"))
        for _, i in _each(networking, "inbound", "networking")
    }
    for path, listener in _each(networking, "listeners", "networking"):
        if listener.get("type") not in LISTENER_TYPES:
            yield f"{path}.type: must be {' or '.join(LISTENER_TYPES)}"
        yield from _ip(f"{path}.address", listener.get("address"))
        yield from _port(f"{path}.port", listener.get("port"))
        name, place = listener.get("name"), (listener.get("address"), listener.get("port"))
        if name is not None and str(name) in names:
            yield f"{path}.name: another listener or inbound has it; rename one"
        if _hashable(place) and place in places:
            yield f"{path}.port: another listener or inbound is there; choose another"
        names.add(str(name))
        places.add(place)


def _hashable(place: tuple[object, object]) -> bool:
    return not any(isinstance(part, list | dict) for part in place)


def _admin(networking: Fields) -> Iterator[str]:
    port = fields_of(networking.get("admin"), "networking.admin").get("port")
    yield from _port("networking.admin.port", port, zero=True)
    if not port:
        return
    taken = [
        (inbound.get("address") or networking.get("address"), inbound.get("port"))
        for _, inbound in _each(networking, "inbound", "networking")
    ] + [
        (outbound.get("address") or LOOPBACK, outbound.get("port"))
        for _, outbound in _each(networking, "outbound", "networking")
    ]
    if (LOOPBACK, port) in taken:
        yield f"networking.admin.port: {LOOPBACK}:{port} is an inbound or outbound; choose another"


def _reachable(networking: Fields) -> Iterator[str]:
    path = "networking.transparentProxying"
    proxying = fields_of(networking.get("transparentProxying"), path)
    backends = fields_of(proxying.get("reachableBackends"), f"{path}.reachableBackends")
    for place, ref in _each(backends, "refs", f"{path}.reachableBackends"):
        yield from _ref(place, ref, port_needed=False)


def _probes(data: Fields) -> Iterator[str]:
    probes = data.get("probes")
    if probes is None:
        return
    fields = fields_of(probes, "probes")
    yield from _port("probes.port", fields.get("port"))
    for path, endpoint in _each(fields, "endpoints", "probes"):
        yield from _port(f"{path}.inboundPort", endpoint.get("inboundPort"))
        for name in ("inboundPath", "path"):
            if not str(endpoint.get(name, "")).startswith("/"):
                yield f"{path}.{name}: must be a path that begins with /"


# --- ZoneIngress and ZoneEgress ---


def _zone_proxy(networking: Fields) -> Iterator[str]:
    yield from _address("networking.address", networking.get("address"), needed=False)
    yield from _port("networking.port", networking.get("port"))
    address, port = networking.get("advertisedAddress"), networking.get("advertisedPort")
    yield from _address("networking.advertisedAddress", address, needed=False)
    if bool(address) != bool(port):
        yield "networking: advertisedAddress and advertisedPort go together; set both"
    yield from _port("networking.advertisedPort", port, zero=True)
    admin = fields_of(networking.get("admin"), "networking.admin").get("port")
    yield from _port("networking.admin.port", admin, zero=True)
    if admin and admin == networking.get("port"):
        yield "networking.admin.port: is the listener's own port; choose another"
