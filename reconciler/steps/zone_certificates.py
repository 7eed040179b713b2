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
from reconciler.steps.proxy_state import Failing, Proxy
from reconciler.steps.zone_state import Effects, IssueCertificate, Note, WakeAt, ZoneState
from xds.build.secrets import ca_secret
from xds.copying import replace
from xds.names import ca_secret_name, identity_secret_name
from xds.resource import digest
from xds.snapshot import NO_RESOURCES, Resources

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.mesh_ca import Authority
    from reconciler.model.resource import MeshResource
    from reconciler.model.spec import MeshSpec
    from reconciler.state import MeshState
    from reconciler.steps.proxy_state import Certificate
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
    """What a snapshot may hold; without both the proxy is not answered."""
    if proxy.certificate is None or proxy.trust is None:
        return NO_RESOURCES
    identity = proxy.certificate.identity
    return {identity.name: identity, proxy.trust.name: proxy.trust}


def certificate(
    state: ZoneState, proxy: Proxy, resource: MeshResource, now: float
) -> tuple[Proxy, Effects]:
    """The proxy with the CAs it is to trust, and the request for a certificate when it has none, or
    when what it was issued for has changed or is running out.
    """
    mesh = resource.key.mesh
    found = authorities(state.policy, mesh) if isinstance(resource.spec, DataplaneSpec) else None
    if found is None:
        none = proxy.certificate is None and proxy.trust is None and proxy.failing is None
        proxy = proxy if none else replace(proxy, certificate=None, trust=None, failing=None)
        return proxy, ()
    ca, notes = found.enabled, found.lacking
    if found.trust is not None and found.trust is not proxy.trust:
        proxy = replace(proxy, trust=found.trust)
    if ca.missing or proxy.issuing:
        return proxy, notes
    uris, lifetime_s = identity_uris(resource), ca.backend.certificate_s
    if _is_good(proxy.certificate, (uris, found.digest, lifetime_s), now):
        return replace(proxy, failing=None) if proxy.failing is not None else proxy, notes
    wanted = (found.digest, *uris)
    if proxy.failing is not None and proxy.failing.wanted == wanted and now < proxy.failing.again:
        return proxy, notes
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
    return replace(proxy, issuing=True), (*notes, issue)


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
    """Its certificate is of the CA in force: before that a commit that changes the CA has not
    arrived, and the old CA may not go.
    """
    wanted = digests.get(proxy.key.mesh)
    held = proxy.certificate
    return wanted is None or (held is not None and held.ca_digest == wanted)


def failed(state: ZoneState, proxy: Proxy, message: str, now: float) -> Proxy:
    """Tried again after a while, which grows; at once when something else is wanted."""
    resource, of_mesh = state.local.get(proxy.key), authorities(state.policy, proxy.key.mesh)
    uris = identity_uris(resource) if resource is not None else ()
    wanted = (of_mesh.digest if of_mesh is not None else "", *uris)
    before = proxy.failing
    count = before.count + 1 if before is not None and before.wanted == wanted else 1
    delay = min(RETRY_FIRST_S * 2.0 ** min(count - 1, 20), RETRY_MAX_S)
    return replace(proxy, issuing=False, failing=Failing(wanted, count, now + delay, message))


def wakes(proxy: Proxy) -> Effects:
    """When this proxy's certificate is to be looked at again."""
    if proxy.failing is not None:
        return (WakeAt(proxy.failing.again),)
    return (WakeAt(proxy.certificate.renew_at),) if proxy.certificate is not None else ()


def is_due(proxy: Proxy, now: float) -> bool:
    """A certificate past four fifths of its life, a first one that is awaited, a failed one."""
    if proxy.stream is None or proxy.issuing:
        return False
    if proxy.failing is not None:
        return now >= proxy.failing.again
    if proxy.certificate is not None:
        return now >= proxy.certificate.renew_at
    return proxy.lacks_certificate


def told(state: ZoneState, now: float) -> tuple[str, ...]:
    """What is wrong with certificates, for status: CAs that are missing or expire, proxies whose
    certificate could not be made.
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
        f"{p.node_id}: no certificate after {p.failing.count} tries: {p.failing.message}"
        for p in state.proxies.values()
        if p.failing is not None
    ]
    return (*lacking, *expiry_warnings(state.policy, now), *sorted(failing)[:TOLD_MAX])
