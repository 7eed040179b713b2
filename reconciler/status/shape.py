"""What proxies that differ in name and address only have in common: a class of the inventory. Pure.

A shape is canonical JSON of what a Dataplane says, without names of proxies and without addresses
but those of the loopback: enough to compute the configuration of such a proxy elsewhere, up to its
name and addresses. Health is left out: it comes and goes, and every change would be a commit.

    {"inbounds": [{"port": 80, "tags": {"kuma.io/service": "web"}}],
     "labels": {"team": "a"}, "outbounds": [{"port": 10001, "tags": {"kuma.io/service": "db"}}]}
"""

from __future__ import annotations

import json
from functools import lru_cache
from ipaddress import ip_address
from typing import TYPE_CHECKING, cast

from reconciler.model.resource import (
    DISPLAY_NAME,
    ENV,
    MESH,
    ORIGIN,
    PROTOCOL,
    PROXY_TYPE,
    ZONE,
    MeshResource,
    canonical_json,
)
from reconciler.model.spec import DataplaneSpec, TagDestination

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.model.spec import Inbound, Outbound, ReachableBackend, TransparentProxying

OUTBOUNDS_KEPT = 1_024  # most proxies of a service have the same
LISTED_MAX = 10_000  # inbounds or outbounds of one class
DEFAULT_ADDRESS = "127.0.0.1"
WITHHELD = "192.0.2.1"  # stands for an address that is not the proxy's own (RFC 5737)
_STAMPED = frozenset((DISPLAY_NAME, ENV, MESH, ORIGIN, PROXY_TYPE, ZONE))  # by the zone
_LISTS = ("inbounds", "outbounds")
_OBJECTS = ("gateway", "labels", "transparentProxying")

Fields = dict[str, object]


def shape_of(dataplane: MeshResource) -> str:
    spec = dataplane.spec
    assert isinstance(spec, DataplaneSpec)
    parts: list[str] = []
    if spec.gateway:
        parts.append(f'"gateway":{canonical_json(dict(spec.gateway_tags))}')
    parts.append(f'"inbounds":{_inbounds(spec)}')
    labels = _labels(dataplane)
    if labels:
        parts.append(f'"labels":{canonical_json(labels)}')
    if spec.outbounds:
        parts.append(f'"outbounds":{_outbounds(spec.outbounds)}')
    if spec.transparent is not None:
        parts.append(f'"transparentProxying":{canonical_json(_capture(spec.transparent))}')
    return "{" + ",".join(parts) + "}"  # Canonical: the keys are in order.


def _capture(transparent: TransparentProxying) -> Fields:
    """As a Dataplane says it, without what is as it is for most."""
    found: Fields = {
        "redirectPortInbound": transparent.redirect_port_inbound,
        "redirectPortOutbound": transparent.redirect_port_outbound,
        "ipFamilyMode": "" if transparent.ipv6 else "IPv4",
        "directAccessServices": list(transparent.direct_access),
        "reachableServices": list(transparent.reachable_services),
    }
    found = {key: value for key, value in found.items() if value}
    if transparent.reachable_backends is not None:
        refs = [_reachable(each) for each in transparent.reachable_backends]
        found["reachableBackends"] = {"refs": refs}
    return found


def _reachable(backend: ReachableBackend) -> Fields:
    ref: Fields = {
        "kind": backend.kind,
        "name": backend.name,
        "namespace": backend.namespace,
        "port": backend.port,
        "labels": dict(backend.labels),
    }
    return {key: value for key, value in ref.items() if value}


def _labels(dataplane: MeshResource) -> dict[str, str]:
    """One whose value is the proxy's name is a name."""
    names = (dataplane.key.name, dataplane.display_name)
    pairs = dataplane.labels.pairs
    return {key: v for key, v in pairs if key not in _STAMPED and v not in names}


def _inbounds(spec: DataplaneSpec) -> str:
    return canonical_json([_inbound(inbound, spec.address) for inbound in spec.inbounds])


