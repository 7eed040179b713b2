"""MeshTrafficPermission: who may call. With mTLS, what nothing allows is denied.

Two forms. `from`: subsets of callers by tags, the last matching item wins. `rules`: SPIFFE ids and
SNIs; a deny of any policy beats every allow, however specific the allowing policy is.
Authorisation reads the client certificate only, never a header.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from reconciler.model.spec import PolicySpec
from reconciler.part import Part
from reconciler.policies.document import (
    Fields,
    check_sections,
    decode_items,
    mapping,
    sequence,
    target_of,
)
from reconciler.policies.inbound_match import InboundMatch, check_match, decode_match
from reconciler.policies.policy import PROXY_KINDS, At, PolicyType
from xds.memo import Key

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from reconciler.problems import Problem

RULE_LISTS = ("deny", "allowWithShadowDeny", "allow")


class Action(StrEnum):
    """What an item of `from` does. SHADOW allows, and counts what denying would have stopped."""

    ALLOW = "Allow"
    DENY = "Deny"
    SHADOW = "AllowWithShadowDeny"


@dataclass(frozen=True, slots=True)
class PermissionRule:
    """One entry of `rules`."""

    deny: tuple[InboundMatch, ...] = ()
    shadow: tuple[InboundMatch, ...] = ()
    allow: tuple[InboundMatch, ...] = ()


# --- what is in force at one inbound; made by reconciler.view, read by the hooks ---


@dataclass(frozen=True, slots=True)
class Principal:
    """A caller whose certificate has all of `uris` and none of `not_uris`; both empty: anybody."""

    uris: tuple[str, ...] = ()
    not_uris: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Permission(Key):
    """From-style: who is allowed, and of those, whom a shadow rule would deny."""

    allow: tuple[Principal, ...] = ()
    shadow_deny: tuple[Principal, ...] = ()


@dataclass(frozen=True, slots=True)
class NamedRule(Key):
    """A rule with the name (KRI) of its policy, which Envoy shows in its access log."""

    name: str
    rule: PermissionRule


@dataclass(frozen=True, slots=True)
class Rbac:
    """The authorisation of one inbound.

    `http`: in the HTTP filter chain, else the network chain. Without any permission: deny all.
    """

    http: bool
    stat_prefix: str
    permission: Permission | tuple[NamedRule, ...] = Permission()


def allows(permission: Permission | tuple[NamedRule, ...], uris: Collection[str], sni: str) -> bool:
    """Whether a caller with these URIs in its certificate may connect, asking for this server name:
    what the filters of `mesh_traffic_permission_hooks` decide.
    """
    if isinstance(permission, Permission):
        held = frozenset(uris)
        return any(
            held.issuperset(each.uris) and held.isdisjoint(each.not_uris)
            for each in permission.allow
        )
    rules = [named.rule for named in permission]
    if any(_names(match, uris, sni) for rule in rules for match in rule.deny):
        return False
    return any(_names(m, uris, sni) for rule in rules for m in (*rule.shadow, *rule.allow))


def _names(match: InboundMatch, uris: Collection[str], sni: str) -> bool:
    by_uri = (
        match.spiffe_exact in uris
        if match.spiffe_exact
        else any(uri.startswith(match.spiffe_prefix) for uri in uris)
    )
    return by_uri and (not match.sni or match.sni == sni)


def merge(
    weak: Action | PermissionRule, strong: Action | PermissionRule
) -> Action | PermissionRule:
    """Actions replace; rules of several policies all count."""
    if isinstance(weak, PermissionRule) and isinstance(strong, PermissionRule):
        return PermissionRule(
            weak.deny + strong.deny, weak.shadow + strong.shadow, weak.allow + strong.allow
        )
    return strong


def decode(spec: Fields) -> PolicySpec:
    return PolicySpec(
        target=target_of(spec),
        from_=decode_items(spec, "from", lambda default: Action(str(default.get("action")))),
        rules=decode_items(spec, "rules", _decode_rule),
    )


def _decode_rule(default: Fields) -> PermissionRule:
    deny, shadow, allow = (
        tuple(decode_match(mapping(match)) for match in sequence(default.get(name)))
        for name in RULE_LISTS
    )
    return PermissionRule(deny, shadow, allow)


def check(spec: Fields, at: At) -> Iterator[Problem]:
    yield from check_sections(POLICY, spec, at)
    document = Part(spec, (), at)
    for item in document["from"].items():
        action = item["default"]["action"]
        if action.value not in tuple(Action):
            cure = f"use one of {', '.join(Action)}"
            said = f'action "{action.value}" is not known' if action.value else "action is missing"
            yield action.fault("MTP001", f"{said}; {cure}")
        if item["targetRef"].set("labels"):
            text = "match nobody: a certificate names services and tags; give the service's name"
            yield item["targetRef"]["labels"].warning("MTP003", text)
    for rule in document["rules"].items():
        yield from _check_rule(rule)


def _check_rule(rule: Part) -> Iterator[Problem]:
    default = rule["default"]
    if not any(map(default.set, RULE_LISTS)):
        text = f"permits and denies nothing; fill one of {', '.join(RULE_LISTS)}"
        yield default.called(rule.path).fault("MTP002", text)
    for name in RULE_LISTS:
        for index, match in enumerate(default[name].items()):
            yield from check_match(match.called((*rule.path, name, index)), empty_allowed=True)


POLICY = PolicyType(
    kind="MeshTrafficPermission",
    slug="mesh_traffic_permission",
    decode=decode,
    check=check,
    merge=merge,
    from_kinds=("Mesh", "MeshSubset", "MeshService", "MeshServiceSubset"),
    has_rules=True,
    has_matches=False,
    top_kinds=PROXY_KINDS,
)
