"""The KDS server and client over real gRPC and TLS on loopback: what each does when the other, or
its own side, misbehaves.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import grpc
import grpc.aio
import pytest

from reconciler.ca.server_tls import ServerTls, new_server_tls
from reconciler.kds import client
from reconciler.kds.admission import Refusal
from reconciler.kds.client import Dial, KdsClient
from reconciler.kds.server import OPTIONS as SERVER_OPTIONS
from reconciler.kds.server import PART_MAX, STREAMS_PER_ZONE_MAX, KdsServer
from xds.discovery import DeltaRequest, DeltaResponse, Node
from xds.wire import delta_response_bytes, resource

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from reconciler.kds.admin import AdminKind
    from reconciler.kds.admission import Caller

    Call = grpc.aio.StreamStreamCall[bytes, bytes]

pytestmark = pytest.mark.timeout(60)
SERVICE = "/kuma.mesh.v1alpha1.GlobalKDSService/"
DOWN = "/kuma.mesh.v1alpha1.KDSSyncService/GlobalToZoneSync"
UP = "/kuma.mesh.v1alpha1.KDSSyncService/ZoneToGlobalSync"
METADATA = Node("east", metadata={"config": "x" * 1000})


@dataclass
class Link:
    """Both ends' owners of state. `faults` are raised one by one by what is told next."""

    tls: ServerTls
    server: KdsServer = field(init=False)
    port: int = 0
    refusal: Refusal | None = None
    admission_faults: list[Exception] = field(default_factory=list)
    response_faults: list[Exception] = field(default_factory=list)
    open: dict[str, str] = field(default_factory=dict)  # downward session -> zone
    requests: list[DeltaRequest] = field(default_factory=list)
    taken: list[tuple[str, int, bool]] = field(default_factory=list)  # of what zones publish
    sessions: list[str] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    least_s: float = 0.0  # between two sessions
    responses: list[DeltaResponse] = field(default_factory=list)
    client: KdsClient = field(init=False)
    told: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.server = KdsServer(self)

    async def start(self) -> None:
        self.port = await self.server.start("127.0.0.1", 0, self.tls.cert_pem, self.tls.key_pem)
        self.client = KdsClient(self, self.dial())

    def dial(self) -> Dial:
        return Dial(
            host="127.0.0.1",
            port=self.port,
            tls=True,
            ca_pem=self.tls.ca_pem,
            zone="east",
            version="0",
            token="a token",
            backoff_first_s=0.01,
            backoff_max_s=0.02,
        )

    async def until(self, seen: Callable[[], bool]) -> None:
        async with asyncio.timeout(30):
            while not seen():
                self.told.clear()
                await self.told.wait()

    # KdsEvents

    def zone_opened(self, session: str, caller: Caller, *, downward: bool) -> Refusal | None:
        self.told.set()
        if self.admission_faults:
            raise self.admission_faults.pop()
        if self.refusal is None and downward:
            self.open[session] = caller.zone
        return self.refusal

    def zone_admitted(self, caller: Caller) -> Refusal | None:
        return self.refusal

    def admin_opened(self, session: str, caller: Caller, kind: AdminKind) -> None: ...

    def admin_closed(self, session: str) -> None: ...

    def proxy_came(self, caller: Caller) -> str:
        return f"no proxies here, {caller.authorization}"

    def health(self, caller: Caller) -> Refusal | None:
        return self.refusal

    def subscription(self, session: str, request: DeltaRequest) -> None:
        self.requests.append(request)
        self.told.set()

    def published(self, session: str, response: DeltaResponse, *, more: bool) -> None:
        self.taken.append((response.type_url, len(response.resources), more))
        self.told.set()

    def closed(self, session: str) -> None:
        self.open.pop(session, None)
        self.told.set()

    # KdsClientEvents

    def connected(self, session: str) -> None:
        """Says at once all that a zone says at first."""
        self.sessions.append(session)
        self.told.set()
        for number in range(46):
            self.client.send_request(session, DeltaRequest(f"Type{number}", METADATA))

    def response(self, session: str, response: DeltaResponse, *, more: bool) -> None:
        self.responses.append(response)
        self.told.set()
        if self.response_faults:
            raise self.response_faults.pop()

    def global_request(self, session: str, request: DeltaRequest) -> None: ...

    def disconnected(self, session: str, reason: str) -> None:
        self.reasons.append(reason)
        self.told.set()

    def redial_least_s(self) -> float:
        return self.least_s

    def channel(self) -> grpc.aio.Channel:
        credentials = grpc.ssl_channel_credentials(self.tls.ca_pem)
        return grpc.aio.secure_channel(f"127.0.0.1:{self.port}", credentials)


