"""A proxy's way out: what its outbounds come to together. Pure.

Proxies with the same outbounds whose calls the same policies concern have one `Ways`, and so one
outbound half of their views.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from operator import is_
from typing import TYPE_CHECKING, TypeVar

from reconciler.destination import destination
from reconciler.model.spec import RefDestination, TagDestination
from reconciler.routes import service_tags
from xds.resource import CLUSTER, LISTENER
from xds.view import ClusterInput, EdsCluster, Endpoints, Half, ListenerInput, tcp_place

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from reconciler.context import MeshContext
    from reconciler.destination import Callers, Destination, Origin
    from reconciler.external import OutsideSecret
    from reconciler.model.spec import Outbound, Tags

Outbounds = tuple["Outbound", ...]
T = TypeVar("T")


def ways_of(callers: Callers, outbounds: Outbounds) -> Ways:
    found: Ways | None = callers.ways.get(outbounds)
    if found is None:
        found = callers.ways[outbounds] = Ways(callers, outbounds)
    return found


@dataclass(frozen=True, slots=True, eq=False)
class Outward:
    """What outbounds come to in one context: the outbound half of a view.

    Of the same callers' before it holds all that is the same as the same objects; where endpoints
    alone differ, that is all but they.
    """

    half: Half
    places: frozenset[tuple[str, int]]  # where it listens
    origins: dict[tuple[str, str], Origin]  # (type URL, xDS name)
    services: tuple[str, ...]  # that it depends on, and no others; sorted
    secrets: tuple[OutsideSecret, ...] = ()  # each once, by name


@dataclass(slots=True, eq=False, weakref_slot=True)
class Ways:
    """What all proxies with these outbounds have in common that go the same ways; computed once in
    a context (`moment`), for the first of them that asks.
    """

    callers: Callers
    outbounds: Outbounds
    _moment: object = None
    _parts: tuple[_Part, ...] = ()  # of each outbound
    _found: Outward | None = None

    def at(self, context: MeshContext) -> Outward:
        found = self._found
        if found is not None and self._moment is context.moment:
            return found
        before, parts = self._parts, self._followed(context)
        if found is None or not _are([p.to for p in before], [p.to for p in parts]):
            found = _outward(self.outbounds, parts, found)
        elif not _are(before, parts):
            half = Half(found.half.clusters, _endpoints(parts), found.half.listeners)
            found = replace(found, half=half)
        self._moment, self._parts, self._found = context.moment, parts, found
        return found

    def _followed(self, context: MeshContext) -> tuple[_Part, ...]:
        """What depends on none of the services that differ, where they are known, is kept."""
        if self._found is None:
            return tuple([self._part(context, outbound, None) for outbound in self.outbounds])
        differing = context.since.get(self._moment)
        return tuple(
            [
                known
                if differing is not None and known.services.isdisjoint(differing)
                else self._part(context, outbound, known)
                for known, outbound in zip(self._parts, self.outbounds, strict=True)
            ]
        )

    def _part(self, context: MeshContext, outbound: Outbound, known: _Part | None) -> _Part:
        tags, kinds = named_by(context, outbound.destination), _searched(outbound.destination)
        if tags is None:
            return known if known is not None and known.to is None else _Part(None, (), (), kinds)
        found = destination(context, tags, self.callers)
        within = [c for c in found.clusters if isinstance(c.cluster, EdsCluster)]
        endpoints = tuple([context.endpoints(c.tags, c.wanted) for c in within])
        if known is not None and known.to is found and _are(known.endpoints, endpoints):
            return known
        return _Part(found, tags, endpoints, found.services | kinds)


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """Of one outbound. `to` is None where it leads to a resource that there is not."""

    to: Destination | None
    tags: Tags
    endpoints: tuple[Endpoints, ...]
    services: frozenset[str]


def named_by(context: MeshContext, to: TagDestination | RefDestination) -> Tags | None:
    """The tags that name a destination; None: there is no such resource."""
    if isinstance(to, TagDestination):
        return to.tags
    name = context.reals.resolved(to, context.place.zone)
    return service_tags(name) if name is not None else None


def _searched(to: TagDestination | RefDestination) -> frozenset[str]:
    """The kind of resource that is searched for it."""
    return frozenset((to.kind,)) if isinstance(to, RefDestination) else frozenset()


def _are(before: Sequence[object], after: Sequence[object]) -> bool:
    return len(before) == len(after) and all(map(is_, before, after))


def _endpoints(parts: Iterable[_Part]) -> tuple[Endpoints, ...]:
    """By the cluster's name; one that several destinations use is there once."""
    return by_name({each.cluster: each for part in parts for each in part.endpoints})


def _outward(outbounds: Outbounds, parts: Sequence[_Part], before: Outward | None) -> Outward:
    clusters: dict[str, ClusterInput] = {}
    listeners: dict[str, ListenerInput] = {}
    origins: dict[tuple[str, str], Origin] = {}
    secrets: dict[str, OutsideSecret] = {}
    for outbound, part in zip(outbounds, parts, strict=True):
        each = part.to
        if each is None:
            continue
        for cluster in each.clusters:
            clusters[cluster.cluster.name] = cluster.cluster
            secrets |= {secret.name: secret for secret in cluster.secrets}
            if cluster.origins:
                origins[CLUSTER, cluster.cluster.name] = cluster.origins
        listener = each.listener(outbound, part.tags)
        listeners[listener.name] = listener
        if each.origins:
            origins[LISTENER, listener.name] = each.origins
    services = tuple(sorted(frozenset[str]().union(*[part.services for part in parts])))
    places = frozenset(found for found in map(tcp_place, listeners.values()) if found is not None)
    half = Half(by_name(clusters), _endpoints(parts), by_name(listeners))
    if before is not None:
        half = half.after(before.half)
    return Outward(half, places, origins, services, by_name(secrets))


def by_name(parts: Mapping[str, T]) -> tuple[T, ...]:
    """In the order of their names."""
    return tuple([parts[name] for name in sorted(parts)])
