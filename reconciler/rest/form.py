"""The JSON of one resource (facts/http-api.md 6). Pure.

A body is JSON text already, so a form is put together from texts: a list of thousands costs no
parsing.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from reconciler.kds.codec import body_from_message
from reconciler.model.kinds import KINDS
from reconciler.model.resource import MESH
from reconciler.model.spec import InsightSpec
from reconciler.rest.kri import kri_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.model.resource import MeshResource
    from reconciler.rest.catalogue import Catalogue, Times

UNSET = "0001-01-01T00:00:00Z"
API_VERSION = "kuma.io/v1alpha1"
SYSTEM_NAMESPACE = "kuma-system"
# Legacy kinds that Kubernetes has in a namespace; the others are there for the whole cluster.
NAMESPACED = frozenset(
    {"Dataplane", "DataplaneInsight", "ZoneEgress", "ZoneEgressInsight", "ZoneIngress"}
    | {"ZoneIngressInsight"}
)


def time_text(at: float | None) -> str:
    """RFC 3339 in UTC."""
    if at is None:
        return UNSET
    text = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z").replace(".000Z", "Z")


def body_of(resource: MeshResource) -> str:
    """The spec as compact JSON. Of an insight, its message's."""
    spec = resource.spec
    if not isinstance(spec, InsightSpec):
        return resource.body
    return body_from_message(resource.key.type, spec.message)


def head_of(resource: MeshResource, times: Times, type_: str = "") -> dict[str, object]:
    """What all forms begin with; `type_` where it is another than the resource's own."""
    key = resource.key
    found: dict[str, object] = {"type": type_ or key.type}
    if KINDS[key.type].mesh_scoped:
        found["mesh"] = key.mesh
    found["name"] = key.name
    found["creationTime"] = time_text(times.created)
    found["modificationTime"] = time_text(times.modified)
    labels = labels_of(resource)
    if labels:
        found["labels"] = labels
    kri = kri_of(resource)
    if kri is not None:
        found["kri"] = kri
    return found


def labels_of(resource: MeshResource) -> dict[str, str]:
    """With its mesh, as Kuma's have it; an insight has the labels it came with."""
    labels, kind = dict(resource.labels.items()), KINDS[resource.key.type]
    if kind.mesh_scoped and not kind.read_only:
        labels.setdefault(MESH, resource.key.mesh)
    return labels


def text_of(resource: MeshResource, times: Times) -> str:
    """The universal form as compact JSON."""
    head = compact(head_of(resource, times))
    if KINDS[resource.key.type].legacy:
        rest = body_of(resource)[1:]
        return f"{head[:-1]}{rest}" if rest == "}" else f"{head[:-1]},{rest}"
    status = f',"status":{resource.status or "{}"}' if KINDS[resource.key.type].has_status else ""
    return f'{head[:-1]},"spec":{resource.body or "{}"}{status}}}'


def kubernetes(resource: MeshResource, times: Times, namespace: str = "") -> dict[str, object]:
    """The form for `kubectl apply`, with all labels."""
    key, kind = resource.key, KINDS[resource.key.type]
    in_namespace = not kind.legacy or key.type in NAMESPACED
    metadata: dict[str, object] = {"name": key.name}
    if in_namespace:
        metadata["namespace"] = namespace or SYSTEM_NAMESPACE
    metadata["creationTimestamp"] = time_text(times.created) if times.created else None
    labels = labels_of(resource)
    if labels and (in_namespace or resource.labels.items()):
        metadata["labels"] = labels
    found: dict[str, object] = {"kind": key.type, "apiVersion": API_VERSION}
    if kind.legacy and kind.mesh_scoped:
        found["mesh"] = key.mesh
    found["metadata"] = metadata
    found["spec"] = json.loads(body_of(resource) or "{}")
    if kind.has_status and resource.status:
        found["status"] = json.loads(resource.status)
    return found


def meta_of(resource: MeshResource) -> dict[str, Any]:
    """What the Inspect API names a resource by: labels, mesh, name, type."""
    return {
        "labels": labels_of(resource),
        "mesh": resource.key.mesh,
        "name": resource.key.name,
        "type": resource.key.type,
    }


def places_of(catalogue: Catalogue, resource: MeshResource) -> Mapping[str, str]:
    """Headers that say where a resource comes from: the revision, and file and line in Git."""
    found = {"mesh-revision": catalogue.revision} if catalogue.revision else {}
    place = catalogue.places.get(resource.key)
    return {**found, "mesh-file": str(place)} if place is not None and _is_plain(place) else found


def _is_plain(place: object) -> bool:
    """A header holds no line breaks, and only Latin-1."""
    text = str(place)
    return text.isascii() and text.isprintable()


def compact(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
