"""What proxies of a mesh are told of names: outbounds at addresses, and the names of these. Pure.

`Resolvable` is of the whole mesh; `for_reachable` gives what is left for a class of proxies. Parts
that stay the same are the same objects, and a class whose part of a change is nothing keeps its
own.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from ipaddress import IPv4Address, ip_address
from typing import TYPE_CHECKING, TypeAlias

from rpds import HashTrieMap

from reconciler.match import service_of
from reconciler.model.resource import Labels
from reconciler.model.spec import Outbound, ReachableBackend, TagDestination, TransparentProxying
from reconciler.real import EXTERNAL
from reconciler.vips.entries import KINDS, REAL, Entry, Holder
from reconciler.vips.pieces import Domain, Held, Piece
from xds.memo import Key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from reconciler.real import Real, Reals

EXCLUSIVE, REACHABLE_BACKENDS = "Exclusive", "ReachableBackends"
CLASSES_MAX = 4_096  # of proxies that are told different things; beyond, who asked longest ago

MOMENTS_MAX = 8  # earlier ones of which is known what differs

_Class: TypeAlias = "tuple[str, Reach]"
_Leading: TypeAlias = "HashTrieMap[str, frozenset[Entry]]"  # by service: what leads to its tag


@dataclass(frozen=True, slots=True)
class Reach(Key):
    """What a Dataplane says it calls. `services` empty: all of them; `backends` None: nothing is
    said, empty: none of them.
    """

    services: frozenset[str] = frozenset()
    backends: tuple[ReachableBackend, ...] | None = None

    @classmethod
    def of(cls, said: TransparentProxying) -> Reach:
        return cls(frozenset(said.reachable_services), said.reachable_backends)


EVERYTHING = Reach()


@dataclass(frozen=True, slots=True, eq=False)
class Resolvable:
    """`outbounds` by address and port, each place once; `domains` by name, only those of addresses
    at which there is an outbound. Addresses are as they were given: `mapped` is their other form.

    `_since`: earlier moments, and the entries that differ from them. `_classes` is handed on from
    one to the next: what each class was told last, and what it was found by, who asked last at the
    end.
    """

    outbounds: tuple[Outbound, ...] = ()
    domains: tuple[Domain, ...] = ()
    _held: Held = field(default_factory=Held, repr=False)
    _since: tuple[tuple[Held, frozenset[Entry]], ...] = field(default=(), repr=False)
    _classes: dict[_Class, _Known] = field(default_factory=dict, repr=False)
    _leading: _Leading = field(default_factory=HashTrieMap, repr=False)

    def followed(
        self,
        holders: Mapping[Entry, Holder],
        addresses: Mapping[Entry, str],
        differing: Iterable[Entry],
    ) -> Resolvable:
        """After a change of the holders or addresses of these entries. The same object when there
        is none.
        """
        changes: dict[Entry, Piece | None] = {}
        for entry in differing:
            holder = holders.get(entry)
            address = "" if holder is None else holder.address or addresses.get(entry, "")
            changes[entry] = None
            if holder is not None and address:
                ports = holder.ports
                found = tuple([Outbound(address, p.port, p.destination) for p in ports])
                changes[entry] = Piece(holder, address, found)
        held = self._held.put(changes)
        if held is self._held:
            return self
        touched = frozenset(changes)
        earlier = ((at, entries | touched) for at, entries in self._since[: MOMENTS_MAX - 1])
        since = (self._held, touched), *earlier
        leading = self._led(changes)
        return Resolvable(*self._flat(held), held, since, self._classes, leading)

    def _led(self, changes: Mapping[Entry, Piece | None]) -> _Leading:
        """Each service is looked at once: a thousand entries may lead to it."""
        leading = self._leading
        lost: defaultdict[str, set[Entry]] = defaultdict(set)
        won: defaultdict[str, set[Entry]] = defaultdict(set)
        for entry, now in changes.items():
            before, after = _services(self._held.pieces.get(entry)), _services(now)
            for service in before - after:
                lost[service].add(entry)
            for service in after - before:
                won[service].add(entry)
        for service in {*lost, *won}:
            left = leading.get(service, NOTHING) - lost[service] | won[service]
            leading = leading.insert(service, left) if left else leading.remove(service)
        return leading

    def _flat(self, held: Held) -> tuple[tuple[Outbound, ...], tuple[Domain, ...]]:
        return (
            self.outbounds if held.places is self._held.places else tuple(held.places),
            self.domains if held.names is self._held.names else tuple(held.names),
        )

    def for_reachable(self, mode: str, reach: Reach, reals: Reals, zone: str) -> Resolvable:
        """For proxies that say so, in a mesh with this `meshServices.mode`; the same object for all
        of them, and after a change that is nothing to them.
        """
        if reach == EVERYTHING and mode not in (EXCLUSIVE, REACHABLE_BACKENDS):
            return self
        key, nobody = (mode, reach), _Known(self._held, None, None, Resolvable())
        known = self._classes.pop(key, None)
        chosen = None if known is None else known.chosen
        if reach.backends is not None and (known is None or known.reals is not reals):
            chosen = _chosen(reach.backends, reals, zone)
        same = known is not None and known.chosen == chosen
        if known is not None and same and known.held is self._held:
            self._classes[key] = known
            return known.result
        while len(self._classes) >= CLASSES_MAX:
            del self._classes[next(iter(self._classes))]
        before = (known or nobody).result
        few = self._few(mode, reach, chosen)
        touched = self._touched(known.held) if few is None and known is not None and same else None
        entries: Iterable[Entry] | None = touched
        if entries is None:
            entries = {*(self._held.pieces if few is None else few), *before._held.pieces}
        kept = _keeping(mode, reach, chosen)
        pieces = ((entry, self._held.pieces.get(entry)) for entry in entries)
        held = before._held.put({e: p and kept(e, p) for e, p in pieces})
        found = before
        if held is not before._held:
            found = Resolvable(*before._flat(held), held)
        self._classes[key] = _Known(self._held, reals, chosen, found)
        return found

    def _few(
        self, mode: str, reach: Reach, chosen: Mapping[Entry, frozenset[int]] | None
    ) -> set[Entry] | None:
        """Whatever a class may have that says which it calls; None: it does not."""
        if mode != EXCLUSIVE and not reach.services:
            return None
        if chosen is None and not _has_none_real(mode, reach):
            return None
        found = set(chosen or ())
        if mode != EXCLUSIVE:
            found.update(*(self._leading.get(service, NOTHING) for service in reach.services))
        return found

    def _touched(self, at: Held) -> frozenset[Entry] | None:
        """What differs from an earlier moment; None: nobody knows."""
        return next((entries for held, entries in self._since if held is at), None)


def mapped(address: str) -> str | None:
    """An IPv4 address as IPv6 has it, in Kuma's words; None for what is IPv6."""
    found = ip_address(address)
    if not isinstance(found, IPv4Address):
        return None
    number = int(found)
    return f"::ffff:{number >> 16:x}:{number & 0xFFFF:x}"


