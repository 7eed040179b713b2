"""Views and snapshots: which proxies a change touches, and building them a few at a time.

A change marks proxies dirty; `BuildDue` takes the longest waiting few, so that a pass over a
thousand proxies never holds the loop, and a newer change simply finds them dirty still. What comes
faster than it can be built is built in rounds (see `waiting`): whom services that differ reach
waits for the next one; policies and certificates wait for none, and who is new waits for nobody
but others that are. A proxy without a
stream costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rpds import HashTrieMap

from reconciler import external
from reconciler.model.resource import MeshResource, ResourceKey
from reconciler.outward import EVERY
from reconciler.registration import node_id
from reconciler.steps import zone_admin, zone_certificates, zone_proxies, zone_report, zone_vips
from reconciler.steps.zone_state import BuildSoon, Effect, Effects, Note, Outcome, WakeAt, ZoneState
from reconciler.topology import by_outlet
from reconciler.view import (
    ViewResult,
    egress_view,
    ingress_view,
    mesh_context,
    sidecar_ahead,
    sidecar_view,
    touched_meshes,
)
from xds.copying import replace
from xds.translate import IncompleteView, ahead, translate
from xds.view import NOTHING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reconciler.context import MeshContext
    from reconciler.differing import Differing
    from reconciler.state import MeshState, ResourceDiff
    from reconciler.steps.proxy_state import Certificate, Proxy
    from reconciler.steps.zone_state import Taking
    from reconciler.view import Reach
    from xds.snapshot import Resources
    from xds.translate import Translated
    from xds.view import ProxyView


STORM_S = 10.0  # from round to round while many proxies come
MANY, MANY_SHARE = 50, 0.05  # proxies, and of those with a stream: more are many
OUTBOUNDS_A_STEP, RESOURCES_A_STEP = 16, 4  # some 150 us and 500 us each


def touched(state: ZoneState, change: ResourceDiff) -> Outcome:
    """Forget the contexts that a change makes stale. Who sees a difference is found at the next
    turn, once for all changes until then.
    """
    if not change:
        return state, ()
    return reaches(state, touched_meshes(change, state.merged, state.settings.zone))


def reaches(state: ZoneState, reach: Reach) -> Outcome:
    contexts, stale = state.contexts, state.stale
    meshes = reach.meshes
    if reach.all_meshes:
        meshes = frozenset((*contexts, *state.proxies.connected)) - {""}
    for mesh in meshes:
        context = contexts.get(mesh)
        if context is not None:
            contexts, stale = contexts.remove(mesh), stale.insert(mesh, context)
    state = replace(state, contexts=contexts, stale=stale, reached=state.reached | meshes)
    dirty = state.dirty
    for mesh in reach.certificates:
        dirty = dirty.with_queued(state.proxies.in_mesh(mesh))
    if reach.ingresses or reach.egresses:
        dirty = dirty.with_gathered(_zone_proxies(state, egresses_only=not reach.ingresses))
    return replace(state, dirty=dirty), (BuildSoon(),)


def _zone_proxies(state: ZoneState, *, egresses_only: bool) -> Iterable[str]:
    nodes = state.proxies.in_mesh("")
    if not egresses_only:
        return nodes
    return [node for node in nodes if state.proxies[node].key.type == "ZoneEgress"]


def reached(state: ZoneState) -> Outcome:
    """Mark those dirty whose view may be another since their mesh has changed: all of it at once,
    or those that depend on the services that differ in rounds. While the zone gathers what it lost,
    all wait.
    """
    if not state.reached or state.gathering is not None:
        return state, ()
    dirty = state.dirty
    for mesh in sorted(state.reached):
        members, before = state.proxies.in_mesh(mesh), state.stale.get(mesh)
        if not members:
            continue  # The context is made when somebody needs it.
        state, context = context_of(state, mesh)
        seen = context.differing if before is not None and context is not None else None
        if seen is None:
            dirty = dirty.with_queued(members)
        else:
            dirty = dirty.with_gathered(_reached(state, mesh, seen))
    soon = (BuildSoon(),) if dirty is not state.dirty else ()
    state, kept = zone_vips.written(replace(state, reached=frozenset(), dirty=dirty))
    return state, (*kept, *soon)


def _reached(state: ZoneState, mesh: str, seen: Differing) -> set[str]:
    known, members = state.proxies, state.proxies.in_mesh(mesh)
    named = (node_id(key.mesh, key.name) for key in seen.proxies)
    nodes = {node for node in named if node in members}
    for service in (*seen.services, EVERY) if seen.services else ():
        nodes.update(known.users.get((mesh, service), ()))
    # What the newest views of those that failed depend on is not known.
    return nodes | set(known.failed) if seen.services or seen.proxies else nodes


def all_touched(state: ZoneState) -> Outcome:
    """Everything may look different, for example after a host name resolved to another address."""
    nodes = [p.node_id for p in state.proxies.values() if p.stream is not None]
    stale = state.stale
    for mesh, context in state.contexts.items():
        stale = stale.insert(mesh, context)
    state = replace(state, contexts=HashTrieMap(), stale=stale, reached=frozenset())
    return mark_dirty(state, nodes)


def mark_new(state: ZoneState, node: str) -> Outcome:
    """A proxy of a new stream."""
    dirty = state.dirty.with_new(node)
    if dirty is state.dirty:
        return state, ()
    return replace(state, dirty=dirty), (BuildSoon(),)


def mark_dirty(state: ZoneState, nodes: Iterable[str]) -> Outcome:
    dirty = state.dirty.with_queued(nodes)
    if dirty is state.dirty:
        return state, ()
    return replace(state, dirty=dirty), (BuildSoon(),)


def next_round(state: ZoneState, now: float) -> Outcome:
    """Whoever was gathered is queued when the time has come; otherwise when that is."""
    before, proxies = state.dirty, state.proxies
    if before.answering and not _are_many(state, len(proxies.lagging) - before.behind):
        before = before.answered(now)
        state = replace(state, dirty=before)
    if state.gathering is not None or not before.gathered:
        return state, ()
    dirty = before.at(now, STORM_S if _is_stormy(state) else 0.0)
    if dirty is before:
        return state, ()
    if dirty.due is not None:
        return replace(state, dirty=dirty), (WakeAt(dirty.due),)
    dirty = dirty.awaiting({node: proxies[node].ads.answers for node in proxies.lagging})
    return replace(state, dirty=dirty), (BuildSoon(),)


def is_quiet(state: ZoneState) -> bool:
    """Nobody waits to be built, and nobody's answer is awaited."""
    return not (state.dirty or state.proxies.lagging or state.proxies.coming)


