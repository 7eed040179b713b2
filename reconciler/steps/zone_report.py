"""What the zone says of itself: its ingress's services, its publication to the global, the ledger,
its status.

The ledger is proxy × type → sent, acknowledged, rejected; it lives in each proxy's `AdsStream`. Its
aggregate goes up as `ConvergenceReport` and down to Git as `applied.yaml`, at most once an
interval. Endpoints and services take no such wait: a change of who is there goes up at once.
"""

from __future__ import annotations

import json
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING

from reconciler.decode import mesh_resource
from reconciler.instances import Place
from reconciler.kds.filters import syncs
from reconciler.kds.manifest import REJECTIONS_MAX, ConvergenceReport, Rejection
from reconciler.kds.sizes import KUMA_MAX, response_size
from reconciler.kds.upward import NO_INSIGHT, publication, with_zone
from reconciler.model.resource import MeshResource, canonical_json
from reconciler.model.services import decisive
from reconciler.model.spec import AvailableService, ZoneIngressSpec
from reconciler.offers import advertised, external_offers, offers_of
from reconciler.registration import node_id
from reconciler.state import ResourceDiff, apply
from reconciler.status.announcement import StatusMode, ZoneStatus, encode_status
from reconciler.status.document import StatusInput
from reconciler.steps import zone_build, zone_certificates, zone_egress
from reconciler.steps.zone_state import (
    BuildSoon,
    Effect,
    Effects,
    Note,
    Outcome,
    StatusWanted,
    ToGlobalResponse,
    WakeAt,
    ZoneState,
)
from xds.ads_stream import Sync
from xds.copying import replace
from xds.delta_sender import KDS_DIALECT, DeltaSender, Nacked, Subscribed
from xds.snapshot import NO_RESOURCES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rpds import HashTrieSet

    from reconciler.kds.upward import Publication, Told
    from reconciler.model.resource import ResourceKey
    from reconciler.model.spec import Tags
    from reconciler.steps.proxy_state import Identity, Proxy
    from reconciler.steps.tally import Tally
    from reconciler.steps.waiting import Waiting
    from xds.discovery import DeltaRequest

TELL_MAX = (
    16  # proxies told of at a time: each takes 0.15 ms, and half a millisecond on a slow machine
)


# --- own ingresses ---


def services(state: ZoneState) -> tuple[AvailableService, ...]:
    """Healthy local instances by mesh and tags, and what is outside and reached from here alone:
    what other zones may reach here.
    """
    place = Place(state.settings.zone, frozenset(state.proxies.absent), dict(state.resolved))
    inside = offers_of(state.merged, _offered(state).counts)
    return (*inside, *external_offers(state.merged, place))


def _offered(state: ZoneState) -> Tally[tuple[str, Tags]]:
    zone = state.settings.zone
    return state.offered.followed(
        state.merged, state.proxies.absent, lambda dataplane: advertised(dataplane, zone)
    )


def serving(ingress: MeshResource, found: tuple[AvailableService, ...]) -> MeshResource:
    """The ingress with these services; the same object when they are equal."""
    if isinstance(ingress.spec, ZoneIngressSpec) and ingress.spec.available_services == found:
        return ingress
    data = json.loads(ingress.body)
    data["availableServices"] = [_service(service) for service in found]
    return mesh_resource(ingress.key, ingress.labels, data)


def _service(service: AvailableService) -> dict[str, object]:
    data: dict[str, object] = {
        "instances": service.instances,
        "mesh": service.mesh,
        "tags": dict(service.tags),
    }
    return data | ({"externalService": True} if service.external else {})


def put_local(state: ZoneState, change: ResourceDiff) -> ZoneState:
    """The zone's own resources after the change, of which the global is to be told. Others in the
    zone see a new proxy once it listens: before, there is nobody to be called.
    """
    shown = tuple(decisive(r) for r in change.put if not is_newcomer(state, r.key))
    decides = ResourceDiff(shown, change.drop)
    state = seen(replace(state, local=apply(state.local, change)), decides)
    return to_tell(state, (*(r.key for r in change.put), *change.drop))


