"""Zone and ZoneInsight of each zone, as Kuma's API shows them (facts/kds-wire.md 6.2, 6.3).

Kept by the global about its zones; they travel nowhere.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from reconciler.decode import mesh_resource
from reconciler.kds.admin import AdminKind
from reconciler.kds.stats import stats
from reconciler.kds.zone_node import Announced, is_compatible
from reconciler.model.resource import Labels, MeshResource, ResourceKey
from reconciler.steps.global_counts import Subscription

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.steps.global_state import GlobalState
    from reconciler.steps.zone_record import Session, ZoneRecord

SUBSCRIPTIONS_MAX = 10
_ADMIN = {
    AdminKind.CONFIG: "configDump",
    AdminKind.STATS: "stats",
    AdminKind.CLUSTERS: "clusters",
}
_NAMES = uuid.UUID("6c0f3f1e-6f0f-5d0f-9a43-0d8c8f2b3c11")


def subscription(session: Session, ended: float | None) -> Subscription:
    has_token = session.proof is not None and session.proof.has_token
    said = session.announced or Announced()
    counts = dict(session.counts.items())
    updated = session.updated_at
    return Subscription(session.id, session.opened_at, ended, said, counts, has_token, updated)


def with_ended(record: ZoneRecord, session: Session, now: float) -> tuple[Subscription, ...]:
    """The zone's ended subscriptions, this one included: room is left for the open one."""
    return (*record.past, subscription(session, now))[-(SUBSCRIPTIONS_MAX - 1) :]


def zone_resources(state: GlobalState) -> Iterator[MeshResource]:
    """Zone and ZoneInsight of every zone; a Zone that the repository holds is that one."""
    for name in sorted(state.zones):
        key = ResourceKey("Zone", "", name)
        declared = state.published.resources.get(key) if state.published is not None else None
        yield declared or mesh_resource(key, Labels(), {"enabled": True})
        insight = ResourceKey("ZoneInsight", "", name)
        yield mesh_resource(insight, Labels(), zone_insight(state, name))


def zone_insight(state: GlobalState, zone: str) -> dict[str, object]:
    record, instance = state.zones[zone], state.settings.instance
    open_ = list(state.streams_of(zone))
    admin = [s for s in state.admin.values() if s.zone == zone]
    live = [subscription(s, None) for s in open_ if s.downward]
    found = sorted((*record.past, *live), key=lambda each: (each.began, each.session))
    streams = [(s.opened_at, "globalToZone" if s.downward else "zoneToGlobal") for s in open_]
    streams += [(s.opened_at, _ADMIN[s.kind]) for s in admin]
    spec: dict[str, object] = {
        "subscriptions": [_subscription(each, instance) for each in found[-SUBSCRIPTIONS_MAX:]],
        "kdsStreams": {
            name: {"globalInstanceId": instance, "connectTime": moment(at)}
            for at, name in sorted(streams)  # The newest of a kind stands.
        },
        "envoyAdminStreams": {f"{_ADMIN[s.kind]}GlobalInstanceId": instance for s in admin},
    }
    if record.health_at is not None:
        spec["healthCheck"] = {"time": moment(record.health_at)}
    return spec


def _subscription(each: Subscription, instance: str) -> dict[str, object]:
    named = f"{instance}/{each.session}/{each.began}"
    found: dict[str, object] = {
        "id": str(uuid.uuid5(_NAMES, named)),
        "globalInstanceId": instance,
        "zoneInstanceId": each.announced.instance,
        "connectTime": moment(each.began),
        "status": {
            **({"lastUpdateTime": moment(each.updated)} if each.updated else {}),
            "total": stats(each.counts.values()),
            "stat": {type_: stats((n,)) for type_, n in sorted(each.counts.items())},
        },
        "authTokenProvided": each.has_token,
    }
    if each.ended is not None:
        found["disconnectTime"] = moment(each.ended)
    if each.announced.version:
        version = each.announced.version
        compatible = is_compatible(version.get("version", ""))
        found["version"] = {"kumaCp": {**version, "kumaCpGlobalCompatible": compatible}}
    if each.announced.config:
        found["config"] = each.announced.config
    return found


def moment(at: float) -> str:
    """RFC 3339, in UTC."""
    text = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")
