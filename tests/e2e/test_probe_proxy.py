"""The probe proxy against applications on loopback: what who is outside of the mesh is told."""

from __future__ import annotations

import asyncio
import ssl
import time
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
import pytest

from reconciler import probe_proxy
from reconciler.keys.server_certificate import server_tls
from reconciler.probe_calls import Application
from tests.support.applications import head_of, served
from tests.support.real_envoy import free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(60)]
HERE = Application("127.0.0.1", redirected=False)


@contextmanager
def proxied(application: Application = HERE) -> Iterator[int]:
    with probe_proxy.probe_proxy(0, application) as port:
        yield port


async def raw(port: int, request: bytes) -> bytes:
    """Whatever is answered until the other side closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        async with asyncio.timeout(20):
            return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


async def probed(port: int, target: str, **headers: str) -> tuple[int, str]:
    lines = [f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items()]
    answer = await raw(port, f"GET {target} HTTP/1.1\r\nhost: x\r\n{''.join(lines)}\r\n".encode())
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), body.decode()


class App:
    """An HTTP application that answers as the test says, and remembers what it was asked."""

    def __init__(self, answer: bytes = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok") -> None:
        self.answer = answer
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.callers: list[str] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.callers.append(writer.get_extra_info("peername")[0])
        self.asked.append(head_of(await reader.readuntil(b"\r\n\r\n")))
        writer.write(self.answer)
        await writer.drain()


def status_of(code: int) -> bytes:
    return b"HTTP/1.1 %d X\r\ncontent-length: 0\r\n\r\n" % code


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (status_of(200), (200, "HEALTHY\n")),
        (status_of(302), (200, "HEALTHY\n")),
        (status_of(404), (404, "UNHEALTHY\n")),
        (status_of(500), (500, "UNHEALTHY\n")),
        (b"HTTP/1.1 100 C\r\n\r\n" + status_of(200), (200, "HEALTHY\n")),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 200_000, (200, "HEALTHY\n")),  # until it closes
        (
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
            (200, "HEALTHY\n"),
        ),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nshort", (503, "UNHEALTHY\n")),
        (b"HTTP/1.1 200 OK\r\nx: " + b"y" * 20_000, (503, "UNHEALTHY\n")),
        (b"not HTTP\r\n\r\n", (503, "UNHEALTHY\n")),
        (b"", (503, "UNHEALTHY\n")),
    ],
)
async def test_http_answer_decides(answer: bytes, told: tuple[int, str]) -> None:
    async with served(App(answer)) as app:
        with proxied() as port:
            assert await probed(port, f"/{app}/health") == told


async def test_request_is_the_probes_own() -> None:
    app = App()
    async with served(app) as there:
        with proxied() as port:
            await probed(port, f"/{there}/live?x=1", x_who="kubelet", x_kuma_probes_timeout="3")
            await probed(port, f"/{there}/", x_kuma_probes_host="web.example")
    (line, headers), (_, named) = app.asked
    assert line == "GET /live?x=1 HTTP/1.1"
    assert headers["host"] == f"127.0.0.1:{there}"
    assert (headers["x-who"], headers["connection"]) == ("kubelet", "close")
    assert not any(name.startswith("x-kuma-probes") for name in headers)
    assert named["host"] == "web.example"


async def test_tls_is_not_verified(tmp_path: Path) -> None:
    server_tls(tmp_path, "other", (), time.time())
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(tmp_path / "tls" / "cert.pem", tmp_path / "tls" / "key.pem")
    async with served(App(), tls=tls) as app:
        with proxied() as port:
            told = await probed(port, f"/{app}/", x_kuma_probes_scheme="HTTPS")
            assert told == (200, "HEALTHY\n")
            assert (await probed(port, f"/{app}/"))[0] == 503


async def test_tcp_probe_is_a_connection() -> None:
    async with served(App()) as app:
        with proxied() as port:
            assert await probed(port, f"/tcp/{app}") == (200, "HEALTHY\n")
            assert await probed(port, f"/tcp/{free_port()}") == (503, "UNHEALTHY\n")


@pytest.mark.parametrize("target", ["/", "/tcp/", "/99999/", "/health"])
async def test_who_asks_for_nothing_is_told_so(target: str) -> None:
    with proxied() as port:
        assert await probed(port, target) == (503, "UNKNOWN\n")


async def test_application_that_says_nothing_is_given_up_in_time() -> None:
    async def silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with served(silent) as app:
        with proxied() as port:
            began = time.monotonic()
            assert await probed(port, f"/{app}/") == (503, "UNHEALTHY\n")
            assert await probed(port, f"/grpc/{app}") == (503, "UNHEALTHY\n")
            assert 2 <= time.monotonic() - began < 4


async def test_calls_leave_from_where_the_rules_let_them_pass() -> None:
    app = App()
    async with served(app) as there:
        with proxied(Application("127.0.0.1", redirected=True)) as port:
            assert await probed(port, f"/{there}/") == (200, "HEALTHY\n")
            assert await probed(port, f"/tcp/{there}") == (200, "HEALTHY\n")
        with proxied() as port:
            assert await probed(port, f"/{there}/") == (200, "HEALTHY\n")
    assert app.callers == ["127.0.0.6", "127.0.0.6", "127.0.0.1"]


def test_source_has_the_family_of_the_address() -> None:
    assert Application("::1", redirected=True).source == ("::6", 0)
    assert Application("web.example", redirected=True).source == ("127.0.0.6", 0)
    assert Application("::1", redirected=False).source is None
    assert Application("::1", redirected=False).authority(80) == "[::1]:80"


# --- gRPC ---


@asynccontextmanager
async def health(answers: dict[str, bytes | grpc.StatusCode]) -> AsyncIterator[int]:
    """grpc.health.v1.Health of the real library, with answers by the request's bytes."""

    async def check(request: bytes, context: grpc.aio.ServicerContext[Any, Any]) -> bytes:
        found = answers.get(request.decode(), grpc.StatusCode.NOT_FOUND)
        if isinstance(found, bytes):
            return found
        await context.abort(found)
        raise AssertionError

    handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
        "Check": grpc.unary_unary_rpc_method_handler(check)
    }
    async with serving(handlers) as port:
        yield port


