"""What services say of themselves, where it is not a part of what a control plane computes with:
the statuses of a zone's own MeshServices, the names of services there, and which MeshServices are
one in a MeshMultiZoneService. Pure.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconciler.model.resource import NAMESPACE, ZONE, MeshResource, canonical_json
from reconciler.model.services import MESH_SERVICE, matched
from reconciler.vips.entries import REAL, Entry
from reconciler.vips.statuses import FIELDS, status_of
from xds.copying import replace

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from reconciler.mesh_names import MeshNames
    from reconciler.model.resource import ResourceKey
    from reconciler.rest.catalogue import Catalogue, Shelf
    from reconciler.state import MeshState


@dataclass(frozen=True, slots=True)
class OwnServices:
    """All MeshServices of a zone, its own with all of their status."""

    merged: MeshState
    local: MeshState

    def get(self, key: ResourceKey) -> MeshResource | None:
        return self.local.get(key) or self.merged.get(key)

    def of(self, type_: str, mesh: str | None = None) -> Sequence[MeshResource]:
        return [self.local.get(r.key) or r for r in self.merged.of(type_, mesh)]


@dataclass(frozen=True, slots=True)
class NamedServices:
    """Services of a zone, each with the names and the address that it has there, whoever made it.
    `names`: of a mesh, None where nobody has asked for any yet.
    """

    shelf: Shelf
    names: Callable[[str], MeshNames | None]

    def get(self, key: ResourceKey) -> MeshResource | None:
        found = self.shelf.get(key)
        return None if found is None else self._told(found)

    def of(self, type_: str, mesh: str | None = None) -> Sequence[MeshResource]:
        return [self._told(each) for each in self.shelf.of(type_, mesh)]

    def _told(self, service: MeshResource) -> MeshResource:
        names = self.names(service.key.mesh)
        if names is None:
            return service
        entry = Entry(REAL[service.key.type], service.key.name)
        address = names.allocations.of(names.mesh).get(entry)
        fields = status_of(entry.kind, names.wanted.generated.get(entry, ()), address)
        said = json.loads(service.status) if service.status else {}
        kept = {name: value for name, value in said.items() if name not in FIELDS}
        if not fields and kept == said:
            return service
        return replace(service, status=canonical_json({**kept, **fields}))


@dataclass(frozen=True, slots=True)
class MultiZoneServices:
    """MeshMultiZoneServices with what is matched now, in every zone that is known here."""

    catalogue: Catalogue

    def get(self, key: ResourceKey) -> MeshResource | None:
        found = (layer.get(key) for layer in self._layers())
        return next((self._told(each) for each in found if each is not None), None)

    def of(self, type_: str, mesh: str | None = None) -> Sequence[MeshResource]:
        found = (each for layer in self._layers() for each in layer.of(type_, mesh))
        return [self._told(each) for each in sorted(found, key=lambda each: each.key)]

    def _layers(self) -> Sequence[Shelf]:
        return self.catalogue.layers

    def _told(self, multi: MeshResource) -> MeshResource:
        services = matched(multi, self.catalogue.of(MESH_SERVICE, multi.key.mesh))
        named = sorted(map(_place, services))
        status: dict[str, object] = {"conditions": [_condition(len(named))]}
        if named:
            keys = ("name", "namespace", "zone", "mesh")
            status["meshServices"] = [dict(zip(keys, place, strict=True)) for place in named]
        return replace(multi, status=canonical_json(status))


def _place(service: MeshResource) -> tuple[str, str, str, str]:
    labels = service.labels
    place = labels.get(NAMESPACE) or "", labels.get(ZONE) or ""
    return service.display_name, *place, service.key.mesh


def _condition(count: int) -> dict[str, str]:
    """In Kuma's words."""
    if not count:
        return {
            "type": "MeshServicesMatched",
            "status": "False",
            "reason": "NoMatchesFound",
            "message": "Selector does not match any MeshService in this zone",
        }
    return {
        "type": "MeshServicesMatched",
        "status": "True",
        "reason": "MatchesFound",
        "message": f"Matched {count} MeshService(s)",
    }
