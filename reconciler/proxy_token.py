"""Whether the token a proxy shows allows it to be what it says it is. Pure; the keys are those the
global sent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.ca import keys, tokens
from reconciler.ca.tokens import Refused, Verdict
from reconciler.model.spec import DataplaneSpec

if TYPE_CHECKING:
    from reconciler.model.resource import MeshResource
    from reconciler.state import MeshState

SCOPES = {"ZoneIngress": "ingress", "ZoneEgress": "egress"}


def verify_proxy(policy: MeshState, proxy: MeshResource, token: str, now: float) -> Verdict:
    """The verdict on a registration. `proxy` carries the zone's label."""
    scope = SCOPES.get(proxy.key.type)
    if scope is None:
        return _dataplane(policy, proxy, token, now)
    known = keys.keys_of(policy, "GlobalSecret", "", keys.ZONE_PUBLIC_KEY)
    revoked = keys.revoked(policy, "GlobalSecret", "", keys.ZONE_REVOCATIONS)
    verdict = tokens.verify(token, known, now, revoked)
    if isinstance(verdict, Refused):
        return verdict
    return tokens.allows_zone(verdict, proxy.labels.get("kuma.io/zone") or "", scope) or verdict


def _dataplane(policy: MeshState, proxy: MeshResource, token: str, now: float) -> Verdict:
    mesh = proxy.key.mesh
    known = keys.keys_of(policy, "Secret", mesh, keys.dataplane_signing_key(mesh))
    revoked = keys.revoked(policy, "Secret", mesh, keys.dataplane_revocations(mesh))
    verdict = tokens.verify(token, known, now, revoked)
    if isinstance(verdict, Refused):
        return verdict
    workload = proxy.labels.get("kuma.io/workload") or ""
    refused = tokens.allows_dataplane(verdict, mesh, proxy.key.name, _tag_values(proxy), workload)
    return refused or verdict


def _tag_values(proxy: MeshResource) -> dict[str, frozenset[str]]:
    spec = proxy.spec
    assert isinstance(spec, DataplaneSpec)
    found: dict[str, frozenset[str]] = {}
    for tags in (*(inbound.tags for inbound in spec.inbounds), spec.gateway_tags):
        for key, value in tags:
            found[key] = found.get(key, frozenset()) | {value}
    return found
