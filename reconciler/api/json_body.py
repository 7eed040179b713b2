"""The JSON that a peer sends us: read to a limit, from whoever dials."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

BODY_MAX = 1024 * 1024  # bytes


class BodyTooLarge(Exception):
    """More than BODY_MAX."""


async def json_object(request: Request) -> Mapping[str, object] | None:
    """None when the body holds no JSON object. Raises BodyTooLarge, and ClientDisconnect."""
    try:
        data = json.loads(await body_of(request))
    except (ValueError, RecursionError):
        return None
    return data if isinstance(data, dict) else None


async def body_of(request: Request) -> bytes:
    """Never holds more than the limit; BodyTooLarge before it reads, where the peer says so."""
    said = request.headers.get("content-length", "")
    if said.isdecimal() and int(said[:20]) > BODY_MAX:
        raise BodyTooLarge
    found = bytearray()
    async for chunk in request.stream():
        found += chunk
        if len(found) > BODY_MAX:
            raise BodyTooLarge
    return bytes(found)
