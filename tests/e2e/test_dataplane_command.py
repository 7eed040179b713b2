"""`reconciler dataplane` against a zone's bootstrap port over TLS, with a real Envoy."""

from __future__ import annotations

import asyncio
import base64
import http.client
import json
import os
import signal
import stat
import sys
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from reconciler import dataplane
from reconciler.api.bootstrap_server import BootstrapAnswer, bootstrap_app
from reconciler.api.client import UnixConnection
from reconciler.api.serving import HttpServer, tcp_socket
from reconciler.dataplane import (
    Again,
    DataplaneOptions,
    Fatal,
    Program,
    bootstrap_request,
    bootstrap_with_retry,
    default_workdir,
    envoy_build,
    fetch_bootstrap,
    of_this_host,
    with_admin_port,
)
from reconciler.keys.server_certificate import server_tls
from reconciler.redirected import Redirected
from tests.support.dns import ask
from tests.support.real_envoy import free_port
from xds.build.listeners import build_listener
from xds.readable import readable
from xds.view import DnsListener

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(90)]
DOCUMENT = {
    "type": "Dataplane",
    "mesh": "default",
    "name": "web-1",
    "networking": {"address": "127.0.0.1", "inbound": [{"port": 80, "tags": {"a": "b"}}]},
}
TOKEN = "aa.bb.cc"


