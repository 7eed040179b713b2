"""What the policies that select a Dataplane say together: `to_conf` for a destination,
`subset_rules` for callers by tags, `inbound_rules` for callers by certificate. One function set for
every kind. Pure; `reconciler.view` caches the results.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, assert_never

from reconciler.match import (
    Selection,
    aim,
    kind_rank,
    names_service,
    precedence,
    service_of,
)
from reconciler.merge import merge_all
from reconciler.model.resource import NAMESPACE, SERVICE, ZONE, MeshResource, ResourceKey
from reconciler.model.targetref import (
    DataplaneRef,
    GatewayRef,
    MeshRef,
    MeshSubsetRef,
    RouteRef,
    ServiceRef,
    ServiceSubsetRef,
    TargetRef,
)
from reconciler.policies.inbound_match import InboundMatch

if TYPE_CHECKING:
    from reconciler.model.spec import Item, Tags
    from reconciler.real import RealDestination

Merge = Callable[[Any, Any], Any]


# --- to: what holds for one destination ---


@dataclass(frozen=True, slots=True)
class Entry:
    """One item of a policy that is in force; tuples of these are in ascending precedence."""

    policy: MeshResource
    item: Item


def to_entries(selections: Iterable[Selection]) -> tuple[Entry, ...]:
    return tuple(
        Entry(s.policy, item if target is item.target else replace(item, target=target))
        for s in selections
        for item in s.spec.to
        for target in (aim(s.spec, item),)
    )


@dataclass(frozen=True, slots=True)
class Conf:
    """A merged conf and the policies that contributed to it, strongest last."""

    value: Any
    origins: tuple[ResourceKey, ...]


ServiceNames = Callable[[ServiceRef], frozenset[str]]


def no_services(_: ServiceRef) -> frozenset[str]:
    """For a mesh without MeshService resources: labels select none."""
    return frozenset()


def to_conf(
    entries: Iterable[Entry], tags: Tags, merge: Merge, labelled: ServiceNames = no_services
) -> Conf | None:
    """The conf towards a destination given by tags; None when no item concerns it.

    `labelled` gives the service names of the resources that a reference by labels selects.
    """
    return _merged([e for e in entries if targets(e.item.target, tags, labelled)], merge)


def real_conf(entries: Iterable[Entry], to: RealDestination, merge: Merge) -> Conf | None:
    """The conf towards a port of a real resource; None when no item concerns it."""
    found = sorted((e for e in entries if targets_real(e, to)), key=resource_order)
    return _merged(found, merge)


def resource_order(entry: Entry) -> tuple[object, ...]:
    """What a policy is for comes first, then what its item is about, then its name."""
    *whom, name, _ = precedence(entry.policy)
    target = entry.item.target
    section = isinstance(target, ServiceRef) and target.kind == "MeshService" and target.section
    return (*whom, kind_rank(target), bool(section), name)


def targets_real(entry: Entry, to: RealDestination) -> bool:
    """Whether an item concerns a port of a real resource: the whole mesh, the resource or the port.

    By name it is what stands in the policy's own zone and namespace (facts/policies.md 2.6 d).
    """
    target, real = entry.item.target, to.real
    match target:
        case MeshRef():
            return True
        case ServiceRef(kind=kind) if kind == real.key.type:
            pass
        case _:
            return False
    if target.section not in ("", to.port.name):
        return False
    if target.labels.pairs:
        return real.labels.contain(target.labels)
    labels = entry.policy.labels
    place = labels.get(ZONE) or "", target.namespace or labels.get(NAMESPACE) or ""
    if target.name == real.display_name and place == (real.zone, real.namespace):
        return True
    form = f"{real.display_name}_{real.namespace}_svc"
    old = (form, f"{form}_{to.port.port}") if real.namespace and kind == "MeshService" else ()
    return not target.section and target.name in old


def route_conf(entries: Iterable[Entry], route: MeshResource, merge: Merge) -> Conf | None:
    """The conf of routes made from a MeshHTTPRoute; None when no item points at it.

    Holds items for the whole mesh and for the route, none for its service.
    """
    found = [e for e in entries if _names_route(e.item.target, route)]
    if not any(isinstance(e.item.target, RouteRef) for e in found):
        return None
    return _merged(found, merge)


def _merged(entries: Sequence[Entry], merge: Merge) -> Conf | None:
    if not entries:
        return None
    origins = dict.fromkeys(entry.policy.key for entry in entries)
    return Conf(merge_all((entry.item.conf for entry in entries), merge), tuple(origins))


def targets(target: TargetRef, tags: Tags, labelled: ServiceNames = no_services) -> bool:
    """Whether an item's target is, or contains, the destination with these tags."""
    match target:
        case MeshRef():
            return True
        case MeshSubsetRef(tags=wanted):
            return set(wanted.pairs) <= set(tags)
        case ServiceSubsetRef(name, wanted):
            return {(SERVICE, name), *wanted.pairs} <= set(tags)
        case ServiceRef(labels=labels) if labels.pairs:
            return service_of(tags) in labelled(target)
        case ServiceRef():
            # A tag destination is never one of the other kinds, even by the same name.
            return target.kind == "MeshService" and names_service(target, tags)
        case DataplaneRef() | GatewayRef() | RouteRef():
            return False
        case _:
            assert_never(target)


