"""What the policies of one kind say together of one Dataplane: its inbounds, its destinations, the
proxy itself. As values; the JSON is made by who answers. Pure.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reconciler.model.resource import Labels
from reconciler.model.spec import Item, PolicySpec, Tags
from reconciler.model.targetref import (
    GatewayRef,
    MeshRef,
    MeshSubsetRef,
    RouteRef,
    ServiceRef,
    ServiceSubsetRef,
)
from reconciler.rest.plain_policy import Said, has, is_single, matches_key, merged, plain
from reconciler.rules import (
    Entry,
    InboundRule,
    SubsetRule,
    from_entries,
    from_subsets,
    inbound_rules,
    rule_entries,
    subset_of,
    subset_rules,
)
from xds.resource import digest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from reconciler.match import Selection
    from reconciler.model.resource import MeshResource
    from reconciler.model.targetref import TargetRef
    from reconciler.rest.matched import Matched

RULE_MATCHES = "__rule-matches-hash__"  # Kuma's tag for one rule of a route
_BY_TAGS = (MeshRef, MeshSubsetRef, ServiceSubsetRef, ServiceRef, GatewayRef)


@dataclass(frozen=True, slots=True)
class Origin:
    """A policy that contributed; `index`: of its item."""

    policy: MeshResource
    index: int


@dataclass(frozen=True, slots=True)
class Subset:
    """What holds for those with some tags and without others."""

    positive: Tags
    negative: Tags
    conf: Any
    origins: tuple[Origin, ...]

    def holds_for(self, tags: Tags) -> bool:
        present = set(tags)
        return present.issuperset(self.positive) and present.isdisjoint(self.negative)


def said(entry: Entry) -> Said:
    conf = entry.item.conf
    assert isinstance(conf, Said)
    return conf


def confs_of(kind: str, entries: Iterable[Entry]) -> list[Any]:
    return merged(kind, [said(entry) for entry in entries])


def origins_of(entries: Iterable[Entry]) -> tuple[Origin, ...]:
    found: dict[tuple[object, int], Origin] = {}
    for entry in entries:
        index = said(entry).index
        found.setdefault((entry.policy.key, index), Origin(entry.policy, index))
    return tuple(found.values())


def policies_of(origins: Iterable[Origin]) -> tuple[MeshResource, ...]:
    """Each once."""
    return tuple({origin.policy.key: origin.policy for origin in origins}.values())


# --- the proxy itself ---


def proxy_conf(matched: Matched) -> tuple[Any, tuple[MeshResource, ...]] | None:
    """Of a kind without lists; None where no policy speaks."""
    if not is_single(matched.kind) or not matched.selections:
        return None
    defaults = [_default(selection) for selection in matched.selections]
    conf = merged(matched.kind, defaults)[0]
    return conf, tuple(selection.policy for selection in matched.selections)


def _default(selection: Selection) -> Said:
    default = selection.spec.default
    assert isinstance(default, Said)
    return default


# --- who calls ---


def from_rules(matched: Matched, inbound: int) -> tuple[Subset, ...]:
    """`from` items by the tags of callers, as the data plane divides them."""
    entries = from_entries(matched.selections, inbound)
    pairs = zip(from_subsets(entries), entries, strict=True)
    return _subsets(matched.kind, [(tags, entry) for (tags, _), entry in pairs])


def by_caller(matched: Matched, inbound: int) -> tuple[tuple[InboundRule, int], ...]:
    """`rules`, and `from` in kinds where it counts as such; each with its place in its policy."""
    kind = matched.kind
    if not has(kind, "r"):
        return ()
    entries = rule_entries(matched.selections, inbound, from_too=has(kind, "a"))
    return tuple((rule, rule.conf.index) for rule in inbound_rules(entries))


def _subsets(kind: str, items: Sequence[tuple[Tags, Entry]]) -> tuple[Subset, ...]:
    rules = subset_rules([(tags, (entry,)) for tags, entry in items], operator.add)
    return tuple(subset for rule in rules for subset in _said_of(kind, rule))


def _said_of(kind: str, rule: SubsetRule) -> Iterator[Subset]:
    for conf in confs_of(kind, rule.conf):
        yield Subset(rule.positive, rule.negative, conf, origins_of(rule.conf))


# --- where to, by tags ---


def to_rules(matched: Matched, routes: Callable[[str], MeshResource | None]) -> tuple[Subset, ...]:
    """`to` items towards services by tag. A policy that names routes has no part in it."""
    items = [
        (tags, entry)
        for selection in matched.selections
        if not any(isinstance(item.target, RouteRef) for item in selection.spec.to)
        for entry in _to_entries(selection, routes)
        if isinstance(entry.item.target, _BY_TAGS)
        for tags in (subset_of(entry.item.target),)
    ]
    keys = {key for tags, _ in items for key, _ in tags}
    if len(keys) > 1:
        return _subsets(matched.kind, items)
    found: list[Subset] = []
    for tags in dict.fromkeys(tags for tags, _ in items):
        entries = [entry for wanted, entry in items if set(wanted) <= set(tags)]
        confs = confs_of(matched.kind, entries)
        found += [Subset(tags, (), conf, origins_of(entries)) for conf in confs]
    return tuple(sorted(found, key=lambda subset: -len(subset.positive)))


def _to_entries(
    selection: Selection, routes: Callable[[str], MeshResource | None]
) -> Iterator[Entry]:
    target = selection.spec.target
    if not isinstance(target, RouteRef):
        yield from (Entry(selection.policy, item) for item in selection.spec.to)
        return
    route = routes(target.name)
    for aimed in _rules_of(route) if route is not None else ():
        for item in selection.spec.to:
            yield Entry(selection.policy, Item(aimed, item.conf))


def _rules_of(route: MeshResource) -> Iterator[TargetRef]:
    """Each rule of a route as a subset of the requests to a service."""
    spec = plain(route).spec
    assert isinstance(spec, PolicySpec)
    for item in spec.to:
        assert isinstance(item.conf, Said)
        for rule in item.conf.value["rules"]:
            tag = Labels(((RULE_MATCHES, matches_hash(rule)),))
            if isinstance(item.target, ServiceRef | ServiceSubsetRef):
                yield ServiceSubsetRef(item.target.name, tag)
            else:
                yield MeshSubsetRef(tag)


def matches_hash(rule: Any) -> str:
    """What a rule of a route is called by: only equality matters."""
    return digest((matches_key(rule).encode(),))


def rule_for(rules: Iterable[Subset], tags: Tags) -> Subset | None:
    return next((rule for rule in rules if rule.holds_for(tags)), None)
