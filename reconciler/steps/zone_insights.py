"""The counters of each proxy's stream, and when they go up: at once when a stream opens or ends,
else every ten seconds while they change. A push changes those of all proxies, so they go up a few
at a time, with pauses between, and while proxies wait to be built none do: nobody waits for
counters. Of a fleet that is always pushed to they go up an interval later.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from reconciler.kds.stats import Counts
from reconciler.steps import zone_report
from reconciler.steps.zone_state import Outcome, Round, WakeAt, ZoneState
from xds.copying import replace
from xds.resource import CLUSTER, ENDPOINT, LISTENER, SECRET

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.steps.proxy_state import Proxy
    from xds.ads_stream import AdsStream

SHORT = {CLUSTER: "cds", ENDPOINT: "eds", LISTENER: "lds", SECRET: "sds"}
BATCH = 8  # insights in one turn, or as many as it takes to tell all within an interval
PAUSE_S = 0.05  # between two batches


def counts_of(ads: AdsStream) -> Mapping[str, Counts]:
    """By short type name."""
    counts = {
        SHORT[s.type_url]: Counts(s.responses, s.acks, s.nacks)
        for s in (ads.clusters, ads.endpoints, ads.listeners, ads.secrets)
        if s.responses
    }
    others = (Counts(s.responses, s.acks, s.nacks) for s in ads.others.values())
    total = sum(others, Counts())
    return counts | {"others": total} if total.sent else counts


def told(proxy: Proxy, now: float) -> Proxy:
    """The proxy with its counters told in its insight as they are."""
    if not proxy.has_counted:
        return proxy
    *before, last = proxy.insight.subscriptions
    last = replace(last, counts=counts_of(proxy.ads), counted_at=now)
    insight = replace(proxy.insight, subscriptions=(*before, last))
    return replace(proxy, insight=insight, counted=proxy.ads.exchanges)


def mark(state: ZoneState, now: float) -> Outcome:
    """Counters of some proxy have changed."""
    if state.insights_due is not None:
        return state, ()
    due = now + state.settings.insight_interval_s
    return replace(state, insights_due=due), (WakeAt(due),)


def flush_due(state: ZoneState, now: float) -> Outcome:
    if state.insights_due is None or now < state.insights_due:
        return state, ()
    interval_s = state.settings.insight_interval_s
    found = state.counting or Round(until=now + interval_s)
    if state.dirty.is_ready and now < found.until:
        return _again(replace(state, counting=found), now + PAUSE_S)
    batch, *rest = found.batches or _batches(state)
    state, effects = _told(state, batch, now)
    if rest:
        state = replace(state, counting=replace(found, batches=tuple(rest)))
        state, wake = _again(state, now + PAUSE_S)
        return state, (*effects, *wake)
    state = replace(state, counting=None, insights_due=None)
    state, wake = mark(state, now) if state.proxies.counted else (state, ())
    return state, (*effects, *wake)


def _again(state: ZoneState, at: float) -> Outcome:
    return replace(state, insights_due=at), (WakeAt(at),)


def _batches(state: ZoneState) -> tuple[tuple[str, ...], ...]:
    """Of all whose counters have changed, each once: those that change again are for the next
    round. At least one, which may be empty.
    """
    nodes = tuple(sorted(state.proxies.counted))
    in_time = math.ceil(len(nodes) * PAUSE_S / state.settings.insight_interval_s)
    size = max(BATCH, in_time)
    return tuple(nodes[i : i + size] for i in range(0, len(nodes), size)) or ((),)


def _told(state: ZoneState, batch: tuple[str, ...], now: float) -> Outcome:
    proxies, keys = state.proxies, []
    for node in batch:
        if node in proxies.counted:  # Not told with the end of its stream meanwhile.
            proxy = told(proxies[node], now)
            proxies = proxies.insert(node, proxy)
            keys.append(proxy.key)
    return zone_report.publish(zone_report.to_tell(replace(state, proxies=proxies), keys))
