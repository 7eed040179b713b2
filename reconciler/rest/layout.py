"""`_layout` of the Inspect API: what a Dataplane listens to and where it leads
(facts/http-api.md 10). Pure.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from reconciler.model.resource import Labels
from reconciler.rest.answer import Answer, Endpoint, document, object_of
from reconciler.rest.form import labels_of
from reconciler.rest.inspect_policies import need_real
from reconciler.rest.kri import Kri
from reconciler.rest.reading import mesh_of, wanted
from reconciler.rest.resource_rules import SERVICE_TYPES, Reader, kri_of, ports_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from reconciler.model.resource import MeshResource
    from reconciler.rest.answer import Asked
    from reconciler.rest.catalogue import Catalogue
    from reconciler.rest.resource_rules import Port

ZONE_PROXIES = ("ZoneIngress", "ZoneEgress")


def _layout(catalogue: Catalogue, asked: Asked) -> Answer:
    mesh = mesh_of(catalogue, asked)
    dataplane = wanted(catalogue, asked, "Dataplane")
    need_real(catalogue, mesh)
    networking = json.loads(dataplane.body).get("networking") or {}
    outbounds = list(_outbounds(Reader(catalogue, mesh), dataplane, networking))
    outbounds.sort(key=lambda each: str(each["kri"]))
    return document(
        catalogue,
        {
            "inbounds": [_inbound(dataplane, each) for each in networking.get("inbound") or ()],
            "kri": str(kri_of(dataplane)),
            "labels": labels_of(dataplane),
            "listeners": [
                _listener(dataplane, each)
                for each in networking.get("listeners") or ()
                if each.get("type") in ZONE_PROXIES
            ],
            "outbounds": outbounds,
        },
    )


def _section(given: Mapping[str, Any]) -> str:
    return str(given.get("name") or given.get("port", 0))


def _inbound(dataplane: MeshResource, given: Mapping[str, Any]) -> dict[str, object]:
    protocol = given.get("protocol") or (given.get("tags") or {}).get("kuma.io/protocol", "")
    return {
        "kri": str(kri_of(dataplane, _section(given))),
        "port": given.get("port", 0),
        "protocol": protocol,
        "proxyResourceName": f"self_inbound_dp_{_section(given)}",
    }


def _listener(dataplane: MeshResource, given: Mapping[str, Any]) -> dict[str, object]:
    section, type_ = _section(given), str(given["type"])
    return {
        "kri": str(kri_of(dataplane, section)),
        "port": given.get("port", 0),
        "proxyResourceName": f"self_{type_.lower()}_dp_{section}",
        "type": type_,
    }


def _outbounds(
    reader: Reader, dataplane: MeshResource, networking: Mapping[str, Any]
) -> Iterator[dict[str, object]]:
    """Those it names; if none, those that its transparent proxy may reach: of all there are, where
    it names none either.
    """
    found = dict(_named(reader, dataplane, _backend_refs(networking)))
    if not found:
        reachable = (networking.get("transparentProxying") or {}).get("reachableBackends")
        if reachable is None:
            found = {kri: port for type_ in SERVICE_TYPES for kri, port in reader.ports(type_)}
        else:
            found = dict(_named(reader, dataplane, reachable.get("refs") or ()))
    for kri, port in found.items():
        yield {
            "kri": str(kri),
            "port": port.value,
            "protocol": port.protocol,
            "proxyResourceName": str(kri),
        }


def _backend_refs(networking: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    outbounds = networking.get("outbound") or ()
    return [each["backendRef"] for each in outbounds if each.get("backendRef")]


def _named(
    reader: Reader, dataplane: MeshResource, refs: Iterable[Mapping[str, Any]]
) -> Iterator[tuple[Kri, Port]]:
    for ref in refs:
        for resource in _resources(reader, dataplane, ref):
            ports = ports_of(resource)
            number = ref.get("port")
            one = [p for p in ports if str(number) in (p.name, str(p.value))]
            for port in one or ports:
                yield kri_of(resource, port.name), port


def _resources(
    reader: Reader, dataplane: MeshResource, ref: Mapping[str, Any]
) -> list[MeshResource]:
    type_ = str(ref.get("kind"))
    if type_ not in SERVICE_TYPES:
        return []
    labels = ref.get("labels") or {}
    if labels:
        return reader.labelled(type_, Labels.of(labels))
    own = kri_of(dataplane)
    namespace = str(ref.get("namespace") or own.namespace)
    found = reader.get(Kri(type_, own.mesh, own.zone, namespace, str(ref.get("name") or "")))
    return [] if found is None else [found]


ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint(
        path="/meshes/{mesh}/dataplanes/{name}/_layout",
        answer=_layout,
        says="What one Dataplane listens to and where it leads.",
        returns=object_of(
            inbounds="array", kri="string", labels="object", listeners="array", outbounds="array"
        ),
    ),
)
