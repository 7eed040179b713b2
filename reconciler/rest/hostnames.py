"""The host names of a service (facts/http-api.md 10). None are made yet. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.model.kinds import KINDS
from reconciler.rest.answer import Answer, Endpoint, Invalid, bad_request, document
from reconciler.rest.reading import wanted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.rest.answer import Asked
    from reconciler.rest.catalogue import Catalogue

SERVICES: Mapping[str, str] = {
    KINDS[name].path: name
    for name in ("MeshService", "MeshExternalService", "MeshMultiZoneService")
}


def _hostnames(catalogue: Catalogue, asked: Asked) -> Answer:
    type_ = SERVICES.get(asked.places["serviceType"])
    if type_ is None:
        text = f"only services have host names: {', '.join(SERVICES)}"
        raise bad_request(text, Invalid("serviceType", text))
    wanted(catalogue, asked, type_)
    return document(catalogue, {"total": 0, "items": []})


ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint(
        path="/meshes/{mesh}/{serviceType}/{name}/_hostnames",
        answer=_hostnames,
        says="The host names of a service.",
        returns={"type": "object", "required": ["total", "items"]},
    ),
)
