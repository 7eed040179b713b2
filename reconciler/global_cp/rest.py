"""What the global's HTTP API can see, and who may."""

from __future__ import annotations

import socket
import time
from functools import partial
from typing import TYPE_CHECKING

from reconciler.api.rest_server import words
from reconciler.ca.keys import USER_SIGNING_KEY, ZONE_SIGNING_KEY, dataplane_signing_key
from reconciler.keys.token_keys import TokenKeyError, signed, signing_key
from reconciler.rest.answer import Refused as NotAnswered
from reconciler.rest.global_catalogue import of_global
from reconciler.rest.times import at_global
from reconciler.rest.token_requests import NO_KEY

if TYPE_CHECKING:
    from reconciler.api.rest_listeners import ApiListeners
    from reconciler.ca.tokens import Refused
    from reconciler.global_cp.answers import GlobalAnswers
    from reconciler.inspection import Inspected, Inspection
    from reconciler.rest.callers import Caller
    from reconciler.rest.catalogue import Catalogue
    from reconciler.rest.token_requests import Wanted


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
        return self.api.users.caller(authorization)

    def issue(self, asked: Wanted) -> str:
        """With the keys that `reconciler token` signs with."""
        prefixes = {"zone": ZONE_SIGNING_KEY, "user": USER_SIGNING_KEY}
        prefix = prefixes.get(asked.kind) or dataplane_signing_key(asked.mesh)
        try:
            key = signing_key(self.api.users.store, prefix)
        except TokenKeyError as error:
            raise NotAnswered(404, NO_KEY, str(error)) from error
        except OSError as error:
            raise NotAnswered(503, "The keys cannot be read", words(error)) from error
        return signed(key, asked.claims, time.time(), asked.valid_s)

    async def inspect(self, asked: Inspection) -> Inspected:
        return await self.answers.inspect(asked)