def is_newcomer(state: ZoneState, key: ResourceKey) -> bool:
    """A proxy that never listened."""
    is_out = key.type == "Dataplane" and key in state.proxies.absent
    return is_out and state.merged.get(key) is None


def seen(state: ZoneState, change: ResourceDiff) -> ZoneState:
    """What is not the global's has changed: the zone sees it now, and when a revision on its way is
    in force.
    """
    taking = state.taking
    if taking is not None:
        taking = replace(taking, merged=apply(taking.merged, change))
    return replace(state, merged=apply(state.merged, change), taking=taking)


def to_tell(state: ZoneState, keys: Iterable[ResourceKey]) -> ZoneState:
    """Of these, or of their streams, the global is told with the next report; the next turn looks
    at their services.
    """
    untold = dict.fromkeys(keys)
    unserved = dict.fromkeys(key for key in untold if key.type == "Dataplane")
    return replace(
        state, untold={**state.untold, **untold}, unserved={**state.unserved, **unserved}
    )


def local_changed(state: ZoneState, now: float) -> Outcome:
    """Who is there has changed: the next turn says so. What comes until then is said with it."""
    state, marked = mark(state, now)
    if state.unpublished:
        return state, marked
    return replace(state, unpublished=True), (BuildSoon(), *marked)


def local_due(state: ZoneState) -> Outcome:
    """Compute the ingresses' services, once for all that changed, and tell the global at once."""
    effects: Effects = ()
    if state.unpublished:
        state, effects = _services_due(replace(state, unpublished=False))
    state, sent = publish(state) if state.telling else (state, ())
    return state, (*effects, *sent)


def _services_due(state: ZoneState) -> Outcome:
    """Nothing is written: they are computed anew at start, and an endpoint that is gone must not
    wait for a disk.
    """
    ingresses = state.local.of("ZoneIngress")
    if not ingresses:
        return state, ()
    state = replace(state, offered=_offered(state))
    out, found = state.proxies.absent, services(state)
    changed = tuple(
        after
        for before in ingresses
        # One that is gone, or does not listen yet, leads nowhere: the others do without it.
        for after in (serving(before, () if before.key in out else found),)
        if after is not before
    )
    if not changed:
        return state, ()
    change = ResourceDiff(put=changed)
    state, built = zone_build.touched(put_local(state, change), change)
    state, sent = _tell(state, tuple(r.key for r in changed))
    return state, (*built, *sent)


# --- upward: the sender side of ZoneToGlobalSync ---


def publish(state: ZoneState) -> Outcome:
    """Tell the global of what changed, a few proxies a turn: each is encoded anew. Before the store
    is loaded, and while what it lost is gathered, nothing is said: absent is not empty.
    """
    return _tell(state, tuple(islice(state.untold, TELL_MAX)))


def _tell(state: ZoneState, keys: tuple[ResourceKey, ...]) -> Outcome:
    if not _speaks(state):
        return state, ()
    if state.announcement is None:
        state = _announced(state, state.settings.status)
    told = {key: _told(state, key) for key in keys}
    left = {key: None for key in state.untold if key not in told}
    before, zone = state.published, state.settings.zone
    sent = {type_: sender.sent for type_, sender in state.link.senders.items()}
    published = publication(zone, told, before, sent, whole=not left)
    published = with_zone(published, zone, state.reported, state.announcement)
    state = replace(state, published=published, untold=left, telling=state.telling and bool(left))
    effects: list[Effect] = []
    if published.begun:
        state, offers = _offers(state, before)
        effects += offers
    if left and not state.telling and len(keys) == TELL_MAX:
        state = replace(state, telling=True)
    return state, (*effects, *((BuildSoon(),) if state.telling else ()))


def _told(state: ZoneState, key: ResourceKey) -> Told:
    resource, proxy = state.local.get(key), state.proxies.get(node_id(key.mesh, key.name))
    if resource is None or not syncs(resource):
        return None
    known = proxy is not None and proxy.key == key
    return resource, proxy.insight if proxy is not None and known else NO_INSIGHT


