"""The host names of a service (facts/http-api.md 10), each with the zones it is told for. Pure.

At a zone, those that its HostnameGenerators make. At the global, those that it has anywhere: in its
own zone, as what that zone made, and in the others, as what came from elsewhere. Whether another
service has a name already is not looked at, and a name that is none is shown as it is: older zones
have such.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconciler.model.kinds import KINDS
from reconciler.model.resource import ORIGIN, ZONE, Labels
from reconciler.rest.answer import Answer, Endpoint, Invalid, bad_request, document
from reconciler.rest.reading import wanted
from reconciler.templates.tokens import TemplateError
from reconciler.vips.hostnames import generators, host_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from reconciler.model.resource import MeshResource, ResourceKey
    from reconciler.rest.answer import Asked
    from reconciler.rest.catalogue import Catalogue

SERVICES: Mapping[str, str] = {
    KINDS[name].path: name
    for name in ("MeshService", "MeshExternalService", "MeshMultiZoneService")
}


@dataclass(frozen=True, slots=True)
class _Look:
    """How a service is seen: from the zone `here`, or with `elsewhere` from any but that. `told` is
    the zone that a name is told for, "" where none is known.
    """

    labels: Labels
    told: str
    here: str
    elsewhere: bool = False

    def has(self, generator: MeshResource) -> bool:
        """Whether it is one of everybody, or of whoever looks."""
        home = generator.labels.get(ZONE)
        return not home or (home == self.here) != self.elsewhere


def _hostnames(catalogue: Catalogue, asked: Asked) -> Answer:
    type_ = SERVICES.get(asked.places["serviceType"])
    if type_ is None:
        text = f"only services have host names: {', '.join(SERVICES)}"
        raise bad_request(text, Invalid("serviceType", text))
    service = wanted(catalogue, asked, type_)
    found: dict[str, set[str]] = {}
    for look in _looks(catalogue, service):
        for generator in filter(look.has, catalogue.of("HostnameGenerator")):
            for name in _names(generator, service.key, look):
                found.setdefault(name, set()).add(look.told)
    items = [
        {"hostname": name, "zones": [{"name": zone} for zone in sorted(zones) if zone]}
        for name, zones in sorted(found.items())
    ]
    return document(catalogue, {"total": len(items), "items": items})


def _looks(catalogue: Catalogue, service: MeshResource) -> Iterator[_Look]:
    labels, home = service.labels, service.labels.get(ZONE)
    if catalogue.mode != "global":
        yield _Look(labels, home or catalogue.zone, catalogue.zone)
        return
    elsewhere = labels.with_labels({ORIGIN: "global"})
    if home:
        yield _Look(labels.with_labels({ORIGIN: "zone"}), home, home)
        if KINDS[service.key.type].across:
            yield _Look(elsewhere, home, home, elsewhere=True)
        return
    for zone in [zone.key.name for zone in catalogue.of("Zone")] or [""]:
        yield _Look(elsewhere, zone, zone)


def _names(generator: MeshResource, service: ResourceKey, look: _Look) -> Iterator[str]:
    for each in generators((generator,)):
        if each.selects(service.type, look.labels):
            with suppress(TemplateError):  # It makes no name for this one.
                yield host_name(each.template, service, look.labels, look.here)


ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint(
        path="/meshes/{mesh}/{serviceType}/{name}/_hostnames",
        answer=_hostnames,
        says="The host names of a service.",
        returns={"type": "object", "required": ["total", "items"]},
    ),
)
