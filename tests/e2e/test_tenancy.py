"""Two meshes with services of the same names in the same zones, behind the same egress and ingress:
no call crosses, whatever one mesh tries with all that it has, and a change of one is no push to the
other.
"""

from __future__ import annotations

import asyncio
import json
import re
import socket
import ssl
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from reconciler.ca.authority import AuthorityPem, issue_workload
from tests.support.ads_client import AdsClient
from tests.support.fleet import ALLOW_ALL, App, Fleet, a_mesh
from tests.support.real_envoy import application, get
from xds.discovery import DeltaRequest, Node
from xds.health import Introduction
from xds.health_server import SERVICE as HDS
from xds.health_wire import introduction_bytes
from xds.resource import CLUSTER, ENDPOINT, SECRET

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(150),
    pytest.mark.asyncio(loop_scope="module"),
]
MESHES = ("alpha", "beta")
PEM = re.compile(rb"-----BEGIN [A-Z ]+-----.+?-----END [A-Z ]+-----\n?", re.DOTALL)
PUSHES = r"(cds|lds|sds\..*|cluster\..*)\.update_(attempt|success|rejected)$"
ATTEMPTS = 20


@dataclass
class World:
    fleet: Fleet
    ingress: tuple[str, int]  # of west
    egress: tuple[str, int]  # of east

    def token(self, mesh: str, name: str) -> str:
        return self.fleet.run_once(
            "token", "dataplane", "--mesh", mesh, "--name", name,
            "--state-dir", str(self.fleet.state("global")),
        )  # fmt: skip

    def stream(self, token: str, method: str | None = None) -> AdsClient:
        """To zone west."""
        ca = (self.fleet.state("west") / "tls" / "ca.pem").read_bytes()
        more = {} if method is None else {"method": method}
        return AdsClient(self.fleet.ports["west"].ads, ca, token=token, **more)


def documents() -> dict[str, dict[str, object]]:
    found: dict[str, dict[str, object]] = {}
    for mesh in MESHES:
        found[mesh] = a_mesh(mesh, routing={"zoneEgress": True})
        found[f"allow-{mesh}"] = {**ALLOW_ALL, "mesh": mesh}
    return found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    fleet = Fleet(tmp_path_factory.mktemp("tenancy") / "f", **documents())
    async with AsyncExitStack() as stack:
        stack.callback(fleet.stop)
        await fleet.start_global()
        await asyncio.gather(*map(fleet.start_zone, fleet.zones))
        ingress, egress = fleet.ingress("ingress", "west"), fleet.egress("egress", "east")
        for mesh in MESHES:
            for zone in fleet.zones:
                port = await stack.enter_async_context(application(f"{mesh}-{zone}"))
                # What a mesh may write in its own files to be taken for the other one.
                tricks = {"mesh": "beta" if mesh == "alpha" else "alpha"}
                calls = {"backend": {}, "trick": {"kuma.io/service": "backend", **tricks}}
                fleet.sidecar(
                    f"{mesh}-{zone}", zone, App("backend", port, tags=tricks), to=calls, mesh=mesh
                )
        await fleet.all_acked(east=3, west=3)
        made = World(fleet, ingress, egress)
        await fleet.until("west in east", lambda: all(_knows(made, mesh) for mesh in MESHES))
        yield made


def _knows(world: World, mesh: str) -> bool:
    known = world.fleet.endpoints(f"{mesh}-east").get("backend", {})
    return world.egress in known and _behind(world, mesh) == 1


def _behind(world: World, mesh: str) -> int:
    """How many instances the egress of east knows behind the ingress of west."""
    return world.fleet.endpoints("egress").get(f"{mesh}:backend", {}).get(world.ingress, 0)


async def test_calls_by_one_name_stay_in_their_mesh_in_both_zones(world: World) -> None:
    for mesh in MESHES:
        for port in world.fleet.peers[f"{mesh}-east"].calls.values():
            found = [await get(port) for _ in range(ATTEMPTS)]
            assert set(found) == {(200, f"{mesh}-east"), (200, f"{mesh}-west")}


def documented(mesh: str, name: str, service: str = "thief") -> dict[str, object]:
    inbound = {"port": 1024, "servicePort": 1025, "tags": {"kuma.io/service": service}}
    networking = {"address": "127.0.2.1", "inbound": [inbound]}
    return {"type": "Dataplane", "mesh": mesh, "name": name, "networking": networking}


async def stolen(world: World, mesh: str, folder: Path) -> Path:
    """Certificate and key in one file, as a proxy of the mesh is given them; it asks for those of
    both meshes, and for the endpoints of both.
    """
    metadata = {"dataplane.resource": json.dumps(documented(mesh, f"thief-{mesh}"))}
    node = Node(f"{mesh}.thief-{mesh}", metadata=metadata)
    names = tuple(f"{kind}:secret:{m}" for m in MESHES for kind in ("identity_cert", "mesh_ca"))
    clusters = ("backend", *(f"{m}:backend" for m in MESHES))
    async with world.stream(world.token(mesh, f"thief-{mesh}")) as client:
        await client.send(DeltaRequest(CLUSTER, node))
        await client.receive()
        await client.send(DeltaRequest(SECRET, subscribe=names))
        await client.send(DeltaRequest(ENDPOINT, subscribe=clusters))
        found: dict[str, bytes] = {}
        for _ in range(2):
            response = await client.receive()
            found |= {r.name: r.entry for r in response.resources}
    assert {n for n in found if ":secret:" in n} <= {f"{k}:secret:{mesh}" for k in KINDS}
    file = folder / f"{mesh}.pem"
    file.write_bytes(b"".join(PEM.findall(found[f"identity_cert:secret:{mesh}"])))
    return file


