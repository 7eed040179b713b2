"""Which names a mesh has in a zone, and where they lead. Pure.

`Wanted` is followed from one moment to the next with work in proportion to what differs. One made
step by step is as one made from nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from rpds import HashTrieMap

from reconciler.vips.basis import Basis, Whose
from reconciler.vips.claims import holder
from reconciler.vips.entries import KINDS, Entry, Fault, FaultKind, Holder, Naming
from reconciler.vips.hostnames import COLLISION, GENERATED, Generated, Hostnames

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from reconciler.collection import Collection

Holders: TypeAlias = "HashTrieMap[Entry, Holder]"
_Found: TypeAlias = "tuple[Holder | None, tuple[Fault, ...], tuple[Generated, ...]]"
Faults: TypeAlias = "HashTrieMap[Entry, tuple[Fault, ...]]"


@dataclass(frozen=True, slots=True, eq=False)
class Wanted:
    """`holders`: what there is, by entry. `generated`: of a real resource, what HostnameGenerators
    come to for it, by their names. `owners`: by name whose it is, before all others that want it.

    `_basis` holds what it was found from, the last that was found to come to the same.
    """

    holders: Holders = field(default_factory=HashTrieMap)
    generated: HashTrieMap[Entry, tuple[Generated, ...]] = field(default_factory=HashTrieMap)
    owners: HashTrieMap[str, tuple[Entry, ...]] = field(default_factory=HashTrieMap)
    faults: Faults = field(default_factory=HashTrieMap, repr=False)
    failed: frozenset[Fault] = frozenset()
    _basis: list[Basis] = field(default_factory=list, repr=False)

    @property
    def entries(self) -> Iterator[Entry]:
        """Those that need an address, in the order in which they are given one."""
        return (entry for entry in sorted(self.holders) if not self.holders[entry].address)

    @property
    def problems(self) -> tuple[Fault, ...]:
        """Who does not get the name or port that it wants; sorted."""
        found = {fault for faults in self.faults.values() for fault in faults}
        contested = (name for name, entries in self.owners.items() if len(entries) > 1)
        found.update(fault for name in contested for fault in self._shadowed(name))
        return tuple(sorted(found | self.failed))

    def _shadowed(self, name: str) -> Iterator[Fault]:
        """Those who have a name in vain: it leads elsewhere, or to less."""
        owner, *others = (self.holders[entry] for entry in self.owners[name])
        leads = {(port.port, port.destination) for port in owner.ports}
        for other in others:
            if {(port.port, port.destination) for port in other.ports} <= leads:
                continue
            resources = (_told(other.entry), _told(owner.entry))
            text = f"{name} is the name of {resources[1]}, and not of {resources[0]}"
            yield Fault(FaultKind.NAME, name, 0, resources, text)

    def followed(self, resources: Mapping[str, Collection]) -> tuple[Wanted, frozenset[Entry]]:
        """With the collections of another moment (`basis.READ`), by type, and the entries that
        differ: their holders, or what is generated for them. The same object when nothing does.
        """
        basis = self._basis[0]
        if basis.is_of(resources):
            return self, frozenset()
        after, touched = basis.followed(resources)
        found = {entry: _found(entry, after) for entry in touched}
        differing = {entry: each for entry, each in found.items() if each != self._found(entry)}
        failed = self.failed
        if after.failed is not basis.failed and after.failed != basis.failed:
            failed = frozenset(after.failed)
        if not differing and failed == self.failed:
            self._basis[0] = after
            return self, frozenset()
        return self._with(after, differing, failed), frozenset(differing)

    def _found(self, entry: Entry) -> _Found:
        return (
            self.holders.get(entry),
            self.faults.get(entry, ()),
            self.generated.get(entry, ()),
        )

    def _with(
        self, basis: Basis, found: Mapping[Entry, _Found], failed: frozenset[Fault]
    ) -> Wanted:
        holders, generated, faults = self.holders, self.generated, self.faults
        touched: dict[str, set[Entry]] = {}
        for entry, (now, told, made) in found.items():
            for each in (holders.get(entry), now):
                for name in each.names if each is not None else ():
                    touched.setdefault(name, set()).add(entry)
            holders = holders.insert(entry, now) if now is not None else holders.discard(entry)
            generated = generated.insert(entry, made) if made else generated.discard(entry)
            faults = faults.insert(entry, told) if told else faults.discard(entry)
        owners = self.owners
        for name, entries in touched.items():
            may = (holders.get(entry) for entry in entries.union(owners.get(name, ())))
            held = [each for each in may if each is not None and name in each.names]
            held.sort(key=lambda each: precedence(each, name))
            order = tuple(each.entry for each in held)
            owners = owners.insert(name, order) if order else owners.discard(name)
        return Wanted(holders, generated, owners, faults, failed, [basis])


def nothing(mesh: str, zone: str, naming: Naming | None = None) -> Wanted:
    """Of a mesh in which there is nothing yet."""
    whose = Whose(mesh, zone, naming or Naming())
    return Wanted(_basis=[Basis(whose, Hostnames(zone))])


def _found(entry: Entry, basis: Basis) -> _Found:
    if entry.kind in KINDS:
        made = basis.hostnames.generated(entry)
        return basis.hostnames.holder(entry), tuple(_ungenerated(entry, made)), made
    claims = basis.claims.get(entry)
    if claims is None:
        return None, (), ()
    found, faults = holder(entry, claims, basis.whose.naming)
    return found, tuple(sorted(faults)), ()


def _ungenerated(entry: Entry, made: Iterable[Generated]) -> Iterator[Fault]:
    for each in made:
        if each.reason != GENERATED:
            kind = FaultKind.NAME if each.reason == COLLISION else FaultKind.TEMPLATE
            resources = (_told(entry), f"HostnameGenerator {each.generator}")
            yield Fault(kind, entry.name, 0, resources, each.message)


def precedence(found: Holder, name: str) -> tuple[int, bool, str]:
    """Who has a name before others: of the later kinds, as in Kuma, then whose own it is."""
    return -found.entry.kind, found.names[0] != name, found.entry.name


_TOLD = ("service", "host", "VirtualOutbound host")


def _told(entry: Entry) -> str:
    return f"{KINDS.get(entry.kind) or _TOLD[entry.kind]} {entry.name}"