def _offers(state: ZoneState, before: Publication) -> Outcome:
    """Of every type that says something else."""
    now = state.published
    effects: list[Effect] = []
    for type_ in sorted(state.link.senders):
        if not before.begun or now.types.get(type_) is not before.types.get(type_):
            state, more = offer(state, type_)
            effects += more
    return state, tuple(effects)


def _speaks(state: ZoneState) -> bool:
    return state.loaded and (state.gathering is None or state.gathering.told)


def request(state: ZoneState, session: str, received: DeltaRequest) -> Outcome:
    """A subscription, ACK or NACK of the global for one type of ours."""
    link = state.link
    if session != link.session:
        return state, ()
    type_ = received.type_url
    sender = link.senders.get(type_) or DeltaSender(type_url=type_, dialect=KDS_DIALECT)
    sender, answer = sender.on_request(received)
    state = replace(state, link=replace(link, senders=link.senders.insert(type_, sender)))
    notes: Effects = ()
    if isinstance(answer, Nacked):
        notes = (Note("global.rejected", {"type": type_, "message": answer.message}),)
    # A subscription is answered with what there is now.
    state, told = publish(state) if isinstance(answer, Subscribed) else (state, ())
    state, sent = offer(state, type_)
    return state, (*told, *sent, *notes)


def offer_all(state: ZoneState, types: Iterable[str]) -> Outcome:
    """Of these types, what the global has not got."""
    effects: list[Effect] = []
    for type_ in sorted(types):
        state, more = offer(state, type_)
        effects += more
    return state, tuple(effects)


def offer(state: ZoneState, type_: str) -> Outcome:
    link = state.link
    published = state.published
    if not _speaks(state) or not published.begun or link.session is None or not link.known:
        return state, ()
    want, step = published.types.get(type_, NO_RESOURCES), published.steps.get(type_)
    sender, response = link.senders[type_].offer(want, str(link.nonces + 1), step=step)
    if response is None:
        if sender is link.senders[type_]:
            return state, ()
        return replace(state, link=replace(link, senders=link.senders.insert(type_, sender))), ()
    limit = KUMA_MAX if link.manifest is None else state.settings.message_max
    size = response_size(response)
    if size > limit:
        setting = "" if link.manifest is None else "--kds-message-bytes"
        fields = {"type": type_, "bytes": size, "limit": limit, "setting": setting}
        notes = () if type_ in link.held else (Note("global.type_too_large", fields),)
        return replace(state, link=replace(link, held=link.held | {type_})), notes
    response = replace(response, control_plane=state.settings.zone)
    senders = link.senders.insert(type_, sender)
    link = replace(link, senders=senders, nonces=link.nonces + 1, held=link.held - {type_})
    return replace(state, link=link), (ToGlobalResponse(link.session or "", response),)


# --- ledger and status ---


def mark(state: ZoneState, now: float) -> Outcome:
    """Something the report speaks of may have changed: look within an interval."""
    if state.report_due is not None:
        return state, ()
    due = now + state.settings.report_interval_s
    wakes: Effects = (WakeAt(due),)
    if state.settings.status.mode is StatusMode.RELAY and state.announce_due is None:
        first = state.announced is None or not state.announced.complete
        later = due if first else now + state.settings.announce_interval_s
        state, wakes = replace(state, announce_due=later), (*wakes, WakeAt(later))
    return replace(state, report_due=due), wakes


def report_due(state: ZoneState, now: float) -> Outcome:
    if state.report_due is None or now < state.report_due or not _speaks(state):
        return state, ()
    state, touched = zone_build.reached(replace(state, report_due=None))
    state, lacking = zone_egress.noticed(state)
    touched = (*touched, *lacking)
    report = report_of(state)
    sent: Effects = ()
    if report != state.reported or state.untold:
        state, sent = publish(replace(state, reported=report))
    if state.settings.status.mode is not StatusMode.DIRECT:  # The global writes it, or nobody.
        return state, (*touched, *sent)
    state, status = status_of(state, report)
    return state, (*touched, *sent, StatusWanted(status))


