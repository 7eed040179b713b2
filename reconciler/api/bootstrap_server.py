"""`POST /bootstrap` on the zone's port 5678: what a proxy asks before it starts its Envoy
(facts/dataplane-wire.md 1.2).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

BODY_MAX = 1024 * 1024  # bytes


@dataclass(frozen=True, slots=True)
class BootstrapAnswer:
    status: int
    body: str = ""
    content_type: str = "text/plain; charset=utf-8"


class BootstrapSource(Protocol):
    def bootstrap(
        self, request: Mapping[str, object], host: str, accept: str
    ) -> BootstrapAnswer: ...


def bootstrap_app(source: BootstrapSource) -> Starlette:
    async def bootstrap(request: Request) -> Response:
        body = await _body(request)
        if body is None:
            return Response(f"the request has over {BODY_MAX} bytes", status_code=413)
        try:
            data = json.loads(body)
        except (ValueError, RecursionError):
            data = None
        if not isinstance(data, dict):
            return Response(status_code=400)  # With an empty body, as kuma-dp expects it.
        host = request.url.hostname or ""
        found = source.bootstrap(data, host, request.headers.get("accept", ""))
        return Response(found.body, status_code=found.status, media_type=found.content_type)

    return Starlette(routes=[Route("/bootstrap", bootstrap, methods=["GET", "POST", "PUT"])])


async def _body(request: Request) -> bytes | None:
    """None beyond the limit; never holds more than that."""
    found = bytearray()
    async for chunk in request.stream():
        found += chunk
        if len(found) > BODY_MAX:
            return None
    return bytes(found)
