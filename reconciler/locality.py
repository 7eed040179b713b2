"""Where calls go first: the endpoints of a destination as a class of callers sees them. Pure.

`LocalityConf` is what policies say of a destination, `Preferences` the same for callers of one zone
with the same values of the tags that policies name. `assignment` puts the endpoints in order: own
ones by affinity, those of other zones by the first step that leads to their zone, each step a level
of its own; without a step to it a zone is not called.

Levels count the steps that hold in the zone, whether or not anybody is there: an endpoint stays on
its level as others come and go.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING

from reconciler.topology import merged_by_address
from xds.copying import replace
from xds.memo import Key
from xds.view import Endpoints

if TYPE_CHECKING:
    from collections.abc import Iterable

    from xds.view import Endpoint, Locality, Pairs

OVERPROVISIONING = 200  # percent: other zones are called too when less than half is healthy
UINT32_MAX = 2**32 - 1  # of the weights of a level together, as Envoy adds them


class Reach(StrEnum):
    ANY = "Any"
    ONLY = "Only"
    ANY_EXCEPT = "AnyExcept"
    NONE = "None"


@dataclass(frozen=True, slots=True)
class AffinityTag:
    key: str
    weight: int | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """Where callers of some zones (None: of any) go next."""

    reach: Reach
    zones: frozenset[str] = frozenset()
    callers: frozenset[str] | None = None

    def leads_to(self, zone: str) -> bool:
        match self.reach:
            case Reach.ANY:
                return True
            case Reach.ONLY:
                return zone in self.zones
            case Reach.ANY_EXCEPT:
                return zone not in self.zones
            case Reach.NONE:
                return False


@dataclass(frozen=True, slots=True)
class LocalityConf:
    """`ranked`: what is said of the own zone or of others, be it nothing, decides who is called."""

    aware: bool = True
    ranked: bool = False
    affinity: tuple[AffinityTag, ...] = ()
    steps: tuple[Step, ...] = ()
    overprovisioning: int = OVERPROVISIONING


@dataclass(frozen=True, slots=True)
class Group:
    """Endpoints of the own zone that have a tag's value in common with the caller."""

    key: str
    value: str
    weight: int


@dataclass(frozen=True, slots=True)
class Preferences(Key):
    """As `LocalityConf`, of callers in one zone. `weighted`: localities have weights."""

    zone: str
    aware: bool = True
    ranked: bool = False
    weighted: bool = False
    groups: tuple[Group, ...] = ()
    steps: tuple[Step, ...] = ()  # that hold in the zone, up to the last that leads anywhere
    overprovisioning: int | None = None


def overprovisioning(percentage: Decimal) -> int:
    """The factor by which Envoy begins to call the next level when a smaller share is healthy."""
    share = min(max(percentage, Decimal("0.001")), Decimal(100))
    return int((Decimal(10_000) / share).quantize(Decimal(1), ROUND_HALF_UP))


def preferences(conf: LocalityConf, zone: str, values: Pairs) -> Preferences:
    """`values`: the callers' own, of the tags that any policy of the mesh names."""
    if not conf.aware or not conf.ranked:
        return Preferences(zone, conf.aware)
    own = dict(values)
    groups = [
        Group(tag.key, own[tag.key], weight)
        for tag, weight in zip(conf.affinity, _weights(conf.affinity), strict=True)
        if tag.key in own
    ]
    return Preferences(
        zone,
        ranked=True,
        weighted=bool(conf.affinity),
        groups=tuple(groups),
        steps=_steps(conf.steps, zone),
        overprovisioning=conf.overprovisioning,
    )


