"""The HTTP API that `kumactl` reads: who asks, what they ask, and the answer, computed in a thread.

The event loop decides nothing here but who may ask. It takes one value that holds all there is to
see, and hands it to a thread: however large a list is, no proxy waits for it.
"""

from __future__ import annotations

import asyncio
import gzip
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Protocol

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from reconciler.api.json_body import BodyTooLarge, body_of
from reconciler.ca.tokens import Refused as BadToken
from reconciler.inspection import Inspected, Inspection
from reconciler.kds.admin import AdminKind, Question
from reconciler.rest import writes
from reconciler.rest.answer import Answer, Asked, Refused
from reconciler.rest.callers import ANONYMOUS
from reconciler.rest.endpoints import ENDPOINTS
from reconciler.rest.paths import SHOWN, spellings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from starlette.requests import Request
    from starlette.types import ASGIApp, Receive, Scope, Send

    from reconciler.rest.answer import Endpoint
    from reconciler.rest.callers import Caller
    from reconciler.rest.catalogue import Catalogue

THREADS = 2
WAITING_MAX = 64  # requests that wait for a thread or are computed
QUERY_MAX = 100  # parameters of one request
PIECE = 64 * 1024  # bytes of an answer in one turn of the loop
GZIP_MIN = 1024  # bytes
GZIP_LEVEL = 4
ADMIN_KINDS: Mapping[str, AdminKind] = {
    "xds": AdminKind.CONFIG,
    "stats": AdminKind.STATS,
    "clusters": AdminKind.CLUSTERS,
}
ADMIN_PATHS: Mapping[str, str] = {
    "/meshes/{mesh}/dataplanes/{name}": "Dataplane",
    "/zoneingresses/{name}": "ZoneIngress",
    "/zoneegresses/{name}": "ZoneEgress",
}


class RestSource(Protocol):
    def catalogue(self) -> Catalogue | None:
        """What there is to see now; None while nothing is known. Called on the loop."""

    def caller(self, authorization: str | None) -> Caller | BadToken:
        """Called in a thread."""

    async def inspect(self, asked: Inspection) -> Inspected: ...


