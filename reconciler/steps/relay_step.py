"""Whose status refs the global writes, and what they shall say. Pure.

    the zone announces direct, off   it is none of ours: released
    relay                            convergence and ingresses as the zone sends them in any case,
                                     its inventory as it announces it
    nothing (a real Kuma zone)       all of it derived: the revision that it acknowledged, its
                                     ingresses, the proxies that are online by their insights; what
                                     these acknowledged is unknown and says so
    not heard yet                    unknown: the ref stays as it is

What a zone sends stands in its own ref only: the name is that of the identity it proved.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconciler.model.resource import canonical_json
from reconciler.model.spec import DataplaneSpec, InsightSpec
from reconciler.status.announcement import StatusMode, ZoneStatus
from reconciler.status.document import Inventory, ProxyClass, ProxyEntry, StatusInput
from reconciler.status.shape import shape_of
from xds.copying import replace

if TYPE_CHECKING:
    from reconciler.kds.manifest import ConvergenceReport
    from reconciler.model.resource import MeshResource
    from reconciler.state import MeshState
    from reconciler.steps.zone_record import ZoneRecord

INGRESS, PROXY, INSIGHT = "ZoneIngress", "Dataplane", "DataplaneInsight"


@dataclass(frozen=True, slots=True, eq=False)
class Relayed:
    """What one zone's ref is made of. `report` is None for a real Kuma zone, and `took` is the
    revision that it acknowledged.

    Equal to itself only: to compare two inventories would cost more than to look.
    """

    zone: str
    status: ZoneStatus
    owned: MeshState
    report: ConvergenceReport | None = None
    took: str = ""


@dataclass(frozen=True, slots=True)
class Release:
    """The ref is the zone's own to write, or nobody's."""

    zone: str


def decide(record: ZoneRecord, inventory: Inventory) -> Relayed | Release | None:
    """None: not known yet, the ref stays as it is. `inventory` is for zones that announce none."""
    told, owned = record.announced, record.owned
    if told is None:
        return None
    if told.mode in (StatusMode.DIRECT, StatusMode.OFF):
        return Release(record.name)
    if told.mode is StatusMode.RELAY:
        if not told.complete or record.report is None or INGRESS not in record.heard:
            return None
        return Relayed(record.name, told, owned, record.report)
    if not record.heard >= {INGRESS, PROXY, INSIGHT}:
        return None
    return Relayed(record.name, replace(told, inventory=inventory), owned, took=record.took)


def status_input(relayed: Relayed) -> StatusInput:
    """May take long for a zone of thousands: in a thread."""
    ingresses = tuple(
        canonical_json({**json.loads(r.body), "name": r.display_name})
        for r in relayed.owned.of(INGRESS)
    )
    told, report = relayed.status, relayed.report
    if report is None:
        return _derived(relayed, ingresses)
    return StatusInput(
        zone=relayed.zone,
        revision=report.revision,
        ingresses=ingresses,
        total=report.total,
        acked=report.acked,
        pending=report.pending,
        rejections=report.rejections,
        classes=told.classes,
        proxies=told.proxies,
    )


def _derived(relayed: Relayed, ingresses: tuple[str, ...]) -> StatusInput:
    there = online(relayed.owned)
    shapes = [(r, shape_of(r)) for r in there if isinstance(r.spec, DataplaneSpec)]
    counts: dict[tuple[str, str], int] = {}
    for resource, shape in shapes:
        key = resource.key.mesh, shape
        counts[key] = counts.get(key, 0) + 1
    return StatusInput(
        zone=relayed.zone,
        revision=relayed.took or None,
        ingresses=ingresses,
        total=len(there),
        acked=None,
        pending=None,
        classes=tuple(ProxyClass(mesh, shape, n) for (mesh, shape), n in sorted(counts.items())),
        proxies=tuple(
            ProxyEntry(r.key.mesh, r.display_name, r.spec.address, shape)
            for r, shape in shapes
            if isinstance(r.spec, DataplaneSpec)
        ),
    )


def online(owned: MeshState) -> list[MeshResource]:
    """Dataplanes of a zone of Kuma that are connected, by its insights."""
    found = {(r.key.mesh, r.key.name) for r in owned.of(INSIGHT) if _is_online(r)}
    return [r for r in owned.of(PROXY) if (r.key.mesh, r.key.name) in found]


def _is_online(insight: MeshResource) -> bool:
    return isinstance(insight.spec, InsightSpec) and insight.spec.online
