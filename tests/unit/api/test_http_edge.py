"""The HTTP edge over real sockets: codes a proxy acts on, limits, impatience, and a clean stop."""

from __future__ import annotations

import asyncio
import http.client
import json
import signal
import ssl
import stat
import threading
import time
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import pytest

from reconciler.api.bootstrap_server import BootstrapAnswer, bootstrap_app
from reconciler.api.client import ControlError, ask
from reconciler.api.control_socket import control_app
from reconciler.api.json_body import BODY_MAX
from reconciler.api.serving import (
    REQUEST_S,
    UNIX_PATH_MAX,
    HttpServer,
    Impatient,
    tcp_socket,
    unix_socket,
)
from reconciler.inspection import Inspected, Inspection
from reconciler.keys.server_certificate import server_tls

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

NOW = time.time()


class Zone:
    """Remembers what it was asked; answers with what the test sets."""

    def __init__(self) -> None:
        self.asked: list[tuple[Mapping[str, object], str, str]] = []
        self.refused: list[tuple[int, str]] = []
        self.answer = BootstrapAnswer(200, "{}", "application/json")

    async def bootstrap(
        self, request: Mapping[str, object], host: str, accept: str
    ) -> BootstrapAnswer:
        self.asked.append((request, host, accept))
        return self.answer

    def unreadable(self, status: int, reason: str) -> None:
        self.refused.append((status, reason))


class Plane:
    """A control plane whose `wait` ends when the test says so."""

    def __init__(self) -> None:
        self.arrived, self.waiting, self.left = (asyncio.Event() for _ in range(3))

    def status(self, *, proxies: bool) -> Mapping[str, object]:
        beside = threading.current_thread() is not threading.main_thread()
        return {"role": "zone", "proxies": proxies, "beside the loop": beside}

    async def inspect(self, asked: Inspection) -> Inspected:
        return Inspected(404, error=asked.question.name)

    async def accept(self, commit: str) -> Mapping[str, object]:
        return {"outcome": "refused", "message": commit}

    async def wait(self, commit: str, timeout_s: float) -> Mapping[str, object]:
        self.waiting.set()
        try:
            async with asyncio.timeout(timeout_s):
                await self.arrived.wait()
        except TimeoutError:
            return {"outcome": "timeout"}
        finally:
            self.left.set()
        return {"outcome": "arrived", "commit": commit}


class Hasty(Impatient):
    REQUEST_S = 0.1


@asynccontextmanager
async def bootstrap_port(
    zone: Zone, tls: tuple[Path, Path] | None = None, protocol: type[Impatient] = Impatient
) -> AsyncIterator[int]:
    sock = tcp_socket("127.0.0.1", 0)
    port = int(sock.getsockname()[1])
    server = HttpServer(bootstrap_app(zone), sock, tls, protocol)
    await server.start()
    try:
        yield port
    finally:
        await server.stop()


@asynccontextmanager
async def control(plane: Plane, path: Path) -> AsyncIterator[HttpServer]:
    server = HttpServer(control_app(plane), unix_socket(path))
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


