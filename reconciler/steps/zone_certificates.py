"""Workload certificates: who needs one, from which CA, when again, and whom proxies trust.

Certificates come from the enabled backend; trusted are the CAs of all listed ones. A proxy keeps
what it has until something better is there: a CA whose secret is missing, or an issue that failed,
takes nothing away.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

from reconciler.mesh_ca import authority, expiry_warnings, mesh_spec, trusted_pem
from reconciler.model.spec import DataplaneSpec
from reconciler.registration import identity_uris
from reconciler.steps.proxy_state import NO_IDENTITY, Failing, Proxy
from reconciler.steps.zone_state import Effects, IssueCertificate, Note, WakeAt, ZoneState
from xds.build.secrets import ca_secret
from xds.copying import replace
from xds.names import (
    EGRESS_SERVICE,
    SERVICE_TAG,
    ca_secret_name,
    identity_secret_name,
    spiffe_id,
    tag_id,
)
from xds.resource import digest
from xds.snapshot import NO_RESOURCES, Resources

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.mesh_ca import Authority
    from reconciler.model.resource import MeshResource
    from reconciler.model.spec import MeshSpec
    from reconciler.state import MeshState
    from reconciler.steps.proxy_state import Certificate, Identity
    from xds.resource import XdsResource

RETRY_FIRST_S = 5.0
RETRY_MAX_S = 300.0
TOLD_MAX = 100  # proxies without a certificate that status names


@dataclass(frozen=True, slots=True)
class Authorities:
    """The CAs of one mesh with mTLS. `trust` is what its proxies verify each other with, one object
    for all; None while a CA is missing. `lacking` is told at each look.
    """

    enabled: Authority
    digest: str
    trust: XdsResource | None
    lacking: Effects


@lru_cache(maxsize=256)
def _trust(name: str, pem: bytes) -> XdsResource:
    """The same object as long as the CAs are the same, whatever else changes."""
    return ca_secret(name, pem)


@dataclass(slots=True)
class _Known:
    """What was found in the policies looked at last, which a commit replaces as a whole."""

    policy: MeshState | None = None
    meshes: dict[str, Authorities | None] = field(default_factory=dict)


_known = _Known()


def authorities(policy: MeshState, mesh: str) -> Authorities | None:
    """None without mTLS. Looked up once for all proxies of the mesh, as long as `policy` is the
    same object.
    """
    if _known.policy is not policy:
        _known.policy, _known.meshes = policy, {}
    if mesh not in _known.meshes:
        _known.meshes[mesh] = _authorities(policy, mesh)
    return _known.meshes[mesh]


def _authorities(policy: MeshState, mesh: str) -> Authorities | None:
    spec = mesh_spec(policy, mesh)
    if spec is None or spec.mtls is None:
        return None
    pem, enabled = trusted_pem(policy, mesh, spec), authority(policy, mesh, spec.mtls)
    trust = _trust(ca_secret_name(mesh), pem) if pem is not None else None
    lacking = _missing(policy, mesh, spec)
    return Authorities(enabled, digest((enabled.cert_pem,)), trust, lacking)


def secrets(proxy: Proxy) -> Resources:
    """What a snapshot may hold; an identity that is not whole is none."""
    found: dict[str, XdsResource] = {}
    for each in proxy.identities.values():
        if each.certificate is not None and each.trust is not None:
            identity = each.certificate.identity
            found |= {identity.name: identity, each.trust.name: each.trust}
    return found or NO_RESOURCES


def certified(proxy: Proxy) -> frozenset[str]:
    """The meshes in which it has a whole identity."""
    return frozenset(mesh for mesh, each in proxy.identities.items() if each.is_whole)


def certificate(
    state: ZoneState, proxy: Proxy, resource: MeshResource, now: float
) -> tuple[Proxy, Effects]:
    """The sidecar with the CAs it is to trust, and the request for a certificate when it has none,
    or when what it was issued for has changed or is running out. An ingress has none.
    """
    if not isinstance(resource.spec, DataplaneSpec):
        return proxy, ()
    return _identified(state, proxy, (resource.key.mesh, identity_uris(resource)), now)


def certificates(
    state: ZoneState, proxy: Proxy, meshes: tuple[str, ...], now: float
) -> tuple[Proxy, Effects]:
    """The same of an egress, in each of these meshes, and in no other one any more."""
    kept = proxy.identities
    for mesh in [mesh for mesh in kept if mesh not in meshes]:
        kept = kept.remove(mesh)
    if len(kept) != len(proxy.identities):
        proxy = replace(proxy, identities=kept)
    effects: Effects = ()
    for mesh in meshes:
        proxy, more = _identified(state, proxy, (mesh, egress_uris(mesh)), now)
        effects += more
    return proxy, effects


def egress_uris(mesh: str) -> tuple[str, ...]:
    """What every egress is in a mesh."""
    return spiffe_id(mesh, EGRESS_SERVICE), tag_id(SERVICE_TAG, EGRESS_SERVICE)


def _identified(
    state: ZoneState, proxy: Proxy, wanted: tuple[str, tuple[str, ...]], now: float
) -> tuple[Proxy, Effects]:
    """`wanted`: the mesh, and what a certificate of it is to name."""
    mesh, uris = wanted
    found = authorities(state.policy, mesh)
    if found is None:
        known = mesh in proxy.identities
        return replace(proxy, identities=proxy.identities.discard(mesh)) if known else proxy, ()
    ca, notes = found.enabled, found.lacking
    held = proxy.identities.get(mesh) or NO_IDENTITY
    if found.trust is not None and found.trust is not held.trust:
        held = replace(held, trust=found.trust)
    if ca.missing or held.issuing:
        return proxy.with_identity(mesh, held), notes
    lifetime_s = ca.backend.certificate_s
    if _is_good(held.certificate, (uris, found.digest, lifetime_s), now):
        held = replace(held, failing=None) if held.failing is not None else held
        return proxy.with_identity(mesh, held), notes
    described = (found.digest, *uris)
    failing = held.failing
    if failing is not None and failing.wanted == described and now < failing.again:
        return proxy.with_identity(mesh, held), notes
    issue = IssueCertificate(
        proxy.node_id,
        mesh,
        ca.backend.name,
        uris,
        ca.cert_pem,
        ca.key_pem,
        lifetime_s,
        identity_secret_name(mesh),
    )
    return proxy.with_identity(mesh, replace(held, issuing=True)), (*notes, issue)


def _missing(policy: MeshState, mesh: str, spec: MeshSpec) -> Effects:
    found = (authority(policy, mesh, backend) for backend in spec.backends)
    return tuple(
        Note(
            "certificate.ca_missing",
            {"mesh": mesh, "backend": a.backend.name, "lacks": a.missing},
        )
        for a in found
        if a.missing
    )


def _is_good(
    held: Certificate | None, wanted: tuple[tuple[str, ...], str, int], now: float
) -> bool:
    """It is what would be issued now, and not yet to be renewed."""
    if held is None or (held.uris, held.ca_digest, held.lifetime_s) != wanted:
        return False
    return now < held.renew_at


def ca_digests(state: ZoneState) -> Mapping[str, str]:
    """By mesh with mTLS, the CA that certificates are to be from."""
    found: dict[str, str] = {}
    for mesh in state.policy.of("Mesh"):
        of_mesh = authorities(state.policy, mesh.key.name)
        if of_mesh is not None and not of_mesh.enabled.missing:
            found[mesh.key.name] = of_mesh.digest
    return found


def backends(state: ZoneState, mesh: str) -> tuple[str, ...]:
    """Names of all that the mesh lists; the CAs of all of them are trusted."""
    spec = mesh_spec(state.policy, mesh)
    return tuple(backend.name for backend in spec.backends) if spec is not None else ()


def is_settled(proxy: Proxy, digests: Mapping[str, str]) -> bool:
    """Its certificates are of the CAs in force: before that a commit that changes a CA has not
    arrived, and the old CA may not go.
    """
    meshes = (proxy.key.mesh,) if proxy.key.mesh else proxy.identities.keys()
    return all(_is_of(proxy.identities.get(mesh), digests.get(mesh)) for mesh in meshes)


def _is_of(identity: Identity | None, wanted: str | None) -> bool:
    held = identity.certificate if identity is not None else None
    return wanted is None or (held is not None and held.ca_digest == wanted)


def failed(state: ZoneState, proxy: Proxy, mesh: str, message: str, now: float) -> Proxy:
    """Tried again after a while, which grows; at once when something else is wanted."""
    of_mesh, held = authorities(state.policy, mesh), proxy.identities.get(mesh) or NO_IDENTITY
    wanted = (of_mesh.digest if of_mesh is not None else "", *_wanted_uris(state, proxy, mesh))
    before = held.failing
    count = before.count + 1 if before is not None and before.wanted == wanted else 1
    delay = min(RETRY_FIRST_S * 2.0 ** min(count - 1, 20), RETRY_MAX_S)
    failing = Failing(wanted, count, now + delay, message)
    return proxy.with_identity(mesh, replace(held, issuing=False, failing=failing))


def _wanted_uris(state: ZoneState, proxy: Proxy, mesh: str) -> tuple[str, ...]:
    if not proxy.key.mesh:
        return egress_uris(mesh)
    resource = state.local.get(proxy.key)
    return identity_uris(resource) if resource is not None else ()


def wakes(identity: Identity) -> Effects:
    """When this certificate is to be looked at again."""
    if identity.failing is not None:
        return (WakeAt(identity.failing.again),)
    return (WakeAt(identity.certificate.renew_at),) if identity.certificate is not None else ()


def is_due(proxy: Proxy, now: float) -> bool:
    """A certificate past four fifths of its life, a first one that is awaited, a failed one."""
    if proxy.stream is None:
        return False
    if proxy.key.mesh and not proxy.identities:
        return proxy.lacks_certificate
    return any(_is_due(proxy, each, now) for each in proxy.identities.values())


def _is_due(proxy: Proxy, held: Identity, now: float) -> bool:
    if held.issuing:
        return False
    if held.failing is not None:
        return now >= held.failing.again
    if held.certificate is not None:
        return now >= held.certificate.renew_at
    return proxy.lacks_certificate


def told(state: ZoneState, now: float) -> tuple[str, ...]:
    """What is wrong with certificates, for status: CAs that are missing or expire, connected
    proxies whose certificate could not be made.
    """
    meshes = [(m.key.name, mesh_spec(state.policy, m.key.name)) for m in state.policy.of("Mesh")]
    lacking = [
        f"mesh {mesh}: the CA of backend {found.backend.name} lacks {found.missing}"
        for mesh, spec in meshes
        for backend in (spec.backends if spec is not None else ())
        for found in (authority(state.policy, mesh, backend),)
        if found.missing
    ]
    failing = [
        f"{p.node_id}: no certificate after {held.failing.count} tries: {held.failing.message}"
        for p in state.proxies.those(state.proxies.uncertified)
        for held in p.identities.values()
        if held.failing is not None
    ]
    return (*lacking, *expiry_warnings(state.policy, now), *sorted(failing)[:TOLD_MAX])
