"""What a zone's HTTP API can see, and who may."""

from __future__ import annotations

import socket
import time
from functools import partial
from typing import TYPE_CHECKING

from reconciler.rest.callers import caller_of
from reconciler.rest.zone_catalogue import of_zone
from reconciler.rest.zone_times import at_zone

if TYPE_CHECKING:
    from reconciler.api.rest_listeners import ApiListeners
    from reconciler.ca.tokens import Refused
    from reconciler.inspection import Inspected, Inspection
    from reconciler.rest.callers import Caller
    from reconciler.rest.catalogue import Catalogue
    from reconciler.zone_cp.answers import ZoneAnswers


class ZoneRest:
    def __init__(self, answers: ZoneAnswers, api: ApiListeners) -> None:
        self.answers, self.api = answers, api
        self.hostname = socket.gethostname()

    def catalogue(self) -> Catalogue:
        return of_zone(
            self.answers.plane.state,
            hostname=self.hostname,
            now=time.time(),
            items_max=self.api.items_max,
            times_of=partial(at_zone, self.answers.plane.state, self.answers.plane.arrivals),
        )

    def caller(self, authorization: str | None) -> Caller | Refused:
        keys, revoked = self.api.users.known()
        return caller_of(authorization, keys, revoked, time.time())

    async def inspect(self, asked: Inspection) -> Inspected:
        return await self.answers.inspect(asked)
