"""The counters of each proxy's stream, and when they go up: at once when a stream opens or ends,
else every ten seconds while they change, a few proxies a turn.
"""

from __future__ import annotations

from heapq import nsmallest
from typing import TYPE_CHECKING

from reconciler.kds.stats import Counts
from reconciler.steps import zone_report
from reconciler.steps.zone_state import Effects, Outcome, WakeAt, ZoneState
from xds.copying import replace
from xds.resource import CLUSTER, ENDPOINT, LISTENER, SECRET

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.steps.proxy_state import Proxy
    from xds.ads_stream import AdsStream

SHORT = {CLUSTER: "cds", ENDPOINT: "eds", LISTENER: "lds", SECRET: "sds"}
BATCH = 20  # insights in one turn, 0.2 ms each


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
    waiting = state.proxies.counted
    state = replace(state, insights_due=now if len(waiting) > BATCH else None)
    proxies, keys = state.proxies, []
    for node in nsmallest(BATCH, waiting):
        proxy = told(proxies[node], now)
        proxies = proxies.insert(node, proxy)
        keys.append(proxy.key)
    state, effects = zone_report.publish(zone_report.to_tell(replace(state, proxies=proxies), keys))
    wake: Effects = (WakeAt(now),) if state.insights_due is not None else ()
    return state, (*effects, *wake)
