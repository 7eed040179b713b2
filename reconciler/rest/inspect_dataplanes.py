"""Which Dataplanes a policy or a MeshService is for, as the newer Inspect API lists them
(facts/http-api.md 10). Pure.
"""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING

from reconciler.model.kinds import KINDS
from reconciler.model.resource import Labels
from reconciler.model.spec import DataplaneSpec
from reconciler.policies.document import mapping
from reconciler.rest.answer import LISTED, Answer, Endpoint, document
from reconciler.rest.form import meta_of
from reconciler.rest.legacy_match import fits, selectors_of
from reconciler.rest.listing import FILTERS, chosen, page
from reconciler.rest.matched import Matching, selects, subject_of
from reconciler.rest.metadata import LISTS
from reconciler.rest.paths import LEGACY_POLICIES
from reconciler.rest.reading import wanted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from reconciler.model.resource import MeshResource
    from reconciler.rest.answer import Asked
    from reconciler.rest.catalogue import Catalogue

    Test = Callable[[MeshResource], bool]

MESH_SERVICE = "MeshService"
# The second is what kumactl 2.14 asks for.
SPELLINGS = ("_resources/dataplanes", "-resources/dataplanes")


def _listed(type_: str, catalogue: Catalogue, asked: Asked) -> Answer:
    resource = wanted(catalogue, asked, type_)
    test = _test(catalogue, resource)
    dataplanes = catalogue.of("Dataplane", resource.key.mesh)
    found = page(catalogue, asked, [d for d in chosen(asked, dataplanes) if test(d)])
    shown: dict[str, object] = {
        "items": [meta_of(dataplane) for dataplane in found.items],
        "total": found.total,
    }
    return document(catalogue, {**shown, "next": found.next} if found.next else shown)


def _test(catalogue: Catalogue, resource: MeshResource) -> Test:
    """Whether it is for a Dataplane; a shadow policy, too, says for whom it would be."""
    kind = resource.key.type
    if kind == MESH_SERVICE:
        spec = mapping(json.loads(resource.body or "{}"))
        return partial(_is_of_service, mapping(spec.get("selector")))
    if kind in LISTS:
        matching = Matching(catalogue, resource.key.mesh)
        return lambda d: selects(matching, resource, subject_of(catalogue, d))
    sides = [s for side in SIDES for s in selectors_of(resource, side)]
    return lambda d: any(fits(s, tags) for s in sides for tags in tag_sets(d))


SELECTORS = ("dataplaneRef", "dataplaneTags", "dataplaneLabels")
SIDES = ("sources", "destinations", "selectors")


def tag_sets(dataplane: MeshResource) -> list[dict[str, str]]:
    """Of its inbounds, and its own as a gateway: none where it is none."""
    spec = dataplane.spec
    assert isinstance(spec, DataplaneSpec)
    return [*(dict(inbound.tags) for inbound in spec.inbounds), dict(spec.gateway_tags)]


def _is_of_service(selector: Mapping[str, object], dataplane: MeshResource) -> bool:
    """The first of the three ways that it has."""
    ref, tags, labels = (mapping(selector.get(name)) for name in SELECTORS)
    if ref:
        return ref.get("name") == dataplane.key.name
    if tags:
        return any(fits(_texts(tags), each) for each in tag_sets(dataplane))
    wanted_labels = Labels.of(_texts(mapping(labels.get("matchLabels"))))
    return SELECTORS[-1] in selector and dataplane.labels.contain(wanted_labels)


def _texts(given: Mapping[str, object]) -> dict[str, str]:
    return {str(key): str(value) for key, value in given.items()}


def _of_type(type_: str) -> list[Endpoint]:
    base = f"/meshes/{{mesh}}/{KINDS[type_].path}/{{name}}"
    also = ("_dataplanes",) if type_ == MESH_SERVICE else ()
    says = f"The Dataplanes that one {type_} is for."
    answer = partial(_listed, type_)
    return [
        Endpoint(path=f"{base}/{last}", answer=answer, says=says, returns=LISTED, query=FILTERS)
        for last in (*SPELLINGS, *also)
    ]


ENDPOINTS: tuple[Endpoint, ...] = tuple(
    endpoint
    for type_ in (*sorted((*LISTS, *LEGACY_POLICIES)), MESH_SERVICE)
    for endpoint in _of_type(type_)
)
