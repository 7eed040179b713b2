"""Every value of a proxy's configuration with the places it comes from, and what lost there. Pure.

True by construction: a value comes from a place when it is another with another value there
(`causes`), and a place has lost when it would decide without the stronger ones (`losers`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reconciler.explain.causes import Causes, How, Place, causes_of, touched
from reconciler.explain.losers import lost
from reconciler.explain.paths import leaves
from reconciler.explain.world import KINDS, TYPES
from reconciler.model.resource import ResourceKey

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from reconciler.explain.causes import Spot
    from reconciler.explain.world import World


@dataclass(frozen=True, slots=True)
class Explained:
    """`kind`: whose built-in default it is, if it is one; without places and a kind, it is ours."""

    spot: Spot
    value: Any
    how: How
    places: tuple[Place, ...]
    over: tuple[Place, ...] = ()  # the strongest first
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Explanation:
    """`idle`: policies for the proxy that change nothing of it."""

    values: tuple[Explained, ...]
    idle: tuple[ResourceKey, ...]
    computed: int


@dataclass(slots=True)
class _Found:
    policies: Causes
    documents: Causes  # of the mesh and proxies
    kinds: Mapping[Spot, str]  # what is another without any policy of a kind
    over: dict[Spot, list[Place]]


def explain(world: World) -> Explanation:
    alone = {
        policy.key: frozenset(spot for spot, _, _ in touched(world, world.without(policy.key)))
        for policy in world.policies
    }
    policies = Causes()
    for policy in world.policies:
        _add(policies, causes_of(world, policy, alone[policy.key]))
    over: dict[Spot, list[Place]] = {}
    for kind in KINDS:
        those = [policy for policy in world.policies if policy.key.type == kind]
        for place, spots in lost(world, those, policies):
            for spot in spots:
                over.setdefault(spot, []).append(place)
    found = _Found(policies, _documents(world), _kinds(world), over)
    values = tuple(_explained(found, alone, spot, value) for spot, value in spots_of(world))
    idle = tuple(key for key, spots in alone.items() if not spots)
    return Explanation(values, idle, world.computed)


def spots_of(world: World) -> Iterator[tuple[Spot, Any]]:
    """All values, in order."""
    for type_url in TYPES:
        for name, resource in sorted(world.snapshot.of(type_url).items()):
            for path, value in leaves(world.document(type_url, resource)):
                yield (type_url, name, path), value


def _add(all_: Causes, more: Causes) -> None:
    for into, found in (
        (all_.values, more.values),
        (all_.presence, more.presence),
        (all_.fallen, more.fallen),
    ):
        for spot, places in found.items():
            into.setdefault(spot, {}).update(places)
    all_.first.update(more.first)


def _documents(world: World) -> Causes:
    """Of the mesh and the proxy every field; other proxies, of this zone or another, as a whole."""
    found, wanted = Causes(), world.proxy.wanted
    for key in (ResourceKey("Mesh", "", wanted.mesh), wanted):
        resource = world.state.get(key)
        if resource is not None:
            _add(found, causes_of(world, resource, None))
    for type_ in ("Dataplane", "ZoneIngress"):
        for resource in world.state.of(type_):
            if resource.key != wanted:
                place = Place(resource.key, ())
                for spot, where, _ in touched(world, world.without(resource.key)):
                    into = found.presence if where is None else found.fallen
                    into.setdefault(spot, {})[place] = None
    return found


def _kinds(world: World) -> dict[Spot, str]:
    found: dict[Spot, str] = {}
    for kind in KINDS:
        keys = [policy.key for policy in world.policies if policy.key.type == kind]
        if keys:
            for spot, _, _ in touched(world, world.without(*keys)):
                found.setdefault(spot, kind)
    return found


def _explained(
    found: _Found, alone: Mapping[ResourceKey, frozenset[Spot]], spot: Spot, value: Any
) -> Explained:
    said = tuple(found.policies.values.get(spot, ()))
    if said:
        over = _over(found, alone, spot, {place.key for place in said})
        return Explained(spot, value, How.VALUE, said, over)
    said = tuple(found.documents.values.get(spot, ()))
    if said:
        return Explained(spot, value, How.VALUE, said)
    how, places = _because(found.policies, spot)
    if places:
        over = _over(found, alone, spot, {place.key for place in places})
        kind = places[0].key.type if how is How.DEFAULT else ""
        return Explained(spot, value, how, places, over, kind)
    if spot in found.kinds:
        return Explained(spot, value, How.DEFAULT, (), (), found.kinds[spot])
    how, places = _because(found.documents, spot)
    return Explained(spot, value, how if places else How.DEFAULT, places)


def _because(causes: Causes, spot: Spot) -> tuple[How, tuple[Place, ...]]:
    """Of each resource the innermost entries of lists without which it is gone, else fields."""
    gone, fallen = causes.presence.get(spot, {}), causes.fallen.get(spot, {})
    by_key: dict[ResourceKey, list[Place]] = {}
    for place in gone or fallen:
        by_key.setdefault(place.key, []).append(place)
    found: list[Place] = []
    for places in by_key.values():
        entries = [place for place in places if place.path and isinstance(place.path[-1], int)]
        depth = max(len(place.path) for place in entries or places)
        found += [place for place in entries or places if len(place.path) == depth]
    return How.PRESENCE if gone else How.DEFAULT, tuple(found)


def _over(
    found: _Found,
    alone: Mapping[ResourceKey, frozenset[Spot]],
    spot: Spot,
    winners: set[ResourceKey],
) -> tuple[Place, ...]:
    """Who lost against these, and would not be missed here."""
    kinds = {key.type for key in winners}
    return tuple(
        place
        for place in found.over.get(spot, ())
        if place.key.type in kinds and (place.key in winners or spot not in alone[place.key])
    )
