"""Proxies that only speak: each on a connection of its own, they ask for clusters and ACK whatever
comes. Ends with its stdin.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys

import grpc
import grpc.aio

from tests.support.ads_client import DELTA_METHOD
from xds.discovery import DeltaRequest, Node
from xds.proto import discovery_pb2 as pb
from xds.resource import CLUSTER
from xds.wire import delta_request_bytes

OPTIONS = (
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.keepalive_time_ms", 15_000),
    ("grpc.keepalive_timeout_ms", 15_000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.keepalive_permit_without_calls", 1),
)


async def proxy(port: int, ca: bytes, number: int) -> None:
    """A proxy that is turned away comes again."""
    channel = grpc.aio.secure_channel(
        f"127.0.0.1:{port}", grpc.ssl_channel_credentials(ca), options=OPTIONS
    )
    while True:
        with contextlib.suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
            await converse(channel.stream_stream(DELTA_METHOD)(wait_for_ready=True), number)


async def converse(call: grpc.aio.StreamStreamCall[bytes, bytes], number: int) -> None:
    await call.write(delta_request_bytes(DeltaRequest(CLUSTER, Node(f"default.web-{number}"))))
    while isinstance(message := await call.read(), bytes):
        nonce = pb.DeltaDiscoveryResponse.FromString(message).nonce
        await call.write(delta_request_bytes(DeltaRequest(CLUSTER, nonce=nonce)))


async def run(port: int, ca: bytes, count: int) -> None:
    loop = asyncio.get_running_loop()
    over = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(over), sys.stdin)
    tasks = [loop.create_task(proxy(port, ca, number)) for number in range(count)]
    await over.read()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


if __name__ == "__main__":
    from pathlib import Path

    asyncio.run(run(int(sys.argv[1]), Path(sys.argv[2]).read_bytes(), int(sys.argv[3])))
