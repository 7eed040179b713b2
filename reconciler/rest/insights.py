"""What is asked of services and of everything together (facts/http-api.md 9.3, 9.4). Pure."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from reconciler.kds.insight_facts import facts_of
from reconciler.rest.answer import (
    NOT_FOUND,
    Answer,
    Endpoint,
    Invalid,
    Parameter,
    Refused,
    bad_request,
    document,
    object_of,
)
from reconciler.rest.form import time_text
from reconciler.rest.listing import FILTERS, page
from reconciler.rest.mesh_insights import statuses, totals
from reconciler.rest.metadata import POLICIES
from reconciler.rest.proxy_status import BUILTIN, DELEGATED, STANDARD, Stat
from reconciler.rest.reading import mesh_of
from reconciler.rest.services import EXTERNAL, INTERNAL, TYPES, services_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from reconciler.rest.answer import Asked
    from reconciler.rest.catalogue import Catalogue
    from reconciler.rest.services import Service

SERVICE_STATUS = {"online": "online", "partially_degraded": "partiallyDegraded"}
SERVICE_TYPES: Mapping[str, str] = {
    INTERNAL: "internal",
    "gateway_builtin": BUILTIN,
    "gateway_delegated": DELEGATED,
}
ZONE_PARTS: Mapping[str, str] = {
    "controlPlanes": "ZoneInsight",
    "zoneIngresses": "ZoneIngressInsight",
    "zoneEgresses": "ZoneEgressInsight",
}


def _services(catalogue: Catalogue, asked: Asked) -> Answer:
    mesh = mesh_of(catalogue, asked) if "mesh" in asked.places else None
    types, name = _types(asked.last("type")), asked.last("name") or ""
    kept = [s for s in services_of(catalogue, mesh) if s.type in types and name in s.name]
    found = page(catalogue, asked, kept)
    shown = [service.shown() for service in found.items]
    return document(catalogue, {"total": found.total, "items": shown, "next": found.next})


def _types(given: str | None) -> frozenset[str]:
    """Of `type=internal,external`; without it, all."""
    if not given:
        return frozenset(TYPES)
    types = frozenset(given.split(","))
    if not types <= frozenset(TYPES):
        text = f"type is a list of {', '.join(TYPES)}, with commas between"
        raise bad_request(text, Invalid("type", text))
    return types


def _service(catalogue: Catalogue, asked: Asked) -> Answer:
    mesh = mesh_of(catalogue, asked)
    name = asked.places["name"]
    found = next((s for s in services_of(catalogue, mesh) if s.name == name), None)
    if found is None:
        raise Refused(404, NOT_FOUND, "Not found")
    return document(catalogue, found.shown())


def _global(catalogue: Catalogue, _asked: Asked) -> Answer:
    resources = totals(catalogue)
    generators = len(catalogue.of("HostnameGenerator"))
    if generators:
        resources["HostnameGenerator"] = {"total": generators}
    policies = sum(count["total"] for name, count in resources.items() if name in POLICIES)
    return document(
        catalogue,
        {
            "createdAt": time_text(catalogue.now),
            "dataplanes": _proxies(catalogue),
            "meshes": {"total": len(catalogue.of("Mesh"))},
            "policies": {"total": policies},
            "resources": dict(sorted(resources.items())),
            "services": _service_counts(services_of(catalogue)),
            "zones": {part: _zone_part(catalogue, type_) for part, type_ in ZONE_PARTS.items()},
        },
    )


def _proxies(catalogue: Catalogue) -> dict[str, dict[str, int]]:
    stats = {type_: Stat() for type_ in (BUILTIN, DELEGATED, STANDARD)}
    for proxy in statuses(catalogue):
        stats[proxy.type].add(proxy.status)
    return {type_: stat.all() for type_, stat in stats.items()}


def _service_counts(services: Sequence[Service]) -> dict[str, dict[str, int]]:
    stats: defaultdict[str, Stat] = defaultdict(Stat)
    for service in services:
        stats[service.type].add(SERVICE_STATUS.get(service.status, "offline"))
    shown = {name: stats[type_].all() for type_, name in SERVICE_TYPES.items()}
    return {"external": {"total": stats[EXTERNAL].all()["total"]}, **shown}


def _zone_part(catalogue: Catalogue, insight: str) -> dict[str, int]:
    """Those that came once: of others there is no insight."""
    online = [facts_of(each).online for each in catalogue.of(insight)]
    return {"online": sum(online), "total": len(online)}


_ITEM = {
    "type": "object",
    "required": ["type", "mesh", "name", "status", "dataplanes"],
    "properties": {"dataplanes": {"type": "object"}},
}
_LIST = {
    "type": "object",
    "required": ["total", "items", "next"],
    "properties": {"total": {"type": "integer"}, "items": {"type": "array", "items": _ITEM}},
}
_QUERY = (*FILTERS, Parameter("type", f"Kinds of services, by comma: {', '.join(TYPES)}."))
ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint(
        path="/service-insights",
        answer=_services,
        says="All services of all meshes.",
        returns=_LIST,
        query=_QUERY,
    ),
    Endpoint(
        path="/meshes/{mesh}/service-insights",
        answer=_services,
        says="All services of a mesh.",
        returns=_LIST,
        query=_QUERY,
    ),
    Endpoint(
        path="/meshes/{mesh}/service-insights/{name}",
        answer=_service,
        says="One service.",
        returns=_ITEM,
    ),
    Endpoint(
        path="/global-insight",
        answer=_global,
        says="How many there are of everything.",
        returns=object_of(
            **dict.fromkeys(("meshes", "zones", "dataplanes", "services", "resources"), "object")
        ),
    ),
)