def _weights(affinity: tuple[AffinityTag, ...]) -> list[int]:
    """Each ten times the next, unless they are given. The rest of the zone has 1."""
    count = len(affinity)
    found = [tag.weight or 9 * 10 ** (count - 1 - at) for at, tag in enumerate(affinity)]
    total = sum(found) + 1
    if total <= UINT32_MAX:
        return found
    most = UINT32_MAX - count - 1
    return [max(1, weight * most // total) for weight in found]


def _steps(steps: Iterable[Step], zone: str) -> tuple[Step, ...]:
    found: list[Step] = []
    for step in steps:
        if step.callers is None or zone in step.callers:
            if step.reach is Reach.NONE:
                break
            found.append(step)
    return tuple(found)


def assignment(
    cluster: str, endpoints: Iterable[Endpoint], wanted: Preferences | None
) -> Endpoints:
    """None: no policy says anything, and endpoints are where the mesh's settings put them."""
    if wanted is None:
        return Endpoints(cluster, merged_by_address(endpoints))
    if not wanted.ranked:
        return Endpoints(cluster, merged_by_address(map(partial(_by_zone, wanted), endpoints)))
    place = partial(_placed, wanted, _egress(wanted))
    found = merged_by_address(each for each in map(place, endpoints) if each is not None)
    weights = _locality_weights(wanted, found) if wanted.weighted else ()
    return Endpoints(cluster, found, weights, wanted.overprovisioning)


def is_called(endpoint: Endpoint, wanted: Preferences | None) -> bool:
    """Whether callers with these preferences have it at all."""
    return wanted is None or not wanted.ranked or _level(wanted, endpoint) is not None


def is_local(endpoint: Endpoint, zone: str) -> bool:
    """One of no zone is where it was found."""
    return endpoint.zone is None or endpoint.zone == zone


def _by_zone(wanted: Preferences, endpoint: Endpoint) -> Endpoint:
    distant = wanted.aware and not is_local(endpoint, wanted.zone)
    return _at(endpoint, endpoint.zone, "", 1 if distant else 0)


def _placed(wanted: Preferences, egress: str, endpoint: Endpoint) -> Endpoint | None:
    """None: it is not called."""
    level = _level(wanted, endpoint)
    if level is None:
        return None
    if level == 0:
        group = _group(wanted.groups, endpoint)
        return _at(endpoint, wanted.zone, f"{group.key}={group.value}" if group else "", 0)
    # Which zone an egress takes is up to the egress.
    if endpoint.via_egress:
        return _at(endpoint, egress, "", 1)
    return _at(endpoint, endpoint.zone, "", level)


def _level(wanted: Preferences, endpoint: Endpoint) -> int | None:
    if is_local(endpoint, wanted.zone):
        return 0
    zone = endpoint.zone or ""
    return next((at for at, step in enumerate(wanted.steps, 1) if step.leads_to(zone)), None)


def _group(groups: tuple[Group, ...], endpoint: Endpoint) -> Group | None:
    if not groups:
        return None
    has = {**dict(endpoint.labels), **dict(endpoint.tags)}
    return next((group for group in groups if has.get(group.key) == group.value), None)


def _at(endpoint: Endpoint, zone: str | None, subzone: str, priority: int) -> Endpoint:
    if (endpoint.zone, endpoint.subzone, endpoint.priority) == (zone, subzone, priority):
        return endpoint
    return replace(endpoint, zone=zone, subzone=subzone, priority=priority)


def _egress(wanted: Preferences) -> str:
    """The locality of all that the own zone's egress leads to; callers with other steps have
    another.
    """
    text = "".join(f"{_step_text(at, step)};" for at, step in enumerate(wanted.steps, 1))
    return f"egress_{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def _step_text(at: int, step: Step) -> str:
    zones = ",".join(sorted(step.zones))
    match step.reach:
        case Reach.ONLY:
            return f"{at}:{zones}"
        case Reach.ANY_EXCEPT:
            return f"{at}:{step.reach}:{zones}"
        case _:
            return f"{at}:{step.reach}"


def _locality_weights(
    wanted: Preferences, endpoints: Iterable[Endpoint]
) -> tuple[tuple[Locality, int], ...]:
    """Each locality has one: beside weighted ones, those without would be called never. Of the
    other zones it is that of their endpoints, so that each instance is called as often.
    """
    own = {f"{g.key}={g.value}": g.weight for g in reversed(wanted.groups)}
    found: dict[tuple[str, str], int] = {}
    for each in endpoints:
        at = each.zone or "", each.subzone
        if at[0] == wanted.zone:
            found[at] = own.get(each.subzone, 1)
        else:
            found[at] = min(found.get(at, 0) + each.weight, UINT32_MAX)
    return tuple(sorted(found.items()))


def values_of(keys: Iterable[str], tag_sets: Iterable[Pairs], labels: Pairs) -> Pairs:
    """A proxy's own values: of each key the first among its tags, else that of its label."""
    tags = [pair for tags in tag_sets for pair in tags]
    found = {}
    for key in keys:
        values = [value for name, value in tags if name == key]
        label = [value for name, value in labels if name == key]
        if values or label:
            found[key] = min(values) if values else label[0]
    return tuple(sorted(found.items()))
