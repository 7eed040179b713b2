"""Whether the token a proxy shows allows it to be what it says it is. Pure; the keys are those the
global sent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconciler.ca import keys, tokens
from reconciler.ca.tokens import Claims, Refused, Verdict
from reconciler.model.spec import DataplaneSpec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.model.resource import MeshResource, ResourceKey
    from reconciler.state import MeshState

SCOPES = {"ZoneIngress": "ingress", "ZoneEgress": "egress"}
ISSUE_ANEW = "issue a new token with `reconciler token`"


@dataclass(frozen=True, slots=True)
class Issuer:
    """What tokens of one kind are verified with: keys by kid, and the ids that are revoked."""

    keys: Mapping[str, bytes]
    revoked: frozenset[str]


def issuer_of(policy: MeshState, proxy: ResourceKey) -> Issuer:
    """A dataplane's tokens are its mesh's own; those of zone proxies are the global's."""
    if proxy.type in SCOPES:
        known = keys.keys_of(policy, "GlobalSecret", "", keys.ZONE_PUBLIC_KEY)
        return Issuer(known, keys.revoked(policy, "GlobalSecret", "", keys.ZONE_REVOCATIONS))
    mesh = proxy.mesh
    known = keys.keys_of(policy, "Secret", mesh, keys.dataplane_signing_key(mesh))
    return Issuer(known, keys.revoked(policy, "Secret", mesh, keys.dataplane_revocations(mesh)))


def verify_proxy(policy: MeshState, proxy: MeshResource, token: str, now: float) -> Verdict:
    """The verdict on a registration. `proxy` carries the zone's label."""
    issuer = issuer_of(policy, proxy.key)
    verdict = tokens.verify(token, issuer.keys, now, issuer.revoked)
    if isinstance(verdict, Refused):
        return verdict
    scope = SCOPES.get(proxy.key.type)
    if scope is not None:
        zone = proxy.labels.get("kuma.io/zone") or ""
        return tokens.allows_zone(verdict, zone, scope) or verdict
    workload = proxy.labels.get("kuma.io/workload") or ""
    mesh, name = proxy.key.mesh, proxy.key.name
    return tokens.allows_dataplane(verdict, mesh, name, _tag_values(proxy), workload) or verdict


def no_longer_good(claims: Claims, issuer: Issuer, now: float) -> str | None:
    """Why a token that was good is none any more, without looking at its signature again."""
    if now >= claims.expires:
        return f"the token has expired, or reached --token-age-max; {ISSUE_ANEW}"
    if claims.token_id in issuer.revoked:
        return f"the token was revoked; {ISSUE_ANEW}"
    if not claims.signed_by:  # Not a token of ours that let the proxy in.
        return None
    key = issuer.keys.get(claims.kid)
    if key is None or tokens.fingerprint(key) != claims.signed_by:
        return f"the key that signed the token (kid {claims.kid!r}) was removed; {ISSUE_ANEW}"
    return None


def _tag_values(proxy: MeshResource) -> dict[str, frozenset[str]]:
    spec = proxy.spec
    assert isinstance(spec, DataplaneSpec)
    found: dict[str, frozenset[str]] = {}
    for tags in (*(inbound.tags for inbound in spec.inbounds), spec.gateway_tags):
        for key, value in tags:
            found[key] = found.get(key, frozenset()) | {value}
    return found