def _names_route(target: TargetRef, route: MeshResource) -> bool:
    match target:
        case MeshRef():
            return True
        case RouteRef(name=name) if name:
            return name in (route.key.name, route.display_name)
        case RouteRef(labels=labels):
            return bool(labels.pairs) and route.labels.contain(labels)
        case _:
            return False


# --- from: callers by tags ---


@dataclass(frozen=True, slots=True)
class SubsetRule:
    """Callers with all `positive` tags and none of `negative`. The rules of a list are disjoint."""

    positive: Tags
    negative: Tags
    conf: Any

    def holds_for(self, tags: Tags) -> bool:
        present = set(tags)
        return present.issuperset(self.positive) and present.isdisjoint(self.negative)


def from_subsets(entries: Iterable[Entry]) -> tuple[tuple[Tags, Any], ...]:
    """The items of `from` as (tags, conf), in ascending precedence."""
    return tuple((subset_of(entry.item.target), entry.item.conf) for entry in entries)


def from_entries(selections: Iterable[Selection], inbound: int) -> tuple[Entry, ...]:
    return tuple(
        Entry(s.policy, item) for s in selections if inbound in s.inbounds for item in s.spec.from_
    )


def subset_of(target: TargetRef) -> Tags:
    """The tags that a target asks for."""
    match target:
        case MeshSubsetRef(tags=tags):
            return tags.pairs
        case ServiceRef(name=name):
            return ((SERVICE, name),)
        case ServiceSubsetRef(name, tags):
            return tags.with_labels({SERVICE: name}).pairs
        case _:
            return ()


def subset_rules(
    subsets: Sequence[tuple[Tags, Any]], merge: Merge, *, replaces: bool = False
) -> tuple[SubsetRule, ...]:
    """Disjoint rules, so that every caller gets the merge of all items that contain it.

    Callers are split tag by tag, and only by tags that still matter on that side. `replaces`: a
    stronger conf replaces a weaker one whole, so whatever is weaker than an item that is sure to
    apply need not be looked at; the number of rules then stays near the number of items.
    """
    rules = _split([(dict(tags), conf) for tags, conf in subsets], (), (), merge, replaces)
    return tuple(sorted(rules, key=lambda r: (-len(r.positive), r.positive, r.negative)))


def _split(
    items: list[tuple[dict[str, str], Any]],
    positive: Tags,
    negative: Tags,
    merge: Merge,
    replaces: bool,
) -> Iterator[SubsetRule]:
    if replaces:
        sure = max((i for i, (tags, _) in enumerate(items) if not tags), default=0)
        items = items[sure:]
    key = _key_to_split(items)
    if key is None:
        if items:
            conf = merge_all((conf for _, conf in items), merge)
            yield SubsetRule(tuple(sorted(positive)), tuple(sorted(negative)), conf)
        return
    values = sorted({tags[key] for tags, _ in items if key in tags})
    for value in values:
        inside = [(_without(tags, key), c) for tags, c in items if tags.get(key, value) == value]
        yield from _split(inside, (*positive, (key, value)), negative, merge, replaces)
    outside = [(tags, conf) for tags, conf in items if key not in tags]
    barred = (*negative, *((key, value) for value in values))
    yield from _split(outside, positive, barred, merge, replaces)


def _key_to_split(items: list[tuple[dict[str, str], Any]]) -> str | None:
    """Of the strongest item that is not sure to apply, the first key."""
    return next((min(tags) for tags, _ in reversed(items) if tags), None)


def _without(tags: dict[str, str], key: str) -> dict[str, str]:
    return {name: value for name, value in tags.items() if name != key}


# --- rules: callers by certificate ---


@dataclass(frozen=True, slots=True)
class InboundRule:
    """`match` is None for everybody."""

    match: InboundMatch | None
    conf: Any
    policy: MeshResource


def rule_entries(
    selections: Iterable[Selection], inbound: int, *, from_too: bool = True
) -> tuple[Entry, ...]:
    """`rules`, and `from` (of kind Mesh) read as rules without matches, in kinds that do so."""
    return tuple(
        Entry(s.policy, item)
        for s in selections
        if inbound in s.inbounds
        for item in (*s.spec.rules, *(s.spec.from_ if from_too else ()))
    )


def inbound_rules(entries: Iterable[Entry]) -> tuple[InboundRule, ...]:
    """One rule for each match, the most specific matches first, else in ascending precedence."""
    rules = [
        InboundRule(match, entry.item.conf, entry.policy)
        for entry in entries
        for match in (entry.item.matches or (None,))
        if match is None or isinstance(match, InboundMatch)
    ]
    return tuple(sorted(rules, key=lambda rule: _negated(rule.match)))


def _negated(match: InboundMatch | None) -> tuple[int, int, int]:
    kind, length, sni = match.specificity if match is not None else (0, 0, 0)
    return -kind, -length, -sni


def catch_all(entries: Iterable[Entry], merge: Merge) -> Conf | None:
    """What holds for every caller of an inbound: the merge of all rules without matches."""
    return _merged([entry for entry in entries if not entry.item.matches], merge)