@dataclass(frozen=True, slots=True, eq=False)
class _Known:
    """What a class was told last. `held`: of the mesh then."""

    held: Held
    reals: Reals | None
    chosen: Mapping[Entry, frozenset[int]] | None
    result: Resolvable


# --- what a Dataplane says it calls ---


def _keeping(
    mode: str, reach: Reach, chosen: Mapping[Entry, frozenset[int]] | None
) -> Callable[[Entry, Piece], Piece | None]:
    """As Kuma decides, but for what may call what by MeshTrafficPermission, which is off there."""
    none_real = chosen is None and _has_none_real(mode, reach)
    to_services = _to(reach.services)

    def kept(entry: Entry, piece: Piece) -> Piece | None:
        if entry.kind not in KINDS:
            if mode == EXCLUSIVE:
                return None
            return piece.only(to_services) if reach.services else piece
        if chosen is not None:
            ports = chosen.get(entry, NO_PORTS)
            return piece.only(lambda outbound: outbound.port in ports)
        return None if none_real else piece

    return kept


NO_PORTS: frozenset[int] = frozenset()
NOTHING: frozenset[Entry] = frozenset()


def _has_none_real(mode: str, reach: Reach) -> bool:
    """Of real services, where it says none of them."""
    return bool(reach.services) or mode == REACHABLE_BACKENDS


def _services(piece: Piece | None) -> set[str]:
    """That it leads to by their tags."""
    leading = (outbound.destination for outbound in piece.outbounds) if piece is not None else ()
    return {service_of(to.tags) for to in leading if isinstance(to, TagDestination)}


def _to(services: frozenset[str]) -> Callable[[Outbound], bool]:
    def leads(outbound: Outbound) -> bool:
        to = outbound.destination
        return isinstance(to, TagDestination) and service_of(to.tags) in services

    return leads


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
