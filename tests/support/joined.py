"""A zone of ours that has joined a global of Kuma, both on loopback, for tests of what its proxies
see and of what the global sees.
"""

from __future__ import annotations

import json
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio

from reconciler.ca.authority import new_builtin_ca, new_rsa_key_pem, public_pkcs1_pem
from reconciler.kds import client
from tests.support.ads_client import SOTW_METHOD, AdsClient
from tests.support.kuma_dp import EnvoyPeer, asking, post
from tests.support.kuma_global import DOWN, KumaCall, KumaGlobal, serve_first
from tests.support.kuma_tokens import dataplane_token, zone_token
from tests.support.raw_frames import (
    CDS,
    GLOBAL_TO_ZONE,
    kuma_entry,
    legacy,
    node,
    part,
    plugin,
    sotw_request,
)
from tests.support.zone import dataplane
from tests.support.zone_link import ZoneLink, zone_link

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import pytest

    from reconciler.ca.authority import AuthorityPem
    from tests.support.protobuf_wire import Fields

OURS = ("RevisionManifest",)  # a type that a Kuma global does not know, and answers empty
ORIGIN = {"kuma.io/origin": "global"}
# MTLS of a Mesh by the numbers of the sheet: the enabled backend, and the only one.
MTLS = part(1, part(1, "ca-1") + part(2, part(1, "ca-1") + part(2, "builtin")))


@cache
def signing_key() -> bytes:
    return new_rsa_key_pem()


@cache
def authority() -> AuthorityPem:
    return new_builtin_ca("default", time.time(), lifetime_s=86_400)


def secret_entry(name: str, value: bytes, mesh: str = "default") -> bytes:
    data = legacy("Secret", part(1, part(1, value)), "system")
    return kuma_entry(name, mesh, ORIGIN, data)


def mesh_entry(spec: bytes = b"") -> bytes:
    return kuma_entry("default", "", ORIGIN, legacy("Mesh", spec))


def timeout_entry(name: str, idle: str = "20s", kind: str = "Mesh", connect: str = "5s") -> bytes:
    """A policy as a Kuma global sends it; one key is of a version that nobody has yet."""
    default = {"idleTimeout": idle, "connectionTimeout": connect}
    spec = {"to": [{"targetRef": {"kind": kind}, "default": default}], "fromTheFuture": True}
    told = {**ORIGIN, "kuma.io/display-name": name}
    return kuma_entry(f"{name}-54dbd4c66zwbcf9c", "default", told, plugin(spec))


@dataclass
class Joined:
    """A zone of ours that dials this global."""

    peer: KumaGlobal
    zone: ZoneLink

    async def served(self, **entries: tuple[bytes, ...]) -> tuple[KumaCall, list[Fields]]:
        """Its downward stream with everything answered, and what it said there."""
        call = await self.peer.call(DOWN)
        told = await serve_first(call, len(GLOBAL_TO_ZONE) + len(OURS), self.seeds() | entries)
        return call, told

    def seeds(self) -> dict[str, tuple[bytes, ...]]:
        """A Mesh whose spec has no bytes, as a stock global sends it, and what proxies need."""
        ca = authority()
        return {
            "Mesh": (mesh_entry(),),
            "Secret": (
                secret_entry("dataplane-token-signing-key-default-1", signing_key()),
                secret_entry("default.ca-builtin-cert-ca-1", ca.cert_pem),
                secret_entry("default.ca-builtin-key-ca-1", ca.key_pem),
            ),
            "GlobalSecret": (
                secret_entry(
                    "zone-token-signing-public-key-1", public_pkcs1_pem(signing_key()), ""
                ),
            ),
        }

    async def in_force(self, type_: str) -> list[Any]:
        await self.zone.until(lambda: bool(self.zone.plane.state.policy.of(type_)))
        return [json.loads(r.body) for r in self.zone.plane.state.policy.of(type_)]

    async def proxy(self, name: str = "dp-1", **labels: str) -> AdsClient:
        """Registers a proxy of service `web`; its stream."""
        token = dataplane_token(signing_key(), {"Name": name, "Mesh": "default"})
        proxy = AdsClient(self.zone.ads, self.zone.tls.ca_pem, token=token, method=SOTW_METHOD)
        document = dataplane(name, "web") | {"labels": labels}
        resource = {"dataplane.resource": json.dumps(document)}
        await proxy.send_bytes(sotw_request(CDS, of=node(f"default.{name}", resource)))
        await proxy.receive_bytes()
        return proxy


@asynccontextmanager
async def joined_zone(
    folder: Path, monkeypatch: pytest.MonkeyPatch, peer: KumaGlobal | None = None
) -> AsyncIterator[Joined]:
    monkeypatch.setattr(client, "ADMISSION_WAIT_S", 0.02)  # Kuma's headers come with its first word
    peer = peer or KumaGlobal()
    await peer.start()
    try:
        async with zone_link(folder, peer.port) as zone:
            yield Joined(peer, zone)
    finally:
        await peer.stop()


@dataclass
class MtlsMesh:
    """A mesh with mTLS, its zone, and where its proxies dial."""

    joined: Joined
    down: KumaCall
    channel: grpc.aio.Channel

    async def bootstrap(self, document: dict[str, Any], **changes: object) -> tuple[Any, str]:
        """What the proxy is told, and its token."""
        if document["type"] == "Dataplane":
            token = dataplane_token(signing_key(), {"Name": document["name"], "Mesh": "default"})
        else:
            token = zone_token(signing_key(), "east", "ingress", "egress")
        found = await post(self.joined.zone, asking(document, token, **changes))
        return found.bootstrap(), token

    async def envoy(
        self, document: dict[str, Any], *, delta: bool = False, **changes: object
    ) -> EnvoyPeer:
        told, token = await self.bootstrap(document, **changes)
        return EnvoyPeer.of(self.channel, told, token, delta=delta)

    async def change(self, connect: str) -> None:
        """A policy that changes the outbound cluster and no endpoint, taken into force."""
        await self.down.answer("MeshTimeout", timeout_entry("t", connect=connect))
        assert 7 not in await self.down.read()


@asynccontextmanager
async def mtls_mesh(joined: Joined) -> AsyncIterator[MtlsMesh]:
    policies = {"Mesh": (mesh_entry(MTLS),), "MeshTimeout": (timeout_entry("t"),)}
    down, _ = await joined.served(**policies)
    await joined.in_force("Secret")
    credentials = grpc.ssl_channel_credentials(joined.zone.tls.ca_pem)
    target = f"127.0.0.1:{joined.zone.port}"
    async with grpc.aio.secure_channel(target, credentials) as channel:
        yield MtlsMesh(joined, down, channel)
