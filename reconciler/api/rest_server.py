"""The HTTP API that `kumactl` reads: who asks, what they ask, and the answer, computed in a thread.

The event loop decides nothing here but who may ask. It takes one value that holds all there is to
see, and hands it to a thread: however large a list is, no proxy waits for it.
"""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Protocol, TypeVar

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.routing import Route

from reconciler.api.json_body import BodyTooLarge, body_of
from reconciler.api.rest_figures import ApiFigures
from reconciler.api.rest_sending import BUSY_HEADERS, Sending
from reconciler.ca.tokens import Refused as BadToken
from reconciler.inspection import Inspected, Inspection
from reconciler.kds.admin import AdminKind, Question
from reconciler.rest import writes
from reconciler.rest.answer import Answer, Asked, Refused
from reconciler.rest.callers import ANONYMOUS
from reconciler.rest.endpoints import ENDPOINTS
from reconciler.rest.openapi import ENDPOINT as DESCRIPTION
from reconciler.rest.passthrough import ADMIN_KINDS, ADMIN_PATHS
from reconciler.rest.paths import SHOWN, spellings
from reconciler.rest.token_requests import TOKEN_KINDS, TokenKind, Wanted, wanted
from reconciler.runtime.log import note

if TYPE_CHECKING:
    import logging
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request
    from starlette.types import ASGIApp, Receive, Scope, Send

    from reconciler.rest.answer import Endpoint
    from reconciler.rest.callers import Caller
    from reconciler.rest.catalogue import Catalogue

THREADS = 2
WAITING_MAX = 64  # requests that wait for a thread or are computed
QUERY_MAX = 100  # parameters of one request
CHALLENGE = {"www-authenticate": "Bearer"}
NO_ISSUING = "tokens are issued on the control plane's machine: `reconciler token {}` \
(or start it with --api-issue-tokens on)"
COMMANDS = {"dataplane": "dataplane", "zone": "zone-proxy", "user": "user"}
T = TypeVar("T")


class RestSource(Protocol):
    def catalogue(self) -> Catalogue | None:
        """What there is to see now; None while nothing is known. Called on the loop."""

    def caller(self, authorization: str | None) -> Caller | BadToken:
        """Called in a thread."""

    def issue(self, asked: Wanted) -> str:
        """A signed token. Called in a thread; raises Refused where there is no key for it."""

    async def inspect(self, asked: Inspection) -> Inspected: ...


