"""What the zone says of itself: to operators on the control socket, and to who measures it."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import TYPE_CHECKING

from reconciler.api.waiting import wait_for
from reconciler.arrival import Outcome, zone_outcome
from reconciler.figures import (
    ProcessFigures,
    admin_figures,
    api_figures,
    door_figures,
    probe_figures,
    process_figures,
    status_figures,
    zone_figures,
)
from reconciler.inspection import NO_ZONE, Inspected, Inspection, outcome
from reconciler.runtime.log import NOTED
from reconciler.steps import zone_reachability
from reconciler.steps.zone_certificates import told
from reconciler.steps.zone_egress import warnings, without_egress
from reconciler.steps.zone_reachability import written
from reconciler.steps.zone_report import rejections, report_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from reconciler.api.rest_figures import ApiFigures
    from reconciler.figures import Figure
    from reconciler.steps.proxy_state import Proxy
    from reconciler.zone_cp.ingress_probes import IngressProbes
    from reconciler.zone_cp.plane import ZoneControlPlane

UNKNOWN_FLEET = "it has not said yet whose keys it has; this zone goes by what it has until then"


class ZoneAnswers:
    def __init__(self, plane: ZoneControlPlane) -> None:
        self.plane = plane
        self.api: ApiFigures | None = None
        self.probes: IngressProbes | None = None

    # ControlSource

    def status(self, *, proxies: bool) -> Mapping[str, object]:
        plane, state = self.plane, self.plane.state
        status = plane.status_follower
        report, now = report_of(state), time.time()
        found: dict[str, object] = {
            "role": "zone",
            "zone": state.settings.zone,
            "revision": state.revision,
            "without_commits": state.link.kuma,
            "connected": state.link.session is not None,
            "global_error": self._global_error(),
            "too_large": sorted(state.link.held),
            "refused_resources": {
                f"{type_} {name}": why
                for type_, refused in state.link.refused.items()
                for name, why in refused.items()
            },
            "store_error": plane.outbox.error or plane.store.loss,
            "gathering": sorted(state.gathering.lost) if state.gathering else [],
            "warnings": [
                *told(state, now),
                *warnings(state),
                *zone_reachability.warnings(state, now),
            ],
            "without_egress": list(without_egress(state)),
            "silent_ingresses": list(map(written, sorted(state.silent))),
            "status_error": status.error if status else "",
            "status_commits": status.facts() if status else None,
            "proxies": {
                "total": report.total,
                "acked": report.acked,
                "pending": report.pending,
                "rejected": report.rejected,
            },
            "rejections": [asdict(rejection) for rejection in report.rejections],
            "refused": dict(state.refused.items()),
            "rebuilt": dict(state.settings.builders.rebuilt),
            "events": plane.events,
            "loop_stall_ms_max": plane.stalls.longest_ms,
        }
        if proxies:
            found["proxy_list"] = [self._proxy_row(p) for p in state.proxies.values()]
        return found

    def _global_error(self) -> str:
        plane = self.plane
        if plane.state.link.session is None:
            return plane.global_error
        return "" if plane.state.link.known else UNKNOWN_FLEET

    def _proxy_row(self, proxy: Proxy) -> dict[str, object]:
        refused = rejections(proxy)
        state = "rejected" if refused else "acknowledged" if proxy.is_current else "pending"
        return {
            "proxy": proxy.node_id,
            "connected": proxy.stream is not None,
            "state": state if proxy.stream is not None else "away",
            "message": "; ".join(r.message for r in refused),
        }

    # DiagnosticsSource

    def unready(self) -> str:
        return self.plane.unready()

    def figures(self) -> Iterator[Figure]:
        plane = self.plane
        process = ProcessFigures(
            role="zone",
            version=plane.state.settings.version,
            events=NOTED,
            loop_longest_ms=plane.stalls.longest_ms,
            loop_stalls=plane.stalls.stalls,
            store_error=plane.outbox.error,
            store_waiting=plane.outbox.waiting,
        )
        yield from process_figures(process)
        yield from zone_figures(plane.state, report_of(plane.state))
        if (status := plane.status_follower) is not None:
            yield from status_figures(status.state, len(status.errors))
        if self.api is not None:
            yield from api_figures(self.api.figures)
        if self.probes is not None:
            yield from probe_figures(self.probes.answers, len(plane.state.silent))
        if plane.door is not None:
            yield from door_figures(plane.door.figures)
        if plane.admin is not None:
            yield from admin_figures(plane.admin.client.figures)

    async def inspect(self, asked: Inspection) -> Inspected:
        """Of a proxy of this zone."""
        plane = self.plane
        zone = plane.state.settings.zone
        if asked.zone not in ("", zone):
            text = f'this is zone "{zone}"; ask the global, or zone "{asked.zone}" itself'
            return Inspected(NO_ZONE, error=text)
        if plane.admin is None:
            return Inspected(NO_ZONE, error="this zone has no admin access to its proxies")
        answer = await plane.admin.respond(asked.question)
        return outcome(answer.body, answer.error)

    async def wait(self, commit: str, timeout_s: float) -> Mapping[str, object]:
        def outcome() -> Outcome:
            state = self.plane.state
            return zone_outcome(state.settings.zone, report_of(state), commit)

        return await wait_for(self.plane, outcome, timeout_s)

    async def accept(self, commit: str) -> Mapping[str, object]:
        text = f"a zone has the commits its global gives it; accept {commit[:12]} there"
        return Outcome("refused", text).document()
