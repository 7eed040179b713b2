"""What the global's HTTP API can see, and who may."""

from __future__ import annotations

import socket
import time
from functools import partial
from typing import TYPE_CHECKING

from reconciler.rest.callers import caller_of
from reconciler.rest.global_catalogue import of_global
from reconciler.rest.times import at_global

if TYPE_CHECKING:
    from reconciler.api.rest_listeners import ApiListeners
    from reconciler.ca.tokens import Refused
    from reconciler.global_cp.answers import GlobalAnswers
    from reconciler.inspection import Inspected, Inspection
    from reconciler.rest.callers import Caller
    from reconciler.rest.catalogue import Catalogue


class GlobalRest:
    def __init__(self, answers: GlobalAnswers, api: ApiListeners, branch_ref: str) -> None:
        self.answers, self.api = answers, api
        self.branch = branch_ref.removeprefix("refs/heads/")
        self.hostname = socket.gethostname()

    def catalogue(self) -> Catalogue | None:
        plane = self.answers.plane
        return of_global(
            plane.state,
            repository=str(plane.loader.mirror.address),
            branch=self.branch,
            hostname=self.hostname,
            now=time.time(),
            items_max=self.api.items_max,
            times_of=partial(at_global, plane.state, plane.loader.history.times.of),
        )

    def caller(self, authorization: str | None) -> Caller | Refused:
        keys, revoked = self.api.users.known()
        return caller_of(authorization, keys, revoked, time.time())

    async def inspect(self, asked: Inspection) -> Inspected:
        return await self.answers.inspect(asked)
