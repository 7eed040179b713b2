"""Two policies of one kind for the same traffic, of which one silently loses. Pure.

Only what is surely a conflict is told: equal targets, equal entries, and different values. Of equal
policies the name that sorts first wins (`match.precedence`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from reconciler.duration import parse_duration
from reconciler.hints.hint import Hint, aim, fields, items, same, spec_of
from reconciler.model.kinds import KINDS
from reconciler.model.resource import NAMESPACE, ORIGIN, ZONE
from reconciler.policies.document import ROLE
from reconciler.problems import field_of
from reconciler.shadow import is_shadow

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Sequence

    from reconciler.hints.hint import Fields
    from reconciler.model.resource import MeshResource
    from reconciler.problems import Path

# In whose reach or rank a policy is differs with these.
_REACH = (ORIGIN, ZONE, NAMESPACE, ROLE)
_UNITED = "MeshTrafficPermission"  # its rules are not overridden: all of them count
_APPENDED = "append"  # lists with such names grow
# Of these exactly one is in force for a connection, chosen by what the selectors ask for. A
# TrafficPermission is chosen by its destinations alone.
_BOTH, _DESTINATIONS, _SELECTORS = ("sources", "destinations"), ("destinations",), ("selectors",)
_EXCLUSIVE = {
    "CircuitBreaker": _BOTH,
    "HealthCheck": _BOTH,
    "ProxyTemplate": _SELECTORS,
    "Retry": _BOTH,
    "Timeout": _BOTH,
    "TrafficLog": _BOTH,
    "TrafficPermission": _DESTINATIONS,
    "TrafficRoute": _BOTH,
    "TrafficTrace": _SELECTORS,
}
_CURE = "say it once, or rename the one that is to win"


@dataclass(frozen=True, slots=True)
class _Conf:
    """What an entry sets. Confs with one `about` are for the same traffic."""

    about: Hashable
    path: Path
    value: object


def conflicts(resources: Sequence[MeshResource]) -> Iterator[Hint]:
    for group in _groups(resources):
        if group[0].key.type in _EXCLUSIVE:
            yield from _as_a_whole(group)
        else:
            yield from _field_by_field(group)


def _groups(resources: Sequence[MeshResource]) -> Iterator[list[MeshResource]]:
    """Of equals, the strongest first."""
    found: dict[Hashable, list[MeshResource]] = {}
    for resource in resources:
        type_, mesh = resource.key.type, resource.key.mesh
        if type_ in _EXCLUSIVE:
            said = spec_of(resource)
            chosen = tuple(_selectors(said, name) for name in _EXCLUSIVE[type_])
            found.setdefault((type_, mesh, chosen), []).append(resource)
        elif KINDS[type_].policy and not is_shadow(resource):
            reach = tuple(map(resource.labels.get, _REACH))
            target = _target(resource.body)
            found.setdefault((type_, mesh, reach, target), []).append(resource)
    for group in found.values():
        if len(group) > 1:
            yield sorted(group, key=lambda r: (r.display_name, r.key.name))


@lru_cache(maxsize=20_000)
def _target(body: str) -> str:
    return aim(fields(json.loads(body)).get("targetRef"))


def _selectors(spec: Fields, name: str) -> frozenset[str]:
    return frozenset(same(item.get("match")) for _, item in items(spec, name))


def _as_a_whole(group: list[MeshResource]) -> Iterator[Hint]:
    first, *others = group
    field = _EXCLUSIVE[first.key.type][-1]
    for other in others:
        if other.body != first.body:
            what = (
                f"only one {first.key.type} is in force for what these {field} select, and the "
                f"other one is {first.key}"
            )
            cure = "make one of the two, or let them select different traffic"
            yield Hint(other.key, (field,), "CFL002", what, cure, (first.key, (field,)))


def _field_by_field(group: list[MeshResource]) -> Iterator[Hint]:
    held: dict[Hashable, tuple[MeshResource, Path, object]] = {}
    for policy in group:
        mine: dict[Hashable, tuple[MeshResource, Path, object]] = {}
        for conf in _confs(policy.key.type, spec_of(policy)):
            for inner, value in _flat((), conf.value):
                path = (*conf.path, *inner)
                mine[conf.about, inner] = policy, path, value
        for about, (_, path, value) in mine.items():
            winner, place, other = held.get(about, (policy, path, value))
            if winner is not policy and _meant(other) != _meant(value):
                yield _lost(policy, path, winner, place)
        held = {**mine, **held}


def _lost(policy: MeshResource, path: Path, winner: MeshResource, place: Path) -> Hint:
    inner = path[path.index("default") + 1 :]
    what = (
        f"{field_of(inner)} is not in force: {winner.key} sets another for the same traffic, and "
        f"of equal policies the name that sorts first wins; it is set"
    )
    return Hint(policy.key, path, "CFL001", what, _CURE, (winner.key, place))


def _confs(kind: str, spec: Fields) -> Iterator[_Conf]:
    if spec.get("default"):
        yield _Conf("default", ("default",), spec["default"])
    for section in ("to", "from"):
        for path, item in items(spec, section):
            about = section, aim(item.get("targetRef")), same(item.get("hostnames"))
            yield _Conf(about, (*path, "default"), item.get("default"))
            for at, rule in items(item, "rules"):
                inner = (*about, same(rule.get("matches")))
                yield _Conf(inner, (*path, *at, "default"), rule.get("default"))
    for path, rule in items(spec, "rules") if kind != _UNITED else ():
        yield _Conf(same(rule.get("matches")), (*path, "default"), rule.get("default"))


def _flat(path: Path, value: object) -> Iterator[tuple[Path, object]]:
    if not isinstance(value, dict):
        if value is not None and not str(path[-1:][0] if path else "").startswith(_APPENDED):
            yield path, value
        return
    for name, inner in fields(value).items():
        yield from _flat((*path, name), inner)


def _meant(value: object) -> object:
    """`1h` and `1h0m0s` are the same."""
    span = parse_duration(value) if isinstance(value, str) else None
    return value if span is None else span
