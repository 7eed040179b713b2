"""Resources one by one and in lists (facts/http-api.md 5 to 8). Pure."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from reconciler.model.resource import ResourceKey
from reconciler.rest import kri
from reconciler.rest.answer import (
    NOT_FOUND,
    Answer,
    Endpoint,
    Invalid,
    Parameter,
    Refused,
    answered,
    bad_request,
    document,
    object_of,
)
from reconciler.rest.form import kubernetes, places_of, text_of
from reconciler.rest.listing import DATAPLANE_FILTERS, FILTERS, chosen, list_text, page
from reconciler.rest.paths import SHOWN, spellings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.model.kinds import Kind
    from reconciler.model.resource import MeshResource
    from reconciler.rest.answer import Asked
    from reconciler.rest.catalogue import Catalogue

FORMATS = {"universal": False, "k8s": True, "kubernetes": True}
FORMAT = (
    Parameter("format", "The form of the answer.", {"type": "string", "enum": list(FORMATS)}),
    Parameter("namespace", "Of the Kubernetes form."),
)
# They have ways of their own, which compute more than there is to look up.
DERIVED_ELSEWHERE = frozenset({"ServiceInsight"})


def mesh_of(catalogue: Catalogue, asked: Asked) -> str:
    """The mesh in the path. Raises Refused where there is none of the name."""
    mesh = asked.places["mesh"]
    if not catalogue.has_mesh(mesh):
        raise Refused(404, "Failed to retrieve Mesh", f'there is no mesh "{mesh}"')
    return mesh


def wanted(catalogue: Catalogue, asked: Asked, type_: str) -> MeshResource:
    """The resource in the path. Raises Refused where there is none."""
    mesh = mesh_of(catalogue, asked) if "mesh" in asked.places else ""
    return held(catalogue, ResourceKey(type_, mesh, asked.places["name"]))


def held(catalogue: Catalogue, key: ResourceKey) -> MeshResource:
    found = catalogue.get(key)
    if found is None:
        raise Refused(404, NOT_FOUND, "Not found")
    return found


def _one(type_: str, catalogue: Catalogue, asked: Asked) -> Answer:
    return shown(catalogue, asked, wanted(catalogue, asked, type_))


def shown(catalogue: Catalogue, asked: Asked, resource: MeshResource) -> Answer:
    """In the form that is asked for."""
    given = asked.last("format") or "universal"
    if given not in FORMATS:
        text = f"format must be one of {', '.join(FORMATS)}"
        raise bad_request(text, Invalid("format", text))
    times, headers = catalogue.times(resource), places_of(catalogue, resource)
    if not FORMATS[given]:
        return answered(catalogue, text_of(resource, times), headers)
    found = document(catalogue, kubernetes(resource, times, asked.last("namespace") or ""))
    return Answer(200, found.body, found.media_type, {**found.headers, **headers})


def _list(type_: str, catalogue: Catalogue, asked: Asked) -> Answer:
    mesh = mesh_of(catalogue, asked) if "mesh" in asked.places else None
    found = page(catalogue, asked, chosen(asked, catalogue.of(type_, mesh)))
    return answered(catalogue, list_text(catalogue, found))


def _by_kri(catalogue: Catalogue, asked: Asked) -> Answer:
    found = kri.parsed(asked.places["kri"])
    if found is None:
        raise bad_request("not a resource identifier: kri_<type>_<mesh>_<zone>_<namespace>_<name>_")
    return shown(catalogue, asked, held(catalogue, kri.key_of(found, catalogue.zone)))


def _of_kind(kind: Kind) -> Iterator[Endpoint]:
    filters: tuple[Parameter, ...] = DATAPLANE_FILTERS if kind.name == "Dataplane" else FILTERS
    if kind.name == "ExternalService":
        filters = (*FILTERS, DATAPLANE_FILTERS[-2])
    lists, one = partial(_list, kind.name), partial(_one, kind.name)
    item = {"$ref": f"#/components/schemas/{kind.name}"}
    many = {"$ref": f"#/components/schemas/{kind.name}List"}
    for path in spellings(kind):
        below = f"/meshes/{{mesh}}/{path}" if kind.mesh_scoped else f"/{path}"
        if kind.mesh_scoped:
            says = f"All {kind.name} resources of all meshes."
            yield Endpoint(path=f"/{path}", answer=lists, says=says, returns=many, query=filters)
        says = f"{kind.name} resources."
        yield Endpoint(path=below, answer=lists, says=says, returns=many, query=filters)
        says = f"One {kind.name}."
        named = f"{below}/{{name}}"
        yield Endpoint(path=named, answer=one, says=says, returns=item, query=FORMAT)


ENDPOINTS: tuple[Endpoint, ...] = (
    *(e for kind in SHOWN if kind.name not in DERIVED_ELSEWHERE for e in _of_kind(kind)),
    Endpoint(
        path="/_kri/{kri}",
        answer=_by_kri,
        says="One resource by its identifier.",
        query=FORMAT,
        returns={"anyOf": [object_of(type="string", name="string"), object_of(kind="string")]},
    ),
)
