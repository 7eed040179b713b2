"""Reading policy documents field by field, and the rules that all kinds share.

`decode` functions use the strict readers below on data a schema has passed; `check` functions use
the tolerant ones (`mapping`, `items`), because they also run on documents the schema has refused:
one round must report everything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from reconciler.model.spec import Item, PolicySpec
from reconciler.model.targetref import MeshRef, target_ref
from reconciler.policies.inbound_match import check_match
from reconciler.problems import Problem

if TYPE_CHECKING:
    from reconciler.policies.policy import At, Path, PolicyRules

Fields = Mapping[str, object]
NO_FIELDS: Fields = {}


def mapping(value: object) -> Fields:
    """The value if it is an object, else an empty one."""
    return cast("Fields", value) if isinstance(value, Mapping) else NO_FIELDS


def sequence(value: object) -> Sequence[object]:
    """The value if it is a list, else an empty one."""
    return value if isinstance(value, list | tuple) else ()


def items(spec: Fields, section: str) -> Iterator[tuple[Path, Fields]]:
    """The entries of a list such as `to`, each with its path; of what is no object the schema
    speaks.
    """
    for index, item in enumerate(sequence(spec.get(section))):
        if isinstance(item, Mapping):
            yield (section, index), mapping(item)


def target_of(fields: Fields) -> Any:
    """The targetRef of a policy or of an item; an omitted one means the whole mesh."""
    given = fields.get("targetRef")
    return MeshRef() if given is None else target_ref(mapping(given))


def top_kind(spec: Fields) -> str:
    """Of a policy; an omitted targetRef means the whole mesh."""
    given = spec.get("targetRef")
    return "Mesh" if given is None else str(mapping(given).get("kind"))


def decode_items(
    spec: Fields,
    section: str,
    conf: Callable[[Fields], Any],
    matches: Callable[[Fields], tuple[Any, ...]] = lambda _: (),
) -> tuple[Item, ...]:
    return tuple(
        Item(target_of(item), conf(mapping(item.get("default"))), matches(item))
        for _, item in items(spec, section)
    )


def decode_lists(
    spec: Fields,
    conf: Callable[[Fields], Any],
    matches: Callable[[Fields], tuple[Any, ...]] = lambda _: (),
) -> PolicySpec:
    """A policy whose `to`, `from` and `rules` hold the same conf."""
    return PolicySpec(
        target=target_of(spec),
        to=decode_items(spec, "to", conf),
        from_=decode_items(spec, "from", conf),
        rules=decode_items(spec, "rules", conf, matches),
    )


# --- rules that every kind shares ---

_FIELDS_OF_KIND: Mapping[str, frozenset[str]] = {
    "Mesh": frozenset({"proxyTypes"}),
    "Dataplane": frozenset({"name", "namespace", "labels", "sectionName"}),
    "MeshSubset": frozenset({"tags", "proxyTypes"}),
    "MeshGateway": frozenset({"name", "tags"}),
    "MeshService": frozenset({"name", "namespace", "labels", "sectionName"}),
    "MeshExternalService": frozenset({"name", "namespace", "labels"}),
    "MeshMultiZoneService": frozenset({"name", "namespace", "labels", "sectionName"}),
    "MeshServiceSubset": frozenset({"name", "tags"}),
    "MeshHTTPRoute": frozenset({"name", "namespace", "labels"}),
}
_NAMED_OR_LABELLED = ("MeshService", "MeshExternalService", "MeshMultiZoneService", "MeshHTTPRoute")
_NAMED = ("MeshGateway", "MeshServiceSubset")


def check_sections(policy: PolicyRules, spec: Fields, at: At) -> Iterator[Problem]:
    """The lists a policy may have, and every targetRef in them."""
    allowed = [
        name
        for name, use in (
            ("to", policy.to_kinds),
            ("from", policy.from_kinds),
            ("rules", policy.has_rules),
        )
        if use
    ]
    present = [name for name in ("to", "from", "rules") if sequence(spec.get(name))]
    for name in present:
        if name not in allowed:
            yield Problem(
                at((name,)), "PS002", f"{policy.kind} has no {name}; use {' or '.join(allowed)}"
            )
    if not set(present) & set(allowed):
        yield Problem(at(()), "PS001", f"does nothing; fill at least one of {', '.join(allowed)}")
    if "rules" in present and "from" in present:
        yield Problem(
            at(("from",)), "PS003", "from and rules exclude each other; write it all as rules"
        )
    yield from _check_targets(policy, spec, at)
    for path, rule in items(spec, "rules"):
        for index, match in enumerate(sequence(rule.get("matches"))):
            yield from check_match(mapping(match), (*path, "matches", index), at)


def _check_targets(policy: PolicyRules, spec: Fields, at: At) -> Iterator[Problem]:
    top = spec.get("targetRef")
    if isinstance(top, Mapping):
        section = policy.inbound_effect
        path: Path = ("targetRef",)
        yield from check_target(mapping(top), policy.top_kinds, path, at, section_allowed=section)
    kind = top_kind(spec)
    narrow = policy.narrow_to_kinds.get(kind)
    if narrow is not None and policy.from_kinds and sequence(spec.get("from")):
        yield Problem(at(("from",)), "PS002", f"a {policy.kind} for a {kind} has no from; use to")
    to_kinds = policy.to_kinds if narrow is None else narrow
    for name, allowed in (("to", to_kinds), ("from", policy.from_kinds)):
        for path, item in items(spec, name):
            if not allowed:
                continue
            if item.get("targetRef") is None:
                yield Problem(at(path), "TR001", "targetRef is missing; say whom the item concerns")
                continue
            target = item.get("targetRef")
            if isinstance(target, Mapping):
                yield from check_target(target, allowed, (*path, "targetRef"), at)


def check_target(
    target: Fields,
    allowed: tuple[str, ...],
    path: Path,
    at: At,
    *,
    section_allowed: bool = True,
) -> Iterator[Problem]:
    """One targetRef: its kind, and the fields that this kind may or must have."""
    kind = str(target.get("kind") or "")
    if kind not in allowed:
        cure = f"use {'one of ' if len(allowed) > 1 else ''}{', '.join(allowed)}"
        fault = f'kind "{kind}" is not allowed here' if kind else "kind is missing"
        yield Problem(at((*path, "kind")), "TR001", f"{fault}; {cure}")
        return
    given = {name for name in target if name != "kind" and target[name] not in (None, "", {})}
    for name in sorted(given - _FIELDS_OF_KIND.get(kind, given) - {"weight", "port"}):
        yield Problem(at((*path, name)), "TR002", f"{kind} takes no {name}; remove it")
    named, labelled = "name" in given, "labels" in given
    if labelled and (named or "namespace" in given):
        text = "labels exclude name and namespace; keep one of them"
        yield Problem(at((*path, "labels")), "TR003", text)
    elif kind in _NAMED_OR_LABELLED and not named and not labelled:
        yield Problem(at(path), "TR003", f"{kind} needs a name or labels")
    elif kind in _NAMED and not named:
        yield Problem(at(path), "TR003", f"{kind} needs a name")
    if target.get("proxyTypes") == []:
        cure = "name Sidecar or Gateway, or remove it"
        yield Problem(at((*path, "proxyTypes")), "TR004", f"proxyTypes is empty; {cure}")
    if "sectionName" in given and not section_allowed:
        yield Problem(
            at((*path, "sectionName")), "TR005", "sectionName picks an inbound; remove it"
        )
