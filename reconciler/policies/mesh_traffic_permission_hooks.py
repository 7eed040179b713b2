"""MeshTrafficPermission as Envoy's RBAC filters, first in their chain.

Without any permission the filter is there and empty, which denies everything. Without mTLS there is
nobody to recognise, and no filter.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from envoy_data_plane.envoy.config.listener.v3 import Filter, ListenerFilter
from envoy_data_plane.envoy.config.rbac.v3 import (
    Action as MatchedAction,
)
from envoy_data_plane.envoy.config.rbac.v3 import (
    Permission as AnyPermission,
)
from envoy_data_plane.envoy.config.rbac.v3 import (
    Policy,
    PrincipalAuthenticated,
    PrincipalSet,
    RbacAction,
)
from envoy_data_plane.envoy.config.rbac.v3 import (
    Principal as EnvoyPrincipal,
)
from envoy_data_plane.envoy.config.rbac.v3 import (
    Rbac as RbacRules,
)
from envoy_data_plane.envoy.extensions.filters.http.rbac.v3 import Rbac as HttpRbac
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import HttpFilter
from envoy_data_plane.envoy.extensions.filters.network.rbac.v3 import Rbac as NetworkRbac
from envoy_data_plane.envoy.extensions.matching.common_inputs.network.v3 import ServerNameInput
from envoy_data_plane.envoy.extensions.matching.common_inputs.ssl.v3 import UriSanInput
from envoy_data_plane.envoy.type.matcher.v3 import StringMatcher
from envoy_data_plane.xds.core.v3 import TypedExtensionConfig
from envoy_data_plane.xds.type.matcher.v3 import (
    Matcher,
    MatcherMatcherList,
    MatcherMatcherListFieldMatcher,
    MatcherMatcherListPredicate,
    MatcherMatcherListPredicatePredicateList,
    MatcherMatcherListPredicateSinglePredicate,
    MatcherOnMatch,
    RegexMatcher,
    RegexMatcherGoogleRe2,
)
from envoy_data_plane.xds.type.matcher.v3 import StringMatcher as XdsStringMatcher

from reconciler.model.resource import NAMESPACE, SERVICE, ZONE, MeshResource
from reconciler.policies.effect import Effect, InboundPlace
from reconciler.policies.mesh_traffic_permission import (
    POLICY,
    Action,
    NamedRule,
    Permission,
    PermissionRule,
    Principal,
    Rbac,
)
from reconciler.rules import Conf, SubsetRule, from_entries, from_subsets, subset_rules
from xds.build.chains import TLS_INSPECTOR, tls_inspector
from xds.hooks import Hooks
from xds.message import any_of, new, part
from xds.names import spiffe_id, stat_prefix, tag_id

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reconciler.match import Selection
    from reconciler.policies.inbound_match import InboundMatch

PERMISSIONS = 512  # encoded ones that are remembered; each may name hundreds of callers
NETWORK_RBAC = "envoy.filters.network.rbac"
HTTP_RBAC = "envoy.filters.http.rbac"
ACTION_NAME = "envoy.filters.rbac.action"
POLICY_NAME = POLICY.kind  # the name Kuma gives the one RBAC policy it makes of all `from` items


# --- from matched policies to a permission ---


def inbound_conf(selections: tuple[Selection, ...], inbound: int, mesh: str) -> Conf | None:
    """`rules` as soon as any policy has them, else `from`; None when no policy speaks."""
    chosen = [s for s in selections if inbound in s.inbounds]
    origins = tuple(s.policy.key for s in chosen)
    rules = tuple(
        NamedRule(kri(s.policy), item.conf)
        for s in chosen
        for item in s.spec.rules
        if isinstance(item.conf, PermissionRule)
    )
    if rules:
        return Conf(rules, origins)
    entries = from_entries(chosen, inbound)
    if not entries:
        return None
    subsets = subset_rules(from_subsets(entries), POLICY.merge, replaces=True)
    return Conf(permission(subsets, mesh), origins)


def permission(rules: Iterable[SubsetRule], mesh: str) -> Permission:
    allowed = [rule for rule in rules if rule.conf is not Action.DENY]
    return Permission(
        allow=tuple(principal(rule, mesh) for rule in allowed),
        shadow_deny=tuple(principal(rule, mesh) for rule in allowed if rule.conf is Action.SHADOW),
    )


def principal(rule: SubsetRule, mesh: str) -> Principal:
    return Principal(
        tuple(_uri(*tag, mesh) for tag in rule.positive),
        tuple(_uri(*tag, mesh) for tag in rule.negative),
    )


def _uri(key: str, value: str, mesh: str) -> str:
    return spiffe_id(mesh, value) if key == SERVICE else tag_id(key, value)


def kri(policy: MeshResource) -> str:
    """Kuma resource identifier; empty parts stay."""
    labels = policy.labels
    zone, namespace = labels.get(ZONE) or "", labels.get(NAMESPACE) or ""
    return f"kri_mtp_{policy.key.mesh}_{zone}_{namespace}_{policy.display_name}_"


def on_inbound(conf: Permission | tuple[NamedRule, ...] | None, place: InboundPlace) -> Rbac | None:
    if not place.mtls:
        return None
    # Only a network filter shows its prefix; without it HTTP inbounds share one value.
    prefix = "" if place.http else f"{stat_prefix(place.listener)}."
    return Rbac(place.http, prefix, conf if conf is not None else Permission())


# --- from a permission to filters ---


def on_http_filters(filters: list[HttpFilter], conf: Rbac) -> None:
    if not conf.http:
        return
    rbac = new(HttpRbac)
    _fill(rbac, conf)
    filters.insert(0, new(HttpFilter, name=HTTP_RBAC, typed_config=any_of(rbac)))


def on_network_filters(filters: list[Filter], conf: Rbac) -> None:
    if conf.http:
        return
    rbac = new(NetworkRbac, stat_prefix=conf.stat_prefix)
    _fill(rbac, conf)
    filters.insert(0, new(Filter, name=NETWORK_RBAC, typed_config=any_of(rbac)))


def on_listener_filters(filters: list[ListenerFilter], conf: Rbac) -> None:
    """Envoy knows the server name of a connection only where something has read it."""
    if _asks_for_sni(conf) and all(each.name != TLS_INSPECTOR for each in filters):
        filters.append(tls_inspector())


def _asks_for_sni(conf: Rbac) -> bool:
    if isinstance(conf.permission, Permission):
        return False
    rules = [named.rule for named in conf.permission]
    return any(match.sni for r in rules for match in (*r.deny, *r.shadow, *r.allow))


def _fill(rbac: HttpRbac | NetworkRbac, conf: Rbac) -> None:
    """What a permission is in Envoy does not depend on the filter: many listeners share it."""
    if isinstance(conf.permission, Permission):
        rbac.rules = _rules(conf.permission.allow, RbacAction.ALLOW)
        if conf.permission.shadow_deny:
            rbac.shadow_rules = _rules(conf.permission.shadow_deny, RbacAction.DENY)
        return
    rules = tuple(named.rule for named in conf.permission)
    rbac.matcher = _matcher(conf.permission, shadow=False)
    if any(rule.shadow for rule in rules):
        rbac.shadow_matcher = _matcher(conf.permission, shadow=True)


@lru_cache(PERMISSIONS)
def _rules(principals: tuple[Principal, ...], action: RbacAction) -> RbacRules:
    if not principals:
        return part(new(RbacRules, action=action))
    policy = new(
        Policy,
        permissions=[new(AnyPermission, any=True)],
        principals=[_principal(principal) for principal in principals],
    )
    return part(new(RbacRules, action=action, policies={POLICY_NAME: policy}))


def _principal(principal: Principal) -> EnvoyPrincipal:
    ids = [_has_uri(uri) for uri in principal.uris]
    ids += [new(EnvoyPrincipal, not_id=_has_uri(uri)) for uri in principal.not_uris]
    if not ids:
        return new(EnvoyPrincipal, any=True)
    return ids[0] if len(ids) == 1 else new(EnvoyPrincipal, and_ids=new(PrincipalSet, ids=ids))


def _has_uri(uri: str) -> EnvoyPrincipal:
    return new(
        EnvoyPrincipal,
        authenticated=new(PrincipalAuthenticated, principal_name=new(StringMatcher, exact=uri)),
    )


@lru_cache(PERMISSIONS)
def _matcher(rules: tuple[NamedRule, ...], *, shadow: bool) -> Matcher:
    """Denies of all policies first, then what is allowed; nothing else passes.

    In the shadow matcher a shadow entry denies; callers that are plainly allowed stay allowed
    there, so that `shadow_denied` counts only what the policy's author asks about.
    """
    denied = [(named.name, named.rule.deny, RbacAction.DENY) for named in rules]
    shadowed = [
        (named.name, named.rule.shadow, RbacAction.DENY if shadow else RbacAction.ALLOW)
        for named in rules
    ]
    allowed = [(named.name, named.rule.allow, RbacAction.ALLOW) for named in rules]
    ordered = (*denied, *allowed, *shadowed) if shadow else (*denied, *shadowed, *allowed)
    return _list_matcher(
        [
            new(
                MatcherMatcherListFieldMatcher,
                predicate=_any_of([_predicate(match) for match in matches]),
                on_match=_action(name, action),
            )
            for name, matches, action in ordered
            if matches
        ]
    )


def _list_matcher(matchers: list[MatcherMatcherListFieldMatcher]) -> Matcher:
    found = new(
        Matcher,
        matcher_list=new(MatcherMatcherList, matchers=matchers) if matchers else None,
        on_no_match=_action("default", RbacAction.DENY),
    )
    return part(found)


def _any_of(predicates: list[MatcherMatcherListPredicate]) -> MatcherMatcherListPredicate:
    if len(predicates) == 1:
        return predicates[0]
    either = new(MatcherMatcherListPredicatePredicateList, predicate=predicates)
    return new(MatcherMatcherListPredicate, or_matcher=either)


def _predicate(match: InboundMatch) -> MatcherMatcherListPredicate:
    parts = []
    if match.spiffe_exact:
        parts.append(_uri_san(f"{re.escape(match.spiffe_exact)}(,.*)?"))
    if match.spiffe_prefix:
        parts.append(_uri_san(f"{re.escape(match.spiffe_prefix)}.*"))
    if match.sni:
        value = new(XdsStringMatcher, exact=match.sni)
        parts.append(_single("envoy.matching.inputs.server_name", new(ServerNameInput), value))
    if len(parts) == 1:
        return parts[0]
    both = new(MatcherMatcherListPredicatePredicateList, predicate=parts)
    return new(MatcherMatcherListPredicate, and_matcher=both)


def _uri_san(rest: str) -> MatcherMatcherListPredicate:
    """Any URI of the certificate. Envoy joins them with commas, which no URI here contains, and our
    certificates name several: an exact matcher would never deny anybody.
    """
    value = new(RegexMatcher, google_re2=new(RegexMatcherGoogleRe2), regex=f"(.*,)?{rest}")
    matcher = new(XdsStringMatcher, safe_regex=value)
    return _single("envoy.matching.inputs.uri_san", new(UriSanInput), matcher)


def _single(
    name: str, message: UriSanInput | ServerNameInput, value: XdsStringMatcher
) -> MatcherMatcherListPredicate:
    return new(
        MatcherMatcherListPredicate,
        single_predicate=new(
            MatcherMatcherListPredicateSinglePredicate,
            input=new(TypedExtensionConfig, name=name, typed_config=any_of(message)),
            value_match=value,
        ),
    )


def _action(name: str, action: RbacAction) -> MatcherOnMatch:
    chosen = new(MatchedAction, name=name, action=action)
    return new(
        MatcherOnMatch,
        action=new(TypedExtensionConfig, name=ACTION_NAME, typed_config=any_of(chosen)),
    )


EFFECT = Effect(
    kind=POLICY.kind,
    hooks=Hooks(
        policy=POLICY.slug,
        on_http_filters=on_http_filters,
        on_network_filters=on_network_filters,
        on_listener_filters=on_listener_filters,
    ),
    inbound_conf=inbound_conf,
    on_inbound=on_inbound,
)
