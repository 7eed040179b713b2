"""Services as people ask for them: one each, out of the one insight that a mesh has
(facts/http-api.md 9.3). Pure.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reconciler.model.resource import SERVICE, ResourceKey
from reconciler.model.spec import MeshSpec
from reconciler.rest.form import time_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from reconciler.model.resource import MeshResource
    from reconciler.rest.catalogue import Catalogue, Times

TYPE = "ServiceInsight"
INTERNAL, EXTERNAL = "internal", "external"
BUILTIN, DELEGATED = "gateway_builtin", "gateway_delegated"
TYPES = (INTERNAL, EXTERNAL, DELEGATED, BUILTIN)
GATEWAYS = (DELEGATED, BUILTIN)
EXCLUSIVE = "Exclusive"


@dataclass(frozen=True, slots=True)
class Service:
    mesh: str
    name: str
    type: str
    status: str  # "online", "partially_degraded", "offline", "not_available"
    told: Mapping[str, object]
    times: Times

    def shown(self) -> dict[str, object]:
        return {
            "type": TYPE,
            "mesh": self.mesh,
            "name": self.name,
            "creationTime": time_text(self.times.created),
            "modificationTime": time_text(self.times.modified),
            **self.told,
        }


def services_of(catalogue: Catalogue, mesh: str | None = None) -> Sequence[Service]:
    """Sorted by mesh and name. A mesh that knows MeshServices alone has only gateways by tag."""
    names = [mesh] if mesh is not None else [each.key.name for each in catalogue.of("Mesh")]
    return [service for name in sorted(names) for service in _of_mesh(catalogue, name)]


def _of_mesh(catalogue: Catalogue, mesh: str) -> Sequence[Service]:
    held = catalogue.get(ResourceKey("Mesh", "", mesh))
    if held is None:
        return ()
    exclusive = isinstance(held.spec, MeshSpec) and held.spec.mesh_services_mode == EXCLUSIVE
    times = catalogue.times(held)
    told = {name: _told(data) for name, data in _external(catalogue, mesh)}
    for insight in catalogue.of(TYPE, mesh):
        services = json.loads(insight.body).get("services", {})
        told |= {name: _told(data) for name, data in services.items()}
    return [
        Service(
            mesh,
            name,
            str(data.get("serviceType", INTERNAL)),
            str(data.get("status", "")),
            data,
            times,
        )
        for name, data in sorted(told.items())
        if not exclusive or data.get("serviceType") == DELEGATED
    ]


def _external(catalogue: Catalogue, mesh: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for each in catalogue.of("ExternalService", mesh):
        name, address = _named(each)
        if name:
            yield (
                name,
                {"status": "not_available", "serviceType": EXTERNAL, "addressPort": address},
            )


def _named(external: MeshResource) -> tuple[str, str]:
    data = json.loads(external.body)
    return data.get("tags", {}).get(SERVICE, ""), data.get("networking", {}).get("address", "")


def _told(data: Mapping[str, Any]) -> Mapping[str, object]:
    """As Kuma shows it: without what is zero, but always with `dataplanes`."""
    type_ = data.get("serviceType", INTERNAL)
    counts = {name: n for name, n in data.get("dataplanes", {}).items() if n}
    found: dict[str, object] = {"status": data.get("status", ""), "dataplanes": counts}
    for name in ("issuedBackends", "addressPort", "zones"):
        if data.get(name) and (name != "addressPort" or type_ not in GATEWAYS):
            found[name] = data[name]
    if type_ != INTERNAL:
        found["serviceType"] = type_
    return found
