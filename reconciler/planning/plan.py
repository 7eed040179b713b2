"""A plan: what a change of the repository would do. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from reconciler.defaults import with_defaults, with_warnings
from reconciler.model.spec import MeshSpec
from reconciler.planning.changes import ResourceChange, Sort, resource_changes
from reconciler.planning.edges import EdgeChange, edge_changes, edges
from reconciler.planning.effect import GroupEffect, group_effects, touched, views_of
from reconciler.planning.settings import SettingChange, setting_changes
from reconciler.planning.warnings import DEAD_END, dead_ends, known_as, of_nobody, uncallable
from reconciler.planning.worlds import Policies, ingresses_of, policies_of, refused, zone_worlds
from reconciler.shadow import in_force, is_shadow
from reconciler.state import diff
from xds.translate import Builders

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from reconciler.load import Loaded
    from reconciler.model.resource import MeshResource, ResourceKey
    from reconciler.planning.fleet import ZoneFleet
    from reconciler.problems import Position, Problem


class Strength(StrEnum):
    """What mTLS a mesh asks for, from weak to strong."""

    OFF = "off"
    PERMISSIVE = "PERMISSIVE"
    STRICT = "STRICT"


_STRENGTHS = tuple(Strength)


@dataclass(frozen=True, slots=True)
class TlsChange:
    """mTLS of a mesh. `backend`: another CA signs from now on."""

    mesh: str
    before: Strength
    after: Strength
    backend: bool = False

    @property
    def is_weaker(self) -> bool:
        return _STRENGTHS.index(self.after) < _STRENGTHS.index(self.before)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Proxies whom their mesh would not take again when they, or their zone, restart."""

    mesh: str
    services: str
    proxies: int
    reason: str


@dataclass(frozen=True, slots=True)
class ZonePlan:
    """`proxies`: that the zone tells of. `touched`: of these, that get another configuration."""

    zone: str
    proxies: int
    touched: int
    effects: tuple[GroupEffect, ...]
    refusals: tuple[Refusal, ...]
    native: bool
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Risk:
    """In numbers. `drained`: listeners and clusters, summed over proxies, whose open connections
    Envoy drains.
    """

    proxies: int
    touched: int
    drained: int
    removed: int  # resources
    closed: int  # edges
    opened: int
    weaker_tls: int
    refused: int  # proxies, at their next start
    dead_ends: int  # services without endpoints that routes send calls to
    other_ca: int  # meshes whose certificates another CA signs
    unknown: str = ""  # what nobody tells

    @property
    def level(self) -> str:
        """high: calls that worked will fail, or mTLS gets weaker. low: no proxy notices, and that
        is known of all zones.
        """
        if self.closed or self.weaker_tls or self.refused or self.dead_ends:
            return "high"
        if self.opened or self.drained or self.removed or self.other_ca:
            return "medium"
        return "unknown" if self.unknown else "low"


