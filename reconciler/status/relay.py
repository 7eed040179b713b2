"""The global's hand on the status refs of relay zones and real Kuma zones: one follower, one push
for all of them, one budget.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from reconciler.runtime.log import note
from reconciler.status.follower import Wish, content_of
from reconciler.steps.relay_step import Relayed, Release, decide, status_input

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.status.document import Inventory, Rendering
    from reconciler.status.follower import Made, StatusFollower
    from reconciler.steps.zone_record import ZoneRecord


class StatusRelay:
    """`inventory` is for zones that say nothing of it, which are real Kuma zones."""

    def __init__(self, follower: StatusFollower, inventory: Inventory) -> None:
        self.follower = follower
        self.inventory = inventory
        self._seen: dict[str, ZoneRecord] = {}
        self._looked: Mapping[str, ZoneRecord] | None = None
        self._held: set[str] = set()  # zones whose refs are written here

    def look(self, zones: Mapping[str, ZoneRecord]) -> None:
        """After every decision: most leave the zones as they are. Otherwise it costs a comparison a
        zone, and more where something changed.
        """
        if zones is self._looked:
            return
        self._looked = zones
        for name, record in zones.items():
            if record is self._seen.get(name):
                continue
            self._seen[name] = record
            match decide(record, self.inventory):
                case Relayed() as relayed:
                    self._hold(name)
                    self.follower.want_made(name, Wish(relayed, partial(_content, relayed)))
                case Release():
                    self._let_go(name)
                case None:
                    pass
        if len(self._seen) > len(zones):
            for name in self._seen.keys() - zones.keys():
                del self._seen[name]  # Forgotten: its ref stays as it is.
                self._let_go(name)

    def _hold(self, zone: str) -> None:
        if zone not in self._held:
            self._held.add(zone)
            note(self.follower.log, "status.relayed", zone=zone)

    def _let_go(self, zone: str) -> None:
        if zone in self._held:
            self._held.remove(zone)
            self.follower.release(zone)
            note(self.follower.log, "status.released", zone=zone)


def _content(relayed: Relayed, before: Rendering) -> Made:
    return content_of(status_input(relayed), relayed.status.inventory, before)
