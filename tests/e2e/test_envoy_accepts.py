"""Real Envoy reads what the builders make: every shape is accepted, and does what it is for.

The first half hands exactly the built resources to `envoy --mode validate`, in a bootstrap encoded
by the same encoder. The second runs an Envoy with routes and the admin listener and asks it.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from envoy_data_plane.envoy.config.bootstrap.v3 import (
    Bootstrap,
    BootstrapDynamicResources,
    BootstrapStaticResources,
)
from envoy_data_plane.envoy.config.cluster.v3 import Cluster, ClusterDiscoveryType
from envoy_data_plane.envoy.config.core.v3 import (
    ApiConfigSource,
    ApiConfigSourceApiType,
    ApiVersion,
    GrpcService,
    GrpcServiceEnvoyGrpc,
    Node,
)
from envoy_data_plane.envoy.config.endpoint.v3 import ClusterLoadAssignment
from envoy_data_plane.envoy.config.listener.v3 import Listener
from envoy_data_plane.envoy.extensions.transport_sockets.tls.v3 import Secret

from tests.support import xds_inputs as inputs
from tests.support.applications import served
from tests.support.real_envoy import application, envoy, envoy_binary, free_port
from tests.support.xds_inputs import exact, outbound, prefix, regex, route, to
from xds import names
from xds.build.clusters import build_cluster
from xds.build.endpoints import build_endpoints
from xds.build.listeners import build_listener
from xds.build.secrets import ca_secret, identity_secret
from xds.message import encode
from xds.readable import readable
from xds.route import (
    HeaderModifier,
    MatchKind,
    PathRewrite,
    Redirect,
    Rewrite,
    RouteMatch,
    ValueMatch,
)
from xds.view import (
    AdminListener,
    ClusterInput,
    DirectCluster,
    DynamicConfigListener,
    ListenerInput,
    LocalCluster,
    PipeCluster,
    Protocol,
)
from xds.wire import entry_body

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from xds.resource import XdsResource

pytestmark = [pytest.mark.e2e, pytest.mark.filterwarnings("ignore::DeprecationWarning")]


# --- every shape is accepted ---

# Without names and with TLS by SDS, in its own bootstrap Envoy 1.40 crashes over it; not over one
# that comes by ADS.
STATIC = tuple(each for each in inputs.EVERY_CLUSTER if not isinstance(each, DirectCluster))


def bootstrap(
    *,
    clusters: tuple[ClusterInput, ...] = (),
    listeners: tuple[ListenerInput, ...] = (),
    endpoints: tuple[ClusterLoadAssignment, ...] = (),
    secrets: tuple[XdsResource, ...] = (),
) -> Bootstrap:
    """The built resources as static ones; ADS is there, so that they may refer to it."""
    ads = Cluster(name="ads", type=ClusterDiscoveryType.STATIC)
    grpc = GrpcService(envoy_grpc=GrpcServiceEnvoyGrpc(cluster_name="ads"))
    found = [ads]
    found += [Cluster().parse(_body(build_cluster(each))) for each in clusters]
    found += [
        Cluster(
            name=f"holds {each.cluster_name}",
            type=ClusterDiscoveryType.STATIC,
            load_assignment=each,
        )
        for each in endpoints
    ]
    return Bootstrap(
        node=Node(id="default.tried", cluster="tried"),
        static_resources=BootstrapStaticResources(
            clusters=found,
            listeners=[Listener().parse(_body(build_listener(each))) for each in listeners],
            secrets=[Secret().parse(_body(each)) for each in secrets],
        ),
        dynamic_resources=BootstrapDynamicResources(
            ads_config=ApiConfigSource(
                api_type=ApiConfigSourceApiType.DELTA_GRPC,
                transport_api_version=ApiVersion.V3,
                grpc_services=[grpc],
            )
        ),
    )


def _body(made: XdsResource) -> bytes:
    return entry_body(made.entry)[1]


def validate(config: Bootstrap, folder: Path) -> str:
    """Envoy's complaint; empty when it accepts."""
    file = folder / "bootstrap.pb"
    file.write_bytes(encode(config))
    command = [envoy_binary(), "--mode", "validate", "-c", str(file), "-l", "error"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return "" if done.returncode == 0 else done.stderr + done.stdout


def _label(argument: ClusterInput | ListenerInput) -> str:
    tls = getattr(argument, "tls", None)
    mode = "plain" if tls is None else "permissive" if getattr(tls, "permissive", 0) else "tls"
    size = len(getattr(argument, "routes", getattr(argument, "chains", ())))
    return f"{type(argument).__name__}-{getattr(argument, 'protocol', '')}-{mode}-{size}"


def _elsewhere(argument: ListenerInput, name: str, port: int) -> ListenerInput:
    if isinstance(argument, DynamicConfigListener):  # on a socket of its own
        return replace(argument, name=name)
    return replace(argument, name=name, port=port)


def test_envoy_accepts_every_listener(tmp_path: Path) -> None:
    """All in one process, each under a name that a complaint quotes."""
    apart = tuple(
        _elsewhere(argument, f"{index} {_label(argument)}", 20_000 + index)
        for index, argument in enumerate(inputs.EVERY_LISTENER)
    )
    config = bootstrap(clusters=STATIC, listeners=apart)
    assert validate(config, tmp_path) == ""


def test_envoy_accepts_every_cluster_and_assignment(tmp_path: Path) -> None:
    assignments = tuple(
        ClusterLoadAssignment().parse(_body(build_endpoints(each)))
        for each in inputs.EVERY_ENDPOINTS
    )
    config = bootstrap(clusters=STATIC, endpoints=assignments)
    assert validate(config, tmp_path) == ""


def test_envoy_accepts_secrets(tmp_path: Path) -> None:
    chain, key = _certificate()
    secrets = identity_secret(inputs.IDENTITY, chain, key), ca_secret(inputs.CA, chain)
    strict = inputs.inbound(Protocol.HTTP, inputs.STRICT)
    assert validate(bootstrap(listeners=(strict,), secrets=secrets), tmp_path) == ""


def test_envoy_says_no_to_what_is_wrong(tmp_path: Path) -> None:
    """So an empty answer above means something."""
    same = replace(inputs.SNI_LISTENER, chains=(inputs.CHAINS[0], inputs.CHAINS[0]))
    config = bootstrap(clusters=STATIC, listeners=(same,))
    assert "filter chain" in validate(config, tmp_path)


def test_envoy_takes_server_names_that_differ_in_case_only_for_equal(tmp_path: Path) -> None:
    """Why the ingress has one chain for them: of two, the whole listener would be refused."""
    upper = replace(inputs.CHAINS[0], sni=inputs.CHAINS[0].sni.upper())
    alone = replace(inputs.SNI_LISTENER, chains=(upper,))
    assert validate(bootstrap(clusters=STATIC, listeners=(alone,)), tmp_path) == ""
    both = replace(inputs.SNI_LISTENER, chains=(upper, inputs.CHAINS[0]))
    config = bootstrap(clusters=STATIC, listeners=(both,))
    assert "overlapping matching rules" in validate(config, tmp_path)


def _certificate() -> tuple[bytes, bytes]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tried")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(now - timedelta(minutes=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return certificate.public_bytes(pem), private


# --- and does what it is for ---


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: str


async def ask(port: int, path: str, method: str = "GET", **headers: str) -> Answer:
    """One request on its own connection; header names in `headers` use `_` for `-`."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    lines = [f"{method} {path} HTTP/1.1", "host: test", "connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
    try:
        async with asyncio.timeout(10):
            head = (await reader.readuntil(b"\r\n\r\n")).decode().strip()
            first, *rest = head.split("\r\n")
            found = {name: value for name, _, value in (line.partition(": ") for line in rest)}
            # An answer of Envoy's own keeps the connection a second longer than it needs.
            chunked = "transfer-encoding" in found
            body = await (reader.read() if chunked else reader.readexactly(_size(found)))
    finally:
        writer.close()
    return Answer(int(first.split()[1]), found, body.decode())


def _size(headers: dict[str, str]) -> int:
    return int(headers.get("content-length", "0"))


@asynccontextmanager
async def echo() -> AsyncIterator[int]:
    """An application that answers with the head of the request it saw, as JSON."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        first, *rest = head.strip().split("\r\n")
        seen = {"path": first.split()[1], **dict(line.split(": ", 1) for line in rest)}
        body = json.dumps(seen).encode()
        head = f"HTTP/1.1 200 OK\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
        writer.write(head.encode() + body)
        await writer.drain()

    async with served(answer) as port:
        yield port


def static(
    folder: Path, *, clusters: tuple[ClusterInput, ...], listeners: tuple[ListenerInput, ...]
) -> str:
    """A bootstrap text with an admin interface on a socket in `folder`."""
    found = {
        "admin": {"address": {"pipe": {"path": str(folder / "admin.sock")}}},
        "static_resources": {
            "clusters": [readable(build_cluster(each)) for each in clusters],
            "listeners": [readable(build_listener(each)) for each in listeners],
        },
    }
    return json.dumps(found)


ROUTES = (
    route(
        match=RouteMatch(exact("/matched"), "POST", (ValueMatch(MatchKind.ABSENT, "x-no"),)),
        clusters=to("other"),
    ),
    route(
        match=RouteMatch(exact("/matched"), query=(ValueMatch(MatchKind.EXACT, "q", "1"),)),
        filters=(HeaderModifier(True, (("x-set", "new"),), (), ("x-gone",)),),
    ),
    route(exact("/old"), clusters=(), filters=(Redirect(None, None, None, None, 302),)),
    route(
        prefix("/moved"),
        clusters=(),
        filters=(Redirect("https", "new.example", 8443, PathRewrite(prefix="/new"), 308),),
    ),
    route(prefix("/v1"), filters=(Rewrite("v2.example", PathRewrite(prefix="/v2")),)),
    route(prefix("/strip"), filters=(Rewrite(None, PathRewrite(prefix="/")),)),
    route(regex("/item/[0-9]+"), filters=(Rewrite(None, PathRewrite(full="/items")),)),
    route(filters=(HeaderModifier(False, (("x-answer", "yes"),)),)),
)


async def test_routes_do_what_they_say(tmp_path: Path) -> None:
    port = free_port()
    async with echo() as backend, application("other") as other:
        clusters = (
            LocalCluster("backend", "127.0.0.1", backend, Protocol.HTTP),
            LocalCluster("other", "127.0.0.1", other, Protocol.HTTP),
        )
        listener = replace(outbound(Protocol.HTTP, ROUTES), port=port)
        text = static(tmp_path, clusters=clusters, listeners=(listener,))
        async with envoy(text, tmp_path, drain_s=1):
            await _answers(port, "/")
            assert await _paths(port) == {
                "/v1": "/v2",
                "/v1/": "/v2/",
                "/v1/x?a=b": "/v2/x?a=b",
                "/v1x": "/v1x",
                "/strip": "/",
                "/strip/x": "/x",
                "/item/7": "/items",
                "/item/7?a=b": "/items?a=b",
                "/item/7/x": "/item/7/x",
                "/a/../b": "/b",
            }
            await _matches(port)
            await _redirects(port)


async def _answers(port: int, path: str) -> None:
    async with asyncio.timeout(20):
        while True:
            try:
                if (await ask(port, path)).status == 200:
                    return
            except (OSError, EOFError):
                pass
            await asyncio.sleep(0.02)  # A process that starts has no other signal.


async def _paths(port: int) -> dict[str, str]:
    """Path asked for -> path the application saw."""
    asked = "/v1 /v1/ /v1/x?a=b /v1x /strip /strip/x /item/7 /item/7?a=b /item/7/x /a/../b"
    return {path: json.loads((await ask(port, path)).body)["path"] for path in asked.split()}


async def _matches(port: int) -> None:
    assert (await ask(port, "/matched", "POST", content_length="0")).body == "other"
    guarded = await ask(port, "/matched", "POST", content_length="0", x_no="1")
    assert guarded.headers["x-answer"] == "yes"
    seen = json.loads((await ask(port, "/matched?q=1", x_gone="1", x_set="old")).body)
    assert (seen["x-set"], "x-gone" in seen) == ("new", False)
    assert "x-answer" in (await ask(port, "/matched?q=2")).headers
    assert json.loads((await ask(port, "/v1")).body)["host"] == "v2.example"


async def _redirects(port: int) -> None:
    for path, status, location in (
        ("/old", 302, "http://test/old"),
        ("/moved", 308, "https://new.example:8443/new"),
        ("/moved/x?a=b", 308, "https://new.example:8443/new/x?a=b"),
    ):
        answer = await ask(port, path)
        assert (answer.status, answer.headers["location"]) == (status, location)


async def test_the_admin_listener_lets_nothing_but_ready_through(tmp_path: Path) -> None:
    """Anyone can reach it, and Envoy's admin interface can be told to quit."""
    port = free_port()
    pipe = PipeCluster(names.ADMIN_CLUSTER, str(tmp_path / "admin.sock"))
    listener = AdminListener(names.ADMIN_LISTENER, "127.0.0.1", port, names.ADMIN_CLUSTER)
    text = static(tmp_path, clusters=(pipe,), listeners=(listener,))
    async with envoy(text, tmp_path, drain_s=1) as process:
        await _answers(port, "/ready")
        for path in (
            "/",
            "/config_dump",
            "/quitquitquit",
            "/ready/",
            "/ready/../config_dump",
            "/ready%2f..%2fconfig_dump",
            "//config_dump",
            "/readyz",
        ):
            for method in ("GET", "POST"):
                found = await ask(port, path, method, content_length="0")
                assert found.status == 404, path
                assert "configs" not in found.body
        found = await ask(port, "/ready?x=/config_dump")
        assert "LIVE" in found.body  # chunked
        assert process.returncode is None
