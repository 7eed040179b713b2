"""The zone's side of the admin streams: the global asks, the zone answers (facts/kds-wire.md 7).

These streams are for people who look; that one of them ends is no reason to end the session. A
global that does not know them turns the feature off; any other end opens the stream again.
"""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

import grpc
import grpc.aio

from reconciler.kds.admin import (
    METHODS,
    QUESTIONS_MAX,
    AdminKind,
    Answer,
    answer_bytes,
    parse_question,
)
from reconciler.runtime.retry import backoff_s
from xds.discovery import RemoteProtocolError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from reconciler.kds.admin import Question

    Respond = Callable[[Question], Awaitable[Answer]]
    Headers = tuple[tuple[str, str], ...]

SERVICE = "/kuma.mesh.v1alpha1.GlobalKDSService/"
AGAIN_FIRST_S, AGAIN_MAX_S = 0.5, 30.0
# The global does not have this stream, or is shutting down: not before the next session.
OVER = (grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.CANCELLED)


class AdminStreams:
    """`respond` always answers, and within its own limits."""

    def __init__(self, respond: Respond) -> None:
        self._respond = respond
        self.reopened = 0

    async def run(self, channel: grpc.aio.Channel, headers: Headers) -> str:
        """All three, for as long as the session lives; ends by being cancelled only."""
        await asyncio.gather(*(self._forever(channel, headers, kind) for kind in AdminKind))
        raise AssertionError

    async def _forever(self, channel: grpc.aio.Channel, headers: Headers, kind: AdminKind) -> None:
        loop, failures = asyncio.get_running_loop(), 0
        while True:
            began = loop.time()
            try:
                code = await self._one(channel, headers, kind)
            except Exception as error:  # ours, and no reason to end the session
                text = "an admin stream ended by a fault of ours"
                loop.call_exception_handler({"message": text, "exception": error})
                code = grpc.StatusCode.INTERNAL
            if code in OVER:
                await asyncio.Event().wait()
            failures = 1 if loop.time() - began > AGAIN_MAX_S else failures + 1
            bound = backoff_s(failures, first_s=AGAIN_FIRST_S, max_s=AGAIN_MAX_S)
            await asyncio.sleep(random.uniform(bound / 2, bound))  # noqa: S311 - jitter
            self.reopened += 1

    async def _one(
        self, channel: grpc.aio.Channel, headers: Headers, kind: AdminKind
    ) -> grpc.StatusCode:
        """One stream, to its end; how it ended."""
        opened: grpc.aio.StreamStreamMultiCallable[bytes, bytes] = channel.stream_stream(
            f"{SERVICE}{METHODS[kind]}"
        )
        call = opened(metadata=headers)
        running: set[asyncio.Task[None]] = set()
        writing = asyncio.Lock()
        try:
            while isinstance(data := await call.read(), bytes):
                question = parse_question(kind, data)
                full = len(running) >= QUESTIONS_MAX
                task = asyncio.create_task(self._answer(call, writing, question, full=full))
                running.add(task)
                task.add_done_callback(running.discard)
            return await call.code()
        except RemoteProtocolError:
            return grpc.StatusCode.INVALID_ARGUMENT
        except grpc.aio.AioRpcError as error:
            return error.code()
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
            call.cancel()

    async def _answer(
        self,
        call: grpc.aio.StreamStreamCall[bytes, bytes],
        writing: asyncio.Lock,
        question: Question,
        *,
        full: bool,
    ) -> None:
        if full:
            text = f"{QUESTIONS_MAX} requests are being answered; try again"
            answer = Answer(question.request_id, error=text)
        else:
            answer = await self._respond(question)
        try:
            async with writing:
                await call.write(answer_bytes(question.kind, answer))
        except (grpc.aio.BaseError, asyncio.InvalidStateError):
            pass  # The stream is over; its reader knows why.