def _is_stormy(state: ZoneState) -> bool:
    """Many proxies are on their way: what each of them changes is news to all others."""
    return _are_many(state, len(state.proxies.coming) + len(state.dirty.fresh))


def _are_many(state: ZoneState, proxies: int) -> bool:
    return proxies > max(MANY, MANY_SHARE * len(state.streams))


def build_due(state: ZoneState, now: float) -> Outcome:
    """Build the longest waiting few; asks for another turn while some wait. While the zone gathers
    what it lost, all wait.
    """
    if state.gathering is not None or not state.dirty.is_ready:
        return state, ()
    heads = state.dirty.heads(state.settings.build_batch)
    for node in heads.nodes:
        state, ready = _ahead(state, node)
        if not ready:
            return state, (BuildSoon(),)
    state = replace(state, dirty=state.dirty.without_heads(heads, now))
    effects: list[Effect] = []
    for node in heads.nodes:
        proxy = state.proxies.get(node)
        if proxy is not None and proxy.stream is not None:
            state, more = _built(state, proxy, now)
            effects += more
    state, marked = zone_report.mark(state, now)
    state, begun = next_round(state, now)
    more = (BuildSoon(),) if state.dirty.is_ready else ()
    return state, (*effects, *marked, *begun, *more)


def _ahead(state: ZoneState, node: str) -> tuple[ZoneState, bool]:
    """A step towards what a sidecar shares with others, which can be more than one turn has time
    for; whether it was the last one. What goes wrong goes wrong again where it is told.
    """
    proxy = state.proxies.get(node)
    if proxy is None or proxy.stream is None or proxy.key.type != "Dataplane":
        return state, True
    resource = state.local.get(proxy.key)
    state, context = context_of(state, proxy.key.mesh)
    if resource is None or context is None:
        return state, True
    try:
        shared = sidecar_ahead(context, resource, proxy.traits, OUTBOUNDS_A_STEP)
        before = proxy.view.shared if proxy.view is not None else NOTHING
        done = shared is not None and ahead(
            shared, state.settings.builders, RESOURCES_A_STEP, before
        )
        return state, done
    except (AssertionError, ValueError):
        return state, True


