"""Entries at their addresses, and what they come to together: who is at a place, and whose a name
is. Pure.

A change costs what differs: places and names are sorted in chunks, which versions share.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from rpds import HashTrieMap

from reconciler.collection import Sorted
from reconciler.vips.wanted import precedence

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from reconciler.model.spec import Outbound
    from reconciler.vips.entries import Entry, Holder

Domain = tuple[str, tuple[str, ...]]  # a name and its addresses
Owners: TypeAlias = "HashTrieMap[str, tuple[Entry, ...]]"  # the first has it
Touched: TypeAlias = "dict[str, set[Entry]]"
T = TypeVar("T")


def place_of(outbound: Outbound) -> str:
    """Sorts as address and port do."""
    return f"{outbound.address} {outbound.port:05}"


def name_of(domain: Domain) -> str:
    return domain[0]


@dataclass(frozen=True, slots=True)
class Piece:
    """An entry at its address."""

    holder: Holder
    address: str
    outbounds: tuple[Outbound, ...]

    def only(self, kept: Callable[[Outbound], bool]) -> Piece:
        left = tuple([each for each in self.outbounds if kept(each)])
        return self if len(left) == len(self.outbounds) else Piece(self.holder, self.address, left)

    def at(self, place: str) -> Outbound | None:
        return next((each for each in self.outbounds if place_of(each) == place), None)


@dataclass(frozen=True, slots=True, eq=False)
class Held:
    """`places`: each once, of the first entry that is there. `names`: each with the address of
    whoever has it. Of entries without an outbound nothing is held.
    """

    pieces: HashTrieMap[Entry, Piece] = field(default_factory=HashTrieMap)
    places: Sorted[Outbound] = field(default_factory=lambda: Sorted(place_of))
    names: Sorted[Domain] = field(default_factory=lambda: Sorted(name_of))
    _there: Owners = field(default_factory=HashTrieMap, repr=False)  # by place
    _named: Owners = field(default_factory=HashTrieMap, repr=False)  # by name

    def put(self, changes: Mapping[Entry, Piece | None]) -> Held:
        """With other pieces; None: without one. The same object when nothing differs."""
        pieces = self.pieces
        places: Touched = {}
        names: Touched = {}
        for entry, piece in changes.items():
            now, was = piece if piece is not None and piece.outbounds else None, pieces.get(entry)
            if now == was:
                continue
            pieces = pieces.insert(entry, now) if now is not None else pieces.remove(entry)
            for each in (was, now):
                if each is not None:
                    for outbound in each.outbounds:
                        places.setdefault(place_of(outbound), set()).add(entry)
                    for name in each.holder.names:
                        names.setdefault(name, set()).add(entry)
        if not places:
            return self
        there, outbounds = _there(pieces, self._there, places)
        named, domains = _named(pieces, self._named, names)
        found = _changed(self.places, outbounds), _changed(self.names, domains)
        return Held(pieces, *found, there, named)


def _there(
    pieces: HashTrieMap[Entry, Piece], owners: Owners, touched: Touched
) -> tuple[Owners, dict[str, Outbound | None]]:
    found: dict[str, Outbound | None] = {}
    for place, entries in touched.items():
        may = entries.union(owners.get(place, ())) if place in owners else entries
        held = {e: at for e in may if e in pieces and (at := pieces[e].at(place)) is not None}
        order = tuple(sorted(held))
        owners = owners.insert(place, order) if order else owners.discard(place)
        found[place] = held[order[0]] if order else None
    return owners, found


def _named(
    pieces: HashTrieMap[Entry, Piece], owners: Owners, touched: Touched
) -> tuple[Owners, dict[str, Domain | None]]:
    found: dict[str, Domain | None] = {}
    for name, entries in touched.items():
        may = entries.union(owners.get(name, ())) if name in owners else entries
        held = [e for e in may if e in pieces and name in pieces[e].holder.names]
        held.sort(key=lambda each: precedence(pieces[each].holder, name))
        owners = owners.insert(name, tuple(held)) if held else owners.discard(name)
        found[name] = (name, (pieces[held[0]].address,)) if held else None
    return owners, found


def _changed(before: Sorted[T], found: dict[str, T | None]) -> Sorted[T]:
    differing = {key: thing for key, thing in found.items() if before.get(key) != thing}
    return before.changed(differing) if differing else before
