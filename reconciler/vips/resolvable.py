"""What proxies of a mesh are told of names: outbounds at addresses, and the names of these. Pure.

`Resolvable` is of the whole mesh; `for_reachable` gives what is left for a class of proxies. Parts
that stay the same are the same objects, and a class whose part of a change is nothing keeps its
own.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Address, ip_address
from typing import TYPE_CHECKING, TypeAlias

from rpds import HashTrieMap

from reconciler.match import service_of
from reconciler.model.resource import Labels
from reconciler.model.spec import Outbound, ReachableBackend, TagDestination, TransparentProxying
from reconciler.real import EXTERNAL
from reconciler.vips.entries import KINDS, REAL, Entry, Holder
from reconciler.vips.wanted import precedence

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Mapping

    from reconciler.real import Real, Reals

EXCLUSIVE, REACHABLE_BACKENDS = "Exclusive", "ReachableBackends"
CLASSES_MAX = 1_024  # of proxies that are told different things; beyond, all are found anew

Domain = tuple[str, tuple[str, ...]]  # a name and its addresses
_Class: TypeAlias = "tuple[str, Reach]"


@dataclass(frozen=True, slots=True)
class Reach:
    """What a Dataplane says it calls. `services` empty: all of them; `backends` None: nothing is
    said, empty: none of them.
    """

    services: frozenset[str] = frozenset()
    backends: tuple[ReachableBackend, ...] | None = None

    @classmethod
    def of(cls, said: TransparentProxying) -> Reach:
        return cls(frozenset(said.reachable_services), said.reachable_backends)


@dataclass(frozen=True, slots=True)
class _Piece:
    """An entry at its address."""

    holder: Holder
    address: str
    outbounds: tuple[Outbound, ...]

    def only(self, kept: Callable[[Outbound], bool]) -> _Piece:
        left = tuple([each for each in self.outbounds if kept(each)])
        return self if len(left) == len(self.outbounds) else _Piece(self.holder, self.address, left)


Pieces: TypeAlias = "HashTrieMap[Entry, _Piece]"


@dataclass(frozen=True, slots=True, eq=False)
class Resolvable:
    """`outbounds` by address and port, each place once; `domains` by name, only those of addresses
    at which there is an outbound. Addresses are as they were given: `mapped` is their other form.

    `_classes` is handed on from one to the next: what each was told last, and what it was found by.
    """

    outbounds: tuple[Outbound, ...] = ()
    domains: tuple[Domain, ...] = ()
    _pieces: Pieces = field(default_factory=HashTrieMap, repr=False)
    _classes: dict[_Class, tuple[Pieces, Reals, Resolvable]] = field(
        default_factory=dict, repr=False
    )

    def followed(
        self,
        holders: Mapping[Entry, Holder],
        addresses: Mapping[Entry, str],
        differing: Iterable[Entry],
    ) -> Resolvable:
        """After a change of the holders or addresses of these entries. The same object when there
        is none.
        """
        pieces, same = self._pieces, True
        for entry in differing:
            holder, known = holders.get(entry), pieces.get(entry)
            address = "" if holder is None else holder.address or addresses.get(entry, "")
            if holder is None or not address:
                pieces, same = pieces.discard(entry), same and known is None
                continue
            ports = holder.ports
            found = tuple([Outbound(address, p.port, p.destination) for p in ports])
            piece = _Piece(holder, address, found)
            if piece != known:
                pieces, same = pieces.insert(entry, piece), False
        return self if same else Resolvable(*_flat(pieces, self), pieces, self._classes)

    def for_reachable(self, mode: str, reach: Reach, reals: Reals, zone: str) -> Resolvable:
        """For proxies that say so, in a mesh with this `meshServices.mode`; the same object for all
        of them, and after a change that is nothing to them.
        """
        key = mode, reach
        known = self._classes.get(key)
        if known is not None and known[0] is self._pieces and known[1] is reals:
            return known[2]
        if known is None and len(self._classes) >= CLASSES_MAX:
            self._classes.clear()
        pieces = _kept(self._pieces, mode, reach, reals, zone)
        before = known[2] if known is not None else Resolvable()
        found = Resolvable(*_flat(pieces, before), pieces)
        if found.outbounds is before.outbounds and found.domains is before.domains:
            found = before
        self._classes[key] = self._pieces, reals, found
        return found

    def domains_at(self, addresses: Container[str]) -> tuple[Domain, ...]:
        """The names of these addresses alone."""
        found = ((name, tuple(a for a in at if a in addresses)) for name, at in self.domains)
        return tuple((name, at) for name, at in found if at)


def mapped(address: str) -> str | None:
    """An IPv4 address as IPv6 has it, in Kuma's words; None for what is IPv6."""
    found = ip_address(address)
    if not isinstance(found, IPv4Address):
        return None
    number = int(found)
    return f"::ffff:{number >> 16:x}:{number & 0xFFFF:x}"


