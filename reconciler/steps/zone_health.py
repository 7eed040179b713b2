"""The proxies' HDS streams: who may report, what each is asked to check, and what a report changes.

HDS knows reports at an interval and none in between, so the interval is short; with many probed
applications it grows (`Pace`), and all are asked anew. A proxy's HDS and ADS streams arrive in any
order, and ADS is the one that registers it: an early HDS stream waits, up to a limit. A report
moves endpoints in and out at once; that is written to disk afterwards, so that no endpoint waits
for a disk.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.ca.tokens import Refused
from reconciler.proxy_health import is_probed, specifier_of, with_report
from reconciler.state import ResourceDiff
from reconciler.steps import zone_build, zone_report
from reconciler.steps.zone_state import (
    AskHealth,
    CloseHealth,
    Effect,
    HealthStream,
    Note,
    Outcome,
    Persist,
    WakeAt,
    ZoneState,
)
from xds.copying import replace
from xds.health import HealthReport, Introduction

if TYPE_CHECKING:
    from reconciler.model.resource import MeshResource
    from reconciler.steps.proxy_state import Proxy
    from xds.health import Specifier

UNKNOWN, INVALID_ARGUMENT, RESOURCE_EXHAUSTED = 2, 3, 8  # gRPC status numbers


def opened(state: ZoneState, stream: str, authorization: str | None, now: float) -> Outcome:
    if len(state.health) >= 2 * state.settings.proxies_max:  # Each may come back before it is gone.
        text = f"{len(state.health)} HDS streams are open; raise the limit --proxies-max"
        return state, (CloseHealth(stream, RESOURCE_EXHAUSTED, text),)
    known = HealthStream(authorization or "", now)
    due = now + state.settings.health_wait_s
    state = replace(state, health=state.health.insert(stream, known))
    if state.health_due is not None:
        return state, ()
    return replace(state, health_due=due), (WakeAt(due),)


def said(
    state: ZoneState, stream: str, message: Introduction | HealthReport, now: float
) -> Outcome:
    known = state.health.get(stream)
    if known is None:  # Closed meanwhile.
        return state, ()
    if isinstance(message, Introduction):
        return _paced(state, _introduced(state, stream, known, message.node_id, now))
    if known.asked is None:
        text = "a health report before the control plane asked for one"
        return _ended(state, stream, INVALID_ARGUMENT, text)
    return _reported(state, known.node_id, message, now)


def _introduced(
    state: ZoneState, stream: str, known: HealthStream, node: str, now: float
) -> Outcome:
    if known.node_id or not node:
        text = "the first message of the stream, and only that, carries the node id"
        return _ended(state, stream, INVALID_ARGUMENT, text)
    state = replace(state, health=state.health.insert(stream, replace(known, node_id=node)))
    dropped: Outcome = state, ()
    if node in state.health_waits:  # It has shown nothing yet, so it keeps nobody out.
        text = "a newer stream of this node waits"
        dropped = _ended(state, state.health_waits[node], UNKNOWN, text)
    state = replace(dropped[0], health_waits=dropped[0].health_waits.insert(node, stream))
    state, asked = _admitted(state, stream, now)
    return state, (*dropped[1], *asked)


def registered(state: ZoneState, node: str, now: float) -> Outcome:
    """The proxy's ADS stream is here, perhaps with another resource: ask what is to be asked.

    Its probed inbounds begin as not ready. A stream that stood is asked anew, also when the
    question is the same: what it reports next counts, even if it equals what it said before.
    """
    effects: list[Effect] = []
    before, waiting = state, state.health_waits.get(node)
    if waiting is not None:
        state, asked = _admitted(state, waiting, now)
        effects += asked
    stood = state.health_of.get(node)
    if stood is not None and stood != waiting:
        known = state.health[stood]
        anew = replace(known, asked=None) if known.asked is not None else known
        proxy = state.proxies[node]
        resource = state.local.get(proxy.key)
        if resource is not None:
            state = _known(state, stood, anew)
            state, asked = _asked(state, stood, proxy, resource)
            effects += asked
    return _paced(before, (state, tuple(effects)))


def refresh(state: ZoneState, now: float) -> Outcome:
    """Host names have other addresses."""
    effects: list[Effect] = []
    for stream in sorted(state.health_of.values()):
        state, asked = _admitted(state, stream, now)
        effects += asked
    return state, tuple(effects)


def _admitted(state: ZoneState, stream: str, now: float) -> Outcome:
    """Same token rules as on ADS, against the resource that was registered there."""
    known = state.health[stream]
    proxy = state.proxies.get(known.node_id)
    resource = state.local.get(proxy.key) if proxy is not None else None
    if proxy is None or proxy.stream is None or resource is None:
        return state, ()  # It waits; `expire` ends a wait that is too long.
    if known.asked is None:
        verdict = state.settings.verify(state.policy, resource, known.token, now)
        if isinstance(verdict, Refused):
            text = f"authentication failed: {verdict.reason}"
            state, ended = _ended(state, stream, UNKNOWN, text)
            fields = {"proxy": known.node_id, "reason": f"HDS: {text}"}
            return state, (*ended, Note("proxy.refused", fields))
    return _asked(state, stream, proxy, resource)


def _asked(state: ZoneState, stream: str, proxy: Proxy, resource: MeshResource) -> Outcome:
    known = state.health[stream]
    wanted = _specifier(state, proxy, resource)
    effects: list[Effect] = []
    earlier = state.health_of.get(proxy.node_id)
    if earlier is not None and earlier != stream:  # Its own, which is broken and not noticed yet.
        state, dropped = _ended(state, earlier, UNKNOWN, "a newer stream of this node took over")
        effects += dropped
    state = replace(
        state,
        health_of=state.health_of.insert(proxy.node_id, stream),
        health_waits=state.health_waits.discard(proxy.node_id),
    )
    if wanted != known.asked:
        state = _known(state, stream, replace(known, asked=wanted, token=""))
        effects.append(AskHealth(stream, wanted))
    return state, tuple(effects)


def _specifier(state: ZoneState, proxy: Proxy, resource: MeshResource) -> Specifier:
    interval_s = state.health_pace.interval_s(state.settings.health_interval_s)
    return specifier_of(resource, proxy.traits, interval_s, dict(state.resolved))


def _known(state: ZoneState, stream: str, known: HealthStream | None) -> ZoneState:
    """With what is known of the stream, or without the stream; the pace counts who is probed."""
    before = state.health.get(stream)
    health = state.health.remove(stream) if known is None else state.health.insert(stream, known)
    was, now = (is_probed(each.asked) if each is not None else False for each in (before, known))
    pace = state.health_pace
    if was != now:
        pace = pace.of(pace.probed + now - was, state.settings.health_interval_s)
    return replace(state, health=health, health_pace=pace)


def _paced(before: ZoneState, outcome: Outcome) -> Outcome:
    """With another pace all who are probed are asked to keep it."""
    state, effects = outcome
    if state.health_pace.factor == before.health_pace.factor:
        return outcome
    asked: list[Effect] = []
    for node, stream in sorted(state.health_of.items()):
        known, proxy = state.health[stream], state.proxies.get(node)
        resource = state.local.get(proxy.key) if proxy is not None else None
        if proxy is not None and resource is not None and is_probed(known.asked):
            state, more = _asked(state, stream, proxy, resource)
            asked += more
    return state, (*effects, *asked)


def _reported(state: ZoneState, node: str, report: HealthReport, now: float) -> Outcome:
    proxy = state.proxies.get(node)
    before = state.local.get(proxy.key) if proxy is not None else None
    if proxy is None or before is None:
        return state, ()
    after = with_report(before, report)
    if after is before:
        return state, ()
    change = ResourceDiff(put=(after,))
    state, built = zone_build.touched(zone_report.put_local(state, change), change)
    state, published = zone_report.local_changed(state, now)
    ready = {f"{i.address}:{i.port}": i.healthy for i in getattr(after.spec, "inbounds", ())}
    note = Note("proxy.health", {"proxy": node, "ready": ready})
    state = replace(state, unwritten={**state.unwritten, after.key: None})
    return state, (*built, *published, note)


def written(state: ZoneState) -> Outcome:
    """What reports have changed goes to disk once all proxies were told: effects wait for the
    writes before them.
    """
    if state.dirty or not state.unwritten:
        return state, ()
    found = (state.local.get(key) for key in sorted(state.unwritten))
    put = tuple(resource for resource in found if resource is not None)
    return replace(state, unwritten={}), (Persist("local", put),) if put else ()


def closed(state: ZoneState, stream: str) -> Outcome:
    """What was reported last holds: an Envoy that is gone is noticed on its ADS stream."""
    known = state.health.get(stream)
    if known is None:
        return state, ()
    before, of, waits = state, state.health_of, state.health_waits
    if of.get(known.node_id) == stream:
        of = of.remove(known.node_id)
    if waits.get(known.node_id) == stream:
        waits = waits.remove(known.node_id)
    state = replace(_known(state, stream, None), health_of=of, health_waits=waits)
    return _paced(before, (state, ()))


def _ended(state: ZoneState, stream: str, code: int, message: str) -> Outcome:
    state, asked = closed(state, stream)
    return state, (CloseHealth(stream, code, message), *asked)


def ended_with(state: ZoneState, node: str, code: int, message: str) -> Outcome:
    """The proxy may not stay: its HDS stream ends as its ADS stream does."""
    stream = state.health_of.get(node)
    return (state, ()) if stream is None else _ended(state, stream, code, message)


def expire(state: ZoneState, now: float) -> Outcome:
    """End streams whose proxy has not come on ADS."""
    if state.health_due is None or now < state.health_due:
        return state, ()
    wait_s = state.settings.health_wait_s
    waiting = {s: k.since + wait_s for s, k in state.health.items() if k.asked is None}
    effects: list[Effect] = []
    for stream in sorted(s for s, until in waiting.items() if until <= now):
        text = "dataplane not found: it has not come on ADS, which registers it; try again"
        state, ended = _ended(state, stream, UNKNOWN, text)
        effects += ended
    due = min((until for until in waiting.values() if until > now), default=None)
    wake = () if due is None else (WakeAt(due),)
    return replace(state, health_due=due), (*effects, *wake)