class Zone:
    """A zone's bootstrap port that answers what the test says, several answers in turn."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.asked: list[Mapping[str, object]] = []
        self.answers = [BootstrapAnswer(200, "{}")]
        self.address = ""

    async def bootstrap(
        self, request: Mapping[str, object], host: str, accept: str
    ) -> BootstrapAnswer:
        self.asked.append({**request, "(host)": host, "(accept)": accept})
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    def unreadable(self, status: int, reason: str) -> None:
        raise AssertionError(reason)

    @property
    def ca_file(self) -> Path:
        return self.folder / "tls" / "ca.pem"

    def options(self, **changed: object) -> DataplaneOptions:
        given: dict[str, object] = {
            "document": DOCUMENT,
            "zone_address": self.address,
            "token": TOKEN,
            "workdir": self.folder / "proxy",
            "ca_file": self.ca_file,
        }
        return DataplaneOptions(**{**given, **changed})  # type: ignore[arg-type]


@asynccontextmanager
async def serving(zone: Zone) -> AsyncIterator[Zone]:
    server_tls(zone.folder, "zone", (), time.time())
    sock = tcp_socket("127.0.0.1", 0)
    zone.address = f"https://127.0.0.1:{sock.getsockname()[1]}"
    tls = zone.folder / "tls"
    server = HttpServer(bootstrap_app(zone), sock, (tls / "cert.pem", tls / "key.pem"))
    await server.start()
    try:
        yield zone
    finally:
        await server.stop()


@pytest.fixture
async def zone(tmp_path: Path) -> AsyncIterator[Zone]:
    async with serving(Zone(tmp_path)) as made:
        yield made


def ok(bootstrap: object) -> BootstrapAnswer:
    text = base64.b64encode(json.dumps(bootstrap).encode()).decode()
    return BootstrapAnswer(200, json.dumps({"bootstrap": text}), "application/json")


def test_envoy_that_this_user_may_not_run_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = tmp_path / "envoy"
    closed.touch(mode=0o600)
    monkeypatch.setattr(dataplane, "find_envoy", lambda: closed)
    with pytest.raises(Fatal, match=f"may not run {closed}"):
        dataplane.run(Zone(tmp_path).options(ca_file=None), lambda _: None)


# --- asking ---


async def test_request_is_what_a_zone_of_kuma_expects(zone: Zone) -> None:
    zone.answers = [ok({"node": {"id": "x"}})]
    text = await asyncio.to_thread(fetch_bootstrap, zone.options())
    assert json.loads(text) == {"node": {"id": "x"}}
    (asked,) = zone.asked
    assert asked["(host)"] == "127.0.0.1"
    assert asked["(accept)"] == "application/json"
    assert (asked["mesh"], asked["name"], asked["proxyType"]) == ("default", "web-1", "dataplane")
    assert json.loads(str(asked["dataplaneResource"])) == DOCUMENT
    assert asked["dataplaneToken"] == TOKEN
    assert asked["caCert"] == zone.ca_file.read_text()
    assert {"feature-delta-grpc", "feature-reuse-port"} <= set(asked["features"])  # type: ignore[call-overload]


async def test_zone_is_told_what_is_redirected_and_what_answers_probes(zone: Zone) -> None:
    zone.answers = [ok({})]
    redirected = Redirected(
        outbound_port=1, inbound_port=2, dns_port=3, envoy_dns_port=4, family="ipv4"
    )
    options = zone.options(redirected=redirected, probe_proxy_port=9000)
    await asyncio.to_thread(fetch_bootstrap, options)
    await asyncio.to_thread(fetch_bootstrap, zone.options())
    told, plain = zone.asked
    assert told["dataplaneConfig"] == {
        "ipFamilyMode": "ipv4",
        "redirect": {
            "inbound": {"enabled": True, "port": 2},
            "outbound": {"enabled": True, "port": 1},
            "dns": {"enabled": True, "port": 4},
        },
    }
    assert (told["dnsPort"], told["appProbeProxyDisabled"]) == (4, True)  # its name is inverted
    new = {"feature-transparent-proxy-in-dataplane-metadata"}
    assert set(told["features"]) - set(plain["features"]) == new  # type: ignore[call-overload]
    assert not {"dataplaneConfig", "dnsPort", "appProbeProxyDisabled"} & set(plain)


def test_a_kernel_without_ipv6_redirects_ipv4_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    assert of_this_host(Redirected()) == Redirected()

    def none_of_ipv6(*_: object) -> None:
        raise OSError("Address family not supported by protocol")

    monkeypatch.setattr("socket.socket", none_of_ipv6)
    assert of_this_host(Redirected(dns_port=1)) == Redirected(dns_port=1, family="ipv4")


def test_nothing_is_redirected_to_a_zone_proxy(tmp_path: Path) -> None:
    document = {"type": "ZoneIngress", "name": "in", "networking": {"address": "127.0.0.1"}}
    options = Zone(tmp_path).options(ca_file=None, document=document, redirected=Redirected())
    with pytest.raises(Fatal, match="leave out --transparent-proxy"):
        bootstrap_request(options)


@pytest.mark.parametrize(
    ("says", "version"),
    [
        ("envoy  version: 9e55/1.40.0/Clean/RELEASE/BoringSSL", "1.40.0"),
        ("envoy  version: unknown", None),
        ("", None),
    ],
)
def test_envoys_version_is_told_where_it_says_one(
    tmp_path: Path, says: str, version: str | None
) -> None:
    envoy = tmp_path / "envoy"
    envoy.write_text(f"#!/bin/sh\necho; echo '{says}'\n")
    envoy.chmod(0o755)
    options = Zone(tmp_path).options(ca_file=None, envoy_build=envoy_build(Program(envoy)))
    told = json.loads(json.dumps(bootstrap_request(options)))["version"]
    assert told.get("envoy", {}).get("version") == version
    assert envoy_build(Program(tmp_path / "none")) == ""


async def test_zone_proxy_is_of_no_mesh(zone: Zone) -> None:
    zone.answers = [ok({})]
    document = {"type": "ZoneIngress", "name": "in", "networking": {"address": "127.0.0.1"}}
    await asyncio.to_thread(fetch_bootstrap, zone.options(document=document))
    assert (zone.asked[0]["mesh"], zone.asked[0]["proxyType"]) == ("", "ingress")
    assert "mesh" not in json.loads(str(zone.asked[0]["dataplaneResource"]))


@pytest.mark.parametrize(
    ("answer", "again"),
    [
        (BootstrapAnswer(404), True),
        (BootstrapAnswer(404, "404: Page Not Found"), True),
        (BootstrapAnswer(404, "no such page"), False),
        (BootstrapAnswer(500, "sorry"), True),
        (BootstrapAnswer(503, "not yet"), True),
        (BootstrapAnswer(400), False),
        (BootstrapAnswer(401, "who are you"), False),
        (BootstrapAnswer(422, "mesh: none such"), False),
        (BootstrapAnswer(200, "no json"), False),
        (BootstrapAnswer(200, "[]"), False),
        (BootstrapAnswer(200, '{"bootstrap": null}'), False),
        (BootstrapAnswer(200, '{"bootstrap": "!!"}'), False),
    ],
)
async def test_codes_decide_whether_to_try_again(
    zone: Zone, answer: BootstrapAnswer, again: bool
) -> None:
    zone.answers = [answer]
    with pytest.raises(Again if again else Fatal) as raised:
        await asyncio.to_thread(fetch_bootstrap, zone.options())
    if answer.status != 200:
        assert answer.body in str(raised.value)


async def test_zone_of_another_ca_gets_no_token(zone: Zone, tmp_path: Path) -> None:
    """It may be the wrong one for a moment only, so it is tried again, as kuma-dp does."""
    (tmp_path / "other").mkdir()
    server_tls(tmp_path / "other", "other", (), time.time())
    ca_file = tmp_path / "other" / "tls" / "ca.pem"
    with pytest.raises(Again, match="CERTIFICATE_VERIFY_FAILED"):
        await asyncio.to_thread(fetch_bootstrap, zone.options(ca_file=ca_file))
    assert zone.asked == []


async def test_zone_that_comes_late_is_waited_for(
    zone: Zone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dataplane, "RETRY_S", 0.01)
    zone.answers = [BootstrapAnswer(503, "not yet"), BootstrapAnswer(404), ok({"late": True})]
    reports: list[str] = []
    text = await asyncio.to_thread(bootstrap_with_retry, zone.options(), reports.append)
    assert json.loads(text) == {"late": True}
    assert [("trying again" in line) for line in reports] == [True, True]
    assert "not yet" in reports[0]


async def test_patience_ends(zone: Zone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dataplane, "RETRY_S", 0.01)
    monkeypatch.setattr(dataplane, "RETRY_MAX_S", 0.05)
    zone.answers = [BootstrapAnswer(503, "never")]
    with pytest.raises(Fatal, match=r"no bootstrap within .* never"):
        await asyncio.to_thread(bootstrap_with_retry, zone.options(), lambda _: None)


@pytest.mark.parametrize(
    "address",
    ["", "localhost:5678", "http://localhost:5678", "https://", "https://h:x", "https://h:99999"],
)
def test_address_that_is_none_is_said_at_once(tmp_path: Path, address: str) -> None:
    with pytest.raises(Fatal, match="--zone-address must be https://host:port"):
        fetch_bootstrap(Zone(tmp_path).options(zone_address=address, ca_file=None))


@pytest.mark.parametrize("content", [None, b"", b"no certificate"])
def test_ca_file_that_is_none_is_named(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_bytes(content)
    options = Zone(tmp_path).options(zone_address="https://localhost:1", ca_file=file)
    with pytest.raises(Fatal, match=str(file)):
        fetch_bootstrap(options)


# --- the folder of its own ---


def test_default_folder_that_another_user_could_change_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    folder = default_workdir("web-1")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert default_workdir("web-1") == folder
    folder.parent.chmod(0o777)
    with pytest.raises(Fatal, match="open to other users"):
        default_workdir("web-1")
    folder.parent.chmod(0o700)
    folder.rmdir()
    folder.symlink_to(tmp_path)
    with pytest.raises(Fatal, match="open to other users"):
        default_workdir("web-1")


@pytest.mark.parametrize("name", ["", "../x", "a/b", "A"])
def test_name_is_no_path(name: str) -> None:
    with pytest.raises(Fatal, match="not the name of a proxy"):
        default_workdir(name)


def test_admin_port_of_the_command_line_wins() -> None:
    document = {"networking": {"address": "x", "admin": {"port": 1}}}
    assert with_admin_port(document, 2) == {"networking": {"address": "x", "admin": {"port": 2}}}
    with pytest.raises(Fatal, match="no networking"):
        with_admin_port({}, 2)


# --- running ---


def command(zone: Zone, token: str = TOKEN) -> list[str]:
    file, token_file = zone.folder / "dp.yaml", zone.folder / "token"
    file.write_text(json.dumps(DOCUMENT))
    token_file.write_text(f"{token}\n")
    return [
        sys.executable, "-m", "reconciler.cli.main", "dataplane", "--file", str(file),
        "--token-file", str(token_file), "--zone-address", zone.address,
        "--ca-file", str(zone.ca_file), "--workdir", str(zone.folder / "proxy"),
    ]  # fmt: skip


async def ended(process: asyncio.subprocess.Process) -> tuple[int, str]:
    async with asyncio.timeout(60):
        _, errors = await process.communicate()
    assert process.returncode is not None
    return process.returncode, errors.decode()


def admin(path: Path) -> tuple[int, str]:
    connection = UnixConnection(path, 5.0)
    try:
        connection.request("GET", "/ready")
        response = connection.getresponse()
        return response.status, response.read().decode().strip()
    except (OSError, http.client.HTTPException):
        return 0, ""
    finally:
        connection.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_envoy_runs_from_the_bootstrap_and_ends_with_the_command(
    zone: Zone, number: signal.Signals
) -> None:
    pipe = zone.folder / "proxy" / "kuma-envoy-admin.sock"
    zone.answers = [ok({"admin": {"address": {"pipe": {"path": str(pipe)}}}})]
    process = await asyncio.create_subprocess_exec(*command(zone), stderr=asyncio.subprocess.PIPE)
    assert process.stderr is not None
    async with asyncio.timeout(60):
        line = (await process.stderr.readline()).decode()
        envoy = int(line.rpartition(" ")[2])
        while await asyncio.to_thread(admin, pipe) != (200, "LIVE"):  # noqa: ASYNC110 - a process
            await asyncio.sleep(0.05)
    assert stat.S_IMODE((zone.folder / "proxy" / "bootstrap.yaml").stat().st_mode) == 0o600
    process.send_signal(number)
    code, _ = await ended(process)
    assert code == 0
    with pytest.raises(ProcessLookupError):
        os.kill(envoy, 0)


async def test_probes_are_answered_as_long_as_envoy_runs(zone: Zone) -> None:
    pipe = zone.folder / "proxy" / "kuma-envoy-admin.sock"
    zone.answers = [ok({"admin": {"address": {"pipe": {"path": str(pipe)}}}})]
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        *command(zone), "--application-probe-proxy-port", str(port), stderr=asyncio.subprocess.PIPE
    )
    assert process.stderr is not None
    async with asyncio.timeout(60):
        await process.stderr.readline()  # Envoy runs.
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET /tcp/{port} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
    assert (await reader.read()).endswith(b"\r\n\r\nHEALTHY\n")
    writer.close()
    process.terminate()
    assert (await ended(process))[0] == 0
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)


async def test_names_are_answered_as_long_as_envoy_runs(zone: Zone) -> None:
    """Those of the mesh from what Envoy says; where the port is taken nothing runs."""
    pipe, port, behind = zone.folder / "admin.sock", free_port(), free_port()
    records = (("backend.mesh", ("240.0.0.0",)),)
    listener = DnsListener("kuma:dns", "127.0.0.1", behind, records)
    zone.answers = [
        ok(
            {
                "admin": {"address": {"pipe": {"path": str(pipe)}}},
                "static_resources": {"listeners": [readable(build_listener(listener))]},
            }
        )
    ]
    redirected = ["--transparent-proxy", "--redirect-outbound-port", "off"]
    ports = ["--redirect-dns-port", str(port), "--envoy-dns-port", str(behind)]
    ports += ["--dns-address", "127.0.0.9"]  # as the bridge of containers
    start = [*command(zone), *redirected, *ports]
    process = await asyncio.create_subprocess_exec(*start, stderr=asyncio.subprocess.PIPE)
    async with asyncio.timeout(60):
        while not await _names(port, "BACKEND.mesh"):  # noqa: ASYNC110 - a process
            await asyncio.sleep(0.05)
    assert (await ask(port, "backend.mesh", host="127.0.0.9")).addresses == ["240.0.0.0"]
    second = await asyncio.create_subprocess_exec(*start, stderr=asyncio.subprocess.PIPE)
    code, errors = await ended(second)
    assert code == 2
    assert f"cannot answer names on port {port}: Address already in use" in errors
    process.terminate()
    assert (await ended(process))[0] == 0
    with pytest.raises(ConnectionRefusedError):
        await ask(port, "backend.mesh")


async def _names(port: int, name: str) -> list[str]:
    try:
        return (await ask(port, name)).addresses
    except OSError:
        return []


async def test_bootstrap_that_envoy_refuses_ends_with_its_code(zone: Zone) -> None:
    zone.answers = [ok({"admin": {"address": {"nonsense": 1}}})]
    process = await asyncio.create_subprocess_exec(*command(zone), stderr=asyncio.subprocess.PIPE)
    code, errors = await ended(process)
    assert code == 1
    assert "nonsense" in errors


async def test_refusal_is_printed_and_ends_at_once(zone: Zone) -> None:
    zone.answers = [BootstrapAnswer(422, 'mesh: mesh "default" does not exist')]
    process = await asyncio.create_subprocess_exec(*command(zone), stderr=asyncio.subprocess.PIPE)
    code, errors = await ended(process)
    assert code == 2
    assert 'mesh "default" does not exist' in errors
    assert len(zone.asked) == 1


async def test_file_without_a_token_asks_nobody(zone: Zone) -> None:
    process = await asyncio.create_subprocess_exec(
        *command(zone, token="not a token"), stderr=asyncio.subprocess.PIPE
    )
    code, errors = await ended(process)
    assert code == 2
    assert "holds no token" in errors
    assert zone.asked == []


async def test_command_needs_neither_grpc_nor_the_types_of_envoy(tmp_path: Path) -> None:
    program = (
        "import sys, reconciler.dataplane, reconciler.cli.dataplane\n"
        "print([m for m in ('grpc', 'envoy_data_plane', 'starlette', 'uvicorn', 'cryptography') "
        "if m in sys.modules])"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    assert output.strip() == b"[]"
