"""What the global says of itself: to operators on the control socket, and to who measures it."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from reconciler.api.waiting import wait_until
from reconciler.arrival import Outcome, global_outcome, held_text
from reconciler.figures import (
    ProcessFigures,
    admin_figures,
    api_figures,
    door_figures,
    global_figures,
    process_figures,
    status_figures,
)
from reconciler.git.errors import GitFailed
from reconciler.global_status import zone_row
from reconciler.inspection import (
    NO_ZONE,
    TIMED_OUT,
    Inspected,
    Inspection,
    outcome,
    routed,
)
from reconciler.kds.admin_server import NoAnswer, Unreachable
from reconciler.mesh_ca import expiry_warnings
from reconciler.runtime.log import NOTED
from reconciler.steps import global_state as g

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from reconciler.api.rest_figures import ApiFigures
    from reconciler.figures import Figure
    from reconciler.global_cp.plane import GlobalControlPlane


class GlobalAnswers:
    def __init__(self, plane: GlobalControlPlane) -> None:
        self.plane = plane
        self.api: ApiFigures | None = None

    # ControlSource

    def status(self, *, proxies: bool) -> Mapping[str, object]:
        plane, state = self.plane, self.plane.state
        rejected = state.rejected
        found: dict[str, object] = {
            "role": "global",
            "revision": state.published.commit if state.published else None,
            "rejected": rejected.commit if rejected else None,
            "problems": [str(p) for p in rejected.problems] if rejected else [],
            "held": _held_row(state.held) if state.held else None,
            "warnings": self._warnings(),
            "repository_error": state.fetch_error or state.load_error or "",
            "store_error": plane.outbox.error or plane.store.loss,
            "gathering": state.gathering,
            "status_error": self._status_error(),
            "status_commits": plane.relay.follower.facts() if plane.relay else None,
            "loop_stall_ms_max": plane.stalls.longest_ms,
            "zones": [zone_row(state, name) for name in sorted(state.zones)],
        }
        if proxies:
            found["inventory"] = sorted(
                f"{name}/{resource.key}"
                for name, record in state.zones.items()
                for resource in record.owned.by_key.values()
                if not resource.key.type.endswith("Insight")
            )
        return found

    # DiagnosticsSource

    def unready(self) -> str:
        return "" if self.plane.state.published is not None else "no revision is in force yet"

    def figures(self) -> Iterator[Figure]:
        plane = self.plane
        process = ProcessFigures(
            role="global",
            version=plane.state.settings.version,
            events=NOTED,
            loop_longest_ms=plane.stalls.longest_ms,
            loop_stalls=plane.stalls.stalls,
            store_error=plane.outbox.error,
            store_waiting=plane.outbox.waiting,
        )
        yield from process_figures(process)
        yield from global_figures(plane.state)
        if plane.refusing is not None:
            yield from door_figures(plane.refusing.door.figures)
        if plane.relay is not None:
            follower = plane.relay.follower
            yield from status_figures(follower.state, len(follower.errors))
        if self.api is not None:
            yield from api_figures(self.api.figures)
        if plane.kds is not None:
            yield from admin_figures(plane.kds.admin.figures)

    def _warnings(self) -> list[str]:
        published, found = self.plane.state.published, []
        if published is not None:
            found = [*map(str, published.warnings)]
            found += expiry_warnings(published.resources, time.time())
        if self.plane.secrets_error:
            found.append(f"changes of secrets are not seen: {self.plane.secrets_error}")
        return found

    def _status_error(self) -> str:
        """What keeps status from being read (at start) or written."""
        faults = [f"{ref}: {reason}" for ref, reason in sorted(self.plane.ref_faults.items())]
        if self.plane.relay is not None and self.plane.relay.follower.error:
            faults.append(self.plane.relay.follower.error)
        return "; ".join(faults)

    async def wait(self, commit: str, timeout_s: float) -> Mapping[str, object]:
        async def outcome() -> Outcome:
            return global_outcome(self.plane.state, await self._standing_for(commit))

        return await wait_until(self.plane, outcome, timeout_s)

    async def inspect(self, asked: Inspection) -> Inspected:
        """Of a proxy of any zone, asked from there."""
        plane = self.plane
        found = await asyncio.to_thread(routed, plane.state, asked)  # Of 100,000 it takes a while.
        if isinstance(found, Inspected):
            return found
        if plane.kds is None:
            return Inspected(NO_ZONE, error="no zone can be asked yet")
        try:
            question = replace(asked.question, name=found.name)
            answer = await plane.kds.admin.ask(found.zone, question)
        except Unreachable as error:
            return Inspected(NO_ZONE, error=str(error))
        except NoAnswer as error:
            return Inspected(TIMED_OUT, error=str(error))
        return outcome(answer.body, answer.error)

    async def _standing_for(self, commit: str) -> str:
        """A burst converges on its last commit: one that was overtaken arrives with the revision
        that contains it.
        """
        plane = self.plane
        published = plane.state.published
        if published is None or any(known.startswith(commit) for known in plane.state.history):
            return commit
        contains = plane.loader.mirror.contains
        with suppress(GitFailed):  # what cannot be read now may be there at the next look
            if await asyncio.to_thread(contains, published.commit, commit):
                return published.commit
        return commit

    async def accept(self, commit: str) -> Mapping[str, object]:
        """`commit` is an id or the beginning of one; only the commit that is held is accepted. Who
        asks again for what was accepted is told the same. What is answered outlives a crash.
        """
        plane = self.plane
        state, held = plane.state, plane.state.held
        if held is None and state.accepted is not None and state.accepted.startswith(commit):
            return Outcome("accepted", f"commit {state.accepted} is loaded next").document()
        if held is None and state.base is not None and state.base.startswith(commit):
            return Outcome("accepted", f"commit {state.base} is in force already").document()
        if held is None:
            text = f"no commit is held, so {commit[:12]} needs no accepting; `reconciler status` "
            return Outcome("refused", f"{text}names what is in force").document()
        if not held.commit.startswith(commit):
            text = f"commit {commit[:12]} is not the one that is held, {held.commit}"
            return Outcome("refused", text).document()
        plane.deliver(g.Accepted(held.commit))
        await plane.outbox.settled()
        text = f"commit {held.commit} is loaded next"
        if plane.outbox.error:
            text += f"; a restart may ask again, for it is not on disk: {plane.outbox.error}"
        return Outcome("accepted", text).document()


def _held_row(held: g.Held) -> dict[str, str]:
    return {**asdict(held), "message": held_text(held.commit, held.in_force)}
