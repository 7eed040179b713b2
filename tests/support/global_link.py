"""A real global control plane on loopback over gRPC and TLS, without a repository: revisions are
put in force at the test's word.
"""

from __future__ import annotations

import logging
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Any, cast

import grpc
import grpc.aio

from reconciler.ca import keys, tokens
from reconciler.ca.authority import new_rsa_key_pem, public_pkcs1_pem
from reconciler.ca.server_tls import ServerTls, new_server_tls
from reconciler.decode import mesh_resource
from reconciler.global_cp.plane import GlobalControlPlane
from reconciler.kds.client import OPTIONS, SIZES
from reconciler.kds.server import KdsLimits, KdsServer
from reconciler.kds.zone_node import call_headers, zone_node
from reconciler.model.resource import Labels, MeshResource, ResourceKey
from reconciler.repository_settings import RepositorySettings
from reconciler.steps import global_state as g
from reconciler.store import Store
from tests.support.global_plane import revision
from xds.discovery import DeltaRequest, DeltaResponse
from xds.wire import delta_request_bytes, parse_delta_response

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    Call = grpc.aio.StreamStreamCall[bytes, bytes]

SYNC = "/kuma.mesh.v1alpha1.KDSSyncService/"
GLOBAL = "/kuma.mesh.v1alpha1.GlobalKDSService/"


@dataclass
class GlobalLink:
    plane: GlobalControlPlane
    tls: ServerTls
    key: bytes
    port: int = 0
    settings: RepositorySettings = field(default_factory=RepositorySettings)
    commits: int = 0

    def publish(self, *resources: MeshResource) -> None:
        """A commit with these is in force."""
        self.commits += 1
        name = f"c{self.commits}"
        public = secret(f"{keys.ZONE_PUBLIC_KEY}1", public_pkcs1_pem(self.key))
        made = replace(revision(name, public, *resources), settings=self.settings)
        self.plane.deliver(g.Loaded(made))

    def token(self, zone: str, valid_s: float = 600.0) -> str:
        return tokens.issue(self.key, tokens.zone_claims(zone, ("cp",)), time.time(), valid_s)

    def channel(self, *options: tuple[str, int]) -> grpc.aio.Channel:
        credentials = grpc.ssl_channel_credentials(self.tls.ca_pem)
        target = f"127.0.0.1:{self.port}"
        given = (*OPTIONS, *((name, -1) for name in SIZES), *options)
        return grpc.aio.secure_channel(target, credentials, options=given)

    def call(
        self, channel: grpc.aio.Channel, method: str, zone: str, token: str | None = ""
    ) -> Call:
        """A stream of the zone; a token of None sends none."""
        given = (token or self.token(zone)) if token is not None else None
        multi: grpc.aio.StreamStreamMultiCallable[bytes, bytes] = channel.stream_stream(method)
        return multi(metadata=call_headers(zone, "0", given))


async def subscribe(call: Call, zone: str, *types: str, **said: Any) -> None:
    node = zone_node(zone, zone, "0")
    node = replace(node, metadata={**node.metadata, **said})
    for type_ in types:
        await call.write(delta_request_bytes(DeltaRequest(type_, node, ("*",))))


async def read(call: Call) -> DeltaResponse:
    message = await call.read()
    assert isinstance(message, bytes)
    return parse_delta_response(message)


async def acknowledge(call: Call, response: DeltaResponse) -> None:
    ack = DeltaRequest(response.type_url, nonce=response.nonce)
    await call.write(delta_request_bytes(ack))


@cache
def zone_key() -> bytes:
    """Made once a run: it takes longer than most tests of a link."""
    return new_rsa_key_pem()


def secret(name: str, value: bytes) -> MeshResource:
    return mesh_resource(ResourceKey("GlobalSecret", "", name), Labels(), keys.secret_data(value))


class _Nowhere:
    """Stands for the repository: nothing is loaded from it."""

    address = "the test's policies"

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"the repository is asked for {name}")


@asynccontextmanager
async def global_link(
    folder: Path, limits: KdsLimits | None = None, **settings: Any
) -> AsyncIterator[GlobalLink]:
    loader = type("Loader", (), {"mirror": _Nowhere()})()
    store = Store(folder / "store.sqlite")
    made = g.GlobalSettings(instance="g", version="0", **settings)
    plane = GlobalControlPlane(made, cast("Any", loader), store, logging.getLogger("test"))
    tls = new_server_tls("global", ("127.0.0.1",), time.time())
    link = GlobalLink(plane, tls, zone_key())
    plane.kds = KdsServer(plane, limits)
    link.port = await plane.kds.start("127.0.0.1", 0, tls.cert_pem, tls.key_pem)
    try:
        yield link
    finally:
        await plane.kds.stop(0.0)
        await plane.outbox.close()
        store.close()