def announce_due(state: ZoneState, now: float) -> Outcome:
    """For the global that writes this zone's ref: the inventory, at most once an interval."""
    if state.announce_due is None or now < state.announce_due or not _speaks(state):
        return state, ()
    state = _with_inventory(replace(state, announce_due=None))
    classes, proxies = state.listed.classes, state.listed.proxies
    status = replace(state.settings.status, complete=True, classes=classes, proxies=proxies)
    if status == state.announced:
        return state, ()
    return _tell(_announced(state, status), ())


def _announced(state: ZoneState, status: ZoneStatus) -> ZoneState:
    frame = encode_status(state.settings.zone, status)
    return replace(state, announced=status, announcement=frame)


def report_of(state: ZoneState) -> ConvergenceReport:
    """Counted: a push has everybody waiting or pending, and none of them is looked at. Only who
    refuses something, or whose certificate is on its way, is.
    """
    proxies, dirty, total = state.proxies, state.dirty, len(state.streams)
    watched = [proxies[node] for node in proxies.watched]
    rejected = tuple(sorted(r for p in watched if p.ads.rejects for r in rejections(p)))
    refused = {r.proxy for r in rejected}
    uncertified = _uncertified(state, watched)
    # Whoever waits is connected or away: who is gone for good no longer waits.
    both = _common(dirty, proxies.pending) + _common(dirty, proxies.away)
    open_ = len(proxies.pending) + len(dirty) - both + len(uncertified)
    return ConvergenceReport(
        revision=state.revision or "",
        total=total,
        acked=total - open_,
        pending=open_ - len(refused),  # Who refuses a type is without it: it is in `pending`.
        rejected=len(refused),
        rejections=rejected[:REJECTIONS_MAX],
    )


def _uncertified(state: ZoneState, watched: Iterable[Proxy]) -> set[str]:
    """Those that have all there is for them, but a certificate of the CA in force. Of others that
    is known without: they wait or are pending.
    """
    making = [p for p in watched if any(map(_is_making, p.identities.values()))]
    digests = zone_certificates.ca_digests(state) if making else {}
    open_ = (p for p in making if not zone_certificates.is_settled(p, digests))
    return {p.node_id for p in open_ if p.is_current and p.node_id not in state.dirty}


def _is_making(identity: Identity) -> bool:
    return identity.issuing or identity.failing is not None


def _common(dirty: Waiting, nodes: HashTrieSet[str]) -> int:
    """How many are in both, by a look at the fewer: of many that wait few have got something."""
    if len(dirty) < len(nodes):
        return sum(node in nodes for node in dirty)
    return sum(node in dirty for node in nodes)


def rejections(proxy: Proxy) -> tuple[Rejection, ...]:
    """What the proxy refused, with the policies that shaped it."""
    if proxy.snapshot is None:
        return ()
    states = proxy.ads.acked(proxy.snapshot)
    found = {url: t.message for url, t in states.items() if t.sync is Sync.REJECTED}
    policies = (
        sorted({str(k) for half in proxy.shaped for keys in half.values() for k in keys})
        if found
        else []
    )
    return tuple(
        Rejection(
            proxy.key.mesh, proxy.node_id, type_url.rpartition(".")[2], message, tuple(policies)
        )
        for type_url, message in sorted(found.items())
    )


def status_of(state: ZoneState, report: ConvergenceReport) -> tuple[ZoneState, StatusInput]:
    """Without times: equal content means no commit."""
    state = _with_inventory(state)
    ingresses = tuple(_ingress(r.display_name, r.body) for r in state.local.of("ZoneIngress"))
    return state, StatusInput(
        zone=state.settings.zone,
        revision=report.revision,
        ingresses=ingresses,
        total=report.total,
        acked=report.acked,
        pending=report.pending,
        rejections=report.rejections,
        classes=state.listed.classes,
        proxies=state.listed.proxies,
    )


@lru_cache(maxsize=64)
def _ingress(name: str, body: str) -> str:
    return canonical_json({"name": name, **json.loads(body)})


def _with_inventory(state: ZoneState) -> ZoneState:
    inventory = state.settings.status.inventory
    return replace(
        state, listed=state.listed.followed(state.local, state.proxies.absent, inventory)
    )
