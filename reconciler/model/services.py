"""MeshService, MeshMultiZoneService and MeshZoneAddress: from plain JSON data, which services are
meant, and what of a status decides anything. Pure.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from reconciler.model.decode import (
    DecodeError,
    Fields,
    fields_of,
    list_of,
    number_of,
    tags_of,
    text_of,
)
from reconciler.model.resource import Labels, canonical_json
from reconciler.model.spec import (
    Identity,
    LabelsSelector,
    MeshServiceSpec,
    MultiZonePort,
    MultiZoneSpec,
    NameSelector,
    ServicePort,
    ServiceSelector,
    TagsSelector,
    ZoneAddressSpec,
)
from xds.copying import replace

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reconciler.model.resource import MeshResource

MESH_SERVICE, MULTI_ZONE = "MeshService", "MeshMultiZoneService"
# Until when a zone keeps one without proxies is its own affair: Kuma's zones do not tell it, too.
VACANT_SINCE = "kuma.io/deletion-grace-period-started-at"
AVAILABLE, UNAVAILABLE = "Available", "Unavailable"
READY, NOT_READY = "Ready", "NotReady"


def decode_mesh_service(data: Fields) -> MeshServiceSpec:
    """Of several selectors the one that Kuma's zones take: by name, then by tags."""
    return MeshServiceSpec(
        available=text_of(data.get("state"), "state") == AVAILABLE,
        selector=_selector(fields_of(data.get("selector"), "selector")),
        ports=tuple(
            _port(fields_of(item, f"ports[{i}]"), f"ports[{i}]")
            for i, item in enumerate(list_of(data.get("ports"), "ports"))
        ),
        identities=tuple(
            _identity(fields_of(item, f"identities[{i}]"), f"identities[{i}]")
            for i, item in enumerate(list_of(data.get("identities"), "identities"))
        ),
    )


def _selector(data: Fields) -> ServiceSelector | None:
    if data.get("dataplaneRef") is not None:
        ref = fields_of(data["dataplaneRef"], "selector.dataplaneRef")
        return NameSelector(text_of(ref.get("name"), "selector.dataplaneRef.name"))
    if data.get("dataplaneTags") is not None:
        return TagsSelector(tags_of(data["dataplaneTags"], "selector.dataplaneTags"))
    if data.get("dataplaneLabels") is not None:
        labels = fields_of(data["dataplaneLabels"], "selector.dataplaneLabels")
        path = "selector.dataplaneLabels.matchLabels"
        return LabelsSelector(tags_of(labels.get("matchLabels"), path))
    return None


def _port(data: Fields, path: str) -> ServicePort:
    port = number_of(data.get("port"), f"{path}.port")
    return ServicePort(
        name=text_of(data.get("name"), f"{path}.name") or str(port),
        port=port,
        target_port=_target(data.get("targetPort"), f"{path}.targetPort"),
        protocol=text_of(data.get("appProtocol"), f"{path}.appProtocol") or "tcp",
    )


def _target(value: object, path: str) -> int | str:
    if isinstance(value, bool) or not isinstance(value, int | str | None):
        raise DecodeError(path, "must be a whole number or the name of an inbound")
    return 0 if value is None else value


def _identity(data: Fields, path: str) -> Identity:
    return Identity(
        text_of(data.get("type"), f"{path}.type"), text_of(data.get("value"), f"{path}.value")
    )


def decode_multi_zone_service(data: Fields) -> MultiZoneSpec:
    selector = fields_of(data.get("selector"), "selector")
    services = fields_of(selector.get("meshService"), "selector.meshService")
    return MultiZoneSpec(
        match_labels=tags_of(services.get("matchLabels"), "selector.meshService.matchLabels"),
        ports=tuple(
            _multi_zone_port(fields_of(item, f"ports[{i}]"), f"ports[{i}]")
            for i, item in enumerate(list_of(data.get("ports"), "ports"))
        ),
    )


def _multi_zone_port(data: Fields, path: str) -> MultiZonePort:
    port = number_of(data.get("port"), f"{path}.port")
    return MultiZonePort(
        name=text_of(data.get("name"), f"{path}.name") or str(port),
        port=port,
        protocol=text_of(data.get("appProtocol"), f"{path}.appProtocol") or "tcp",
    )


def decode_zone_address(data: Fields) -> ZoneAddressSpec:
    return ZoneAddressSpec(
        text_of(data.get("address"), "address"), number_of(data.get("port"), "port")
    )


# --- statuses ---


def speaks_tls(service: MeshResource) -> bool:
    """Whether all proxies of a MeshService have a certificate, as its zone says of it."""
    status = json.loads(service.status) if service.status else {}
    tls = status.get("tls")
    return isinstance(tls, dict) and tls.get("status") == READY


def decisive(resource: MeshResource) -> MeshResource:
    """A zone's MeshService with as much of it as a zone computes with: what is counted changes with
    every proxy, and decides nothing.
    """
    if resource.key.type != MESH_SERVICE or not resource.status:
        return resource
    tls = READY if speaks_tls(resource) else NOT_READY
    status = canonical_json({"tls": {"status": tls}})
    return replace(resource, labels=resource.labels.without(VACANT_SINCE), status=status)


def matched(multi: MeshResource, services: Iterable[MeshResource]) -> tuple[MeshResource, ...]:
    """Of the MeshServices of its mesh those that a MeshMultiZoneService stands for."""
    assert isinstance(multi.spec, MultiZoneSpec)
    wanted = Labels(multi.spec.match_labels)
    return tuple(s for s in services if s.labels.contain(wanted)) if wanted.pairs else ()
