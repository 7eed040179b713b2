"""Views and snapshots: which proxies a change touches, and building them a few at a time.

A change marks proxies dirty; `BuildDue` takes the longest waiting few, so that a pass over a
thousand proxies never holds the loop, and a newer change simply finds them dirty still. A proxy
without a stream costs nothing.
"""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import TYPE_CHECKING

from rpds import HashTrieMap

from reconciler.model.resource import MeshResource, ResourceKey
from reconciler.model.spec import CaBackend, DataplaneSpec, MeshSpec
from reconciler.registration import identity_uris
from reconciler.steps import zone_proxies, zone_report
from reconciler.steps.zone_state import (
    BuildSoon,
    Certificate,
    Effect,
    Effects,
    IssueCertificate,
    Note,
    Outcome,
    Proxy,
    WakeAt,
    ZoneState,
)
from reconciler.view import (
    Reach,
    ViewResult,
    ingress_view,
    mesh_context,
    sidecar_view,
    touched_meshes,
)
from xds.names import ca_secret_name, identity_secret_name
from xds.resource import digest
from xds.snapshot import NO_RESOURCES, Resources
from xds.translate import IncompleteView, translate

if TYPE_CHECKING:
    from reconciler.context import MeshContext
    from reconciler.state import ResourceDiff


def touched(state: ZoneState, change: ResourceDiff) -> Outcome:
    """Forget the contexts a change makes stale and mark who may see a difference."""
    if not change:
        return state, ()
    reach = touched_meshes(change, state.merged, state.settings.zone)
    contexts, stale = state.contexts, state.stale
    for mesh, context in state.contexts.items():
        if reach.all_meshes or mesh in reach.meshes:
            contexts, stale = contexts.remove(mesh), stale.insert(mesh, context)
    nodes = tuple(
        sorted(
            p.node_id
            for p in state.proxies.values()
            if p.stream is not None
            and (reach.ingresses if not p.key.mesh else _reaches(reach, p.key.mesh))
        )
    )
    return mark_dirty(replace(state, contexts=contexts, stale=stale), nodes)


def _reaches(reach: Reach, mesh: str) -> bool:
    return reach.all_meshes or mesh in reach.meshes


def all_touched(state: ZoneState) -> Outcome:
    """Everything may look different, for example after a host name resolved to another address."""
    nodes = tuple(sorted(p.node_id for p in state.proxies.values() if p.stream is not None))
    return mark_dirty(replace(state, contexts=HashTrieMap(), stale=HashTrieMap()), nodes)


def mark_dirty(state: ZoneState, nodes: tuple[str, ...]) -> Outcome:
    fresh = [node for node in nodes if node not in state.dirty]
    if not fresh:
        return state, ()
    return replace(state, dirty={**state.dirty, **dict.fromkeys(fresh)}), (BuildSoon(),)


def build_due(state: ZoneState, now: float) -> Outcome:
    """Build the longest waiting few; asks for another turn while some wait."""
    waiting = iter(state.dirty)
    batch = [node for node, _ in zip(waiting, range(state.settings.build_batch), strict=False)]
    rest = {node: None for node in state.dirty if node not in batch}
    state = replace(state, dirty=rest)
    effects: list[Effect] = []
    for node in batch:
        proxy = state.proxies.get(node)
        if proxy is not None and proxy.stream is not None:
            state, more = _built(state, proxy, now)
            effects += more
    state, marked = zone_report.mark(state, now)
    return state, (*effects, *marked, *((BuildSoon(),) if state.dirty else ()))


def _built(state: ZoneState, proxy: Proxy, now: float) -> Outcome:
    """What cannot be built for one proxy is our fault: it keeps what it has, nobody else waits."""
    try:
        return _build(state, proxy, now)
    except (AssertionError, ValueError) as error:
        return state, (Note("proxy.build_failed", {"proxy": proxy.node_id, "message": str(error)}),)


def _build(state: ZoneState, proxy: Proxy, now: float) -> Outcome:
    resource = state.local.get(proxy.key)
    if resource is None:
        return state, ()
    state, result = _view(state, proxy, resource)
    if result is None:  # The mesh is gone: the proxy keeps what it has.
        return state, (Note("proxy.mesh_missing", {"proxy": proxy.node_id}),)
    state, proxy, issue = _certificate(state, proxy, resource, now)
    secrets = _secrets(proxy)
    if result.view == proxy.view and proxy.snapshot is not None and _holds(proxy, secrets):
        return replace(state, proxies=state.proxies.insert(proxy.node_id, proxy)), issue
    try:
        snapshot = translate(result.view, secrets, state.settings.builders)
    except IncompleteView:  # Its certificate is on the way; until then it keeps what it has.
        return replace(state, proxies=state.proxies.insert(proxy.node_id, proxy)), issue
    proxy = replace(proxy, view=result.view, origins=result.origins, snapshot=snapshot)
    state, sent = zone_proxies.push(state, proxy, now)
    return state, (*issue, *sent)


