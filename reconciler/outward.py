"""A proxy's way out: what its outbounds come to together. Pure.

Proxies with the same outbounds whose calls the same policies concern have one `Ways`, and so one
outbound half of their views.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from operator import attrgetter, is_
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from reconciler.captured import dns_listener
from reconciler.destination import destination
from reconciler.model.spec import RefDestination, TagDestination
from reconciler.routes import service_tags
from reconciler.vips.resolvable import Reach
from xds.memo import Key
from xds.resource import CLUSTER, LISTENER
from xds.view import (
    ClusterInput,
    DnsListener,
    EdsCluster,
    Endpoints,
    Half,
    ListenerInput,
    tcp_place,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from reconciler.captured import Dns, Domains
    from reconciler.context import MeshContext
    from reconciler.destination import Callers, Destination, Origin
    from reconciler.external import OutsideSecret
    from reconciler.model.spec import Outbound, Tags

Outbounds = tuple["Outbound", ...]
Place = tuple[str, int]  # address and port
T = TypeVar("T")
_Earlier: TypeAlias = "Sequence[_Part] | dict[Outbound, _Part]"

# These stand among the services of whoever depends on which names there are, and for all of them.
NAMES, EVERY = "*names", "*"


@dataclass(frozen=True, slots=True)
class Exits(Key):
    """The outbounds of a proxy: those it names itself, or with `reach` what it may call of all that
    can be resolved. `taken`: the places of its own inbounds, where these are among them. `dns`: who
    answers its names.
    """

    outbounds: Outbounds = ()
    reach: Reach | None = None
    taken: frozenset[Place] = frozenset()
    dns: Dns | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Reached:
    """What calls can reach, and by which names."""

    outbounds: Outbounds
    domains: Domains = ()

    def without(self, taken: frozenset[Place]) -> Reached:
        """Names keep their addresses: there is more at these than the places that are taken."""
        left = tuple([o for o in self.outbounds if (o.address, o.port) not in taken])
        return Reached(left, self.domains)


def ways_of(callers: Callers, exits: Exits) -> Ways:
    found: Ways | None = callers.ways.get(exits)
    if found is None:
        found = callers.ways[exits] = Ways(callers, exits, Reached(exits.outbounds))
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
    domains: Domains = ()  # the names of what it leads to, with their addresses
    answering: DnsListener | None = None  # of the half: who answers them


@dataclass(slots=True, eq=False, weakref_slot=True)
class Ways:
    """What all proxies with these outbounds have in common that go the same ways; computed once in
    a context (`moment`), for the first of them that asks.
    """

    callers: Callers
    exits: Exits
    _reached: Reached
    _moment: object = None
    _parts: tuple[_Part, ...] = ()  # of each outbound
    _found: Outward | None = None
    _underway: _Underway | None = None
    _kept: object = None  # what was built of the half before, for what is in both to be found again

    def outbounds_in(self, context: MeshContext) -> Outbounds:
        return self._reached_in(context).outbounds

    def _reached_in(self, context: MeshContext) -> Reached:
        exits = self.exits
        return context.reached(exits) if exits.reach is not None else self._reached

    def ahead(self, context: MeshContext, limit: int) -> bool:
        """A part of what `at` will find: of `limit` outbounds that are not known to be as they
        were. Whether that is all there is; where many services are, it is more than a turn of the
        loop has time for.
        """
        return self._moment is context.moment or self._followed(context, limit) is not None

    def at(self, context: MeshContext) -> Outward:
        found = self._found
        if found is not None and self._moment is context.moment:
            return found
        parts = self._followed(context, None)
        assert parts is not None, "without a limit they are all found"
        self._kept = found.half.built if found is not None else None
        assert self._underway is not None
        before, reached = self._parts, self._underway.reached
        moved = self._reached is not reached
        if found is None or moved:
            found = _outward(self.exits, reached, parts, found)
            self._reached = reached
        else:
            found = _changed(self.exits, reached, found, before, parts)
        self._moment, self._parts, self._found = context.moment, parts, found
        self._underway = None
        return found

    def _followed(self, context: MeshContext, limit: int | None) -> tuple[_Part, ...] | None:
        """What depends on none of the services that differ, where they are known, is kept. None:
        the limit came first.
        """
        underway = self._underway
        if underway is None or underway.moment is not context.moment:
            underway = self._underway = self._begun(context, underway)
        outbounds, parts = underway.reached.outbounds, underway.parts
        while len(parts) < len(outbounds):
            part, holds = underway.known(len(parts))
            if not holds:
                if limit is not None:
                    if not limit:
                        return None
                    limit -= 1
                part = self._part(context, outbounds[len(parts)], part)
            assert part is not None
            parts.append(part)
        return tuple(parts)

    def _begun(self, context: MeshContext, before: _Underway | None) -> _Underway:
        """`before`: what was on its way for an earlier context. It is not lost: where names come
        one after the other nobody would ever be served.
        """
        found = _Underway(context.moment, self._reached_in(context))
        if before is not None:
            found.follow(before.reached, before.parts, context.since.get(before.moment))
        if self._found is not None:
            found.follow(self._reached, self._parts, context.since.get(self._moment))
        return found

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


@dataclass(slots=True, eq=False)
class _Underway:
    """Parts as they are found for a context, in the order of the outbounds. `earlier`: those of
    other contexts, the newest first, by place or, where outbounds are others, by outbound; each
    with the services that differ since. None: they may all.
    """

    moment: object
    reached: Reached
    parts: list[_Part] = field(default_factory=list)
    earlier: list[tuple[_Earlier, frozenset[str] | None]] = field(default_factory=list)

    def follow(
        self, reached: Reached, parts: Sequence[_Part], differing: frozenset[str] | None
    ) -> None:
        """Parts of the first outbounds of `reached`, older than any that are followed yet."""
        held: _Earlier = parts
        if reached.outbounds is not self.reached.outbounds:
            held = dict(zip(reached.outbounds, parts, strict=False))
        self.earlier.append((held, differing))

    def known(self, place: int) -> tuple[_Part | None, bool]:
        """What is known of the outbound there, and whether it still holds."""
        for held, differing in self.earlier:
            if isinstance(held, dict):
                part = held.get(self.reached.outbounds[place])
            else:
                part = held[place] if place < len(held) else None
            if part is not None:
                return part, differing is not None and part.services.isdisjoint(differing)
        return None, False


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


def _changed(
    exits: Exits,
    reached: Reached,
    found: Outward,
    before: Sequence[_Part],
    parts: Sequence[_Part],
) -> Outward:
    """Of the same outbounds: what is another takes the place of what it was, by name. Nobody looks
    at the rest.
    """
    if _are(before, parts):
        return found
    clusters: dict[str, ClusterInput] = {}
    endpoints: dict[str, Endpoints] = {}
    listeners: dict[str, ListenerInput] = {}
    origins: dict[tuple[str, str], Origin] = {}
    captured, same_services = exits.reach is not None, True
    for was, now, outbound in zip(before, parts, reached.outbounds, strict=True):
        if was is now:
            continue
        if was.to is not now.to and _called(was) != _called(now):
            return _outward(exits, reached, parts, found)
        endpoints.update({each.cluster: each for each in now.endpoints})
        same_services = same_services and was.services == now.services
        if now.to is None or was.to is now.to:
            continue
        for cluster in now.to.clusters:
            clusters[cluster.cluster.name] = cluster.cluster
            origins[CLUSTER, cluster.cluster.name] = cluster.origins
        listener = now.to.listener(outbound, now.tags, captured=captured)
        listeners[listener.name] = listener
        origins[LISTENER, listener.name] = now.to.origins
    half = Half(
        _replaced(found.half.clusters, clusters, _name),
        _replaced(found.half.endpoints, endpoints, _cluster),
        _replaced(found.half.listeners, listeners, _name),
    )
    if origins:
        origins = {at: origin for at, origin in {**found.origins, **origins}.items() if origin}
    else:
        origins = found.origins
    services = found.services if same_services else _services(exits, parts)
    return replace(found, half=half, origins=origins, services=services)


def _called(part: _Part) -> object:
    """The names of what it needs, and the secrets of services outside of the mesh; None where it
    leads nowhere.
    """
    if part.to is None:
        return None
    clusters = [(each.cluster.name, each.secrets) for each in part.to.clusters]
    return clusters, [each.cluster for each in part.endpoints]


def _replaced(
    parts: tuple[T, ...], others: Mapping[str, T], name: Callable[[T], str]
) -> tuple[T, ...]:
    """With others in their places; those that are equal stay, and so does the tuple."""
    found, same = list(parts), True
    for place, part in enumerate(parts) if others else ():
        other = others.get(name(part), part)
        if other is not part and other != part:
            found[place], same = other, False
    return parts if same else tuple(found)


_name, _cluster = attrgetter("name"), attrgetter("cluster")


def _outward(
    exits: Exits, reached: Reached, parts: Sequence[_Part], before: Outward | None
) -> Outward:
    clusters: dict[str, ClusterInput] = {}
    listeners: dict[str, ListenerInput] = {}
    origins: dict[tuple[str, str], Origin] = {}
    secrets: dict[str, OutsideSecret] = {}
    captured, answering = exits.reach is not None, None
    for outbound, part in zip(reached.outbounds, parts, strict=True):
        each = part.to
        if each is None:
            continue
        for cluster in each.clusters:
            clusters[cluster.cluster.name] = cluster.cluster
            secrets |= {secret.name: secret for secret in cluster.secrets}
            if cluster.origins:
                origins[CLUSTER, cluster.cluster.name] = cluster.origins
        listener = each.listener(outbound, part.tags, captured=captured)
        listeners[listener.name] = listener
        if each.origins:
            origins[LISTENER, listener.name] = each.origins
    places = frozenset(found for found in map(tcp_place, listeners.values()) if found is not None)
    if exits.dns is not None and not exits.dns.embedded:
        answering = before.answering if before is not None else None
        if answering is None or before is None or before.domains is not reached.domains:
            answering = dns_listener(exits.dns, reached.domains)
        listeners[answering.name] = answering
    half = Half(by_name(clusters), _endpoints(parts), by_name(listeners))
    if before is not None:
        half = half.after(before.half)
    services, outside = _services(exits, parts), by_name(secrets)
    return Outward(half, places, origins, services, outside, reached.domains, answering)


def _services(exits: Exits, parts: Iterable[_Part]) -> tuple[str, ...]:
    """What such a proxy depends on; sorted."""
    reach = exits.reach
    if reach == Reach():
        return EVERY, NAMES
    services = frozenset[str]().union(*[part.services for part in parts])
    if reach is not None:
        # And of whatever backends it may have chosen: labels of a resource change no name.
        services |= {NAMES, *(ref.kind for ref in reach.backends or ())}
    return tuple(sorted(services))


def by_name(parts: Mapping[str, T]) -> tuple[T, ...]:
    """In the order of their names."""
    return tuple([parts[name] for name in sorted(parts)])
