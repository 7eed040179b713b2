"""Follows the repository of policies, and the files of the secrets that it refers to."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from reconciler.git.status_reading import prefix_fault, read_status
from reconciler.git.status_ref import zone_of_ref
from reconciler.git.watch import FetchFailed, FetchRecovered, TipsChanged, WatchOptions
from reconciler.git.watch import tips as tips_of
from reconciler.runtime.log import note
from reconciler.steps import global_state as g

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.global_cp.plane import GlobalControlPlane
    from reconciler.model.resource import MeshResource

SECRETS_POLL_S = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Following:
    """Which refs mean what."""

    branch_ref: str
    status_prefix: str
    new_keys: bool
    watch: WatchOptions


class RepositoryFollower:
    """Tells the plane of every change, from the first look on."""

    def __init__(self, plane: GlobalControlPlane, options: Following) -> None:
        self.plane = plane
        self.mirror = plane.loader.mirror
        self.options = options

    def start_from(
        self,
        tips: Mapping[str, str],
        ingresses: Mapping[str, tuple[MeshResource, ...]],
    ) -> None:
        """The first look: what zones sent and wrote, the revision last in force, the newest
        commit.
        """
        plane = self.plane
        kept = {name: value.decode() for name, value in plane.store.load_all("meta").items()}
        # A disk on which nothing was ever in force, and a fleet that is older.
        new = "revision" not in kept and (bool(ingresses) or plane.state.settings.takes_over)
        lost = new or plane.relayed_lost()
        restored = g.Restored(plane.relayed(), kept.get("revision"), kept.get("accepted"), lost)
        plane.deliver(restored)
        plane.deliver(g.StatusRefsRead(ingresses))
        self._tip(tips)

    def _ingresses(
        self, tips: Mapping[str, str], *, reachable: bool
    ) -> dict[str, tuple[MeshResource, ...]]:
        plane = self.plane
        read = read_status(self.mirror, tips, self.options.status_prefix)
        fault = prefix_fault(self.mirror, self.options.status_prefix) if reachable else ""
        faults = {**read.faults, **({self.options.status_prefix: fault} if fault else {})}
        plane.ref_faults = faults
        for ref, reason in faults.items():
            note(plane.log, "status.unreadable_failed", ref=ref, reason=reason)
        return read.ingresses

    def _tip(self, tips: Mapping[str, str]) -> None:
        plane = self.plane
        plane.newest = tips.get(self.options.branch_ref)
        if plane.newest is not None:
            plane.deliver(g.TipMoved(plane.newest))

    async def follow(self) -> None:
        """Every change of the repository, for as long as this process lives."""
        plane = self.plane
        started = False
        watch = replace(self.options.watch, quiet=self.options.status_prefix)
        async with aclosing(tips_of(self.mirror, watch)) as changes:
            async for change in changes:
                match change:
                    case TipsChanged(found) if not started:
                        started = await self._start(found)
                    case TipsChanged(found):
                        self._tip(found)
                    case FetchFailed(message):
                        plane.deliver(g.FetchFailed(message))
                        if not started:
                            started = await self._start_from_disk()
                    case FetchRecovered():
                        plane.deliver(g.FetchRecovered())

    async def follow_secrets(self) -> None:
        """A file that a commit refers to is looked at often; its change is a new state."""
        plane = self.plane
        while True:
            await asyncio.sleep(SECRETS_POLL_S)
            try:
                moved = await asyncio.to_thread(plane.loader.secrets_moved)
            except OSError as error:  # What cannot be read now is looked at again.
                self._secrets_said(str(error))
                continue
            self._secrets_said("")
            if moved:
                note(plane.log, "secrets.changed")
                plane.deliver(g.SecretsChanged())

    def _secrets_said(self, error: str) -> None:
        plane = self.plane
        if error and error != plane.secrets_error:
            note(plane.log, "secrets.unread_failed", reason=error)
        plane.secrets_error = error

    async def _start(self, tips: Mapping[str, str], *, known: frozenset[str] | None = None) -> bool:
        """`known` are zones of which there is better news than these status refs; None: the
        repository has just given them. Who starts asks the zones themselves from then on: their
        refs are not looked at again.
        """
        ingresses = await asyncio.to_thread(self._prepare, tips, reachable=known is None)
        news = {zone: found for zone, found in ingresses.items() if zone not in (known or ())}
        self.start_from(tips, news)
        await asyncio.to_thread(self.mirror.follow_branch_only)  # A fetch may be under way.
        return True

    async def _start_from_disk(self) -> bool:
        """While the repository is away, zones are served what was fetched from it before."""
        plane = self.plane
        held = await asyncio.to_thread(self.mirror.held)
        known = plane.store.load_all("meta").get("repository")
        same = known == str(self.mirror.address).encode()
        if not same or self.options.branch_ref not in held:
            return False
        note(plane.log, "repository.kept", revision=held[self.options.branch_ref])
        # These refs are as old as the last start, what zones sent since then is on our disk.
        return await self._start(held, known=frozenset(plane.relayed()))

    def _prepare(
        self, tips: Mapping[str, str], *, reachable: bool
    ) -> dict[str, tuple[MeshResource, ...]]:
        """Keys are made once: signs of an earlier fleet without its keys stop the process.

        Returns what zones wrote to their refs.
        """
        zones = [ref for ref in tips if zone_of_ref(ref, self.options.status_prefix)]
        earlier = f"{', '.join(sorted(zones))} shows an earlier fleet" if zones else None
        self.plane.loader.system.prepare(earlier_fleet=earlier, new_keys=self.options.new_keys)
        return self._ingresses(tips, reachable=reachable)
