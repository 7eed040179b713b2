"""A server that computes nothing, for proxies of captured applications:
`python -m tests.bench.captured_floor`. As `fleet_floor`, told of resources by their numbers.
"""

from __future__ import annotations

import asyncio
from base64 import b64decode
from typing import TYPE_CHECKING, Any

from tests.bench import fleet_floor
from tests.bench.fleet_floor import Canned, FloorServer
from xds.proto import discovery_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Heard = list[tuple[str, list[int]]]  # types, and numbers of resources in the table


class CapturedFloor(FloorServer):
    def _first(self, given: Mapping[str, Any]) -> dict[str, Canned]:
        """One mapping for proxies that hold the same."""
        entries = [b64decode(each) for each in given["entries"]]
        names = [pb.Resource.FromString(entry).name for entry in entries]
        known: dict[tuple[int, ...], dict[str, bytes]] = {}
        found = {}
        for node, heard in given["first"].items():
            canned = found[node] = Canned([])
            for url, numbers in heard:
                key = tuple(numbers)
                if key not in known:
                    known[key] = {names[n]: entries[n] for n in numbers}
                canned.entries[url] = known[key]
        return found

    def recorded(self, said: Mapping[str, Any]) -> dict[str, list[bytes]]:
        """Each response once, whoever is sent it."""
        entries = [b64decode(each) for each in said["entries"]]
        known: dict[tuple[str, tuple[int, ...]], bytes] = {}

        def response(url: str, numbers: Sequence[int]) -> bytes:
            key = url, tuple(numbers)
            if key not in known:
                message = pb.DeltaDiscoveryResponse(
                    type_url=url, nonce="canned", resources=[entries[n] for n in numbers]
                )
                known[key] = message.SerializeToString()
            return known[key]

        return {n: [response(*each) for each in heard] for n, heard in said["heard"].items()}


if __name__ == "__main__":
    asyncio.run(fleet_floor.run(CapturedFloor))
