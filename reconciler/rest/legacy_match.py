"""Which of the older policies, with sources, destinations and selectors, hold for a Dataplane
(facts/policies.md 1.1). Pure. Our proxies do not run them; people look at them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

from reconciler.model.resource import SERVICE, MeshResource
from reconciler.policies.document import mapping, sequence

if TYPE_CHECKING:
    from reconciler.model.spec import Tags
    from reconciler.rest.catalogue import Times

SIDES_KEPT = 20_000
ANY = "*"
PASS_THROUGH = "pass_through"  # noqa: S105 - a service of everybody: what has no other destination
Selector = Mapping[str, str]
Rank = tuple[int, int]  # how many tags in all, how many of them with a value
TimesOf = Callable[[MeshResource], "Times"]
NO_RANK: Rank = (0, 0)


def selectors_of(policy: MeshResource, side: str) -> tuple[Selector, ...]:
    return _sides(policy.body).get(side, ())


@lru_cache(maxsize=SIDES_KEPT)
def _sides(body: str) -> dict[str, tuple[Selector, ...]]:
    data = mapping(json.loads(body or "{}"))
    return {
        side: tuple(
            {str(k): str(v) for k, v in mapping(mapping(each).get("match")).items()}
            for each in sequence(data.get(side))
        )
        for side in ("sources", "destinations", "selectors")
        if side in data
    }


def fits(selector: Selector, tags: Mapping[str, str]) -> bool:
    return all(key in tags and value in (ANY, tags[key]) for key, value in selector.items())


def rank_of(selector: Selector) -> Rank:
    return len(selector), sum(value != ANY for value in selector.values())


def _and(one: Rank, other: Rank) -> Rank:
    return one[0] + other[0], one[1] + other[1]


def best_selected(
    policies: Iterable[MeshResource], tag_sets: Sequence[Tags], times: TimesOf
) -> MeshResource | None:
    """Of the policies with selectors the one with the highest rank, then the newest."""
    sets = [dict(tags) for tags in tag_sets]
    found: MeshResource | None = None
    best: Rank = NO_RANK
    for policy in sorted(policies, key=_name):
        for selector in selectors_of(policy, "selectors") or ({},):
            if not any(fits(selector, tags) for tags in sets or ({},)):
                continue
            rank = rank_of(selector)
            if found is None or rank > best or (rank == best and _is_newer(policy, found, times)):
                found, best = policy, rank
    return found


def _name(policy: MeshResource) -> str:
    return policy.key.name


def _is_newer(policy: MeshResource, other: MeshResource, times: TimesOf) -> bool:
    return (times(policy).created or 0) > (times(other).created or 0)


# --- policies between a source and a destination ---


@dataclass(frozen=True, slots=True)
class _Shelf:
    """The selectors of one side of many policies, so that a search looks at those that may fit and
    not at ten thousand. Policies are numbers.
    """

    by_pair: Mapping[tuple[str, str], Sequence[tuple[int, Selector]]]
    without_values: Sequence[tuple[frozenset[str], Sequence[int]]]  # the fewest keys first

    def ranked(self, tag_sets: Iterable[Mapping[str, str]]) -> dict[int, Rank]:
        """Those with a selector that fits one of the tag sets, with its best rank."""
        found: dict[int, Rank] = {}
        sets = list(tag_sets)
        for keys, numbers in self.without_values:
            if any(keys <= tags.keys() for tags in sets):
                found |= dict.fromkeys(numbers, (len(keys), 0))
        for tags in sets:
            for pair in tags.items():
                for number, selector in self.by_pair.get(pair, ()):
                    rank = rank_of(selector)
                    if rank > found.get(number, NO_RANK) and fits(selector, tags):
                        found[number] = rank
        return found


def _shelved(policies: Sequence[MeshResource], side: str) -> _Shelf:
    by_pair: dict[tuple[str, str], list[tuple[int, Selector]]] = {}
    without: dict[frozenset[str], list[int]] = {}
    for number, policy in enumerate(policies):
        for selector in selectors_of(policy, side):
            pair = next(((k, v) for k, v in sorted(selector.items()) if v != ANY), None)
            if pair is None:
                without.setdefault(frozenset(selector), []).append(number)
            else:
                by_pair.setdefault(pair, []).append((number, selector))
    return _Shelf(by_pair, sorted(without.items(), key=lambda each: len(each[0])))


TagSets = tuple["Tags", ...]


@dataclass(slots=True)
class Connections:
    """All policies of one kind and mesh. Results are kept for Dataplanes with the same tags, as far
    as any policy asks for them.
    """

    policies: Sequence[MeshResource]  # by name
    times: TimesOf
    _keys: frozenset[str] = field(init=False)  # of tags that any source asks for
    _created: list[float] = field(init=False)
    _sources: _Shelf = field(init=False)
    _destinations: _Shelf = field(init=False)
    _from: dict[TagSets, dict[int, Rank]] = field(default_factory=dict, init=False)
    _to: dict[str, dict[int, Rank]] = field(default_factory=dict, init=False)
    _chosen: dict[tuple[TagSets, str], MeshResource | None] = field(
        default_factory=dict, init=False
    )

    def __post_init__(self) -> None:
        self.policies = sorted(self.policies, key=_name)
        sources = (s for policy in self.policies for s in selectors_of(policy, "sources"))
        self._keys = frozenset(key for selector in sources for key in selector)
        self._created = [self.times(policy).created or 0 for policy in self.policies]
        self._sources = _shelved(self.policies, "sources")
        self._destinations = _shelved(self.policies, "destinations")

    def towards(self, tag_sets: TagSets, service: str) -> MeshResource | None:
        """The one for connections from here to a service."""
        seen = tuple(tuple(p for p in tags if p[0] in self._keys) for tags in tag_sets)
        key = seen, service
        if key not in self._chosen:
            self._chosen[key] = self._towards(seen, service)
        return self._chosen[key]

    def _towards(self, tag_sets: TagSets, service: str) -> MeshResource | None:
        if tag_sets not in self._from:
            self._from[tag_sets] = self._sources.ranked(map(dict, tag_sets))
        if service not in self._to:
            self._to[service] = self._destinations.ranked(({SERVICE: service},))
        here, there = self._from[tag_sets], self._to[service]
        return self._best({n: _and(here[n], there[n]) for n in here.keys() & there.keys()})

    def _best(self, ranked: Mapping[int, Rank]) -> MeshResource | None:
        """Of equals the newest, then the first by name."""
        if not ranked:
            return None
        best = max(ranked, key=lambda n: (ranked[n], self._created[n], -n))
        return self.policies[best]

    def at_inbound(self, tags: Tags) -> MeshResource | None:
        """The one for an inbound, whoever calls."""
        return self._best(self._destinations.ranked((dict(tags),)))

    def all_at_inbound(self, tags: Tags) -> list[MeshResource]:
        """Those of the most specific sources first, then the newest."""
        found = sorted(self._destinations.ranked((dict(tags),)))
        return [self.policies[number] for number in sorted(found, key=self._by_source)]

    def _by_source(self, number: int) -> tuple[int, int, float]:
        first = next(iter(selectors_of(self.policies[number], "sources")), {})
        total, exact = rank_of(first)
        return -total, -exact, -self._created[number]