def post(port: int, body: bytes, **headers: str) -> tuple[int, str, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("POST", "/bootstrap", body=body, headers=headers)
        response = connection.getresponse()
        return response.status, response.read().decode(), response.getheader("content-type", "")
    finally:
        connection.close()


async def exchange(port: int, data: bytes) -> bytes:
    """Everything that comes back until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(data)
        async with asyncio.timeout(10):
            return await reader.read()
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


# --- bootstrap ---


async def test_zone_is_asked_with_the_host_the_proxy_used(tmp_path: Path) -> None:
    zone = Zone()
    made = server_tls(tmp_path, "zone", (), NOW)
    files = (tmp_path / "tls" / "cert.pem", tmp_path / "tls" / "key.pem")

    def over_tls(port: int) -> int:
        context = ssl.create_default_context(cadata=made.ca_pem.decode())
        connection = http.client.HTTPSConnection("localhost", port, timeout=10, context=context)
        headers = {"accept": "application/json", "host": f"LOCALHOST:{port}"}
        connection.request("POST", "/bootstrap", body=b'{"name": "web-1"}', headers=headers)
        status = connection.getresponse().status
        connection.close()
        return status

    async with bootstrap_port(zone, files) as port:
        assert await asyncio.to_thread(over_tls, port) == 200
    assert zone.asked == [({"name": "web-1"}, "localhost", "application/json")]


@pytest.mark.parametrize("body", [b"", b"no json", b"[]", b"\xff", b"[" * 100_000, b'"text"'])
async def test_body_that_is_no_object_is_400_and_empty(body: bytes) -> None:
    zone = Zone()
    async with bootstrap_port(zone) as port:
        status, text, _ = await asyncio.to_thread(post, port, body)
    assert (status, text, zone.asked) == (400, "", [])


@pytest.mark.parametrize(
    "answer",
    [
        BootstrapAnswer(422, "mesh: none such"),
        BootstrapAnswer(404),
        BootstrapAnswer(503, "not yet"),
        BootstrapAnswer(200, "node: {}", "text/x-yaml"),
    ],
)
async def test_answer_passes_as_the_zone_gave_it(answer: BootstrapAnswer) -> None:
    zone = Zone()
    zone.answer = answer
    async with bootstrap_port(zone) as port:
        status, text, kind = await asyncio.to_thread(post, port, b"{}")
    assert (status, text) == (answer.status, answer.body)
    assert kind.split(";")[0] == answer.content_type.split(";")[0]


async def test_body_at_the_limit_passes_and_beyond_is_413() -> None:
    zone = Zone()
    frame = len(json.dumps({"x": ""}))
    fits = json.dumps({"x": "a" * (BODY_MAX - frame)}).encode()
    async with bootstrap_port(zone) as port:
        assert (await asyncio.to_thread(post, port, fits))[0] == 200
        assert (await asyncio.to_thread(post, port, fits + b" "))[0] == 413
    assert len(zone.asked) == 1
    assert zone.refused == [(413, f"the request has over {BODY_MAX} bytes")]


async def test_a_body_said_to_be_over_the_limit_is_not_read() -> None:
    zone = Zone()
    async with bootstrap_port(zone) as port, asyncio.timeout(REQUEST_S / 2):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        head = f"POST /bootstrap HTTP/1.1\r\nhost: x\r\ncontent-length: {BODY_MAX + 1}\r\n\r\n"
        writer.write(head.encode())
        assert (await reader.readline()).startswith(b"HTTP/1.1 413")
        writer.close()


@pytest.mark.parametrize("host", ["[", "[::1", "a b", "a:b:c"])
async def test_strange_host_header_is_no_crash(host: str) -> None:
    """The zone then refuses the host in words; a 5xx would be tried again for minutes."""
    zone = Zone()
    async with bootstrap_port(zone) as port:
        status, _, _ = await asyncio.to_thread(post, port, b"{}", host=host)
    assert status < 500


async def test_peer_that_sends_nothing_or_half_is_let_go() -> None:
    zone = Zone()
    head = b"POST /bootstrap HTTP/1.1\r\nhost: localhost\r\n"
    async with bootstrap_port(zone, protocol=Hasty) as port:
        assert await exchange(port, b"") == b""
        assert await exchange(port, head) == b""
        assert await exchange(port, head + b"content-length: 100\r\n\r\n{") == b""
    assert zone.asked == []


async def test_second_request_of_a_connection_has_the_same_time() -> None:
    zone = Zone()
    head = b"POST /bootstrap HTTP/1.1\r\nhost: localhost\r\n"
    async with bootstrap_port(zone, protocol=Hasty) as port, asyncio.timeout(10):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head + b"content-length: 2\r\n\r\n{}")
        assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
        await reader.readuntil(b"\r\n\r\n{}")
        writer.write(head)
        with suppress(ConnectionResetError):
            assert await reader.read() == b""
        writer.close()
    assert len(zone.asked) == 1


async def test_slow_answer_is_not_taken_for_a_slow_request(tmp_path: Path) -> None:
    """Only the peer's part has a limit: `wait` answers after minutes."""
    plane = Plane()
    server = HttpServer(control_app(plane), unix_socket(tmp_path / "s"), protocol=Hasty)
    await server.start()
    asked = asyncio.create_task(
        asyncio.to_thread(ask, tmp_path / "s", "/wait?commit=abc&timeout=0.5", timeout_s=10)
    )
    assert await asked == {"outcome": "timeout"}
    await server.stop()


# --- control socket ---


async def test_status_and_wait_answer_on_the_socket(tmp_path: Path) -> None:
    plane = Plane()
    path = tmp_path / "control.sock"
    async with control(plane, path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        found = await asyncio.to_thread(ask, path, "/status?proxies=1", timeout_s=10)
        assert found == {"role": "zone", "proxies": True, "beside the loop": True}
        asked = asyncio.to_thread(ask, path, "/wait?commit=abc&timeout=30", timeout_s=10)
        task = asyncio.create_task(asked)
        async with asyncio.timeout(10):
            await plane.waiting.wait()
        plane.arrived.set()
        assert await task == {"outcome": "arrived", "commit": "abc"}


async def test_wait_ends_when_nobody_waits_any_more(tmp_path: Path) -> None:
    plane = Plane()
    path = tmp_path / "control.sock"
    async with control(plane, path):
        _, writer = await asyncio.open_unix_connection(path)
        writer.write(b"GET /wait?commit=abc&timeout=3600 HTTP/1.1\r\nhost: localhost\r\n\r\n")
        async with asyncio.timeout(10):
            await plane.waiting.wait()
            writer.close()
            await plane.left.wait()


async def test_stop_lets_a_waiting_client_go_in_time(tmp_path: Path) -> None:
    plane = Plane()
    path = tmp_path / "control.sock"
    async with control(plane, path) as server:
        asked = asyncio.create_task(
            asyncio.to_thread(ask, path, "/wait?commit=abc&timeout=3600", timeout_s=30)
        )
        async with asyncio.timeout(10):
            await plane.waiting.wait()
            await server.stop()
            with pytest.raises(ControlError):
                await asked


@pytest.mark.parametrize(
    "target",
    ["/wait", "/wait?commit=", "/wait?commit=a&timeout=x", "/wait?commit=a&timeout=nan",
     "/wait?commit=a&timeout=-1", "/wait?commit=a&timeout=1e9"],
)  # fmt: skip
async def test_wait_for_nothing_or_for_ever_is_refused(tmp_path: Path, target: str) -> None:
    async with control(Plane(), tmp_path / "s"):
        with pytest.raises(ControlError, match="wait needs a commit"):
            await asyncio.to_thread(ask, tmp_path / "s", target, timeout_s=10)


async def test_nobody_there_is_said_in_words(tmp_path: Path) -> None:
    with pytest.raises(ControlError, match="is it running with this state directory"):
        ask(tmp_path / "control.sock", "/status", timeout_s=1)
    unix_socket(tmp_path / "control.sock").close()  # As after kill -9: the file is left.
    with pytest.raises(ControlError, match="does not answer"):
        ask(tmp_path / "control.sock", "/status", timeout_s=1)


async def test_socket_file_of_a_killed_process_is_taken_over(tmp_path: Path) -> None:
    unix_socket(tmp_path / "s").close()
    async with control(Plane(), tmp_path / "s"):
        found = await asyncio.to_thread(ask, tmp_path / "s", "/status", timeout_s=10)
        assert found["role"] == "zone"


def test_path_too_long_for_a_socket_says_which_option(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="choose a shorter --state-dir"):
        unix_socket(tmp_path / ("x" * UNIX_PATH_MAX))


def test_taken_port_is_named() -> None:
    with tcp_socket("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=f"cannot listen on 127.0.0.1:{port}"):
            tcp_socket("127.0.0.1", port)


async def test_signals_stay_with_the_process(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    async with control(Plane(), tmp_path / "s"):
        assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before