def _flat(pieces: Pieces, before: Resolvable) -> tuple[tuple[Outbound, ...], tuple[Domain, ...]]:
    """Outbounds and domains: those of before where they are the same."""
    held = [pieces[entry] for entry in sorted(pieces) if pieces[entry].outbounds]
    places: dict[tuple[str, int], Outbound] = {}
    names: dict[str, tuple[tuple[int, bool, str], str]] = {}
    for piece in held:
        for outbound in piece.outbounds:
            places.setdefault((outbound.address, outbound.port), outbound)
        for name in piece.holder.names:
            mine = precedence(piece.holder, name), piece.address
            names[name] = min(mine, names.get(name, mine))
    outbounds = tuple([places[place] for place in sorted(places)])
    domains: tuple[Domain, ...] = tuple([(name, (names[name][1],)) for name in sorted(names)])
    return (
        before.outbounds if before.outbounds == outbounds else outbounds,
        before.domains if before.domains == domains else domains,
    )


# --- what a Dataplane says it calls ---


def _kept(pieces: Pieces, mode: str, reach: Reach, reals: Reals, zone: str) -> Pieces:
    """As Kuma decides, but for what may call what by MeshTrafficPermission, which is off there."""
    chosen = None if reach.backends is None else _chosen(reach.backends, reals, zone)
    none_real = chosen is None and (bool(reach.services) or mode == REACHABLE_BACKENDS)
    kept: dict[Entry, _Piece] = {}
    for entry, piece in pieces.items():
        if entry.kind not in KINDS:
            if mode != EXCLUSIVE:
                kept[entry] = piece.only(_to(reach.services)) if reach.services else piece
        elif chosen is not None:
            kept[entry] = piece.only(_at(chosen.get(entry, NO_PORTS)))
        elif not none_real:
            kept[entry] = piece
    return HashTrieMap(kept)


NO_PORTS: frozenset[int] = frozenset()


def _to(services: frozenset[str]) -> Callable[[Outbound], bool]:
    def leads(outbound: Outbound) -> bool:
        to = outbound.destination
        return isinstance(to, TagDestination) and service_of(to.tags) in services

    return leads


def _at(ports: Container[int]) -> Callable[[Outbound], bool]:
    return lambda outbound: outbound.port in ports


def _chosen(
    backends: Iterable[ReachableBackend], reals: Reals, zone: str
) -> dict[Entry, frozenset[int]]:
    """The ports of real resources. A MeshExternalService has one, whatever the reference says."""
    found: dict[Entry, frozenset[int]] = {}
    for ref in backends:
        for real in _meant(ref, reals, zone):
            ports = frozenset(port.port for port in real.ports)
            if ref.port and ref.kind != EXTERNAL:
                ports &= {ref.port}
            entry = Entry(REAL[ref.kind], real.key.name)
            found[entry] = found.get(entry, NO_PORTS) | ports
    return found


def _meant(ref: ReachableBackend, reals: Reals, zone: str) -> list[Real]:
    """By labels all that have them; by name what the zone has, or nobody's zone."""
    if ref.labels or ref.kind not in REAL:
        return reals.labelled(ref.kind, Labels(ref.labels)) if ref.labels else []
    named = (reals.by_key[key] for key in sorted(reals.shown.get(ref.name, ())))
    found = [real for real in named if real.key.type == ref.kind and real.is_local(zone)]
    found = [real for real in found if ref.namespace in ("", real.namespace)]
    return sorted(found, key=lambda real: not real.zone)[:1]
