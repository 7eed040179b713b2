"""From what a proxy says of itself to the resource the zone keeps for it. Pure.

A proxy introduces itself once, in the Node of its first request: its id, and its own Dataplane or
ZoneIngress as JSON in the metadata (facts: Kuma 2.14 bootstrap, `dataplane.resource`). The zone
adds what the proxy may not decide: its zone and the labels that follow from it. Called by
`steps.zone_proxies` and by the bootstrap answer.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, cast

from reconciler import node_capture
from reconciler.admin import ADMIN_ADDRESSES
from reconciler.decode import check_proxy_resource, mesh_resource
from reconciler.kds.codec import spec_bytes
from reconciler.limits import NESTING_MAX, is_deep
from reconciler.match import service_of
from reconciler.model.resource import (
    DISPLAY_NAME,
    ENV,
    MESH,
    ORIGIN,
    PROXY_TYPE,
    SERVICE,
    ZONE,
    Labels,
    MeshResource,
    ResourceKey,
)
from reconciler.model.spec import DataplaneSpec, TagDestination, ZoneProxySpec
from reconciler.node_capture import port_of
from reconciler.proxy_health import unprobed
from reconciler.view import ProxyTraits
from xds.names import is_own_cluster, spiffe_id, tag_id

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from reconciler.model.spec import Spec, Tags
    from xds.discovery import Node

PROXY_TYPES: Mapping[str, str] = {
    "Dataplane": "sidecar",
    "ZoneIngress": "zoneingress",
    "ZoneEgress": "zoneegress",
}
URIS_KEPT = 4_096  # of services, a few hundred bytes each
META_FIELDS = ("type", "mesh", "name", "labels", "creationTime", "modificationTime", "kri", "spec")


@dataclass(frozen=True, slots=True)
class NotAdmitted:
    """Why a proxy is refused; `reason` is shown to whoever runs it."""

    reason: str


def node_id(mesh: str, name: str) -> str:
    """`<mesh>.<name>`; a zone proxy has no mesh: `.<name>`."""
    return f"{mesh}.{name}"


def declared(node: Node, zone: str) -> MeshResource | NotAdmitted:
    """The resource in the node's metadata, checked and stamped with the zone."""
    admin = node.metadata.get("dataplane.admin.address", "")
    if admin not in ADMIN_ADDRESSES:
        known = ", ".join(filter(None, ADMIN_ADDRESSES))
        return NotAdmitted(f"dataplane.admin.address: must be one of {known}")
    text = node.metadata.get("dataplane.resource")
    if not isinstance(text, str):
        return NotAdmitted(
            "the node's metadata holds no dataplane.resource; use this zone's bootstrap"
        )
    data = document_of(text)
    if isinstance(data, NotAdmitted):
        return NotAdmitted(f"dataplane.resource: {data.reason}")
    return from_document(node_capture.told(data, node.metadata), zone)


def document_of(text: str) -> Mapping[str, object] | NotAdmitted:
    """The object in a JSON text. What passes can be stored, sent and shown."""
    try:
        data = json.loads(text)
    except RecursionError:
        return NotAdmitted(f"is nested more than {NESTING_MAX} levels deep")
    except ValueError as error:
        return NotAdmitted(f"is not JSON: {error}")
    if not isinstance(data, dict):
        return NotAdmitted("is not an object")
    return unfit(data) or cast("Mapping[str, object]", data)


def unfit(data: Mapping[str, object]) -> NotAdmitted | None:
    """Why an object read from JSON could not be written again: a number beyond all others, half of
    a character, depth beyond all sense.
    """
    if is_deep(data):
        return NotAdmitted(f"is nested more than {NESTING_MAX} levels deep")
    try:
        json.dumps(data, ensure_ascii=False, allow_nan=False).encode()
    except UnicodeEncodeError:
        return NotAdmitted("holds a part of a character; write text as UTF-8")
    except ValueError as error:
        return NotAdmitted(f"is not JSON: {error}")
    return None


def from_document(data: Mapping[str, object], zone: str) -> MeshResource | NotAdmitted:
    """A proxy's own document (flat, as on the command line) as the resource this zone stores."""
    type_ = str(data.get("type", ""))
    if type_ not in PROXY_TYPES:
        return NotAdmitted(f'type "{type_}" is not a proxy; use {", ".join(PROXY_TYPES)}')
    problems = check_proxy_resource(data)
    if problems:
        return NotAdmitted("; ".join(problems))
    mesh = str(data.get("mesh") or "default") if type_ == "Dataplane" else ""
    key = ResourceKey(type_, mesh, str(data.get("name", "")))
    spec = {name: value for name, value in data.items() if name not in META_FIELDS}
    labels = _labels(key, zone, cast("Mapping[str, str]", data.get("labels") or {}))
    try:
        resource = mesh_resource(key, labels, _stamped(type_, spec, zone))
        # The global is told of it in the kind's message.
        spec_bytes(type_, resource.body)
    except ValueError as error:  # also DecodeError
        return NotAdmitted(str(error))
    problems = [*_not_served(data), *_beyond_kuma(resource.spec)]
    return NotAdmitted("; ".join(problems)) if problems else resource


