"""The floor under `zones_40`: a KDS server that computes nothing.

`python -m tests.bench.kds_floor FOLDER PORT`: with the certificate of the global in the folder it
answers every zone's first request of a type with recorded bytes, and whenever the branch has moved
it sends every zone the recorded bytes of a change.
"""

from __future__ import annotations

import asyncio
import json
import sys
from base64 import b64decode, b64encode
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import grpc.aio

from reconciler.git.watch import hints_of
from reconciler.kds.proto import kds_pb2
from reconciler.kds.server import GLOBAL_SERVICE, OPTIONS, SYNC_SERVICE
from xds.wire import delta_response_bytes, parse_delta_request

if TYPE_CHECKING:
    from collections.abc import Mapping

    from xds.discovery import DeltaResponse

    Context = grpc.aio.ServicerContext[bytes, bytes]

CERTIFICATE = "global/tls"


def record(
    folder: Path,
    first: Mapping[str, Mapping[str, DeltaResponse]],
    change: Mapping[str, list[DeltaResponse]],
) -> None:
    """`first` by zone and type, `change` by zone."""
    found = {
        "first": {
            zone: {type_: _text(response) for type_, response in of_zone.items()}
            for zone, of_zone in first.items()
        },
        "change": {zone: [_text(r) for r in responses] for zone, responses in change.items()},
    }
    (folder / "floor.json").write_text(json.dumps(found))


def _text(response: DeltaResponse) -> str:
    return b64encode(delta_response_bytes(response)).decode()


class KdsFloor:
    def __init__(self, folder: Path) -> None:
        found = json.loads((folder / "floor.json").read_text())
        self.folder = folder
        self.first: dict[str, dict[str, bytes]] = {
            zone: {type_: b64decode(text) for type_, text in of_zone.items()}
            for zone, of_zone in found["first"].items()
        }
        self.change: dict[str, list[bytes]] = {
            zone: [b64decode(text) for text in texts] for zone, texts in found["change"].items()
        }
        self.streams: dict[str, Context] = {}

    async def serve(self, port: int) -> None:
        bidi = grpc.stream_stream_rpc_method_handler
        server = grpc.aio.server(options=OPTIONS)
        handlers = grpc.method_handlers_generic_handler
        sync: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
            "GlobalToZoneSync": bidi(self._down),
            "ZoneToGlobalSync": bidi(_up),
        }
        health: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
            "HealthCheck": grpc.unary_unary_rpc_method_handler(_healthy)
        }
        server.add_generic_rpc_handlers(
            (handlers(SYNC_SERVICE, sync), handlers(GLOBAL_SERVICE, health))
        )
        tls = self.folder / CERTIFICATE
        key, certificate = (tls / "key.pem").read_bytes(), (tls / "cert.pem").read_bytes()
        credentials = grpc.ssl_server_credentials([(key, certificate)])
        server.add_secure_port(f"127.0.0.1:{port}", credentials)
        await server.start()
        bare = self.folder / "policy.git"
        branch = bare / "refs" / "heads" / "main"
        async with hints_of(bare) as hint:
            tip = branch.read_text()
            while True:
                await hint.wait()
                hint.clear()
                if (now := branch.read_text()) != tip:
                    tip = now
                    await asyncio.gather(*(self._changed(zone) for zone in self.streams))

    async def _changed(self, zone: str) -> None:
        for data in self.change[zone]:
            await self.streams[zone].write(data)

    async def _down(self, _requests: object, context: Context) -> None:
        await context.send_initial_metadata(())
        zone = next(str(v) for k, v in context.invocation_metadata() or () if k == "client-id")
        self.streams[zone] = context
        while isinstance(message := await context.read(), bytes):
            request = parse_delta_request(message)
            if not request.nonce:
                await context.write(self.first[zone][request.type_url])


async def _up(_requests: object, context: Context) -> None:
    await context.send_initial_metadata(())
    while isinstance(await context.read(), bytes):
        pass


async def _healthy(_request: bytes, _context: Context) -> bytes:
    answer = kds_pb2.ZoneHealthCheckResponse()
    answer.interval.seconds = 60
    return answer.SerializeToString()


if __name__ == "__main__":
    asyncio.run(KdsFloor(Path(sys.argv[1])).serve(int(sys.argv[2])))
