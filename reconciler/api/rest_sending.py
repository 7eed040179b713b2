"""An answer of the HTTP API on its way: what of it was known, squeezed where that is wanted, and
sent in pieces, within what may be held for all readers together.
"""

from __future__ import annotations

import asyncio
import gzip
from functools import partial
from typing import TYPE_CHECKING

from starlette.responses import Response, StreamingResponse

from reconciler.rest.answer import Refused

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from concurrent.futures import Executor

    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send

    from reconciler.rest.answer import Answer

PIECE = 64 * 1024  # bytes of an answer in one turn of the loop
GZIP_MIN = 1024  # bytes
GZIP_LEVEL = 4
HELD_MAX = 256 * 1024 * 1024  # bytes of answers on their way to readers
BUSY_HEADERS = {"retry-after": "1"}


class Sending:
    """One for all connections."""

    def __init__(self, threads: Executor, held_max: int = HELD_MAX) -> None:
        self.held, self.held_max = 0, held_max
        self._threads = threads

    async def response(self, request: Request, answer: Answer) -> Response:
        """Raises Refused where slow readers hold too much already."""
        headers = {"vary": "accept-encoding", **answer.headers}
        tag = answer.headers.get("etag")
        if tag is not None and is_known(request.headers.get("if-none-match", ""), tag):
            return Response(status_code=304, headers=headers)
        body = answer.body
        if len(body) >= GZIP_MIN and wants_gzip(request.headers.get("accept-encoding", "")):
            headers["content-encoding"] = "gzip"
            loop, squeeze = asyncio.get_running_loop(), partial(gzip.compress, mtime=0)
            body = await loop.run_in_executor(self._threads, squeeze, body, GZIP_LEVEL)
        if len(body) <= PIECE:
            return Response(body, answer.status, headers, answer.media_type)
        if self.held + len(body) > self.held_max:
            text = f"over {self.held_max} bytes of answers are on their way; ask again later"
            raise Refused(503, "Busy", text, headers=BUSY_HEADERS)
        return _Pieces(self, body, answer.status, headers, answer.media_type)


class _Pieces(StreamingResponse):
    """Counts as held until its reader has it, or is gone."""

    def __init__(
        self, sending: Sending, body: bytes, status: int, headers: Mapping[str, str], type_: str
    ) -> None:
        known = {**headers, "content-length": str(len(body))}
        super().__init__(_pieces(body), status, known, type_)
        self._sending, self._size = sending, len(body)
        sending.held += self._size

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._sending.held -= self._size


async def _pieces(body: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(body), PIECE):
        yield body[at : at + PIECE]


def is_known(given: str, tag: str) -> bool:
    """Whether If-None-Match names the tag: RFC 9110 13.1.2, weak comparison."""
    wanted = tag.removeprefix("W/")
    return any(
        each.strip().removeprefix("W/") in (wanted, "*") for each in given.split(",") if given
    )


def wants_gzip(given: str) -> bool:
    """Accept-Encoding, RFC 9110 12.5.3: named or meant by `*`, and with a weight over 0."""
    weights: dict[str, str] = {}
    for each in given.lower().split(","):
        name, *parameters = (part.strip() for part in each.split(";"))
        weights[name] = next((p[2:].strip() for p in parameters if p.startswith("q=")), "1")
    weight = weights.get("gzip", weights.get("*"))
    return weight is not None and weight.strip("0.") != ""
