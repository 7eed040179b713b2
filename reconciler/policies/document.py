"""Reading policy documents field by field, and the rules that all kinds share.

`decode` functions use the strict readers below on data a schema has passed; `check` functions use
the tolerant ones (`mapping`, `items`), because they also run on documents the schema has refused:
one round must report everything.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from reconciler.model.spec import Item, PolicySpec
from reconciler.model.targetref import MeshRef, target_ref
from reconciler.part import Part, form
from reconciler.policies.inbound_match import check_match
from reconciler.problems import Problem, Severity, has_errors

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

ROLE, SYSTEM_ROLE = "kuma.io/policy-role", "system"
NAMED, TAGGED = frozenset({"name", "namespace", "labels"}), frozenset({"name", "tags"})
_FIELDS_OF_KIND: Mapping[str, frozenset[str]] = {
    "Mesh": frozenset({"proxyTypes"}),
    "Dataplane": NAMED | {"sectionName"},
    "MeshSubset": frozenset({"tags", "proxyTypes"}),
    "MeshGateway": TAGGED,
    "MeshService": NAMED | {"sectionName"},
    "MeshExternalService": NAMED,
    "MeshServiceSubset": TAGGED,
    "MeshHTTPRoute": NAMED,
}
_TARGET_FIELDS = ("name", "namespace", "labels", "tags", "sectionName", "mesh", "proxyTypes")
_NAMED_OR_LABELLED = ("MeshService", "MeshExternalService", "MeshHTTPRoute")
_NEED_NAME = ("MeshGateway", "MeshServiceSubset")
_UNCHECKED = "MeshMultiZoneService"  # Kuma has no rules for a target of this kind
_NAME = re.compile(r"[0-9a-z.\-_]*")
_TAG = re.compile(r"[a-zA-Z0-9.\-_:/]*")
_TAG_VALUE = re.compile(r"[a-zA-Z0-9.\-_:]*")
_SELECTOR_VALUE = re.compile(r"[a-zA-Z0-9.\-_:/]*|\*")


def check_policy(policy: PolicyRules, spec: Fields, role: str, at: At) -> Iterator[Problem]:
    """All that is wrong with a policy. `role`: the value of its label, "" where it has none, which
    Kuma looks at where all else is well.
    """
    problems = tuple(policy.check(spec, at))
    yield from problems
    kind = top_kind(spec)
    if role not in ("", SYSTEM_ROLE) and kind in policy.system_kinds and not has_errors(problems):
        text = f'a policy of the role "{role}" targets no {kind}; remove the label {ROLE}'
        yield Problem(at(("targetRef", "kind")), "TR001", text)


def check_sections(policy: PolicyRules, spec: Fields, at: At) -> Iterator[Problem]:
    """The lists a policy may have, and every targetRef in them."""
    document = Part(spec, (), at)
    present = [name for name in policy.lists if document.set(name)]
    if not present and policy.lists:
        severity = Severity.ERROR if policy.needs_list else Severity.WARNING
        text = f"does nothing; fill at least one of {', '.join(policy.lists)}"
        yield Problem(at(()), "PS001", text, severity)
    beside = [name for name in policy.rules_exclude if name in present]
    if "rules" in present and beside:
        text = f"rules exclude {' and '.join(beside)}; use a policy for each"
        yield Problem(at(()), "PS003", text)
    inbound = "from" in present or "rules" in present
    top = document["targetRef"]
    if top.fields or top.value == {}:
        yield from _check_target(
            top, policy.top_kinds, section_allowed=inbound, gateway_tags=policy.gateway_tags
        )
    for name, why in policy.closed(top.fields or {"kind": "Mesh"}).items():
        if name in present:
            yield document[name].fault("PS002", why)
    for name, kinds in (("to", policy.to_kinds_for(top_kind(spec))), ("from", policy.from_kinds)):
        for item in open_items(policy, document, name) if kinds else ():
            if isinstance(item["targetRef"].value, Mapping):
                yield from _check_target(item["targetRef"], kinds, section_allowed=True)
    for rule in open_items(policy, document, "rules") if policy.has_matches else ():
        for match in rule["matches"].items():
            yield from check_match(match, empty_allowed=policy.empty_match_allowed)


def open_items(policy: PolicyRules, document: Part, name: str) -> Iterator[Part]:
    """The entries of a list that Kuma looks into: none where the policy may not have the list."""
    if name not in policy.closed(document["targetRef"].fields or {"kind": "Mesh"}):
        for item in document[name].items():
            if isinstance(item.value, Mapping):
                yield item


def includes_gateways(top: Fields) -> bool:
    """Whether gateways can be among the proxies of a top-level targetRef."""
    if top.get("kind") in ("Mesh", "MeshSubset"):
        types = sequence(top.get("proxyTypes"))
        return not types or "Gateway" in types
    return top.get("kind") in ("MeshGateway", "MeshHTTPRoute")


def check_target(
    target: Fields,
    allowed: tuple[str, ...],
    path: Path,
    at: At,
    *,
    section_allowed: bool = True,
    odd_names: tuple[str, ...] = (),
) -> Iterator[Problem]:
    """One targetRef: its kind, and the fields that this kind may or must have. `odd_names` count
    as names although they have not the form of one.
    """
    part = Part(target, path, at)
    yield from _check_target(part, allowed, section_allowed=section_allowed, odd_names=odd_names)


def _check_target(
    target: Part,
    allowed: tuple[str, ...],
    *,
    section_allowed: bool,
    gateway_tags: bool = True,
    odd_names: tuple[str, ...] = (),
) -> Iterator[Problem]:
    kind = str(target["kind"].value or "")
    if kind not in allowed:
        cure = f"use {'one of ' if len(allowed) > 1 else ''}{', '.join(allowed)}"
        fault = f'kind "{kind}" is not allowed here' if kind else "kind is missing"
        yield target["kind"].fault("TR001", f"{fault}; {cure}")
        return
    if kind == _UNCHECKED:
        if not target.set("name") and not target.set("labels"):
            yield target.warning("TR003", f"{kind} without name and labels is none; name one")
        return
    takes = _FIELDS_OF_KIND[kind]
    if kind == "MeshGateway" and not gateway_tags:
        takes -= {"tags"}
    for name in _TARGET_FIELDS:
        if target.set(name) and name not in takes:
            yield target[name].fault("TR002", f"{kind} takes no {name}; remove it")
    yield from _check_name(target, kind, odd_names)
    if "tags" in takes or kind == "MeshGateway":
        yield from _check_tags(target["tags"], selector=kind in _NEED_NAME)
    if target["proxyTypes"].is_list and not target.set("proxyTypes") and "proxyTypes" in takes:
        cure = "name Sidecar or Gateway, or remove it"
        yield target["proxyTypes"].fault("TR004", f"proxyTypes is empty; {cure}")
    if kind == "Dataplane" and target.set("sectionName") and not section_allowed:
        text = "sectionName picks an inbound, and nothing here is about inbounds; remove it"
        yield target["sectionName"].fault("TR005", text)


def _check_name(target: Part, kind: str, odd: tuple[str, ...]) -> Iterator[Problem]:
    named, labelled = target.set("name"), target.set("labels")
    if kind in _NAMED_OR_LABELLED and not named and not labelled:
        yield target.fault("TR003", f"{kind} needs a name or labels; write one")
    elif kind in _NEED_NAME and not named:
        yield target["name"].fault("TR003", f"{kind} needs a name; write it")
    if "labels" in _FIELDS_OF_KIND[kind] and labelled and (named or target.set("namespace")):
        text = "labels exclude name and namespace; keep one of them"
        yield target["labels"].fault("TR003", text)
    if kind in (*_NAMED_OR_LABELLED, *_NEED_NAME) and target["name"].text not in odd:
        cure = "use lower-case letters, digits, '-', '.' and '_'"
        yield from form(target["name"], _NAME, "a name", cure)


def _check_tags(tags: Part, *, selector: bool) -> Iterator[Problem]:
    for name, value in tags.entries():
        if not name:
            yield tags.fault("VAL002", "the name of a tag is empty; name the tag")
        if not _TAG.fullmatch(name):
            text = f'"{name[:60]}" is no tag; use letters, digits, ".", "-", "_", ":" and "/"'
            yield value.fault("VAL010", text)
        if value.value == "":
            yield value.fault("VAL002", "the tag's value is empty; write one, or leave the tag out")
        cure = 'use letters, digits, ".", "-", "_" and ":"'
        if selector:
            yield from form(value, _SELECTOR_VALUE, "a tag's value", f'{cure}, or "*" for any')
        else:
            yield from form(value, _TAG_VALUE, "a tag's value", cure)
