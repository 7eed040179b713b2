"""Policies have one way in, Git. What our HTTP ports answer to whoever writes to them instead.

A path that is one of ours answers for itself; everything else that would change something is told
where changes are made. Nothing of such a request is read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from starlette.responses import PlainTextResponse, Response

if TYPE_CHECKING:
    from starlette.exceptions import HTTPException
    from starlette.requests import Request

WRITES = frozenset({"PUT", "POST", "PATCH", "DELETE"})
MANAGED = (
    "this mesh is managed from Git, nothing was changed: commit the resource's file to the policy "
    "repository that the global control plane follows, and push it"
)


async def _answer(request: Request, error: Exception) -> Response:
    """To a path or method that nobody serves."""
    found = cast("HTTPException", error)
    if request.method in WRITES:
        return PlainTextResponse(f"{MANAGED}\n", 405, headers={"allow": "GET, HEAD"})
    return PlainTextResponse(found.detail, found.status_code, headers=found.headers)


NOT_SERVED = {404: _answer, 405: _answer}  # Starlette's `exception_handlers`
