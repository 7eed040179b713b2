"""Who may be a proxy of this zone, and for how long: at its first request, and again whenever its
token runs out, is revoked, or loses the key that signed it. Pure.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from reconciler.ca.tokens import Claims, Refused
from reconciler.membership import not_a_member
from reconciler.model.resource import MeshResource, ResourceKey
from reconciler.proxy_token import ISSUE_ANEW, issuer_of, no_longer_good
from reconciler.registration import NotAdmitted, declared, node_id
from reconciler.steps.zone_state import Outcome, WakeAt
from xds.copying import replace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.proxy_token import Issuer
    from reconciler.steps.proxy_state import Proxy
    from reconciler.steps.zone_state import ZoneState
    from xds.discovery import Node

REFUSED_MAX = 100  # proxies whose refusal is shown; the oldest goes first
NODE_ID_SHOWN = 256  # characters
RENEWAL_SHARE = 0.1  # of its life, at most: a short token is not asked for at once


def admitted(
    state: ZoneState, node: Node, token: str, now: float
) -> tuple[MeshResource, Claims] | NotAdmitted:
    """The resource to register, or why not: identity, mesh, token, membership, one stream a proxy,
    the zone's limit.
    """
    resource = declared(node, state.settings.zone)
    if isinstance(resource, NotAdmitted):
        return resource
    key = resource.key
    if node.id != node_id(key.mesh, key.name):
        return NotAdmitted(f'node id "{node.id}" is not that of {key}')
    mesh = state.policy.get(ResourceKey("Mesh", "", key.mesh)) if key.mesh else None
    if key.mesh and mesh is None:
        return NotAdmitted(
            f'mesh: mesh "{key.mesh}" does not exist; its policy repository has no such Mesh'
        )
    claims = _claims(state, resource, token, now)
    if isinstance(claims, NotAdmitted):
        return claims
    stranger = not_a_member(mesh, resource) if mesh is not None else None
    if stranger is not None:
        return NotAdmitted(stranger)
    return _no_room(state, node.id, key) or (resource, claims)


def _claims(
    state: ZoneState, resource: MeshResource, token: str, now: float
) -> Claims | NotAdmitted:
    """The token must allow what the proxy says it is, and also what stands under its name: a token
    that is bound to one service must not take the place of another's proxy.
    """
    verify = state.settings.verify
    verdict = verify(state.policy, resource, token, now)
    if isinstance(verdict, Refused):
        return NotAdmitted(f"authentication failed: {verdict.reason}")
    stored = state.local.get(resource.key)
    of_stored = verify(state.policy, stored, token, now) if stored is not None else verdict
    if isinstance(of_stored, Refused):
        return NotAdmitted(
            f"authentication failed: {resource.key} is registered, and the token does not allow to "
            f"replace it: {of_stored.reason}"
        )
    return _young_enough(state, verdict, now)


def _young_enough(state: ZoneState, claims: Claims, now: float) -> Claims | NotAdmitted:
    """The zone's own limit on a token's age: it ends a token as its expiry does."""
    limit = state.settings.token_age_max_s
    ends = claims.issued_at + limit
    if now >= ends:
        return NotAdmitted(
            f"authentication failed: the token was issued {now - claims.issued_at:.0f} s ago, over "
            f"the limit --token-age-max of {limit:.0f} s; {ISSUE_ANEW}"
        )
    return replace(claims, expires=min(claims.expires, ends))


def _no_room(state: ZoneState, node: str, key: ResourceKey) -> NotAdmitted | None:
    earlier = state.proxies.get(node)
    if earlier is not None and earlier.key != key:
        return NotAdmitted(
            f"{earlier.key} has the node id {node}, too; give one of the two another name"
        )
    if earlier is not None and earlier.stream is not None:
        return NotAdmitted("there is already an active stream from this node, try again later")
    limit = state.settings.proxies_max
    if earlier is None and len(state.proxies) >= limit:
        return NotAdmitted(f"this zone has its {limit} proxies; raise its limit --proxies-max")
    return None


def may_leave(state: ZoneState, key: ResourceKey, token: str, now: float) -> str | None:
    """Why whoever shows this token may not take the proxy's endpoints out; None when it may."""
    stored = state.local.get(key)
    if stored is None or node_id(key.mesh, key.name) not in state.proxies:
        return f"{key} is not registered here"
    verdict = state.settings.verify(state.policy, stored, token, now)
    return f"authentication failed: {verdict.reason}" if isinstance(verdict, Refused) else None


def with_refusal(state: ZoneState, node: str, reason: str) -> ZoneState:
    """Kept for status: the proxy itself only sees that it never becomes ready."""
    shown = node[:NODE_ID_SHOWN]
    kept = {known: why for known, why in state.refused.items() if known != shown}
    while len(kept) >= REFUSED_MAX:
        del kept[next(iter(kept))]
    return replace(state, refused={**kept, shown: reason})


def without_refusal(state: ZoneState, node: str) -> ZoneState:
    shown = node[:NODE_ID_SHOWN]
    if shown not in state.refused:
        return state
    return replace(state, refused={k: why for k, why in state.refused.items() if k != shown})


# --- proxies that were admitted ---


def outlived(state: ZoneState, now: float) -> Iterator[tuple[Proxy, str]]:
    """Connected proxies whose token is no longer good, and why; sorted.

    Those of a mesh that is gone keep what they have: nothing says that their tokens are bad.
    """
    issuers: dict[tuple[str, str], Issuer] = {}
    for proxy in sorted(state.proxies.values(), key=lambda p: p.node_id):
        claims = proxy.claims
        if proxy.stream is None or claims is None or not _has_mesh(state, proxy):
            continue
        kind = (proxy.key.type, proxy.key.mesh)
        if kind not in issuers:
            issuers[kind] = issuer_of(state.policy, proxy.key)
        reason = no_longer_good(claims, issuers[kind], now)
        if reason is not None:
            yield proxy, f"authentication failed: {reason}"


def _has_mesh(state: ZoneState, proxy: Proxy) -> bool:
    mesh = proxy.key.mesh
    return not mesh or state.policy.get(ResourceKey("Mesh", "", mesh)) is not None


def asked_at(state: ZoneState, proxy: Proxy) -> float:
    """When a proxy is asked to come again, before its token ends: it may hold a newer one. Never
    (inf) where tokens are not read anew, and once it came so late.
    """
    claims, renewal_s = proxy.claims, state.settings.token_renewal_s
    if claims is None or not renewal_s:
        return math.inf
    at = claims.expires - min(renewal_s, (claims.expires - claims.issued_at) * RENEWAL_SHARE)
    return at if proxy.connected_at < at else math.inf


def token_wake(state: ZoneState, proxy: Proxy) -> Outcome:
    """One wake for all tokens: for the first that ends, or whose proxy is asked for another."""
    at = _token_look(state, proxy)
    if math.isinf(at) or (state.token_due is not None and state.token_due <= at):
        return state, ()
    return replace(state, token_due=at), (WakeAt(at),)


def next_token_look(state: ZoneState, now: float) -> Outcome:
    times = (_token_look(state, p) for p in state.proxies.values() if p.stream)
    due = min((at for at in times if now < at < math.inf), default=None)
    state = replace(state, token_due=due)
    return state, (() if due is None else (WakeAt(due),))


def _token_look(state: ZoneState, proxy: Proxy) -> float:
    ends = math.inf if proxy.claims is None else proxy.claims.expires
    return min(ends, asked_at(state, proxy))