Places = dict["ResourceKey", "tuple[ResourceKey, Position | None]"]


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything a reviewer is shown. `places`: of the policies that zones hold, by their keys
    there: the repository's key, and where it is written; what is computed has no place.
    """

    changes: tuple[ResourceChange, ...]
    zones: tuple[ZonePlan, ...]
    edges: tuple[EdgeChange, ...]
    tls: tuple[TlsChange, ...]
    settings: tuple[SettingChange, ...]
    warnings: tuple[Problem, ...]  # that the base has not
    places: Places
    unknown: str = ""  # of which zones an effect is not known
    shadow: Plan | None = None  # what the shadow policies would do, where the change has some

    @property
    def is_empty(self) -> bool:
        return not (self.changes or any(zone.effects or zone.refusals for zone in self.zones))

    @property
    def risk(self) -> Risk:
        effects = [effect for zone in self.zones for effect in zone.effects]
        return Risk(
            proxies=sum(zone.proxies for zone in self.zones),
            touched=sum(zone.touched for zone in self.zones),
            drained=sum(e.proxies * sum(c.drains for c in e.changes) for e in effects),
            removed=sum(change.sort is Sort.REMOVED for change in self.changes),
            closed=sum(edge.closes for edge in self.edges),
            opened=sum(edge.opens for edge in self.edges),
            weaker_tls=sum(change.is_weaker for change in self.tls),
            refused=sum(each.proxies for zone in self.zones for each in zone.refusals),
            dead_ends=sum(problem.code == DEAD_END for problem in self.warnings),
            other_ca=sum(change.backend for change in self.tls),
            unknown=self.unknown,
        )


def plan(base: Loaded, head: Loaded, fleets: Iterable[ZoneFleet]) -> Plan:
    """`base` and `head` without errors."""
    fleets = tuple(fleets)
    changes = resource_changes(base, head)
    before = policies_of(with_defaults(base.resources))
    after = policies_of(with_defaults(head.resources), before)
    places = {**_places(base, before), **_places(head, after)}
    found = _compared(fleets, before, after, places)
    return replace(
        found,
        changes=changes,
        warnings=tuple(sorted((*_new_warnings(base, head), *found.warnings))),
        shadow=_shadow(changes, head, fleets, after, places),
    )


def _compared(fleets: tuple[ZoneFleet, ...], before: Policies, after: Policies, at: Places) -> Plan:
    """Effects alone."""
    if before.state.by_key == after.state.by_key:
        return Plan((), tuple(_zone(fleet, ()) for fleet in fleets), (), (), (), (), at)
    ingresses = ingresses_of(fleets, before, after)
    change = diff(before.state, after.state)
    builders = Builders()
    zones: list[ZonePlan] = []
    looked = []
    for fleet in fleets:
        worlds = zone_worlds(fleet, ingresses, before, change)
        views = views_of(fleet, worlds)
        looked.append((fleet, worlds, views))
        effects = tuple(group_effects(fleet, views, builders))
        zones.append(_zone(fleet, effects, tuple(_refusals(fleet, before, after))))
    was, now = edges(looked)

    def place_of(key: ResourceKey) -> Position | None:
        return at[key][1] if key in at else None

    odd = (
        *of_nobody(fleets, before, after, place_of),
        *uncallable(was, now, place_of),
        *dead_ends(was, now, place_of),
    )
    return Plan(
        changes=(),
        zones=tuple(zones),
        edges=edge_changes(was, now),
        tls=tuple(_tls_changes(before, after)),
        settings=setting_changes(fleets, before, after),
        warnings=odd,
        places=at,
        unknown=_unknown(fleets),
    )


def _unknown(fleets: tuple[ZoneFleet, ...]) -> str:
    if not fleets:
        return "no zone tells of its proxies"
    count = sum(bool(fleet.notes) for fleet in fleets)
    return f"{count} of {len(fleets)} zones not known as a whole" if count else ""


def _shadow(
    changes: tuple[ResourceChange, ...],
    head: Loaded,
    fleets: tuple[ZoneFleet, ...],
    after: Policies,
    places: Places,
) -> Plan | None:
    """What comes of the head with its shadow policies in force, beside the head. None when no
    shadow policy is added or changed.
    """
    known = {resource.key: resource for resource in head.resources}
    if not any(c.key in known and is_shadow(known[c.key]) for c in changes):
        return None
    enforced = policies_of(with_defaults(in_force(head.resources)), after)
    return replace(_compared(fleets, after, enforced, places), warnings=())


def _new_warnings(base: Loaded, head: Loaded) -> tuple[Problem, ...]:
    told = with_warnings(head).problems
    known = set(map(known_as, with_warnings(base).problems)) if told else set()
    return tuple(p for p in told if known_as(p) not in known)


def _places(loaded: Loaded, policies: Policies) -> Places:
    return {
        key: (written.key, loaded.provenance.get(written.key))
        for key, written in policies.written.items()
    }


def _refusals(fleet: ZoneFleet, before: Policies, after: Policies) -> Iterator[Refusal]:
    for mesh, services, count, reason in refused(fleet, before, after):
        yield Refusal(mesh, services, count, reason)


def _zone(
    fleet: ZoneFleet, effects: tuple[GroupEffect, ...], refusals: tuple[Refusal, ...] = ()
) -> ZonePlan:
    count = len(fleet.proxies)
    own = [effect for effect in effects if not effect.ingress]
    return ZonePlan(fleet.zone, count, touched(own), effects, refusals, fleet.native, fleet.notes)


def _tls_changes(before: Policies, after: Policies) -> Iterator[TlsChange]:
    for mesh in sorted({r.key.name for side in (before, after) for r in side.state.of("Mesh")}):
        old, new = before.mesh(mesh), after.mesh(mesh)
        if old is None or new is None or old is new:
            continue
        was, now = _strength(old), _strength(new)
        backend = was is not Strength.OFF and now is not Strength.OFF and _ca(old) != _ca(new)
        if was is not now or backend:
            yield TlsChange(mesh, was, now, backend)


def _strength(mesh: MeshResource) -> Strength:
    assert isinstance(mesh.spec, MeshSpec)
    backend = mesh.spec.mtls
    if backend is None:
        return Strength.OFF
    return Strength.PERMISSIVE if backend.permissive else Strength.STRICT


def _ca(mesh: MeshResource) -> object:
    """What makes a CA another one: a builtin one is made once by its backend's name."""
    assert isinstance(mesh.spec, MeshSpec)
    backend = mesh.spec.mtls
    return (backend.name, backend.type, backend.cert) if backend is not None else None
