"""Health and metrics on their own port: `/healthy`, `/ready`, `/metrics`.

`/healthy` answers while the event loop turns; a process that does not answer is to be started
again. `/ready` says whether peers are served: a load balancer sends them elsewhere meanwhile, and
nobody restarts anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from reconciler.api.read_only import NOT_SERVED
from reconciler.api.serving import HttpServer, tcp_socket
from reconciler.runtime.metrics import Metrics

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from starlette.requests import Request

    from reconciler.figures import Figure

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Diagnostics:
    """Where to listen, and certificate and key; without these it is plain HTTP."""

    host: str
    port: int
    tls: tuple[Path, Path] | None


class DiagnosticsSource(Protocol):
    """A control plane that can be looked at."""

    def unready(self) -> str:
        """Why peers are not served yet; "" once they are."""

    def figures(self) -> Iterable[Figure]: ...


def diagnostics_server(source: DiagnosticsSource, where: Diagnostics, *also: Route) -> HttpServer:
    """`also` are answers beside those. Raises OSError when the port is taken."""
    app = diagnostics_app(source, *also)
    return HttpServer(app, tcp_socket(where.host, where.port), where.tls)


def diagnostics_app(source: DiagnosticsSource, *also: Route) -> Starlette:
    metrics = Metrics(source.figures)

    async def healthy(_request: Request) -> JSONResponse:
        return JSONResponse({"healthy": True})

    async def ready(_request: Request) -> JSONResponse:
        reason = source.unready()
        if reason:
            return JSONResponse({"ready": False, "reason": reason}, status_code=503)
        return JSONResponse({"ready": True})

    async def scrape(_request: Request) -> Response:
        return Response(metrics.text(), headers={"content-type": METRICS_TYPE})

    return Starlette(
        routes=[
            Route("/healthy", healthy),
            Route("/ready", ready),
            Route("/metrics", scrape),
            *also,
        ],
        exception_handlers=NOT_SERVED,
    )
