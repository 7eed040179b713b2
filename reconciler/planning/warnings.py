"""What a change makes odd, as far as the proxies of all zones tell. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from reconciler.match import select, shelves_of, wanted
from reconciler.model.spec import PolicySpec
from reconciler.model.targetref import DataplaneRef, MeshSubsetRef, ServiceRef, ServiceSubsetRef
from reconciler.planning.edges import Way
from reconciler.planning.effect import representatives
from reconciler.problems import Position, Problem, Severity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from reconciler.match import Shelf
    from reconciler.model.resource import MeshResource, ResourceKey
    from reconciler.planning.edges import Edge, State
    from reconciler.planning.fleet import ZoneFleet
    from reconciler.planning.worlds import Policies

DEAD_END = "PLN003"
_PLACE = re.compile(r":\d+:\d+")


def known_as(problem: Problem) -> tuple[str, str, str]:
    """Lines move; a warning is known by its file, code and text."""
    return problem.at.path, problem.code, _PLACE.sub("", problem.message)


def of_nobody(
    fleets: Sequence[ZoneFleet],
    before: Policies,
    after: Policies,
    place_of: Callable[[ResourceKey], Position | None],
) -> Iterator[Problem]:
    """Policies that are new or other and select no proxy. Nothing is said where a zone does not
    tell of its proxies, or a mesh has none yet.
    """
    if any(fleet.notes for fleet in fleets):
        return
    shelves = _by_shelf(fleets)
    for key, policy in after.state.by_key.items():
        at = place_of(key)
        if at is None or policy is before.state.by_key.get(key) or key.mesh not in shelves:
            continue
        if _asks(policy, fleets) and not _selects(policy, shelves[key.mesh]):
            text = f"{after.written[key].key} selects no proxy of any zone; correct its targetRef"
            yield Problem(at, "PLN001", text, Severity.WARNING)


def _by_shelf(fleets: Sequence[ZoneFleet]) -> dict[str, dict[Shelf, list[MeshResource]]]:
    """By mesh, one proxy of each kind where the policies stand that may select it."""
    found: dict[str, dict[Shelf, list[MeshResource]]] = {}
    for fleet in fleets:
        for group in fleet.groups:
            held = found.setdefault(group.mesh, {})
            for proxy in representatives(group):
                for shelf in wanted(proxy):
                    held.setdefault(shelf, []).append(proxy)
    return found


def _asks(policy: MeshResource, fleets: Sequence[ZoneFleet]) -> bool:
    """For something that proxies tell of themselves; of a class nobody knows the names."""
    if not isinstance(policy.spec, PolicySpec):
        return False
    target = policy.spec.target
    if isinstance(target, DataplaneRef) and target.name:
        return all(group.named for fleet in fleets for group in fleet.groups)
    if isinstance(target, ServiceRef):
        return target.kind == "MeshService" and bool(target.name)
    if isinstance(target, DataplaneRef | MeshSubsetRef):
        return bool((target.labels if isinstance(target, DataplaneRef) else target.tags).pairs)
    return isinstance(target, ServiceSubsetRef)


def _selects(policy: MeshResource, shelves: Mapping[Shelf, list[MeshResource]]) -> bool:
    asked = shelves_of(policy)
    if not asked:
        return True  # not in force
    return any(
        select(policy, proxy) is not None for shelf in asked for proxy in shelves.get(shelf, ())
    )


def uncallable(
    before: Mapping[Edge, State],
    after: Mapping[Edge, State],
    place_of: Callable[[ResourceKey], Position | None],
) -> Iterator[Problem]:
    """Services that somebody has a way to and nobody may call, and that was otherwise before."""
    known = _denied(before)
    for (mesh, service), origins in _denied(after).items():
        if (mesh, service) in known:
            continue
        at = next(filter(None, map(place_of, reversed(origins))), Position("."))  # the strongest
        text = (
            f"nobody may call service {service} of mesh {mesh}, and proxies have a way to it; "
            "allow somebody, or take the way away"
        )
        yield Problem(at, "PLN002", text, Severity.WARNING)


def dead_ends(
    before: Mapping[Edge, State],
    after: Mapping[Edge, State],
    place_of: Callable[[ResourceKey], Position | None],
) -> Iterator[Problem]:
    """Where routes send calls from now on, and no zone that tells of its services has an endpoint.
    What an outbound asks for is its proxy's own affair.
    """
    known = {_nowhere(edge) for edge, state in before.items() if state.way is Way.NO_ENDPOINT}
    found: dict[tuple[object, ...], tuple[Edge, State, set[str]]] = {}
    for edge, state in after.items():
        if state.way is Way.NO_ENDPOINT and state.origins and _nowhere(edge) not in known:
            found.setdefault(_nowhere(edge)[1:], (edge, state, set()))[2].add(edge.caller)
    for edge, state, callers in found.values():
        at = next(filter(None, map(place_of, state.origins)), Position("."))
        tags = "".join(f" {key}={value}" for key, value in edge.subset)
        text = (
            f"calls of {', '.join(sorted(callers))} are sent to service {edge.service}{tags} of "
            f"mesh {edge.mesh}, of which no zone tells an endpoint: they fail; start it first, or "
            "correct the backendRef"
        )
        yield Problem(at, DEAD_END, text, Severity.WARNING)


def _nowhere(edge: Edge) -> tuple[object, ...]:
    return edge.caller, edge.mesh, edge.service, edge.subset


def _denied(edges: Mapping[Edge, State]) -> dict[tuple[str, str], tuple[ResourceKey, ...]]:
    ways: dict[tuple[str, str], set[Way]] = {}
    origins: dict[tuple[str, str], tuple[ResourceKey, ...]] = {}
    for edge, state in edges.items():
        ways.setdefault((edge.mesh, edge.service), set()).add(state.way)
        if state.way is Way.DENIED:
            held = origins.get((edge.mesh, edge.service), ())
            origins[edge.mesh, edge.service] = (*held, *state.origins)
    return {at: keys for at, keys in origins.items() if not any(w.is_open for w in ways[at])}
