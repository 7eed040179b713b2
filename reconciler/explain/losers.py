"""What a value would be if the places it comes from said nothing: policies in ascending precedence,
one item more each time. Pure.

With the items up to one of them in force, that one is the strongest. What it decides there and no
more with all in force, it has lost.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reconciler.explain.causes import Causes, Place, variant
from reconciler.explain.paths import counterparts, differences, leaves
from reconciler.explain.variations import SECTIONS, form_of, nodes, with_value
from reconciler.explain.world import TYPES, UNREADABLE
from reconciler.match import precedence
from xds.readable import readable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from reconciler.explain.causes import Spot
    from reconciler.explain.world import World
    from reconciler.model.resource import MeshResource, ResourceKey
    from reconciler.offline import Rendered
    from reconciler.problems import Path
    from xds.resource import XdsResource
    from xds.snapshot import Snapshot


PLACES_MAX = 256  # resources whose values were looked up in the configuration as it is


@dataclass(frozen=True, slots=True)
class Unit:
    """One item of a policy."""

    policy: MeshResource
    section: str
    index: int

    @property
    def path(self) -> Path:
        return (self.section, self.index)


def units_of(policies: Sequence[MeshResource]) -> tuple[Unit, ...]:
    return tuple(
        Unit(policy, section, index)
        for policy in sorted(policies, key=precedence)
        for section in SECTIONS
        for index, _ in enumerate(json.loads(policy.body).get(section) or ())
    )


def lost(
    world: World, policies: Sequence[MeshResource], causes: Causes
) -> Iterator[tuple[Place, frozenset[Spot]]]:
    """Places of policies of one kind, and the values they would decide but for stronger ones. The
    strongest first.
    """
    units, near = units_of(policies), world.base
    for at in range(len(units) - 2, -1, -1):
        unit, later = units[at], units[at + 1 :]
        spec = _up_to(unit)
        said = _contested(unit, spec, later, causes)
        if said:
            gone = {u.policy.key for u in later} - {u.policy.key for u in units[: at + 1]}
            near = world.changed([variant(unit.policy, spec)], gone, near)
            yield from _of_unit(world, _Base(unit, spec, gone, near), said, causes)


@dataclass(frozen=True, slots=True)
class _Base:
    """With the items up to `unit` in force: its policy's `spec`, and those that are gone."""

    unit: Unit
    spec: Any
    gone: set[ResourceKey]
    rendered: Rendered


def _of_unit(
    world: World, base: _Base, said: list[Place], causes: Causes
) -> Iterator[tuple[Place, frozenset[Spot]]]:
    """All at once: most values tell by the field they come from which of these they are about.
    Where one does not, each by itself.
    """
    together = _with(world, base, said, causes)
    by_form = {form_of(place.path): place for place in said}
    found: dict[Place, set[Spot]] = {}
    for spot in together or ():
        deciding = _deciding(causes, spot)
        mine = [by_form[f] for f in {form_of(p.path) for p in deciding} if f in by_form]
        if len(said) > 1 and not mine:
            together = None
            break
        for place in mine or said:
            if place not in deciding:
                found.setdefault(place, set()).add(spot)
    if together is None:
        for place in said:
            spots = _with(world, base, [place], causes) or ()
            found[place] = {s for s in spots if place not in _deciding(causes, s)}
    yield from ((place, frozenset(spots)) for place, spots in found.items() if spots)


def _with(world: World, base: _Base, said: list[Place], causes: Causes) -> frozenset[Spot] | None:
    """What is another with other values at these places; None: that cannot be read."""
    spec = base.spec
    for place in said:
        spec = with_value(spec, place.path, causes.first[place])
    try:
        other = world.changed([variant(base.unit.policy, spec)], base.gone, base.rendered)
    except UNREADABLE:
        return None
    return frozenset(_spots(world, base.rendered.snapshot, other.snapshot))


def _deciding(causes: Causes, spot: Spot) -> Mapping[Place, None]:
    return {**causes.values.get(spot, {}), **causes.presence.get(spot, {})}


def _up_to(unit: Unit) -> Any:
    """The policy with its items up to this one."""
    spec = json.loads(unit.policy.body)
    last = SECTIONS.index(unit.section)
    for number, section in enumerate(SECTIONS):
        if section in spec and number > last:
            del spec[section]
    spec[unit.section] = spec[unit.section][: unit.index + 1]
    return spec


def _contested(unit: Unit, spec: Any, later: tuple[Unit, ...], causes: Causes) -> list[Place]:
    """What it says that one of the stronger items says, too."""
    forms = {
        node.form
        for other in later
        for node in nodes(json.loads(other.policy.body)[other.section][other.index], other.path)
        if other.section == unit.section or _both_inbound(other, unit)
    }
    found = [
        (Place(unit.policy.key, node.path), node)
        for node in nodes(spec[unit.section][unit.index], unit.path)
        if node.is_value and not node.is_condition
    ]
    return [place for place, node in found if node.form in forms and place in causes.first]


def _both_inbound(one: Unit, other: Unit) -> bool:
    return "to" not in (one.section, other.section)


def _spots(world: World, base: Snapshot, other: Snapshot) -> Iterator[Spot]:
    """What only one of the two has, as places of the configuration as it is."""
    yield from _lacking(world, base, other)
    yield from _lacking(world, other, base)


def _lacking(world: World, one: Snapshot, other: Snapshot) -> Iterator[Spot]:
    for type_url in TYPES:
        these, those = one.of(type_url), other.of(type_url)
        full = world.snapshot.of(type_url)
        for name, resource in these.items() if these is not those else ():
            changed = those.get(name)
            if name not in full or (changed is not None and changed.version == resource.version):
                continue
            document = readable(resource)
            told = (
                [path for path, _ in leaves(document)]
                if changed is None
                else [path for path, _, _ in differences(document, readable(changed))]
            )
            where = _where(world, type_url, resource, full[name])
            yield from ((type_url, name, where[path]) for path in told if path in where)


def _where(world: World, type_url: str, one: XdsResource, full: XdsResource) -> dict[Path, Path]:
    """Where the values of a resource stand in it as it is."""
    key = type_url, one.name, one.version
    if key not in world.places:
        if len(world.places) >= PLACES_MAX:
            world.places.clear()
        world.places[key] = counterparts(readable(one), world.document(type_url, full))
    return world.places[key]
