"""What a proxy is told when it starts, and when it is about to end."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from reconciler.api.bootstrap_server import BootstrapAnswer
from reconciler.bootstrap_answer import ZoneFacts, bootstrap_answer, leaving_proxy
from reconciler.registration import node_id
from reconciler.runtime.log import note
from reconciler.steps import zone_state as z
from reconciler.steps.zone_admission import may_leave

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.zone_cp.plane import ZoneControlPlane

LEAVE_MAX_S = 3.0  # a proxy that leaves waits no longer for its neighbours


class ZoneBootstrap:
    def __init__(self, plane: ZoneControlPlane, facts: ZoneFacts) -> None:
        self.plane = plane
        self.facts = facts

    async def bootstrap(
        self, request: Mapping[str, object], host: str, accept: str
    ) -> BootstrapAnswer:
        plane = self.plane
        await plane.turns.wait()
        if reason := plane.unready():
            return BootstrapAnswer(503, f"{reason}; try again")
        found = bootstrap_answer(self.facts, plane.state.merged, request, host, accept)
        if found.status != 200:
            note(plane.log, "bootstrap.refused", status=found.status, reason=found.body)
        return BootstrapAnswer(found.status, found.body, found.content_type)

    def unreadable(self, status: int, reason: str) -> None:
        note(self.plane.log, "bootstrap.refused", status=status, reason=reason)

    def crowded(self, why: str) -> None:
        note(self.plane.log, "door.refused", reason=why)

    async def leave(self, request: Mapping[str, object]) -> BootstrapAnswer:
        """A proxy that is about to end; answered once its neighbours no longer call it."""
        plane = self.plane
        key, token = leaving_proxy(request)
        now = time.time()
        refused = may_leave(plane.state, key, token, now)
        if refused is not None:
            note(plane.log, "leave.refused", proxy=str(key), reason=refused)
            return BootstrapAnswer(403, refused)
        plane.deliver(z.ProxyLeaves(node_id(key.mesh, key.name), now))
        with suppress(TimeoutError):
            async with asyncio.timeout(LEAVE_MAX_S):
                while not (self._told() or plane.stopping):
                    await plane.changed.wait()
        return BootstrapAnswer(200, "the endpoints are out")

    def _told(self) -> bool:
        """Whether every proxy has acknowledged what was last computed. Costs nothing per proxy."""
        report = self.plane.state.reported
        return self.plane.state.report_due is None and (report is None or report.pending == 0)