@asynccontextmanager
async def serving(
    handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]],
) -> AsyncIterator[int]:
    server = grpc.aio.server()
    name = "grpc.health.v1.Health"
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield port
    finally:
        await server.stop(None)


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (b"\x08\x01", (200, "HEALTHY\n")),
        (b"\x08\x02", (503, "UNHEALTHY\n")),
        (b"", (503, "UNHEALTHY\n")),
        (grpc.StatusCode.UNIMPLEMENTED, (503, "UNHEALTHY\n")),
        (grpc.StatusCode.INTERNAL, (503, "UNHEALTHY\n")),
    ],
)
async def test_grpc_service_says_itself_whether_it_serves(
    answer: bytes | grpc.StatusCode, told: tuple[int, str]
) -> None:
    async with health({"": answer, "\n\x04live": b"\x08\x01"}) as app:
        with proxied() as port:
            assert await probed(port, f"/grpc/{app}") == told
            named = await probed(port, f"/grpc/{app}", x_kuma_probes_grpc_service="live")
            assert named == (200, "HEALTHY\n")
            other = await probed(port, f"/grpc/{app}", x_kuma_probes_grpc_service="none")
            assert other == (503, "UNHEALTHY\n")


async def test_grpc_answer_that_ends_badly_is_none() -> None:
    """It said that it serves, and then that something went wrong."""

    async def check(_: bytes, context: grpc.aio.ServicerContext[Any, Any]) -> AsyncIterator[bytes]:
        yield b"\x08\x01"
        await context.abort(grpc.StatusCode.INTERNAL)

    handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
        "Check": grpc.unary_stream_rpc_method_handler(check)
    }
    async with serving(handlers) as app:
        with proxied() as port:
            assert await probed(port, f"/grpc/{app}") == (503, "UNHEALTHY\n")


async def test_grpc_probe_of_what_is_no_grpc_fails() -> None:
    async with served(App()) as app:
        with proxied() as port:
            assert await probed(port, f"/grpc/{app}") == (503, "UNHEALTHY\n")
            assert await probed(port, f"/grpc/{free_port()}") == (503, "UNHEALTHY\n")


# --- limits ---


async def test_request_that_does_not_come_in_time_is_let_go() -> None:
    with proxied() as port:
        began = time.monotonic()
        assert await raw(port, b"GET / HTTP/1.1\r\n") == b""
        assert time.monotonic() - began < 3


@pytest.mark.parametrize(
    "request_", [b"GET / HTTP/1.1\r\nx: " + b"y" * 20_000 + b"\r\n\r\n", b"\x16\x03\x01\r\n\r\n"]
)
async def test_request_that_is_none_is_not_answered(request_: bytes) -> None:
    with proxied() as port:
        assert await raw(port, request_) == b""


async def test_more_at_once_than_anybody_needs_are_turned_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(probe_proxy, "CONNECTIONS_MAX", 1)
    came = asyncio.Event()
    go_on = asyncio.Event()

    async def held(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        came.set()
        await go_on.wait()
        writer.write(status_of(200))
        await writer.drain()

    async with served(held) as app:
        with proxied() as port:
            asking = asyncio.create_task(probed(port, f"/{app}/", x_kuma_probes_timeout="20"))
            async with asyncio.timeout(20):
                await came.wait()
            assert await raw(port, b"GET / HTTP/1.1\r\nhost: x\r\n\r\n") == b""
            go_on.set()
            assert await asking == (200, "HEALTHY\n")


async def test_end_lets_nobody_wait() -> None:
    async def silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with served(silent) as app:
        with proxied() as port:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(
                f"GET /{app}/ HTTP/1.1\r\nhost: x\r\nx-kuma-probes-timeout: 60\r\n\r\n".encode()
            )
            await writer.drain()
            began = time.monotonic()
        assert time.monotonic() - began < 4
        writer.close()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)
