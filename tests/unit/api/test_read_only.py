"""Whoever writes a policy to one of our HTTP ports is told where policies are written."""

from __future__ import annotations

import asyncio
import http.client
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.api.bootstrap_server import bootstrap_app
from reconciler.api.control_socket import control_app
from reconciler.api.diagnostics import diagnostics_app
from reconciler.api.read_only import MANAGED
from reconciler.api.serving import HttpServer, tcp_socket

if TYPE_CHECKING:
    from starlette.applications import Starlette

POLICY = "/meshes/default/meshtimeouts/all"
NOBODY: Any = None  # None of these requests reaches what stands behind.


def app(name: str) -> Starlette:
    match name:
        case "bootstrap":
            return bootstrap_app(NOBODY)
        case "control":
            return control_app(NOBODY)
    return diagnostics_app(_Nothing())


class _Nothing:
    def unready(self) -> str:
        return ""

    def figures(self) -> tuple[()]:
        return ()


def ask(port: int, method: str, path: str, body: bytes = b"{}") -> tuple[int, str]:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        connection.request(method, path, body=body)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


@pytest.mark.parametrize(
    ("name", "own"),
    [("bootstrap", "/bootstrap"), ("control", "/status"), ("diagnostics", "/ready")],
)
async def test_a_write_is_told_that_the_mesh_is_managed_from_git(name: str, own: str) -> None:
    sock = tcp_socket("127.0.0.1", 0)
    port = int(sock.getsockname()[1])
    server = HttpServer(app(name), sock)
    await server.start()
    try:
        for method in ("PUT", "POST", "PATCH", "DELETE"):
            for path in (POLICY, "/", "/secrets/x/", f"{own}x"):
                assert await asyncio.to_thread(ask, port, method, path) == (405, f"{MANAGED}\n")
        assert await asyncio.to_thread(ask, port, "DELETE", own) == (405, f"{MANAGED}\n")
        assert await asyncio.to_thread(ask, port, "GET", POLICY) == (404, "Not Found")
    finally:
        await server.stop()