def _built(state: ZoneState, proxy: Proxy, now: float) -> Outcome:
    """What cannot be built for one proxy is our fault: it keeps what it has, nobody else waits."""
    try:
        return _build(state, proxy, now)
    except (AssertionError, ValueError) as error:
        proxies = state.proxies.insert(proxy.node_id, replace(proxy, failed=True))
        state = replace(state, proxies=proxies)
        return state, (Note("proxy.build_failed", {"proxy": proxy.node_id, "message": str(error)}),)


def _build(state: ZoneState, proxy: Proxy, now: float) -> Outcome:
    resource = state.local.get(proxy.key)
    if resource is None:
        return state, ()
    proxy, asked = zone_admin.certificate(state, proxy, resource)
    if zone_admin.awaits(proxy):
        return replace(state, proxies=state.proxies.insert(proxy.node_id, proxy)), asked
    state, result = _view(state, proxy, resource)
    state, kept = zone_vips.written(state)  # before anybody is told of them
    asked = (*asked, *kept)
    if result is None:  # The mesh is gone: the proxy keeps what it has.
        return state, (*asked, Note("proxy.mesh_missing", {"proxy": proxy.node_id}))
    if proxy.failed or proxy.services != result.services:
        proxy = replace(proxy, failed=False, services=result.services)
    if resource.key.type == "ZoneEgress":
        proxy, issue = zone_certificates.certificates(state, proxy, result.identities, now)
    else:
        proxy, issue = zone_certificates.certificate(state, proxy, resource, now)
    issue = (*asked, *issue)
    secrets = zone_certificates.secrets(proxy)
    if result.outside:
        secrets = {**secrets, **external.bodies(result.outside)}
    if _runs(proxy, result.view, secrets):
        return replace(state, proxies=state.proxies.insert(proxy.node_id, proxy)), issue
    try:
        snapshot = translate(result.view, secrets, state.settings.builders, _translated(proxy))
    except IncompleteView:  # Its certificate is on the way; until then it keeps what it has.
        return replace(state, proxies=state.proxies.insert(proxy.node_id, proxy)), issue
    proxy = replace(proxy, view=result.view, shaped=result.shaped, snapshot=snapshot)
    state, sent = zone_proxies.push(state, proxy, now)
    return state, (*issue, *sent)


def _translated(proxy: Proxy) -> Translated | None:
    """What it has now."""
    if proxy.view is None or proxy.snapshot is None:
        return None
    return proxy.view, proxy.snapshot


def _view(
    state: ZoneState, proxy: Proxy, resource: MeshResource
) -> tuple[ZoneState, ViewResult | None]:
    traits = proxy.traits
    if resource.key.type == "ZoneIngress":
        zone, absent = state.settings.zone, zone_proxies.absent(state)
        resolved = dict(state.resolved)
        return state, ingress_view(state.merged, resource, zone, absent, traits, resolved)
    if resource.key.type == "ZoneEgress":
        contexts: list[MeshContext] = []
        for mesh in by_outlet(state.policy):
            state, found = context_of(state, mesh)
            contexts += [found] if found is not None else []
        zone, resolved = state.settings.zone, dict(state.resolved)
        certified = zone_certificates.certified(proxy)
        return state, egress_view(contexts, resource, zone, traits, resolved, certified)
    state, context = context_of(state, resource.key.mesh)
    return state, sidecar_view(context, resource, traits) if context is not None else None


def context_of(state: ZoneState, mesh: str) -> tuple[ZoneState, MeshContext | None]:
    """The mesh's context, made on first use after a change and shared by its proxies."""
    known = state.contexts.get(mesh)
    if known is not None:
        return state, known
    if state.policy.get(ResourceKey("Mesh", "", mesh)) is None:
        return state, None
    absent = zone_proxies.absent(state)
    before = state.stale.get(mesh)
    context = _context(state, state.merged, mesh, absent, before)
    state = zone_vips.given(state, context)
    contexts, stale = state.contexts.insert(mesh, context), state.stale.discard(mesh)
    return replace(state, contexts=contexts, stale=stale), context


def forgotten(state: ZoneState, key: ResourceKey) -> None:
    """What was kept for a proxy that is gone: one that others never saw no context tells of."""
    for context in (state.contexts.get(key.mesh), state.stale.get(key.mesh)):
        if context is not None:
            context.forget(key)


