"""All xDS resources of one proxy at one moment, by type: what the delta senders diff against."""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, KeysView, Mapping, Set, ValuesView
from dataclasses import dataclass

from xds.resource import CLUSTER, ENDPOINT, LISTENER, SECRET, XdsResource, digest

Resources = Mapping[str, XdsResource]  # name -> resource

NO_RESOURCES: Resources = {}


class Composed(Mapping[str, XdsResource]):
    """Two mappings with no name in common: a proxy's own, and one that it shares with others.

    It copies neither: a thousand proxies that call a thousand services hold each of those once.
    """

    __slots__ = ("_size", "own", "shared")

    def __init__(self, own: Resources, shared: Resources) -> None:
        self.own = own
        self.shared = shared
        self._size = len(shared) + sum([name not in shared for name in own])

    def __getitem__(self, name: str) -> XdsResource:
        found = self.shared.get(name)
        return self.own[name] if found is None else found

    def __contains__(self, name: object) -> bool:
        return name in self.shared or name in self.own

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[str]:
        return iter(self._copied())

    def _copied(self) -> dict[str, XdsResource]:
        """For whoever looks at all of it."""
        return {**self.own, **self.shared}

    def keys(self) -> KeysView[str]:
        return self._copied().keys()

    def values(self) -> ValuesView[XdsResource]:
        return self._copied().values()

    def items(self) -> ItemsView[str, XdsResource]:
        return self._copied().items()


@dataclass(frozen=True, slots=True)
class Step:
    """How one mapping came from another: who was sent `before` lacks `put` and `removed`."""

    before: Resources
    after: Resources
    put: Resources
    removed: frozenset[str]

    def then(self, later: Step) -> Step:
        """Both as one."""
        put = {n: r for n, r in self.put.items() if n not in later.removed} | dict(later.put)
        removed = (self.removed - later.put.keys()) | (later.removed & self.before.keys())
        kept = {n: r for n, r in put.items() if self.before.get(n) is not r}
        return Step(self.before, later.after, kept, removed)


def step_from(before: Resources, put: Resources, removed: Set[str]) -> Step | None:
    """What is put stays, although it is removed, too. None: nothing changes."""
    put = {n: r for n, r in put.items() if not _is_version(before.get(n), r)}
    gone = frozenset(name for name in removed if name in before and name not in put)
    if not put and not gone:
        return None
    after = {**before, **put}
    for name in gone:
        del after[name]
    return Step(before, after, put, gone)


def _is_version(known: XdsResource | None, other: XdsResource) -> bool:
    return known is not None and known.version == other.version


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Immutable by agreement: the mappings never change once here; proxies share them."""

    clusters: Resources
    endpoints: Resources
    secrets: Resources
    listeners: Resources

    def of(self, type_url: str) -> Resources:
        """Resources of one type; a type this control plane does not serve is empty."""
        match type_url:
            case _ if type_url == CLUSTER:
                return self.clusters
            case _ if type_url == ENDPOINT:
                return self.endpoints
            case _ if type_url == SECRET:
                return self.secrets
            case _ if type_url == LISTENER:
                return self.listeners
            case _:
                return NO_RESOURCES


EMPTY = Snapshot(NO_RESOURCES, NO_RESOURCES, NO_RESOURCES, NO_RESOURCES)


def versions_digest(resources: Resources) -> str:
    """One string for a name -> version map; costs a hash over all of it, so memoise it by the
    mapping.
    """
    return digest(
        part.encode() for name in sorted(resources) for part in (name, resources[name].version)
    )
