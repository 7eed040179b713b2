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
from xds.delta_sender import Acked, Nacked
from xds.resource import CLUSTER, ENDPOINT, LISTENER, SECRET

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reconciler.kds.proxy_insight import ProxyInsight
    from reconciler.steps.proxy_state import Proxy
    from xds.delta_sender import Answer
    from xds.discovery import DeltaResponse

SHORT = {CLUSTER: "cds", ENDPOINT: "eds", LISTENER: "lds", SECRET: "sds"}
BATCH = 20  # insights in one turn, 0.2 ms each
_SENT, _ACKNOWLEDGED, _REJECTED = Counts(sent=1), Counts(acknowledged=1), Counts(rejected=1)


def sent(proxy: Proxy, responses: Iterable[DeltaResponse]) -> Proxy:
    for response in responses:
        proxy = _counted(proxy, response.type_url, _SENT)
    return proxy


def answered(proxy: Proxy, type_url: str, answer: Answer) -> Proxy:
    match answer:
        case Acked():
            return _counted(proxy, type_url, _ACKNOWLEDGED)
        case Nacked():
            return _counted(proxy, type_url, _REJECTED)
        case _:
            return proxy


def _counted(proxy: Proxy, type_url: str, one: Counts) -> Proxy:
    name = SHORT.get(type_url, "others")
    counts = {**proxy.counts, name: proxy.counts.get(name, Counts()) + one}
    return replace(proxy, counts=counts)


def told(proxy: Proxy, now: float) -> ProxyInsight:
    """The proxy's insight with its counters as they are."""
    insight = proxy.insight
    if not insight.subscriptions or insight.subscriptions[-1].counts is proxy.counts:
        return insight
    *before, last = insight.subscriptions
    last = replace(last, counts=proxy.counts, counted_at=now)
    return replace(insight, subscriptions=(*before, last))


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
        proxy = proxies[node]
        proxies = proxies.insert(node, replace(proxy, insight=told(proxy, now)))
        keys.append(proxy.key)
    state, effects = zone_report.publish(zone_report.to_tell(replace(state, proxies=proxies), keys))
    wake: Effects = (WakeAt(now),) if state.insights_due is not None else ()
    return state, (*effects, *wake)
