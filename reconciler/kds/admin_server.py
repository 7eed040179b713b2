"""The global's side of the admin streams: asks zones, and matches what they answer.

Zones open the streams; requests go out on them under an id of ours, many at once, and come back in
any order. An answer nobody waits for any more is counted and dropped.
"""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Protocol

import grpc

from reconciler.kds.admin import METHODS, QUESTIONS_MAX, AdminKind, parse_answer, question_bytes
from xds.served_stream import ServedStream, status_code

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from reconciler.kds.admin import Answer, Question
    from reconciler.kds.admission import Caller, Refusal
    from xds.served_stream import Context

ANSWER_S = 12.0  # a zone answers within 10 s, whatever its proxy does
MESSAGE_MAX = 1024 * 1024  # bytes of a question


class Unreachable(Exception):
    """The zone cannot be asked; the text says why."""


class NoAnswer(Exception):
    """The zone did not answer in time."""


class AdminEvents(Protocol):
    """What the owner of the state is told, on the loop: of streams that were let in."""

    def admin_opened(self, session: str, caller: Caller, kind: AdminKind) -> None: ...

    def admin_closed(self, session: str) -> None: ...


@dataclass(frozen=True, slots=True, eq=False)
class _Stream:
    session: str
    caller: Caller
    kind: AdminKind
    waiting: dict[str, asyncio.Future[Answer]] = field(default_factory=dict)
    served: ServedStream = field(
        default_factory=lambda: ServedStream(2 * QUESTIONS_MAX, MESSAGE_MAX)
    )


class AdminDesk:
    """`admitted` answers which zone a call comes from, or ends the call; `still` says whether that
    holds when the zone is asked: its token may have been revoked since. Of `streams_per_zone` and
    kind, one more ends the oldest.
    """

    def __init__(
        self,
        admitted: Callable[[Context], Awaitable[Caller]],
        still: Callable[[Caller], Refusal | None],
        streams_per_zone: int,
        events: AdminEvents | None = None,
    ) -> None:
        self._admitted = admitted
        self._still = still
        self._streams_per_zone = streams_per_zone
        self._events = events
        self._streams: list[_Stream] = []  # oldest first
        self._ids = itertools.count(1)
        self._opened = itertools.count(1)
        self._asked = self._unanswered = self._late = 0

    def handlers(self) -> dict[str, grpc.RpcMethodHandler[bytes, bytes]]:
        return {
            method: grpc.stream_stream_rpc_method_handler(partial(self._serve, kind))
            for kind, method in METHODS.items()
        }

    async def ask(self, zone: str, question: Question, timeout_s: float = ANSWER_S) -> Answer:
        """Raises Unreachable or NoAnswer."""
        stream = self._stream(zone, question.kind)
        self._asked += 1
        request_id = f"{zone}-{next(self._ids)}"
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        stream.waiting[request_id] = answer
        stream.served.send(question_bytes(replace(question, request_id=request_id)))
        try:
            async with asyncio.timeout(timeout_s):
                return await answer
        except TimeoutError:
            self._unanswered += 1
            raise NoAnswer(f'zone "{zone}" did not answer within {timeout_s:g} s') from None
        finally:
            stream.waiting.pop(request_id, None)

    def _stream(self, zone: str, kind: AdminKind) -> _Stream:
        """The newest: an older one may be dead without anybody knowing yet."""
        found = [s for s in self._of(zone, kind) if self._is_entitled(s)]
        if not found:
            raise Unreachable(
                f'zone "{zone}" has not opened its stream for this ({METHODS[kind]}): it is '
                "offline, or too old, or connected a moment ago"
            )
        stream = found[-1]
        if len(stream.waiting) >= QUESTIONS_MAX:
            raise Unreachable(f'zone "{zone}" has {QUESTIONS_MAX} such questions to answer already')
        return stream

    def _of(self, zone: str, kind: AdminKind) -> list[_Stream]:
        return [s for s in self._streams if s.caller.zone == zone and s.kind is kind]

    def _is_entitled(self, stream: _Stream) -> bool:
        refused = self._still(stream.caller)
        if refused is not None:
            stream.served.end(status_code(refused.code), refused.message)
        return refused is None

    @property
    def figures(self) -> Mapping[str, int]:
        """`late`: answers that nobody waited for any more."""
        waiting = sum(len(stream.waiting) for stream in self._streams)
        ended = {"asked": self._asked, "unanswered": self._unanswered, "late": self._late}
        return {**ended, "waiting": waiting}

    def close(self, session: str, code: int, message: str) -> None:
        for stream in self._streams:
            if stream.session == session:
                stream.served.end(status_code(code), message)

    def stop(self) -> None:
        for stream in self._streams:
            stream.served.end(grpc.StatusCode.UNAVAILABLE, "the global control plane is stopping")

    async def _serve(self, kind: AdminKind, _requests: object, context: Context) -> None:
        caller = await self._admitted(context)
        there = self._of(caller.zone, kind)
        for old in there[: max(len(there) + 1 - self._streams_per_zone, 0)]:
            old.served.end(grpc.StatusCode.CANCELLED, "a newer stream took the place of this one")
        stream = _Stream(f"{caller.zone}-{kind}-{next(self._opened)}", caller, kind)
        if self._events is not None:
            self._events.admin_opened(stream.session, caller, kind)
        self._streams.append(stream)
        await stream.served.run(context, partial(self._deliver, stream), partial(self._end, stream))
        # Never OK: a real zone would connect anew altogether.
        await context.abort(
            *(stream.served.ending or (grpc.StatusCode.CANCELLED, "the zone ended the stream"))
        )

    def _deliver(self, stream: _Stream, data: bytes) -> None:
        answer = parse_answer(stream.kind, data)
        waits = stream.waiting.get(answer.request_id)
        if waits is None or waits.done():
            self._late += 1
        else:
            waits.set_result(answer)

    def _end(self, stream: _Stream) -> None:
        self._streams.remove(stream)
        if self._events is not None:
            self._events.admin_closed(stream.session)
        for waits in stream.waiting.values():
            if not waits.done():
                waits.set_exception(Unreachable(f'zone "{stream.caller.zone}" ended the stream'))
