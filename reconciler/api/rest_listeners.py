"""Where the HTTP API listens: with TLS on one port, without on another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconciler.api.rest_server import RestApi
from reconciler.api.serving import Attentive, HttpServer, tcp_socket
from reconciler.runtime.log import note

if TYPE_CHECKING:
    import logging
    from pathlib import Path

    from reconciler.api.rest_server import RestSource
    from reconciler.keys.user_keys import UserKeys


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiListeners:
    """A port of None is not listened on."""

    host: str
    port: int | None
    plain_host: str
    plain_port: int | None
    tls: tuple[Path, Path]
    anonymous: bool
    issues: bool  # tokens, to administrators
    items_max: int
    users: UserKeys


class RestServers:
    """`start`, then `stop`. A port that is taken is noted and done without: global and zone may be
    on one machine.
    """

    def __init__(self, source: RestSource, where: ApiListeners, log: logging.Logger) -> None:
        self.api = RestApi(source, log, anonymous=where.anonymous, issues=where.issues)
        self.ports: dict[str, int] = {}  # by scheme, of what is listened on
        self._servers: list[HttpServer] = []
        listeners = (
            ("https", where.host, where.port, where.tls),
            ("http", where.plain_host, where.plain_port, None),
        )
        for scheme, host, port, tls in listeners:
            if port is None:
                continue
            try:
                listening = tcp_socket(host, port)
            except OSError as error:
                note(log, "api.port_taken", reason=str(error))
                continue
            self.ports[scheme] = listening.getsockname()[1]
            self._servers.append(HttpServer(self.api.app(), listening, tls, Attentive))

    async def start(self) -> None:
        for server in self._servers:
            await server.start()

    async def stop(self) -> None:
        for server in self._servers:
            await server.stop()
        self.api.close()
