"""From the rules of MeshHTTPRoute to the ordered routes of one destination. Pure.

Kuma's order: rules as merged, one route for each match, sorted by how precise the match is, with a
route for everything at the end. A backend that names nothing we can reach does not count; a route
left without any goes to the destination itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import lru_cache

from reconciler.model.resource import SERVICE, ResourceKey, canonical_json
from reconciler.model.spec import Tags
from reconciler.policies.backend import WEIGHTS_MAX
from reconciler.policies.mesh_http_route import (
    BackendRef,
    MirrorRef,
    RouteRule,
    RouteRules,
    RuleFilter,
)
from xds.resource import digest
from xds.route import MatchKind, Mirror, PathMatch, Redirect, RouteFilter, RouteMatch

EVERYTHING = RouteMatch(path=PathMatch(MatchKind.PREFIX, "/"))

ResolveBackend = Callable[[BackendRef], Tags | None]  # the tags of the destination it names


@dataclass(frozen=True, slots=True)
class Split:
    """A share of a route's traffic."""

    tags: Tags
    weight: int


@dataclass(frozen=True, slots=True)
class PlannedRoute:
    """A route with destinations as tags; clusters are named by the view."""

    match: RouteMatch
    splits: tuple[Split, ...]
    filters: tuple[RouteFilter | PlannedMirror, ...] = ()
    origin: ResourceKey | None = None  # the policy it comes from; None: the default route


@dataclass(frozen=True, slots=True)
class PlannedMirror:
    tags: Tags
    percent: str


def planned_routes(
    rules: RouteRules, own: Tags, resolve: ResolveBackend
) -> tuple[PlannedRoute, ...]:
    """The routes of a destination with tags `own`, first match wins."""
    routes = [
        _planned(rule, match, own, resolve)
        for rule in rules
        for match in (rule.matches or (EVERYTHING,))
    ]
    routes.sort(key=lambda route: _imprecision(route.match))
    if not any(route.match == EVERYTHING for route in routes):
        routes.append(PlannedRoute(EVERYTHING, (Split(own, 1),)))
    return tuple(routes)


def _planned(
    rule: RouteRule, match: RouteMatch, own: Tags, resolve: ResolveBackend
) -> PlannedRoute:
    filters = tuple(f for f in (_filter(f, resolve) for f in rule.filters or ()) if f is not None)
    redirects = any(isinstance(f, Redirect) for f in filters)
    splits = () if redirects else _splits(rule.backends or (), resolve) or (Split(own, 1),)
    return PlannedRoute(match, splits, filters, rule.origin)


def _splits(backends: tuple[BackendRef, ...], resolve: ResolveBackend) -> tuple[Split, ...]:
    weights: dict[Tags, int] = {}
    for backend in backends:
        tags = resolve(backend) if backend.weight else None
        if tags is not None:
            weights[tags] = weights.get(tags, 0) + backend.weight
    # Envoy adds them up in 32 bits.
    parts = sum(weights.values()) // WEIGHTS_MAX + 1
    return tuple(Split(tags, max(1, weight // parts)) for tags, weight in weights.items())


def _filter(given: RuleFilter, resolve: ResolveBackend) -> RouteFilter | PlannedMirror | None:
    if not isinstance(given, MirrorRef):
        return given
    tags = resolve(given.backend)
    return PlannedMirror(tags, given.percent) if tags is not None else None


def mirrored(route: PlannedRoute, name: Callable[[Tags], str]) -> tuple[RouteFilter, ...]:
    """The filters with each mirror's cluster named."""
    return tuple(
        Mirror(name(f.tags), f.percent) if isinstance(f, PlannedMirror) else f
        for f in route.filters
    )


NAMES_KEPT = 1_024
_PATH_ORDER = {MatchKind.EXACT: 0, MatchKind.PREFIX: 1, MatchKind.REGEX: 2}


def _imprecision(match: RouteMatch) -> tuple[int, int, bool, int, int]:
    """Sorts precise matches first; equal ones keep the order of their rules."""
    path = match.path
    kind = 3 if path is None else _PATH_ORDER[path.kind]
    length = 0 if path is None or path.kind is MatchKind.EXACT else len(path.value)
    return kind, -length, match.method is None, -len(match.headers), -len(match.query)


@lru_cache(maxsize=NAMES_KEPT)
def route_name(match: RouteMatch) -> str:
    """A digest of the match: only equality matters to those who read it."""
    return digest((canonical_json(asdict(match)).encode(),))


def service_tags(service: str) -> Tags:
    return ((SERVICE, service),)