class RestApi:
    """`anonymous`: whoever comes without a token may read; nobody but a known caller sees what a
    proxy's Envoy holds. `issues`: administrators may have tokens signed.
    """

    def __init__(
        self, source: RestSource, log: logging.Logger, *, anonymous: bool, issues: bool = False
    ) -> None:
        self.source, self.log = source, log
        self.anonymous, self.issues = anonymous, issues
        self.counted = ApiFigures(log)
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="rest")
        self.sending = Sending(self._threads)

    def app(self) -> ASGIApp:
        routes = [self._read(endpoint) for endpoint in ENDPOINTS if endpoint.path != "/"]
        routes += [
            self._route(f"{path}/{what}", partial(self._envoy, type_, kind), ["GET"])
            for path, type_ in ADMIN_PATHS.items()
            for what, kind in ADMIN_KINDS.items()
        ]
        routes.sort(key=lambda route: [part.startswith("{") for part in route.path.split("/")])
        index = [self._read(endpoint) for endpoint in ENDPOINTS if endpoint.path == "/"]
        index.append(self._read(DESCRIPTION))
        index += [
            self._route(f"/tokens/{kind}", partial(self._issue, kind), ["POST"])
            for kind in TOKEN_KINDS
        ]
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
        asked = await self._asked(request, _path(request), with_body=True)
        return await self._computed(partial(does, self._catalogue(), type_, asked))

    def _route(
        self, path: str, answer: Callable[[Request], Awaitable[Answer]], methods: list[str]
    ) -> Route:
        async def endpoint(request: Request) -> Response:
            began = time.monotonic()
            try:
                response = await self._answered(request, answer)
            except ClientDisconnect:
                return Response(status_code=400)  # Nobody reads it.
            self.counted.answered(response.status_code, time.monotonic() - began)
            return response

        return Route(path, endpoint, methods=methods)

    async def _answered(
        self, request: Request, answer: Callable[[Request], Awaitable[Answer]]
    ) -> Response:
        try:
            return await self.sending.response(request, await answer(request))
        except Refused as refused:
            found = refused.answer()
        except ClientDisconnect:
            raise
        except Exception as error:  # A fault of ours ends one request, and is told.
            note(self.log, "api.answer_failed", path=_path(request), reason=repr(error))
            text = "a fault of the control plane; its log has the reason"
            found = Refused(500, "Internal Server Error", text).answer()
        return Response(found.body, found.status, found.headers, found.media_type)

    # --- who asks for what ---

    async def _asked(
        self, request: Request, route: str, *, is_open: bool = False, with_body: bool = False
    ) -> Asked:
        caller = ANONYMOUS if is_open else await self._caller(request)
        query = tuple(request.query_params.multi_items())
        if len(query) > QUERY_MAX:
            raise Refused(400, "Bad Request", f"over {QUERY_MAX} parameters")
        return Asked(
            path=_path(request),
            route=route,
            places=request.path_params,
            query=query,
            base=f"{request.scope['scheme']}://{request.headers.get('host', '')}",
            caller=caller,
            body=await _body(request) if with_body else b"",
        )

    async def _caller(self, request: Request) -> Caller:
        given = request.headers.get("authorization")
        try:
            found = await self._computed(partial(self.source.caller, given))
        except OSError as error:  # Who asks cannot be known, so nobody is let in.
            raise Refused(503, "The keys cannot be read", words(error)) from error
        if isinstance(found, BadToken):
            self.counted.denied("unauthenticated", _peer(request), found.reason)
            text = f"Unauthenticated: {found.reason}"
            raise Refused(401, "Invalid authentication data", text, headers=CHALLENGE)
        if not found.is_known and not self.anonymous:
            self.counted.denied("unauthenticated", _peer(request), "no token was sent")
            text = "a user token is needed: `reconciler token user NAME` issues one"
            raise Refused(401, "Unauthenticated", text, headers=CHALLENGE)
        return found

    def _catalogue(self) -> Catalogue:
        found = self.source.catalogue()
        if found is None:
            text = "no revision is in force yet; ask again in a moment"
            raise Refused(503, "Not ready", text, headers=BUSY_HEADERS)
        return found

    async def _computed(self, work: Callable[[], T]) -> T:
        """In a thread, within what may wait for one."""
        if self.counted.waiting >= WAITING_MAX:
            self.counted.busy += 1
            text = f"over {WAITING_MAX} requests at once; ask again later"
            raise Refused(503, "Busy", text, headers=BUSY_HEADERS)
        self.counted.waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self.counted.waiting -= 1

    # --- what is more than reading ---

    async def _issue(self, kind: TokenKind, request: Request) -> Answer:
        """Who may is looked at before anything of the request is read."""
        caller = await self._caller(request)
        if not self.issues:
            raise Refused(400, "Tokens are not issued here", NO_ISSUING.format(COMMANDS[kind]))
        if not caller.is_admin:
            self.counted.denied("forbidden", _peer(request), f"{caller.name} is no administrator")
            text = f"user {caller.name} is not of the group mesh-system:admin"
            raise Refused(403, "Access Denied", text)
        asked = wanted(kind, await _body(request))
        text = await self._computed(partial(self.source.issue, asked))
        told = {"kind": kind, "whose": asked.whose, "by": caller.name, "valid_s": asked.valid_s}
        note(self.log, "api.issued", **told)
        return Answer(200, text.encode(), "text/plain", {"cache-control": "no-store"})

    async def _envoy(self, type_: str, kind: AdminKind, request: Request) -> Answer:
        """From a proxy itself, wherever it is."""
        asked = await self._asked(request, _path(request))
        if not asked.caller.is_known:
            self.counted.denied("forbidden", _peer(request), "an Envoy was asked for anonymously")
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


def words(error: OSError) -> str:
    """Without the path, which is nobody's business out there."""
    return error.strerror or type(error).__name__


def _path(request: Request) -> str:
    """As it came: Starlette's URL is put together with the Host header, which may be anything."""
    return str(request.scope["path"])


def _peer(request: Request) -> str:
    return request.client.host if request.client is not None else ""


async def _body(request: Request) -> bytes:
    try:
        return await body_of(request)
    except BodyTooLarge as error:
        raise Refused(413, "Too large", "the document is over its limit") from error


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
        allow = "POST" if _path(request).startswith("/tokens/") else writes.ALLOW
        found = Refused(405, "Method not allowed", text, allow=allow).answer()
    else:
        found = Refused(404, "Not found", f"nothing is served at {_path(request)}").answer()
    return Response(found.body, found.status, found.headers, found.media_type)


MISSING = {404: _missing, 405: _missing}
