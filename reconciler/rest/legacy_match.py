"""Which of the older policies, with sources, destinations and selectors, hold for a Dataplane
(facts/policies.md 1.1). Pure. Our proxies do not run them; people look at them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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


def _best_rank(selectors: Iterable[Selector], tag_sets: Sequence[Mapping[str, str]]) -> Rank | None:
    ranks = [rank_of(s) for s in selectors if any(fits(s, tags) for tags in tag_sets)]
    return max(ranks, default=None)


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
    """Policies by a pair that one selector of theirs asks for; a search looks at those that may
    fit, not at ten thousand.
    """

    by_pair: Mapping[tuple[str, str], tuple[int, ...]]
    anywhere: tuple[int, ...]  # no tag of theirs has a value

    def near(self, tag_sets: Iterable[Mapping[str, str]]) -> list[int]:
        found = set(self.anywhere)
        for tags in tag_sets:
            for pair in tags.items():
                found.update(self.by_pair.get(pair, ()))
        return sorted(found)


def _shelved(policies: Sequence[MeshResource], side: str) -> _Shelf:
    by_pair: dict[tuple[str, str], list[int]] = {}
    anywhere: list[int] = []
    for number, policy in enumerate(policies):
        for selector in selectors_of(policy, side):
            pair = next(((k, v) for k, v in sorted(selector.items()) if v != ANY), None)
            (anywhere if pair is None else by_pair.setdefault(pair, [])).append(number)
    return _Shelf({pair: tuple(found) for pair, found in by_pair.items()}, tuple(anywhere))


TagSets = tuple["Tags", ...]


@dataclass(slots=True)
class Connections:
    """All policies of one kind and mesh. Results are kept for Dataplanes with the same tags."""

    policies: Sequence[MeshResource]  # by name
    times: TimesOf
    _sources: _Shelf = field(init=False)
    _destinations: _Shelf = field(init=False)
    _from: dict[TagSets, dict[int, Rank]] = field(default_factory=dict, init=False)
    _chosen: dict[tuple[TagSets, str], MeshResource | None] = field(
        default_factory=dict, init=False
    )

    def __post_init__(self) -> None:
        self.policies = sorted(self.policies, key=_name)
        self._sources = _shelved(self.policies, "sources")
        self._destinations = _shelved(self.policies, "destinations")

    def _from_here(self, tag_sets: TagSets) -> dict[int, Rank]:
        """Those with a source that is here, with its rank."""
        known = self._from.get(tag_sets)
        if known is None:
            sets = [dict(tags) for tags in tag_sets]
            known = self._from[tag_sets] = {}
            for number in self._sources.near(sets):
                rank = _best_rank(selectors_of(self.policies[number], "sources"), sets)
                if rank is not None:
                    known[number] = rank
        return known

    def towards(self, tag_sets: TagSets, service: str) -> MeshResource | None:
        """The one for connections from here to a service."""
        key = tag_sets, service
        if key not in self._chosen:
            self._chosen[key] = self._towards(tag_sets, service)
        return self._chosen[key]

    def _towards(self, tag_sets: TagSets, service: str) -> MeshResource | None:
        tags = {SERVICE: service}
        here = self._from_here(tag_sets)
        found: MeshResource | None = None
        best = NO_RANK
        for number in self._destinations.near((tags,)):
            if number not in here:
                continue
            policy = self.policies[number]
            rank = _best_rank(selectors_of(policy, "destinations"), (tags,))
            if rank is None:
                continue
            rank = _and(rank, here[number])
            if found is None or rank > best:
                found, best = policy, rank
            elif rank == best and _is_newer(policy, found, self.times):
                found = policy
        return found

    def at_inbound(self, tags: Tags) -> MeshResource | None:
        """The one for an inbound, whoever calls."""
        found: MeshResource | None = None
        best = NO_RANK
        for policy in self._at(tags):
            rank = _best_rank(selectors_of(policy, "destinations"), (dict(tags),)) or NO_RANK
            newer = found is not None and rank == best and _is_newer(policy, found, self.times)
            if rank > best or newer:
                found, best = policy, rank
        return found

    def all_at_inbound(self, tags: Tags) -> list[MeshResource]:
        """Those of the most specific sources first, then the newest."""
        found = [
            policy
            for policy in self._at(tags)
            for selector in selectors_of(policy, "destinations")
            if fits(selector, dict(tags))
        ]
        return sorted(found, key=self._by_source)

    def _by_source(self, policy: MeshResource) -> tuple[int, int, float]:
        first = next(iter(selectors_of(policy, "sources")), {})
        total, exact = rank_of(first)
        return -total, -exact, -(self.times(policy).created or 0)

    def _at(self, tags: Tags) -> Iterator[MeshResource]:
        for number in self._destinations.near((dict(tags),)):
            yield self.policies[number]
