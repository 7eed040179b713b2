"""Many zones at one global: what their streams deliver and are sent, by the turn of the loop."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Any, cast

import grpc.aio

from reconciler.kds.server import PART_MAX, KdsServer
from xds.discovery import DeltaRequest, DeltaResponse
from xds.turns import PIECES_A_TURN, TURN_S, Turns
from xds.wire import delta_request_bytes, delta_response_bytes, resource

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from reconciler.kds.admission import Caller
    from reconciler.kds.server import KdsEvents
    from xds.served_stream import Context

ZONES = 50
RESOURCE_S = 0.0002  # what one costs its owner


class Owner:
    def __init__(self) -> None:
        self.told: list[tuple[str, str, int]] = []  # session, type, how many resources
        self.opened = 0
        self.closed_sessions: list[str] = []
        self.now = 0.0

    def zone_opened(self, _session: str, _caller: Caller, *, downward: bool) -> None:
        self.opened += 1

    def zone_admitted(self, _caller: Caller) -> None: ...

    def subscription(self, session: str, request: DeltaRequest) -> None:
        self.told.append((session, request.type_url, 0))

    def published(self, session: str, response: DeltaResponse, *, more: bool) -> None:
        self.told.append((session, response.type_url, len(response.resources)))
        self.now += len(response.resources) * RESOURCE_S

    def closed(self, session: str) -> None:
        self.closed_sessions.append(session)


class Peer:
    """A stream of a zone that has said all of this already; it stays until `gone`."""

    def __init__(self, zone: str, *said: bytes) -> None:
        self.zone, self.said = zone, list(said)
        self.taken: list[bytes] = []
        self.gone = asyncio.Event()

    async def read(self) -> object:
        await asyncio.sleep(0)
        if self.said:
            return self.said.pop(0)
        await self.gone.wait()
        return grpc.aio.EOF

    async def write(self, data: bytes) -> None:
        self.taken.append(data)

    async def send_initial_metadata(self, _: object) -> None: ...

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        return (("client-id", self.zone),)

    def peer(self) -> str:
        return "ipv4:127.0.0.1:1"

    async def abort(self, *_why: Any) -> None: ...


def server(owner: Owner) -> KdsServer:
    return KdsServer(cast("KdsEvents", owner), turns=Turns(clock=lambda: owner.now))


async def turns_of(
    owner: Owner, peers: list[Peer], *serving: Coroutine[Any, Any, None]
) -> list[list[tuple[str, str, int]]]:
    """What was told in each turn of the loop until all was; then all streams end."""
    tasks = [asyncio.create_task(each) for each in serving]
    found, idle = list[list[tuple[str, str, int]]](), 0
    while idle < 20:
        before = len(owner.told)
        await asyncio.sleep(0)
        found.append(owner.told[before:])
        idle = idle + 1 if not found[-1] else 0
    for peer in peers:
        peer.gone.set()
    await asyncio.gather(*tasks)
    assert len(owner.closed_sessions) == owner.opened == len(peers)
    return found


async def test_requests_of_many_zones_share_the_turns_of_the_loop_in_order_and_fairly() -> None:
    owner = Owner()
    types = [f"T{number}" for number in range(8)]
    said = [delta_request_bytes(DeltaRequest(type_)) for type_ in types]
    peers = [Peer(f"zone-{number}", *said) for number in range(ZONES)]
    kds = server(owner)
    serving = (kds._global_to_zone(None, cast("Context", peer)) for peer in peers)
    found = await turns_of(owner, peers, *serving)
    assert len(owner.told) == ZONES * len(types)
    assert (
        max(map(len, found)) <= 2 * PIECES_A_TURN
    )  # A look falls between two turns, or beside one.
    order: dict[str, list[str]] = {}
    for session, type_, _ in owner.told:
        order.setdefault(session, []).append(type_)
    assert list(order.values()) == [types] * ZONES
    ahead, counts = 0, Counter(dict.fromkeys(order, 0))
    for session, _, _ in owner.told:
        counts[session] += 1
        ahead = max(ahead, max(counts.values()) - min(counts.values()))
    assert ahead <= 2


async def test_parts_of_large_responses_fill_a_turn_as_messages_do() -> None:
    """40 zones with a thousand proxies each come back: a part of each in one turn was 200 ms."""
    owner = Owner()
    entries = tuple(resource("T", f"n{number}", b"x") for number in range(3 * PART_MAX))
    large = delta_response_bytes(DeltaResponse("T", "1", entries))
    small = delta_response_bytes(DeltaResponse("U", "2", entries[:5]))
    peers = [Peer(f"zone-{number}", large, small) for number in range(ZONES)]
    kds = server(owner)
    serving = (kds._zone_to_global(None, cast("Context", peer)) for peer in peers)
    found = await turns_of(owner, peers, *serving)
    assert len(owner.told) == ZONES * 4
    taken = [sum(count for _, _, count in told) for told in found]
    assert max(taken) * RESOURCE_S <= 2 * TURN_S + PART_MAX * RESOURCE_S
    of_one = [told[1:] for told in owner.told if told[0] == owner.told[0][0]]
    assert of_one == [("T", PART_MAX)] * 3 + [("U", 5)]


async def test_what_is_sent_to_many_zones_shares_the_turns_as_well() -> None:
    owner = Owner()
    peers = [Peer(f"zone-{number}") for number in range(ZONES)]
    kds = server(owner)
    tasks = [
        asyncio.create_task(kds._global_to_zone(None, cast("Context", peer))) for peer in peers
    ]
    for _ in range(10):
        await asyncio.sleep(0)
    for session in list(kds._streams):
        kds.send_response(session, DeltaResponse("T", "1"))
    most = 0
    while (before := sum(len(p.taken) for p in peers)) < ZONES:
        await asyncio.sleep(0)
        most = max(most, sum(len(p.taken) for p in peers) - before)
    assert most <= 2 * PIECES_A_TURN
    for peer in peers:
        peer.gone.set()
    await asyncio.gather(*tasks)
