"""All proxies of a zone: a persistent map by node id, which knows what is asked of all of them
again and again, so that no step looks at each. Pure.

What is derived follows from the proxies alone and changes with the one that is put; `proxies_of`
says it the plain way.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from rpds import HashTrieMap, HashTrieSet

from xds.copying import replace

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from reconciler.model.resource import ResourceKey
    from reconciler.steps.proxy_state import Proxy

    Nodes = HashTrieSet[str]

Member = TypeVar("Member")
Group = TypeVar("Group")

NOBODY: HashTrieSet[str] = HashTrieSet()


@dataclass(frozen=True, slots=True)
class Proxies:
    """Every set holds node ids but `absent`; they are in no order: sort what is sent or shown."""

    by_node: HashTrieMap[str, Proxy] = field(default_factory=HashTrieMap)
    connected: HashTrieMap[str, Nodes] = field(
        default_factory=HashTrieMap
    )  # with a stream, by mesh
    users: HashTrieMap[tuple[str, str], Nodes] = field(
        default_factory=HashTrieMap
    )  # (mesh, service) -> connected proxies whose view depends on it
    absent: HashTrieSet[ResourceKey] = field(default_factory=HashTrieSet)  # endpoints are out
    away: Nodes = NOBODY  # without a stream, to be deregistered or held
    retiring: Nodes = NOBODY  # with clusters to be taken out
    pending: Nodes = NOBODY  # connected, without all that they are to have
    watched: Nodes = NOBODY  # connected, that refuse something, or whose certificate is on its way
    failed: Nodes = NOBODY  # connected, whose newest view could not be built
    counted: Nodes = NOBODY  # whose counters have changed since they were told
    uncertified: Nodes = NOBODY  # connected, whose first certificate is awaited or one has failed
    coming: Nodes = NOBODY  # connected, on the way to their first listeners
    lagging: Nodes = NOBODY  # connected, with their first listeners, and an answer is awaited

    def get(self, node: str) -> Proxy | None:
        return self.by_node.get(node)

    def __getitem__(self, node: str) -> Proxy:
        return self.by_node[node]

    def __contains__(self, node: str) -> bool:
        return node in self.by_node

    def __len__(self) -> int:
        return len(self.by_node)

    def items(self) -> Iterable[tuple[str, Proxy]]:
        return self.by_node.items()

    def values(self) -> Iterable[Proxy]:
        """All of them, in no order: a millisecond for 1,000."""
        return self.by_node.values()

    def those(self, nodes: Iterable[str]) -> list[Proxy]:
        """Sorted by node id."""
        return [self.by_node[node] for node in sorted(nodes)]

    def in_mesh(self, mesh: str) -> Collection[str]:
        """Connected ones."""
        return self.connected.get(mesh) or NOBODY

    def insert(self, node: str, proxy: Proxy) -> Proxies:
        before = self.by_node.get(node)
        if before is not None and _is_as_it_was(before, proxy):
            return self._exchanged(before, proxy)
        online = proxy.stream is not None
        coming = online and proxy.is_coming
        return Proxies(
            self.by_node.insert(node, proxy),
            _grouped(self.connected, proxy.key.mesh, node, online),
            self._used(before, proxy),
            _with(self.absent, proxy.key, not proxy.present),
            _with(self.away, node, not online and proxy.is_awaited),
            _with(self.retiring, node, proxy.retire_at is not None),
            _with(self.pending, node, online and not proxy.is_current),
            _with(self.watched, node, online and proxy.is_watched),
            _with(self.failed, node, online and proxy.failed),
            _with(self.counted, node, online and proxy.has_counted),
            _with(self.uncertified, node, online and proxy.lacks_certificate),
            _with(self.coming, node, coming),
            _with(self.lagging, node, online and not coming and proxy.ads.in_flight),
        )

    def _exchanged(self, before: Proxy, proxy: Proxy) -> Proxies:
        """What most inserts are: after a response, or an answer to one. Most of the sets stay."""
        node, coming, ads = proxy.node_id, proxy.is_coming, proxy.ads
        retiring, watched = self.retiring, self.watched
        if proxy.retire_at is not before.retire_at:
            retiring = _with(retiring, node, proxy.retire_at is not None)
        if ads.rejects is not before.ads.rejects:  # All else that is watched is as it was.
            watched = _with(watched, node, proxy.is_watched)
        in_flight = ads.in_flight
        return replace(
            self,
            by_node=self.by_node.insert(node, proxy),
            users=self._used(before, proxy),
            retiring=retiring,
            pending=_with(self.pending, node, in_flight or not proxy.is_current),
            watched=watched,
            counted=_with(self.counted, node, proxy.has_counted),
            coming=_with(self.coming, node, coming),
            lagging=_with(self.lagging, node, in_flight and not coming),
        )

    def remove(self, node: str) -> Proxies:
        proxy = self.by_node[node]
        return Proxies(
            self.by_node.remove(node),
            _grouped(self.connected, proxy.key.mesh, node, False),
            self._used(proxy, None),
            _with(self.absent, proxy.key, False),
            _with(self.away, node, False),
            _with(self.retiring, node, False),
            _with(self.pending, node, False),
            _with(self.watched, node, False),
            _with(self.failed, node, False),
            _with(self.counted, node, False),
            _with(self.uncertified, node, False),
            _with(self.coming, node, False),
            _with(self.lagging, node, False),
        )

    def _used(
        self, before: Proxy | None, after: Proxy | None
    ) -> HashTrieMap[tuple[str, str], Nodes]:
        had = before.services if before is not None else ()
        has = after.services if after is not None else ()
        if had is has or had == has:
            return self.users
        users = self.users
        for proxy, services, member in ((before, had, False), (after, has, True)):
            for service in services:
                assert proxy is not None
                users = _grouped(users, (proxy.key.mesh, service), proxy.node_id, member)
        return users


def proxies_of(proxies: Iterable[Proxy]) -> Proxies:
    found = Proxies()
    for proxy in proxies:
        found = found.insert(proxy.node_id, proxy)
    return found


def _is_as_it_was(before: Proxy, proxy: Proxy) -> bool:
    """But for what it was sent and has answered, and what it depends on. The sets that
    `_exchanged` leaves alone follow from what is compared here.
    """
    return (
        proxy.stream is not None
        and before.stream == proxy.stream
        and before.identities is proxy.identities
        and (before.snapshot is None) is (proxy.snapshot is None)
        and before.listening is proxy.listening
        and before.leaving is proxy.leaving
        and before.failed is proxy.failed
        and before.lost_at == proxy.lost_at
        and before.held_until == proxy.held_until
    )


def _with(members: HashTrieSet[Member], one: Member, wanted: bool) -> HashTrieSet[Member]:
    if not (wanted or members):  # Most are empty nearly always.
        return members
    if (one in members) is wanted:
        return members
    return members.insert(one) if wanted else members.discard(one)


def _grouped(
    groups: HashTrieMap[Group, Nodes], group: Group, node: str, wanted: bool
) -> HashTrieMap[Group, Nodes]:
    """A group without members is left out."""
    before = groups.get(group) or NOBODY
    after = _with(before, node, wanted)
    if after is before:
        return groups
    return groups.insert(group, after) if after else groups.remove(group)
