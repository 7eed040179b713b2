"""A server that computes nothing, for simulated proxies: `python -m tests.bench.fleet_floor`.

What a real zone sent each proxy was recorded; here it is sent again, byte for byte, when the branch
of a repository moves: same Git, same watcher, same TLS, same gRPC, no control plane. Reads JSON
commands from standard input as `fleet_client` does.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from base64 import b64decode
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio

from reconciler.git.watch import hints_of
from xds.proto import discovery_pb2 as pb
from xds.server import OPTIONS, SERVICE

if TYPE_CHECKING:
    from collections.abc import Mapping

    Context = grpc.aio.ServicerContext[bytes, bytes]

CHUNK = 16  # streams a turn of the loop
WILDCARD = "*"


class Canned:
    """What one proxy is sent: each resource as it was recorded last, by type and name."""

    def __init__(self, responses: list[bytes]) -> None:
        self.entries: dict[str, dict[str, bytes]] = {}
        for data in responses:
            response = pb.DeltaDiscoveryResponse.FromString(data)
            known = self.entries.setdefault(response.type_url, {})
            for entry in response.resources:
                known[pb.Resource.FromString(entry).name] = entry

    def answer(self, request: pb.DeltaDiscoveryRequest) -> bytes | None:
        known = self.entries.get(request.type_url, {})
        names = request.resource_names_subscribe
        if request.response_nonce and not names:
            return None  # An ACK.
        entries = [known[name] for name in names if name in known] if names else known.values()
        if names and not entries:
            return None  # What a push is about to bring.
        response = pb.DeltaDiscoveryResponse(
            type_url=request.type_url, nonce="canned", resources=entries
        )
        return response.SerializeToString()


class FloorServer:
    def __init__(self, given: dict[str, Any]) -> None:
        self.given = given
        self.canned = self._first(given)
        self.streams: dict[str, Context] = {}
        self.writing: dict[str, asyncio.Lock] = {}  # gRPC takes one message of a stream at a time
        # Recorded pushes, by name: node -> responses. A move of the branch sends the armed one.
        self.pushes: dict[str, dict[str, list[bytes]]] = {}
        self.armed = ""

    def _first(self, given: Mapping[str, Any]) -> dict[str, Canned]:
        return {node: Canned(_decoded(heard)) for node, heard in given["first"].items()}

    def recorded(self, said: Mapping[str, Any]) -> dict[str, list[bytes]]:
        """The responses of a push."""
        return {node: _decoded(heard) for node, heard in said["heard"].items()}

    async def start(self) -> int:
        server = grpc.aio.server(options=OPTIONS)
        methods: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
            "DeltaAggregatedResources": grpc.stream_stream_rpc_method_handler(self._serve)
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, methods),))
        pair = (self.given["key"].encode(), self.given["cert"].encode())
        port: int = server.add_secure_port(
            f"127.0.0.1:{self.given['port']}", grpc.ssl_server_credentials([pair])
        )
        await server.start()
        self.server = server
        return port

    async def _serve(self, _requests: object, context: Context) -> None:
        node = ""
        try:
            while isinstance(message := await context.read(), bytes):
                request = pb.DeltaDiscoveryRequest.FromString(message)
                if request.node.id:
                    node = request.node.id
                    self.streams[node], self.writing[node] = context, asyncio.Lock()
                answer = self.canned[node].answer(request)
                if answer is not None:
                    async with self.writing[node]:
                        await context.write(answer)
        finally:
            self.streams.pop(node, None)

    async def follow(self, bare: Path) -> None:
        """Send the armed push whenever the branch has moved."""
        branch = bare / "refs" / "heads" / "main"
        seen = branch.read_text()
        async with hints_of(bare) as hint:
            while True:
                await hint.wait()
                hint.clear()
                tip = branch.read_text()
                if tip != seen and self.armed:
                    seen = tip
                    await self.send(self.armed)

    async def send(self, name: str) -> None:
        waiting = list(self.pushes[name].items())
        for at in range(0, len(waiting), CHUNK):
            await asyncio.gather(*(self._push(*each) for each in waiting[at : at + CHUNK]))

    async def _push(self, node: str, responses: list[bytes]) -> None:
        context = self.streams.get(node)
        if context is not None:
            for response in responses:
                async with self.writing[node]:
                    await context.write(response)


def _decoded(heard: list[str]) -> list[bytes]:
    return [b64decode(each) for each in heard]


async def run(kind: type[FloorServer]) -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=2**30)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    server = kind(json.loads(await reader.readline()))
    _say({"port": await server.start()})
    following = asyncio.create_task(server.follow(Path(server.given["bare"])))
    while line := await reader.readline():
        said = json.loads(line)
        match said["do"]:
            case "push":
                server.pushes[said["name"]] = server.recorded(said)
            case "arm":
                server.armed = said["name"]
            case "send":
                await server.send(said["name"])
        _say({})
    following.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await following


def _say(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(run(FloorServer))
