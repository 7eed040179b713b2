"""The admin streams over real gRPC: the global asks, zones answer, and either side misbehaves."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import grpc
import grpc.aio
import pytest

from reconciler.ca.server_tls import new_server_tls
from reconciler.kds import admin_client
from reconciler.kds.admin import (
    METHODS,
    QUESTIONS_MAX,
    AdminKind,
    Answer,
    Question,
    answer_bytes,
    parse_question,
    question_bytes,
)
from reconciler.kds.admin_client import SERVICE, AdminStreams
from reconciler.kds.admin_server import AdminDesk, NoAnswer, Unreachable
from reconciler.kds.admission import Caller, Refusal
from reconciler.kds.client import KdsClient
from tests.protocol.test_kds_link import Link

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from xds.served_stream import Context

pytestmark = pytest.mark.timeout(60)
STATS = AdminKind.STATS


def about(name: str, kind: AdminKind = STATS) -> Question:
    return Question(kind=kind, type="Dataplane", name=name, mesh="default")


async def echo(question: Question) -> Answer:
    return Answer(question.request_id, question.name.encode())


async def eventually(seen: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while True:
            if seen():
                return
            await asyncio.sleep(0.005)  # Streams of gRPC have no other signal.


@dataclass
class Desk:
    """A global's desk behind a real server; `refusals` by zone are asked at the opening, and again
    whenever a zone is asked.
    """

    refusals: dict[str, Refusal] = field(default_factory=dict)
    port: int = 0

    def __post_init__(self) -> None:
        self.desk = AdminDesk(self.admitted, self.still, streams_per_zone=2)

    async def admitted(self, context: Context) -> Caller:
        zone = str(dict(context.invocation_metadata() or ())["client-id"])
        refused = self.refusals.get(zone)
        if refused is not None:
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, refused.message)
        return Caller(zone, None, (), "")

    def still(self, caller: Caller) -> Refusal | None:
        return self.refusals.get(caller.zone)

    async def until_open(self, zone: str, kinds: int = 3) -> None:
        await eventually(lambda: sum(s.caller.zone == zone for s in self.desk._streams) >= kinds)

    def channel(self) -> grpc.aio.Channel:
        return grpc.aio.insecure_channel(f"127.0.0.1:{self.port}")

    @asynccontextmanager
    async def zone(self, streams: AdminStreams, name: str = "east") -> AsyncIterator[None]:
        async with self.channel() as channel:
            running = asyncio.create_task(streams.run(channel, (("client-id", name),)))
            try:
                yield
            finally:
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)


@asynccontextmanager
async def serving(
    handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]],
) -> AsyncIterator[int]:
    server = grpc.aio.server()
    service = SERVICE.strip("/")
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield port
    finally:
        await server.stop(0.1)


@pytest.fixture
async def desk(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    monkeypatch.setattr(admin_client, "AGAIN_FIRST_S", 0.01)
    made = Desk()
    async with serving(made.desk.handlers()) as made.port:
        yield made


async def test_every_kind_is_asked_on_its_own_stream(desk: Desk) -> None:
    async with desk.zone(AdminStreams(echo)), desk.zone(AdminStreams(echo), "west"):
        await desk.until_open("east")
        await desk.until_open("west")
        for kind in AdminKind:
            for zone in ("east", "west"):
                answer = await desk.desk.ask(zone, about(f"{zone}-{kind}", kind))
                assert answer.body == f"{zone}-{kind}".encode()


async def test_answers_come_back_in_any_order(desk: Desk) -> None:
    """One proxy that hangs holds up nobody who asks about another."""
    release = asyncio.Event()

    async def respond(question: Question) -> Answer:
        if question.name == "hangs":
            await release.wait()
        return await echo(question)

    async with desk.zone(AdminStreams(respond)):
        await desk.until_open("east")
        slow = asyncio.create_task(desk.desk.ask("east", about("hangs")))
        for number in range(20):
            assert (await desk.desk.ask("east", about(f"p{number}"))).body == b"p%d" % number
        assert not slow.done()
        release.set()
        assert (await slow).body == b"hangs"


async def test_an_answer_too_late_is_dropped_and_the_stream_lives(desk: Desk) -> None:
    release = asyncio.Event()

    async def respond(question: Question) -> Answer:
        if question.name == "late":
            await release.wait()
        return await echo(question)

    async with desk.zone(AdminStreams(respond)):
        await desk.until_open("east")
        with pytest.raises(NoAnswer, match=r'zone "east" did not answer within 0.05 s'):
            await desk.desk.ask("east", about("late"), timeout_s=0.05)
        release.set()
        assert (await desk.desk.ask("east", about("next"))).body == b"next"
        assert desk.desk.figures["late"] == 1


async def test_answer_under_an_unknown_id_ends_nothing(desk: Desk) -> None:
    async with desk.channel() as channel:
        multi: grpc.aio.StreamStreamMultiCallable[bytes, bytes] = channel.stream_stream(
            f"{SERVICE}{METHODS[STATS]}"
        )
        call = multi(metadata=(("client-id", "east"),))
        await desk.until_open("east", 1)
        await call.write(answer_bytes(STATS, Answer("nobody-asked", b"x")))
        asking = asyncio.create_task(desk.desk.ask("east", about("web")))
        assert isinstance(await call.read(), bytes)
        await call.write(answer_bytes(STATS, Answer("east-1", b"right")))
        assert (await asking).body == b"right"
        assert desk.desk.figures["late"] == 1


async def test_zone_without_a_stream_is_told_at_once(desk: Desk) -> None:
    with pytest.raises(Unreachable, match=r'zone "east" has not opened its stream.*offline'):
        await desk.desk.ask("east", about("web"))


async def test_zone_that_leaves_takes_its_questions_along(desk: Desk) -> None:
    never = asyncio.Event()

    async def respond(question: Question) -> Answer:
        await never.wait()
        return await echo(question)

    async with desk.zone(AdminStreams(respond)):
        await desk.until_open("east")
        asking = asyncio.create_task(desk.desk.ask("east", about("web")))
        await asyncio.sleep(0)  # It has asked.
    with pytest.raises(Unreachable, match="ended the stream"):
        await asking


async def test_questions_of_one_zone_are_bounded_and_others_proceed(desk: Desk) -> None:
    never = asyncio.Event()

    async def hang(question: Question) -> Answer:
        await never.wait()
        return await echo(question)

    async with desk.zone(AdminStreams(hang)), desk.zone(AdminStreams(echo), "west"):
        await desk.until_open("east")
        await desk.until_open("west")
        asking = [
            asyncio.create_task(desk.desk.ask("east", about(f"p{n}"))) for n in range(QUESTIONS_MAX)
        ]
        await asyncio.sleep(0)
        with pytest.raises(Unreachable, match=f"{QUESTIONS_MAX} such questions"):
            await desk.desk.ask("east", about("one more"))
        assert (await desk.desk.ask("west", about("web"))).body == b"web"
        assert desk.desk.figures["waiting"] == QUESTIONS_MAX
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
        assert desk.desk.figures["waiting"] == 0


async def test_zone_answers_more_than_it_can_with_an_error(desk: Desk) -> None:
    """A global that asks without end; ours would stop at QUESTIONS_MAX."""
    never = asyncio.Event()

    async def hang(question: Question) -> Answer:
        await never.wait()
        return await echo(question)

    async with desk.zone(AdminStreams(hang)):
        await desk.until_open("east")
        (stream,) = (s for s in desk.desk._streams if s.kind is STATS)
        last = replace(about("web"), request_id="the last")
        stream.waiting["the last"] = answer = asyncio.get_running_loop().create_future()
        for number in range(QUESTIONS_MAX):
            stream.served.send(question_bytes(replace(last, request_id=str(number))))
        stream.served.send(question_bytes(last))
        assert "are being answered; try again" in (await answer).error


@pytest.mark.parametrize("allowed", [1, 2])
async def test_the_newest_stream_of_a_zone_is_asked_and_old_ones_end(
    desk: Desk, allowed: int
) -> None:
    """A zone that comes back before its old connection is known to be dead."""
    desk.desk._streams_per_zone = allowed

    async def old(question: Question) -> Answer:
        return Answer(question.request_id, b"old")

    async with AsyncExitStack() as zones:
        for _ in range(allowed):
            await zones.enter_async_context(desk.zone(AdminStreams(old)))
        await desk.until_open("east", 3 * allowed)
        before = list(desk.desk._streams)
        async with desk.zone(AdminStreams(echo)):
            await eventually(lambda: len([s for s in desk.desk._streams if s not in before]) == 3)
            await eventually(lambda: len(desk.desk._streams) == 3 * allowed)
            assert before[0] not in desk.desk._streams
            assert (await desk.desk.ask("east", about("web"))).body == b"web"


async def test_who_is_no_zone_gets_no_stream_and_who_was_one_loses_it(desk: Desk) -> None:
    desk.refusals["west"] = Refusal(16, "no token")
    async with desk.zone(AdminStreams(echo), "west"), desk.zone(AdminStreams(echo)):
        await desk.until_open("east")
        with pytest.raises(Unreachable):
            await desk.desk.ask("west", about("web"))
        assert (await desk.desk.ask("east", about("web"))).body == b"web"
        desk.refusals["east"] = Refusal(16, "the token is revoked")
        with pytest.raises(Unreachable):
            await desk.desk.ask("east", about("web"))


# --- the zone's side, against a global that misbehaves ---


@dataclass
class Rude:
    """A global that ends the first `times` streams of each kind with `code`."""

    code: grpc.StatusCode
    times: int
    opened: dict[AdminKind, int] = field(default_factory=dict)
    again: asyncio.Event = field(default_factory=asyncio.Event)

    def handlers(self) -> dict[str, grpc.RpcMethodHandler[bytes, bytes]]:
        def handler(kind: AdminKind) -> grpc.RpcMethodHandler[bytes, bytes]:
            async def serve(_: object, context: Context) -> None:
                self.opened[kind] = self.opened.get(kind, 0) + 1
                if all(self.opened.get(k, 0) > self.times for k in AdminKind):
                    self.again.set()
                if self.opened[kind] <= self.times:
                    await context.abort(self.code, "could not mark the response as received")
                await asyncio.Event().wait()

            return grpc.stream_stream_rpc_method_handler(serve)

        return {method: handler(kind) for kind, method in METHODS.items()}


@pytest.mark.parametrize(
    "code",
    [grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.INTERNAL],
)
async def test_stream_that_ended_is_opened_again(
    code: grpc.StatusCode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """INVALID_ARGUMENT is what a real Kuma says to an answer that came too late."""
    monkeypatch.setattr(admin_client, "AGAIN_FIRST_S", 0.01)
    rude, zone = Rude(code, 2), Desk()
    async with serving(rude.handlers()) as zone.port, zone.zone(AdminStreams(echo)):
        async with asyncio.timeout(20):
            await rude.again.wait()


@pytest.mark.parametrize("code", [grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.CANCELLED])
async def test_global_without_these_streams_is_not_asked_again(
    code: grpc.StatusCode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admin_client, "AGAIN_FIRST_S", 0.01)
    rude, zone = Rude(code, 100), Desk()
    streams = AdminStreams(echo)
    async with serving(rude.handlers()) as zone.port, zone.zone(streams):
        await eventually(lambda: len(rude.opened) == 3)
        await asyncio.sleep(0.1)  # Many times what a second try would wait.
        assert rude.opened == dict.fromkeys(AdminKind, 1)


async def test_a_fault_of_ours_ends_one_stream_and_not_for_long(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults = [AssertionError("ours"), AssertionError("again")]
    told: list[object] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: told.append(context["exception"]))
    parse = parse_question

    def parse_or_fail(kind: AdminKind, data: bytes) -> Question:
        if faults:
            raise faults.pop()
        return parse(kind, data)

    monkeypatch.setattr(admin_client, "parse_question", parse_or_fail)
    async with desk.zone(AdminStreams(echo)):
        for _ in range(2):
            await desk.until_open("east")
            with pytest.raises(Unreachable):
                await desk.desk.ask("east", about("web"))
        await desk.until_open("east")
        assert (await desk.desk.ask("east", about("web"))).body == b"web"
    assert len(told) == 2


async def test_session_lives_on_without_its_admin_streams() -> None:
    """They end, or are not there at all: what is synchronised goes on."""
    link = Link(new_server_tls("global", ("127.0.0.1",), 1_750_000_000.0))
    await link.start()
    streams = AdminStreams(echo)
    link.client = KdsClient(link, link.dial(), streams)
    link.client.start()
    try:
        await link.until(lambda: len(link.requests) >= 46)
        admin = link.server.admin
        await eventually(lambda: len(admin._streams) == 3)
        admin.stop()
        await eventually(lambda: not admin._streams)
        await eventually(lambda: len(admin._streams) == 3)  # opened again
        assert (await admin.ask("east", about("web"))).body == b"web"
        assert link.sessions == ["east-1"]
        assert link.reasons == []
    finally:
        await link.client.stop()
        await link.server.stop(0.1)


async def test_a_dump_of_tens_of_megabytes_comes_through() -> None:
    """More than gRPC takes by default, and than a real Kuma does; ours take 64 MiB."""
    body = b"x" * (40 * 1024 * 1024)

    async def respond(question: Question) -> Answer:
        return Answer(question.request_id, body)

    link = Link(new_server_tls("global", ("127.0.0.1",), 1_750_000_000.0))
    await link.start()
    link.client = KdsClient(link, link.dial(), AdminStreams(respond))
    link.client.start()
    try:
        await eventually(lambda: len(link.server.admin._streams) == 3)
        answer = await link.server.admin.ask("east", about("web", AdminKind.CONFIG))
        assert answer.body == body
        assert link.reasons == []
    finally:
        await link.client.stop()
        await link.server.stop(0.1)
