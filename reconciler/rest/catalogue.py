"""All that a control plane can show at one moment: one value for all answers. Pure.

What is in it is frozen, so an answer is computed in a thread while the control plane goes on.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeAlias

from reconciler.model.resource import MeshResource, ResourceKey

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from reconciler.problems import Position
    from reconciler.state import MeshState
    from reconciler.steps.global_state import GlobalState
    from reconciler.steps.zone_state import ZoneState

SECRETS = frozenset({"Secret", "GlobalSecret"})
Config = Mapping[str, Mapping[str, object]]  # of a proxy, by type URL and name
ITEMS_MAX = 20_000  # of a list whose client named no size


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds since the epoch; None where nobody knows."""

    created: float | None = None
    modified: float | None = None


TimesOf: TypeAlias = "Callable[[Catalogue, MeshResource], Times]"


def no_times(_catalogue: Catalogue, _resource: MeshResource) -> Times:
    return Times()


class Shelf(Protocol):
    """Resources by key, and sorted by type and mesh."""

    def get(self, key: ResourceKey) -> MeshResource | None: ...

    def of(self, type_: str, mesh: str | None = None) -> Sequence[MeshResource]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """`layers` hold different resources; `derived` are computed once somebody asks for their type.
    One of the two states is there: for what resources do not say.
    """

    mode: str  # "global" or "zone"
    zone: str = ""
    version: str
    instance: str = ""
    cluster_id: str = ""
    hostname: str = ""
    revision: str | None
    layers: tuple[MeshState, ...]
    derived: Mapping[str, Callable[[Catalogue], Shelf]] = field(default_factory=dict)
    places: Mapping[ResourceKey, Position] = field(default_factory=dict)
    repository: str = ""  # as people may read it; "" where it is not known
    branch: str = ""
    times_of: TimesOf = no_times
    now: float
    items_max: int = ITEMS_MAX
    global_state: GlobalState | None = None
    zone_state: ZoneState | None = None
    compute: Callable[[ResourceKey, bool], Config | None] | None = None  # at a zone
    _made: dict[str, Shelf] = field(default_factory=dict, init=False, repr=False, compare=False)

    def times(self, resource: MeshResource) -> Times:
        return self.times_of(self, resource)

    def get(self, key: ResourceKey) -> MeshResource | None:
        if key.type in SECRETS:
            return None
        found = (layer.get(key) for layer in self._layers(key.type))
        return next((resource for resource in found if resource is not None), None)

    def of(self, type_: str, mesh: str | None = None) -> Sequence[MeshResource]:
        """Sorted by mesh and name. Secrets are nobody's to read here."""
        if type_ in SECRETS:
            return ()
        each = [found for layer in self._layers(type_) if (found := layer.of(type_, mesh))]
        if len(each) < 2:
            return each[0] if each else ()
        return tuple(heapq.merge(*each, key=lambda resource: resource.key))

    def _layers(self, type_: str) -> tuple[Shelf, ...]:
        make = self.derived.get(type_)
        if make is None:
            return self.layers
        if type_ not in self._made:
            self._made[type_] = make(self)
        return (self._made[type_],)

    def has_mesh(self, mesh: str) -> bool:
        return self.get(ResourceKey("Mesh", "", mesh)) is not None
