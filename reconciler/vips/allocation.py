"""Which address each name has. Pure.

An entry keeps its address for as long as it is there. New ones are given in the order of entries,
each the lowest that is free, as Kuma's are: services, hosts and names of VirtualOutbounds by mesh,
each mesh beginning anew, MeshServices and their kin from one pool for all meshes.

An address that is given back is held for its entry, which has it again when it returns. Nobody else
gets it for an hour: answers are good for 30 s, but a resolver may keep what it likes, and some
applications ask once. Where a pool is empty, the one given back first goes first, and never within
five minutes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING, TypeAlias

from rpds import HashTrieMap

from reconciler.vips.entries import Entry, EntryKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

HOLD_S = 3600.0
HOLD_MIN_S = 300.0
SHARE, SHARES = 65_536, 126  # of a pool, for who begins anew: of a /8 the first half
SHARED = ""  # the scope of what is of all meshes; no mesh is called so

Network: TypeAlias = "IPv4Network | IPv6Network"
Owner: TypeAlias = "tuple[str, Entry]"  # mesh and entry
Place: TypeAlias = "tuple[str, str]"  # scope (a mesh, or SHARED) and address
Pool: TypeAlias = "tuple[str, EntryKind]"  # scope and kind, one for those of a mesh
Addresses: TypeAlias = "HashTrieMap[Entry, str]"

NONE: Addresses = HashTrieMap()
FREE: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Pools:
    """Where addresses are from, each an IPv4 or IPv6 network. They may overlap."""

    legacy: Network = field(default_factory=lambda: IPv4Network("240.0.0.0/4"))
    mesh_service: Network = field(default_factory=lambda: IPv4Network("241.0.0.0/8"))
    external: Network = field(default_factory=lambda: IPv4Network("242.0.0.0/8"))
    multi_zone: Network = field(default_factory=lambda: IPv4Network("243.0.0.0/8"))

    @classmethod
    def of(
        cls,
        legacy: str = "240.0.0.0/4",
        mesh_service: str = "241.0.0.0/8",
        external: str = "242.0.0.0/8",
        multi_zone: str = "243.0.0.0/8",
    ) -> Pools:
        """Raises ValueError for what is no network."""
        texts = (legacy, mesh_service, external, multi_zone)
        return cls(*(ip_network(text, strict=False) for text in texts))

    def network(self, kind: EntryKind) -> Network:
        match kind:
            case EntryKind.MESH_SERVICE:
                return self.mesh_service
            case EntryKind.EXTERNAL:
                return self.external
            case EntryKind.MULTI_ZONE:
                return self.multi_zone
            case _:
                return self.legacy


@dataclass(frozen=True, slots=True)
class Changes:
    """`exhausted`: what has no address, because its pool has none left."""

    given: tuple[tuple[Entry, str], ...] = ()
    taken_back: tuple[tuple[Entry, str], ...] = ()
    exhausted: tuple[Entry, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.given or self.taken_back or self.exhausted)


@dataclass(frozen=True, slots=True)
class Released:
    """Who had an address, and since when it has not. In seconds of the epoch."""

    owner: Owner
    since: float


@dataclass(frozen=True, slots=True, eq=False)
class Allocations:
    """Of one zone. `held`: by mesh. `released`: by place, what is held back.

    The rest follows from these. `_back`: where an owner was before. `_scopes`: by address, in which
    scopes it is not free. `_lowest`: by scope and kind of pool, the number of addresses from its
    beginning of which none is free.
    """

    pools: Pools = field(default_factory=Pools)
    skipped: int = 0  # addresses at the beginning of each pool that nobody is given
    held: HashTrieMap[str, Addresses] = field(default_factory=HashTrieMap)
    released: HashTrieMap[Place, Released] = field(default_factory=HashTrieMap)
    _back: HashTrieMap[Owner, tuple[Place, ...]] = field(default_factory=HashTrieMap, repr=False)
    _scopes: HashTrieMap[str, frozenset[str]] = field(default_factory=HashTrieMap, repr=False)
    _lowest: HashTrieMap[Pool, int] = field(default_factory=HashTrieMap, repr=False)

    def of(self, mesh: str) -> Addresses:
        """By entry."""
        return self.held.get(mesh, NONE)

    @property
    def meshes(self) -> tuple[str, ...]:
        """Those that hold any. One that is gone gives its own back by `followed` with nothing."""
        return tuple(sorted(self.held))

    def followed(
        self, mesh: str, wanted: Iterable[Entry], now: float, pools: Pools
    ) -> tuple[Allocations, Changes]:
        """With exactly these entries of the mesh; otherwise as `changed`."""
        entries, had = frozenset(wanted), self.of(mesh)
        return self.changed(mesh, entries, [e for e in had if e not in entries], now, pools)

    def changed(
        self, mesh: str, come: Iterable[Entry], gone: Iterable[Entry], now: float, pools: Pools
    ) -> tuple[Allocations, Changes]:
        """With these entries of the mesh, which may be there already, and without those.

        The same object when nothing differs. `now`: seconds of the epoch, as they are stored. With
        other pools, what is outside of them is given back, and given anew to what is in `come`.
        """
        work = _Work.on(self)
        if pools != self.pools:
            work.move(pools, now)
        had = [(entry, work.release(mesh, entry, now)) for entry in sorted(set(gone))]
        held = work.held.get(mesh, NONE)
        missing = sorted({entry for entry in come if entry not in held})
        if missing:
            work.forget(now)
        given: list[tuple[Entry, str]] = []
        exhausted: list[Entry] = []
        for entry in missing:
            address = work.give(mesh, entry, now)
            if address is None:
                exhausted.append(entry)
            else:
                given.append((entry, address))
        back = tuple((entry, address) for entry, address in had if address is not None)
        after = work.done() if given or back or pools != self.pools else self
        return after, Changes(tuple(given), back, tuple(exhausted))

    @classmethod
    def anew(cls, now: float) -> Allocations:
        """After a loss of all that was given: none of it is given to anybody else while somebody
        may remember it. Where a pool begins then is another place each hour.
        """
        return cls(skipped=SHARE * (1 + int(now // HOLD_S) % SHARES))

    @classmethod
    def restored(
        cls,
        pools: Pools,
        held: Mapping[str, Mapping[Entry, str]],
        released: Mapping[Place, Released],
        skipped: int = 0,
    ) -> Allocations:
        """From what is stored. Raises ValueError where it cannot have been."""
        work = _Work.on(cls(pools, skipped))
        for mesh, addresses in held.items():
            for entry, address in addresses.items():
                if not _is_in(pools.network(entry.kind), address):
                    raise ValueError(f"{address} of {mesh}/{entry.name} is outside of its pool")
                work.hold(mesh, entry, address)
        for place, back in released.items():
            work.hold_back(place, back)
        return work.done()


@dataclass(slots=True)
class _Work:
    """Allocations that are being changed."""

    pools: Pools
    skipped: int
    held: HashTrieMap[str, Addresses]
    released: HashTrieMap[Place, Released]
    back: HashTrieMap[Owner, tuple[Place, ...]]
    scopes: HashTrieMap[str, frozenset[str]]
    lowest: HashTrieMap[Pool, int]

    @classmethod
    def on(cls, of: Allocations) -> _Work:
        return cls(of.pools, of.skipped, of.held, of.released, of._back, of._scopes, of._lowest)

    def done(self) -> Allocations:
        parts = (self.held, self.released, self.back, self.scopes, self.lowest)
        return Allocations(self.pools, self.skipped, *parts)

    # --- taking and giving back ---

    def hold(self, mesh: str, entry: Entry, address: str) -> None:
        self._occupy((scope_of(mesh, entry.kind), address))
        self._held(mesh, entry, address)

    def _held(self, mesh: str, entry: Entry, address: str) -> None:
        self.held = self.held.insert(mesh, self.held.get(mesh, NONE).insert(entry, address))

    def hold_back(self, place: Place, back: Released) -> None:
        self._occupy(place)
        self._backed(place, back)

    def _backed(self, place: Place, back: Released) -> None:
        self.released = self.released.insert(place, back)
        self.back = self.back.insert(back.owner, (*self.back.get(back.owner, ()), place))

    def _occupy(self, place: Place) -> None:
        scope, address = place
        scopes = self.scopes.get(address, FREE)
        if scope in scopes:
            raise ValueError(f"{address} is there twice")
        self.scopes = self.scopes.insert(address, scopes | {scope})

    def release(self, mesh: str, entry: Entry, now: float) -> str | None:
        """The address that it had."""
        held = self.held.get(mesh, NONE)
        address = held.get(entry)
        if address is None:
            return None
        left = held.remove(entry)
        self.held = self.held.insert(mesh, left) if len(left) else self.held.remove(mesh)
        self._backed((scope_of(mesh, entry.kind), address), Released((mesh, entry), now))
        return address

    def _taken_from(self, place: Place) -> None:
        """It is held back no longer; it stays occupied."""
        owner = self.released[place].owner
        self.released = self.released.remove(place)
        left = tuple(p for p in self.back[owner] if p != place)
        self.back = self.back.insert(owner, left) if left else self.back.remove(owner)

    def move(self, pools: Pools, now: float) -> None:
        """Into other pools; whoever is in them stays where it is."""
        self.pools, self.lowest = pools, HashTrieMap()
        for mesh, addresses in sorted(self.held.items()):
            for entry in sorted(addresses):
                if not _is_in(pools.network(entry.kind), addresses[entry]):
                    self.release(mesh, entry, now)

    def forget(self, now: float) -> None:
        """What was held back long enough is free. A clock that was ahead begins anew."""
        freed: list[Place] = []
        for place, back in sorted(self.released.items()):
            if back.since > now:
                self.released = self.released.insert(place, Released(back.owner, now))
            elif now - back.since > HOLD_S:
                freed.append(place)
        for place in freed:
            self._taken_from(place)
            scope, address = place
            left = self.scopes[address] - {scope}
            free = self.scopes.insert(address, left) if left else self.scopes.remove(address)
            self.scopes = free
        for (scope, kind), lowest in self.lowest.items() if freed else ():
            network = self.pools.network(kind)
            offsets = [_offset(network, a) for s, a in freed if SHARED in (s, scope) or s == scope]
            least = min((o for o in offsets if o is not None), default=lowest)
            if least < lowest:
                self.lowest = self.lowest.insert((scope, kind), least)

    def give(self, mesh: str, entry: Entry, now: float) -> str | None:
        """The one that it had, else the lowest that is free, else one that is held back."""
        scope, network = scope_of(mesh, entry.kind), self.pools.network(entry.kind)
        places = self.back.get((mesh, entry), ())
        may = [place for place in places if _is_in(network, place[1])]
        if may:
            place = max(may, key=lambda p: (self.released[p].since, p))
            self._taken_from(place)
            self._held(mesh, entry, place[1])
            return place[1]
        address = self._free(scope, entry.kind)
        if address is not None:
            self.hold(mesh, entry, address)
            return address
        old = [
            (back.since, int(ip_address(place[1])), place)
            for place, back in self.released.items()
            if place[0] == scope and now - back.since >= HOLD_MIN_S and _is_in(network, place[1])
        ]
        if not old:
            return None
        place = min(old)[2]
        self._taken_from(place)
        self._held(mesh, entry, place[1])
        return place[1]

    def _free(self, scope: str, kind: EntryKind) -> str | None:
        network, pool = self.pools.network(kind), (scope, _pool(kind))
        size = network.num_addresses
        at = self.lowest.get(pool, self.skipped if 2 * self.skipped <= size else 0)
        found = None
        while at < size:
            address = str(network[at])
            scopes = self.scopes.get(address, FREE)
            if not scopes or (scope != SHARED and scopes.isdisjoint((scope, SHARED))):
                found = address
                break
            at += 1
        self.lowest = self.lowest.insert(pool, at)
        return found


def scope_of(mesh: str, kind: EntryKind) -> str:
    return SHARED if kind >= EntryKind.MESH_SERVICE else mesh


def _pool(kind: EntryKind) -> EntryKind:
    return kind if kind >= EntryKind.MESH_SERVICE else EntryKind.SERVICE


def _is_in(network: Network, address: str) -> bool:
    return _offset(network, address) is not None


def _offset(network: Network, address: str) -> int | None:
    found = ip_address(address)
    if found.version != network.version:
        return None
    offset = int(found) - int(network.network_address)
    return offset if 0 <= offset < network.num_addresses else None
