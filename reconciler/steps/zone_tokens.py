"""Tokens that end while the stream they opened is open.

Envoy reads a token when it opens a stream, and at no other time. Where it reads it from a file, it
is asked for the newer one while the older is still good: its endpoints stay, and no request fails.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.state import ResourceDiff
from reconciler.steps import zone_build, zone_health, zone_report
from reconciler.steps.zone_admission import asked_at, next_token_look, outlived, with_refusal
from reconciler.steps.zone_proxies import UNAVAILABLE, UNKNOWN, away_wake, without_stream
from reconciler.steps.zone_state import CloseStream, Effect, Note, Outcome, ZoneState
from xds.copying import replace

if TYPE_CHECKING:
    from reconciler.steps.proxy_state import Proxy

ABOUT_TO_END = "the token is about to end; come again with the one that its file holds now"


def token_due(state: ZoneState, now: float) -> Outcome:
    if state.token_due is None or now < state.token_due:
        return state, ()
    state, ended = end_outlived(state, now)
    state, asked = _ask_anew(state, now)
    state, wake = next_token_look(state, now)
    return state, (*ended, *asked, *wake)


def end_outlived(state: ZoneState, now: float) -> Outcome:
    """Proxies whose token is no longer good: the streams end with the reason, the endpoints go out
    at once, and nothing is held for them.
    """
    over = tuple(outlived(state, now))
    if not over:
        return state, ()
    effects: list[Effect] = []
    for proxy, reason in over:
        gone = without_stream(replace(proxy, leaving=True), now, lost_at=now, held_until=None)
        state, closing = _ended(state, proxy, gone, UNKNOWN, reason)
        state = with_refusal(state, proxy.node_id, reason)
        effects += [*closing, Note("proxy.refused", {"proxy": proxy.node_id, "reason": reason})]
    change = ResourceDiff(drop=tuple(sorted(p.key for p, _ in over)))  # For what is touched only.
    state, built = zone_build.touched(zone_report.to_tell(state, change.drop), change)
    state, published = zone_report.local_changed(state, now)
    state, wake = away_wake(state, now + state.settings.deregister_after_s)
    return state, (*built, *published, *effects, *wake)


def _ask_anew(state: ZoneState, now: float) -> Outcome:
    """Their endpoints are held for as long as the token they showed is good, as after any end of a
    stream by us.
    """
    proxies = (p for p in state.proxies.values() if p.stream is not None and p.present)
    asked = sorted((p for p in proxies if asked_at(state, p) <= now), key=lambda p: p.node_id)
    effects: list[Effect] = []
    for proxy in asked:
        assert proxy.claims is not None
        until = min(now + state.settings.reconnect_grace_s, proxy.claims.expires)
        held = without_stream(proxy, now, lost_at=None, held_until=until)
        state, closing = _ended(state, proxy, held, UNAVAILABLE, ABOUT_TO_END)
        state, wake = away_wake(state, until)
        effects += [*closing, *wake, Note("proxy.asked_anew", {"proxy": proxy.node_id})]
    if not asked:
        return state, ()
    state = zone_report.to_tell(state, tuple(p.key for p in asked))
    state, marked = zone_report.mark(state, now)
    return state, (*effects, *marked)


def _ended(state: ZoneState, proxy: Proxy, after: Proxy, code: int, reason: str) -> Outcome:
    """Both streams of the proxy, which is `after` from now on."""
    assert proxy.stream is not None
    state = replace(
        state,
        proxies=state.proxies.insert(proxy.node_id, after),
        streams=state.streams.remove(proxy.stream),
    )
    state, unheard = zone_health.ended_with(state, proxy.node_id, code, reason)
    return state, (CloseStream(proxy.stream, code, reason), *unheard)
