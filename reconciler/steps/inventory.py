"""What a zone writes of its proxies, as it is set: each by itself, or how many there are of each
class. Kept as long as no Dataplane is another and none comes or goes: a push changes none. Pure.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from reconciler.model.spec import DataplaneSpec
from reconciler.status.document import Inventory, ProxyClass, ProxyEntry
from reconciler.status.shape import shape_of
from reconciler.steps.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rpds import HashTrieSet

    from reconciler.collection import Collection
    from reconciler.model.resource import MeshResource, ResourceKey
    from reconciler.state import MeshState


@dataclass(frozen=True, slots=True, eq=False)
class Listed:
    """`classes` of `classed`, or `proxies` of `dataplanes` without those that are `absent`."""

    classes: tuple[ProxyClass, ...] = ()
    proxies: tuple[ProxyEntry, ...] = ()
    classed: Tally[tuple[str, str]] = field(default_factory=Tally)  # mesh and shape
    dataplanes: Mapping[str, Collection] | None = None
    absent: HashTrieSet[ResourceKey] | None = None

    def followed(
        self, local: MeshState, absent: HashTrieSet[ResourceKey], inventory: Inventory
    ) -> Listed:
        match inventory:
            case Inventory.FULL:
                now = local.collections("Dataplane")
                if now is self.dataplanes and absent is self.absent:
                    return self
                return Listed(proxies=_entries(local, absent), dataplanes=now, absent=absent)
            case Inventory.CLASSES:
                classed = self.classed.followed(local, absent, kinds)
                if classed is self.classed:
                    return self
                return Listed(_classes(self.classes, classed), classed=classed)
            case Inventory.OFF:
                return NOTHING


NOTHING = Listed()


def _entries(local: MeshState, absent: HashTrieSet[ResourceKey]) -> tuple[ProxyEntry, ...]:
    return tuple(
        ProxyEntry(r.key.mesh, r.display_name, r.spec.address, shape_of(r))
        for r in local.of("Dataplane")
        if isinstance(r.spec, DataplaneSpec) and r.key not in absent
    )


def kinds(dataplane: MeshResource) -> tuple[tuple[str, str], ...]:
    """What it has in common with others."""
    is_sidecar = isinstance(dataplane.spec, DataplaneSpec)
    return ((dataplane.key.mesh, shape_of(dataplane)),) if is_sidecar else ()


def _classes(
    before: tuple[ProxyClass, ...], classed: Tally[tuple[str, str]]
) -> tuple[ProxyClass, ...]:
    """Sorted by mesh and shape; itself where no count has changed."""
    if not classed.changed:
        return before
    found = list(before)
    for kind in classed.changed:
        at = bisect_left(found, kind, key=_kind)
        held = at < len(found) and _kind(found[at]) == kind
        count = classed.counts.get(kind, 0)
        found[at : at + held] = [ProxyClass(*kind, count)] if count else []
    return tuple(found)


def _kind(found: ProxyClass) -> tuple[str, str]:
    return found.mesh, found.shape