def stream(channel: grpc.aio.Channel, method: str, zone: str = "") -> Call:
    """Opened, and nothing written."""
    multi: grpc.aio.StreamStreamMultiCallable[bytes, bytes] = channel.stream_stream(method)
    return multi(metadata=(("client-id", zone),) if zone else ())


@pytest.fixture
async def link() -> AsyncIterator[Link]:
    made = Link(new_server_tls("global", ("127.0.0.1",), 1_750_000_000.0))
    await made.start()
    try:
        yield made
    finally:
        await made.client.stop()
        await made.server.stop(0.1)


async def test_zone_hears_why_it_was_refused(link: Link) -> None:
    """A write that meets a refusal must not replace it by an error of the transport."""
    link.refusal = Refusal(16, "the token has expired; issue a new one")
    link.client.start()
    await link.until(lambda: len(link.reasons) >= 10)
    assert set(link.reasons) == {"UNAUTHENTICATED: the token has expired; issue a new one"}


async def test_zone_that_was_refused_comes_in_as_soon_as_it_may(link: Link) -> None:
    link.refusal = Refusal(14, "no revision yet")
    link.client.start()
    await link.until(lambda: bool(link.reasons))
    link.refusal = None
    await link.until(lambda: len(link.requests) == 46)
    assert list(link.open.values()) == ["east"]


async def test_zone_gives_a_global_the_time_it_needs_between_two_sessions(link: Link) -> None:
    """A real Kuma global would end the watches of a session that comes before it knows that the
    last one is over.
    """
    link.least_s = 0.5
    link.client.start()
    await link.until(lambda: bool(link.sessions))
    began = asyncio.get_running_loop().time()
    link.client.leave(link.sessions[0], "for the test")
    await link.until(lambda: len(link.sessions) == 2)
    assert asyncio.get_running_loop().time() - began >= link.least_s


async def test_fault_of_ours_ends_the_session_and_not_the_dialling(link: Link) -> None:
    """A zone whose disk was full for a moment must not be without its global for ever."""
    reported: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
    link.response_faults.append(OSError("the disk is full"))
    link.client.start()
    await link.until(lambda: bool(link.open))
    link.server.send_response(next(iter(link.open)), DeltaResponse("Mesh", "1"))
    await link.until(lambda: len(link.sessions) >= 2 and bool(link.open))
    assert "the disk is full" in link.reasons[0]
    # gRPC may still tell here of the closed loop of an earlier test.
    faults = [each for context in reported if isinstance(each := context["exception"], OSError)]
    assert [str(fault) for fault in faults] == ["the disk is full"]
    link.server.send_response(next(iter(link.open)), DeltaResponse("Mesh", "2"))
    await link.until(lambda: [r.nonce for r in link.responses] == ["1", "2"])


async def test_fault_while_a_zone_is_let_in_does_not_count_as_its_stream(link: Link) -> None:
    """As many as a zone may have open, twice over: it would be locked out until a restart."""
    link.admission_faults += [ValueError("a bug")] * (4 * STREAMS_PER_ZONE_MAX)
    link.client.start()
    await link.until(lambda: len(link.requests) == 46)
    assert not link.admission_faults


