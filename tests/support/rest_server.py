"""A server of the HTTP API without a control plane: one catalogue, and users by the text of their
token. Test support.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from reconciler.api.rest_server import RestApi
from reconciler.ca.tokens import Refused as BadToken
from reconciler.inspection import Inspected, Inspection
from reconciler.rest.callers import ANONYMOUS, SCHEME, Caller
from tests.support.rest import ALICE, BOSS

if TYPE_CHECKING:
    from reconciler.rest.catalogue import Catalogue
    from reconciler.rest.token_requests import Wanted


class Shown:
    """What the server asks; remembers what it was asked for."""

    def __init__(self, catalogue: Catalogue | None) -> None:
        self.shown = catalogue
        self.users: dict[str, Caller | BadToken] = {"alice": ALICE, "boss": BOSS}
        self.issued: list[Wanted] = []
        self.questions: list[Inspection] = []
        self.inspected = Inspected(body=b'{"configs":[]}')

    def catalogue(self) -> Catalogue | None:
        return self.shown

    def caller(self, authorization: str | None) -> Caller | BadToken:
        if authorization is None or not authorization.startswith(SCHEME):
            return ANONYMOUS
        token = authorization.removeprefix(SCHEME)
        return self.users.get(token, BadToken("the token is not valid"))

    def issue(self, asked: Wanted) -> str:
        self.issued.append(asked)
        return "header.claims.signature"

    async def inspect(self, asked: Inspection) -> Inspected:
        self.questions.append(asked)
        return self.inspected


def rest_api(
    catalogue: Catalogue | None, *, anonymous: bool = False, issues: bool = True
) -> RestApi:
    log = logging.getLogger("tests.rest")
    return RestApi(Shown(catalogue), log, anonymous=anonymous, issues=issues)