def _view(
    state: ZoneState, proxy: Proxy, resource: MeshResource
) -> tuple[ZoneState, ViewResult | None]:
    if resource.key.type == "ZoneIngress":
        zone, absent = state.settings.zone, zone_proxies.absent(state)
        resolved = dict(state.resolved)
        return state, ingress_view(state.merged, resource, zone, absent, proxy.traits, resolved)
    state, context = context_of(state, resource.key.mesh)
    return state, sidecar_view(context, resource, proxy.traits) if context is not None else None


def context_of(state: ZoneState, mesh: str) -> tuple[ZoneState, MeshContext | None]:
    """The mesh's context, made on first use after a change and shared by its proxies."""
    known = state.contexts.get(mesh)
    if known is not None:
        return state, known
    if state.policy.get(ResourceKey("Mesh", "", mesh)) is None:
        return state, None
    absent = zone_proxies.absent(state)
    before = state.stale.get(mesh)
    context = mesh_context(
        state.merged, mesh, state.settings.zone, absent, dict(state.resolved), before
    )
    contexts, stale = state.contexts.insert(mesh, context), state.stale.discard(mesh)
    return replace(state, contexts=contexts, stale=stale), context


def _holds(proxy: Proxy, secrets: Resources) -> bool:
    """The snapshot already has these very secrets."""
    assert proxy.snapshot is not None
    held = proxy.snapshot.secrets
    return all(held.get(name) is resource for name, resource in secrets.items() if name in held)


# --- workload certificates ---


def _secrets(proxy: Proxy) -> Resources:
    certificate = proxy.certificate
    if certificate is None:
        return NO_RESOURCES
    return {certificate.identity.name: certificate.identity, certificate.ca.name: certificate.ca}


def _backend(state: ZoneState, mesh: str) -> CaBackend | None:
    found = state.policy.get(ResourceKey("Mesh", "", mesh))
    return found.spec.mtls if found is not None and isinstance(found.spec, MeshSpec) else None


def secret_value(state: ZoneState, mesh: str, name: str) -> bytes | None:
    """The bytes of a Secret the global sent; None when it did not."""
    found = state.policy.get(ResourceKey("Secret", mesh, name))
    return base64.b64decode(json.loads(found.body).get("data", "")) if found is not None else None


def _certificate(
    state: ZoneState, proxy: Proxy, resource: MeshResource, now: float
) -> tuple[ZoneState, Proxy, Effects]:
    """Ask for a certificate when there is none, or when what it was issued for has changed or is
    running out.
    """
    mesh = resource.key.mesh
    backend = _backend(state, mesh) if isinstance(resource.spec, DataplaneSpec) else None
    if backend is None:
        return state, replace(proxy, certificate=None), ()
    cert = secret_value(state, mesh, f"{mesh}.ca-builtin-cert-{backend.name}")
    key = secret_value(state, mesh, f"{mesh}.ca-builtin-key-{backend.name}")
    if cert is None or key is None:
        return (
            state,
            proxy,
            (Note("certificate.ca_missing", {"mesh": mesh, "backend": backend.name}),),
        )
    uris = identity_uris(resource)
    if proxy.issuing or _is_good(proxy.certificate, uris, digest((cert,)), now):
        return state, proxy, ()
    issue = IssueCertificate(
        proxy.node_id,
        mesh,
        backend.name,
        uris,
        cert,
        key,
        backend.certificate_s,
        identity_secret_name(mesh),
        ca_secret_name(mesh),
    )
    return state, replace(proxy, issuing=True), (issue,)


def _is_good(
    certificate: Certificate | None, uris: tuple[str, ...], ca_digest: str, now: float
) -> bool:
    if certificate is None or certificate.uris != uris or certificate.ca_digest != ca_digest:
        return False
    return now < certificate.renew_at


def certified(state: ZoneState, node: str, certificate: Certificate) -> Outcome:
    proxy = state.proxies.get(node)
    if proxy is None:
        return state, ()
    proxy = replace(proxy, certificate=certificate, issuing=False)
    state = replace(state, proxies=state.proxies.insert(node, proxy))
    state, effects = mark_dirty(state, (node,) if proxy.stream is not None else ())
    return state, (*effects, WakeAt(certificate.renew_at))


def not_certified(state: ZoneState, node: str, message: str, now: float) -> Outcome:
    """Tried again at the next build of this proxy, and at the latest in a while."""
    proxy = state.proxies.get(node)
    if proxy is None:
        return state, ()
    state = replace(state, proxies=state.proxies.insert(node, replace(proxy, issuing=False)))
    note = Note("certificate.failed", {"proxy": node, "message": message})
    return state, (note, WakeAt(now + 5.0))


def renew(state: ZoneState, now: float) -> Outcome:
    """Certificates past four fifths of their life, and proxies that still wait for their first."""
    due = tuple(
        sorted(
            p.node_id
            for p in state.proxies.values()
            if p.stream is not None and not p.issuing and _wants_certificate(p, now)
        )
    )
    return mark_dirty(state, due)


def _wants_certificate(proxy: Proxy, now: float) -> bool:
    if proxy.certificate is not None:
        return now >= proxy.certificate.renew_at
    return proxy.snapshot is None and bool(proxy.key.mesh)
