"""Certificates change under real traffic between two zones, and no request fails."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import time
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec

from reconciler.demo.calls import Load, by_zone
from reconciler.demo.world import World
from reconciler.keys.secret_store import write_private
from tests.support.authorities import key_pem, made_ca

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]
RATE = 100.0  # calls a second
LIFE_S = 4  # of a certificate
# Connections between proxies end after a second, so that there are new ones all the time.
SHORT_CONNECTIONS = """type: MeshTimeout
mesh: default
name: short-connections
spec:
  targetRef: {kind: Mesh}
  to:
    - targetRef: {kind: MeshService, name: backend}
      default: {http: {maxConnectionDuration: 1s}}
"""
LISTED = """secrets:
  - {mesh: default, name: corporate-cert, file: ca.pem}
  - {mesh: default, name: corporate-key, file: ca.key}
"""
BUILTIN: Mapping[str, Mapping[str, object]] = {
    name: {"name": name, "type": "builtin"} for name in ("ca-1", "ca-2")
}
PROVIDED: Mapping[str, object] = {
    "name": "corporate",
    "type": "provided",
    "conf": {"cert": {"secret": "corporate-cert"}, "key": {"secret": "corporate-key"}},
}


class Certified(World):
    """The demo's world, whose global finds secrets in a folder."""

    def run_global(self, *_: str) -> None:
        values = self.folder / "values"
        values.mkdir(mode=0o700, exist_ok=True)
        super().run_global("--secrets-dir", str(values))

    def value(self, name: str, data: bytes) -> None:
        write_private(self.folder / "values" / name, data)

    def push(self, **files: str) -> str:
        for name, text in files.items():
            (self.work / f"{name}.yaml").write_text(text)
        self.git(self.work, "add", "--all")
        self.git(self.work, "commit", "--quiet", "--message", "change")
        self.git(self.work, "push", "--quiet")
        return self.git(self.work, "rev-parse", "HEAD").strip()

    async def arrive(self, **files: str) -> None:
        """As who rotates a CA does it: commit, push, `reconciler wait`."""
        commit = await asyncio.to_thread(self.push, **files)
        await asyncio.to_thread(
            self.run_once, "wait", "--commit", commit, "--timeout", "60s",
            "--state-dir", str(self.state("global")),
        )  # fmt: skip

    def ca_of(self, backend: str) -> x509.Certificate:
        pem = (self.state("global") / "secrets" / f"default.ca-builtin-{backend}").read_bytes()
        return x509.load_pem_x509_certificate(pem)

    def presented(self) -> list[x509.Certificate]:
        """By each workload's sidecar at its inbound, to somebody who proves nothing."""
        return [_presented(w.inbound_port) for w in self.workloads.values()]


def _presented(port: int) -> x509.Certificate:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with (
        socket.create_connection(("127.0.0.1", port), timeout=10) as plain,
        context.wrap_socket(plain) as tls,
    ):
        der = tls.getpeercert(binary_form=True)
    assert der is not None
    return x509.load_der_x509_certificate(der)


def mesh(enabled: str, *backends: Mapping[str, object]) -> str:
    rotation = {"rotation": {"expiration": f"{LIFE_S}s"}}
    listed = [{**backend, "dpCert": rotation} for backend in backends]
    mtls = {"enabledBackend": enabled, "backends": listed}
    return json.dumps({"type": "Mesh", "name": "default", "mtls": mtls})


def signed_by(leaf: x509.Certificate, ca: x509.Certificate) -> bool:
    try:
        leaf.verify_directly_issued_by(ca)
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[Certified]:
    made = Certified(tmp_path / "world")
    try:
        await made.start(lambda _: None)
        yield made
    finally:
        for tap in made.taps.values():
            await tap.stop()
        await asyncio.to_thread(made.stop)


def failed(load: Load, since: float) -> list[tuple[float, int]]:
    answers = load.since(since)
    assert set(by_zone(answers)) == {"east", "west"}
    return [(round(a.started - since, 2), a.status) for a in answers if not a.ok]


async def test_certificates_and_cas_change_without_a_failed_request(world: Certified) -> None:
    """Certificates that live four seconds are issued anew over and over; the CA is replaced by
    another builtin one, and that by a provided one, three commits each.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    corporate = made_ca(key, time.time())
    file = {"meshes/default": mesh("ca-1", BUILTIN["ca-1"])}
    await world.arrive(**file)
    async with Load(world.frontend.app_port, "/", per_second=RATE) as load:
        await asyncio.sleep(1.0)
        began = time.time()
        first = {leaf.serial_number for leaf in world.presented()}
        await asyncio.sleep(LIFE_S + 1.0)  # Over connections that stay.
        second = {leaf.serial_number for leaf in world.presented()}
        assert not first & second
        assert failed(load, began) == []

        one, two = BUILTIN["ca-1"], BUILTIN["ca-2"]
        await world.arrive(**{"policies/short": SHORT_CONNECTIONS})
        for text in (mesh("ca-1", one, two), mesh("ca-2", one, two), mesh("ca-2", two)):
            await world.arrive(**{"meshes/default": text})
            await asyncio.sleep(1.0)
        assert all(signed_by(leaf, world.ca_of("ca-2")) for leaf in world.presented())
        assert failed(load, began) == []

        world.value("ca.pem", corporate)
        world.value("ca.key", key_pem(key))
        await world.arrive(secrets=LISTED, **{"meshes/default": mesh("ca-2", two, PROVIDED)})
        for text in (mesh("corporate", two, PROVIDED), mesh("corporate", PROVIDED)):
            await world.arrive(**{"meshes/default": text})
            await asyncio.sleep(1.0)
        authority = x509.load_pem_x509_certificate(corporate)
        assert all(signed_by(leaf, authority) for leaf in world.presented())

        count = len(load.since(began))
        assert failed(load, began) == []
    assert count > RATE * 5  # All of it took longer than that.
