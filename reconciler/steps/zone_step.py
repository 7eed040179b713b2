"""The zone control plane's decisions, one event at a time. See `zone_state` for what goes in and
out.

    store, global (KDS) and proxies (ADS)  ──event──▶  step  ──effects──▶  store, then global and
    proxies

The parts: `zone_global` (policies in), `zone_staging` (a revision as it comes), `zone_taking` (into
force, as a whole), `zone_admission` (who may be a proxy), `zone_tokens` (and no longer),
`zone_proxies` (registration, streams, liveness), `zone_health` (what proxies report), `zone_names`
(where they are by name), `zone_reachability` (which other zones do not answer), `zone_services`
(the MeshServices they make), `zone_build` (views and snapshots, a few at a time), `zone_gather`
(after a loss of the store) and `zone_report` (ledger, status, what goes up).
"""

from __future__ import annotations

from typing import assert_never

from reconciler.defaults import zone_generators
from reconciler.model.kinds import PROXY_TYPES
from reconciler.model.services import decisive
from reconciler.registration import node_id
from reconciler.state import ResourceDiff, apply, from_resources
from reconciler.steps import (
    zone_admin,
    zone_build,
    zone_gather,
    zone_global,
    zone_health,
    zone_insights,
    zone_names,
    zone_proxies,
    zone_reachability,
    zone_report,
    zone_services,
    zone_staging,
    zone_tokens,
    zone_vips,
)
from reconciler.steps.proxies import proxies_of
from reconciler.steps.proxy_state import Proxy
from reconciler.steps.zone_state import (
    AdminCertificateIssued,
    BuildDue,
    CertificateIssued,
    Event,
    GlobalConnected,
    GlobalDisconnected,
    GlobalRequest,
    GlobalResponse,
    HealthClosed,
    HealthOpened,
    HealthSaid,
    IngressesAsked,
    IssueFailed,
    Note,
    Outcome,
    ProxyClosed,
    ProxyLeaves,
    ProxyOpened,
    ProxyRequest,
    Resolved,
    Restored,
    Tick,
    WakeAt,
    ZoneState,
)
from reconciler.view import ProxyTraits
from reconciler.vips.allocation import Allocations
from xds.copying import replace


def step(state: ZoneState, event: Event) -> Outcome:
    """Pure: equal state and event give an equal outcome."""
    match event:
        case Restored():
            return restore(state, event)
        case GlobalConnected(session, now):
            return zone_global.connected(state, session, now)
        case GlobalResponse():
            return zone_global.response(state, event)
        case GlobalRequest(session, request):
            return zone_report.request(state, session, request)
        case GlobalDisconnected(session, reason, now):
            return zone_global.disconnected(state, session, reason, now)
        case ProxyOpened(stream, authorization):
            return zone_proxies.opened(state, stream, authorization)
        case ProxyRequest(stream, request, now):
            return zone_proxies.request(state, stream, request, now)
        case ProxyClosed(stream, by_peer, now):
            return zone_proxies.closed(state, stream, by_peer=by_peer, now=now)
        case ProxyLeaves(node, now):
            return zone_proxies.leaves(state, node, now)
        case HealthOpened() | HealthSaid() | HealthClosed():
            return health(state, event)
        case CertificateIssued(node, mesh, certificate, now):
            return zone_build.certified(state, (node, mesh), certificate, now)
        case IssueFailed(node, mesh, message, now):
            return zone_build.not_certified(state, (node, mesh), message, now)
        case AdminCertificateIssued(node, admin, message):
            return zone_admin.certified(state, node, admin, message)
        case Resolved(addresses, now):
            return zone_names.resolved(state, addresses, now)
        case IngressesAsked(silent, now):
            return zone_reachability.asked(state, silent, now)
        case BuildDue(now):
            return turn(state, now)
        case Tick(now):
            return tick(state, now)
        case _:
            assert_never(event)


def health(state: ZoneState, event: HealthOpened | HealthSaid | HealthClosed) -> Outcome:
    match event:
        case HealthOpened(stream, authorization, now):
            return zone_health.opened(state, stream, authorization, now)
        case HealthSaid(stream, message, now):
            return zone_health.said(state, stream, message, now)
        case HealthClosed(stream):
            return zone_health.closed(state, stream)


def restore(state: ZoneState, event: Restored) -> Outcome:
    """Take up what the disk holds. Its proxies count as present for the reconnect grace: we were
    away, not they. Nobody is served yet: the contexts of its meshes are made now, whole.
    """
    held_until = event.now + state.settings.reconnect_grace_s
    proxies = [
        Proxy(node, resource.key, ProxyTraits(node_id=node), held_until=held_until)
        for resource in event.local
        if resource.key.type in PROXY_TYPES.values()
        for node in (node_id(resource.key.mesh, resource.key.name),)
    ]
    local = from_resources((*zone_generators(state.settings.zone), *event.local))
    seen = ResourceDiff(put=tuple(map(decisive, local.all())))
    merged = apply(from_resources((*event.policy, *event.relayed)), seen)
    vips = Allocations.anew(event.now) if zone_vips.KIND in event.lost else event.vips
    state = replace(
        state,
        loaded=True,
        policy=from_resources(event.policy),
        relayed=from_resources(event.relayed),
        local=local,
        merged=merged,
        link=replace(state.link, applied=zone_staging.of_disk(event.policy)),
        revision=event.revision,
        proxies=proxies_of(proxies),
        now=event.now,
        vips=vips,
        kept_vips=vips,
        untold=dict.fromkeys(local.by_key),
        unserved=dict.fromkeys(resource.key for resource in event.local),
        telling=True,  # Before it has told all there is, it tells nothing.
        away_due=held_until if proxies else None,
    )
    for mesh in state.policy.of("Mesh"):
        state, _ = zone_build.context_of(state, mesh.key.name)
    state, gathers = zone_gather.begun(state, event.lost, event.now)
    state, effects = zone_report.local_changed(state, event.now)
    fields = {"revision": event.revision, "proxies": len(proxies), "resources": len(event.policy)}
    wake = (WakeAt(held_until),) if proxies else ()
    return state, (*effects, *wake, Note("zone.restored", fields), *gathers)


def turn(state: ZoneState, now: float) -> Outcome:
    """What many events have in common is done once for all that came since the last turn."""
    state = replace(state, now=now)
    state, served = zone_services.due(state, now)
    state, told = zone_report.local_due(state)
    state, taken = zone_global.taking_due(state, now)
    state, reached = zone_build.reached(state)
    state, begun = zone_build.next_round(state, now)
    state, built = zone_build.build_due(state, now)
    state, named = zone_vips.due(state)
    state, kept = zone_health.written(state)
    return state, (*served, *told, *taken, *reached, *begun, *built, *named, *kept)


def tick(state: ZoneState, now: float) -> Outcome:
    state, lost = zone_proxies.expire(state, now)
    state, gathered = zone_gather.due(state, now)
    state, retired = zone_proxies.retire(state, now)
    state, renewed = zone_build.renew(state, now)
    state, begun = zone_build.next_round(state, now)
    state, reported = zone_report.report_due(state, now)
    state, counted = zone_insights.flush_due(state, now)
    state, announced = zone_report.announce_due(state, now)
    state, overdue = zone_global.overdue(state, now)
    state, again = zone_global.reack(state, now)
    state, unheard = zone_health.expire(state, now)
    state, served = zone_services.due(state, now)
    state, outlived = zone_tokens.token_due(state, now)
    more = (*begun, *overdue, *again, *unheard, *served, *outlived)
    return state, (*lost, *gathered, *retired, *renewed, *reported, *counted, *announced, *more)