KINDS = ("identity_cert", "mesh_ca")


def forged(world: World, folder: Path) -> Path:
    """For a service of alpha, signed by the CA of beta: what the owner of beta's CA can make."""
    ca = (world.fleet.state("global") / "secrets" / "beta.ca-builtin-ca-1").read_bytes()
    cert, key = PEM.findall(ca)
    uris = ("spiffe://alpha/backend", "kuma://kuma.io/service/backend")
    made = issue_workload("alpha", AuthorityPem(cert, key), uris, time.time(), 3600)
    file = folder / "forged.pem"
    file.write_bytes(b"".join(PEM.findall(made.chain_pem + made.key_pem)))
    return file


def answer(at: tuple[str, int], sni: str, file: Path | None) -> str:
    """The body of an answer to a caller with this certificate; "" when there is none."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["kuma"])
    if file is not None:
        context.load_cert_chain(file)
    try:
        with (
            socket.create_connection(at, timeout=10) as plain,
            context.wrap_socket(plain, server_hostname=sni) as tls,
        ):
            tls.sendall(b"GET / HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n")
            text = b"".join(iter(lambda: tls.recv(65_536), b"")).decode()
    except OSError:
        return ""
    head, _, body = text.partition("\r\n\r\n")
    return body if " 200 " in head.partition("\r\n")[0] else ""


async def test_no_credential_of_one_mesh_opens_a_service_of_the_other(
    world: World, tmp_path: Path
) -> None:
    """By a raw client, at egress, ingress and inbound; what each mesh has opens its own."""
    files = {mesh: await stolen(world, mesh, tmp_path) for mesh in MESHES}
    alien = [files["beta"], forged(world, tmp_path), None]
    inbounds = {mesh: world.fleet.peers[f"{mesh}-west"].inbounds["backend"] for mesh in MESHES}

    def asked(at: tuple[str, int], target: str, file: Path | None) -> str:
        return answer(at, f"backend{{mesh={target}}}", file)

    for mesh in MESHES:
        for at in (world.egress, world.ingress, inbounds[mesh]):
            assert await asyncio.to_thread(asked, at, mesh, files[mesh]) == f"{mesh}-west"
    for file in alien:
        for at in (world.egress, world.ingress, inbounds["alpha"]):
            assert await asyncio.to_thread(asked, at, "alpha", file) == ""
    assert await asyncio.to_thread(asked, inbounds["alpha"], "beta", files["beta"]) == ""
    assert await _plain(world.ingress) == b""
    assert b" 200 " not in await _plain(inbounds["alpha"])


async def _plain(at: tuple[str, int]) -> bytes:
    reader, writer = await asyncio.open_connection(*at)
    writer.write(b"GET / HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n")
    try:
        return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


async def test_a_token_of_one_mesh_is_nobody_in_the_other(world: World) -> None:
    """At the bootstrap, over ADS and over HDS; also for a proxy that is there."""
    of_beta = world.token("beta", "alpha-west")
    metadata = {"dataplane.resource": json.dumps(documented("alpha", "alpha-west", "backend"))}
    async with world.stream(of_beta) as client:
        await client.send(DeltaRequest(CLUSTER, Node("alpha.alpha-west", metadata=metadata)))
        with pytest.raises(EOFError, match="authentication failed"):
            await client.receive()
    async with world.stream(of_beta, f"/{HDS}/StreamHealthCheck") as client:
        await client.send_bytes(introduction_bytes(Introduction("alpha.alpha-west")))
        with pytest.raises(EOFError, match="authentication failed"):
            await client.receive_bytes()
    port = world.fleet.peers["alpha-east"].calls["backend"]
    assert {await get(port) for _ in range(ATTEMPTS)} >= {(200, "alpha-west")}


async def test_a_change_of_one_mesh_is_no_push_to_the_other(world: World) -> None:
    """A policy, then an instance: counted by the Envoys."""
    fleet = world.fleet
    beta = ("beta-east", "beta-west")
    before = [fleet.stats(name, PUSHES) for name in beta]
    own = sum(fleet.stats("alpha-east", PUSHES).values())
    to = [{"targetRef": {"kind": "Mesh"}, "default": {"connectionTimeout": "7s"}}]
    spec = {"targetRef": {"kind": "Mesh"}, "to": to}
    timeout = {"type": "MeshTimeout", "mesh": "alpha", "name": "a-first", "spec": spec}
    await fleet.commit(times=timeout)
    await fleet.until("the push", lambda: sum(fleet.stats("alpha-east", PUSHES).values()) > own)
    fleet.sidecar("another", "west", App("backend", 1, tags={"mesh": "beta"}), mesh="alpha")
    await fleet.until("the instance in east", lambda: _behind(world, "alpha") == 2)
    assert [fleet.stats(name, PUSHES) for name in beta] == before
    assert before[0]
