"""The names of a mesh in a zone, the addresses behind them, and what proxies are told of both, from
one state of the mesh to the next. Pure.

Addresses are of the zone: it hands in what it has given (`Given`), and keeps what comes back. Who
hands in nothing (`render`, `plan`) gives addresses anew, as a zone would that has just begun.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from reconciler.vips.allocation import Allocations, Pools
from reconciler.vips.entries import EntryKind, Naming
from reconciler.vips.resolvable import Resolvable
from reconciler.vips.statuses import NOBODY, Named
from reconciler.vips.wanted import Wanted, nothing

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from reconciler.collection import Collection, Sorted
    from reconciler.vips.entries import Entry


@dataclass(frozen=True, slots=True)
class Given:
    """The addresses a zone has given, of all its meshes, and how it names services. `now` in
    seconds of the epoch.
    """

    allocations: Allocations
    pools: Pools
    now: float
    naming: Naming = field(default_factory=Naming)  # of the first state that is looked at


NOTHING_GIVEN = Given(Allocations(), Pools(), 0.0)


@dataclass(frozen=True, slots=True, eq=False)
class MeshNames:
    """`exhausted`: what has no address, because its pool has none left. `services`: MeshServices,
    by name; changes are found by `collection.differences`.
    """

    mesh: str
    wanted: Wanted
    allocations: Allocations = field(default_factory=Allocations)
    resolvable: Resolvable = field(default_factory=Resolvable)
    exhausted: frozenset[Entry] = frozenset()
    services: Sorted[Named] = NOBODY

    def followed(self, resources: Mapping[str, Collection], given: Given | None) -> MeshNames:
        """In another state of the mesh, by the collections of its types. What is the same is the
        same object.
        """
        if given is None:
            given = Given(self.allocations, NOTHING_GIVEN.pools, NOTHING_GIVEN.now)
        had = self.allocations.of(self.mesh)
        wanted, differing = self.wanted.followed(resources)
        known = given.allocations.of(self.mesh) is had and given.pools == self.allocations.pools
        if known and not differing and not self.exhausted:
            if given.allocations is self.allocations and wanted is self.wanted:
                return self
            return replace(self, wanted=wanted, allocations=given.allocations)
        holders = wanted.holders
        if known:
            touched = differing | self.exhausted
            come = [e for e in touched if (h := holders.get(e)) is not None and not h.address]
            gone = touched.difference(come)
            allocations, changes = given.allocations.changed(
                self.mesh, come, gone, given.now, given.pools
            )
        else:  # Somebody else has given and taken meanwhile.
            allocations, changes = given.allocations.followed(
                self.mesh, wanted.entries, given.now, given.pools
            )
            touched = differing | {entry for entry, _ in {*changes.given, *changes.taken_back}}
            has = allocations.of(self.mesh)
            touched |= {entry for entry, address in has.items() if had.get(entry) != address}
            touched |= {entry for entry in had if entry not in has}
        addresses = allocations.of(self.mesh)
        resolvable = self.resolvable.followed(holders, addresses, touched)
        exhausted = frozenset(changes.exhausted)
        services = self.services.changed(dict(_services(wanted, addresses, touched)))
        return MeshNames(self.mesh, wanted, allocations, resolvable, exhausted, services)


def _services(
    wanted: Wanted, addresses: Mapping[Entry, str], touched: Iterable[Entry]
) -> Iterator[tuple[str, Named | None]]:
    for entry in touched:
        if entry.kind is EntryKind.MESH_SERVICE:
            there, made = entry in wanted.holders, wanted.generated.get(entry, ())
            named = Named(entry.name, made, addresses.get(entry, "")) if there else None
            yield entry.name, named


def no_names(mesh: str, zone: str, naming: Naming | None = None) -> MeshNames:
    """Of a mesh in which there is nothing yet."""
    return MeshNames(mesh, nothing(mesh, zone, naming))
