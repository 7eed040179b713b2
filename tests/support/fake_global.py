"""A KDS server that a zone trusts and that says what the test wants: what a global under somebody
else's control could say.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import grpc
import grpc.aio

from reconciler.kds.client import OPTIONS
from reconciler.kds.proto import kds_pb2
from reconciler.kds.zone_node import call_headers, zone_node
from xds.discovery import DeltaRequest, DeltaResponse
from xds.wire import (
    delta_request_bytes,
    delta_response_bytes,
    parse_delta_request,
    parse_delta_response,
)

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from xds.resource import XdsResource

    Context = grpc.aio.ServicerContext[bytes, bytes]

SYNC = "/kuma.mesh.v1alpha1.KDSSyncService/"


@dataclass
class FakeGlobal:
    """`said` are the resources of each type it answers; of others it says nothing. `refusals` are
    the zone's words by type, `taken` the types that it acknowledged.
    """

    said: dict[str, tuple[XdsResource, ...]]
    refusals: dict[str, str] = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)
    _server: grpc.aio.Server | None = None

    async def start(self, port: int, tls: Path) -> None:
        """`tls` is the folder with certificate and key of the global it stands for."""
        bidi = grpc.stream_stream_rpc_method_handler
        server = grpc.aio.server(options=(("grpc.so_reuseport", 0),))
        sync: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
            "GlobalToZoneSync": bidi(self._down),
            "ZoneToGlobalSync": bidi(_up),
        }
        health: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
            "HealthCheck": grpc.unary_unary_rpc_method_handler(_healthy)
        }
        handlers = grpc.method_handlers_generic_handler
        server.add_generic_rpc_handlers(
            (
                handlers("kuma.mesh.v1alpha1.KDSSyncService", sync),
                handlers("kuma.mesh.v1alpha1.GlobalKDSService", health),
            )
        )
        key, certificate = (tls / "key.pem").read_bytes(), (tls / "cert.pem").read_bytes()
        server.add_secure_port(
            f"127.0.0.1:{port}", grpc.ssl_server_credentials([(key, certificate)])
        )
        await server.start()
        self._server = server

    async def stop(self) -> None:
        if self._server is not None:
            await self._server.stop(0.1)

    async def _down(self, _requests: object, context: Context) -> None:
        await context.send_initial_metadata(())
        while isinstance(message := await context.read(), bytes):
            request = parse_delta_request(message)
            type_ = request.type_url
            if request.error is not None:
                self.refusals[type_] = request.error
            elif request.nonce:
                self.taken.add(type_)
            elif type_ in self.said:
                response = DeltaResponse(type_, f"{type_}-1", self.said[type_])
                await context.write(delta_response_bytes(response))


async def _up(_requests: object, context: Context) -> None:
    await context.send_initial_metadata(())
    while isinstance(await context.read(), bytes):
        continue


async def _healthy(_request: bytes, _context: object) -> bytes:
    answer = kds_pb2.ZoneHealthCheckResponse()
    answer.interval.seconds = 60
    return answer.SerializeToString()


async def overheard(
    port: int, ca_pem: bytes, zone: str, token: str, types: Iterable[str]
) -> dict[str, tuple[XdsResource, ...]]:
    """What a true global sends a zone, by type."""
    credentials = grpc.ssl_channel_credentials(ca_pem)
    wanted, found = set(types), dict[str, tuple["XdsResource", ...]]()
    async with grpc.aio.secure_channel(f"127.0.0.1:{port}", credentials, options=OPTIONS) as to:
        call: grpc.aio.StreamStreamCall[bytes, bytes] = to.stream_stream(f"{SYNC}GlobalToZoneSync")(
            metadata=call_headers(zone, "0", token)
        )
        node = zone_node(zone, "overhearing", "0")
        for type_ in wanted:
            await call.write(delta_request_bytes(DeltaRequest(type_, node, ("*",))))
        while wanted - found.keys():
            message = await call.read()
            assert isinstance(message, bytes)
            response = parse_delta_response(message)
            found[response.type_url] = response.resources
    return found