def _inbound(inbound: Inbound, address: str) -> Fields:
    found: Fields = {"port": inbound.port, "tags": dict(inbound.tags)}
    if inbound.name != str(inbound.port):
        found["name"] = inbound.name
    if inbound.protocol != dict(inbound.tags).get(PROTOCOL, "tcp"):
        found["protocol"] = inbound.protocol
    if inbound.workload_port != inbound.port:
        found["servicePort"] = inbound.workload_port
    if inbound.address != address:
        found["address"] = _shown(inbound.address)
    if inbound.workload_address != inbound.address:
        found["serviceAddress"] = _shown(inbound.workload_address)
    return found


@lru_cache(maxsize=OUTBOUNDS_KEPT)
def _outbounds(outbounds: tuple[Outbound, ...]) -> str:
    return canonical_json([_outbound(outbound) for outbound in outbounds])


def _outbound(outbound: Outbound) -> Fields:
    found: Fields = {"port": outbound.port}
    if outbound.address != DEFAULT_ADDRESS:
        found["address"] = outbound.address  # An address to listen on: a loopback one, or a VIP.
    to = outbound.destination
    if isinstance(to, TagDestination):
        return found | {"tags": dict(to.tags)}
    ref: Fields = {"kind": to.kind, "name": to.name, "port": to.port, "labels": dict(to.labels)}
    return found | {"backendRef": {key: value for key, value in ref.items() if value}}


def _shown(address: str) -> str:
    try:
        return address if ip_address(address).is_loopback else WITHHELD
    except ValueError:
        return WITHHELD


def checked(value: object) -> str:
    """The shape a zone or a file tells of, canonical. An earlier program told of inbounds alone, as
    a list. Raises ValueError.
    """
    given = json.loads(value) if isinstance(value, str) else value
    data = {"inbounds": given} if isinstance(given, list) else given
    if not isinstance(data, dict) or data.keys() - {*_LISTS, *_OBJECTS}:
        raise ValueError("a class has inbounds, outbounds, gateway, labels, transparentProxying")
    for name in _LISTS:
        _check_list(name, data.get(name, []))
    if not isinstance(data.get("transparentProxying", {}), dict):
        raise ValueError("transparentProxying must be an object")  # noqa: TRY004
    _check_texts("labels", data.get("labels", {}))
    _check_texts("gateway", data.get("gateway", {}))
    return canonical_json({"inbounds": [], **data})


def _check_list(name: str, listed: object) -> None:
    if not isinstance(listed, list) or len(listed) > LISTED_MAX:
        raise ValueError(f"{name} must be a list of at most {LISTED_MAX}")
    for item in listed:
        if not isinstance(item, dict) or type(item.get("port")) is not int:
            raise ValueError(f"{name}: each is an object with a port")
        if name == "inbounds" and "tags" not in item:
            raise ValueError("an inbound needs tags")
        _check_texts(f"{name}: tags", item.get("tags", {}))


def _check_texts(name: str, value: object) -> None:
    if not isinstance(value, dict) or not all(isinstance(each, str) for each in value.values()):
        raise ValueError(f"{name} must be an object of texts")


def document_of(shape: str, mesh: str, name: str, address: str) -> Mapping[str, object]:
    """A Dataplane of that shape, as a proxy would say it."""
    data = cast("dict[str, list[Fields]]", json.loads(shape))
    networking: Fields = {"address": address}
    for short, full in (("inbounds", "inbound"), ("outbounds", "outbound")):
        if data.get(short):
            networking[full] = data[short]
    if "gateway" in data:
        networking["gateway"] = {"tags": data["gateway"], "type": "DELEGATED"}
    if "transparentProxying" in data:
        networking["transparentProxying"] = data["transparentProxying"]
    document = {"type": "Dataplane", "mesh": mesh, "name": name, "networking": networking}
    return document | ({"labels": data["labels"]} if "labels" in data else {})
