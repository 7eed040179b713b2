"""Overviews: a resource and what is known of it now, in one answer (facts/http-api.md 9). Pure.

Pages and filters are those of the resource; only what a page shows gets its insight.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from reconciler.model.kinds import KINDS
from reconciler.model.resource import ResourceKey
from reconciler.rest.answer import Answer, Endpoint, answered
from reconciler.rest.form import body_of, compact, head_of, places_of
from reconciler.rest.listing import DATAPLANE_FILTERS, FILTERS, chosen, joined, page
from reconciler.rest.paths import spellings
from reconciler.rest.reading import mesh_of, wanted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.model.resource import MeshResource
    from reconciler.rest.answer import Asked
    from reconciler.rest.catalogue import Catalogue


@dataclass(frozen=True, slots=True)
class Overview:
    """`member` is what the resource's spec is called in it; `legacy` an older name of the
    collection.
    """

    base: str
    member: str
    legacy: str

    @property
    def type(self) -> str:
        return f"{self.base}Overview"

    @property
    def insight(self) -> str:
        return f"{self.base}Insight"


OVERVIEWS = (
    Overview("Dataplane", "dataplane", "dataplanes+insights"),
    Overview("Zone", "zone", "zones+insights"),
    Overview("ZoneIngress", "zoneIngress", "zoneingresses+insights"),
    Overview("ZoneEgress", "zoneEgress", "zoneegressoverviews"),
)


def overview_text(catalogue: Catalogue, overview: Overview, base: MeshResource) -> str:
    """As compact JSON. The spec is there even when it is empty: kumactl looks into it."""
    head = compact(head_of(base, catalogue.times(base), overview.type))
    found = f'{head[:-1]},"{overview.member}":{body_of(base)}'
    insight = catalogue.get(ResourceKey(overview.insight, base.key.mesh, base.key.name))
    if insight is None:
        return f"{found}}}"
    return f'{found},"{overview.member}Insight":{body_of(insight)}}}'


def _list(overview: Overview, catalogue: Catalogue, asked: Asked) -> Answer:
    mesh = mesh_of(catalogue, asked) if "mesh" in asked.places else None
    found = page(catalogue, asked, chosen(asked, catalogue.of(overview.base, mesh)))
    texts = (overview_text(catalogue, overview, base) for base in found.items)
    return answered(catalogue, joined(found, texts))


def _one(overview: Overview, catalogue: Catalogue, asked: Asked) -> Answer:
    base = wanted(catalogue, asked, overview.base)
    text = overview_text(catalogue, overview, base)
    return answered(catalogue, text, places_of(catalogue, base))


def _of(overview: Overview) -> Iterator[Endpoint]:
    kind = KINDS[overview.base]
    query = DATAPLANE_FILTERS if overview.base == "Dataplane" else FILTERS
    lists, one = partial(_list, overview), partial(_one, overview)
    item = {"type": "object", "required": ["type", "name", overview.member]}
    many = {
        "type": "object",
        "required": ["total", "items", "next"],
        "properties": {"total": {"type": "integer"}, "items": {"type": "array", "items": item}},
    }
    says, says_all = (
        f"One {kind.name} and its insight.",
        f"{kind.name} resources and their insights.",
    )
    for path in spellings(kind):
        below = f"/meshes/{{mesh}}/{path}" if kind.mesh_scoped else f"/{path}"
        named = f"{below}/{{name}}/_overview"
        yield Endpoint(path=named, answer=one, says=says, returns=item)
        for each in sorted({f"{below}/_overview", f"/{path}/_overview"}):
            yield Endpoint(path=each, answer=lists, says=says_all, returns=many, query=query)
    below = f"/meshes/{{mesh}}/{overview.legacy}" if kind.mesh_scoped else f"/{overview.legacy}"
    yield Endpoint(path=f"{below}/{{name}}", answer=one, says=says, returns=item)
    for each in sorted({below, f"/{overview.legacy}"}):
        yield Endpoint(path=each, answer=lists, says=says_all, returns=many, query=query)


ENDPOINTS: tuple[Endpoint, ...] = tuple(each for overview in OVERVIEWS for each in _of(overview))