def _not_served(data: Mapping[str, object]) -> Iterator[str]:
    """What would start and then wait for ever, because nothing is computed for it yet."""
    networking = cast("Mapping[str, object]", data.get("networking") or {})
    gateway = cast("Mapping[str, object]", networking.get("gateway") or {})
    if gateway.get("type") == "BUILTIN":
        yield "networking.gateway.type: this version serves no BUILTIN gateway; use DELEGATED"


def _beyond_kuma(spec: Spec) -> Iterator[str]:
    """What Kuma's rules let pass, and what would then be refused by Envoy or be mistaken for
    something else.
    """
    if isinstance(spec, ZoneProxySpec) and not spec.address:
        yield "networking.address: must be set; the proxy listens there"
    if not isinstance(spec, DataplaneSpec):
        return
    listening = {(inbound.address, inbound.port) for inbound in spec.inbounds}
    listening |= {(outbound.address, outbound.port) for outbound in spec.outbounds}
    if (spec.address, spec.admin_port) in listening:
        place = f"{spec.address}:{spec.admin_port}"
        yield f"networking.admin.port: {place} is an inbound or outbound; choose another"
    for index, outbound in enumerate(spec.outbounds):
        towards = outbound.destination
        service = service_of(towards.tags) if isinstance(towards, TagDestination) else ""
        if is_own_cluster(service):
            path = f'networking.outbound[{index}].tags["{SERVICE}"]'
            yield f'{path}: proxies use "{service}" for themselves; give the service another name'


def _labels(key: ResourceKey, zone: str, given: Mapping[str, str]) -> Labels:
    fixed = {
        DISPLAY_NAME: key.name,
        ENV: "universal",
        ORIGIN: "zone",
        PROXY_TYPE: PROXY_TYPES[key.type],
        ZONE: zone,
    }
    return Labels.of({**given, **fixed, **({MESH: key.mesh} if key.mesh else {})})


def _stamped(type_: str, spec: dict[str, object], zone: str) -> dict[str, object]:
    """`kuma.io/zone` on the tags of every inbound and gateway: the zone says where a proxy is, not
    the proxy.
    """
    if type_ == "ZoneIngress":
        return {key: value for key, value in spec.items() if key != "availableServices"} | {
            "zone": zone
        }
    if type_ != "Dataplane":
        return spec | {"zone": zone}
    networking = dict(cast("Mapping[str, object]", spec.get("networking") or {}))
    inbounds = cast("list[Mapping[str, object]]", networking.get("inbound") or [])
    if inbounds:
        networking["inbound"] = [unprobed(_zoned(inbound, zone)) for inbound in inbounds]
    if isinstance(networking.get("gateway"), dict):
        gateway = cast("Mapping[str, object]", networking["gateway"])
        networking["gateway"] = _zoned(gateway, zone)
    return spec | {"networking": networking}


def _zoned(part: Mapping[str, object], zone: str) -> dict[str, object]:
    tags = cast("Mapping[str, str]", part.get("tags") or {})
    return {**part, "tags": {**tags, ZONE: zone}} if tags else dict(part)


def traits_of(node: Node, resource: MeshResource) -> ProxyTraits:
    """What the configuration of this proxy depends on beside its resource."""
    metadata = node.metadata
    features = metadata.get("features")
    listed = features if isinstance(features, list | tuple) else ()
    admin_port = getattr(resource.spec, "admin_port", 0) or port_of(
        metadata, "dataplane.admin.port"
    )
    pipe, system_ca = metadata.get("dataplane.admin.socketPath"), metadata.get("systemCaPath")
    return ProxyTraits(
        node_id=node.id,
        capture=node_capture.traits_of(metadata, listed),
        admin_pipe=pipe if isinstance(pipe, str) and pipe else None,
        admin_address=str(metadata.get("dataplane.admin.address", "")),
        admin_port=admin_port,
        readiness_port=port_of(metadata, "dataplane.readinessReporter.port"),
        reuse_port="feature-reuse-port" in listed,
        system_ca=system_ca if isinstance(system_ca, str) else "",
    )


def identity_uris(resource: MeshResource) -> tuple[str, ...]:
    """URI SANs of a workload certificate: one SPIFFE id a service, then one kuma:// URI a tag
    value, sorted. One object for all instances of a service: they are asked for at every build.
    """
    spec = resource.spec
    if not isinstance(spec, DataplaneSpec):
        return ()
    tag_sets = tuple([inbound.tags for inbound in spec.inbounds]) or (spec.gateway_tags,)
    return _uris(resource.key.mesh, tag_sets)


@lru_cache(maxsize=URIS_KEPT)
def _uris(mesh: str, tag_sets: tuple[Tags, ...]) -> tuple[str, ...]:
    pairs = sorted({pair for tags in tag_sets for pair in tags})
    services = [spiffe_id(mesh, value) for key, value in pairs if key == SERVICE]
    return (*services, *(tag_id(key, value) for key, value in pairs))
