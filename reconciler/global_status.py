"""What the global says of each of its zones when it is asked. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING, Literal, cast

from reconciler.arrival import is_kuma
from reconciler.model.kinds import KINDS
from reconciler.steps.global_insights import zone_insight
from reconciler.steps.relay_step import online

if TYPE_CHECKING:
    from reconciler.steps import global_state as g
    from reconciler.steps.zone_record import ZoneRecord


def zone_row(state: g.GlobalState, name: str) -> dict[str, object]:
    """One zone for `reconciler status`."""
    record = state.zones[name]
    report = record.report
    row: dict[str, object] = {
        "zone": record.name,
        "connected": record.connected_at is not None and record.disconnected_at is None,
        "revision": report.revision if report else record.took or None,
        "nacks": dict(record.rejected.items()),
        "status_mode": record.announced.mode.value if record.announced else None,
    }
    insight = zone_insight(state, name)
    for subscription in cast("list[dict[str, object]]", insight["subscriptions"]):
        subscription.pop("config", None)  # 10,000 characters
    row |= {
        "enabled": name not in state.rules.disabled,
        "claims_refused": record.claims,
        "refused_by_type": {t: dict(found.items()) for t, found in sorted(record.refused.items())},
        "too_large": _sizes(state, name, "held"),
        "large": _sizes(state, name, "large"),
        "foreign": _foreign(state, record),
        "insight": insight,
    }
    if report is None and is_kuma(record):
        row["proxies"] = {"total": len(online(record.owned))}
    if report is not None:
        row["proxies"] = {
            "total": report.total,
            "acked": report.acked,
            "pending": report.pending,
            "rejected": report.rejected,
        }
        row["rejections"] = [asdict(rejection) for rejection in report.rejections]
    return row


def _sizes(state: g.GlobalState, zone: str, which: Literal["held", "large"]) -> dict[str, int]:
    """Bytes by type: of responses that were not sent, or of first ones that nearly would not be."""
    mine = (s for s in state.streams_of(zone) if s.downward)
    found = [(s.held if which == "held" else s.large).items() for s in mine]
    return dict(sorted(item for items in found for item in items))


def _foreign(state: g.GlobalState, record: ZoneRecord) -> dict[str, int]:
    """Policies that the zone made and that go nowhere: how many of each kind."""
    counts = Counter(
        key.type
        for key in record.owned.by_key
        if KINDS[key.type].policy and (record.name, key.type) not in state.rules.policies
    )
    return dict(sorted(counts.items()))