async def test_zone_has_two_streams_of_a_method_at_most(link: Link) -> None:
    async with link.channel() as channel:
        held = [stream(channel, DOWN, "east") for _ in range(STREAMS_PER_ZONE_MAX + 1)]
        codes = {asyncio.create_task(call.code()) for call in held}
        ended, _ = await asyncio.wait(codes, return_when=asyncio.FIRST_COMPLETED)
        assert [task.result() for task in ended] == [grpc.StatusCode.RESOURCE_EXHAUSTED]
        await stream(channel, DOWN, "west").initial_metadata()
        assert sorted(link.open.values()) == ["east", "east", "west"]


@pytest.mark.parametrize("method", ["StreamXDSConfigs", "StreamStats", "StreamClusters"])
async def test_whoever_names_no_zone_keeps_no_stream_open(link: Link, method: str) -> None:
    async with link.channel() as channel:
        call = stream(channel, f"{SERVICE}{method}")
        assert await call.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert await call.details() == '"client-id" is not present in metadata'


async def test_health_is_told_to_zones_only(link: Link) -> None:
    async with link.channel() as channel:
        check: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(
            f"{SERVICE}HealthCheck"
        )
        with pytest.raises(grpc.aio.AioRpcError, match="client-id"):
            await check(b"")
        assert await check(b"", metadata=(("client-id", "east"),))


async def ending_with_ok(link: Link, method: str) -> int:
    """A global that lets a zone in and ends one of its streams in good order; sessions seen."""

    async def ok(_requests: object, context: grpc.aio.ServicerContext[bytes, bytes]) -> None:
        await context.send_initial_metadata(())

    async def held(_requests: object, context: grpc.aio.ServicerContext[bytes, bytes]) -> None:
        await context.send_initial_metadata(())
        await asyncio.Event().wait()

    server = grpc.aio.server()
    bidi = grpc.stream_stream_rpc_method_handler
    sync: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
        name: bidi(ok if name == method else held)
        for name in ("GlobalToZoneSync", "ZoneToGlobalSync")
    }
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("kuma.mesh.v1alpha1.KDSSyncService", sync),)
    )
    credentials = grpc.ssl_server_credentials([(link.tls.key_pem, link.tls.cert_pem)])
    port = server.add_secure_port("127.0.0.1:0", credentials)
    await server.start()
    zone = KdsClient(link, replace(link.dial(), port=port))
    link.client = zone
    zone.start()
    try:
        await link.until(lambda: len(link.sessions) >= 3)
    finally:
        await zone.stop()
        await server.stop(0.1)
    return len(link.reasons)


@pytest.mark.parametrize("method", ["GlobalToZoneSync", "ZoneToGlobalSync"])
async def test_kuma_16326_a_stream_that_the_global_ends_with_ok_is_an_end(
    link: Link, method: str
) -> None:
    """A clean end left a zone "connected" and deaf; here it dials again."""
    assert await ending_with_ok(link, method) >= 2


async def test_kuma_14486_a_global_that_does_not_read_holds_up_nothing_it_says(link: Link) -> None:
    """`Send` blocked for ever, and with it what came in."""
    reading = asyncio.Event()

    async def deaf(_requests: object, context: grpc.aio.ServicerContext[bytes, bytes]) -> None:
        await context.send_initial_metadata(())
        await reading.wait()

    async def talking(_requests: object, context: grpc.aio.ServicerContext[bytes, bytes]) -> None:
        for number in range(100):
            await context.write(delta_response_bytes(DeltaResponse("Mesh", str(number))))
        await asyncio.Event().wait()

    server = grpc.aio.server()
    bidi = grpc.stream_stream_rpc_method_handler
    methods: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
        "GlobalToZoneSync": bidi(talking),
        "ZoneToGlobalSync": bidi(deaf),
    }
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("kuma.mesh.v1alpha1.KDSSyncService", methods),)
    )
    credentials = grpc.ssl_server_credentials([(link.tls.key_pem, link.tls.cert_pem)])
    port = server.add_secure_port("127.0.0.1:0", credentials)
    await server.start()
    zone = link.client = KdsClient(link, replace(link.dial(), port=port))
    zone.start()
    try:
        await link.until(lambda: bool(link.sessions))
        big = tuple(resource("type.googleapis.com/x", f"r{i}", b"x" * 4000) for i in range(1000))
        for number in range(5):
            zone.send_response(link.sessions[0], DeltaResponse(f"Type{number}", "1", big))
        await link.until(lambda: len(link.responses) == 100)
        assert not link.reasons
    finally:
        reading.set()
        await zone.stop()
        await server.stop(0.1)


