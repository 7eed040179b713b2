"""Which settings of policies change for whom: the merged confs of every targetRef kind, towards
destinations, for callers, and of proxies as a whole. Pure.

All kinds are read, also those whose effect on Envoy this control plane does not compute yet: zones
of Kuma do, and the reviewer wants to know.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reconciler.match import (
    INBOUNDS,
    PolicyIndex,
    is_effective,
    precedence,
    selections,
    shelves_of,
    towards,
    wanted,
)
from reconciler.model.decode import DecodeError
from reconciler.model.kinds import KINDS
from reconciler.model.spec import TagDestination
from reconciler.planning.changes import FieldChange, field_changes
from reconciler.planning.effect import representatives
from reconciler.planning.worlds import dataplane
from reconciler.policies.inbound_match import InboundMatch
from reconciler.rest.plain_policy import Said, has, is_single, merge, merged, plain
from reconciler.rules import (
    from_entries,
    from_subsets,
    rule_entries,
    subset_rules,
    to_conf,
    to_entries,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from reconciler.match import Ranked, Selection
    from reconciler.model.resource import MeshResource, ResourceKey
    from reconciler.model.spec import Tags
    from reconciler.planning.fleet import Group, ZoneFleet
    from reconciler.planning.worlds import Policies

PERMISSIONS = "MeshTrafficPermission"  # told as edges


@dataclass(frozen=True, slots=True, order=True)
class Scope:
    """What a conf is for. `other`: a destination, callers, or "" for the proxy as a whole."""

    kind: str
    direction: str  # "to", "from", "proxy"
    other: str


@dataclass(frozen=True, slots=True)
class SettingChange:
    """`who`: (zone, the services of its proxies, how many)."""

    mesh: str
    scope: Scope
    fields: tuple[FieldChange, ...]
    origins: tuple[ResourceKey, ...]  # of the side that has the conf, the strongest last
    who: tuple[tuple[str, str, int], ...] = ()


_Found = tuple[str, Scope, tuple[FieldChange, ...], "tuple[ResourceKey, ...]"]


@dataclass(frozen=True, slots=True)
class _Conf:
    value: Any
    origins: tuple[ResourceKey, ...]


@dataclass(frozen=True, slots=True)
class _Policies:
    """Of one kind and mesh, with plain confs. `whole`: those for whole classes of proxies that
    stand on no shelf, as they have no lists.
    """

    index: PolicyIndex
    whole: tuple[Ranked, ...] = ()

    def about_proxy(self, proxy: MeshResource) -> tuple[Selection, ...]:
        return selections((*self._own(proxy), *self.whole), proxy)

    def about_inbounds(self, proxy: MeshResource) -> tuple[Selection, ...]:
        return selections((*self._own(proxy), *self.index.at(INBOUNDS)), proxy)

    def about(self, tags: Tags, proxy: MeshResource) -> tuple[Selection, ...]:
        may = (ranked for shelf in towards(tags) for ranked in self.index.at(shelf))
        return selections((*self._own(proxy), *may), proxy)

    def _own(self, proxy: MeshResource) -> Iterator[Ranked]:
        return (ranked for shelf in wanted(proxy) for ranked in self.index.at(shelf))


def setting_changes(
    fleets: Iterable[ZoneFleet], base: Policies, head: Policies
) -> tuple[SettingChange, ...]:
    fleets = tuple(fleets)
    found: dict[_Found, list[tuple[str, str, int]]] = {}
    for mesh in sorted({group.mesh for fleet in fleets for group in fleet.groups}):
        for kind in _changed_kinds(mesh, base, head):
            sides = _sides(kind, mesh, base, head)
            for fleet in fleets:
                for group in fleet.groups:
                    if group.mesh == mesh:
                        _of_group(found, kind, sides, group)
    changes = [SettingChange(*key, tuple(sorted(who))) for key, who in found.items()]
    return tuple(sorted(changes, key=lambda c: (c.mesh, c.scope, c.who)))


def _changed_kinds(mesh: str, base: Policies, head: Policies) -> Iterator[str]:
    for name, kind in KINDS.items():
        if not kind.policy or name == PERMISSIONS:
            continue
        if base.state.collection(name, mesh) is not head.state.collection(name, mesh):
            yield name


def _sides(kind: str, mesh: str, base: Policies, head: Policies) -> tuple[_Policies, _Policies]:
    old = {r.key: _plain(r) for r in base.state.collection(kind, mesh)}
    new: dict[ResourceKey, MeshResource | None] = {}
    for resource in head.state.collection(kind, mesh):
        same = base.state.get(resource.key) is resource
        new[resource.key] = old[resource.key] if same else _plain(resource)
    index = PolicyIndex().changed([(None, each) for each in old.values() if each is not None])
    pairs = [(old.get(key), new.get(key)) for key in sorted(old.keys() | new.keys())]
    changes = [pair for pair in pairs if pair[0] is not pair[1]]
    return (
        _Policies(index, tuple(_whole(old.values()))),
        _Policies(index.changed(changes), tuple(_whole(new.values()))),
    )


def _whole(policies: Iterable[MeshResource | None]) -> Iterator[Ranked]:
    for policy in policies:
        if policy is not None and is_effective(policy) and not shelves_of(policy):
            yield precedence(policy), policy


def _plain(policy: MeshResource) -> MeshResource | None:
    """None for one that cannot be read: a zone would say so."""
    try:
        return plain(policy)
    except DecodeError:
        return None


def _of_group(
    found: dict[_Found, list[tuple[str, str, int]]],
    kind: str,
    sides: tuple[_Policies, _Policies],
    group: Group,
) -> None:
    counts: dict[_Found, int] = {}
    for proxy in representatives(group):
        before, after = (_confs(kind, side, proxy) for side in sides)
        for scope in before.keys() | after.keys():
            was, now = before.get(scope), after.get(scope)
            old = was.value if was is not None else {}
            new = now.value if now is not None else {}
            fields = tuple(field_changes(old, new))
            side = now if now is not None else was
            if fields and side is not None:
                key = group.mesh, scope, fields, side.origins
                weight = 1 if group.named else len(group.members)
                counts[key] = counts.get(key, 0) + weight
    for key, count in counts.items():
        found.setdefault(key, []).append((group.zone, group.title, count))


def _confs(kind: str, policies: _Policies, proxy: MeshResource) -> Mapping[Scope, _Conf]:
    found: dict[Scope, _Conf] = {}
    if is_single(kind):
        chosen = policies.about_proxy(proxy)
        said = [s.spec.default for s in chosen if isinstance(s.spec.default, Said)]
        if said:
            keys = tuple(s.policy.key for s in chosen)
            found[Scope(kind, "proxy", "")] = _Conf(merged(kind, said)[0], keys)
        return found
    if has(kind, "t"):
        for tags in _destinations(proxy):
            conf = _towards(kind, policies.about(tags, proxy), tags)
            if conf is not None:
                found[Scope(kind, "to", _shown(tags))] = conf
    if has(kind, "f") or has(kind, "r"):
        found.update(_inbound(kind, policies.about_inbounds(proxy), proxy))
    return found


def _towards(kind: str, chosen: tuple[Selection, ...], tags: Tags) -> _Conf | None:
    conf = to_conf(to_entries(chosen), tags, _merge_said)
    if conf is None:
        return None
    value = merged(kind, _said_of(conf.value))
    return _Conf(value[0] if len(value) == 1 else value, conf.origins)


def _merge_said(weak: Any, strong: Any) -> Any:
    """Kept apart until all are there: routes are merged by their matches."""
    return (*_said_of(weak), *_said_of(strong))


def _said_of(value: Any) -> tuple[Said, ...]:
    return value if isinstance(value, tuple) else (value,)


def _inbound(
    kind: str, chosen: tuple[Selection, ...], proxy: MeshResource
) -> Iterator[tuple[Scope, _Conf]]:
    for index, inbound in enumerate(dataplane(proxy).inbounds):
        at = f":{inbound.port}"
        if has(kind, "f"):
            entries = from_entries(chosen, index)
            for rule in subset_rules(from_subsets(entries), _merge_plain):
                callers = _shown(rule.positive, rule.negative) or "everybody"
                keys = tuple(dict.fromkeys(entry.policy.key for entry in entries))
                yield Scope(kind, "from", f"{callers} at {at}"), _Conf(rule.conf.value, keys)
        if has(kind, "r"):
            for entry in rule_entries(chosen, index, from_too=False):
                matches = ", ".join(map(_match, entry.item.matches)) or "everybody"
                conf = entry.item.conf
                assert isinstance(conf, Said)
                scope = Scope(kind, "from", f"{matches} at {at}, by {entry.policy.display_name}")
                yield scope, _Conf(conf.value, (entry.policy.key,))


def _match(match: object) -> str:
    assert isinstance(match, InboundMatch)
    prefix = f"{match.spiffe_prefix}*" if match.spiffe_prefix else ""
    return " and ".join(filter(None, (match.spiffe_exact or prefix, match.sni)))


def _merge_plain(weak: Said, strong: Said) -> Said:
    return Said(merge(weak.value, strong.value))


def _destinations(proxy: MeshResource) -> Iterator[Tags]:
    seen: set[Tags] = set()
    for outbound in dataplane(proxy).outbounds:
        to = outbound.destination
        if isinstance(to, TagDestination) and to.tags not in seen:
            seen.add(to.tags)
            yield to.tags


def _shown(tags: Tags, negative: Tags = ()) -> str:
    positive = [value if key == "kuma.io/service" else f"{key}={value}" for key, value in tags]
    return ", ".join((*positive, *(f"not {key}={value}" for key, value in negative)))


def short(text: str) -> str:
    """A value of a field for people."""
    if not text:
        return "-"
    value = json.loads(text)
    return value if isinstance(value, str) and value else text
