"""What a zone's HTTP API can see, and who may."""

from __future__ import annotations

import socket
import time
from functools import partial
from typing import TYPE_CHECKING

from reconciler.api.rest_server import words
from reconciler.ca.keys import USER_SIGNING_KEY
from reconciler.keys.token_keys import newest, signed, signing_key
from reconciler.model.resource import ResourceKey
from reconciler.proxy_token import issuer_of
from reconciler.rest.answer import Refused as NotAnswered
from reconciler.rest.token_requests import NO_KEY
from reconciler.rest.zone_catalogue import of_zone
from reconciler.rest.zone_times import at_zone

if TYPE_CHECKING:
    from reconciler.api.rest_listeners import ApiListeners
    from reconciler.ca.tokens import Refused
    from reconciler.inspection import Inspected, Inspection
    from reconciler.rest.callers import Caller
    from reconciler.rest.catalogue import Catalogue
    from reconciler.rest.token_requests import Wanted
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
        return self.api.users.caller(authorization)

    def issue(self, asked: Wanted) -> str:
        """Its global's keys of meshes, and its own of users; zones' keys stay with the global."""
        if asked.kind == "zone":
            raise NotAnswered(404, NO_KEY, "the global signs the tokens of zones")
        try:
            key = self._user_key() if asked.kind == "user" else self._mesh_key(asked.mesh)
        except OSError as error:
            raise NotAnswered(503, "The keys cannot be read", words(error)) from error
        if key is None:
            raise NotAnswered(404, NO_KEY, f'there is no mesh "{asked.mesh}" here')
        return signed(key, asked.claims, time.time(), asked.valid_s)

    def _user_key(self) -> tuple[str, bytes]:
        return signing_key(self.api.users.store, USER_SIGNING_KEY)

    def _mesh_key(self, mesh: str) -> tuple[str, bytes] | None:
        policy = self.answers.plane.state.merged
        return newest(issuer_of(policy, ResourceKey("Dataplane", mesh, "")).keys)

    async def inspect(self, asked: Inspection) -> Inspected:
        return await self.answers.inspect(asked)
