"""Who may call, asked of a real Envoy: certificates here name several URIs, as this mesh's do."""

from __future__ import annotations

import asyncio
import json
import ssl
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from reconciler.policies.effect import InboundPlace
from reconciler.policies.inbound_match import InboundMatch
from reconciler.policies.mesh_traffic_permission import NamedRule, PermissionRule, allows
from reconciler.policies.mesh_traffic_permission_hooks import EFFECT
from tests.support import xds_inputs as inputs
from tests.support.real_envoy import application, envoy, free_port
from xds.build.clusters import build_cluster
from xds.build.listeners import build_listener
from xds.hooks import Applied
from xds.readable import readable
from xds.view import LocalCluster, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

pytestmark = [pytest.mark.e2e, pytest.mark.filterwarnings("ignore::DeprecationWarning")]

EVERYBODY = InboundMatch(spiffe_prefix="spiffe://default/")
# By name, the URIs of a caller's certificate: one a service, then one a tag.
CALLERS: Mapping[str, tuple[str, ...]] = {
    "web": ("spiffe://default/web", "kuma://kuma.io/service/web", "kuma://version/v1"),
    "webshop": ("spiffe://default/webshop", "kuma://kuma.io/service/webshop"),
    "two": (
        "spiffe://default/shop",
        "spiffe://default/web",
        "kuma://kuma.io/service/shop",
        "kuma://kuma.io/service/web",
    ),
    "alone": ("spiffe://default/web",),
    "foreign": ("kuma://x/spiffe://default/web", "spiffe://default/w.b"),
}


@dataclass(frozen=True)
class Authority:
    folder: Path
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @classmethod
    def create(cls, folder: Path) -> Authority:
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = _builder("ca", "ca", key).add_extension(
            x509.BasicConstraints(ca=True, path_length=None), critical=True
        )
        made = cls(folder, key, certificate.sign(key, hashes.SHA256()))
        (folder / "ca.pem").write_bytes(made.certificate.public_bytes(serialization.Encoding.PEM))
        return made

    def issue(self, name: str, uris: tuple[str, ...]) -> None:
        """`name`.pem and `name`.key in the folder."""
        key = ec.generate_private_key(ec.SECP256R1())
        sans = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri) for uri in uris])
        builder = _builder("", "ca", key).add_extension(sans, critical=True)
        pem = serialization.Encoding.PEM
        certificate = builder.sign(self.key, hashes.SHA256())
        (self.folder / f"{name}.pem").write_bytes(certificate.public_bytes(pem))
        private = key.private_bytes(
            pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        (self.folder / f"{name}.key").write_bytes(private)


def _builder(subject: str, issuer: str, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(_name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=1))
        .not_valid_after(now + timedelta(hours=1))
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)] if text else [])


def _bootstrap(
    folder: Path, ports: Mapping[Protocol, int], backend: int, rule: PermissionRule
) -> str:
    listeners = []
    for protocol, port in ports.items():
        place = InboundPlace(f"inbound:{protocol}", protocol.is_http, mtls=True)
        assert EFFECT.on_inbound is not None
        conf = EFFECT.on_inbound((NamedRule("rule", rule),), place)
        inbound = inputs.inbound(protocol, inputs.STRICT, Applied(EFFECT.hooks, conf))
        argument = replace(
            inbound, name=place.listener, address="127.0.0.1", port=port, cluster="app"
        )
        listeners.append(_static_secrets(readable(build_listener(argument))))
    chain, key = str(folder / "server.pem"), str(folder / "server.key")
    identity = {"certificate_chain": {"filename": chain}, "private_key": {"filename": key}}
    ca = {"trusted_ca": {"filename": str(folder / "ca.pem")}}
    app = LocalCluster("app", "127.0.0.1", backend, Protocol.HTTP)
    found = {
        "static_resources": {
            "clusters": [readable(build_cluster(app))],
            "listeners": listeners,
            "secrets": [
                {"name": inputs.IDENTITY, "tls_certificate": identity},
                {"name": inputs.CA, "validation_context": ca},
            ],
        }
    }
    return json.dumps(found)


def _static_secrets(value: Any) -> Any:
    """Without a source a secret is looked up among the static ones."""
    if isinstance(value, dict):
        return {k: _static_secrets(v) for k, v in value.items() if k != "sdsConfig"}
    return [_static_secrets(item) for item in value] if isinstance(value, list) else value


async def _served(port: int, folder: Path, caller: str, server_name: str) -> bool:
    """Whether the caller gets an answer of the application."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.load_cert_chain(folder / f"{caller}.pem", folder / f"{caller}.key")
    try:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=context, server_hostname=server_name
        )
    except ConnectionResetError:
        return False
    try:
        writer.write(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
        async with asyncio.timeout(10):
            head = await reader.readuntil(b"\r\n\r\n")
    except (EOFError, ConnectionError):
        return False
    finally:
        writer.close()
    return b" 200 " in head.splitlines()[0]


async def _listens(port: int) -> None:
    async with asyncio.timeout(20):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.02)  # A process that starts has no other signal.
            else:
                writer.close()
                return


async def admitted(
    folder: Path, rule: PermissionRule, server_name: str = "a.test"
) -> dict[str, set[str]]:
    """Who is served, by HTTP and by TCP."""
    authority = Authority.create(folder)
    authority.issue("server", ("spiffe://default/backend",))
    for name, uris in CALLERS.items():
        authority.issue(name, uris)
    ports = {Protocol.HTTP: free_port(), Protocol.TCP: free_port()}
    async with application("hello") as backend:
        text = _bootstrap(folder, ports, backend, rule)
        async with envoy(text, folder, drain_s=1):
            for port in ports.values():
                await _listens(port)
            found = {
                str(protocol): {
                    name for name in CALLERS if await _served(port, folder, name, server_name)
                }
                for protocol, port in ports.items()
            }
    named = (NamedRule("rule", rule),)
    predicted = {name for name, uris in CALLERS.items() if allows(named, uris, server_name)}
    assert found == both(*predicted)  # What a plan says of it.
    return found


def both(*names: str) -> dict[str, set[str]]:
    return {"http": set(names), "tcp": set(names)}


async def test_a_denied_service_is_denied_whatever_else_its_certificate_names(
    tmp_path: Path,
) -> None:
    rule = PermissionRule(
        deny=(InboundMatch(spiffe_exact="spiffe://default/web"),), allow=(EVERYBODY,)
    )
    assert await admitted(tmp_path, rule) == both("webshop", "foreign")


async def test_an_allowed_service_is_allowed_and_no_other(tmp_path: Path) -> None:
    rule = PermissionRule(allow=(InboundMatch(spiffe_exact="spiffe://default/web"),))
    assert await admitted(tmp_path, rule) == both("web", "two", "alone")


async def test_a_prefix_counts_for_every_id_of_a_certificate(tmp_path: Path) -> None:
    rule = PermissionRule(allow=(InboundMatch(spiffe_prefix="spiffe://default/web"),))
    assert await admitted(tmp_path, rule) == both("web", "webshop", "two", "alone")


async def test_a_denied_server_name_is_denied(tmp_path: Path) -> None:
    rule = PermissionRule(deny=(InboundMatch(sni="a.test"),), allow=(EVERYBODY,))
    assert await admitted(tmp_path, rule, "a.test") == both()