class RestApi:
    """`anonymous`: whoever comes without a token may read; nobody but a known caller sees what a
    proxy's Envoy holds.
    """

    def __init__(self, source: RestSource, *, anonymous: bool) -> None:
        self.source, self.anonymous = source, anonymous
        self.figures = {"answered": 0, "refused": 0, "busy": 0}
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="rest")
        self._busy = 0

    def app(self) -> ASGIApp:
        routes = [self._read(endpoint) for endpoint in ENDPOINTS if endpoint.path != "/"]
        routes += [
            self._route(f"{path}/{what}", partial(self._envoy, type_, kind), ["GET"])
            for path, type_ in ADMIN_PATHS.items()
            for what, kind in ADMIN_KINDS.items()
        ]
        routes.sort(key=lambda route: [part.startswith("{") for part in route.path.split("/")])
        index = [self._read(endpoint) for endpoint in ENDPOINTS if endpoint.path == "/"]
        return _NoSlash(
            Starlette(routes=[*index, *self._writes(), *routes], exception_handlers=MISSING)
        )

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _read(self, endpoint: Endpoint) -> Route:
        async def answer(request: Request) -> Answer:
            asked = await self._asked(request, endpoint.path, is_open=endpoint.is_open)
            return await self._computed(partial(endpoint.answer, self._catalogue(), asked))

        return self._route(endpoint.path, answer, ["GET"])

    def _writes(self) -> list[Route]:
        """Of every kind: nothing is written here, whoever asks."""
        found = []
        for kind in SHOWN:
            for path in spellings(kind):
                below = f"/meshes/{{mesh}}/{path}" if kind.mesh_scoped else f"/{path}"
                for method, does in (("PUT", writes.put), ("DELETE", writes.delete)):
                    answer = partial(self._write, kind.name, does)
                    found.append(self._route(f"{below}/{{name}}", answer, [method]))
        return found

    async def _write(
        self, type_: str, does: Callable[[Catalogue, str, Asked], Answer], request: Request
    ) -> Answer:
        asked = await self._asked(request, request.url.path, with_body=True)
        return await self._computed(partial(does, self._catalogue(), type_, asked))

    def _route(self, path: str, answer: Callable[[Request], object], methods: list[str]) -> Route:
        async def endpoint(request: Request) -> Response:
            try:
                found = await answer(request)  # type: ignore[misc]
            except Refused as refused:
                self.figures["refused"] += 1
                found = refused.answer()
            except ClientDisconnect:
                return Response(status_code=400)  # Nobody reads it.
            self.figures["answered"] += 1
            return await self._sent(request, found)

        return Route(path, endpoint, methods=methods)

    # --- who asks for what ---

    async def _asked(
        self, request: Request, route: str, *, is_open: bool = False, with_body: bool = False
    ) -> Asked:
        caller = ANONYMOUS if is_open else await self._caller(request)
        query = tuple(request.query_params.multi_items())
        if len(query) > QUERY_MAX:
            raise Refused(400, "Bad Request", f"over {QUERY_MAX} parameters")
        return Asked(
            path=request.url.path,
            route=route,
            places=request.path_params,
            query=query,
            base=f"{request.url.scheme}://{request.headers.get('host', '')}",
            caller=caller,
            body=await _body(request) if with_body else b"",
        )

    async def _caller(self, request: Request) -> Caller:
        loop = asyncio.get_running_loop()
        given = request.headers.get("authorization")
        found = await loop.run_in_executor(self._threads, self.source.caller, given)
        if isinstance(found, BadToken):
            raise Refused(401, "Invalid authentication data", found.reason)
        if not found.is_known and not self.anonymous:
            text = "a user token is needed: `reconciler token user NAME` issues one"
            raise Refused(401, "Unauthenticated", text)
        return found

    def _catalogue(self) -> Catalogue:
        found = self.source.catalogue()
        if found is None:
            raise Refused(503, "Not ready", "no revision is in force yet; ask again in a moment")
        return found

    async def _computed(self, work: Callable[[], Answer]) -> Answer:
        if self._busy >= WAITING_MAX:
            self.figures["busy"] += 1
            raise Refused(503, "Busy", f"over {WAITING_MAX} requests at once; ask again later")
        self._busy += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._busy -= 1

    async def _envoy(self, type_: str, kind: AdminKind, request: Request) -> Answer:
        """From a proxy itself, wherever it is."""
        asked = await self._asked(request, request.url.path)
        if not asked.caller.is_known:
            text = "what a proxy's Envoy holds is shown to users with a token only"
            raise Refused(403, "Access Denied", text)
        question = Question(
            kind=kind,
            type=type_,
            name=asked.places["name"],
            mesh=asked.places.get("mesh", ""),
            as_json=kind is AdminKind.CONFIG or asked.last("format") == "json",
            used_only=kind is AdminKind.STATS and asked.last("usedonly") != "false",
            include_eds=kind is AdminKind.CONFIG and asked.last("include_eds") == "true",
        )
        found = await self.source.inspect(Inspection(question))
        if found.error:
            raise Refused(found.status, "Could not inspect the proxy", found.error)
        kind_ = "application/json" if question.as_json else "text/plain; charset=utf-8"
        return Answer(200, found.body, kind_)

    # --- the answer on its way ---

    async def _sent(self, request: Request, answer: Answer) -> Response:
        headers = {**answer.headers, "vary": "accept-encoding"}
        tag = answer.headers.get("etag")
        if tag is not None and _matches(request.headers.get("if-none-match", ""), tag):
            return Response(status_code=304, headers=headers)
        body = answer.body
        if len(body) >= GZIP_MIN and "gzip" in request.headers.get("accept-encoding", ""):
            headers["content-encoding"] = "gzip"
            loop, squeeze = asyncio.get_running_loop(), partial(gzip.compress, mtime=0)
            body = await loop.run_in_executor(self._threads, squeeze, body, GZIP_LEVEL)
        if len(body) <= PIECE:
            return Response(body, answer.status, headers, answer.media_type)
        headers["content-length"] = str(len(body))
        return StreamingResponse(_pieces(body), answer.status, headers, answer.media_type)


async def _body(request: Request) -> bytes:
    try:
        return await body_of(request)
    except BodyTooLarge as error:
        raise Refused(413, "Too large", "the document is over its limit") from error


def _matches(given: str, tag: str) -> bool:
    """RFC 9110 13.1.2: weak comparison."""
    wanted = tag.removeprefix("W/")
    return any(
        each.strip().removeprefix("W/") in (wanted, "*") for each in given.split(",") if given
    )


async def _pieces(body: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(body), PIECE):
        yield body[at : at + PIECE]


class _NoSlash:
    """`/meshes/` is `/meshes`, as at Kuma's."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        if scope["type"] == "http" and len(path) > 1 and path.endswith("/"):
            scope = {**scope, "path": path.rstrip("/") or "/"}
        await self._app(scope, receive, send)


async def _missing(request: Request, error: Exception) -> Response:
    status = getattr(error, "status_code", 404)
    if status == 405:
        text = f"{request.method} is not answered here"
        found = Refused(405, "Method not allowed", text, allow=writes.ALLOW).answer()
    else:
        found = Refused(404, "Not found", f"nothing is served at {request.url.path}").answer()
    return Response(found.body, found.status, found.headers, found.media_type)


MISSING = {404: _missing, 405: _missing}
