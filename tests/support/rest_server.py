"""A server of the HTTP API without a control plane: one catalogue, and users by the text of their
token. Test support.
"""

from __future__ import annotations

import asyncio
import http.client
import json
from contextlib import asynccontextmanager, closing
from typing import TYPE_CHECKING, Any

from reconciler.api.serving import Attentive, HttpServer, tcp_socket
from tests.support.rest import global_catalogue

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

import logging
from typing import TYPE_CHECKING

from reconciler.api.rest_server import RestApi
from reconciler.ca.tokens import Refused as BadToken
from reconciler.inspection import Inspected, Inspection
from reconciler.rest.callers import ANONYMOUS, SCHEME, Caller
from tests.support import rest

if TYPE_CHECKING:
    from reconciler.rest.catalogue import Catalogue
    from reconciler.rest.token_requests import Wanted


class Shown:
    """What the server asks; remembers what it was asked for."""

    def __init__(self, catalogue: Catalogue | None) -> None:
        self.shown = catalogue
        self.users: dict[str, Caller | BadToken] = {"alice": rest.ALICE, "boss": rest.BOSS}
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


# --- over a socket ---

ALICE = {"authorization": "Bearer alice"}
BOSS = {"authorization": "Bearer boss"}
TIMEOUTS = "/meshes/default/meshtimeouts"


class Answered:
    """Status, headers and body of one answer."""

    def __init__(self, answer: http.client.HTTPResponse) -> None:
        self.status, self.body = answer.status, answer.read()
        self.headers: Mapping[str, str] = {k.lower(): v for k, v in answer.getheaders()}

    @property
    def json(self) -> Any:
        return json.loads(self.body)


async def until(claim: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not claim():  # noqa: ASYNC110 - nothing here tells of it
            await asyncio.sleep(0.01)


@asynccontextmanager
async def serving(api: RestApi | None = None) -> AsyncIterator[Callable[..., Any]]:
    """Asks of a server on a socket, each on a connection of its own."""
    api = api or rest_api(global_catalogue())
    sock = tcp_socket("127.0.0.1", 0)
    port = int(sock.getsockname()[1])
    server = HttpServer(api.app(), sock, protocol=Attentive)
    await server.start()

    def ask(
        path: str, method: str = "GET", headers: Mapping[str, str] = ALICE, body: Any = None
    ) -> Answered:
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
            connection.request(method, path, body, dict(headers))
            return Answered(connection.getresponse())

    async def asking(*given: Any, **named: Any) -> Answered:
        return await asyncio.to_thread(ask, *given, **named)

    asking.port = port  # type: ignore[attr-defined]
    try:
        yield asking
    finally:
        await server.stop()
        api.close()


async def raw(port: int, request: bytes) -> bytes:
    """What comes back for bytes that no client library would send."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    async with asyncio.timeout(10):
        answer = await reader.read(64 * 1024)
    writer.close()
    return answer
