"""The global's port 5678: it serves no proxy, and tells each that comes where to go.

gRPC is passed on to the KDS port, which refuses it in the same words. To a bootstrap the answer is
403: kuma-dp prints it and ends, where it would try anything else again for minutes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.routing import Route

from reconciler.api.door import Behind, Door, reach
from reconciler.api.json_body import BodyTooLarge, json_object
from reconciler.api.serving import HttpServer, tcp_socket, unix_socket

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from starlette.requests import Request

    from reconciler.api.door import DoorLimits

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]


class RefusalSource(Protocol):
    def refuse(self, request: Mapping[str, object]) -> str:
        """What a proxy with this bootstrap request is told; {} when it could not be read."""

    def crowded(self, why: str) -> None:
        """Connections begin to be turned away."""


class RefusingDoor:
    """Raises OSError when the port is taken."""

    def __init__(
        self,
        source: RefusalSource,
        listen: tuple[str, int],
        kds: tuple[str, int],
        folder: Path,
        limits: DoorLimits,
    ) -> None:
        """`folder` is the state directory: the certificate is there, and the inner socket."""
        listening = tcp_socket(*listen)
        inside = folder / "boot.sock"
        tls = (folder / "tls" / "cert.pem", folder / "tls" / "key.pem")
        self.port: int = listening.getsockname()[1]
        self._http = HttpServer(refusing_app(source), unix_socket(inside), tls)
        behind = Behind((reach(kds[0]), kds[1]), inside)
        self.door = Door(listening, behind, source.crowded, limits)

    async def start(self) -> None:
        await self._http.start()
        await self.door.start()

    async def stop(self) -> None:
        await self.door.stop()
        await self._http.stop()


def refusing_app(source: RefusalSource) -> Starlette:
    return Starlette(routes=[refusing_route(source, "/{path:path}")])


def refusing_route(source: RefusalSource, path: str) -> Route:
    """Also for the global's other HTTP port: `/bootstrap` is answered alike there."""

    async def refuse(request: Request) -> Response:
        return Response(source.refuse(await _read(request)), 403, media_type="text/plain")

    return Route(path, refuse, methods=METHODS)


async def _read(request: Request) -> Mapping[str, object]:
    try:
        return await json_object(request) or {}
    except (BodyTooLarge, ClientDisconnect):  # Refused all the same.
        return {}