def _context(
    state: ZoneState,
    held: MeshState,
    mesh: str,
    absent: frozenset[ResourceKey],
    before: MeshContext | None,
) -> MeshContext:
    zone, detection = state.settings.zone, state.settings.outlier_detection
    return mesh_context(
        held,
        mesh,
        zone,
        absent,
        dict(state.resolved),
        before,
        detection=detection,
        silent=frozenset(state.silent),
        given=zone_vips.giving(state),
    )


def on_the_way(state: ZoneState, taking: Taking, meshes: Iterable[str]) -> Taking:
    """The contexts of meshes follow what is taken so far."""
    absent, ways = zone_proxies.absent(state), taking.ways
    for mesh in meshes:
        if taking.merged.get(ResourceKey("Mesh", "", mesh)) is None:
            continue
        before = ways.get(mesh) or state.contexts.get(mesh) or state.stale.get(mesh)
        way = _context(state, taking.merged, mesh, absent, before)
        ways = ways.insert(mesh, way)
    return replace(taking, ways=ways)


def arrived(state: ZoneState, taking: Taking) -> ZoneState:
    """The next contexts are made from those on the way, which tell what differs from the ones
    before them and nobody has seen: all of their meshes is looked at.
    """
    stale, dirty = state.stale, state.dirty
    for mesh in sorted(taking.ways):
        stale = stale.insert(mesh, taking.ways[mesh])
        dirty = dirty.with_queued(state.proxies.in_mesh(mesh))
    return replace(state, stale=stale, dirty=dirty)


def _runs(proxy: Proxy, view: ProxyView, secrets: Resources) -> bool:
    """Its snapshot is of this very view, with these very secrets."""
    if proxy.view is None or proxy.snapshot is None or not view.equals(proxy.view):
        return False
    held = proxy.snapshot.secrets
    return all(held.get(name) is resource for name, resource in secrets.items() if name in held)


# --- workload certificates ---


def certified(
    state: ZoneState, whose: tuple[str, str], certificate: Certificate, now: float
) -> Outcome:
    """`whose`: the proxy, and the mesh in which it is that."""
    node, mesh = whose
    proxy = state.proxies.get(node)
    held = proxy.identities.get(mesh) if proxy is not None else None
    if proxy is None or held is None:
        return state, ()
    if proxy.key.mesh:
        told = replace(
            proxy.insight,
            backend=certificate.backend,
            backends=zone_certificates.backends(state, mesh),
            expires_at=certificate.expires_at,
            regenerated_at=now,
            regenerations=proxy.insight.regenerations + 1,
        )
        proxy = replace(proxy, insight=told)
    held = replace(held, certificate=certificate, issuing=False, failing=None)
    proxy = proxy.with_identity(mesh, held)
    due = certificate.renew_at if state.renew_due is None else state.renew_due
    due = min(due, certificate.renew_at)
    state = replace(state, proxies=state.proxies.insert(node, proxy), renew_due=due)
    state = zone_report.to_tell(state, (proxy.key,))
    effects: Effects = ()
    if proxy.stream is not None and proxy.snapshot is None:
        state, effects = mark_new(state, node)
    elif proxy.stream is not None:
        state, effects = mark_dirty(state, (node,))
    state, marked = zone_report.mark(state, now)
    return state, (*effects, *marked, *zone_certificates.wakes(held))


def not_certified(state: ZoneState, whose: tuple[str, str], message: str, now: float) -> Outcome:
    """The proxy keeps what it has; it is tried again after a while."""
    node, mesh = whose
    proxy = state.proxies.get(node)
    if proxy is None or mesh not in proxy.identities:
        return state, ()
    proxy = zone_certificates.failed(state, proxy, mesh, message, now)
    state = replace(state, proxies=state.proxies.insert(node, proxy))
    note = Note("certificate.failed", {"proxy": node, "message": message})
    return state, (note, *zone_certificates.wakes(proxy.identities[mesh]))


def renew(state: ZoneState, now: float) -> Outcome:
    """Certificates that are to be made anew. A look at all proxies only once one of them is due."""
    proxies = state.proxies
    if state.renew_due is None or now < state.renew_due:
        looked: Iterable[Proxy] = proxies.those(proxies.uncertified)
    else:
        looked = proxies.values()
        held = (each.certificate for p in looked for each in p.identities.values())
        later = (certificate.renew_at for certificate in held if certificate is not None)
        state = replace(state, renew_due=min((at for at in later if at > now), default=None))
    return mark_dirty(state, (p.node_id for p in looked if zone_certificates.is_due(p, now)))