async def test_request_of_no_meaning_ends_its_stream_alone(link: Link) -> None:
    link.client.start()
    await link.until(lambda: len(link.requests) == 46)
    async with link.channel() as channel:
        call = stream(channel, DOWN, "east")
        await call.initial_metadata()
        await call.write(b"\xff\xff")
        assert await call.code() is grpc.StatusCode.INVALID_ARGUMENT
    await link.until(lambda: len(link.open) == 1)
    assert not link.reasons


async def test_large_response_is_taken_in_parts_and_what_is_behind_it_waits(link: Link) -> None:
    """Each part in a turn of the loop of its own: a thousand proxies would hold it for 200 ms."""
    entries = tuple(resource("T", f"n{number}", b"x") for number in range(2 * PART_MAX + 1))
    async with link.channel() as channel:
        call = stream(channel, UP, "east")
        await call.initial_metadata()
        await call.write(delta_response_bytes(DeltaResponse("T", "1", entries)))
        await call.write(delta_response_bytes(DeltaResponse("U", "2")))
        await link.until(lambda: len(link.taken) == 4)
        call.cancel()
    parts = [("T", PART_MAX, True), ("T", PART_MAX, True), ("T", 1, False)]
    assert link.taken == [*parts, ("U", 0, False)]


def test_frozen_peer_is_missed_within_the_time_of_a_ping() -> None:
    """Without a setting of HTTP/2's own, gRPC's core waits a minute for the answer to a PING."""
    for options in (dict(client.OPTIONS), dict(SERVER_OPTIONS)):
        limit_ms = options["grpc.keepalive_timeout_ms"]
        assert options["grpc.http2.ping_timeout_ms"] == limit_ms == 15_000


def test_who_was_cut_off_comes_back_at_once_and_only_what_fails_backs_off() -> None:
    dial = Dial(host="h", port=1, tls=True, ca_pem=None, zone="z", version="0", token="t")
    bounds = [client.redial_s(failures, dial) for failures in range(12)]
    assert bounds[0] == (0.0, 0.25)
    assert [upper for _, upper in bounds[1:]] == [0.5, 1.0, 2.0, 4.0, 8.0, *[15.0] * 6]
    assert all(lower == upper / 4 for lower, upper in bounds[1:])
    down_s = sum(upper for _, upper in bounds[:3])
    assert down_s <= 2, "a global that is away for a second is found again within two"


@pytest.mark.parametrize(
    ("host", "target"),
    [
        ("global.example", "global.example:5685"),
        ("::1", "[::1]:5685"),
        ("10.0.0.1", "10.0.0.1:5685"),
    ],
)
def test_global_is_dialled_at_any_kind_of_address(host: str, target: str) -> None:
    dial = Dial(host=host, port=5685, tls=True, ca_pem=None, zone="east", version="0", token="t")
    assert dial.target == target


async def test_session_ends_although_a_cancellation_is_swallowed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An await that ends at the moment of its cancellation returns: seen with grpc and asyncio."""
    monkeypatch.setattr(client, "CANCEL_AGAIN_S", 0.01)
    swallowed = asyncio.Event()

    async def stubborn() -> str:
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        swallowed.set()
        await asyncio.Event().wait()
        return ""

    task = asyncio.create_task(stubborn())
    await asyncio.sleep(0)  # It has begun to wait.
    async with asyncio.timeout(10):
        await client.end_all((task,))
    assert swallowed.is_set()
    assert task.cancelled()
