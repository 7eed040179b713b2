"""The zone's proxies: admission, their ADS streams, and what losing one means.

Losing an endpoint is not deleting a Dataplane (design 2.7): a stream broken by its proxy takes the
endpoint out at once, the Dataplane goes after `deregister_after_s`. When a large share of the fleet
vanishes within seconds it is taken for our own failure: endpoints stay for the reconnect grace.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rpds import HashTrieMap

from reconciler.kds.proxy_insight import ProxyInsight, Subscription, said_by
from reconciler.model.services import decisive
from reconciler.proxy_health import with_kept_health
from reconciler.registration import NotAdmitted, traits_of
from reconciler.state import ResourceDiff
from reconciler.steps import (
    zone_admin,
    zone_build,
    zone_gather,
    zone_health,
    zone_insights,
    zone_names,
    zone_report,
)
from reconciler.steps.proxy_state import Identity, Proxy
from reconciler.steps.zone_admission import (
    admitted,
    token_wake,
    with_refusal,
    without_refusal,
)
from reconciler.steps.zone_state import (
    CloseStream,
    Effect,
    Effects,
    Note,
    Outcome,
    Persist,
    ToProxy,
    WakeAt,
    ZoneState,
)
from xds.ads_stream import AdsStream
from xds.copying import replace
from xds.delta_sender import Nacked

if TYPE_CHECKING:
    from reconciler.ca.tokens import Claims
    from reconciler.model.resource import MeshResource, ResourceKey
    from xds.discovery import DeltaRequest, Node

GONE = "the proxy is deregistered; it has no ADS stream"
UNKNOWN, UNAVAILABLE = 2, 14  # gRPC status numbers
LOOK_S = 0.05  # from one look at all who are away to the next


def opened(state: ZoneState, stream: str, authorization: str | None) -> Outcome:
    credentials = state.credentials.insert(stream, authorization or "")
    return replace(state, credentials=credentials), ()


def request(state: ZoneState, stream: str, received: DeltaRequest, now: float) -> Outcome:
    known = state.streams.get(stream)
    if known is not None:
        return _continued(state, state.proxies[known], received, now)
    if stream not in state.credentials:
        return state, ()  # Closed meanwhile.
    return _introduced(state, stream, received, now)


def _continued(state: ZoneState, proxy: Proxy, received: DeltaRequest, now: float) -> Outcome:
    if received.node is not None and received.node.id not in ("", proxy.node_id):
        return state, (
            CloseStream(proxy.stream or "", UNKNOWN, "the node id changed on one stream"),
        )
    ads, answer = proxy.ads.on_request(received)
    proxy = replace(proxy, ads=ads)
    brought = zone_gather.brings(received)
    notes: tuple[Effect, ...] = ()
    if isinstance(answer, Nacked):
        notes = (_rejection(proxy, received.type_url, answer.message),)
    state, sent = push(state, proxy, now)
    state, shown = _listening(state, proxy.node_id, now, brought=brought)
    state, marked = zone_report.mark(state, now)
    state, begun = zone_build.next_round(state, now) if state.dirty.answering else (state, ())
    return state, (*sent, *shown, *marked, *begun, *notes)


def _listening(state: ZoneState, node: str, now: float, *, brought: bool) -> Outcome:
    """A new proxy is seen by others, and its endpoints come in, once it listens: before, they would
    refuse requests.

    Also when it has rejected a part: what it accepted serves. One that `brought` its listeners from
    an earlier stream listens already.
    """
    proxy = state.proxies[node]
    if proxy.listening or not (brought or proxy.ads.listening):
        return state, ()
    state = zone_gather.returned(state, now)
    proxies = state.proxies.insert(node, replace(proxy, listening=True))
    return _presence_changed(replace(state, proxies=proxies), proxy.key, now)


def _rejection(proxy: Proxy, type_url: str, message: str) -> Note:
    fields = {"proxy": proxy.node_id, "type": type_url.rpartition(".")[2], "message": message}
    return Note("proxy.rejected", fields)


def push(state: ZoneState, proxy: Proxy, now: float) -> Outcome:
    """Offer what the proxy lacks. Without a snapshot nothing is answered: unknown is not empty.

    Clusters that are gone stay until connections on replaced listeners have drained, which they
    begin to when the proxy has accepted the listeners that replace them.
    """
    over = proxy.retire_at is not None and now >= proxy.retire_at
    ads, responses = proxy.ads.push(proxy.snapshot, retire=over)
    left = proxy.snapshot is not None and ads.drains(proxy.snapshot)
    retire_at = (proxy.retire_at or now + state.settings.retire_after_s) if left else None
    wake: Effects = (WakeAt(retire_at),) if retire_at is not None and not over else ()
    proxy = replace(proxy, ads=ads, retire_at=retire_at)
    state = replace(state, proxies=state.proxies.insert(proxy.node_id, proxy))
    state, counted = zone_insights.mark(state, now) if proxy.has_counted else (state, ())
    sends = (ToProxy(proxy.stream or "", response) for response in responses)
    return state, (*sends, *wake, *counted)


def retire(state: ZoneState, now: float) -> Outcome:
    """Take out clusters whose drain time is over."""
    effects: list[Effect] = []
    for proxy in state.proxies.those(state.proxies.retiring):
        if proxy.stream is None or proxy.retire_at is None or now < proxy.retire_at:
            continue
        state, sent = push(state, proxy, now)
        effects += sent
    return state, tuple(effects)


# --- admission ---


def _introduced(state: ZoneState, stream: str, received: DeltaRequest, now: float) -> Outcome:
    token = state.credentials[stream]
    state = replace(state, credentials=state.credentials.remove(stream))
    node = received.node
    if state.revision is None and not state.policy.by_key:
        text = f'zone "{state.settings.zone}" has not received its policies yet; try again'
        return state, (CloseStream(stream, UNAVAILABLE, text),)
    if node is None or not node.metadata:
        return state, (CloseStream(stream, UNKNOWN, "the first request carries no node metadata"),)
    verdict = admitted(state, node, token, now)
    if isinstance(verdict, NotAdmitted):
        state, marked = zone_report.mark(with_refusal(state, node.id, verdict.reason), now)
        note = Note("proxy.refused", {"proxy": node.id, "reason": verdict.reason})
        return state, (CloseStream(stream, UNKNOWN, verdict.reason), *marked, note)
    resource, claims = verdict
    state, effects = _registered(state, stream, received, resource, claims, now)
    state, asked = zone_health.registered(state, node.id, now)
    return state, (*effects, *asked)


def _registered(
    state: ZoneState,
    stream: str,
    received: DeltaRequest,
    resource: MeshResource,
    claims: Claims,
    now: float,
) -> Outcome:
    node = received.node
    assert node is not None
    earlier = state.proxies.get(node.id)
    was_in = earlier is not None and earlier.present
    ads, _ = AdsStream.open().on_request(received)
    proxy = Proxy(
        node.id,
        resource.key,
        zone_admin.traits_of(traits_of(node, resource), earlier),
        stream=stream,
        connected_at=now,
        ads=ads,
        identities=_kept(earlier),
        admin=earlier.admin if earlier else None,
        claims=claims,
        listening=was_in or zone_gather.brings(received),
        insight=_told_open(earlier, state.settings.instance, node, now),
    )
    state = replace(
        without_refusal(state, node.id),
        proxies=state.proxies.insert(node.id, proxy),
        streams=state.streams.insert(stream, node.id),
    )
    state = zone_report.to_tell(state, (resource.key,))
    state, wake = token_wake(state, proxy)
    stored = state.local.get(resource.key)
    resource = with_kept_health(resource, stored if was_in else None)
    resource = _with_services(state, resource, proxy)
    note = Note("proxy.connected", {"proxy": node.id})
    wake = (*wake, *zone_names.look_up(state, zone_names.names_here((resource,))))
    if stored == resource and was_in:
        state, built = zone_build.mark_new(state, node.id)
        state, marked = zone_report.mark(state, now)
        return state, (*built, *marked, *wake, note)
    change = ResourceDiff(put=(resource,))
    state, built = zone_build.mark_new(zone_report.put_local(state, change), node.id)
    if not zone_report.is_newcomer(state, resource.key):
        state, more = zone_build.touched(state, change)
        built = (*built, *more)
    state, published = zone_report.local_changed(state, now)
    return state, (Persist("local", change.put), *built, *published, *wake, note)


def _kept(earlier: Proxy | None) -> HashTrieMap[str, Identity]:
    """Of its last stream: whom to trust is found anew, and nobody answers for that one any more."""
    held = earlier.identities if earlier is not None else HashTrieMap()
    known = {m: Identity(i.certificate, failing=i.failing) for m, i in held.items()}
    return HashTrieMap(known)


def _told_open(earlier: Proxy | None, instance: str, node: Node, now: float) -> ProxyInsight:
    before = earlier.insight if earlier is not None else ProxyInsight()
    opened = Subscription(instance, now, said=said_by(node.metadata))
    return replace(before, subscriptions=before.opened(opened))


def _told_over(insight: ProxyInsight, now: float) -> ProxyInsight:
    *before, last = insight.subscriptions
    return replace(insight, subscriptions=(*before, replace(last, until=now)))


def _with_services(state: ZoneState, resource: MeshResource, proxy: Proxy) -> MeshResource:
    """An ingress that comes back keeps the services computed for it until they are computed anew;
    a new one offers none before it listens.
    """
    if resource.key.type != "ZoneIngress":
        return resource
    return zone_report.serving(resource, zone_report.services(state) if proxy.listening else ())


# --- losing a proxy ---


def leaves(state: ZoneState, node: str, now: float) -> Outcome:
    """A clean leave: the endpoints go out while the proxy still serves. It is over with its stream,
    or when the proxy comes anew.
    """
    proxy = state.proxies.get(node)
    if proxy is None or proxy.leaving:
        return state, ()
    gone = replace(proxy, leaving=True)
    state = replace(state, proxies=state.proxies.insert(node, gone))
    state, effects = _presence_changed(state, proxy.key, now)
    return state, (*effects, Note("proxy.leaving", {"proxy": node}))


def closed(state: ZoneState, stream: str, *, by_peer: bool, now: float) -> Outcome:
    state = replace(state, credentials=state.credentials.discard(stream))
    node = state.streams.get(stream)
    if node is None:
        return state, ()
    state = replace(state, streams=state.streams.remove(stream))
    proxy = state.proxies.get(node)
    if proxy is None or proxy.stream != stream:
        return state, ()
    settings = state.settings
    grace = now + settings.reconnect_grace_s
    theirs = by_peer or proxy.leaving
    gone = without_stream(
        proxy, now, lost_at=now if theirs else None, held_until=None if theirs else grace
    )
    state = replace(state, proxies=state.proxies.insert(node, gone))
    if theirs and not gone.leaving:
        state = _hold_mass_loss(state, node, now)
    state = zone_report.to_tell(state, (gone.key,))
    state, effects = _presence_changed(state, gone.key, now)
    state, wake = away_wake(
        state, now + min(settings.deregister_after_s, settings.reconnect_grace_s)
    )
    return state, (*effects, *wake, Note("proxy.disconnected", {"proxy": node, "by_peer": by_peer}))


def away_wake(state: ZoneState, until: float) -> Outcome:
    """One wake for all who are away: when the first may be gone for good, or held no more."""
    if state.away_due is not None and state.away_due <= until:
        return state, ()
    return replace(state, away_due=until), (WakeAt(until),)


def without_stream(
    proxy: Proxy, now: float, *, lost_at: float | None, held_until: float | None
) -> Proxy:
    told = zone_insights.told(proxy, now)
    return replace(
        told,
        stream=None,
        ads=AdsStream.open(),
        view=None,
        snapshot=None,
        services=(),
        lost_at=lost_at,
        held_until=held_until,
        insight=_told_over(told.insight, now),
        counted=0,
    )


def _hold_mass_loss(state: ZoneState, node: str, now: float) -> ZoneState:
    """Losing over a fifth of the fleet within seconds is our failure, not theirs: put the endpoints
    back.
    """
    settings, known = state.settings, state.proxies
    since = now - settings.mass_loss_window_s
    many = len(known.away) > settings.mass_loss_share * len(known)
    if many and state.mass_loss_at is not None and state.mass_loss_at > since:
        held = replace(known[node], held_until=now + settings.reconnect_grace_s)
        return replace(state, proxies=known.insert(node, held))  # Of the same loss.
    away = (known[node] for node in known.away)
    recent = [p for p in away if p.lost_at is not None and p.lost_at > since and not p.leaving]
    if len(recent) < settings.mass_loss_min:
        return state
    if len(recent) <= settings.mass_loss_share * len(state.proxies):
        return state
    proxies = state.proxies
    for proxy in recent:
        if proxy.held_until is not None:
            continue  # Of the same loss: to hold all anew for each of them costs their square.
        held = replace(proxy, held_until=now + settings.reconnect_grace_s)
        proxies = proxies.insert(proxy.node_id, held)
    return replace(state, proxies=proxies, mass_loss_at=now)


def _presence_changed(state: ZoneState, key: ResourceKey, now: float) -> Outcome:
    resource = state.local.get(key)
    change = ResourceDiff(put=(resource,)) if resource is not None else ResourceDiff(drop=(key,))
    if resource is not None and not zone_report.is_newcomer(state, key):
        state = zone_report.seen(state, ResourceDiff(put=(decisive(resource),)))
    state, built = zone_build.touched(state, change)
    state, published = zone_report.local_changed(state, now)
    return state, (*built, *published)


def expire(state: ZoneState, now: float) -> Outcome:
    """Deregister who stayed away, end holds that ran out, and say when to look again. Before that
    nobody is looked at: a thousand may be away, and every turn asks.
    """
    if state.away_due is None or now < state.away_due:
        return state, ()
    state, ended = _end_holds(state, now)
    after_s = state.settings.deregister_after_s
    away = state.proxies.those(state.proxies.away)
    until = {p.node_id: _stays_until(p, after_s) for p in away}
    gone = [p for p in away if until[p.node_id] <= now]
    later = [at for at in until.values() if at > now]
    due = max(min(later), now + LOOK_S) if later else None
    state = replace(state, away_due=due)
    wake: Effects = (WakeAt(due),) if due is not None else ()
    if not gone:
        return state, (*ended, *wake)
    proxies = state.proxies
    for proxy in gone:
        zone_build.forgotten(state, proxy.key)
        proxies = proxies.remove(proxy.node_id)
    change = ResourceDiff(drop=tuple(sorted(p.key for p in gone)))
    dirty = state.dirty.without(p.node_id for p in gone)
    state = zone_report.put_local(replace(state, proxies=proxies, dirty=dirty), change)
    state, built = zone_build.touched(state, change)
    state, published = zone_report.local_changed(state, now)
    notes = tuple(Note("proxy.deregistered", {"proxy": p.node_id}) for p in gone)
    unheard: list[Effect] = []
    for proxy in gone:  # Whoever comes under its name shows a token for HDS, too.
        state, more = zone_health.ended_with(state, proxy.node_id, UNKNOWN, GONE)
        unheard += more
    return state, (
        Persist("local", drop=change.drop),
        *ended,
        *built,
        *published,
        *unheard,
        *wake,
        *notes,
    )


def _stays_until(proxy: Proxy, after_s: float) -> float:
    """Who is away: the end of its hold, or of its registration."""
    return (proxy.lost_at or 0) + after_s if proxy.held_until is None else proxy.held_until


def _end_holds(state: ZoneState, now: float) -> Outcome:
    held = [p for p in state.proxies.those(state.proxies.away) if p.held_until is not None]
    over = [p for p in held if (p.held_until or 0) <= now]
    if not over:
        return state, ()
    proxies = state.proxies
    for proxy in over:
        proxies = proxies.insert(proxy.node_id, replace(proxy, lost_at=now, held_until=None))
    state = replace(state, proxies=proxies)
    # For what is touched only; the resources stay until deregistered.
    change = ResourceDiff(drop=tuple(sorted(p.key for p in over)))
    state, built = zone_build.touched(state, change)
    state, published = zone_report.local_changed(state, now)
    return state, (*built, *published)


def absent(state: ZoneState) -> frozenset[ResourceKey]:
    """Proxies whose endpoints are out."""
    return frozenset(state.proxies.absent)
