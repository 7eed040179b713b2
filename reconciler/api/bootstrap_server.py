"""`POST /bootstrap` on the zone's port 5678: what a proxy asks before it starts its Envoy
(facts/dataplane-wire.md 1.2).

The peer has shown nothing yet: size, time and form of what it sends are limited here. Codes decide
whether a proxy tries again, so what is nobody's fault is never a 4xx.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.routing import Route

from reconciler.api.json_body import BODY_MAX, BodyTooLarge, json_object
from reconciler.api.read_only import NOT_SERVED

if TYPE_CHECKING:
    from starlette.requests import Request


@dataclass(frozen=True, slots=True)
class BootstrapAnswer:
    status: int
    body: str = ""
    content_type: str = "text/plain; charset=utf-8"


class BootstrapSource(Protocol):
    async def bootstrap(
        self, request: Mapping[str, object], host: str, accept: str
    ) -> BootstrapAnswer: ...

    def unreadable(self, status: int, reason: str) -> None:
        """A request that was refused before it was read."""


Leave = Callable[[Mapping[str, object]], Awaitable[BootstrapAnswer]]


def bootstrap_app(source: BootstrapSource, leave: Leave | None = None) -> Starlette:
    """`leave` answers `POST /leave`, by which a proxy of ours says that it is about to end."""

    async def bootstrap(request: Request) -> Response:
        data = await _asked(request, source)
        if isinstance(data, Response):
            return data
        found = await source.bootstrap(data, _host(request), request.headers.get("accept", ""))
        return Response(found.body, status_code=found.status, media_type=found.content_type)

    async def leaving(request: Request) -> Response:
        data = await _asked(request, source)
        if isinstance(data, Response):
            return data
        assert leave is not None
        found = await leave(data)
        return Response(found.body, status_code=found.status, media_type=found.content_type)

    routes = [Route("/bootstrap", bootstrap, methods=["GET", "POST", "PUT"])]
    if leave is not None:
        routes.append(Route("/leave", leaving, methods=["POST"]))
    return Starlette(routes=routes, exception_handlers=NOT_SERVED)


async def _asked(request: Request, source: BootstrapSource) -> Mapping[str, object] | Response:
    """The object in the body, or what to answer to a body that holds none."""
    try:
        data = await json_object(request)
    except BodyTooLarge:
        text = f"the request has over {BODY_MAX} bytes"
        source.unreadable(413, text)
        return Response(text, status_code=413)
    except ClientDisconnect:
        return Response(status_code=400)  # Nobody reads it.
    if data is None:
        source.unreadable(400, "the request is no JSON object")
        return Response(status_code=400)  # With an empty body, as kuma-dp expects it.
    return data


def _host(request: Request) -> str:
    """The host by which the proxy reached us, without the port; "" when the header is none."""
    try:
        return request.url.hostname or ""
    except ValueError:
        return ""
