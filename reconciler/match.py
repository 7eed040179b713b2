"""Which policies concern which proxy, and what they say together. One function set for every kind.

Matching has two halves. Top level: `PolicyIndex.select` gives the policies that select a Dataplane
and its inbounds, in ascending precedence (the later entry overrides the earlier). Inner level:
`to_conf` for a destination, `subset_rules` for callers by tags, `inbound_rules` for callers by
certificate. All pure; `reconciler.view` caches the results.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, assert_never

from reconciler.merge import merge_all
from reconciler.model.resource import (
    EFFECT,
    NAMESPACE,
    ORIGIN,
    SERVICE,
    ZONE,
    Labels,
    MeshResource,
    ResourceKey,
)
from reconciler.model.spec import DataplaneSpec, Inbound, Item, PolicySpec, Tags
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

ROLE = "kuma.io/policy-role"

Merge = Callable[[Any, Any], Any]
Pair = tuple[str, str]


# --- top level ---


@dataclass(frozen=True, slots=True)
class Selection:
    """One policy that selects a Dataplane. `inbounds`: indexes into its inbounds, ascending."""

    policy: MeshResource
    inbounds: tuple[int, ...]

    @property
    def spec(self) -> PolicySpec:
        assert isinstance(self.policy.spec, PolicySpec)
        return self.policy.spec


@dataclass(frozen=True, slots=True)
class PolicyIndex:
    """The policies of one kind and mesh, ordered, found by one label or tag that they ask for."""

    everywhere: tuple[MeshResource, ...]  # not bound to any label or tag
    by_pair: Mapping[Pair, tuple[MeshResource, ...]]
    rank: Mapping[ResourceKey, int]  # ascending precedence

    @classmethod
    def of(cls, policies: Iterable[MeshResource]) -> PolicyIndex:
        ordered = by_precedence(policy for policy in policies if is_effective(policy))
        everywhere: list[MeshResource] = []
        by_pair: dict[Pair, list[MeshResource]] = {}
        for policy in ordered:
            pair = _required_pair(policy)
            (everywhere if pair is None else by_pair.setdefault(pair, [])).append(policy)
        return cls(
            tuple(everywhere),
            {pair: tuple(found) for pair, found in by_pair.items()},
            {policy.key: rank for rank, policy in enumerate(ordered)},
        )

    def select(self, dataplane: MeshResource) -> tuple[Selection, ...]:
        """The policies that select the Dataplane, in ascending precedence."""
        found: list[Selection] = []
        for policy in (*self.everywhere, *self._candidates(dataplane)):
            inbounds = select(policy, dataplane)
            if inbounds is not None:
                found.append(Selection(policy, inbounds))
        found.sort(key=lambda selection: self.rank[selection.policy.key])
        return tuple(found)

    def _candidates(self, dataplane: MeshResource) -> Iterator[MeshResource]:
        if not self.by_pair:
            return
        pairs = {*dataplane.labels.pairs, *(p for tags in _tag_sets(dataplane) for p in tags)}
        for pair in pairs:
            yield from self.by_pair.get(pair, ())


def _required_pair(policy: MeshResource) -> Pair | None:
    """A label or tag without which the policy selects nothing; None: it may select anything."""
    assert isinstance(policy.spec, PolicySpec)
    match policy.spec.target:
        case DataplaneRef(labels=labels) if labels.pairs:
            return labels.pairs[0]
        case MeshSubsetRef(tags=tags) if tags.pairs:
            return tags.pairs[0]
        case ServiceSubsetRef(name=name):
            return SERVICE, name
        case ServiceRef(kind="MeshService", name=name, namespace="") if name:
            return SERVICE, name
        case _:
            return None


def is_effective(policy: MeshResource) -> bool:
    """A shadow policy is only for inspection."""
    return isinstance(policy.spec, PolicySpec) and policy.labels.get(EFFECT) != "shadow"


def select(policy: MeshResource, dataplane: MeshResource) -> tuple[int, ...] | None:
    """Indexes of the inbounds a policy selects; None when it does not concern the Dataplane.

    A Dataplane without inbounds (a delegated gateway) can be selected with none.
    """
    spec, declared = policy.spec, dataplane.spec
    assert isinstance(spec, PolicySpec)
    assert isinstance(declared, DataplaneSpec)
    if not _in_reach(policy, dataplane):
        return None
    target = spec.target
    match target:
        case MeshRef(proxy_types):
            return _all_inbounds(declared) if _is_of_type(declared, proxy_types) else None
        case MeshSubsetRef(tags, proxy_types):
            return _by_tags(declared, tags) if _is_of_type(declared, proxy_types) else None
        case ServiceSubsetRef(name, tags):
            return _by_tags(declared, tags.with_labels({SERVICE: name}))
        case DataplaneRef():
            return _by_dataplane(target, dataplane, declared)
        case ServiceRef(kind="MeshService"):
            return _by_inbound(declared, lambda tags: names_service(target, tags))
        case RouteRef():
            return ()  # Whoever has the route's routes; `to_entries` points at these alone.
        case ServiceRef() | GatewayRef():
            return None  # No proxy of ours is one.
        case _:
            assert_never(target)


def _in_reach(policy: MeshResource, dataplane: MeshResource) -> bool:
    """Zone policies stay in their zone, namespaced roles in their namespace."""
    role = policy.labels.get(ROLE)
    zonal = policy.labels.get(ORIGIN) == "zone" and dataplane.labels.get(ORIGIN) == "zone"
    if role != "producer" and zonal and policy.labels.get(ZONE) != dataplane.labels.get(ZONE):
        return False
    if role in ("consumer", "workload-owner"):
        return policy.labels.get(NAMESPACE) == dataplane.labels.get(NAMESPACE)
    return True


def _is_of_type(declared: DataplaneSpec, proxy_types: tuple[str, ...]) -> bool:
    return not proxy_types or ("Gateway" if declared.gateway else "Sidecar") in proxy_types


def _all_inbounds(declared: DataplaneSpec) -> tuple[int, ...]:
    return tuple(range(len(declared.inbounds)))


def _by_tags(declared: DataplaneSpec, wanted: Labels) -> tuple[int, ...] | None:
    return _by_inbound(declared, lambda tags: set(wanted.pairs) <= set(tags))


def _by_inbound(declared: DataplaneSpec, selects: Callable[[Tags], bool]) -> tuple[int, ...] | None:
    if declared.gateway:
        return () if selects(declared.gateway_tags) else None
    found = tuple(i for i, inbound in enumerate(declared.inbounds) if selects(inbound.tags))
    return found or None


def _by_dataplane(
    ref: DataplaneRef, dataplane: MeshResource, declared: DataplaneSpec
) -> tuple[int, ...] | None:
    if ref.name and ref.name not in (dataplane.key.name, dataplane.display_name):
        return None
    if ref.namespace and ref.namespace != dataplane.labels.get(NAMESPACE):
        return None
    if not dataplane.labels.contain(ref.labels):
        return None
    if not ref.section:
        return _all_inbounds(declared)
    found = tuple(i for i, inbound in enumerate(declared.inbounds) if _is_section(inbound, ref))
    return found or None


def _is_section(inbound: Inbound, ref: DataplaneRef) -> bool:
    return ref.section in (inbound.name, str(inbound.port))


def _tag_sets(dataplane: MeshResource) -> Iterator[Tags]:
    assert isinstance(dataplane.spec, DataplaneSpec)
    yield dataplane.spec.gateway_tags
    for inbound in dataplane.spec.inbounds:
        yield inbound.tags


# --- precedence ---

_ORIGIN_RANK = {"global": 1, "zone": 3}
_ROLE_RANK = {"producer": 2, "consumer": 3, "workload-owner": 4}


def by_precedence(policies: Iterable[MeshResource]) -> tuple[MeshResource, ...]:
    """Ascending. Of equals the lexicographically smallest display name comes last, and so wins."""
    named = sorted(policies, key=lambda p: (p.display_name, p.key), reverse=True)
    return tuple(sorted(named, key=_specificity))


def _specificity(policy: MeshResource) -> tuple[int, bool, bool, int, int]:
    assert isinstance(policy.spec, PolicySpec)
    target = policy.spec.target
    by_name = isinstance(target, DataplaneRef) and bool(target.name)
    sectioned = isinstance(target, DataplaneRef) and bool(target.section)
    return (
        _kind_rank(target),
        by_name,
        sectioned,
        _ORIGIN_RANK.get(policy.labels.get(ORIGIN) or "", 2),
        _ROLE_RANK.get(policy.labels.get(ROLE) or "", 1),
    )


def _kind_rank(target: TargetRef) -> int:
    match target:
        case MeshRef():
            return 1
        case DataplaneRef():
            return 2
        case MeshSubsetRef():
            return 3
        case GatewayRef():
            return 4
        case ServiceRef(kind=kind):
            return {"MeshService": 5, "MeshExternalService": 6}.get(kind, 7)
        case ServiceSubsetRef():
            return 8
        case RouteRef():
            return 9
        case _:
            assert_never(target)


# --- to: what holds for one destination ---


@dataclass(frozen=True, slots=True)
class Entry:
    """One item of a policy that is in force; tuples of these are in ascending precedence."""

    policy: MeshResource
    item: Item


def to_entries(selections: Iterable[Selection]) -> tuple[Entry, ...]:
    return tuple(Entry(s.policy, _of_route(s, item)) for s in selections for item in s.spec.to)


def _of_route(selection: Selection, item: Item) -> Item:
    """A policy for a MeshHTTPRoute, to the whole mesh, is one for everybody, to that route."""
    top = selection.spec.target
    if isinstance(top, RouteRef) and isinstance(item.target, MeshRef):
        return replace(item, target=top)
    return item


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


def names_service(ref: ServiceRef, tags: Tags) -> bool:
    """By the service tag as it is, or in Kubernetes' form `<name>_<namespace>_svc_<port>`."""
    service = service_of(tags)
    if not ref.name or ref.name == service:
        return bool(ref.name) and not ref.section
    if not ref.namespace or not service.startswith(f"{ref.name}_{ref.namespace}_svc"):
        return False
    port = service.removeprefix(f"{ref.name}_{ref.namespace}_svc").removeprefix("_")
    return port.isdecimal() and ref.section in ("", port)


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


def service_of(tags: Tags) -> str:
    return next((value for key, value in tags if key == SERVICE), "")


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
    return tuple((_subset(entry.item.target), entry.item.conf) for entry in entries)


def from_entries(selections: Iterable[Selection], inbound: int) -> tuple[Entry, ...]:
    return tuple(
        Entry(s.policy, item) for s in selections if inbound in s.inbounds for item in s.spec.from_
    )


def _subset(target: TargetRef) -> Tags:
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


def rule_entries(selections: Iterable[Selection], inbound: int) -> tuple[Entry, ...]:
    """`rules`, and `from` (of kind Mesh) read as rules without matches."""
    return tuple(
        Entry(s.policy, item)
        for s in selections
        if inbound in s.inbounds
        for item in (*s.spec.rules, *s.spec.from_)
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
