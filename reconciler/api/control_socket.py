"""The control socket: `/status`, `/wait`, `/accept` and `/inspect` for the commands of the same
machine's owner.
"""

from __future__ import annotations

import asyncio
import math
import re
from typing import TYPE_CHECKING, Protocol, TypeVar

from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from reconciler.api.read_only import NOT_SERVED
from reconciler.inspection import inspection

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping

    from starlette.requests import Request

    from reconciler.inspection import Inspected, Inspection

WAIT_MAX_S = 3600.0
COMMIT = re.compile(r"[0-9a-f]{7,40}")

Answer = dict[str, object]
Result = TypeVar("Result")


class ControlSource(Protocol):
    """A control plane that can be asked."""

    def status(self, *, proxies: bool) -> Mapping[str, object]:
        """Called in a thread: reads one state, which is frozen, and changes nothing."""
        ...

    async def wait(self, commit: str, timeout_s: float) -> Mapping[str, object]: ...

    async def accept(self, commit: str) -> Mapping[str, object]: ...

    async def inspect(self, asked: Inspection) -> Inspected: ...


def control_app(source: ControlSource) -> Starlette:
    async def status(request: Request) -> JSONResponse:
        """In a thread: the rows of a large fleet would hold up the loop."""
        proxies = request.query_params.get("proxies") == "1"
        return await asyncio.to_thread(lambda: JSONResponse(source.status(proxies=proxies)))

    async def wait(request: Request) -> JSONResponse:
        commit = request.query_params.get("commit", "")
        try:
            timeout_s = float(request.query_params.get("timeout", "60"))
        except ValueError:
            timeout_s = math.nan
        if not commit or not 0 <= timeout_s <= WAIT_MAX_S:
            text = f"wait needs a commit, and a timeout of 0 to {WAIT_MAX_S:.0f} seconds"
            return JSONResponse({"error": text}, status_code=400)

        async def waiting() -> Answer:
            return dict(await source.wait(commit, timeout_s))

        found = await _unless_gone(request, waiting())
        return JSONResponse(found if found is not None else {"error": "nobody waits any more"})

    async def accept(request: Request) -> JSONResponse:
        commit = request.query_params.get("commit", "")
        if COMMIT.fullmatch(commit) is None:
            return JSONResponse({"error": "accept needs the id of a commit"}, status_code=400)
        return JSONResponse(await source.accept(commit))

    async def inspect(request: Request) -> Response:
        asked = inspection(dict(request.query_params))
        if isinstance(asked, str):
            return JSONResponse({"error": asked}, status_code=400)
        found = await _unless_gone(request, source.inspect(asked))
        if found is None or found.error:
            text = found.error if found is not None else "nobody waits any more"
            return JSONResponse({"error": text}, status_code=found.status if found else 400)
        kind = "application/json" if asked.question.as_json else "text/plain; charset=utf-8"
        return Response(found.body, media_type=kind)

    routes = [
        Route("/inspect", inspect),
        Route("/status", status),
        Route("/wait", wait),
        Route("/accept", accept, methods=["POST"]),
    ]
    return Starlette(routes=routes, exception_handlers=NOT_SERVED)


async def _unless_gone(request: Request, work: Coroutine[None, None, Result]) -> Result | None:
    """The work's result, or None as soon as the client has left; the work then ends."""
    working = asyncio.create_task(work)
    gone = asyncio.create_task(_gone(request))
    try:
        await asyncio.wait({working, gone}, return_when=asyncio.FIRST_COMPLETED)
        return working.result() if working.done() else None
    finally:
        for task in (working, gone):
            task.cancel()
        await asyncio.gather(working, gone, return_exceptions=True)


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        continue
